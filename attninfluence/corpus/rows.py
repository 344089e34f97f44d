"""The rows of one file as batches of text, id and domain, whatever the file's format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from attninfluence.corpus import jsonl, parquet
from attninfluence.corpus.files import CorpusError, file_format, open_binary


class Columns(NamedTuple):
    """Names of the columns to read; None where there is no such column."""

    text: str
    id: str | None
    domain: str | None


@dataclass(frozen=True)
class RowBatch:
    """Consecutive rows of one file.

    texts  values as they are, str or not; bytes for a string that is not valid UTF-8
    ids    str or None
    domains  str or None
    position  bytes of the stored file that were read so far
    """

    file: str
    first_row: int
    texts: list[Any]
    ids: list[str | None]
    domains: list[str | None]
    position: int

    def __len__(self) -> int:
        return len(self.texts)


def resolve_columns(
    path: str,
    text_column: str = "text",
    id_column: str | None = None,
    domain_column: str | None = None,
) -> Columns:
    """Check the columns of one file before any of it is scored.

    With None, `id` and `domain` are used where the file has them; an empty name means none. Raises
    CorpusError for a column that was asked for and is not there, naming those that are. A JSONL
    file is judged by its first 100 rows, and one without any rows has every column.
    """
    is_parquet = file_format(path) == "parquet"
    found = parquet.peek_columns(path) if is_parquet else jsonl.peek_columns(path)
    anything_goes = not is_parquet and not found
    for name in (text_column, id_column, domain_column):
        if name and name not in found and not anything_goes:
            raise CorpusError(path, f"no column {name!r}; the file has {_listed(found)}")
    return Columns(
        text_column,
        _optional("id", id_column, found, is_parquet),
        _optional("domain", domain_column, found, is_parquet),
    )


def _optional(default: str, name: str | None, found: list[str], is_parquet: bool) -> str | None:
    if name is not None:
        return name or None
    # A later line of a JSONL file may have what the first ones lack.
    return default if default in found or not is_parquet else None


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names) if names else "none"


def iter_rows(path: str, columns: Columns, batch_size: int = 256) -> Iterator[RowBatch]:
    """All rows of one file in order, `batch_size` at a time.

    Raises CorpusError when a row cannot be read or its id or domain is neither a string, an integer
    nor null. Nothing is skipped: what follows a damaged row was not seen.
    """
    with closing(open_binary(path)) as source:
        read = _parquet_rows if file_format(path) == "parquet" else _jsonl_rows
        first_row = 0
        for texts, ids, domains in read(path, source, columns, batch_size):
            yield RowBatch(
                path,
                first_row,
                texts,
                _labels(path, first_row, columns.id, ids),
                _labels(path, first_row, columns.domain, domains),
                source.tell(),
            )
            first_row += len(texts)


_Values = tuple[list[Any], list[Any], list[Any]]


def _jsonl_rows(
    path: str, source: BinaryIO, columns: Columns, batch_size: int
) -> Iterator[_Values]:
    rows = jsonl.iter_objects(path, source)
    while batch := list(islice(rows, batch_size)):
        text, id_, domain = ([row.get(name) if name else None for row in batch] for name in columns)
        yield text, id_, domain


def _parquet_rows(
    path: str, source: BinaryIO, columns: Columns, batch_size: int
) -> Iterator[_Values]:
    names = list(dict.fromkeys(name for name in columns if name))
    for batch in parquet.iter_batches(path, source, names, batch_size):
        with parquet.reading(path):
            text, id_, domain = (
                parquet.python_values(batch.column(name)) if name else [None] * batch.num_rows
                for name in columns
            )
        yield text, id_, domain


def _labels(
    path: str, first_row: int, column: str | None, values: Iterable[Any]
) -> list[str | None]:
    """Ids or domains as strings."""
    labels: list[str | None] = []
    for row, value in enumerate(values, start=first_row):
        if value is None:
            labels.append(None)
        elif isinstance(value, (str, bytes)):
            labels.append(printable(value))
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


def printable(text: str | bytes) -> str:
    """`text` with what is not valid Unicode replaced by U+FFFD, so that UTF-8 can store it."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
