"""Where a selection ends in each domain, found by streaming: exactly, or straight from a sketch.

    take_census   one reading: rows, candidates and tokens by domain, and a sketch of their keys
    exact_cuts    one reading: what lies above the sketch's interval around the cut is counted, what
                  lies inside is collected, and the cut is found there
    sketch_cuts   no reading: the sketch's own quantile

A cut is a key and what is left for the rows of exactly that key, which are taken in their order. So
ties need no memory, however many there are, and the cut is exact. What it leaves of a budget of
tokens is filled afterwards (`attninfluence.select.fill`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.base.quantiles import QuantileSketch
from attninfluence.select.order import Order
from attninfluence.select.rows import RowReader, Rows, sums_by_domain

ROUNDING = 1e-9  # of a share in floating point
HELD_ROWS = 1 << 16  # collected before equal keys are added up


@dataclass(frozen=True)
class Ranking:
    """An order, and what a budget counts in it: ``documents`` or ``tokens``."""

    order: Order
    unit: str

    def weights(self, rows: Rows) -> Ints:
        """What each row takes of a budget, int64 [rows]."""
        return rows.n_tokens if self.unit == "tokens" else np.ones(len(rows.n_tokens), np.int64)


@dataclass
class Census:
    """What one reading finds, by domain in the order of the reader's names.

    tokens    of the candidates
    sketches  of the candidates' keys in each ranking
    """

    rows: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    scored: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    candidates: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    tokens: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    sketches: dict[Ranking, list[QuantileSketch]] = field(default_factory=dict)


def take_census(reader: RowReader, rankings: Sequence[Ranking]) -> Census:
    """Read all rows once."""
    census = Census(sketches={ranking: [] for ranking in rankings})
    columns = tuple(name for ranking in rankings for name in ranking.order.columns)
    for rows in reader.read(columns):
        size = len(reader.names)
        everything = np.ones(len(rows.domain), bool)
        candidates = sums_by_domain(rows, rows.candidate, None, size)
        tokens = sums_by_domain(rows, rows.candidate, rows.n_tokens, size)
        census.rows = _sum(census.rows, sums_by_domain(rows, everything, None, size))
        census.scored = _sum(census.scored, sums_by_domain(rows, rows.scored, None, size))
        census.candidates = _sum(census.candidates, candidates)
        census.tokens = _sum(census.tokens, tokens)
        for ranking, sketches in census.sketches.items():
            sketches.extend(QuantileSketch() for _ in range(size - len(sketches)))
            keys, weights = ranking.order.keys(rows, reader.names), ranking.weights(rows)
            for domain, places in by_domain(rows.domain, rows.candidate):
                sketches[domain].update(keys[places], weights[places])
    return census


def _sum(total: Ints, more: Ints) -> Ints:
    more[: len(total)] += total
    return more


def by_domain(domain: Ints, mask: Bools) -> list[tuple[int, Ints]]:
    """For each domain with rows in the mask, their places in order."""
    places = np.flatnonzero(mask)
    if not len(places):
        return []
    places = places[np.argsort(domain[places], kind="stable")]
    domains, starts = np.unique(domain[places], return_index=True)
    return list(zip(domains.tolist(), np.split(places, starts[1:]), strict=True))


class Cuts:
    """A cut is a key. Rows above it are selected; of the rows at it, in order, as many as fit into
    `left`.

    key    float64 [domains]; inf, above which nothing is, where none is set
    left   int64 [domains]
    extra  rows that are selected as well: their numbers in a reading, from 0, ascending
    """

    def __init__(self, domains: int) -> None:
        self.key: Floats = np.full(domains, np.inf)
        self.left: Ints = np.zeros(domains, np.int64)
        self.extra: Ints = np.zeros(0, np.int64)


def exact_cuts(reader: RowReader, ranking: Ranking, census: Census, budgets: list[int]) -> Cuts:
    """The exact cut of each domain.

    When a cut lies outside the interval that the sketch names, which its bound all but excludes,
    that domain is read again with a wider one.
    """
    sketches = census.sketches[ranking]
    budgets = [min(b, sketch.weight) for b, sketch in zip(budgets, sketches, strict=True)]
    cuts = Cuts(len(sketches))
    margins = {domain: sketch.error for domain, sketch in enumerate(sketches) if sketch.weight}
    while margins:
        low, high = (np.full(len(sketches), np.inf) for _ in range(2))
        for domain, margin in margins.items():
            low[domain], high[domain] = _interval(sketches[domain], budgets[domain], margin)
        above, inside = _collect(reader, ranking, low, high)
        wider = {}
        for domain, margin in margins.items():
            left, is_last = budgets[domain] - int(above[domain]), low[domain] == -np.inf
            cut = _cut(*inside.of(domain), left, is_last=is_last)
            if cut is None:
                wider[domain] = max(4 * margin, 1 / sketches[domain].weight)
            else:
                cuts.key[domain], cuts.left[domain] = cut
        margins = wider
    return cuts


def _interval(sketch: QuantileSketch, budget: int, margin: float) -> tuple[float, float]:
    """The keys between which the cut lies, if the sketch errs by less than `margin`."""
    share = 1 - budget / sketch.weight
    low, high = share - margin - ROUNDING, share + margin + ROUNDING
    return (
        sketch.quantile(min(low, 1.0)) if low > 0 else -np.inf,
        sketch.quantile(high) if high < 1 else np.inf,
    )


class _Inside:
    """Keys and weights of rows inside the intervals; equal keys of a domain are one entry."""

    def __init__(self) -> None:
        self._joined = np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros(0, np.int64)
        self._new: list[tuple[Ints, Floats, Ints]] = []
        self._rows = 0

    def add(self, domain: Ints, key: Floats, weight: Ints) -> None:
        self._new.append((domain, key, weight))
        self._rows += len(domain)
        if self._rows > max(HELD_ROWS, len(self._joined[0])):
            self.join()

    def join(self) -> None:
        """Sort by domain, the highest keys first, and add up the weights of equal keys."""
        pieces = [self._joined, *self._new]
        domain, key, weight = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
        self._new.clear()
        self._rows = 0
        order = np.lexsort((-key, domain))
        domain, key, weight = domain[order], key[order], weight[order]
        is_first = np.ones(len(key), bool)
        is_first[1:] = (domain[1:] != domain[:-1]) | (key[1:] != key[:-1])
        starts = np.flatnonzero(is_first)
        sums = np.add.reduceat(weight, starts) if len(starts) else weight
        self._joined = domain[starts], key[starts], sums

    def of(self, domain: int) -> tuple[Floats, Ints]:
        """The keys of a domain, the highest first, and the weight of each, after `join`."""
        domains, keys, weights = self._joined
        first, last = np.searchsorted(domains, [domain, domain + 1])
        return keys[first:last], weights[first:last]


def _collect(
    reader: RowReader, ranking: Ranking, low: Floats, high: Floats
) -> tuple[Ints, _Inside]:
    """Read all rows: the weight above `high` by domain, and what lies from `low` to `high`."""
    above, inside = np.zeros(len(low), np.int64), _Inside()
    for rows in reader.read(ranking.order.columns):
        keys, weights = ranking.order.keys(rows, reader.names), ranking.weights(rows)
        is_above = rows.candidate & (keys > high[rows.domain])
        is_inside = rows.candidate & ~is_above & (keys >= low[rows.domain])
        above += sums_by_domain(rows, is_above, weights, len(low))
        inside.add(rows.domain[is_inside], keys[is_inside], weights[is_inside])
    inside.join()
    return above, inside


def _cut(keys: Floats, weights: Ints, left: int, *, is_last: bool) -> tuple[float, int] | None:
    """A domain's key and `left`, as `Cuts` has them, from what lies in its interval.

    None when the cut is not there.

    left     what the rows above the interval leave of the budget
    is_last  no rows lie below the interval
    """
    summed = np.cumsum(weights)
    fit = int(np.searchsorted(summed, left, side="right"))
    if left < 0 or (fit >= len(keys) and not is_last):
        return None
    key = float(keys[fit]) if fit < len(keys) else -np.inf
    return key, left - (int(summed[fit - 1]) if fit else 0)


def sketch_cuts(ranking: Ranking, census: Census, budgets: list[int]) -> Cuts:
    """The cut of each domain as its sketch has it, within the sketch's error.

    A budget of tokens is reduced by that error first, so that it is not exceeded.
    """
    sketches = census.sketches[ranking]
    cuts = Cuts(len(sketches))
    for domain, (sketch, budget) in enumerate(zip(sketches, budgets, strict=True)):
        budget = min(budget, sketch.weight)
        if ranking.unit == "tokens":
            budget -= int(np.ceil(sketch.error * sketch.weight))
        if not sketch.weight or budget <= 0:
            continue
        cuts.key[domain] = sketch.quantile(max(0.0, 1 - budget / sketch.weight))
        above = (1 - sketch.rank(cuts.key[domain])) * sketch.weight
        cuts.left[domain] = max(0, budget - round(above))
    return cuts
