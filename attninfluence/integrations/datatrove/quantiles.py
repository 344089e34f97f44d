"""The blocks that learn where each domain's best documents begin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from datatrove.pipeline.base import PipelineStep

from attninfluence.integrations.datatrove.domains import (
    DomainSketches,
    Fields,
    check_weight,
    merge_ranks,
    write_rank,
)

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.io import DataFolderLike

# Scores that wait until a sketch takes them, in all domains together.
WAITING = 4096


class DomainQuantiles(PipelineStep):
    """Sketches the scores of each domain; all documents pass as they are.

    Each task writes one file when its last document has passed. Follow it by MergeQuantiles.

    Documents without a score do not count.

    Args:
        output_folder: for the sketches, one folder a run.
        prefix: as given to the scorer.
        domain_key: metadata with the domain's name, a string or an integer; None takes the corpus
            as one domain.
        weight: whether a share is later of a domain's "documents" or of its "tokens".
    """

    type = "QUANTILES"
    name = "AttentionInfluence quantiles by domain"

    def __init__(
        self,
        output_folder: DataFolderLike,
        prefix: str = "ai_",
        domain_key: str | None = "domain",
        weight: str = "documents",
    ) -> None:
        from datatrove.io import get_datafolder

        super().__init__()
        check_weight(weight)
        self.output_folder = get_datafolder(output_folder)
        self.fields = Fields(prefix, domain_key)
        self.weight = weight

    def run(
        self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """The documents of `data`; QuantilesError for one that was not scored."""
        # Each task draws its own random numbers, so that errors of tasks do not add up.
        sketches = DomainSketches(self.fields, self.weight, world_size, seed=rank)
        gathered = _Gathered(sketches)
        for document in data or ():
            with self.track_time():
                self._note(document, gathered)
            yield document
        gathered.flush()
        write_rank(self.output_folder, rank, sketches)

    def _note(self, document: Document, gathered: _Gathered) -> None:
        score = self.fields.score(document)
        if score is None:
            self.stat_update("without_score")
            return
        weight = self.fields.tokens(document) if self.weight == "tokens" else 1
        gathered.add(self.fields.domain(document), score, weight)


class _Gathered:
    """Scores on their way into sketches, which take many at once faster than one by one."""

    def __init__(self, sketches: DomainSketches) -> None:
        self._sketches = sketches
        self._waiting: dict[str | None, tuple[list[float], list[int]]] = {}
        self._count = 0

    def add(self, domain: str | None, score: float, weight: int) -> None:
        scores, weights = self._waiting.setdefault(domain, ([], []))
        scores.append(score)
        weights.append(weight)
        self._count += 1
        if self._count >= WAITING:
            self.flush()

    def flush(self) -> None:
        for domain, (scores, weights) in self._waiting.items():
            self._sketches.sketch(domain).update(scores, weights)
        self._waiting.clear()
        self._count = 0


class MergeQuantiles(PipelineStep):
    """Merges what the tasks of DomainQuantiles wrote, for AttentionInfluenceFilter.

    Run it in a pipeline of its own with one task that depends on the scoring pipeline; or call
    `next(MergeQuantiles(folder).run(None), None)`.

    Raises:
        QuantilesError: a task's file is missing.
    """

    type = "QUANTILES"
    name = "AttentionInfluence quantiles of all tasks"

    def __init__(self, folder: DataFolderLike) -> None:
        from datatrove.io import get_datafolder

        super().__init__()
        self.folder = get_datafolder(folder)

    def run(
        self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Merge, then pass on what documents there are."""
        if rank == 0:
            with self.track_time():
                merged = merge_ranks(self.folder)
            self.stat_update("domains", value=len(merged.by_domain))
        yield from data or ()
