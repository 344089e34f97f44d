"""Medians from sketches."""

from __future__ import annotations

from attninfluence.base.quantiles import QuantileSketch


def median(sketch: QuantileSketch) -> float:
    """The median, of an even number the mean of the middle two; NaN of nothing."""
    n = sketch.weight
    if not n:
        return float("nan")
    if n % 2:
        return sketch.quantile(0.5)
    return (sketch.quantile(0.5) + sketch.quantile((n / 2 + 0.5) / n)) / 2
