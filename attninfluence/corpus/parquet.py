"""Parquet files, read by record batches and never whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from attninfluence.corpus.fields import named_types
from attninfluence.corpus.files import BATCH_BYTES, CorpusError, open_binary

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


# Bytes of a column read at once.
_BUFFER_BYTES = 1 << 20


@contextmanager
def reading(path: str, kind: str = "Parquet") -> Iterator[None]:
    """Turn what pyarrow raises over a damaged file into CorpusError; leave the system's errors."""
    import pyarrow as pa

    try:
        yield
    except (CorpusError, MemoryError):  # Arrow's own is one of the latter
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise CorpusError(path, f"not a readable {kind} file ({reason})") from error


def open_parquet(path: str, source: BinaryIO) -> pq.ParquetFile:
    """The file behind `source`, with page checksums verified where it has them.

    Without a buffer size a whole column chunk would be held while its pages are read.
    """
    import pyarrow.parquet as pq

    with reading(path):
        return pq.ParquetFile(
            source, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER_BYTES
        )


def open_source(path: str) -> BinaryIO:
    """The stored bytes, for the ranges that `open_parquet` asks for."""
    return open_binary(path, in_order=False)


def iter_batches(
    path: str,
    file: pq.ParquetFile,
    columns: list[str] | None,
    batch_size: int,
    first_row: int = 0,
    stop_row: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Rows `first_row` up to `stop_row` (None: all) with `columns` (None: all), some at a time.

    A batch has at most `batch_size` rows and about BATCH_BYTES. Row groups without any of these
    rows are not read. Raises CorpusError when a page is damaged or the rows are not as many as the
    footer says.
    """
    rows = _check_rows(path, file.metadata)
    stop_row = rows if stop_row is None else min(stop_row, rows)
    if first_row >= stop_row:
        return
    row, groups = _row_groups(file.metadata, first_row, stop_row)
    size = _batch_rows(file.metadata, groups, batch_size)
    for batch in _checked_batches(path, file, row_groups=groups, columns=columns, batch_size=size):
        start, stop = max(first_row - row, 0), min(stop_row - row, batch.num_rows)
        row += batch.num_rows
        if start < stop:
            yield batch.slice(start, stop - start)
        if row >= stop_row:
            return
    if row < stop_row:
        raise CorpusError(path, f"the footer promises {rows} rows, found {row}")


def _check_rows(path: str, metadata: pq.FileMetaData) -> int:
    """The rows of the file, which the footer states for all and for each row group."""
    groups = range(metadata.num_row_groups)
    found = sum(int(metadata.row_group(group).num_rows) for group in groups)
    if found != metadata.num_rows:
        raise CorpusError(
            path, f"the footer promises {metadata.num_rows} rows, its row groups hold {found}"
        )
    return found


def _row_groups(metadata: pq.FileMetaData, first_row: int, stop_row: int) -> tuple[int, list[int]]:
    """The first row of the row groups that hold rows `first_row` up to `stop_row`, and these."""
    start, position = 0, 0
    groups: list[int] = []
    for group in range(metadata.num_row_groups):
        following = position + metadata.row_group(group).num_rows
        if position < stop_row and following > first_row:
            start = start if groups else position
            groups.append(group)
        position = following
    return start, groups


def _batch_rows(metadata: pq.FileMetaData, groups: list[int], batch_size: int) -> int:
    """Rows a batch, by the mean size of a row, so that a batch has about BATCH_BYTES."""
    largest = 1
    for group in map(metadata.row_group, groups):
        if group.num_rows:
            largest = max(largest, group.total_byte_size // group.num_rows)
    return max(1, min(batch_size, BATCH_BYTES // largest))


def _checked_batches(path: str, file: pq.ParquetFile, **options: Any) -> Iterator[pa.RecordBatch]:
    """What `file.iter_batches` gives; one thread, since the cores are for the scorer."""
    batches = file.iter_batches(use_threads=False, **options)
    while True:
        with reading(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def read_batches(
    path: str,
    source: BinaryIO,
    columns: list[str],
    batch_size: int,
    first_row: int,
    stop_row: int | None,
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The batches of `iter_batches`, and the bytes of the file up to them, by their rows.

    The columns are read in turn, each from a place of its own: rows tell how far that is.
    """
    size = source.seek(0, os.SEEK_END)
    file = open_parquet(path, source)
    row = first_row
    for batch in iter_batches(path, file, columns, batch_size, first_row, stop_row):
        row += batch.num_rows
        yield batch, size * row // file.metadata.num_rows


def read_schema(path: str) -> pa.Schema:
    """The columns of the file and their Arrow types."""
    with closing(open_source(path)) as source:
        file = open_parquet(path, source)
        with reading(path):
            schema = file.schema_arrow
            list(named_types(schema))  # their names are decoded now
            return schema


def count_rows(path: str) -> int:
    """The rows of the file, by its footer."""
    with closing(open_source(path)) as source:
        return int(open_parquet(path, source).metadata.num_rows)
