"""The rows that cuts select, picked as they stream by, and what they add up to."""

from __future__ import annotations

from typing import Any

import numpy as np

from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.output.tally import domain_order
from attninfluence.select.cut import Census, Cuts, Ranking, by_domain
from attninfluence.select.rows import RowReader, Rows, sums_by_domain


class Selection:
    """Picks rows by the cuts of their domains; made for one reading of all rows in order."""

    def __init__(self, reader: RowReader, ranking: Ranking, cuts: Cuts) -> None:
        size = len(reader.names)
        self._reader = reader
        self.ranking = ranking
        self._cuts = cuts
        self._left = cuts.left.copy()
        self._read = 0
        self.selected = np.zeros(size, np.int64)
        self.tokens = np.zeros(size, np.int64)
        self._lowest = np.full(size, np.inf)

    def pick(self, rows: Rows) -> Ints:
        """The places of the selected rows, ascending; the next call goes on with the next rows."""
        keys = self.ranking.order.keys(rows, self._reader.names)
        return np.flatnonzero(self.mark(rows, keys))

    def mark(self, rows: Rows, keys: Floats) -> Bools:
        """As `pick`, bool [rows], given the keys."""
        cut = self._cuts.key[rows.domain]
        picked = rows.candidate & (keys > cut)
        self._pick_ties(rows, rows.candidate & (keys == cut), picked)
        self._pick_extra(picked)
        size = len(self.selected)
        self.selected += sums_by_domain(rows, picked, None, size)
        self.tokens += sums_by_domain(rows, picked, rows.n_tokens, size)
        np.minimum.at(self._lowest, rows.domain[picked], keys[picked])
        return picked

    def _pick_ties(self, rows: Rows, tied: Bools, picked: Bools) -> None:
        """Of the rows at the cut itself, those that fit up to the first that does not."""
        weights = self.ranking.weights(rows)
        for domain, at in by_domain(rows.domain, tied):
            summed = np.cumsum(weights[at])
            fit = int(np.searchsorted(summed, self._left[domain], side="right"))
            picked[at[:fit]] = True
            is_over = fit < len(at)
            self._left[domain] = -1 if is_over else self._left[domain] - summed[-1]

    def _pick_extra(self, picked: Bools) -> None:
        extra = self._cuts.extra
        first, last = np.searchsorted(extra, [self._read, self._read + len(picked)])
        picked[extra[first:last] - self._read] = True
        self._read += len(picked)

    def strays(self, budgets: list[int], *, exact: bool) -> list[int]:
        """The domains that do not keep to their budgets: more tokens, or other than just so many
        documents; without `exact` the number of documents is free.
        """
        if self.ranking.unit == "tokens":
            amiss = self.tokens > np.minimum(budgets, self.tokens.max(initial=0))
        else:
            amiss = (self.selected != np.array(budgets, np.int64)) & exact
        return [int(domain) for domain in np.flatnonzero(amiss)]

    def cut(self, domain: int) -> float | None:
        """The lowest selected value of a domain; None where none is, or chance has a part."""
        order = self.ranking.order
        if not self.selected[domain] or order.rank_by == "random" or order.temperature is not None:
            return None
        lowest = float(self._lowest[domain])
        return (-lowest if order.bottom else lowest) + 0.0  # never -0.0


def summarise(
    names: list[str | None],
    census: Census,
    selection: Selection,
    budgets: tuple[list[int], int] | None = None,
) -> dict[str, Any]:
    """Documents and tokens, in all and selected, by domain and together; where the cut lies.

    `rows` counts all rows, `scored` those with a score, `candidates` those of them that are long
    enough; `tokens` and the shares are of the candidates; `cut` is the last selected document's
    score or base loss (null where chance has a part in the order).

    budgets  tokens that were asked for, by domain and in all: `budget`; None: null
    """
    columns = (
        census.rows,
        census.scored,
        census.candidates,
        census.tokens,
        selection.selected,
        selection.tokens,
    )
    of_domains, in_all = ([None] * len(names), None) if budgets is None else budgets
    domains = [
        {
            "domain": names[at],
            **_counts(*(int(column[at]) for column in columns), budget=of_domains[at]),
            "cut": selection.cut(at),
        }
        for at in domain_order(names)
    ]
    everything = _counts(*(int(column.sum()) for column in columns), budget=in_all)
    return {"domains": domains, "all": everything}


def _counts(
    rows: int,
    scored: int,
    candidates: int,
    tokens: int,
    selected: int,
    selected_tokens: int,
    *,
    budget: int | None,
) -> dict[str, Any]:
    return {
        "rows": rows,
        "scored": scored,
        "candidates": candidates,
        "tokens": tokens,
        "selected": selected,
        "selected_tokens": selected_tokens,
        "budget": budget,
        "share_of_documents": selected / candidates if candidates else None,
        "share_of_tokens": selected_tokens / tokens if tokens else None,
        "share_of_budget": selected_tokens / budget if budget else None,
    }
