"""The numbers of a page, streamed: memory grows with the domains, not with the rows.

    count_domains   one reading: rows by domain and status
    _describe       one reading: sketches of scores and losses, loss by length, a sample, extremes
    Cuts            one reading for each cut
    _pick           one reading: what the cuts select
    _count_bars     one reading: the histograms, which are divided at the cuts

Cuts are exact in all domains, shown or not. Of domains of up to SMALL documents the scores are kept
as they are; others have sketches, which are exact for some thousands of documents, and smaller for
domains that are not shown the more of those there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from attninfluence.base import quantiles
from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.base.quantiles import QuantileSketch
from attninfluence.output.score_runs import ScoreRuns
from attninfluence.report.cuts import BY_CONTROL, BY_SCORE, Cuts, SmallDomains
from attninfluence.report.domains import count_domains
from attninfluence.report.extremes import Extremes
from attninfluence.report.lengths import Lengths
from attninfluence.report.quantile import median
from attninfluence.report.sample import Sample, rank_correlation
from attninfluence.select.cut import Census, by_domain
from attninfluence.select.rows import ReadingProgress, RowReader
from attninfluence.views.histogram import (
    apart,
    axis_tail,
    histogram_counts,
    histogram_edges,
    widened,
)

if TYPE_CHECKING:
    from attninfluence.base.progress import Progress

SKETCH_BYTES = 256 << 20  # of the scores' sketches of all domains, and as much for the control
LEAST_K = 256
SMALL = 256  # documents of a domain that has no sketch
LOSS_K = 4096
HELD_ROWS = 1 << 18  # that are added to sketches together
SAMPLED = 4096  # documents of a listed domain
SAMPLED_OF_ALL = 1 << 16
MOST_EXTREMES = 400  # highest documents of all domains on a page, and as many lowest


@dataclass(frozen=True)
class Scored:
    """Documents that have a score, in order: arrays of one entry each.

    position  of the row among all rows; `control` is NaN without a control
    """

    position: Ints
    domain: Ints
    n_tokens: Ints
    score: Floats
    base_loss: Floats
    control: Floats

    def at(self, places: Bools) -> Scored:
        """Those that are marked."""
        return Scored(*(getattr(self, field.name)[places] for field in fields(self)))


class Statistics:
    """All that a page says in numbers. Domains are indices into `domains.names`.

    score, control  sketches by domain, empty for small ones that are not listed; no `control`
                    without one
    base_loss       sketches of the listed domains
    above           int64 [domains], documents that score higher than under the control heads
    extremes        of the domains that are drawn, `room` at either end; `has_room` says whether
                    that is as many as were asked for. `lengths` is of all documents
    cuts            at the fractions asked for
    span            of the histograms' axis; `beyond` it lie so many scores of the drawn domains
    edges, bars     of the histograms of the domains that are drawn
    """

    def __init__(
        self,
        run: ScoreRuns,
        fractions: Sequence[Fraction],
        main: Fraction,
        extremes: int,
        progress: Progress | None = None,
    ) -> None:
        self.has_control = "control_score" in run.schema().names
        watch = None
        if progress is not None:  # of the readings above; a cut may take one more
            watch = ReadingProgress(progress, run, 4 + len(fractions) + self.has_control).add
        self._reader = RowReader(run, watch=watch)
        self.domains = count_domains(self._reader)
        self._make_sketches()
        self.room = min(extremes, MOST_EXTREMES // max(1, len(self.domains.drawn)))
        self.has_room = self.room == extremes
        self.extremes = {domain: Extremes(self.room) for domain in self.domains.drawn}
        self.lengths = Lengths()
        self.sample = Sample(SAMPLED, columns=4)
        self.sample_of_all = Sample(SAMPLED_OF_ALL, columns=4)
        self.above = np.zeros(len(self.domains.names), np.int64)
        for scored in _held(_scored(self._reader, self.has_control)):
            self._describe(scored)
        self.cuts = Cuts(self._reader, self._census(), self._small_domains(), fractions, main)
        self._pick()
        self.span = self._axis_span()
        self._count_bars()

    def _make_sketches(self) -> None:
        domains = self.domains
        listed = {*domains.listed, *domains.drawn}
        self.base_loss = {at: QuantileSketch(LOSS_K) for at in listed}
        self._is_small = domains.scored <= SMALL
        self._is_small[list(listed)] = False
        large = np.flatnonzero(~self._is_small).tolist()
        room = SKETCH_BYTES // (40 * max(1, len(large)))  # bytes a value of k, measured
        k = min(max(LEAST_K, room), quantiles.K)
        sizes = {at: quantiles.K if at in listed else k for at in large}
        self.score = self._sketches(sizes)
        self.control = self._sketches(sizes) if self.has_control else []
        self._small: list[Scored] = []
        self.score_of_all, self.control_of_all = QuantileSketch(), QuantileSketch()

    def _sketches(self, sizes: dict[int, int]) -> list[QuantileSketch]:
        """A sketch for each domain; small ones share one that stays empty."""
        empty = QuantileSketch()
        return [
            QuantileSketch(sizes[at]) if at in sizes else empty
            for at in range(len(self.domains.names))
        ]

    def _describe(self, scored: Scored) -> None:
        has_control = ~np.isnan(scored.control)
        self.score_of_all.update(scored.score)
        self.control_of_all.update(scored.control[has_control])
        self.lengths.add(scored.n_tokens, scored.base_loss, scored.score)
        self._draw(scored)
        higher = scored.domain[scored.score > scored.control]
        self.above += np.bincount(higher, minlength=len(self.above))
        small = self._is_small[scored.domain]
        self._small.append(scored.at(small))
        for domain, at in by_domain(scored.domain, ~small):
            self.score[domain].update(scored.score[at])
            if self.control:
                self.control[domain].update(scored.control[at[has_control[at]]])
            if domain in self.base_loss:
                self.base_loss[domain].update(scored.base_loss[at])
            if domain in self.extremes:
                self.extremes[domain].add(scored.score[at], scored.position[at])

    def _draw(self, scored: Scored) -> None:
        columns = (scored.score, scored.n_tokens, scored.control, scored.position)
        values = np.stack([column.astype(np.float64) for column in columns], axis=1)
        self.sample_of_all.add(np.zeros(len(values), np.int64), values)
        is_listed = np.zeros(len(self.domains.names), bool)
        is_listed[list(self.base_loss)] = True
        listed = is_listed[scored.domain]
        self.sample.add(scored.domain[listed], values[listed])

    def _census(self) -> Census:
        counts, sketches = self.domains, {BY_SCORE: self.score}
        if self.control:
            sketches[BY_CONTROL] = self.control
        rows = counts.rows.sum(axis=1)
        return Census(rows, counts.scored, counts.scored, counts.tokens, sketches)

    def _small_domains(self) -> SmallDomains:
        small = _joined(self._small)
        self._small.clear()
        return SmallDomains(small.domain, {BY_SCORE: small.score, BY_CONTROL: small.control})

    def _axis_span(self) -> tuple[float, float]:
        """The range of scores to draw, as `axis_span` has it."""
        joined = QuantileSketch()
        for domain in self.domains.drawn:
            for sketches in (self.score, self.control)[: 1 + self.has_control]:
                joined.merge(sketches[domain])
        if not joined.weight:
            return 0.0, 1.0
        tail = axis_tail(joined.weight)
        return apart(joined.quantile(tail), joined.quantile(1 - tail))

    def _pick(self) -> None:
        columns = ("control_score",) if self.has_control else ()
        for rows in self._reader.read(columns):
            self.cuts.pick(rows)

    def _count_bars(self) -> None:
        """The histograms' bars; each histogram is divided at its domain's cut."""
        cuts = {domain: self.cuts.selected.cut(domain) for domain in self.domains.drawn}
        for cut in cuts.values():
            self.span = widened(self.span, cut)
        self.edges = {at: histogram_edges(self.span, cut) for at, cut in cuts.items()}
        self.bars = {at: np.zeros(len(e) - 1, np.int64) for at, e in self.edges.items()}
        self.beyond = 0
        is_drawn = np.zeros(len(self.domains.names), bool)
        is_drawn[self.domains.drawn] = True
        for rows in self._reader.read(()):
            score = rows.floats("score")
            for domain, at in by_domain(rows.domain, rows.scored & is_drawn[rows.domain]):
                self.bars[domain] += histogram_counts(score[at], self.edges[domain])
                self.beyond += int(np.sum((score[at] < self.span[0]) | (score[at] > self.span[1])))

    def control_ends(self, domain: int) -> tuple[float, float] | None:
        """Between which the middle 90 % of a domain's control scores lie."""
        if not self.control or not self.control[domain].weight:
            return None
        return self.control[domain].quantile(0.05), self.control[domain].quantile(0.95)

    def length_correlation(self, domain: int | None) -> float:
        """Spearman's, of score and length, in a sample of a domain or (None) of all documents."""
        values = self._sampled(domain)
        return rank_correlation(values[:, 0], values[:, 1])

    def control_correlation(self, domain: int) -> float:
        """Spearman's, of the score and the control's score, in a sample of a domain."""
        values = self._sampled(domain)
        values = values[~np.isnan(values[:, 2])]
        return rank_correlation(values[:, 0], values[:, 2])

    def nearest_median(self, domain: int) -> int:
        """The position of the row with the score nearest the median, in a sample of the domain."""
        values = self._sampled(domain)
        away = np.abs(values[:, 0] - median(self.score[domain]))
        return int(values[np.lexsort((values[:, 3], away))[0], 3])

    def _sampled(self, domain: int | None) -> Floats:
        return self.sample_of_all.of(0) if domain is None else self.sample.of(domain)

    @property
    def is_sampled(self) -> bool:
        """Whether some rank correlation is one of a sample."""
        scored = self.domains.scored
        largest = max((int(scored[domain]) for domain in self.base_loss), default=0)
        return largest > SAMPLED or int(scored.sum()) > SAMPLED_OF_ALL

    @property
    def error(self) -> float:
        """The share of the documents by which the rank of a median or quartile may be off."""
        listed = [
            sketches[at]
            for sketches in (self.score, self.control)
            if sketches
            for at in self.base_loss
        ]
        shown = [self.score_of_all, self.control_of_all, *listed, *self.base_loss.values()]
        return max(self.lengths.error, *(sketch.error for sketch in shown))


