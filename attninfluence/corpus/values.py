"""Values of Arrow columns as Python values, and which types hold texts and labels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    import pyarrow as pa


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
        return python_values(column.dictionary_decode())
    if _is_string(kind):
        return _strings(pa.array(column, pa.large_string()) if "view" in str(kind) else column)
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or _is_binary(kind):
        return list(column.to_pylist())
    other = OtherValue(str(kind))
    return [None if missing else other for missing in column.is_null().to_pylist()]


def label_values(column: pa.Array) -> list[Any]:
    """As `python_values`, of ids or domains: also of UUIDs, in their usual form, and of JSON."""
    if _extension(column.type) == "arrow.uuid":
        raw = column.storage.to_pylist()
        return [None if item is None else str(UUID(bytes=item)) for item in raw]
    return python_values(column.storage if _extension(column.type) == "arrow.json" else column)


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
