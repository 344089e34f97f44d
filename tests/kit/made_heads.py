"""Scores of heads made up for a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attninfluence.retrieval.find import HeadScores


def head_scores(scores: Any, selected: Sequence[tuple[int, int]] = (), **other: Any) -> HeadScores:
    """A result with these scores; its other values are good for saving."""
    array = np.array(scores, dtype=np.float64)
    values = {
        "standard_error": array / 7,
        "samples": 10,
        "n_counted": 9,
        "success_rate": 0.9,
        "model_fingerprint": "0123456789abcdef",
        "options": {"seed": 3},
    }
    return HeadScores(scores=array, selected=tuple(selected), **(values | other))
