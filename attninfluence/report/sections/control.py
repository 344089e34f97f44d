"""How the score compares with that of the control heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from attninfluence.report.cuts import CutsByFraction, totals
from attninfluence.report.domains import Domains
from attninfluence.report.given import left_out
from attninfluence.report.quantile import median
from attninfluence.report.statistics import Statistics
from attninfluence.scores.view_domains import WERE_THEY_ALIKE
from attninfluence.views.words import in_percent, number, percent, plural


def control_section(statistics: Statistics, heads: int) -> dict[str, Any] | None:
    """How the score compares with that of the control heads; None without a control."""
    domains, cuts, sketches = statistics.domains, statistics.cuts, statistics.description.sketches
    if cuts.control is None:
        return None
    score, control = median(sketches.score_of_all), median(sketches.control_of_all)
    share = in_percent(cuts.main)
    common, selected = int(cuts.common.sum()), totals(cuts.selected)[0]
    by_chance = _by_chance(domains, cuts)
    return {
        "sentence": (
            f"On the same base reading {plural(heads, 'other head')} were masked in the same way. "
            f"Over all scored documents the median score is {number(score)} with the "
            f"retrieval heads and {number(control)} with the control heads. {WERE_THEY_ALIKE}"
        ),
        "overlap": (
            f"Of the {share} % of each domain that the score selects, the control's score would "
            f"select {percent(common, selected)} as well; by chance it would be "
            f"{percent(by_chance, selected)}. The nearer to chance, the more the selection "
            "is these heads' own."
        ),
        "share": share,
        "rows": [_control_row(statistics, domain) for domain in domains.drawn],
        "more": left_out(domains.not_drawn, "domain", "listed"),
    }


def _by_chance(domains: Domains, cuts: CutsByFraction) -> float:
    """How many of the selected documents a control without any relation to the score selects."""
    scored = domains.scored
    assert cuts.control is not None
    share = cuts.control.selected / np.maximum(scored, 1)
    return float((cuts.selected.selected * share).sum())


def _control_row(statistics: Statistics, domain: int) -> dict[str, str]:
    domains, description, cuts = statistics.domains, statistics.description, statistics.cuts
    return {
        "name": domains.name(domain),
        "score": number(median(description.sketches.score[domain])),
        "control": number(median(description.sketches.control[domain])),
        "above": percent(int(description.above[domain]), int(domains.scored[domain]), 0),
        "common": percent(int(cuts.common[domain]), int(cuts.selected.selected[domain]), 0),
        "correlation": number(description.samples.control_correlation(domain), 2),
    }
