"""CSV and TSV files: a header, then a row a record, of which each value is the string it is.

Values are quoted as in RFC 4180, with line ends within quotes. Blank lines are no records. Values
that are not valid UTF-8 are returned as the bytes they are, as those of JSONL files.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any, BinaryIO

from attninfluence.corpus.compressed import decompressing, utf8_stream
from attninfluence.corpus.encoding import as_bytes
from attninfluence.corpus.files import CorpusError, file_format, in_batches, open_binary
from attninfluence.corpus.values import OtherValue


def delimiter(path: str) -> str:
    """What stands between the values of a record."""
    return "\t" if file_format(path) == "tsv" else ","


class _Lines:
    """The lines of a stream as text; `are_utf8` until one is not, which has escaped bytes."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.are_utf8 = True

    def __iter__(self) -> Iterator[str]:
        for line in self._source:
            try:
                yield line.decode()
            except UnicodeDecodeError:
                self.are_utf8 = False
                yield line.decode("utf-8", "surrogateescape")


def iter_records(path: str, source: BinaryIO) -> Iterator[list[Any]]:
    """The header, then each record, which has a value for each of its names.

    Raises CorpusError when a record has not, when a quote is never closed and when the compressed
    stream is damaged or cut.
    """
    csv.field_size_limit(sys.maxsize)  # of the process: a text may be longer than 128 KB
    width = 0
    with decompressing(path):
        lines = _Lines(utf8_stream(path, source))
        records = csv.reader(lines, delimiter=delimiter(path), strict=True)
        while True:
            try:
                record = next(records, None)
            except csv.Error as error:
                told = f"line {records.line_num} is not valid CSV ({error})"
                raise CorpusError(path, told) from error
            if record is None:
                return
            if not record:
                continue
            width = width or len(record)
            if len(record) != width:
                told = f"the record at line {records.line_num} has {len(record)} values"
                raise CorpusError(path, f"{told}, the header {width} names")
            yield record if lines.are_utf8 else list(map(as_bytes, record))


def iter_batches(
    path: str,
    source: BinaryIO,
    batch_size: int,
    first_row: int = 0,
    stop_row: int | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Rows `first_row` up to `stop_row` (None: the last) by the names of the header.

    A batch ends at `batch_size` rows or BATCH_BYTES. Of a name that several columns have, the value
    is an OtherValue.
    """
    records = iter_records(path, source)
    names = [_name(value) for value in next(records, [])]
    doubled = {name: OtherValue.doubled() for name, n in Counter(names).items() if n > 1}
    rows = (
        (dict(zip(names, record, strict=True)) | doubled, sum(map(len, record)))
        for record in islice(records, first_row, stop_row)
    )
    yield from in_batches(rows, batch_size)


def read_header(path: str) -> list[str]:
    """The names of the columns; none of an empty file."""
    with closing(open_binary(path)) as source:
        return [_name(value) for value in next(iter_records(path, source), [])]


def _name(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
