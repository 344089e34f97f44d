"""Documents scored: options, windows, readings, chunks, batches; the Scorer of a dataset."""

from __future__ import annotations

from attninfluence.scoring.batches import score, score_batches
from attninfluence.scoring.scorer import AtLeast, Scorer

__all__ = ["AtLeast", "Scorer", "score", "score_batches"]
