"""Ray Data: an actor that adds the scores to each block::

    import ray

    scored = dataset.map_batches(
        ScoreActor,
        fn_constructor_kwargs={"model": "path/or/hub-id", "text_column": "text"},
        batch_format="pyarrow",
        batch_size=1024,
        num_cpus=4,                                       # the threads of one actor
        compute=ray.data.ActorPoolStrategy(size=8),       # the actors
    )

The actors keep their CPUs until all is done. Leave Ray at least one more for the tasks that read
and write files: without it the job waits for ever and does not say why. A batch that Ray scores
again, after it lost an actor, gets the same scores. Importing this module does not need Ray.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from attninfluence.integrations.arrow import score_record_batches, scored_schema
from attninfluence.model.shared import open_shared

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model


class ScoreActor:
    """Scores tables one by one with a model that is opened when the actor is made.

    The arguments are those of `score_record_batches`.

    Args:
        threads: None takes the CPUs that Ray gave the actor, `num_cpus`, which it says in
            OMP_NUM_THREADS.
    """

    def __init__(
        self,
        model: Model | str | PathLike[str] | None = None,
        *,
        control: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | int | None = None,
        prefix: str = "ai_",
        threads: int | None = None,
        precision: str = "auto",
        kernel: str | None = None,
        **arguments: Any,
    ) -> None:
        opened = open_shared(
            model, precision=precision, kernel=kernel, threads=threads, worker=True
        )
        self._arguments = arguments | {"model": opened, "control": control, "prefix": prefix}
        self._extend = partial(scored_schema, control=control is not None, prefix=prefix)

    def __call__(self, table: pa.Table) -> pa.Table:
        """`table` with the columns of `scored_schema` appended: same rows, same order."""
        batches = score_record_batches(table.to_batches(), **self._arguments)
        return pa.Table.from_batches(batches, self._extend(table.schema))
