"""Some rows of a file as a file of the same format."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, cast

import numpy as np

from attninfluence.base.arrays import Ints
from attninfluence.corpus.files import file_format, file_suffix, open_binary
from attninfluence.corpus.jsonl import iter_lines
from attninfluence.corpus.parquet import iter_batches, open_parquet, open_source


def extract_rows(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    """Write `rows` (ascending, distinct) of `path` to the new local file `target`.

    The format and the compression are those of `path`; JSONL lines keep their bytes, Parquet rows
    their columns, types and metadata; the one row of a text file is the file as stored. Returns the
    rows written: fewer than asked for when the file is shorter.
    """
    extract = {"parquet": _extract_parquet, "jsonl": _extract_jsonl, "text": _extract_text}
    return extract[file_format(path)](path, rows, target)


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


def _extract_text(path: str, rows: Ints, target: str | os.PathLike[str]) -> int:
    with closing(open_binary(path)) as source, open(target, "wb") as output:
        if 0 not in rows:
            return 0
        shutil.copyfileobj(source, output, 1 << 20)
    return 1


@contextmanager
def _compressed(path: str, target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `target` for writing with the compression that the suffix of `path` says."""
    suffix = file_suffix(path) or ""
    with open(target, "wb") as stored:
        if suffix.endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=stored, mtime=0) as output:
                yield cast(BinaryIO, output)
        elif suffix.endswith(".zst"):
            import zstandard

            with zstandard.ZstdCompressor(write_checksum=True).stream_writer(
                stored, closefd=False
            ) as output:
                yield cast(BinaryIO, output)
        else:
            yield stored


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
                    table = pa.Table.from_batches([batch]).take(pa.array(here))
                    output.write_table(table.cast(schema))
                    written += len(here)
    return written
