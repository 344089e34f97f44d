"""The rows of one file as batches of text, id and domain, whatever the file's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from attninfluence.corpus import kept, parquet, text
from attninfluence.corpus.columns import Columns
from attninfluence.corpus.fields import column, places, value
from attninfluence.corpus.files import file_format, open_binary
from attninfluence.corpus.formats import RECORDS, TABLES
from attninfluence.corpus.kept import kept_types
from attninfluence.corpus.values import (
    OtherValue,
    label_values,
    labels,
    labels_or_null,
    python_values,
)

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
    no_label  by column, how many of these rows hold what is no id or domain, and so have none: only
        of columns that nobody asked for
    """

    file: str
    first_row: int
    texts: list[Any]
    ids: list[str | None]
    domains: list[str | None]
    position: int
    kept: dict[str, pa.Array] = field(default_factory=dict)
    no_label: dict[str, int] = field(default_factory=dict)

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
    a row cannot be read, or an id or domain that was asked for is neither a string, an integer nor
    null. Nothing is skipped: what follows a damaged row was not seen.
    """
    in_order = file_format(path) not in TABLES
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
    kind = file_format(path)
    read = _table_rows if kind in TABLES else _record_rows if kind in RECORDS else _text_rows
    row = first_row
    for values in read(path, source, columns, types, (batch_size, first_row, stop_row)):
        no_label: dict[str, int] = {}
        ids = _labels(path, row, columns, columns.id, values.ids, no_label)
        domains = _labels(path, row, columns, columns.domain, values.domains, no_label)
        found = (values.texts, ids, domains, values.position, values.kept, no_label)
        yield RowBatch(path, row, *found)
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


def _record_rows(
    path: str, source: BinaryIO, columns: Columns, types: _Types, part: _Part
) -> Iterator[_Values]:
    for batch in RECORDS[file_format(path)].batches(path, source, *part):
        texts, ids, domains = (
            [value(row, name) if name else None for row in batch] for name in columns[:3]
        )
        kept_columns = {
            name: kept.from_json(path, name, [value(row, name) for row in batch])
            for name in columns.keep
        }
        yield _Values(texts, ids, domains, kept_columns, source.tell())


def _table_rows(
    path: str, source: BinaryIO, columns: Columns, types: _Types, part: _Part
) -> Iterator[_Values]:
    names = list(dict.fromkeys(name for name in (*columns[:3], *columns.keep) if name))
    for batch, position in TABLES[file_format(path)].batches(path, source, names, *part):
        with parquet.reading(path, file_format(path).capitalize()):
            texts = python_values(column(batch, columns.text))
            ids, domains = (_label_values(batch, name) for name in columns[1:3])
            kept_columns = {
                name: kept.from_arrow(column(batch, name), types[name]) for name in columns.keep
            }
        yield _Values(texts, ids, domains, kept_columns, position)


def _text_rows(
    path: str, source: BinaryIO, columns: Columns, types: _Types, part: _Part
) -> Iterator[_Values]:
    _, first_row, stop_row = part
    if first_row == 0 and stop_row != 0:
        yield _Values([text.read_text(path, source)], [None], [None], {}, source.tell())


def _label_values(batch: pa.RecordBatch, name: str | None) -> list[Any]:
    if name is None:
        return [None] * batch.num_rows
    if len(places(batch.schema, name)) > 1:
        return [OtherValue.doubled()] * batch.num_rows
    return label_values(column(batch, name))


def _labels(
    path: str,
    row: int,
    columns: Columns,
    name: str | None,
    values: list[Any],
    no_label: dict[str, int],
) -> list[str | None]:
    """Ids or domains as strings; of a column that nobody asked for, what is none is counted."""
    if name is None:
        return values
    if name not in columns.unasked:
        return labels(path, row, name, values)
    found, others = labels_or_null(values)
    if others:
        no_label[name] = others
    return found
