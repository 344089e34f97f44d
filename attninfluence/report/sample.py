"""Some documents of each group, drawn at random, for what no sketch can tell: rank correlations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.base.arrays import Floats, Ints
from attninfluence.report.scored import Scored

SAMPLED = 4096  # documents of a domain that is shown
SAMPLED_OF_ALL = 1 << 16
SCORE, N_TOKENS, CONTROL, POSITION = range(4)  # columns of a sample


class Sample:
    """Up to `room` documents of each group: those with the lowest of numbers drawn for all.

    A group of no more is whole. The same documents in the same order give the same sample.

    is_whole  whether all groups are
    """

    def __init__(self, room: int, columns: int, seed: int = 0) -> None:
        self.room = room
        self.is_whole = True
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
        has_room = place < self.room
        self.is_whole &= bool(has_room.all())
        kept = order[has_room]
        self._group, self._lot, self._values = group[has_room], lot[kept], values[kept]

    def of(self, group: int) -> Floats:
        """The documents of a group, float64 [m, columns]."""
        first, last = np.searchsorted(self._group, [group, group + 1])
        return self._values[first:last]


class Samples:
    """A sample of each of the domains that are `shown`, and one of all documents."""

    def __init__(self, domains: int, shown: Iterable[int]) -> None:
        self._is_shown = np.isin(np.arange(domains), list(shown))
        self._by_domain = Sample(SAMPLED, columns=4)
        self._of_all = Sample(SAMPLED_OF_ALL, columns=4)

    def add(self, scored: Scored) -> None:
        columns = (scored.score, scored.n_tokens, scored.control, scored.position)
        values = np.stack([column.astype(np.float64) for column in columns], axis=1)
        self._of_all.add(np.zeros(len(values), np.int64), values)
        is_shown = self._is_shown[scored.domain]
        self._by_domain.add(scored.domain[is_shown], values[is_shown])

    @property
    def are_whole(self) -> bool:
        """Whether each has all documents that there are."""
        return self._by_domain.is_whole and self._of_all.is_whole

    def length_correlation(self, domain: int | None) -> float:
        """Spearman's, of score and length, of a domain or (None) of all documents."""
        values = self._of_all.of(0) if domain is None else self._by_domain.of(domain)
        return rank_correlation(values[:, SCORE], values[:, N_TOKENS])

    def control_correlation(self, domain: int) -> float:
        """Spearman's, of the score and the control's score, of a domain."""
        values = self._by_domain.of(domain)
        values = values[~np.isnan(values[:, CONTROL])]
        return rank_correlation(values[:, SCORE], values[:, CONTROL])

    def nearest(self, domain: int, score: float) -> int:
        """The position of the row of a domain whose score is nearest."""
        values = self._by_domain.of(domain)
        distance = np.abs(values[:, SCORE] - score)
        return int(values[np.lexsort((values[:, POSITION], distance))[0], POSITION])


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
