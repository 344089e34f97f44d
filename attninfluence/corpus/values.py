"""Values of columns: Arrow's as Python's, those that are labels, and which types hold which.

A label is an id or a domain: a string, an integer as a string, or null.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from attninfluence.base.text import repaired
from attninfluence.corpus.files import CorpusError

if TYPE_CHECKING:
    import pyarrow as pa

# Stands for a value that is no label.
_NONE = object()


class OtherValue(NamedTuple):
    """Stands for a value of an Arrow type that no column we read may have."""

    type_name: str

    @classmethod
    def doubled(cls) -> OtherValue:
        """Where several columns have one name."""
        return cls("value in several columns of this name")


def holds_text(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold texts: strings, bytes, dictionaries of these."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return holds_text(kind.value_type)
    return _is_string(kind) or _is_binary(kind)


def holds_labels(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold ids or domains."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return holds_labels(kind.value_type)
    is_plain = pa.types.is_integer(kind) or pa.types.is_null(kind)
    return holds_text(kind) or is_plain or _extension(kind) in ("arrow.uuid", "arrow.json")


def is_storable(kind: pa.DataType) -> bool:
    """Whether Parquet can hold a column of this type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.ParquetWriter(io.BytesIO(), pa.schema([("column", kind)])).close()
    except pa.ArrowNotImplementedError:
        return False
    return True


def python_values(column: pa.Array) -> list[Any]:
    """The column's values; a string that is not valid UTF-8 becomes the bytes it is.

    Only types that a text, an id or a domain may have are converted; any other value becomes an
    OtherValue with the name of its type.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return python_values(decoded(column))
    if _is_string(kind):
        return _strings(pa.array(column, pa.large_string()) if "view" in str(kind) else column)
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or _is_binary(kind):
        return list(column.to_pylist())
    other = OtherValue(str(kind))
    return [None if missing else other for missing in column.is_null().to_pylist()]


def decoded(column: pa.DictionaryArray) -> pa.Array:
    """The value of each row; Arrow itself decodes no dictionary of views."""
    import pyarrow as pa

    values = column.dictionary
    if str(values.type) in ("string_view", "binary_view"):
        raw = values.cast(pa.large_binary())
        values = raw.view(pa.large_string()) if _is_string(values.type) else raw
        column = pa.DictionaryArray.from_arrays(column.indices, values)
    return column.dictionary_decode()


def label_values(column: pa.Array) -> list[Any]:
    """As `python_values`, of ids or domains: also of UUIDs, in their usual form, and of JSON."""
    if _extension(column.type) == "arrow.uuid":
        raw = column.storage.to_pylist()
        return [None if item is None else str(UUID(bytes=item)) for item in raw]
    return python_values(column.storage if _extension(column.type) == "arrow.json" else column)


def replaced_types(kind: pa.DataType, others: Mapping[str, pa.DataType]) -> pa.DataType:
    """`kind` with others in place of those types, by their names, and of those within it."""
    import pyarrow as pa

    types = pa.types
    if types.is_struct(kind):
        return pa.struct([field.with_type(replaced_types(field.type, others)) for field in kind])
    if types.is_map(kind):
        inner = (replaced_types(one, others) for one in (kind.key_type, kind.item_type))
        return pa.map_(*inner)
    if types.is_fixed_size_list(kind):
        return pa.list_(replaced_types(kind.value_type, others), kind.list_size)
    if types.is_list(kind) or types.is_large_list(kind):
        list_of = pa.large_list if types.is_large_list(kind) else pa.list_
        return list_of(replaced_types(kind.value_type, others))
    return others.get(str(kind), kind)


def _extension(kind: pa.DataType) -> str | None:
    import pyarrow as pa

    return kind.extension_name if isinstance(kind, pa.BaseExtensionType) else None


def _is_string(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_view = str(kind) == "string_view"
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or is_view)


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_view = str(kind) == "binary_view"
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or is_view)


def _strings(column: pa.Array) -> list[str | bytes | None]:
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        wide = pa.types.is_large_string(column.type)
        raw = column.cast(pa.large_binary() if wide else pa.binary()).to_pylist()
        return [None if item is None else _decoded(item) for item in raw]


def _decoded(item: bytes) -> str | bytes:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item


def labels(path: str, first_row: int, column: str, values: Iterable[Any]) -> list[str | None]:
    """The labels of consecutive rows; CorpusError with its row for a value that is none."""
    found = []
    for row, value in enumerate(values, start=first_row):
        label = _label(value)
        if label is _NONE:
            kind = getattr(value, "type_name", type(value).__name__)
            raise CorpusError(
                path,
                f"row {row}: column {column!r} holds a {kind}; expected a string, an integer or"
                " null (repair the file and give the same again, or begin in a new folder with"
                " another column, or '' for none)",
            )
        found.append(label)
    return found


def labels_or_null(values: Sequence[Any]) -> tuple[list[str | None], int]:
    """The labels, null for a value that is none, and how many such values there are."""
    found = [_label(value) for value in values]
    return [None if label is _NONE else label for label in found], found.count(_NONE)


def _label(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, (str, bytes)):
        return repaired(value)[0]
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_integer else _NONE
