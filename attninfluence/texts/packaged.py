"""The texts of the package: 86 in eight domains, from worked problems to logs (packaged.jsonl)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attninfluence.base.json_values import parse_json_object

PACKAGED = Path(__file__).with_name("packaged.jsonl")


@dataclass(frozen=True)
class Text:
    """One document."""

    id: str
    domain: str
    text: str


def packaged_texts() -> list[Text]:
    """The texts that come with the package."""
    with open(PACKAGED, encoding="utf-8") as lines:
        return [Text(**parse_json_object(line)) for line in lines]


def spread(texts: Sequence[Text], limit: int) -> list[Text]:
    """`limit` of the texts at even distances, in order; all of them when they are no more."""
    count = min(limit, len(texts))
    return [texts[index * len(texts) // count] for index in range(count)]
