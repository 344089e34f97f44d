"""attninfluence, the whole list in one call."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.peers.peer import Documents, Entry, Job, Losses, Unavailable


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
        self.variant = self.model.mask_matrix(job.heads)[np.newaxis]

    def losses(self, documents: Documents) -> list[Losses]:
        """Both readings of all documents; the core shares them out among its threads."""
        return self.model.core.run(
            list(documents), variants=self.variant, n_threads=self.model.threads
        )

    def work(self, documents: Documents) -> None:
        self.losses(documents)


ENTRIES = tuple(
    Entry(f"attninfluence {precision}", precision, True, partial(Ours, precision=precision))
    for precision in ("fp32", "bf16", "int8")
)
