"""What scoring returns: losses, spans, tokens, one document, all of them; and how they look."""

from __future__ import annotations

from attninfluence.scores.document_score import DocumentScore
from attninfluence.scores.scores import Scores
from attninfluence.scores.span_ranks import RankedSpan
from attninfluence.scores.spans import SpanScore
from attninfluence.scores.token_losses import TokenLosses

__all__ = ["DocumentScore", "RankedSpan", "Scores", "SpanScore", "TokenLosses"]
