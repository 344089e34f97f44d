"""Numbers as they are typed: 50B, 1.5M, 0.2, 0.01,0.05."""

from __future__ import annotations

import argparse
import math
import re
from fractions import Fraction

_COUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?([KMBT]?)")
MOST = 2**63 - 1  # what the tables and the core can hold
_SCALE = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def count(text: str) -> int:
    """A whole number, exactly: 1200, 50B or 1.5M (K, M, B, T for thousand to trillion)."""
    match = _COUNT.fullmatch(text)
    if match is not None:
        whole, decimals, unit = match.groups(default="")
        value = Fraction(int(whole + decimals), 10 ** len(decimals)) * _SCALE[unit]
        if value > MOST:
            raise argparse.ArgumentTypeError(f"{text!r} is too large; at most {MOST:,}")
        if value.denominator == 1:
            return int(value)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no whole number like 1200, 50B or 1.5M (K, M, B or T, in capitals)"
    )


def positive(text: str) -> int:
    """A whole number above 0."""
    value = count(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be at least 1")
    return value


def fraction(text: str) -> Fraction:
    """A number in (0, 1], exactly as it is written."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no fraction above 0 and at most 1, like 0.2")
    return value


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, like 20")
    return value


def above_zero(text: str) -> float:
    """A number above 0."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, like 0.5")
    return value


def price_range(text: str) -> tuple[float, float]:
    """A lowest and a highest price, like 0.01,0.05."""
    low, comma, high = text.partition(",")
    prices = _number(low), _number(high)
    if not (comma and 0 <= prices[0] <= prices[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no range of prices, the lower one first, like 0.01,0.05"
        )
    return prices


def _number(text: str) -> float:
    """A finite number, or NaN for what is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
