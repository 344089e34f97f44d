"""Files as damage or ill will may leave them: bytes, JSON, Parquet and GGUF, changed by chance."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# In place of any value.
VALUES: tuple[Any, ...] = (
    *(None, "", [], {}, -1, 0, 1, True, False, 1.5, 1e308, -1e308, float("nan"), float("inf")),
    *(2**31, 2**32 + 5, 2**62, 2**63, 2**64, 10**15, 10**30, "a", "\0", "../../x", "/dev/zero"),
    *("1e400", "\ud800", "x" * 10_000, [[]], [None], {"": None}, [1, "a"], {"a": {"a": []}}),
)
# Columns are cast to these, and hold these.
TYPES = (pa.null(), pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.string())
TYPES += (pa.large_string(), pa.binary(), pa.bool_(), pa.date32(), pa.list_(pa.int64()))
TYPES += (pa.struct([("a", pa.int64())]), pa.dictionary(pa.int32(), pa.string()))

# Raised where earlier changes left what is none of its kind any more.
_NO_LONGER = (ValueError, TypeError, OSError, ArithmeticError, RecursionError, pa.ArrowException)

Chance = random.Random


def mutate(name: str, data: bytes, chance: Chance) -> bytes:
    """A file's bytes, changed once or a few times; its name says what it holds."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        of_kind = _OF_KIND.get(PurePath(name).suffix, _mutate_json)
        change = chance.choice((of_kind, of_kind, of_kind, _mutate_bytes))
        if name.endswith(".txt"):
            change = chance.choice((_mutate_lines, _mutate_bytes))
        try:
            data = change(data, chance)
        except _NO_LONGER:
            data = _mutate_bytes(data, chance)
    return data


# ------------------------------------------------------------------------------------ bytes


def _mutate_bytes(data: bytes, chance: Chance) -> bytes:
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((1, 1, 4, 16, 256, 4096)))
    middle = chance.choice(
        (
            b"",  # taken out
            data[at:end] * 2,
            bytes(byte ^ (1 << chance.randrange(8)) for byte in data[at:end]),
            bytes(chance.randrange(256) for _ in range(at, end)),
            chance.choice((b"\0" * 8, b"\xff" * 8, b"\xef\xbb\xbf", b"[" * 100_000, b"9" * 5000)),
        )
    )
    return chance.choice(
        (data[:at] + middle + data[end:], data[:at] + middle + data[end:], data[:at])
    )


def _mutate_lines(data: bytes, chance: Chance) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at = chance.randrange(len(lines))
    others = (b"/dev/zero\n", b"../../x\n", b"\0\n", b"\n", b"x" * 10_000 + b"\n", b"\xff\n")
    lines[at : at + 1] = chance.choice(([], lines[at : at + 1] * 2, [chance.choice(others)]))
    return b"".join(lines)


# ------------------------------------------------------------------------------------- JSON


def _mutate_json(data: bytes, chance: Chance) -> bytes:
    value = json.loads(data)
    where = [[value], *_containers(value)]
    mutate_value(chance.choice(where), chance)
    text = json.dumps(where[0][0] if where[0] else None)
    if chance.random() < 0.05 and text.startswith("{") and len(text) > 2:
        text = text[:-1] + ", " + text[1:]  # every name twice
    return text.encode()


def _containers(value: Any) -> list[Any]:
    """All lists and objects that hold something; the small ones as often as the large."""
    found, at = [value], 0
    while at < len(found):
        one = found[at]
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        found += [other for other in inner if isinstance(other, (dict, list))]
        at += 1
    return [one for one in found if isinstance(one, (dict, list)) and one]


def mutate_value(holder: Any, chance: Chance) -> None:
    """Change one of the values that a list or an object holds."""
    key: Any = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    change = chance.randrange(8)
    if change < 4:
        holder[key] = chance.choice(VALUES)
    elif change == 4:
        del holder[key]
    elif change == 5:
        holder[key] = _nested(chance.choice((3, 63, 200)), holder[key])
    elif change == 6:
        holder[key] = _near(holder[key], chance)
    elif isinstance(holder, dict):
        holder[chance.choice(("", "more", str(key) + "_", str(key).upper()))] = holder.pop(key)
    else:
        holder += holder[:1000]


def _nested(depth: int, value: Any) -> Any:
    for at in range(depth):
        value = [value] if at % 2 else {"a": value}
    return value


def _near(value: Any, chance: Chance) -> Any:
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return chance.choice((value + 1, value - 1, -value, value * 1000, value / 3))
    if isinstance(value, str):
        return chance.choice((value + "x", value[1:], value.upper(), value[::-1], "\u202e" + value))
    return [value, value]


# ---------------------------------------------------------------------------------- Parquet


def _mutate_parquet(data: bytes, chance: Chance) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    change: Callable[[pa.Table, Chance], pa.Table] = chance.choice(
        (_drop, _rename, _retype, _fill, _cell, _cell, _rows, _metadata, _twice)
    )
    file = io.BytesIO()
    pq.write_table(change(table, chance), file)
    return file.getvalue()


