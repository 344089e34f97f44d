"""Which columns of a file hold what: text, id, domain, and those that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from attninfluence.corpus.compressed import DamagedStreamError, LargeWindowError, decompressed
from attninfluence.corpus.fields import (
    field_type,
    has_value,
    named_types,
    named_values,
    places,
    value,
)
from attninfluence.corpus.files import (
    CorpusError,
    content_kind,
    file_compression,
    file_format,
    open_binary,
    other_content,
)
from attninfluence.corpus.formats import RECORDS, TABLES
from attninfluence.corpus.jsonl import kind_of
from attninfluence.corpus.values import holds_labels, holds_text, is_storable, labels

if TYPE_CHECKING:
    import pyarrow as pa

PEEKED_ROWS = 100
# Bytes that tell the kind of a file.
_BEGINNING = 32
# Names that a message lists at most.
_LISTED = 40


class Columns(NamedTuple):
    """Names of the columns to read; None where there is no such column.

    Dots in a name lead into a struct or an object (`fields.py`).

    keep      further columns, handed on as they are
    unasked   those of `id` and `domain` that are read because a file may have them: a value that
              is no label is null there and counted, where one of a column asked for is an error
    textless  the file says of the text column that every row is null
    """

    text: str
    id: str | None
    domain: str | None
    keep: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    textless: bool = False


def resolve_columns(
    path: str,
    text_column: str = "text",
    id_column: str | None = None,
    domain_column: str | None = None,
    keep_columns: Iterable[str] = (),
) -> Columns:
    """Check the columns of one file before any of it is scored.

    With None, `id` and `domain` are used where the file has them; an empty name means none. Raises
    CorpusError for a column that was asked for and is not there, naming those that are, and for one
    whose type holds no text, or no labels, naming those that would do. A file of rows without
    types (JSON, CSV) is judged by its first 100 rows and the header that it has, and a JSON file
    without any rows has every column. A text file has its text, under any name, and no other
    column: it is named by its file.
    """
    try:
        return _resolve(path, text_column, id_column, domain_column, tuple(keep_columns))
    except CorpusError as error:
        found = _other_content(path)
        if found is None:
            raise
        told = f"{error.reason}; its first bytes are those of {found}"
        raise CorpusError(path, told) from error


def _other_content(path: str) -> str | None:
    """What a file is that its suffix says something else of, or that was compressed twice."""
    with closing(open_binary(path)) as source:
        found = other_content(path, source.read(_BEGINNING))
    if found is not None or file_compression(path) is None:
        return found
    with closing(open_binary(path)) as source, suppress(DamagedStreamError, LargeWindowError):
        return content_kind(decompressed(path, source).read(_BEGINNING))
    return None


def _resolve(
    path: str,
    text_column: str,
    id_column: str | None,
    domain_column: str | None,
    keep_columns: tuple[str, ...],
) -> Columns:
    keep = tuple(dict.fromkeys(keep_columns))
    asked = [name for name in (id_column, domain_column) if name]
    optional = {"id": id_column, "domain": domain_column}
    unasked = [default for default, name in optional.items() if name is None]
    kind, textless = file_format(path), False
    if kind == "text":
        _check_text_file(path, text_column, asked, keep)
        unasked = []
    elif kind in RECORDS:
        # A later row may have what the first ones lack.
        _check_rows(path, _first_rows(path), text_column, asked, keep)
    else:
        schema = TABLES[kind].schema(path)
        textless = _check_schema(path, schema, text_column, asked, keep)
        unasked = [name for name in unasked if places(schema, name)]
    names = {d: d if d in unasked else name or None for d, name in optional.items()}
    return Columns(text_column, names["id"], names["domain"], keep, tuple(unasked), textless)


def check_some_text(files: Iterable[tuple[str, Columns]]) -> None:
    """CorpusError where no file has a text, and one says so of itself by its text column's type.

    Of several files one may have none: where all its texts are null, pandas gives the column the
    type null, and its rows are rows without a text.
    """
    files = list(files)
    if files and all(columns.textless for _, columns in files):
        path, columns = files[0]
        schema = TABLES[file_format(path)].schema(path)
        _refuse_text(path, columns.text, "null", schema)


def _check_text_file(path: str, text: str, asked: Iterable[str], keep: tuple[str, ...]) -> None:
    if keep:
        raise CorpusError(path, f"no column {keep[0]!r} to keep: a text file has its text alone")
    for name in asked:
        if name != text:
            raise _missing(path, name, [text])


def _first_rows(path: str) -> list[dict[str, Any]]:
    with closing(open_binary(path)) as source:
        batches = RECORDS[file_format(path)].batches(path, source, PEEKED_ROWS, 0, PEEKED_ROWS)
        return [row for batch in batches for row in batch]


def _check_rows(
    path: str, rows: list[dict[str, Any]], text: str, asked: Iterable[str], keep: Iterable[str]
) -> None:
    """Whether rows, the first of a file, have the columns.

    Without a header, a file without rows has every one.
    """
    header = RECORDS[file_format(path)].header
    names = None if header is None else header(path)
    for name in (text, *asked, *keep):
        if names and names.count(name) > 1:
            raise _doubled(path, name, names.count(name))
        if name not in names if names else rows and not any(has_value(row, name) for row in rows):
            raise _missing(path, name, names or _names(rows))
    for name in asked:
        labels(path, 0, name, [value(row, name) for row in rows])
    texts = [value(row, text) for row in rows]
    # Fewer rows may be odd ones, which have a status each.
    if len(rows) == PEEKED_ROWS and not any(map(_may_be_text, texts)):
        what = f"holds no text in the first {len(rows)} rows but {kind_of(texts[0])}"
        others = _names(rows, of=str)
        raise CorpusError(path, f"column {text!r} {what}; {_would_do(others)}")


def _names(rows: Iterable[dict[str, Any]], of: type = object) -> list[str]:
    """The names in the rows, in order of appearance, that have a value of this class in one."""
    found = (name for row in rows for name, item in named_values(row) if isinstance(item, of))
    return list(dict.fromkeys(found))


def _may_be_text(item: Any) -> bool:
    return item is None or isinstance(item, (str, bytes))


def _check_schema(
    path: str, schema: pa.Schema, text: str, asked: Iterable[str], keep: Iterable[str]
) -> bool:
    """Whether the file says that every text is null; CorpusError for what cannot be read."""
    import pyarrow as pa

    for name in (text, *asked, *keep):
        count = len(places(schema, name))
        if not count:
            raise _missing(path, name, [found for found, _ in named_types(schema)])
        if count > 1:
            raise _doubled(path, name, count)
    for name in asked:
        kind = field_type(schema, name)
        if not holds_labels(kind):
            would_do = f"{_would_do(_of_type(schema, holds_labels))}, or '' for none"
            raise CorpusError(path, f"column {name!r} has the type {kind}, no label; {would_do}")
    for name in keep:
        kind = field_type(schema, name)
        if not is_storable(kind):
            told = f"column {name!r} has the type {kind}, which cannot be kept"
            raise CorpusError(path, f"{told}: Parquet has none like it")
    kind = field_type(schema, text)
    if pa.types.is_null(kind):
        return TABLES[file_format(path)].count_rows(path) > 0
    if not holds_text(kind):
        _refuse_text(path, text, str(kind), schema)
    return False


def _refuse_text(path: str, name: str, kind: str, schema: pa.Schema) -> None:
    would_do = _would_do(_of_type(schema, holds_text))
    raise CorpusError(path, f"column {name!r} has the type {kind}, which holds no text; {would_do}")


def _of_type(schema: pa.Schema, holds: Callable[[pa.DataType], bool]) -> list[str]:
    return [name for name, kind in named_types(schema) if holds(kind)]


def _missing(path: str, name: str, found: list[str]) -> CorpusError:
    return CorpusError(path, f"no column {name!r}; the file has {_listed(found)}")


def _doubled(path: str, name: str, count: int) -> CorpusError:
    return CorpusError(path, f"{count} columns have the name {name!r}")


def _would_do(names: list[str]) -> str:
    return f"these would do: {_listed(names)}" if names else "no column of the file would do"


def _listed(names: list[str]) -> str:
    told = ", ".join(map(repr, names[:_LISTED])) if names else "none"
    return told if len(names) <= _LISTED else f"{told} and {len(names) - _LISTED} more"
