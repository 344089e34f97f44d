"""What `score` returns: one row a document, as arrays, a table or a file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.frame import to_frame
from attninfluence.base.whole_number import as_whole_number
from attninfluence.scores.document_score import DocumentScore
from attninfluence.scores.score_rows import ScoreRows, five_numbers
from attninfluence.scores.token_losses import TokenLosses
from attninfluence.scores.view import scores_view
from attninfluence.views.saving import Saved

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from attninfluence.views.view import View


@dataclass(repr=False, eq=False, slots=True)
class Scores(ScoreRows, Saved):
    """Scores of n documents, in the order they were given (METHOD.md section 4).

    score, base_loss, ref_loss: float64[n], NaN where `status` says there is none; losses
    are means in nats over the scored tokens. n_tokens, n_scored: int64[n], tokens of
    the whole document (BOS included) and tokens whose loss is in the means; n_tokens is
    0 for what was not tokenised. status: n strings. truncated, repaired: bool[n].
    partly_counted: bool[n], whether the text goes on after the tokens that n_tokens counts.
    control_score, control_loss: float64[n], or None when no control was asked for.
    messages: a sentence for some of the documents without a score, by index.
    spans: a list of `SpanScore` a document, with detail "line", "sentence" or own spans.
    metadata: model fingerprint, precision, kernel, heads and every option, for the record.
    token_rows, tokenizer: what `token_losses` reads, with detail "token".
    """

    def __iter__(self) -> Iterator[DocumentScore]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> DocumentScore:
        """The record of one document; IndexError past the end."""
        index = self._index(index)
        return DocumentScore(
            score=float(self.score[index]),
            base_loss=float(self.base_loss[index]),
            ref_loss=float(self.ref_loss[index]),
            n_tokens=int(self.n_tokens[index]),
            n_scored=int(self.n_scored[index]),
            status=self.status[index],
            truncated=bool(self.truncated[index]),
            repaired=bool(self.repaired[index]),
            partly_counted=bool(self.partly_counted[index]),
            control_score=_item(self.control_score, index),
            control_loss=_item(self.control_loss, index),
            message=self.messages.get(index, ""),
            spans=None if self.spans is None else self.spans[index],
            token_rows=None if self.token_rows is None else self.token_rows[index],
            tokenizer=self.tokenizer,
        )

    def __repr__(self) -> str:
        names = ["score", "base_loss", "ref_loss"]
        names += [] if self.control_score is None else ["control_score", "control_loss"]
        lines = [_quartiles(name, getattr(self, name)) for name in names]
        return "\n".join([f"Scores: {self.sentence()}", *lines])

    def token_losses(self, index: int) -> TokenLosses:
        """The tokens of one document and their losses; needs detail="token".

        ValueError with another detail, IndexError past the end.
        """
        return self[index].token_losses()

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame of the columns; ImportError, saying so, without pandas."""
        return to_frame(self.columns())

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table of the columns, null where there is no number.

        With detail "token" or spans it has their lists too; the metadata is JSON in
        the schema, under "attninfluence".
        """
        from attninfluence.scores.table import to_table

        return to_table(self)

    def view(
        self,
        *,
        domains: Iterable[str | None] | None = None,
        texts: Iterable[Any] | None = None,
        names: Iterable[Any] | None = None,
        fraction: float | str = 0.2,
        examples: int = 3,
    ) -> View:
        """What the scores look like: distribution and cut by domain, best and worst documents.

        Scores of different domains are not comparable, so the cut, the best and the worst are each
        domain's own; without domains all documents are one. At most 12 domains are shown, those
        with the most documents scored.

        Args:
            domains: a name for each document, None where there is none.
            texts: the documents' texts, to read the best and the worst; with detail="token" they
                are there already.
            names: what to call each document beside its position.
            fraction: of each domain's scored documents above the cut, as `attninfluence select`
                has it.
            examples: best and worst documents a domain.

        Raises:
            ValueError: for domains, texts or names of another number than the scores, for a
                fraction outside (0, 1] and for examples below 0.
            TypeError: for a single text in place of domains, texts or names.
        """
        return scores_view(
            self, domains=domains, texts=texts, names=names, fraction=fraction, examples=examples
        )

    def _index(self, index: int) -> int:
        if not -len(self) <= as_whole_number("the number of a document", index) < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        return range(len(self))[index]


def _item(values: NDArray[np.float64] | None, index: int) -> float | None:
    return None if values is None else float(values[index])


def _quartiles(name: str, values: NDArray[np.float64]) -> str:
    low, first, middle, third, high = five_numbers(values)
    if math.isnan(middle):
        return f"  {name:<14} none"
    return (
        f"  {name:<14} min {low:.4f}  25% {first:.4f}  median {middle:.4f}  "
        f"75% {third:.4f}  max {high:.4f}"
    )
