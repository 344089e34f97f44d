"""A text cut at its tokens, with nothing of it lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
