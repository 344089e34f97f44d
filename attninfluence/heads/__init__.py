"""Retrieval scores of a model's heads: the scores, heads.json, and what can be said of them."""

from __future__ import annotations

from attninfluence.heads.errors import RetrievalError
from attninfluence.heads.head_scores import HeadScores
from attninfluence.heads.stability import Stability

__all__ = ["HeadScores", "RetrievalError", "Stability"]
