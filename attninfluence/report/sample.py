"""Some documents of each group, drawn at random, for what no sketch can tell: rank correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.base.arrays import Floats, Ints


class Sample:
    """Up to `room` documents of each group: those with the lowest of numbers drawn for all.

    A group of no more is whole. The same documents in the same order give the same sample.
    """

    def __init__(self, room: int, columns: int, seed: int = 0) -> None:
        self.room = room
        self._chance = np.random.default_rng(seed)
        self._group = np.zeros(0, np.int64)
        self._lot = np.zeros(0)
        self._values = np.zeros((0, columns))

    def add(self, group: Ints, values: Floats) -> None:
        """Offer documents: groups int64 [n], values float64 [n, columns]."""
        group = np.concatenate([self._group, group])
        lot = np.concatenate([self._lot, self._chance.random(len(values))])
        values = np.concatenate([self._values, values])
        order = np.lexsort((lot, group))
        group = group[order]
        place = np.arange(len(group)) - np.searchsorted(group, group)
        kept = order[place < self.room]
        self._group, self._lot, self._values = group[place < self.room], lot[kept], values[kept]

    def of(self, group: int) -> Floats:
        """The documents of a group, float64 [m, columns]."""
        first, last = np.searchsorted(self._group, [group, group + 1])
        return self._values[first:last]


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation, ties by mean rank; NaN for fewer than three or equal values."""
    first, second = _mean_ranks(np.asarray(a)), _mean_ranks(np.asarray(b))
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _mean_ranks(values: NDArray[Any]) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks
