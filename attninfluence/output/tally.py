"""Running totals of a score table: rows by status and domain, tokens; and repeated ids."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOST_IDS = 20_000_000  # of which repetitions are counted, at 8 bytes each


@dataclass
class DomainTotals:
    """Rows of one domain by status, and tokens; `scored_tokens` are those with a loss.

    partly_counted: rows of which more tokens than these are there.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    scored_tokens: int = 0
    partly_counted: int = 0


@dataclass
class Tally:
    """Totals of some rows; tallies of different rows can be merged."""

    domains: dict[str | None, DomainTotals] = field(default_factory=dict)

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> Tally:
        """The tally whose `summary` this is."""
        return cls(
            {
                entry["domain"]: DomainTotals(
                    Counter(entry["statuses"]),
                    entry["tokens"],
                    entry["scored_tokens"],
                    entry.get("partly_counted", 0),
                )
                for entry in summary["domains"]
            }
        )

    def add(
        self,
        domain: str | None,
        status: str,
        tokens: int,
        scored_tokens: int,
        partly_counted: bool = False,
    ) -> None:
        """Count one row."""
        totals = self.domains.setdefault(domain, DomainTotals())
        totals.statuses[status] += 1
        totals.tokens += tokens
        totals.scored_tokens += scored_tokens
        totals.partly_counted += partly_counted

    def merge(self, other: Tally) -> None:
        """Add the rows of `other`."""
        for name, theirs in other.domains.items():
            ours = self.domains.setdefault(name, DomainTotals())
            ours.statuses.update(theirs.statuses)
            ours.tokens += theirs.tokens
            ours.scored_tokens += theirs.scored_tokens
            ours.partly_counted += theirs.partly_counted

    @property
    def rows(self) -> int:
        return sum(totals.statuses.total() for totals in self.domains.values())

    @property
    def tokens(self) -> int:
        return sum(totals.tokens for totals in self.domains.values())

    @property
    def scored_tokens(self) -> int:
        return sum(totals.scored_tokens for totals in self.domains.values())

    @property
    def partly_counted(self) -> int:
        return sum(totals.partly_counted for totals in self.domains.values())

    def summary(self) -> dict[str, Any]:
        """The totals as JSON values; domains in order, those without a name first."""
        statuses: Counter[str] = Counter()
        for totals in self.domains.values():
            statuses.update(totals.statuses)
        names = list(self.domains)
        return {
            "rows": self.rows,
            "tokens": self.tokens,
            "scored_tokens": self.scored_tokens,
            "partly_counted": self.partly_counted,
            "statuses": dict(sorted(statuses.items())),
            "domains": [_domain(names[at], self.domains[names[at]]) for at in domain_order(names)],
        }


def domain_order(names: Sequence[str | None]) -> list[int]:
    """The places of the names in the order of every table: no domain first, then by name."""
    return sorted(range(len(names)), key=lambda at: (names[at] is not None, names[at] or ""))


def _domain(name: str | None, totals: DomainTotals) -> dict[str, Any]:
    return {
        "domain": name,
        "rows": totals.statuses.total(),
        "tokens": totals.tokens,
        "scored_tokens": totals.scored_tokens,
        "partly_counted": totals.partly_counted,
        "statuses": dict(sorted(totals.statuses.items())),
    }


def count_repeated(ids: Iterable[str | None], most: int = MOST_IDS) -> int | None:
    """Rows whose id an earlier row has; None when there are more than `most` ids."""
    hashes = array("q")
    for id_ in ids:
        if id_ is not None:
            hashes.append(hash(id_))
        if len(hashes) > most:
            return None
    return len(hashes) - len(np.unique(np.frombuffer(hashes, np.int64)))
