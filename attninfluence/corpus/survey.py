"""A look at a whole file before its first row is scored."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from attninfluence.corpus.columns import Columns
from attninfluence.corpus.files import file_format, open_binary
from attninfluence.corpus.formats import TABLES
from attninfluence.corpus.rows import RowBatch, iter_rows, read_rows

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 1 << 20


class Survey(NamedTuple):
    """What a file holds.

    rows    rows that `iter_rows` gives
    digest  SHA-256 of the bytes as stored, in hexadecimal
    no_label  by column, how many of the rows have no id or domain for want of a label there
    """

    rows: int
    digest: str
    no_label: dict[str, int]


class _HashedReader(io.RawIOBase):
    """Hashes what is read of a file from its first byte on."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self._hash.update(data)
        return len(data)

    def tell(self) -> int:
        return self._source.tell()

    def finish(self) -> str:
        """The digest of the whole file, whatever was not read yet included."""
        while data := self._source.read(_CHUNK):
            self._hash.update(data)
        return self._hash.hexdigest()


def survey_file(
    path: str, columns: Columns, types: Mapping[str, pa.DataType] | None = None
) -> Survey:
    """Read one file to its last row, as `iter_rows` with the same arguments would.

    Raises CorpusError exactly when `iter_rows` does, so that a file is known to be sound before
    its first row is scored.
    """
    with closing(open_binary(path)) as source:
        reader = _HashedReader(source)
        if file_format(path) in TABLES:
            digest = reader.finish()
            rows, no_label = _count(iter_rows(path, columns, types=types))
        else:
            stored = cast(BinaryIO, io.BufferedReader(reader, _CHUNK))
            rows, no_label = _count(read_rows(path, stored, columns, types=types))
            digest = reader.finish()
    return Survey(rows, digest, no_label)


def _count(batches: Iterable[RowBatch]) -> tuple[int, dict[str, int]]:
    rows, no_label = 0, Counter[str]()
    for batch in batches:
        rows += len(batch)
        no_label.update(batch.no_label)
    return rows, dict(no_label)
