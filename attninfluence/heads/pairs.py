"""A head is a pair (layer, head); a list of them, checked."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

Head = tuple[int, int]


def checked_pairs(pairs: Iterable[Sequence[int]], shape: Head, owner: str) -> tuple[Head, ...]:
    if not isinstance(pairs, Iterable):
        raise TypeError(
            "heads must be a HeadScores, (layer, head) pairs or the path of a heads.json, "
            f"got {pairs!r}"
        )
    checked: dict[Head, None] = {}
    for pair in pairs:
        try:
            layer, head = map(_as_int, pair)
        except (TypeError, ValueError):
            raise ValueError(f"a head is a pair (layer, head) of integers, not {pair!r}") from None
        if not (0 <= layer < shape[0] and 0 <= head < shape[1]):
            raise ValueError(
                f"head ({layer}, {head}) is out of range: {owner} has {shape[0]} layers of "
                f"{shape[1]} heads, both counted from 0"
            )
        if (layer, head) in checked:
            raise ValueError(f"head ({layer}, {head}) is given twice")
        checked[layer, head] = None
    return tuple(checked)


def _as_int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a bool is no number")
    return operator.index(value)
