"""A long text encoded piece by piece, with the tokens of the whole.

The library takes some 180 bytes a character while it encodes a text; a piece's are free again
when the next one is read. What stays is the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from attninfluence.tokenizer.cuts import Cuts

# Characters of a piece. It grows where a text cannot be cut.
PIECE = 1 << 16
# A text of up to so many characters is read to its end, whatever is asked for.
COUNTED = 1 << 18

Part = tuple[NDArray[np.int32], NDArray[np.int64] | None]
Encode = Callable[[str], Part]


def encode_long(
    text: str, encode: Encode, cuts: Cuts, enough: int | None, piece: int = PIECE
) -> tuple[list[Part], int]:
    """The tokens of a text in parts, and how many of its characters they are the tokens of.

    encode: ids int32[n] and offsets int64[n, 2] (or None) of a piece. enough: end the reading at
    the first cut behind the first COUNTED characters, or twice, four times ... as many, with which
    there are so many tokens; None reads all. So what is read depends on the text alone.
    """
    parts: list[Part] = []
    n_tokens, end, wanted = 0, 0, COUNTED
    while end < len(text) and (enough is None or n_tokens < enough or not parts):
        start, end = end, len(text) if enough is None else _cut_from(text, wanted, cuts)
        for begins, ends in _pieces(text, start, end, cuts, piece):
            parts.append(_encode_piece(text, begins, ends, encode))
            n_tokens += len(parts[-1][0])
        wanted *= 2
    return parts, end


def _pieces(text: str, start: int, end: int, cuts: Cuts, piece: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of pieces from one cut to another one, each of half a piece at least."""
    while end - start > piece:
        stop = _cut_before(text, start + (piece + 1) // 2, start + piece, cuts)
        if stop is None:
            stop = min(_cut_from(text, start + piece + 1, cuts), end)
        yield start, stop
        start = stop
    if start < end:
        yield start, end


def _cut_before(text: str, low: int, high: int, cuts: Cuts) -> int | None:
    """The last cut within low .. high; None without one."""
    for at in range(high, low - 1, -1):
        if cuts.between(text[at - 1 : at + 1]):
            return at
    return None


def _cut_from(text: str, low: int, cuts: Cuts) -> int:
    """The first cut from `low` on, or the end of the text."""
    for at in range(low, len(text)):
        if cuts.between(text[at - 1 : at + 1]):
            return at
    return len(text)


def _encode_piece(text: str, start: int, stop: int, encode: Encode) -> Part:
    """The tokens of a piece that begins at a cut: those behind its neighbour's (cuts.py)."""
    if start == 0:
        return encode(text[:stop])
    known = len(encode(text[start - 1])[0])
    ids, offsets = encode(text[start - 1 : stop])
    return ids[known:], None if offsets is None else offsets[known:] + (start - 1)
