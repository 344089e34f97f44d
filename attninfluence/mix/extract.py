"""Some rows of a file as a file of the same format."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from attninfluence.base.arrays import Ints
from attninfluence.corpus import ipc
from attninfluence.corpus.delimited import delimiter, iter_records
from attninfluence.corpus.files import file_compression, file_format, open_binary
from attninfluence.corpus.formats import RECORDS, TABLES
from attninfluence.corpus.jsonl import iter_lines
from attninfluence.corpus.parquet import iter_batches, open_parquet, open_source
from attninfluence.corpus.values import replaced_types

if TYPE_CHECKING:
    import pyarrow as pa


def extract_rows(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    """Write `rows` (ascending, distinct) of `path` to the new local file `target`.

    The format and the compression are those of `path`; JSON lines keep their bytes (of an array
    they become lines, of UTF-16 UTF-8), the rows of Parquet and Arrow their columns, types and
    metadata, those of CSV their values; the one row of a text file is the file as stored. Returns
    the rows written: fewer than asked for when the file is shorter.
    """
    return _EXTRACT[file_format(path)](path, rows, target)


def stated_columns(path: str) -> str:
    """The columns of a file, and their types, as far as it states them; "" where it states none."""
    kind = file_format(path)
    if kind in TABLES:
        schema = TABLES[kind].schema(path).remove_metadata()
        return str(schema.to_string(show_field_metadata=False))
    header = RECORDS[kind].header if kind in RECORDS else None
    return "" if header is None else repr(header(path))


def _extract_jsonl(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    wanted = iter(rows.tolist())
    following = next(wanted, None)
    written = 0
    with closing(open_binary(path)) as source, _compressed(path, target) as output:
        for row, (_, line) in enumerate(iter_lines(path, source)):
            if row == following:
                output.write(line if line.endswith(b"\n") else line + b"\n")
                written += 1
                following = next(wanted, None)
    return written


def _extract_delimited(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    wanted, written = set(rows.tolist()), 0
    with closing(open_binary(path)) as source, _compressed(path, target) as stored:
        output = io.TextIOWrapper(stored, "utf-8", "surrogateescape", newline="")
        writer = csv.writer(output, delimiter=delimiter(path))
        for row, record in enumerate(iter_records(path, source), start=-1):  # after the header
            if row in wanted or row < 0:
                writer.writerow(map(_escaped, record))
                written += row >= 0
        output.flush()
        output.detach()
    return written


def _escaped(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _extract_arrow(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    import pyarrow as pa

    start = written = 0
    schema = ipc.read_schema(path)
    with closing(open_binary(path)) as source, open(target, "wb") as stored:
        new = pa.ipc.new_file if ipc.is_file_format(source) else pa.ipc.new_stream
        with new(stored, schema) as output:
            for batch, _ in ipc.iter_batches(path, source, None, 1024):
                first, last = np.searchsorted(rows, [start, start + batch.num_rows])
                here = rows[first:last] - start
                start += batch.num_rows
                if len(here):
                    output.write_batch(_taken(batch, here))
                    written += len(here)
    return written


def _extract_text(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    with closing(open_binary(path)) as source, open(target, "wb") as output:
        if 0 not in rows:
            return 0
        shutil.copyfileobj(source, output, 1 << 20)
    return 1


@contextmanager
def _compressed(path: str, target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `target` for writing with the compression that the suffix of `path` says."""
    compression = file_compression(path)
    with open(target, "wb") as stored:
        if compression is None:
            yield stored
            return
        with _encoder(compression, stored) as output:
            yield output


def _encoder(compression: str, stored: BinaryIO) -> Any:
    """What compresses the bytes it is given into `stored`, until it is closed."""
    if compression == "gzip":
        return gzip.GzipFile(filename="", mode="wb", fileobj=stored, mtime=0)
    if compression == "bz2":
        return bz2.BZ2File(stored, "wb")
    if compression == "xz":
        return lzma.LZMAFile(stored, "wb")
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).stream_writer(stored, closefd=False)


def _taken(batch: pa.RecordBatch, rows: Ints) -> pa.RecordBatch:
    """Some rows of a batch."""
    import pyarrow as pa

    found = [_values(column, rows) for column in batch.columns]
    return pa.RecordBatch.from_arrays(found, schema=batch.schema)


def _values(column: pa.Array, rows: Ints) -> pa.Array:
    """Values of a column of any type; Arrow itself takes no views, nor runs."""
    import pyarrow as pa

    raw, views = pa.large_binary(), pa.binary_view()
    stored = replaced_types(column.type, {"string_view": raw, "binary_view": raw})
    if stored != column.type:
        viewed = replaced_types(column.type, {"string_view": views})
        return column.cast(stored).take(pa.array(rows)).cast(viewed).view(column.type)
    try:
        return column.take(pa.array(rows))
    except pa.ArrowNotImplementedError:
        return pa.concat_arrays([column.slice(row, 1) for row in rows.tolist()])


def _extract_parquet(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = written = 0
    with closing(open_source(path)) as source:
        file = open_parquet(path, source)
        schema = file.schema_arrow
        with pq.ParquetWriter(os.fspath(target), schema, compression="zstd") as output:
            for batch in iter_batches(path, file, None, 1024):
                first, last = np.searchsorted(rows, [start, start + batch.num_rows])
                here = rows[first:last] - start
                start += batch.num_rows
                if len(here):
                    table = pa.Table.from_batches([_taken(batch, here)])
                    output.write_table(table.cast(schema))
                    written += len(here)
    return written


_EXTRACT = {
    "parquet": _extract_parquet,
    "arrow": _extract_arrow,
    "jsonl": _extract_jsonl,
    "json": _extract_jsonl,
    "csv": _extract_delimited,
    "tsv": _extract_delimited,
    "text": _extract_text,
}
