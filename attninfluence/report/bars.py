"""The histograms of the domains that are drawn, on one axis, each divided at its domain's cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attninfluence.base.arrays import Floats, Ints
from attninfluence.base.quantiles import QuantileSketch
from attninfluence.report.cuts import CutsByFraction
from attninfluence.report.domains import Domains
from attninfluence.report.sketches import Sketches
from attninfluence.select.cut import by_domain
from attninfluence.select.rows import RowReader
from attninfluence.views.histogram import (
    apart,
    axis_tail,
    histogram_counts,
    histogram_edges,
    widened,
)


@dataclass(frozen=True)
class Bars:
    """Edges and counts by domain.

    span    of the axis; `beyond` it lie so many scores
    """

    span: tuple[float, float]
    edges: dict[int, Floats]
    counts: dict[int, Ints]
    beyond: int


def draw_bars(
    reader: RowReader, domains: Domains, sketches: Sketches, cuts: CutsByFraction
) -> Bars:
    """Read all rows once."""
    cut_of = {domain: cuts.selected.cut(domain) for domain in domains.drawn}
    low, high = span = _axis(domains, sketches, cut_of)
    edges = {domain: histogram_edges(span, cut) for domain, cut in cut_of.items()}
    counts = {domain: np.zeros(len(ends) - 1, np.int64) for domain, ends in edges.items()}
    beyond = 0
    for rows in reader.read(()):
        score = rows.floats("score")
        for domain, at in by_domain(rows.domain, rows.scored & domains.is_drawn[rows.domain]):
            counts[domain] += histogram_counts(score[at], edges[domain])
            beyond += int(np.sum((score[at] < low) | (score[at] > high)))
    return Bars(span, edges, counts, beyond)


def _axis(
    domains: Domains, sketches: Sketches, cut_of: dict[int, float | None]
) -> tuple[float, float]:
    """The range of scores to draw, as `axis_span` has it, with all cuts inside."""
    joined = QuantileSketch()
    for domain in domains.drawn:
        joined.merge(sketches.score[domain])
        if sketches.control:
            joined.merge(sketches.control[domain])
    if not joined.weight:
        return 0.0, 1.0
    tail = axis_tail(joined.weight)
    span = apart(joined.quantile(tail), joined.quantile(1 - tail))
    for cut in cut_of.values():
        span = widened(span, cut)
    return span
