"""What cuts at several fractions keep, exactly as `attninfluence.select` would select it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from attninfluence.base.arrays import Floats, Ints
from attninfluence.report.description import Description
from attninfluence.report.domains import Domains
from attninfluence.select.cut import Census, Cuts, Ranking, exact_cuts
from attninfluence.select.order import Order
from attninfluence.select.picked import Selection
from attninfluence.select.rows import RowReader, sums_by_domain
from attninfluence.select.rule import Rule

BY_SCORE = Ranking(Order("score"), "documents")
BY_CONTROL = Ranking(Order("control_score"), "documents")


@dataclass(frozen=True)
class CutsByFraction:
    """Selections at some fractions, and one by the control's score at the `main` fraction.

    control  None without a control
    common   int64 [domains], documents that the score and the control's score both select
    """

    main: Fraction
    by_fraction: dict[Fraction, Selection]
    control: Selection | None
    common: Ints

    @property
    def selected(self) -> Selection:
        """What the main fraction selects."""
        return self.by_fraction[self.main]


def find_cuts(
    reader: RowReader,
    domains: Domains,
    description: Description,
    fractions: Sequence[Fraction],
    main: Fraction,
) -> CutsByFraction:
    """Read all rows once for each selection, and once more to count what they select."""

    def selection(ranking: Ranking, fraction: Fraction) -> Selection:
        return _selection(reader, domains, description, ranking, fraction)

    by_fraction = {fraction: selection(BY_SCORE, fraction) for fraction in fractions}
    control = selection(BY_CONTROL, main) if description.sketches.control else None
    common = np.zeros(len(domains.names), np.int64)
    for rows in reader.read(() if control is None else ("control_score",)):
        picked = {fraction: one.pick(rows) for fraction, one in by_fraction.items()}
        if control is not None:
            in_both = np.zeros(len(rows.domain), bool)
            in_both[np.intersect1d(picked[main], control.pick(rows))] = True
            common += sums_by_domain(rows, in_both, None, len(common))
    return CutsByFraction(main, by_fraction, control, common)


def _selection(
    reader: RowReader,
    domains: Domains,
    description: Description,
    ranking: Ranking,
    fraction: Fraction,
) -> Selection:
    sketches, small = description.sketches.score, description.small.score
    if ranking == BY_CONTROL:
        sketches, small = description.sketches.control, description.small.control
    is_there = ~np.isnan(small)
    domain, keys = description.small.domain[is_there], small[is_there]
    counts = np.bincount(domain, minlength=len(domains.names))
    counts += np.array([sketch.weight for sketch in sketches], np.int64)
    budgets = Rule(fraction).budgets(domains.names, counts.tolist(), domains.tokens.tolist())
    rows = domains.rows.sum(axis=1)
    census = Census(rows, domains.scored, domains.scored, domains.tokens, {ranking: sketches})
    cuts = exact_cuts(reader, ranking, census, budgets)
    add_small_cuts(cuts, domain, keys, np.array(budgets, np.int64))
    return Selection(reader, ranking, cuts)


def add_small_cuts(cuts: Cuts, domain: Ints, keys: Floats, budgets: Ints) -> None:
    """Set the cuts of the domains whose documents, all of them, have these domains and keys."""
    order = np.lexsort((-keys, domain))
    present, starts = np.unique(domain[order], return_index=True)
    cuts.key[present] = keys[order][starts + budgets[present] - 1]
    above = np.bincount(domain[keys > cuts.key[domain]], minlength=len(budgets))
    cuts.left[present] = (budgets - above)[present]


def totals(selection: Selection, domains: Any = slice(None)) -> tuple[int, int]:
    """Documents and tokens selected of some domains, or of all."""
    return int(selection.selected[domains].sum()), int(selection.tokens[domains].sum())
