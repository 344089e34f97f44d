"""The rows that cuts select, picked as they stream by, and what they add up to."""

from __future__ import annotations

from typing import Any

import numpy as np

from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.output.tally import domain_order
from attninfluence.select.cut import Census, Cuts, Ranking, by_domain, first_fit
from attninfluence.select.rows import RowReader, Rows, sums_by_domain


class Selection:
    """Picks rows by the cuts of their domains; made for one reading of all rows in order.

    limits  by domain, tokens that are not exceeded whatever the cuts say; rows that would exceed
            them are passed over. None: no limits
    """

    def __init__(
        self, reader: RowReader, ranking: Ranking, cuts: Cuts, limits: list[int] | None = None
    ) -> None:
        size = len(reader.names)
        self._reader = reader
        self.ranking = ranking
        self._cuts = cuts
        self._left = cuts.left.copy()
        self._limits = limits
        self.selected = np.zeros(size, np.int64)
        self.tokens = np.zeros(size, np.int64)
        self._lowest = np.full(size, np.inf)

    def pick(self, rows: Rows) -> Ints:
        """The places of the selected rows, ascending; the next call goes on with the next rows."""
        keys = self.ranking.order.keys(rows, self._reader.names)
        cut = self._cuts.key[rows.domain]
        picked = rows.candidate & (keys > cut)
        self._pick_ties(rows, rows.candidate & (keys == cut), picked)
        self._pick_extra(rows, keys, picked)
        if self._limits is not None:
            self._keep_limits(rows, picked)
        size = len(self.selected)
        self.selected += sums_by_domain(rows, picked, None, size)
        self.tokens += sums_by_domain(rows, picked, rows.n_tokens, size)
        np.minimum.at(self._lowest, rows.domain[picked], keys[picked])
        return np.flatnonzero(picked)

    def _pick_ties(self, rows: Rows, tied: Bools, picked: Bools) -> None:
        """Of the rows at the cut itself, those that fit up to the first that does not."""
        weights = self.ranking.weights(rows)
        for domain, at in by_domain(rows.domain, tied):
            summed = np.cumsum(weights[at])
            fit = int(np.searchsorted(summed, self._left[domain], side="right"))
            picked[at[:fit]] = True
            is_over = fit < len(at)
            self._left[domain] = -1 if is_over else self._left[domain] - summed[-1]

    def _pick_extra(self, rows: Rows, keys: Floats, picked: Bools) -> None:
        if self._cuts.extra:
            for domain, at in by_domain(rows.domain, rows.candidate & ~picked):
                extra = self._cuts.extra.get(domain, keys[:0])
                picked[at[np.isin(keys[at], extra)]] = True

    def _keep_limits(self, rows: Rows, picked: Bools) -> None:
        assert self._limits is not None
        for domain, at in by_domain(rows.domain, picked):
            left = self._limits[domain] - int(self.tokens[domain])
            picked[at[~first_fit(rows.n_tokens[at], left)]] = False

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


def summarise(names: list[str | None], census: Census, selection: Selection) -> dict[str, Any]:
    """Documents and tokens, in all and selected, by domain and together; where the cut lies.

    `rows` counts all rows, `scored` those with a score, `candidates` those of them that are long
    enough; `tokens` and the shares are of the candidates; `cut` is the last selected document's
    score or base loss (null where chance has a part in the order).
    """
    columns = (
        census.rows,
        census.scored,
        census.candidates,
        census.tokens,
        selection.selected,
        selection.tokens,
    )
    domains = [
        {
            "domain": names[at],
            **_counts(*(int(column[at]) for column in columns)),
            "cut": selection.cut(at),
        }
        for at in domain_order(names)
    ]
    return {"domains": domains, "all": _counts(*(int(column.sum()) for column in columns))}


def _counts(
    rows: int, scored: int, candidates: int, tokens: int, selected: int, selected_tokens: int
) -> dict[str, Any]:
    return {
        "rows": rows,
        "scored": scored,
        "candidates": candidates,
        "tokens": tokens,
        "selected": selected,
        "selected_tokens": selected_tokens,
        "share_of_documents": selected / candidates if candidates else None,
        "share_of_tokens": selected_tokens / tokens if tokens else None,
    }
