"""Ids and domains: strings, integers as strings, or null."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attninfluence.base.text import repaired
from attninfluence.corpus.files import CorpusError

# Stands for a value that is no label.
_NONE = object()


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
