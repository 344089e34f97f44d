"""What cuts leave of budgets of tokens, filled with documents that come after them.

A domain's documents are taken in order while they fit its budget; of the SPARE documents after the
first that does not, those are taken that still do. So one long document does not end a domain.
"""

from __future__ import annotations

import numpy as np

from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.select.cut import Cuts, Ranking, by_domain
from attninfluence.select.picked import Selection
from attninfluence.select.rows import RowReader

SPARE = 1000  # documents that are tried after the first that does not fit
MOST = 2**63 - 1  # tokens that any documents have together
HELD_ROWS = 1 << 16  # held before those that come too late are dropped


def fill(reader: RowReader, ranking: Ranking, cuts: Cuts, budgets: list[int]) -> bool:
    """Read all rows once, and let `cuts.extra` be the rows after the cuts that fit.

    Exact cuts end at the first document that does not fit; those of a sketch end before it, and are
    filled from the first SPARE + 1 documents after them. False, and no row is added, where the cuts
    alone exceed a budget.
    """
    taken, following = Selection(reader, ranking, cuts), _Following(len(cuts.key))
    start = 0
    for rows in reader.read(ranking.order.columns):
        keys = ranking.order.keys(rows, reader.names)
        is_left = rows.candidate & ~taken.mark(rows, keys)
        following.add(rows.domain, keys, start, rows.n_tokens, is_left)
        start += len(keys)
    left = [min(b, MOST) - t for b, t in zip(budgets, taken.tokens.tolist(), strict=True)]
    if min(left, default=0) < 0:
        return False
    cuts.extra = following.that_fit(left)
    return True


class _Following:
    """The first SPARE + 1 rows of each domain among those that are added, in order."""

    def __init__(self, domains: int) -> None:
        none = np.zeros(0, np.int64)
        self._held: tuple[Ints, Floats, Ints, Ints] = none, np.zeros(0), none, none
        self._new: list[tuple[Ints, Floats, Ints, Ints]] = []
        self._rows = 0
        self._last = np.full(domains, -np.inf)  # keys; a row that comes at or below one is too late

    def add(self, domain: Ints, keys: Floats, start: int, tokens: Ints, mask: Bools) -> None:
        """Add the rows of the mask; `start` is the number of the first row in the reading."""
        at = np.flatnonzero(mask & (keys > self._last[domain]))
        self._new.append((domain[at], keys[at], start + at, tokens[at]))
        self._rows += len(at)
        if self._rows > max(HELD_ROWS, len(self._held[0])):
            self._drop()

    def _drop(self) -> None:
        """Sort by domain, the highest keys first and equal ones by number; keep the first rows."""
        pieces = zip(self._held, *self._new, strict=True)
        domain, keys, number, tokens = (np.concatenate(arrays) for arrays in pieces)
        self._new.clear()
        self._rows = 0
        order = np.lexsort((number, -keys, domain))
        place = np.arange(len(order)) - np.searchsorted(domain[order], domain[order])
        last = order[place == SPARE]
        self._last[domain[last]] = keys[last]
        order = order[place <= SPARE]
        self._held = domain[order], keys[order], number[order], tokens[order]

    def that_fit(self, left: list[int]) -> Ints:
        """The numbers of the rows that fit what is left of each domain's budget, ascending."""
        self._drop()
        domain, _, number, tokens = self._held
        fits = [
            number[at][first_fit(tokens[at], left[of])]
            for of, at in by_domain(domain, np.ones(len(domain), bool))
        ]
        return np.sort(np.concatenate([number[:0], *fits]))


def first_fit(weights: Ints, budget: int) -> Bools:
    """Mark entries, taken in order, as long as they fit the budget, passing over others."""
    taken = np.zeros(len(weights), dtype=bool)
    places = np.arange(len(weights))
    while len(places):
        summed = np.cumsum(weights[places])
        fit = int(np.searchsorted(summed, budget, side="right"))
        taken[places[:fit]] = True
        budget -= int(summed[fit - 1]) if fit else 0
        rest = places[fit + 1 :]
        places = rest[weights[rest] <= budget]
    return taken
