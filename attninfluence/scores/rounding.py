"""What a lower precision does to losses, to the score and to its ranking, on the package's texts.

How far each may go is worked out from what the score is for in docs/ACCURACY.md.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import Model as Core
from attninfluence.scores.losses import mean_loss, relative_rise
from attninfluence.texts.packaged import packaged_texts, spread
from attninfluence.tokenizer.tokenizer import Tokenizer

Floats = NDArray[np.float64]

TOP = 0.2  # the share of a domain that is selected (METHOD.md section 5)

# What a selection bears: the mean move of a token's loss in nats, and the standard deviation of
# what scores move by as a share of that of the scores.
MOST_MOVED = 0.045
MOST_ERROR = 0.053

Losses = list[NDArray[np.float32]]


class RoundingWarning(UserWarning):
    """Scores are computed in a precision that moves losses by more than a selection bears."""


def warn_of_rounding(moves: Mapping[str, float] | None, precision: str) -> None:
    """RoundingWarning, with the figure, where `moves` says so of the precision.

    moves: by how many nats a token's loss moves on average, by precision, as in
    `HeadScores.rounding`; None where nobody has measured it.
    """
    moved = (moves or {}).get(precision, 0.0)
    if moved <= MOST_MOVED:
        return
    better = "fp32" if precision == "bf16" else "bf16"
    warnings.warn(
        f"in {precision} a token's loss moves by {moved:g} nat on average with this model, and "
        f"more than {MOST_MOVED:g} changes which documents are selected: take {better}, or see "
        "what `attninfluence verify` says of both",
        RoundingWarning,
        stacklevel=2,
    )


@dataclass(frozen=True)
class Rounding:
    """One precision beside fp32, on the same texts with the same heads masked.

    Attributes:
        texts: how many were read.
        tokens: how many losses of each reading.
        moved: the mean difference of a token's loss in the two readings, without its sign, in nats.
        error: the standard deviation of the differences of scores, as a share of that of the
            scores; NaN for fewer than two scores.
        spearman: the rank correlation of the scores; NaN likewise, and where fp32 has one for all.
        overlap: the share of the top fifth by fp32 that is in the top fifth by this precision; NaN
            where `spearman` is.
    """

    texts: int
    tokens: int
    moved: float
    error: float
    spearman: float
    overlap: float


def package_ids(
    tokenizer: Tokenizer, vocab_size: int, count: int, longest: int
) -> list[NDArray[np.int32]]:
    """`count` texts of the package as ids, two of each at least and `longest` at most.

    ModelError when the tokenizer gives ids that a model of `vocab_size` ids lacks.
    """
    texts = [text.text for text in spread(packaged_texts(), count)]
    found = [encoding.ids for encoding in tokenizer.encode(texts, offsets=False)]
    tokenizer.check_fits(np.concatenate(found), vocab_size)
    return [ids[:longest] for ids in found if len(ids) >= 2]


def read_both(
    core: Core, ids: Sequence[NDArray[np.int32]], masked: NDArray[np.bool_], threads: int
) -> Losses:
    """float32[2, n_tokens - 1] of each text: base, and with masked[n_layers, n_heads] masked."""
    return core.run(list(ids), variants=masked[np.newaxis], n_threads=threads)


def rounding_of(exact: Losses, found: Losses) -> Rounding:
    """How far the losses `found` by a precision are from those of fp32."""
    moved = np.concatenate([gap(a, b).ravel() for a, b in zip(exact, found, strict=True)])
    return Rounding(
        len(exact),
        moved.size // 2,
        float(moved.mean()),
        *compare_scores(scores_of(exact), scores_of(found)),
    )


def gap(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> Floats:
    """|ours - theirs|; infinite where either is no number."""
    found: Floats = np.abs(ours.astype(np.float64) - theirs)
    return np.where(np.isnan(found), np.inf, found)


def scores_of(losses: Losses) -> Floats:
    """The relative rise of each document (METHOD.md section 4)."""
    return np.array([relative_rise(mean_loss(base), mean_loss(masked)) for base, masked in losses])


def compare_scores(exact: Floats, found: Floats) -> tuple[float, float, float]:
    """(error, spearman, overlap) of `Rounding`; what is no number in `found` alone ranks last.

    Where the scores have no spread, as with no head masked, nothing is ranked: the error alone is a
    number then.
    """
    known = np.isfinite(exact)
    a, b = exact[known], np.where(np.isfinite(found), found, -np.inf)[known]
    if len(a) < 2:
        return math.nan, math.nan, math.nan
    error = _share_of_spread(a, b)
    if np.ptp(a) == 0:
        return error, math.nan, math.nan
    top = top_of(a)
    return error, spearman(a, b), len(top & top_of(b)) / len(top)


def _share_of_spread(a: Floats, b: Floats) -> float:
    """`Rounding.error`; infinite where scores without a spread, or infinite ones, differ."""
    moved, spread_of_scores = (np.std(b - a) if np.isfinite(b).all() else math.inf), np.std(a)
    if moved == 0:
        return 0.0
    return float(moved / spread_of_scores) if spread_of_scores > 0 else math.inf


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation, ties by order."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Floats) -> Floats:
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


def top_of(scores: Floats) -> set[int]:
    """The positions of the top ceil(TOP * n) scores, ties by order."""
    order = np.argsort(-scores, kind="stable")
    return set(order[: math.ceil(TOP * len(scores))].tolist())
