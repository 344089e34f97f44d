"""The numbers of score runs in memory, for what looks at all of them at once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.output.score_runs import ScoreRuns
from attninfluence.output.tally import domain_order
from attninfluence.select.rows import RowReader
from attninfluence.select.rule import count_of_fraction


@dataclass(frozen=True)
class ScoredDocuments:
    """One entry a row, in the order of the tables; some 40 bytes each.

    domains          names, sorted (no domain first); `domain` indexes them
    score, base_loss NaN where there is none
    scored           whether the row has a score
    """

    domains: list[str | None]
    domain: Ints
    n_tokens: Ints
    score: Floats
    base_loss: Floats
    scored: Bools

    def members(self, domain: int) -> Ints:
        """Positions of the scored documents of one domain, in order."""
        order, borders = self._groups
        return order[borders[domain] : borders[domain + 1]]

    def best_first(self, domain: int) -> Ints:
        """Positions of the scored documents of one domain by score, the highest first."""
        borders = self._groups[1]
        return self._by_score[borders[domain] : borders[domain + 1]]

    def extremes(self, domain: int, count: int) -> tuple[list[int], list[int]]:
        """Positions of a domain's `count` best and `count` worst documents; no one is in both."""
        order = self.best_first(domain)
        best = order[: min(count, (len(order) + 1) // 2)].tolist()
        worst = order[len(best) :][::-1][:count].tolist()
        return best, worst

    def highest(self, fraction: Fraction) -> Bools:
        """Which documents a selection of this fraction of each domain takes, bool[n].

        The first ceil(fraction * scored) of each domain by score, ties in order: what `select`
        takes of the same rows.
        """
        borders = self._groups[1]
        sizes = np.diff(borders)
        distinct, at = np.unique(sizes, return_inverse=True)
        quotas = np.array([count_of_fraction(size, fraction) for size in distinct.tolist()], int)
        place = np.arange(len(self._by_score)) - np.repeat(borders[:-1], sizes)
        selected = np.zeros(len(self.score), np.bool_)
        selected[self._by_score[place < np.repeat(quotas[at], sizes)]] = True
        return selected

    @functools.cached_property
    def _groups(self) -> tuple[Ints, Ints]:
        """All scored positions by domain, and where each domain begins among them.

        Sorted once, since a corpus may have as many domains as the web has hosts.
        """
        scored = np.flatnonzero(self.scored)
        order = scored[np.argsort(self.domain[scored], kind="stable")]
        borders = np.searchsorted(self.domain[order], np.arange(len(self.domains) + 1))
        return order, borders.astype(np.int64)

    @functools.cached_property
    def _by_score(self) -> Ints:
        """All scored positions by domain, the highest score of each first, ties in order."""
        order = self._groups[0]
        return order[np.lexsort((-self.score[order], self.domain[order]))]


def read_documents(scores: ScoreRuns) -> ScoredDocuments:
    """Load the numbers of all rows."""
    reader = RowReader(scores)
    pieces = [
        (rows.domain, rows.n_tokens, rows.floats("score"), rows.floats("base_loss"), rows.scored)
        for rows in reader.read(("base_loss",))
    ]
    kinds = [np.int64, np.int64, np.float64, np.float64, np.bool_]
    domain, *others = (
        np.concatenate([np.empty(0, kind), *(piece[at] for piece in pieces)])
        for at, kind in enumerate(kinds)
    )
    return ScoredDocuments(*in_domain_order(reader.names, domain), *others)


def in_domain_order(names: list[str | None], domain: Ints) -> tuple[list[str | None], Ints]:
    """The names in the order of every table, and `domain`, which indexes them, renumbered to it."""
    order = domain_order(names)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return [names[at] for at in order], place[domain]
