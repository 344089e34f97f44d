"""The formats of files and how the rows of each are read: the one list of them.

A text file is not among them: it is one row, and has no columns (`text.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from attninfluence.corpus import delimited, ipc, jsonl, parquet

if TYPE_CHECKING:
    import pyarrow as pa


class Table(NamedTuple):
    """Files that state the types of their columns and hold Arrow batches, read at any place.

    schema      of a path
    batches     (path, source, names of columns, batch size, first row, stop row) -> some rows, and
                the bytes of the stored file up to them, about
    count_rows  of a path, from what the file states
    """

    schema: Callable[[str], pa.Schema]
    batches: Callable[..., Iterator[tuple[pa.RecordBatch, int]]]
    count_rows: Callable[[str], int]


class Records(NamedTuple):
    """Files of rows that have names and values each, read from the first on.

    batches  (path, source, batch size, first row, stop row) -> some rows
    header   names that all rows of a path have; None where each row has its own
    """

    batches: Callable[..., Iterator[list[dict[str, Any]]]]
    header: Callable[[str], list[str]] | None = None


_CSV = Records(delimited.iter_batches, delimited.read_header)

TABLES = {
    "parquet": Table(parquet.read_schema, parquet.read_batches, parquet.count_rows),
    "arrow": Table(ipc.read_schema, ipc.iter_batches, ipc.count_rows),
}
RECORDS = {
    "jsonl": Records(jsonl.iter_batches),
    "json": Records(jsonl.iter_batches),
    "csv": _CSV,
    "tsv": _CSV,
}
