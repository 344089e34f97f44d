"""Whether the samples read so far settle which heads all of them would select.

The samples are a finite population: which heads all `n_all` would select is a fact, and those read
are the first of a random order. That head h is ahead of head g is doubted until a bet against the
doubt has won enough. With d the difference of the two in a sample, 0 where it does not count, the
doubt says that d sums to at most 0, so that those still to come have a mean of at most

    m = - (sum of d so far) / (samples to come)

and a capital that is multiplied by 1 + stake (d - m) at each sample is a supermartingale under it,
whatever d in -1..1 is distributed like, as long as the stake looks at no later sample. It exceeds
1 / p at any time with a probability of at most p (Ville), so it may be looked at as often as one
likes (Waudby-Smith and Ramdas 2024, arXiv 2010.09686).

A wrong selection needs a pair of which one head is wrongly in and the other wrongly out. The first
PILOT samples, on which nothing is bet, share the error out among pairs: much to those about the
border. Whatever the true selection, its pairs together have at most all of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attninfluence.heads.choice import Choice
from attninfluence.heads.stability import LEAST_COUNTED

if TYPE_CHECKING:
    from attninfluence.retrieval.reading import SampleReading

CONFIDENCE = 0.999
PILOT = 32
COLUMNS_AT_ONCE = 512

# Samples after which it is looked, each some percent more than the one before: so few that the
# looks take no time, and the same numbers however the samples are read.
FIRST_LOOK, MORE_UNTIL_NEXT = 40, 1.05

# What is thought of a difference before the first sample: its variance, worth so many samples.
PRIOR_VARIANCE, PRIOR_SAMPLES = 0.05, 8
LARGEST_STAKE = 0.95  # of what would lose all in the worst sample


class Settling:
    """Looks, of the first samples of `n_all`, whether they settle what all would select.

    The looks are at the same numbers of samples, however many are read at a time.
    """

    def __init__(self, n_all: int, choice: Choice, require_success: bool) -> None:
        self._n_all, self._choice = n_all, choice
        self._all_count = not require_success
        self._look = FIRST_LOOK

    def find(self, readings: list[SampleReading]) -> int | None:
        """The number of samples after which the selection was settled; None where none is."""
        while self._look <= min(len(readings), self._n_all - 1):
            some = readings[: self._look]
            ratios = np.array([one.ratio.ravel() for one in some])
            counted = np.array([self._all_count or one.success for one in some])
            if is_settled(ratios, counted, self._n_all, self._choice):
                return self._look
            self._look = math.ceil(self._look * MORE_UNTIL_NEXT)
        return None


def is_settled(
    values: NDArray[np.float64], counted: NDArray[np.bool_], n_all: int, choice: Choice
) -> bool:
    """Whether all `n_all` samples select what the first of them do, with CONFIDENCE.

    values: float64[n, heads] in 0..1 of the first n samples; counted: bool[n], whether they count.
    """
    if len(values) <= PILOT or counted.sum() < LEAST_COUNTED:
        return False
    if choice.name == "threshold":
        return _are_past(np.where(counted[:, None], values - choice.value, 0.0), n_all)
    counting = np.where(counted[:, None], values, 0.0)
    order = np.argsort(-counting.sum(axis=0), kind="stable")
    n_selected = choice.number_of_heads(counting[0])
    return _are_ahead(counting, order[:n_selected], order[n_selected:], n_all)


def _are_past(excess: NDArray[np.float64], n_all: int) -> bool:
    """Whether each head's sum will have the sign that it has now; excess: float64[n, heads]."""
    sign = np.where(excess.sum(axis=0) >= 0, 1.0, -1.0)
    needed = math.log(excess.shape[1] / (1 - CONFIDENCE))
    return bool((_evidence(excess * sign, n_all) >= needed).all())


def _are_ahead(
    values: NDArray[np.float64], first: NDArray[np.int64], others: NDArray[np.int64], n_all: int
) -> bool:
    """Whether each of the first heads will be ahead of each of the others."""
    near = _nearness(values[:PILOT], len(first))
    for head in first[::-1]:  # the nearest to the border, which tells soonest
        for start in range(0, len(others), COLUMNS_AT_ONCE):
            some = others[start : start + COLUMNS_AT_ONCE]
            share = 4 * near[head] * near[some] / near.sum() ** 2
            needed = -np.log((1 - CONFIDENCE) * share)
            if (_evidence(values[:, head, None] - values[:, some], n_all) < needed).any():
                return False
    return True


def _nearness(values: NDArray[np.float64], n_selected: int) -> NDArray[np.float64]:
    """float64[heads] in 0..1: how near a head's mean is to the border, in standard errors."""
    mean, n = values.mean(axis=0), len(values)
    border = np.sort(mean)[::-1][max(n_selected - 1, 0) : n_selected + 1].mean()
    error = np.sqrt((values.var(axis=0) + PRIOR_VARIANCE / n) / n)
    nearness: NDArray[np.float64] = 1 / (1 + ((mean - border) / error) ** 2)
    return nearness


def _evidence(differences: NDArray[np.float64], n_all: int) -> NDArray[np.float64]:
    """float64[pairs]: the logarithm of the most that a bet on each of float64[n, pairs] had."""
    n = len(differences)
    seen = np.arange(n)[:, None]
    total = np.cumsum(differences, axis=0) - differences
    squares = np.cumsum(differences**2, axis=0) - differences**2
    mean, doubted = total / np.maximum(seen, 1), -total / (n_all - seen)
    variance = (squares - total * mean + PRIOR_SAMPLES * PRIOR_VARIANCE) / (seen + PRIOR_SAMPLES)
    lead = mean - doubted
    most = LARGEST_STAKE / np.maximum(1 + doubted, 1e-9)
    stake = np.clip(lead / (variance + lead**2), 0, most)
    stake[:PILOT] = 0
    won = np.log1p(stake * (differences - doubted))
    won[doubted < -1] = np.inf  # those to come cannot make up for it
    evidence: NDArray[np.float64] = np.cumsum(won, axis=0).max(axis=0)
    return evidence
