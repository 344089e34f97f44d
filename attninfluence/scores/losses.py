"""From the losses of tokens to the loss and the score of a document or a span."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Below this base loss, in nats, a relative rise says nothing (METHOD.md section 4).
DEGENERATE_LOSS = 0.01


def mean_loss(losses: NDArray[np.float32]) -> float:
    """The mean of losses[n] in nats, summed in double precision in token order.

    NaN for no losses, and when the sum is not finite. The order of summation is
    fixed, so that a document's mean does not depend on what it was read with.
    """
    if losses.size == 0:
        return math.nan
    total = float(np.cumsum(losses, dtype=np.float64)[-1])
    return total / losses.size if math.isfinite(total) else math.nan


def relative_rise(base_loss: float, ref_loss: float) -> float:
    """influence = (ref_loss - base_loss) / base_loss (METHOD.md section 4).

    NaN when either loss is NaN or the base loss is below `DEGENERATE_LOSS`.
    """
    if not base_loss >= DEGENERATE_LOSS or math.isnan(ref_loss):
        return math.nan
    return (ref_loss - base_loss) / base_loss
