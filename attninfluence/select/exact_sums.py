"""Sums of floating-point numbers without rounding."""

from __future__ import annotations

import numpy as np

from attninfluence.base.arrays import Floats, Ints

MANTISSA = 53  # bits
HALF = 27  # of the mantissa's bits are the lower half
SCALE = 1074 + MANTISSA  # sums are whole numbers of 2**-SCALE: the smallest number has 1074


class ExactSums:
    """A sum for each of some groups, the same in whatever order and pieces its numbers come.

    Whole numbers of Python hold them, some 150 bytes a group; numbers must be finite.
    """

    def __init__(self) -> None:
        self._sums: list[int] = []

    def add(self, group: Ints, values: Floats) -> None:
        """Add each value to the sum of its group; at most 2**26 of them at a time."""
        mantissa, exponent = np.frexp(values)
        kinds, at = np.unique(group * 4096 + exponent + SCALE, return_inverse=True)
        whole = np.ldexp(mantissa, MANTISSA).astype(np.int64)
        high, low = whole >> HALF, whole & ((1 << HALF) - 1)
        groups, shifts = kinds // 4096, kinds % 4096 - MANTISSA
        self._sums += [0] * (int(groups.max(initial=-1)) + 1 - len(self._sums))
        # Halves of a mantissa add up without rounding, since 2**26 of them are below 2**53.
        sums = (np.bincount(at, half, len(kinds)).astype(np.int64) for half in (high, low))
        for number, shift, highs, lows in zip(
            *(array.tolist() for array in (groups, shifts, *sums)), strict=True
        ):
            self._sums[number] += ((highs << HALF) + lows) << shift

    def __getitem__(self, group: int) -> int:
        """The sum of a group, in units of ``2**-SCALE``."""
        return self._sums[group] if group < len(self._sums) else 0


def square(values: Floats) -> tuple[Floats, Floats]:
    """Squares as they are rounded, and what rounding took from them (Dekker 1971)."""
    high = values * (2.0**HALF + 1)
    high -= high - values
    low = values - high
    rounded = values * values
    return rounded, ((high * high - rounded) + 2 * high * low) + low * low
