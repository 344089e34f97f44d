"""Quantiles by domain, from a stream.

Domains of up to SMALL documents that no table lists have no sketch: their scores are kept as they
are. Sketches are exact for some thousands of documents, and smaller for domains that are not shown
the more of those there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attninfluence.base import quantiles
from attninfluence.base.arrays import Floats, Ints
from attninfluence.base.quantiles import QuantileSketch
from attninfluence.report.domains import Domains
from attninfluence.report.scored import Scored
from attninfluence.select.cut import by_domain

SKETCH_BYTES = 256 << 20  # of the scores' sketches of all domains, and as much for the control
BYTES_OF_K = 40  # that a sketch takes for each value of k, measured
LEAST_K = 256
SMALL = 256  # documents of a domain that has no sketch
LOSS_K = 4096


@dataclass(frozen=True)
class SmallDomains:
    """The documents of domains too small to be worth a sketch each: arrays of one entry each.

    `control` is NaN where there is no such score.
    """

    domain: Ints
    score: Floats
    control: Floats


class Sketches:
    """Sketches of the scores, of the control's scores and of the base losses.

    is_small        bool [domains], those without a sketch
    score, control  by domain, empty for small ones; no `control` without one
    base_loss       of the domains that are shown
    """

    def __init__(self, domains: Domains, has_control: bool) -> None:
        self.is_small = domains.scored <= SMALL
        self.is_small[list(domains.shown)] = False
        large = np.flatnonzero(~self.is_small).tolist()
        room = SKETCH_BYTES // (BYTES_OF_K * max(1, len(large)))
        k = min(max(LEAST_K, room), quantiles.K)
        sizes = {domain: quantiles.K if domain in domains.shown else k for domain in large}
        self.score = _sketches(len(domains.names), sizes)
        self.control = _sketches(len(domains.names), sizes) if has_control else []
        self.base_loss = {domain: QuantileSketch(LOSS_K) for domain in domains.shown}
        self.score_of_all, self.control_of_all = QuantileSketch(), QuantileSketch()

    def add(self, scored: Scored) -> None:
        has_control = ~np.isnan(scored.control)
        self.score_of_all.update(scored.score)
        self.control_of_all.update(scored.control[has_control])
        for domain, at in by_domain(scored.domain, ~self.is_small[scored.domain]):
            self.score[domain].update(scored.score[at])
            if self.control:
                self.control[domain].update(scored.control[at[has_control[at]]])
            if domain in self.base_loss:
                self.base_loss[domain].update(scored.base_loss[at])

    def control_ends(self, domain: int) -> tuple[float, float] | None:
        """Between which the middle 90 % of a domain's control scores lie."""
        if not self.control or not self.control[domain].weight:
            return None
        return self.control[domain].quantile(0.05), self.control[domain].quantile(0.95)

    @property
    def error(self) -> float:
        """The share of the documents by which the rank of a quantile that is shown may be off."""
        by_domain = [
            sketches[domain]
            for sketches in (self.score, self.control)
            if sketches
            for domain in self.base_loss
        ]
        shown = [self.score_of_all, self.control_of_all, *by_domain, *self.base_loss.values()]
        return max(sketch.error for sketch in shown)


def _sketches(domains: int, sizes: dict[int, int]) -> list[QuantileSketch]:
    """A sketch for each domain that has a size; the others share one that stays empty."""
    empty = QuantileSketch()
    return [
        QuantileSketch(sizes[domain]) if domain in sizes else empty for domain in range(domains)
    ]
