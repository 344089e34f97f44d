"""Running totals of a score table: rows by status and domain, tokens, repeated ids."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class DomainTotals:
    """Rows of one domain by status, and tokens; `scored_tokens` are those with a loss."""

    statuses: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    scored_tokens: int = 0


@dataclass
class Tally:
    """Totals of some rows; tallies of different rows can be merged.

    ids are kept as one 64-bit hash each, so that ten million of them take 80 MB.
    """

    domains: dict[str | None, DomainTotals] = field(default_factory=dict)
    id_hashes: array[int] = field(default_factory=lambda: array("q"))

    def add(self, domain: str | None, status: str, tokens: int, scored_tokens: int) -> None:
        """Count one row."""
        totals = self.domains.setdefault(domain, DomainTotals())
        totals.statuses[status] += 1
        totals.tokens += tokens
        totals.scored_tokens += scored_tokens

    def add_ids(self, ids: Iterable[str | None]) -> None:
        self.id_hashes.extend(hash(id_) for id_ in ids if id_ is not None)

    def merge(self, other: Tally) -> None:
        """Add the rows of `other`."""
        for name, theirs in other.domains.items():
            ours = self.domains.setdefault(name, DomainTotals())
            ours.statuses.update(theirs.statuses)
            ours.tokens += theirs.tokens
            ours.scored_tokens += theirs.scored_tokens
        self.id_hashes.extend(other.id_hashes)

    @property
    def rows(self) -> int:
        return sum(totals.statuses.total() for totals in self.domains.values())

    @property
    def tokens(self) -> int:
        return sum(totals.tokens for totals in self.domains.values())

    @property
    def scored_tokens(self) -> int:
        return sum(totals.scored_tokens for totals in self.domains.values())

    def repeated_ids(self) -> int:
        """Rows whose id an earlier row has."""
        return len(self.id_hashes) - len(np.unique(np.frombuffer(self.id_hashes, np.int64)))

    def summary(self) -> dict[str, Any]:
        """The totals as JSON values; domains in order, those without a name first."""
        statuses: Counter[str] = Counter()
        for totals in self.domains.values():
            statuses.update(totals.statuses)
        names = sorted(self.domains, key=lambda name: (name is not None, name or ""))
        return {
            "rows": self.rows,
            "tokens": self.tokens,
            "scored_tokens": self.scored_tokens,
            "statuses": dict(sorted(statuses.items())),
            "repeated_ids": self.repeated_ids(),
            "domains": [_domain(name, self.domains[name]) for name in names],
        }


def _domain(name: str | None, totals: DomainTotals) -> dict[str, Any]:
    return {
        "domain": name,
        "rows": totals.statuses.total(),
        "tokens": totals.tokens,
        "scored_tokens": totals.scored_tokens,
        "statuses": dict(sorted(totals.statuses.items())),
    }
