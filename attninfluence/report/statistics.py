"""The numbers of a page, streamed: memory grows with the domains, not with the rows.

    count_domains   one reading: rows by domain and status
    describe        one reading: sketches of scores and losses, loss by length, samples, extremes
    find_cuts       one reading for each cut, and one that counts what the cuts select
    draw_bars       one reading: the histograms, which are divided at the cuts

Cuts are exact in all domains, shown or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from attninfluence.output.score_runs import ScoreRuns
from attninfluence.report.bars import Bars, draw_bars
from attninfluence.report.cuts import CutsByFraction, find_cuts
from attninfluence.report.description import Description, describe
from attninfluence.report.domains import Domains, count_domains
from attninfluence.select.rows import ReadingProgress, RowReader

if TYPE_CHECKING:
    from attninfluence.base.progress import Progress


@dataclass(frozen=True)
class Statistics:
    """All that a page says in numbers; each is made from those before it."""

    domains: Domains
    description: Description
    cuts: CutsByFraction
    bars: Bars


def read_statistics(
    run: ScoreRuns,
    fractions: Sequence[Fraction],
    main: Fraction,
    extremes: int,
    progress: Progress | None = None,
) -> Statistics:
    """Read all rows as often as it takes; cuts are made at the fractions, `main` among them."""
    watch = None
    if progress is not None:  # of the readings above; a cut may take one more
        has_control = "control_score" in run.schema().names
        watch = ReadingProgress(progress, run, 4 + len(fractions) + has_control).add
    reader = RowReader(run, watch=watch)
    domains = count_domains(reader)
    description = describe(reader, domains, extremes)
    cuts = find_cuts(reader, domains, description, fractions, main)
    bars = draw_bars(reader, domains, description.sketches, cuts)
    return Statistics(domains, description, cuts, bars)
