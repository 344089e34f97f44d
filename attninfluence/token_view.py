"""A document read again for its tokens: by the model of its run, its text cut at the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence._core import ModelError

if TYPE_CHECKING:
    from attninfluence.finished import FinishedRun
    from attninfluence.model import Model


class TokenView(NamedTuple):
    """A document to show token by token: pieces of its text with their losses in nats.

    `base` and `ref` are float[n] for n pieces, NaN where a piece has no loss.
    """

    name: str
    sentence: str
    pieces: Sequence[str]
    base: ArrayLike
    ref: ArrayLike


def check_is_the_runs(model: Model, run: FinishedRun) -> None:
    """ModelError unless `model` has the weights and the precision of a finished score run."""
    wanted = run.run["model"]["fingerprint"]
    if model.fingerprint != wanted:
        raise ModelError(
            f"{run.path} was scored with another model: fingerprint {wanted[:12]}, "
            f"{model.path} has {model.fingerprint[:12]}"
        )
    precision = run.run["scoring"]["precision"]
    if model.precision != precision:
        raise ModelError(
            f"{run.path} was scored in {precision}, and the model computes in {model.precision}: "
            f"open it with precision={precision!r}"
        )


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
