"""What a BPE of a GGUF file merges, in order: as the file lists it, or as its scores have it."""

from __future__ import annotations

from collections.abc import Iterable

from attninfluence.tokenizer.gguf_fields import Fields, shown

Merges = list[tuple[str, str]]

# Gemma's quarter million tokens can be put together in half a million ways.
MOST_MERGES = 1 << 22


def listed_merges(fields: Fields, vocab: dict[str, int]) -> Merges | None:
    """The merges of the file; None where it lists none. Each names tokens, and makes one."""
    lines = fields.merges(MOST_MERGES)
    return (
        None if lines is None else [_pair(fields, at, line, vocab) for at, line in enumerate(lines)]
    )


def _pair(fields: Fields, at: int, line: str, vocab: dict[str, int]) -> tuple[str, str]:
    left, _, right = line[1:].partition(" ")  # a token may begin with a space
    left = line[:1] + left
    for text in (left, right, left + right):
        if text not in vocab:
            raise fields.error(f"merges[{at}]", f"is {shown(line)}, but {shown(text)} is no token")
    return left, right


def scored_merges(fields: Fields, ranks: Iterable[tuple[str, float]]) -> Merges:
    """All pairs of tokens that make a token, the highest rank first, as SentencePiece merges.

    ranks: the tokens that merging may make, and make others of, with their ranks. Which of the
    pairs that make the same token comes first decides nothing. Tokens of equal rank are made in the
    order in which they are given, where SentencePiece would make the leftmost in the text first.
    """
    ranked = dict(ranks)
    found: list[tuple[float, str, str]] = []
    for text, rank in ranked.items():
        for cut in range(1, len(text)):
            left = text[:cut]
            if left in ranked and text[cut:] in ranked:
                found.append((-rank, left, text[cut:]))
        if len(found) > MOST_MERGES:
            raise fields.error("tokens", f"can be put together in more than {MOST_MERGES} ways")
    found.sort(key=lambda one: one[0])
    return [(left, right) for _, left, right in found]
