"""Columns that are kept beside the scores: one type each over all files, and their values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from attninfluence.base.text import repaired
from attninfluence.corpus.fields import field_type
from attninfluence.corpus.files import CorpusError, file_format
from attninfluence.corpus.formats import TABLES
from attninfluence.corpus.values import decoded

if TYPE_CHECKING:
    import pyarrow as pa

    from attninfluence.corpus.columns import Columns


def kept_types(files: Iterable[tuple[str, Columns]]) -> dict[str, pa.DataType]:
    """The Arrow type of each kept column, the same for all `files`.

    A column that has one type in all files, Parquet or Arrow all of them, keeps it (of a
    dictionary, the type of its values). Any other column becomes a string.
    """
    import pyarrow as pa

    found: dict[str, set[pa.DataType]] = {}
    for path, columns in files:
        table = TABLES.get(file_format(path)) if columns.keep else None
        schema = None if table is None else table.schema(path)
        for name in columns.keep:
            kind = pa.string() if schema is None else _plain_type(field_type(schema, name))
            found.setdefault(name, set()).add(kind)
    return {name: kinds.pop() if len(kinds) == 1 else pa.string() for name, kinds in found.items()}


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of a dictionary's values; in place of a view, one that all of Arrow knows."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    views = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}
    return views.get(str(kind), kind)


def from_json(path: str, name: str, values: list[Any]) -> pa.Array:
    """Values of a JSON column as strings: a string itself, null null, others their JSON text."""
    import pyarrow as pa

    try:
        return pa.array([_as_text(value) for value in values], pa.string())
    except RecursionError:
        raise CorpusError(path, f"column {name!r} is nested too deeply to be kept") from None


def from_arrow(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A table's column as `kind`, which is its own type, that of a dictionary's values, or string.

    What is not valid UTF-8 in a string, or within a list or struct, is replaced.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = decoded(column)
    if column.type != _plain_type(column.type):
        column = column.cast(_plain_type(column.type))
    if column.type == kind and _is_valid(column):
        return column
    if column.type == kind and pa.types.is_nested(kind):
        values = column.cast(_readable(kind, texts_only=True)).to_pylist()
        return pa.array([_repaired_inside(value) for value in values], kind)
    values = column.cast(_readable(column.type)).to_pylist()
    return pa.array([_as_text(value) for value in values], kind)


def _is_valid(column: pa.Array) -> bool:
    import pyarrow as pa

    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _readable(kind: pa.DataType, texts_only: bool = False) -> pa.DataType:
    """`kind` with types in it that become Python values whatever they hold.

    Strings become bytes; times and decimals strings, unless `texts_only`.
    """
    import pyarrow as pa

    types, inner = pa.types, partial(_readable, texts_only=texts_only)
    if types.is_struct(kind):
        return pa.struct([field.with_type(inner(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(inner(kind.key_type), inner(kind.item_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(inner(kind.value_type), kind.list_size)
    if types.is_nested(kind) and hasattr(kind, "value_type"):
        list_of = pa.large_list if types.is_large_list(kind) else pa.list_
        return list_of(inner(kind.value_type))
    if types.is_dictionary(kind):
        return inner(kind.value_type)
    if types.is_string(kind) or str(kind) == "string_view":
        return pa.binary()
    if types.is_large_string(kind):
        return pa.large_binary()
    as_string = types.is_temporal(kind) or types.is_decimal(kind)
    return pa.string() if as_string and not texts_only else kind


def _repaired_inside(value: Any) -> Any:
    """A nested value with its bytes, in place of strings, as text."""
    if isinstance(value, bytes):
        return repaired(value)[0]
    if isinstance(value, dict):
        return {name: _repaired_inside(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_repaired_inside, value))
    return value


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, (str, bytes)):
        value = json.dumps(value, ensure_ascii=False, default=_plain)
    return repaired(value)[0]


def _plain(value: Any) -> str:
    return repaired(value)[0] if isinstance(value, bytes) else str(value)
