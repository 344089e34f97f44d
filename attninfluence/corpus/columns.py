"""Which columns of a file hold what: text, id, domain, and those that are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from attninfluence.corpus import jsonl, parquet
from attninfluence.corpus.files import CorpusError, file_format


class Columns(NamedTuple):
    """Names of the columns to read; None where there is no such column.

    keep  further columns, handed on as they are
    """

    text: str
    id: str | None
    domain: str | None
    keep: tuple[str, ...] = ()


def resolve_columns(
    path: str,
    text_column: str = "text",
    id_column: str | None = None,
    domain_column: str | None = None,
    keep_columns: Iterable[str] = (),
) -> Columns:
    """Check the columns of one file before any of it is scored.

    With None, `id` and `domain` are used where the file has them; an empty name means none. Raises
    CorpusError for a column that was asked for and is not there, naming those that are. A JSONL
    file is judged by its first 100 rows, and one without any rows has every column. A text file has
    its text, under any name, and no other column: it is named by its file.
    """
    kind = file_format(path)
    keep = tuple(dict.fromkeys(keep_columns))
    found = _found_columns(path, kind, text_column)
    anything_goes = kind == "jsonl" and not found
    if kind == "text" and keep:
        raise CorpusError(path, f"no column {keep[0]!r} to keep: a text file has its text alone")
    for name in (text_column, id_column, domain_column, *keep):
        if name and name not in found and not anything_goes:
            raise CorpusError(path, f"no column {name!r}; the file has {_listed(found)}")
        if name and found.count(name) > 1:
            raise CorpusError(path, f"{found.count(name)} columns have the name {name!r}")
    return Columns(
        text_column,
        _optional("id", id_column, found, kind),
        _optional("domain", domain_column, found, kind),
        keep,
    )


def _found_columns(path: str, kind: str, text_column: str) -> list[str]:
    if kind == "text":
        return [text_column]
    if kind == "jsonl":
        return jsonl.peek_columns(path)
    return list(parquet.read_schema(path).names)


def _optional(default: str, name: str | None, found: list[str], kind: str) -> str | None:
    if name is not None:
        return name or None
    # A later line of a JSONL file may have what the first ones lack.
    return default if kind == "jsonl" or (kind == "parquet" and default in found) else None


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names) if names else "none"
