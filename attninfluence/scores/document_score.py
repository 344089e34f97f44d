"""One document of a `Scores`: its row, and with detail="token" its text token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attninfluence.base.frame import to_frame
from attninfluence.scores.document_row import DocumentRow
from attninfluence.scores.document_view import document_view
from attninfluence.scores.span_ranks import SpanChoice
from attninfluence.views.saving import Saved

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from attninfluence.views.view import View


@dataclass(frozen=True, slots=True, repr=False)
class DocumentScore(DocumentRow, Saved):
    """One document of a `Scores`; the fields are its columns.

    Attributes:
        message: a sentence on why there is no score, for some of the documents without one.
        spans: with detail "line", "sentence" or own spans.
        token_rows: with `tokenizer` what `token_losses` reads, with detail "token".
    """

    def to_pandas(self) -> pandas.DataFrame:
        """One row a token, the columns of `TokenLosses.columns`, NaN where there is no loss.

        Raises:
            ValueError: unless scored with detail="token".
            ImportError: without pandas.
        """
        return to_frame(self.token_losses().columns())

    def to_arrow(self) -> pyarrow.Table:
        """One row a token, the columns of `TokenLosses.columns`, null where there is no loss.

        Raises:
            ValueError: unless scored with detail="token".
        """
        from attninfluence.scores.table import to_token_table

        return to_token_table(self.token_losses())

    def view(
        self,
        *,
        max_tokens: int | None = 2000,
        spans: SpanChoice = "sentence",
        limit: float | None = None,
    ) -> View:
        """What the document looks like: totals, its tokens by the rise of their loss, its spans.

        Tokens and spans need detail="token"; without it the totals are shown.

        Args:
            max_tokens: of the document at most so many are shown; None shows all.
            spans: which parts are ranked beneath, as in `rank_spans`.
            limit: the rise, in nats, at the ends of the colour scale, the same for documents that
                are compared; None takes what fits the document.

        Raises:
            ValueError: for max_tokens below 1, spans that cannot be, a limit not above 0.
        """
        return document_view(self, max_tokens=max_tokens, spans=spans, limit=limit)
