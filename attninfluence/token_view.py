"""A text cut at its tokens, for showing the loss of each piece in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class TokenView(NamedTuple):
    """A document to show token by token: pieces of its text with their losses in nats.

    `base` and `ref` are float[n] for n pieces, NaN where a piece has no loss.
    """

    name: str
    sentence: str
    pieces: Sequence[str]
    base: ArrayLike
    ref: ArrayLike


def text_pieces(
    text: str, offsets: ArrayLike, base: ArrayLike, ref: ArrayLike
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """A text cut at its tokens, with the losses of the pieces.

    `offsets` int64[T, 2] characters of each token, (0, 0) for one that is not in the text, which is
    left out. Tokens that share a character (bytes of it) become one piece with the sum of their
    losses. Text between two tokens goes to the later one, so that nothing is lost.
    """
    pieces: list[str] = []
    losses: list[list[float]] = []
    end = 0
    for (_, stop), b, r in zip(np.asarray(offsets), np.asarray(base), np.asarray(ref), strict=True):
        if stop > end:
            pieces.append(text[end : int(stop)])
            losses.append([float(b), float(r)])
            end = int(stop)
        elif pieces:
            losses[-1] = [losses[-1][0] + float(b), losses[-1][1] + float(r)]
    array = np.array(losses, dtype=np.float64).reshape(-1, 2)
    return pieces, array[:, 0], array[:, 1]
