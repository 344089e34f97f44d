"""How far a mean could lie from itself with other samples: percentile bootstrap intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95

# Bounds of what is in memory at once, beside the means of all resamples.
RESAMPLES_AT_ONCE = 100
COLUMNS_AT_ONCE = 512

# Values are rounded to multiples of 1 / STEPS. A resample's sum is then exact in double precision
# for up to two million samples, so that it is the same bits in whatever order BLAS adds.
STEPS = 2.0**32


def bootstrap_interval(
    values: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """float64[2, ...]: low and high ends of the 95 % intervals of the means over axis 0.

    values: float64[n, ...] in 0..1, one row a sample; samples are drawn again as a whole, so that
    values of one sample stay together. An interval holds its mean. NaN below two samples.
    """
    n, shape = len(values), values.shape[1:]
    if n < 2:
        return np.full((2, *shape), np.nan)
    means = _resampled_means(np.rint(values.reshape(n, -1) * STEPS), rng)
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    ends = np.empty((2, means.shape[1]))
    for start in range(0, means.shape[1], COLUMNS_AT_ONCE):
        columns = slice(start, start + COLUMNS_AT_ONCE)
        ends[:, columns] = np.quantile(means[:, columns], tails, axis=0)
    low, high = ends.reshape(2, *shape)
    mean = values.mean(axis=0)
    return np.stack([np.minimum(low, mean), np.maximum(high, mean)])


def _resampled_means(steps: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[RESAMPLES, columns]: means of the rows as each resample draws them."""
    n = len(steps)
    means = np.empty((RESAMPLES, steps.shape[1]))
    for start in range(0, RESAMPLES, RESAMPLES_AT_ONCE):
        drawn = rng.integers(n, size=(RESAMPLES_AT_ONCE, n))
        drawn += n * np.arange(RESAMPLES_AT_ONCE)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=RESAMPLES_AT_ONCE * n)
        weights = times.reshape(RESAMPLES_AT_ONCE, n).astype(np.float64)
        np.matmul(weights, steps, out=means[start : start + RESAMPLES_AT_ONCE])
    return means / (n * STEPS)
