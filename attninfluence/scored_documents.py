"""The numbers of score runs in memory, for what looks at all of them at once."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from attninfluence.score_runs import ScoreRuns
from attninfluence.selection_rows import Bools, Floats, Ints, RowReader
from attninfluence.tally import domain_order


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
        members = self.members(domain)
        return members[np.argsort(-self.score[members], kind="stable")]

    @functools.cached_property
    def _groups(self) -> tuple[Ints, Ints]:
        """All scored positions by domain, and where each domain begins among them.

        Sorted once, since a corpus may have as many domains as the web has hosts.
        """
        scored = np.flatnonzero(self.scored)
        order = scored[np.argsort(self.domain[scored], kind="stable")]
        borders = np.searchsorted(self.domain[order], np.arange(len(self.domains) + 1))
        return order, borders.astype(np.int64)


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
    names = reader.names
    order = domain_order(names)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return ScoredDocuments([names[at] for at in order], place[domain], *others)
