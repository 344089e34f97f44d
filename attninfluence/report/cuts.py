"""What cuts at several fractions keep, exactly as `attninfluence.select` would select it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from attninfluence.selection import Selection
from attninfluence.selection_cut import Ranking, Survey, exact_cuts
from attninfluence.selection_order import Order
from attninfluence.selection_rows import Ints, RowReader, Rows, sums_by_domain
from attninfluence.selection_rule import Rule

BY_SCORE = Ranking(Order("score"), "documents")
BY_CONTROL = Ranking(Order("control_score"), "documents")


class Cuts:
    """Selections at some fractions, and one by the control's score at the `main` fraction.

    They read the rows once for each when they are made. Then `pick` takes the rows once more, in
    order, and the counts are there.

    common  int64 [domains], documents that the score and the control's score both select
    """

    def __init__(
        self, reader: RowReader, surveyed: Survey, fractions: Sequence[Fraction], main: Fraction
    ) -> None:
        self.main = main
        self._reader = reader
        self._surveyed = surveyed
        self.by_fraction = {one: self._selection(BY_SCORE, 0, one) for one in fractions}
        has_control = len(surveyed.sketches) > 1
        self.control = self._selection(BY_CONTROL, 1, main) if has_control else None
        self.common: Ints = np.zeros(len(reader.names), np.int64)

    def _selection(self, ranking: Ranking, which: int, fraction: Fraction) -> Selection:
        surveyed = self._surveyed
        counts = [sketch.weight for sketch in surveyed.sketches[which]]
        budgets = Rule(fraction).budgets(self._reader.names, counts, surveyed.tokens.tolist())
        cuts = exact_cuts(self._reader, ranking, surveyed, which, budgets)
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


def totals(selection: Selection, domains: Any = slice(None)) -> tuple[int, int]:
    """Documents and tokens selected of some domains, or of all."""
    return int(selection.selected[domains].sum()), int(selection.tokens[domains].sum())
