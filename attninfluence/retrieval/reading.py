"""What one probe sample showed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SampleReading:
    """What one sample showed.

    ratio: float64[layers, heads], steps copied / answer tokens.
    recall: share of the answer's tokens (teacher forced) or words (greedy) that were right.
    success: whether the recall is enough.
    """

    ratio: NDArray[np.float64]
    recall: float
    success: bool
