"""The rows of a part as they are read: the columns are those of scores, the values can be."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.json_shapes import LARGEST, MOST_COUNT
from attninfluence.output.files import OutputError
from attninfluence.output.schema import score_schema

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_TOKENS = 1 << 40  # of a document: its text would be a terabyte

_COUNTS = {"row": MOST_COUNT, "n_tokens": MOST_TOKENS, "n_scored": MOST_TOKENS}
_MAY_LACK = ("partly_counted", "control_loss", "control_score", "text")
_WITH_A_SCORE = ("base_loss", "ref_loss")  # numbers of every row that has one


@contextmanager
def reading_part(part: Path, what: str = "Parquet file") -> Iterator[None]:
    """Turn what pyarrow raises over a damaged file into OutputError; leave the system's errors."""
    import pyarrow as pa

    try:
        yield
    except (OutputError, MemoryError):
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise OutputError(f"{part}: not a readable {what} ({reason})") from error


@functools.cache
def _known() -> pa.Schema:
    return score_schema(control=True, text=True)


def check_columns(part: Path, schema: pa.Schema) -> None:
    """OutputError unless the columns are those of scores, maybe with others, each name once."""
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise OutputError(f"{part}: has the column {name!r} twice")
    for field in _known():
        at = schema.get_field_index(field.name)
        if at < 0 and field.name not in _MAY_LACK:
            raise OutputError(f"{part}: has no column {field.name!r}")
        if at >= 0 and schema.field(at).type != field.type:
            raise OutputError(
                f"{part}: column {field.name!r} must be of {field.type}, found"
                f" {schema.field(at).type}"
            )


def iter_rows(
    file: pq.ParquetFile,
    part: Path,
    rows: int,
    columns: list[str] | None = None,
    groups: list[int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of an open part, or of some of its row groups, at most so many at a time, checked.

    OutputError, naming the part, for what cannot be read and for values that scores cannot have.
    """
    with reading_part(part):
        batches = file.iter_batches(batch_size=rows, row_groups=groups, columns=columns)
    while True:
        with reading_part(part):
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        _check_values(part, batch)
        yield batch


def _check_values(part: Path, batch: pa.RecordBatch) -> None:
    """OutputError for a value that would be counted or ranked wrongly."""
    known = _known()
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        at = known.get_field_index(name)
        if at < 0:
            continue
        if not known.field(at).nullable and column.null_count:
            raise OutputError(f"{part}: column {name!r} must have a value in every row, found null")
        if name in _COUNTS:
            _check_counts(part, name, column)
        elif str(known.field(at).type) == "double":
            _check_numbers(part, name, column)
    _check_scored(part, batch)


def _check_counts(part: Path, name: str, column: pa.Array) -> None:
    low, high = _ends(column)
    if low < 0 or high > _COUNTS[name]:
        raise OutputError(
            f"{part}: column {name!r} must hold whole numbers from 0 to {_COUNTS[name]}, found"
            f" {low if low < 0 else high}"
        )


def _check_numbers(part: Path, name: str, column: pa.Array) -> None:
    import pyarrow.compute as pc

    low, high = _ends(column)
    total = pc.sum(column).as_py()  # NaN has no place between the ends, and makes this NaN
    if low >= -LARGEST and high <= LARGEST and total == total:
        return
    wrong = low if low < -LARGEST else high if high > LARGEST else total
    raise OutputError(
        f"{part}: column {name!r} must hold numbers of a size of up to {LARGEST:g}, found {wrong}"
    )


def _ends(column: pa.Array) -> tuple[Any, Any]:
    """The smallest and the largest value; 0 and 0 where there is none."""
    import pyarrow.compute as pc

    ends = pc.min_max(column)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return (0, 0) if low is None else (low, high)


def _check_scored(part: Path, batch: pa.RecordBatch) -> None:
    """OutputError for a row with a score and without the losses that it is made of."""
    import pyarrow.compute as pc

    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    if not {"status", "score"} <= columns.keys():
        return
    for name in _WITH_A_SCORE:
        if name not in columns:
            continue
        bare = pc.and_not(columns["score"].is_valid(), columns[name].is_valid())
        if bare.true_count and pc.any(pc.and_(bare, pc.equal(columns["status"], "ok"))).as_py():
            raise OutputError(f"{part}: column {name!r} must have a number where there is a score")
