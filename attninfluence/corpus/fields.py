"""A column by its name: one of the file or, with dots in the name, a field within one.

A column whose own name has the dots goes before a field that they would lead to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MISSING = object()
# Levels of structs or objects of which fields are named; deeper ones are found by their names.
_DEPTH = 8


def places(fields: Iterable[pa.Field], name: str) -> list[tuple[int, ...]]:
    """Where columns of this name are in a schema or a struct, as indices from the outside in."""
    import pyarrow as pa

    fields = list(fields)
    found: list[tuple[int, ...]] = [(at,) for at, one in enumerate(fields) if one.name == name]
    if found:
        return found
    for at, one in enumerate(fields):
        if pa.types.is_struct(one.type) and name.startswith(f"{one.name}."):
            inner = places(one.type, name[len(one.name) + 1 :])
            found += [(at, *place) for place in inner]
    return found


def field_type(schema: pa.Schema, name: str) -> pa.DataType:
    """The type of the column of this name, which is there."""
    outer, *inner = places(schema, name)[0]
    kind = schema.field(outer).type
    for at in inner:
        kind = kind.field(at).type
    return kind


def column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The column of this name; null where a struct around it is. ValueError where it is gone."""
    import pyarrow.compute as pc

    found_at = places(batch.schema, name)
    if not found_at:
        raise ValueError(f"no column {name!r}")
    outer, *inner = found_at[0]
    found = batch.column(outer)
    return pc.struct_field(found, inner) if inner else found


def named_types(
    fields: Iterable[pa.Field], above: str = "", levels: int = _DEPTH
) -> Iterator[tuple[str, pa.DataType]]:
    """Each column, and each field within it, by a name that `places` finds."""
    import pyarrow as pa

    for one in fields:
        yield f"{above}{one.name}", one.type
        if pa.types.is_struct(one.type) and levels > 1:
            yield from named_types(one.type, f"{above}{one.name}.", levels - 1)


def value(row: dict[str, Any], name: str) -> Any:
    """The value of this name in a JSON object; None where there is none."""
    found = _value(row, name)
    return None if found is _MISSING else found


def has_value(row: dict[str, Any], name: str) -> bool:
    """Whether a JSON object has this name, be its value null."""
    return _value(row, name) is not _MISSING


def _value(row: dict[str, Any], name: str) -> Any:
    if name in row or "." not in name:
        return row.get(name, _MISSING)
    parts = name.split(".")
    for size in range(1, len(parts)):
        inner = row.get(".".join(parts[:size]))
        if isinstance(inner, dict):
            found = _value(inner, ".".join(parts[size:]))
            if found is not _MISSING:
                return found
    return _MISSING


def named_values(
    row: dict[str, Any], above: str = "", levels: int = _DEPTH
) -> Iterator[tuple[str, Any]]:
    """Each value of a JSON object, and each within it, by a name that `value` finds."""
    for name, one in row.items():
        yield f"{above}{name}", one
        if isinstance(one, dict) and levels > 1:
            yield from named_values(one, f"{above}{name}.", levels - 1)
