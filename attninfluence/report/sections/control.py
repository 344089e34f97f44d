"""How the score compares with that of the control heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from attninfluence.report.cuts import totals
from attninfluence.report.given import left_out
from attninfluence.report.quantile import median
from attninfluence.report.statistics import Statistics
from attninfluence.views.words import in_percent, number, percent, plural


def control_section(found: Statistics, heads: int) -> dict[str, Any] | None:
    """How the score compares with that of the control heads; None without a control."""
    if found.cuts.control is None:
        return None
    score, control = median(found.score_of_all), median(found.control_of_all)
    share = in_percent(found.cuts.main)
    common, selected = int(found.cuts.common.sum()), totals(found.cuts.selected)[0]
    return {
        "sentence": (
            f"On the same base reading {plural(heads, 'other head')} were masked in the same way. "
            f"Over all scored documents the median score is {number(score)} with the "
            f"retrieval heads and {number(control)} with the control heads. Were the two "
            "alike, the score would say how much any heads matter, not these."
        ),
        "overlap": (
            f"Of the {share} % of each domain that the score selects, the control's score would "
            f"select {percent(common, selected)} as well; by chance it would be "
            f"{percent(_by_chance(found), selected)}. The nearer to chance, the more the selection "
            "is these heads' own."
        ),
        "share": share,
        "rows": [_control_row(found, domain) for domain in found.domains.drawn],
        "more": left_out(found.domains.not_drawn, "domain", "listed"),
    }


def _by_chance(found: Statistics) -> float:
    """How many of the selected documents a control without any relation to the score selects."""
    scored = found.domains.scored
    assert found.cuts.control is not None
    share = found.cuts.control.selected / np.maximum(scored, 1)
    return float((found.cuts.selected.selected * share).sum())


def _control_row(found: Statistics, domain: int) -> dict[str, str]:
    return {
        "name": found.domains.name(domain),
        "score": number(median(found.score[domain])),
        "control": number(median(found.control[domain])),
        "above": percent(int(found.above[domain]), int(found.domains.scored[domain]), 0),
        "common": percent(
            int(found.cuts.common[domain]), int(found.cuts.selected.selected[domain]), 0
        ),
        "correlation": number(found.control_correlation(domain), 2),
    }
