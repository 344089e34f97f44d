"""The rows of each domain by status, and which domains a page has room for."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from attninfluence.base.arrays import Bools, Ints
from attninfluence.output.tally import domain_order
from attninfluence.select.rows import RowReader, encoded, sums_by_domain
from attninfluence.views.words import domain_name

MOST_LISTED = 100  # lines of a table
MOST_DRAWN = 24  # domains with a histogram and documents


@dataclass(frozen=True)
class Domains:
    """Counts by domain, in the order in which the rows name them.

    rows    int64 [domains, statuses]
    scored  int64 [domains], rows with a score; `tokens` are those of these rows
    """

    names: list[str | None]
    statuses: list[str]
    rows: Ints
    scored: Ints
    tokens: Ints

    @functools.cached_property
    def listed(self) -> list[int]:
        """The domains of a table, by name: all, or the largest."""
        return self._largest(self.rows.sum(axis=1), MOST_LISTED)

    @functools.cached_property
    def drawn(self) -> list[int]:
        """The domains with scores that have pictures, by name: all, or the largest."""
        return self._largest(self.scored, MOST_DRAWN)

    @functools.cached_property
    def shown(self) -> set[int]:
        """The domains that are listed or drawn."""
        return {*self.listed, *self.drawn}

    @functools.cached_property
    def is_drawn(self) -> Bools:
        """bool [domains], those that are drawn."""
        return np.isin(np.arange(len(self.names)), self.drawn)

    @property
    def others(self) -> Ints:
        """The domains that are not listed."""
        return np.setdiff1d(np.arange(len(self.names)), self.listed)

    @property
    def not_drawn(self) -> int:
        """How many domains with scores have no pictures."""
        return int(np.count_nonzero(self.scored)) - len(self.drawn)

    def name(self, domain: int) -> str:
        """What a domain is called on the page."""
        return domain_name(self.names[domain])

    def _largest(self, sizes: Ints, most: int) -> list[int]:
        order = [at for at in domain_order(self.names) if sizes[at] > 0]
        largest = set(sorted(order, key=lambda at: -int(sizes[at]))[:most])
        return [at for at in order if at in largest]


def count_domains(reader: RowReader) -> Domains:
    """Read all rows once and count them."""
    codes: dict[str, int] = {}
    rows = np.zeros((0, 0), np.int64)
    scored, tokens = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for batch in reader.read(()):
        names, at = encoded(batch.table["status"])
        status = np.array([codes.setdefault(str(name), len(codes)) for name in names], np.int64)[at]
        shape = len(reader.names), len(codes)
        cells = np.bincount(batch.domain * shape[1] + status, minlength=shape[0] * shape[1])
        rows = _plus(rows, cells.reshape(shape))
        scored = _plus(scored, sums_by_domain(batch, batch.scored, None, shape[0]))
        tokens = _plus(tokens, sums_by_domain(batch, batch.scored, batch.n_tokens, shape[0]))
    return Domains(reader.names, list(codes), rows, scored, tokens)


def _plus(total: Ints, more: Ints) -> Ints:
    more[tuple(slice(size) for size in total.shape)] += total
    return more
