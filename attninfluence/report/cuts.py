"""What cuts at several fractions keep, exactly as `attninfluence.select` would select it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from attninfluence.base.arrays import Floats, Ints
from attninfluence.select.cut import Census, Ranking, exact_cuts
from attninfluence.select.cut import Cuts as DomainCuts
from attninfluence.select.order import Order
from attninfluence.select.picked import Selection
from attninfluence.select.rows import RowReader, Rows, sums_by_domain
from attninfluence.select.rule import Rule

BY_SCORE = Ranking(Order("score"), "documents")
BY_CONTROL = Ranking(Order("control_score"), "documents")


@dataclass(frozen=True)
class SmallDomains:
    """The documents of domains too small to be worth a sketch each: arrays of one entry each.

    `keys` float64, an array for each ranking; NaN where there is none.
    """

    domain: Ints
    keys: dict[Ranking, Floats]


class Cuts:
    """Selections at some fractions, and one by the control's score at the `main` fraction.

    They read the rows once for each when they are made. Then `pick` takes the rows once more, in
    order, and the counts are there. In a census the domains of `small` have empty sketches.

    common  int64 [domains], documents that the score and the control's score both select
    """

    def __init__(
        self,
        reader: RowReader,
        census: Census,
        small: SmallDomains,
        fractions: Sequence[Fraction],
        main: Fraction,
    ) -> None:
        self.main = main
        self._reader = reader
        self._census = census
        self._small = small
        self.by_fraction = {one: self._selection(BY_SCORE, one) for one in fractions}
        has_control = BY_CONTROL in census.sketches
        self.control = self._selection(BY_CONTROL, main) if has_control else None
        self.common: Ints = np.zeros(len(reader.names), np.int64)

    def _selection(self, ranking: Ranking, fraction: Fraction) -> Selection:
        census, keys = self._census, self._small.keys[ranking]
        is_there = ~np.isnan(keys)
        domain, keys = self._small.domain[is_there], keys[is_there]
        small = np.bincount(domain, minlength=len(self._reader.names)).tolist()
        weights = [sketch.weight for sketch in census.sketches[ranking]]
        counts = [sum(pair) for pair in zip(weights, small, strict=True)]
        budgets = Rule(fraction).budgets(self._reader.names, counts, census.tokens.tolist())
        cuts = exact_cuts(self._reader, ranking, census, budgets)
        add_small_cuts(cuts, domain, keys, np.array(budgets, np.int64))
        return Selection(self._reader, ranking, cuts)

    def pick(self, rows: Rows) -> None:
        """Count what is selected of the next rows."""
        picked = {one: selection.pick(rows) for one, selection in self.by_fraction.items()}
        if self.control is None:
            return
        both = np.zeros(len(rows.domain), bool)
        both[np.intersect1d(picked[self.main], self.control.pick(rows))] = True
        self.common += sums_by_domain(rows, both, None, len(self.common))

    @property
    def selected(self) -> Selection:
        """What the main fraction selects."""
        return self.by_fraction[self.main]


def add_small_cuts(cuts: DomainCuts, domain: Ints, keys: Floats, budgets: Ints) -> None:
    """Set the cuts of the domains whose documents, all of them, have these domains and keys."""
    order = np.lexsort((-keys, domain))
    present, starts = np.unique(domain[order], return_index=True)
    cuts.key[present] = keys[order][starts + budgets[present] - 1]
    above = np.bincount(domain[keys > cuts.key[domain]], minlength=len(budgets))
    cuts.left[present] = (budgets - above)[present]


def totals(selection: Selection, domains: Any = slice(None)) -> tuple[int, int]:
    """Documents and tokens selected of some domains, or of all."""
    return int(selection.selected[domains].sum()), int(selection.tokens[domains].sum())
