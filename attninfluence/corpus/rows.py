"""The rows of one file as batches of text, id and domain, whatever the file's format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from attninfluence.base.text import repaired
from attninfluence.corpus import jsonl, kept, parquet, text
from attninfluence.corpus.columns import Columns
from attninfluence.corpus.files import CorpusError, file_format, open_binary
from attninfluence.corpus.kept import kept_types

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RowBatch:
    """Consecutive rows of one file.

    texts  values as they are, str or not; bytes for a string that is not valid UTF-8
    ids    str or None
    domains  str or None
    position  bytes of the stored file up to the last of these rows, about
    kept   the kept columns by name, each of its type in `kept_types`
    """

    file: str
    first_row: int
    texts: list[Any]
    ids: list[str | None]
    domains: list[str | None]
    position: int
    kept: dict[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)


def iter_rows(
    path: str,
    columns: Columns,
    batch_size: int = 256,
    first_row: int = 0,
    stop_row: int | None = None,
    types: Mapping[str, pa.DataType] | None = None,
) -> Iterator[RowBatch]:
    """Rows `first_row` up to `stop_row` (None: the last) of one file in order, some at a time.

    A batch has at most `batch_size` rows, and fewer of long ones (BATCH_BYTES). types: what
    `kept_types` says of all files that are read (None: of this file alone). Raises CorpusError when
    a row cannot be read or its id or domain is neither a string, an integer nor null. Nothing is
    skipped: what follows a damaged row was not seen.
    """
    in_order = file_format(path) != "parquet"
    with closing(open_binary(path, in_order=in_order)) as source:
        yield from read_rows(path, source, columns, batch_size, first_row, stop_row, types)


def read_rows(
    path: str,
    source: BinaryIO,
    columns: Columns,
    batch_size: int = 256,
    first_row: int = 0,
    stop_row: int | None = None,
    types: Mapping[str, pa.DataType] | None = None,
) -> Iterator[RowBatch]:
    """As `iter_rows`, from the opened file `source`."""
    if types is None:
        types = kept_types([(path, columns)])
    read = {"parquet": _parquet_rows, "jsonl": _jsonl_rows, "text": _text_rows}[file_format(path)]
    row = first_row
    for values in read(path, source, columns, types, (batch_size, first_row, stop_row)):
        ids = _labels(path, row, columns.id, values.ids)
        domains = _labels(path, row, columns.domain, values.domains)
        yield RowBatch(path, row, values.texts, ids, domains, values.position, values.kept)
        row += len(values.texts)


class _Values(NamedTuple):
    """Values of consecutive rows as the file holds them."""

    texts: list[Any]
    ids: list[Any]
    domains: list[Any]
    kept: dict[str, pa.Array]
    position: int


_Types = Mapping[str, "pa.DataType"]
_Part = tuple[int, int, "int | None"]  # batch size, first row, stop row


def _jsonl_rows(
    path: str, source: BinaryIO, columns: Columns, types: _Types, part: _Part
) -> Iterator[_Values]:
    for batch in jsonl.iter_batches(path, source, *part):
        texts, ids, domains = (
            [row.get(name) if name else None for row in batch] for name in columns[:3]
        )
        kept_columns = {
            name: kept.from_json(path, name, [row.get(name) for row in batch])
            for name in columns.keep
        }
        yield _Values(texts, ids, domains, kept_columns, source.tell())


def _parquet_rows(
    path: str, source: BinaryIO, columns: Columns, types: _Types, part: _Part
) -> Iterator[_Values]:
    names = list(dict.fromkeys(name for name in (*columns[:3], *columns.keep) if name))
    size = source.seek(0, os.SEEK_END)
    file = parquet.open_parquet(path, source)
    row = part[1]
    for batch in parquet.iter_batches(path, file, names, *part):
        with parquet.reading(path):
            texts, ids, domains = (
                parquet.python_values(batch.column(name)) if name else [None] * batch.num_rows
                for name in columns[:3]
            )
            kept_columns = {
                name: kept.from_arrow(batch.column(name), types[name]) for name in columns.keep
            }
        row += batch.num_rows
        # The columns are read in turn, each from a place of its own: rows tell how far it is.
        yield _Values(texts, ids, domains, kept_columns, size * row // file.metadata.num_rows)


def _text_rows(
    path: str, source: BinaryIO, columns: Columns, types: _Types, part: _Part
) -> Iterator[_Values]:
    _, first_row, stop_row = part
    if first_row == 0 and stop_row != 0:
        yield _Values([text.read_text(path, source)], [None], [None], {}, source.tell())


def _labels(
    path: str, first_row: int, column: str | None, values: Iterable[Any]
) -> list[str | None]:
    """Ids or domains as strings."""
    labels: list[str | None] = []
    for row, value in enumerate(values, start=first_row):
        if value is None:
            labels.append(None)
        elif isinstance(value, (str, bytes)):
            labels.append(repaired(value)[0])
        elif isinstance(value, int) and not isinstance(value, bool):
            labels.append(str(value))
        else:
            kind = getattr(value, "type_name", type(value).__name__)
            raise CorpusError(
                path,
                f"row {row}: column {column!r} holds a {kind}; expected a string, an integer or"
                " null (choose another column, or '' for none)",
            )
    return labels
