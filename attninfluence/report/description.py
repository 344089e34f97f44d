"""What one reading tells of the documents: quantiles, loss by length, samples, extremes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attninfluence.base.arrays import Ints
from attninfluence.report.domains import Domains
from attninfluence.report.extremes import Extremes
from attninfluence.report.lengths import Lengths
from attninfluence.report.quantile import median
from attninfluence.report.sample import Samples
from attninfluence.report.scored import Scored, joined, read_scored
from attninfluence.report.sketches import Sketches, SmallDomains
from attninfluence.select.cut import by_domain
from attninfluence.select.rows import RowReader

MOST_EXTREMES = 400  # highest documents of all domains on a page, and as many lowest


@dataclass(frozen=True)
class Description:
    """The documents that have a score. Domains are indices into the names of `Domains`.

    small     the scores of the domains that have no sketch
    above     int64 [domains], documents that score higher than under the control heads
    extremes  of the domains that are drawn, `room` at either end; `has_room` says whether that is
              as many as were asked for
    lengths   of all documents
    """

    sketches: Sketches
    small: SmallDomains
    above: Ints
    extremes: dict[int, Extremes]
    room: int
    has_room: bool
    lengths: Lengths
    samples: Samples

    def median(self, domain: int) -> float:
        """The median score of a domain that is shown."""
        return median(self.sketches.score[domain])

    def nearest_median(self, domain: int) -> int:
        """The position of the row with the score nearest the median, in a sample of a domain."""
        return self.samples.nearest(domain, self.median(domain))

    @property
    def error(self) -> float:
        """The share of the documents by which the rank of a median or quartile may be off."""
        return max(self.lengths.error, self.sketches.error)


def describe(reader: RowReader, domains: Domains, extremes: int) -> Description:
    """Read all rows once. `extremes` documents are asked for at either end of a domain."""
    has_control = "control_score" in reader.scores.schema().names
    sketches, lengths = Sketches(domains, has_control), Lengths()
    samples = Samples(len(domains.names), domains.shown)
    room = min(extremes, MOST_EXTREMES // max(1, len(domains.drawn)))
    ends = {domain: Extremes(room) for domain in domains.drawn}
    above = np.zeros(len(domains.names), np.int64)
    small: list[Scored] = []
    for scored in read_scored(reader):
        sketches.add(scored)
        lengths.add(scored.n_tokens, scored.base_loss, scored.score)
        samples.add(scored)
        higher = scored.domain[scored.score > scored.control]
        above += np.bincount(higher, minlength=len(above))
        small.append(scored.marked(sketches.is_small[scored.domain]))
        for domain, at in by_domain(scored.domain, domains.is_drawn[scored.domain]):
            ends[domain].add(scored.score[at], scored.position[at])
    of_small = joined(small)
    return Description(
        sketches=sketches,
        small=SmallDomains(of_small.domain, of_small.score, of_small.control),
        above=above,
        extremes=ends,
        room=room,
        has_room=room == extremes,
        lengths=lengths,
        samples=samples,
    )
