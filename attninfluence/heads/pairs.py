"""A head is a pair (layer, head); a list of them, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attninfluence.base.whole_number import as_whole_number

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
            layer, head = (as_whole_number("a head", number) for number in pair)
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
