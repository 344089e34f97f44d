"""One document of a `Scores` as data: its row, and with detail="token" its tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from attninfluence.scores.span_ranks import RankedSpan, SpanChoice, locate_spans, rank_spans
from attninfluence.scores.spans import SpanScore
from attninfluence.scores.statuses import STATUS_MEANING
from attninfluence.scores.token_losses import TokenLosses, TokenRows
from attninfluence.views.words import count, number, plural, visible

if TYPE_CHECKING:
    from attninfluence.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, repr=False)
class DocumentRow:
    """The fields of a `DocumentScore`, which says what they are, and what can be worked out."""

    score: float
    base_loss: float
    ref_loss: float
    n_tokens: int
    n_scored: int
    status: str
    truncated: bool
    repaired: bool
    partly_counted: bool = False
    control_score: float | None = None
    control_loss: float | None = None
    message: str = ""
    spans: list[SpanScore] | None = None
    token_rows: TokenRows | None = field(default=None, compare=False)
    tokenizer: Tokenizer | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return visible(f"{type(self).__name__}: {self.sentence()}")

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
                f"{count(self.n_scored)} of {self.tokens_told()}",
            ]
        else:
            parts = [self.status, f"no score, {self.tokens_told()}"]
        if self.control_score is not None and self.n_scored:
            parts.append(f"control score {number(self.control_score)}")
        flags = ("truncated", "partly_counted", "repaired")
        parts += [flag.replace("_", " ") for flag in flags if getattr(self, flag)]
        told = ", ".join(parts)
        if self.status != "ok":
            told += f" ({self.message or STATUS_MEANING.get(self.status, '')})"
        return told

    def tokens_told(self) -> str:
        """How many tokens it has, or how many at least, in words."""
        return f"{'over ' if self.partly_counted else ''}{plural(self.n_tokens, 'token')}"

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
        if self.token_rows is None:
            raise ValueError("losses of tokens were not kept: score with detail='token'")
        if self.text is None:
            raise ValueError("spans need a text, and this document has none")
        located = locate_spans(self.text, spans)
        return rank_spans(self.text, located, *self.token_rows.scored_in_text())
