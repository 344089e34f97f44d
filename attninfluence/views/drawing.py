"""SVG: an image with a label, text, lines, a scale from data to drawing units, round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable

from attninfluence.views.palette import SEQUENTIAL_LIGHT
from attninfluence.views.words import escape, number


def svg(width: float, height: float, label: str, body: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(body)}</svg>"
    )


def class_attribute(name: str) -> str:
    return f' class="{name}"' if name else ""


def svg_text(x: float, y: float, text: str, *, anchor: str = "start", classes: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}{class_attribute(classes)}>{escape(text)}</text>"


def svg_line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    return f'<path class="{classes}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def color_bar(x: float, y: float, width: float) -> list[str]:
    """The sequential colours side by side, the lowest first."""
    levels = len(SEQUENTIAL_LIGHT)
    step = width / levels
    return [
        f'<rect class="q{i}" x="{x + i * step:.1f}" y="{y:.1f}" width="{step + 0.3:.1f}" '
        'height="9"/>'
        for i in range(levels)
    ]


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (steps of 1, 2 or 5 times a power of ten) within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def tick_label(value: float, step: float) -> str:
    return number(value, max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2)


def nice_limit(value: float) -> float:
    """The smallest round number not below the value; 1.0 where there is none above zero."""
    if not (value > 0 and math.isfinite(value)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * m >= value * 0.999999)


class Scale:
    """A straight map from data to drawing units."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.high, self.start = low, high, start
        self.slope = (stop - start) / (high - low) if high > low else 0.0

    def __call__(self, value: float) -> float:
        return self.start + (float(value) - self.low) * self.slope
