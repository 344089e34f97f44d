"""What a search for heads raises when it can tell none."""

from __future__ import annotations

from attninfluence.heads.head_scores import HeadScores


class RetrievalError(ValueError):
    """No sample counts, so that no head can be told from another.

    Attributes:
        result: the `HeadScores` that could be said: every score NaN and nothing selected.
    """

    def __init__(self, message: str, result: HeadScores) -> None:
        super().__init__(message)
        self.result = result
