"""attninfluence, the whole list in one call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.peers.peer import Documents, Entry, Job, Losses, Unavailable
from benchmarks.workload import Head


class Ours:
    """`attninfluence` at one precision."""

    def __init__(self, job: Job, precision: str) -> None:
        import attninfluence

        try:
            self.model = attninfluence.load(
                str(job.folder), precision=precision, threads=job.threads
            )
        except ValueError as error:
            raise Unavailable(str(error)) from error
        self.heads, self.own_heads = job.heads, job.shape.own_heads

    def losses(self, documents: Documents) -> list[Losses]:
        return self._read(documents, self.heads)

    def work(self, documents: Documents) -> None:
        self._read(documents, self.heads)

    def work_with_own_heads(self, documents: Documents) -> None:
        self._read(documents, self.own_heads)

    def _read(self, documents: Documents, heads: Sequence[Head]) -> list[Losses]:
        """Both readings of all documents; the core shares them out among its threads."""
        variants = self.model.mask_matrix(heads)[np.newaxis]
        return self.model.core.run(list(documents), variants=variants, n_threads=self.model.threads)


ENTRIES = tuple(
    Entry(
        f"attninfluence {precision}",
        precision,
        True,
        partial(Ours, precision=precision),
        shares=True,
    )
    for precision in ("fp32", "bf16", "int8")
)
