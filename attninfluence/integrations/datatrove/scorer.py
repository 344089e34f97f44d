"""The block that scores: documents in, the same documents with their scores out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from datatrove.pipeline.base import PipelineStep
from datatrove.utils.typeshelper import StatHints

from attninfluence.scoring.options import ScoreOptions

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.io import DataFolderLike

    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.integrations.datatrove.checkpoint import Row, TaskCheckpoint
    from attninfluence.model.model import Model


class AttentionInfluenceScorer(PipelineStep):
    """Writes the scores of every document into its metadata; drops none.

    The keys are those of `Scores.columns`, with `prefix`: ai_n_tokens, ai_n_scored (int),
    ai_base_loss, ai_ref_loss, ai_score (float), ai_status (str), ai_truncated, ai_repaired,
    ai_partly_counted (bool), and with `control` ai_control_loss and ai_control_score. Every
    document has all of them in these types. Where there is no number it is NaN: ParquetWriter keeps
    that, JsonlWriter writes null, which JsonlReader reads as None.

    Some thousand documents at most wait for their scores. The block pickles without weights; they
    are opened when the first task runs, once a process.

    Args:
        model: as in `attninfluence.score`, with `heads` and `control`. An opened model keeps its
            own precision and kernel.
        prefix: goes before the keys.
        checkpoint_folder: where each task keeps its scores while it runs. A task that was killed
            and is launched again reads its documents, takes the scores that are stored after
            comparing the texts, and computes the rest. Scores of another model, kernel, option or
            number of tasks, or of other texts, are refused with a CheckpointError, and so is a
            second launch while the first still runs (on a local or mounted file system). Remove
            the folder when the scored documents are written.
        checkpoint_seconds: how much work a killed task may lose; each part is one small file.
        threads: None takes DATATROVE_CPUS_PER_TASK where the executor sets it (Slurm, Ray), else
            `attninfluence.model.default_threads`: one in a worker process.
        precision: as in `attninfluence.load`, with `kernel`. Name both where the machines differ.
        revision: of a hub id.
        options: mask, bos, max_length, long, stride, special, encoding_errors, count of
            `attninfluence.score`.
    """

    type = "SCORER"
    name = "AttentionInfluence scores"
    _requires_dependencies: ClassVar[list[str]] = ["pyarrow"]

    def __init__(
        self,
        model: Model | str | os.PathLike[str] | None = None,
        heads: HeadScores | Iterable[tuple[int, int]] | str | os.PathLike[str] | None = None,
        control: HeadScores
        | Iterable[tuple[int, int]]
        | str
        | os.PathLike[str]
        | int
        | None = None,
        prefix: str = "ai_",
        checkpoint_folder: DataFolderLike | None = None,
        checkpoint_seconds: float = 300.0,
        threads: int | None = None,
        precision: str = "auto",
        kernel: str | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        from datatrove.io import get_datafolder

        super().__init__()
        if "detail" in options:
            raise ValueError("detail is for attninfluence.score: the block scores documents")
        self.model = os.fspath(model) if isinstance(model, os.PathLike) else model
        self.heads = _storable(heads)
        self.control = _storable(control)
        self.prefix = prefix
        has_folder = checkpoint_folder is not None
        self.checkpoint_folder = get_datafolder(checkpoint_folder) if has_folder else None
        self.checkpoint_seconds = checkpoint_seconds
        self.threads = threads
        self.precision = precision
        self.kernel = kernel
        self.revision = revision
        self.options = ScoreOptions(**options).as_dict()
        self._opened: Model | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    @property
    def opened(self) -> Model:
        """The model, opened on first use."""
        if self._opened is None:
            from attninfluence.model.shared import open_shared

            cpus = _threads_of_task()
            self._opened = open_shared(
                self.model,
                revision=self.revision,
                precision=self.precision,
                kernel=self.kernel,
                threads=cpus if self.threads is None else self.threads,
                worker=None if cpus is None else True,  # other tasks may be on this machine
            )
        return self._opened

    def run(
        self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """The documents of `data` in order, annotated."""
        documents = iter(data or ())
        with self._open_checkpoint(rank, world_size) or nullcontext() as checkpoint:
            if checkpoint is not None:
                yield from self._replay(documents, checkpoint)
            yield from self._score(documents, checkpoint)

    def _open_checkpoint(self, rank: int, world_size: int) -> TaskCheckpoint | None:
        if self.checkpoint_folder is None:
            return None
        from attninfluence.integrations.datatrove.checkpoint import TaskCheckpoint
        from attninfluence.scoring.batches import score_batches

        # The scores of no texts say how scores are made.
        made_how = next(score_batches([], **self._how())).metadata | {"tasks": world_size}
        for name in ("heads", "control"):  # no score depends on their order
            made_how[name] = made_how[name] and sorted(made_how[name])
        return TaskCheckpoint(self.checkpoint_folder, rank, made_how, self.checkpoint_seconds)

    def _how(self) -> dict[str, Any]:
        how = {"model": self.opened, "heads": self.heads, "control": self.control}
        return how | self.options

    def _replay(
        self, documents: Iterator[Document], checkpoint: TaskCheckpoint
    ) -> Iterator[Document]:
        """The documents whose scores are stored."""
        for row in checkpoint.stored():
            document = next(documents, None)
            if document is None:
                raise checkpoint.refuse_missing()
            self._annotate(document, checkpoint.take(row, document))
            self.stat_update("from_checkpoint")
            yield document

    def _score(
        self, documents: Iterator[Document], checkpoint: TaskCheckpoint | None
    ) -> Iterator[Document]:
        """The other documents, scored as they are read."""
        from attninfluence.scoring.batches import score_batches

        waiting: deque[Document] = deque()
        chunks = score_batches(_texts(documents, waiting), **self._how())
        while True:
            # Reading is in this time: documents are read while others are scored.
            with self.track_time("batch"):
                scores = next(chunks, None)
            if scores is None:
                return
            batch = [waiting.popleft() for _ in range(len(scores))]
            columns = scores.columns()
            if checkpoint is not None:
                checkpoint.add(batch, columns)
            for document, row in zip(batch, _rows(columns), strict=True):
                self._annotate(document, row)
                yield document

    def _annotate(self, document: Document, row: Row) -> None:
        for name, value in row.items():
            document.metadata[self.prefix + name] = value
        self.stat_update(StatHints.total, f"status_{row['status']}")
        self.stat_update("tokens", value=row["n_tokens"], unit="doc")


def _texts(documents: Iterator[Document], waiting: deque[Document]) -> Iterator[object]:
    """The texts of the documents, each of which waits for its score from then on."""
    for document in documents:
        waiting.append(document)
        yield document.text


def _rows(columns: dict[str, Any]) -> Iterator[Row]:
    """The columns' rows in Python's own types."""
    lists = [
        values.tolist() if hasattr(values, "tolist") else values for values in columns.values()
    ]
    for values in zip(*lists, strict=True):
        yield dict(zip(columns, values, strict=True))


def _storable(heads: Any) -> Any:
    """Heads in a form that pickles and that may be read more than once."""
    from attninfluence.heads.head_scores import HeadScores

    if heads is None or isinstance(heads, (HeadScores, str, int)):
        return heads
    if isinstance(heads, os.PathLike):
        return os.fspath(heads)
    return tuple((int(layer), int(head)) for layer, head in heads)


def _threads_of_task() -> int | None:
    """The CPUs that the executor gives a task; None where it does not say (local: -1)."""
    cpus = os.environ.get("DATATROVE_CPUS_PER_TASK", "")
    return int(cpus) if cpus.isdecimal() and int(cpus) > 0 else None