def _scored(reader: RowReader, has_control: bool) -> Iterator[Scored]:
    """The documents with a score, some thousands at a time."""
    start = 0
    for rows in reader.read(("base_loss", *(("control_score",) if has_control else ()))):
        at = np.flatnonzero(rows.scored)
        control = rows.floats("control_score")[at] if has_control else np.full(len(at), np.nan)
        score, loss = (rows.floats(name)[at] for name in ("score", "base_loss"))
        yield Scored(start + at, rows.domain[at], rows.n_tokens[at], score, loss, control)
        start += len(rows.domain)


def _held(pieces: Iterator[Scored]) -> Iterator[Scored]:
    """The same, HELD_ROWS or more at a time: with many domains each piece costs."""
    held: list[Scored] = []
    for piece in pieces:
        held.append(piece)
        if sum(len(one.domain) for one in held) >= HELD_ROWS:
            yield _joined(held)
            held = []
    if held:
        yield _joined(held)


def _joined(pieces: list[Scored]) -> Scored:
    kinds = (np.int64, np.int64, np.int64, np.float64, np.float64, np.float64)
    columns = zip((field.name for field in fields(Scored)), kinds, strict=True)
    return Scored(
        *(
            np.concatenate([np.empty(0, kind), *(getattr(one, name) for one in pieces)])
            for name, kind in columns
        )
    )
