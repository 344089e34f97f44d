"""One document of a `Scores`: its row, and with detail="token" its text token by token."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING

from attninfluence.base.frame import to_frame
from attninfluence.scores.spans import SpanScore
from attninfluence.scores.statuses import STATUS_MEANING
from attninfluence.scores.token_losses import TokenLosses, TokenRows
from attninfluence.views.words import count, number, plural, visible

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from attninfluence.scores.span_ranks import RankedSpan, SpanChoice
    from attninfluence.tokenizer.tokenizer import Tokenizer
    from attninfluence.views.view import View


@dataclass(frozen=True, slots=True, repr=False)
class DocumentScore:
    """One document of a `Scores`; the fields are its columns.

    Attributes:
        message: a sentence on why there is no score, for some of the documents without one.
        spans: with detail "line", "sentence" or own spans.
        token_rows: with `tokenizer` what `token_losses` reads, with detail "token".
    """

    score: float
    base_loss: float
    ref_loss: float
    n_tokens: int
    n_scored: int
    status: str
    truncated: bool
    repaired: bool
    control_score: float | None = None
    control_loss: float | None = None
    message: str = ""
    spans: list[SpanScore] | None = None
    token_rows: TokenRows | None = field(default=None, compare=False)
    tokenizer: Tokenizer | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return visible(f"DocumentScore: {self.sentence()}")

    def _repr_html_(self) -> str:
        return self.view()._repr_html_()

    @property
    def text(self) -> str | None:
        """The text as it was tokenised, with detail "token"; None for input_ids and for no text."""
        return None if self.token_rows is None else self.token_rows.text

    def sentence(self) -> str:
        """The row in words: status, score, losses, tokens, and what is special about it."""
        if self.n_scored:
            parts = [
                f"{self.status}, score {number(self.score)}",
                f"loss {number(self.base_loss)} → {number(self.ref_loss)} nats over "
                f"{count(self.n_scored)} of {plural(self.n_tokens, 'token')}",
            ]
        else:
            parts = [self.status, f"no score, {plural(self.n_tokens, 'token')}"]
        if self.control_score is not None and self.n_scored:
            parts.append(f"control score {number(self.control_score)}")
        parts += [word for word in ("truncated", "repaired") if getattr(self, word)]
        told = ", ".join(parts)
        if self.status != "ok":
            told += f" ({self.message or STATUS_MEANING.get(self.status, '')})"
        return told

    def token_losses(self) -> TokenLosses:
        """The tokens and their losses.

        Raises:
            ValueError: unless scored with detail="token".
        """
        if self.token_rows is None:
            raise ValueError("losses of tokens were not kept: score with detail='token'")
        return self.token_rows.with_strings(self.tokenizer)

    def rank_spans(self, spans: SpanChoice = "sentence") -> list[RankedSpan]:
        """Parts of the text by how much their loss rises without the heads, the highest first.

        A span's `rise` is the sum over its tokens of reference loss - base loss, in nats; those of
        all sentences, or lines, add up to the document's. Its `score` is relative to its own base
        loss and favours short and easy spans, so it does not rank.

        Args:
            spans: "sentence", "line", a regular expression whose matches are the spans (compiled,
                or a string), or (start, stop) pairs in characters.

        Raises:
            ValueError: without detail="token", for input_ids, which have no text, and for spans
                that cannot be.
        """
        from attninfluence.scores.span_ranks import locate_spans, rank_spans

        if self.token_rows is None:
            raise ValueError("losses of tokens were not kept: score with detail='token'")
        if self.text is None:
            raise ValueError("spans need a text, and this document has none")
        located = locate_spans(self.text, spans)
        return rank_spans(self.text, located, *self.token_rows.scored_in_text())

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
        from attninfluence.scores.document_view import document_view

        return document_view(self, max_tokens=max_tokens, spans=spans, limit=limit)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page of `view` to a .html file, or `to_arrow` to a .parquet or .jsonl file.

        A file is written whole or not at all.

        Raises:
            ValueError: for another suffix.
            OSError: when the file cannot be written.
        """
        from attninfluence.views.saving import save_result

        save_result(path, view=self.view, table=self.to_arrow)
