"""A set of scores: totals, distribution and cut by domain, the best and the worst documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from attninfluence.base.whole_number import as_whole_number
from attninfluence.scores.view_documents import best_and_worst
from attninfluence.scores.view_domains import domain_lines, domains_part
from attninfluence.scores.view_histograms import histograms
from attninfluence.scores.view_totals import lead_paragraph, losses_table, statuses_table
from attninfluence.scores.viewed import collect
from attninfluence.select.rule import as_fraction
from attninfluence.views.view import View

if TYPE_CHECKING:
    from attninfluence.scores.score_rows import ScoreRows


def scores_view(
    scores: ScoreRows,
    *,
    domains: Iterable[Any] | None,
    texts: Iterable[Any] | None,
    names: Iterable[Any] | None,
    fraction: float | str,
    examples: int,
) -> View:
    """See `Scores.view`."""
    if as_whole_number("examples", examples) < 0:
        raise ValueError(f"examples must not be negative, got {examples}")
    viewed = collect(scores, domains, texts, names, as_fraction(fraction))
    parts = [lead_paragraph(viewed), statuses_table(scores)]
    words = [f"Scores: {scores.sentence()}"]
    if viewed.drawn:
        parts += [
            losses_table(scores),
            domains_part(viewed),
            histograms(viewed),
            best_and_worst(viewed, examples),
        ]
        words += domain_lines(viewed)
    return View("AttentionInfluence scores", "".join(parts), "\n".join(words))
