"""Streams of Arrow record batches, as Spark's mapInArrow and Daft hand them over::

    scored = score_record_batches(batches, text_column="text")     # an iterator of batches
    frame.mapInArrow(functools.partial(score_record_batches, text_column="text"), schema)

A partial of `score_record_batches` pickles to its arguments, a few hundred bytes; the model is
opened where batches arrive, once a process, and the processes of a machine share its weights. A
model, or heads in a file, is therefore named by a path or hub id that every machine can read.
Scores are equal to the bit on machines of different instruction sets only when `precision` and
`kernel` are named.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from attninfluence.corpus.values import python_values
from attninfluence.model.shared import open_shared
from attninfluence.scores.scores import Scores
from attninfluence.scores.table import to_table
from attninfluence.scoring.batches import score_batches
from attninfluence.scoring.options import OPTION_NAMES

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model

# Texts converted to Python values at once: a batch may have any number of rows.
TEXT_ROWS = 256


def score_record_batches(
    batches: Iterable[pa.RecordBatch],
    *,
    model: Model | str | PathLike[str] | None = None,
    heads: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | None = None,
    control: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | int | None = None,
    text_column: str = "text",
    prefix: str = "ai_",
    threads: int | None = None,
    precision: str = "auto",
    kernel: str | None = None,
    **options: Any,
) -> Iterator[pa.RecordBatch]:
    """Each batch with the columns of `scored_schema` appended: same rows, same order.

    Without any batch nothing is opened. Whatever is raised is raised when the first batch is asked
    for, what `score` and `load` raise included.

    Args:
        batches: any iterable of batches, such as a pyarrow.RecordBatchReader; those of another
            library that have `__arrow_c_array__` are taken as pyarrow's. Rows are read ahead
            across the batches' borders to keep the threads busy, as many as `score` holds at
            once (2,048, or 4,096 tokens a thread) and no more than one batch beyond them.
        model: as in `score`, with `heads` and `control`.
        text_column: strings or UTF-8 bytes, of any of Arrow's encodings. What is no text gets a
            status, as in `score`.
        prefix: goes before the names of the columns that are appended.
        threads: of a model that is opened here, as in `load`, with `precision` and `kernel`.
        options: mask, bos, max_length, long, stride, special, encoding_errors, count, as in
            `score`.

    Raises:
        ValueError: a batch lacks the text column, or has a column of the name of a score.
        TypeError: something is no batch or no option.
    """
    _check_options(options)
    stream = _started(batches)
    if stream is None:
        return
    extend = partial(scored_schema, control=control is not None, prefix=prefix)
    waiting: deque[pa.RecordBatch] = deque()
    scored = _ScoredRows(extend)
    for part in score_batches(
        _texts(stream, waiting, text_column, extend),
        model=open_shared(model, precision=precision, kernel=kernel, threads=threads, worker=True),
        heads=heads,
        control=control,
        **options,
    ):
        scored.add(part)
        yield from scored.complete(waiting)
    yield from scored.complete(waiting)  # batches without rows behind the last text


def scored_schema(schema: pa.Schema, *, control: bool = False, prefix: str = "ai_") -> pa.Schema:
    """`schema` with the columns that `score_record_batches` appends::

        n_tokens, n_scored          int64
        base_loss, ref_loss, score  float64, null where there is no number, never NaN
        control_loss, control_score the same, with `control` only
        status                      string
        truncated, repaired         bool
        partly_counted              bool

    Their names begin with `prefix`.

    Raises:
        ValueError: `schema` has a column of such a name.
    """
    for field in score_fields(schema.names, control=control, prefix=prefix):
        schema = schema.append(field)
    return schema


def score_fields(
    names: Collection[str] = (), *, control: bool = False, prefix: str = "ai_"
) -> list[pa.Field]:
    """The columns that `scored_schema` appends to those called `names`."""
    scores = Scores.empty(0, control=control, detail="document", metadata={})
    fields = [field.with_name(prefix + field.name) for field in to_table(scores).schema]
    for field in fields:
        if field.name in names:
            raise ValueError(
                f"there is a column {field.name!r} already; choose another prefix than "
                f"{prefix!r} for the scores"
            )
    return fields


_Extend = Callable[[pa.Schema], pa.Schema]


class _ScoredRows:
    """Scores in the order of their rows, until the batch that holds the rows is complete."""

    def __init__(self, extend: _Extend) -> None:
        self._extend = extend
        self._tables: list[pa.Table] = []
        self._n_rows = 0

    def add(self, part: Scores) -> None:
        self._tables.append(to_table(part))
        self._n_rows += len(part)

    def complete(self, waiting: deque[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches from the left of `waiting` of which every row is scored."""
        while waiting and waiting[0].num_rows <= self._n_rows:
            batch = waiting.popleft()
            added = self._take(batch.num_rows)
            schema = self._extend(batch.schema)
            yield pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)

    def _take(self, n_rows: int) -> list[pa.Array]:
        """The columns of the first `n_rows` rows, which leave."""
        table = pa.concat_tables(self._tables)
        self._tables = [table.slice(n_rows)]
        self._n_rows -= n_rows
        return [column.combine_chunks() for column in table.slice(0, n_rows).columns]


def _started(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch] | None:
    """The batches, or None when there are none."""
    stream = iter(batches)
    for first in stream:
        return itertools.chain([first], stream)
    return None


def _texts(
    batches: Iterator[pa.RecordBatch],
    waiting: deque[pa.RecordBatch],
    text_column: str,
    extend: _Extend,
) -> Iterator[Any]:
    """The values of the text column; a batch joins `waiting` before its first text is read."""
    for given in batches:
        batch = _checked_batch(given, text_column)
        del given
        extend(batch.schema)  # a name that is taken is refused before anything is read
        waiting.append(batch)
        column = batch.column(text_column)
        del batch  # it is handed over while the rows behind it are read
        for start in range(0, len(column), TEXT_ROWS):
            yield from python_values(column.slice(start, TEXT_ROWS))


def _checked_batch(given: Any, text_column: str) -> pa.RecordBatch:
    """The batch that is given, or that an object of another library hands over."""
    batch = given
    if hasattr(given, "__arrow_c_array__") and not isinstance(given, pa.RecordBatch):
        with contextlib.suppress(pa.ArrowInvalid):  # one column, which is no batch
            batch = pa.record_batch(given)
    if not isinstance(batch, pa.RecordBatch):
        raise TypeError(f"expected batches of type pyarrow.RecordBatch, got {type(given).__name__}")
    names = batch.schema.names
    if text_column not in names:
        listed = ", ".join(map(repr, names)) or "none"
        raise ValueError(f"no column {text_column!r} to score; the batch has {listed}")
    if names.count(text_column) > 1:
        raise ValueError(f"the batch has {names.count(text_column)} columns {text_column!r}")
    return batch


def _check_options(options: dict[str, Any]) -> None:
    for name in options:
        if name not in OPTION_NAMES:
            raise TypeError(
                f"no option {name!r}; the scoring options are {', '.join(OPTION_NAMES)}"
            )