def _column(table: pa.Table, chance: Chance) -> int:
    if not table.num_columns:
        raise ValueError("no column")
    return chance.randrange(table.num_columns)


def _drop(table: pa.Table, chance: Chance) -> pa.Table:
    return table.remove_column(_column(table, chance))


def _rename(table: pa.Table, chance: Chance) -> pa.Table:
    at = _column(table, chance)
    names = table.column_names
    names[at] = chance.choice((names[at] + "_", "", names[0], names[at].upper()))
    return table.rename_columns(names)


def _twice(table: pa.Table, chance: Chance) -> pa.Table:
    at = _column(table, chance)
    return table.append_column(table.field(at), table.column(at))


def _retype(table: pa.Table, chance: Chance) -> pa.Table:
    at, kind = _column(table, chance), chance.choice(TYPES)
    try:
        column = table.column(at).cast(kind, safe=False)
    except pa.ArrowException:
        column = pa.nulls(table.num_rows, kind)
    return table.set_column(at, table.column_names[at], column)


def _fill(table: pa.Table, chance: Chance) -> pa.Table:
    at = _column(table, chance)
    return table.set_column(at, table.field(at), pa.nulls(table.num_rows, table.field(at).type))


def _cell(table: pa.Table, chance: Chance) -> pa.Table:
    """One value, or all of a column, replaced by one that the type has."""
    at = _column(table, chance)
    kind, values = table.field(at).type, table.column(at).to_pylist()
    if not values:
        raise ValueError("no row")
    fitting = [value for value in VALUES if _fits(value, kind)]
    row = chance.randrange(len(values))
    rows = chance.choice(([row], range(len(values))))
    new = chance.choice(fitting)
    values = [new if at_row in rows else value for at_row, value in enumerate(values)]
    return table.set_column(at, table.field(at), pa.array(values, kind))


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, OverflowError, ValueError, TypeError, UnicodeEncodeError):
        return False
    return True


def _rows(table: pa.Table, chance: Chance) -> pa.Table:
    n = table.num_rows
    order = chance.choice(
        ([], [*range(n // 2)], [*range(1, n)], [*range(n)] * 2, [*reversed(range(n))], [0] * n)
    )
    return table.take(pa.array(order[:100_000], pa.int64())) if n else table.slice(0, 0)


def _metadata(table: pa.Table, chance: Chance) -> pa.Table:
    metadata = dict(table.schema.metadata or {})
    if not metadata or chance.random() < 0.2:
        return table.replace_schema_metadata(None)
    key = chance.choice(sorted(metadata))
    try:
        metadata[key] = _mutate_json(metadata[key], chance)
    except ValueError:
        metadata[key] = _mutate_bytes(metadata[key], chance)
    return table.replace_schema_metadata(metadata)


# ------------------------------------------------------------------------------------- GGUF

_GGUF_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_GGUF_STRING, _GGUF_ARRAY = 8, 9


def _mutate_gguf(data: bytes, chance: Chance) -> bytes:
    """One of the integers of a header: a count, a length, a type, a dimension, an offset."""
    at, size = chance.choice(_gguf_integers(data))
    old, most = int.from_bytes(data[at : at + size], "little"), 256**size - 1
    near = (old + 1, old - 1, old * 2, old << 8, old ^ 1 << chance.randrange(8 * size))
    far = (0, 1, most, most // 2, most // 2 + 1, most // 4 + 1, most // 8 + 1, 32, len(data))
    new = chance.choice(near if chance.random() < 0.5 else far)
    return data[:at] + (new & most).to_bytes(size, "little") + data[at + size :]


class _Header:
    """A header walked from its beginning on; ValueError where it leaves the data."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4
        self.found: list[tuple[int, int]] = []  # where integers stand, and their bytes

    def integer(self, size: int) -> int:
        if self.at + size > len(self.data):
            raise ValueError("a damaged header")
        self.found.append((self.at, size))
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little")

    def string(self) -> None:
        length = self.integer(8)  # which moves self.at, too
        self.at += length

    def value(self, kind: int) -> None:
        if kind == _GGUF_ARRAY:
            items = self.integer(4)
            for _ in range(self.integer(8)):
                self.value(items)
        elif kind == _GGUF_STRING:
            self.string()
        else:
            self.integer(_GGUF_SIZES.get(kind, 1))

    def tensor(self) -> None:
        self.string()
        for _ in range(self.integer(4)):
            self.integer(8)
        self.integer(4)
        self.integer(8)


def _gguf_integers(data: bytes) -> list[tuple[int, int]]:
    header = _Header(data)
    _, n_tensors, n_keys = header.integer(4), header.integer(8), header.integer(8)
    for _ in range(n_keys):
        header.string()
        header.value(header.integer(4))
    for _ in range(n_tensors):
        header.tensor()
    return header.found


_OF_KIND = {".parquet": _mutate_parquet, ".gguf": _mutate_gguf}
