"""What bf16 and int8 do to the losses of a model, measured while it is open in fp32."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attninfluence._core import Model as Core
from attninfluence.heads.file import ROUNDED
from attninfluence.heads.pairs import Head
from attninfluence.scores.rounding import package_ids, read_both, rounding_of

if TYPE_CHECKING:
    from attninfluence.model.model import Model

# Some 1,500 tokens: the mean over them is within a tenth of that over ten times as many.
TEXTS = 12
LONGEST = 128
DIGITS = 2  # in which machines of different kernels agree


def moves_by_rounding(model: Model, heads: Iterable[Head]) -> dict[str, float]:
    """By how many nats the loss of a token moves on average in bf16 and in int8.

    model: opened in fp32; it is opened again in each precision meanwhile. heads: masked in the
    second of both readings.
    """
    ids = package_ids(model.tokenizer, model.vocab_size, TEXTS, min(LONGEST, model.context))
    masked = model.mask_matrix(heads)
    exact = read_both(model.core, ids, masked, model.threads)
    moves = {}
    for precision in ROUNDED:
        found = read_both(Core(model.path, precision), ids, masked, model.threads)
        moves[precision] = _rounded(rounding_of(exact, found).moved)
    return moves


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else math.inf
