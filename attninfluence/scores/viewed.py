"""What the parts of a view of scores need: the scores, and what was given beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.scores.domains import as_column, group
from attninfluence.select.in_memory import ScoredDocuments
from attninfluence.views.words import domain_name, in_percent

if TYPE_CHECKING:
    from attninfluence.scores.score_rows import ScoreRows

MOST_DOMAINS = 12

Column = NDArray[np.object_]


@dataclass(frozen=True)
class ViewedScores:
    """Scores with what was given beside them, and what follows from it."""

    scores: ScoreRows
    documents: ScoredDocuments
    by_domain: bool  # whether the domains have names
    texts: Column | None
    names: Column | None
    fraction: Fraction
    selected: NDArray[np.bool_]
    drawn: list[int]  # the domains that are shown

    def members(self, domain: int | None) -> NDArray[np.int64]:
        """Positions of the scored documents of one domain, or of all."""
        if domain is None:
            return np.flatnonzero(self.documents.scored)
        return self.documents.members(domain)

    def cut(self, domain: int) -> float | None:
        """The lowest selected score of a domain; None where none is."""
        members = self.members(domain)
        chosen = self.documents.score[members[self.selected[members]]]
        return float(chosen.min()) if chosen.size else None

    def name(self, domain: int) -> str:
        if not self.by_domain:
            return "all documents"
        return domain_name(self.documents.domains[domain])

    @property
    def share(self) -> str:
        """The fraction in per cent."""
        return f"{in_percent(self.fraction)} %"


def collect(
    scores: ScoreRows,
    domains: Iterable[Any] | None,
    texts: Iterable[Any] | None,
    names: Iterable[Any] | None,
    fraction: Fraction,
) -> ViewedScores:
    """ValueError and TypeError as in `Scores.view`."""
    given = {"domains": domains, "texts": texts, "names": names}
    columns = {
        name: None if values is None else as_column(values, name, len(scores))
        for name, values in given.items()
    }
    documents = group(scores, columns["domains"])
    sizes = np.bincount(documents.domain[documents.scored], minlength=len(documents.domains))
    largest = np.argsort(-sizes, kind="stable")[:MOST_DOMAINS]
    return ViewedScores(
        scores=scores,
        documents=documents,
        by_domain=domains is not None,
        texts=columns["texts"],
        names=columns["names"],
        fraction=fraction,
        selected=documents.highest(fraction),
        drawn=sorted(int(domain) for domain in largest if sizes[domain]),
    )
