"""A model's losses, logits and scores beside transformers'."""

from __future__ import annotations

from attninfluence.scores.rounding import Rounding
from attninfluence.verify.compare import verify
from attninfluence.verify.ranking import Ranking
from attninfluence.verify.table import Difference, ErrorTable

__all__ = ["Difference", "ErrorTable", "Ranking", "Rounding", "verify"]
