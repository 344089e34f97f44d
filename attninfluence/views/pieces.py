"""A text cut at its tokens, with nothing between them lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def text_pieces(
    text: str, offsets: ArrayLike, base: ArrayLike, ref: ArrayLike
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """A text cut at its tokens, with the losses of the pieces, float64[n], NaN where there is none.

    `offsets` int64[T, 2] characters of each token; one without a character, as (0, 0), is not in
    the text and is left out. Tokens that share a character (bytes of it) become one piece with the
    sum of their losses. Text between two tokens goes to the later one, so that the pieces are the
    text up to the last token's end; `offsets` may be those of its first tokens only.
    """
    pieces: list[str] = []
    losses: list[list[float]] = []
    end = 0
    rows = zip(
        np.asarray(offsets).tolist(), np.asarray(base).tolist(), np.asarray(ref).tolist(),
        strict=True,
    )  # fmt: skip
    for (start, stop), b, r in rows:
        if stop > end:
            pieces.append(text[end:stop])
            losses.append([b, r])
            end = stop
        elif pieces and stop > start:
            losses[-1] = [losses[-1][0] + b, losses[-1][1] + r]
    array = np.array(losses, dtype=np.float64).reshape(-1, 2)
    return pieces, array[:, 0], array[:, 1]
