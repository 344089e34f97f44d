"""One document: its totals, its tokens on colours, its spans by their rise in loss."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.whole_number import as_whole_number
from attninfluence.scores.spans import SPAN_KINDS
from attninfluence.scores.statuses import STATUS_MEANING
from attninfluence.views.pieces import text_pieces
from attninfluence.views.table import table_html
from attninfluence.views.tokens import (
    PIECE_CHARACTERS,
    colored_tokens_html,
    tokens_limit,
    tokens_scale_svg,
)
from attninfluence.views.view import View, quiet
from attninfluence.views.words import count, escape, excerpt, number, plural, signed

if TYPE_CHECKING:
    from attninfluence.scores.document_row import DocumentRow
    from attninfluence.scores.span_ranks import RankedSpan, SpanChoice
    from attninfluence.scores.token_losses import TokenLosses

MOST_SPANS = 10
EXCERPT_CHARACTERS = 160

NOT_KEPT = "Its tokens were not kept; ai.score(texts, detail='token') keeps them to be shown."


class _Shown(NamedTuple):
    """The pieces of a document to draw, with their losses in nats, and how many tokens they are."""

    pieces: Sequence[str]
    base: NDArray[np.float64]
    ref: NDArray[np.float64]
    tokens: int


def document_view(
    document: DocumentRow, *, max_tokens: int | None, spans: SpanChoice, limit: float | None
) -> View:
    """See `DocumentScore.view`."""
    if max_tokens is not None and as_whole_number("max_tokens", max_tokens) < 1:
        raise ValueError(f"max_tokens must be at least 1, or None for all, got {max_tokens}")
    if limit is not None and not 0 < limit < math.inf:
        raise ValueError(f"limit must be above 0 nats, or None to fit the document, got {limit}")
    body = [_totals(document)]
    words = [repr(document)]
    if document.token_rows is None:
        body.append(quiet(NOT_KEPT))
        words.append(NOT_KEPT)
    elif document.n_tokens:
        body.append(_tokens(document, max_tokens, limit))
        if document.text is not None:
            piece, lines = _spans(document, spans)
            body.append(piece)
            words += lines
    return View("AttentionInfluence of a document", "".join(body), "\n".join(words))


# -------------------------------------------------------------------------------- totals


def _totals(document: DocumentRow) -> str:
    facts = [
        f"loss {number(document.base_loss)} → {number(document.ref_loss)} nats without the heads",
        f"{count(document.n_scored)} of {document.tokens_told()} scored",
        f"status {document.status}",
    ]
    if document.control_score is not None:
        facts.insert(1, f"control score {number(document.control_score)}")
    rest = escape("".join(f" · {fact}" for fact in facts))
    totals = f'<p class="lead"><strong>score {number(document.score)}</strong>{rest}</p>'
    return totals + "".join(map(quiet, _remarks(document)))


def _remarks(document: DocumentRow) -> list[str]:
    """What the totals do not say: why there is no score, what of the text was not read as it is."""
    remarks = []
    if document.status != "ok":
        meaning = STATUS_MEANING.get(document.status, "")
        why = f" ({document.message})" if document.message else ""
        remarks.append(f"{document.status}: {meaning}{why}.")
    if document.truncated:
        remarks.append("Truncated: what lies behind the window was not read.")
    if document.partly_counted:
        remarks.append("Partly counted: the text goes on after the tokens that are counted.")
    if document.repaired:
        remarks.append("Repaired: what was not valid Unicode was read as U+FFFD (\ufffd).")
    return remarks


# -------------------------------------------------------------------------------- tokens


def _tokens(document: DocumentRow, max_tokens: int | None, limit: float | None) -> str:
    losses = document.token_losses()
    shown = _shown(document, losses, max_tokens)
    limit = limit or tokens_limit([losses.delta])
    tokens = colored_tokens_html(
        shown.pieces, shown.base, shown.ref, limit=limit, max_tokens=len(shown.pieces)
    )
    return tokens_scale_svg(limit) + tokens + quiet(_left_out(shown, len(losses)))


def _shown(document: DocumentRow, losses: TokenLosses, max_tokens: int | None) -> _Shown:
    """The first `max_tokens` tokens as pieces of the text, or by themselves where there is none."""
    text = document.text
    size = len(losses) if max_tokens is None else min(max_tokens, len(losses))
    if text is None or losses.offsets is None:
        names = [f"{token} " for token in losses.ids[:size]]
        pieces = names if losses.tokens is None else losses.tokens[:size]
        base, ref = (array[:size].astype(np.float64) for array in (losses.base, losses.ref))
        return _Shown(pieces, base, ref, size)
    stops = losses.offsets[:, 1]
    end = int(stops[:size].max(initial=0))
    while size < len(losses) and stops[size] <= end:  # further bytes of the last character
        size += 1
    pieces, base, ref = text_pieces(
        text, losses.offsets[:size], losses.base[:size], losses.ref[:size]
    )
    # What the tokenizer stripped from the end.
    if size == len(losses) and end < len(text) and not document.partly_counted:
        pieces.append(text[end:])
        base, ref = np.append(base, np.nan), np.append(ref, np.nan)
    return _Shown(pieces, base, ref, size)


def _left_out(shown: _Shown, tokens: int) -> str:
    sentences = []
    if shown.tokens < tokens:
        sentences.append(
            f"The first {count(shown.tokens)} of {plural(tokens, 'token')}; "
            "view(max_tokens=None) shows all."
        )
    long = sum(len(piece) > PIECE_CHARACTERS for piece in shown.pieces)
    if long:
        sentences.append(
            f"Of {plural(long, 'piece')} longer than {PIECE_CHARACTERS} characters the beginning "
            "is shown."
        )
    return " ".join(sentences)


# --------------------------------------------------------------------------------- spans


def _spans(document: DocumentRow, spans: SpanChoice) -> tuple[str, list[str]]:
    """The spans as HTML, and the first three of them as plain lines."""
    ranked = document.rank_spans(spans)
    one, many = _noun(spans)
    scored = [span for span in ranked if span.n_scored]
    if not scored:
        return quiet(f"No {one} with a scored token."), []
    caption = f"{many.capitalize()} by their rise in loss, the highest first"
    names = ("rank", "rise, nats", "share", one, "score", "rise a token", "tokens")
    table = table_html(
        [(name, "text" if name == one else "") for name in names],
        [_row(rank, span) for rank, span in enumerate(scored[:MOST_SPANS], start=1)],
        caption,
    )
    lines = [f"  {signed(span.rise, 2):>8} nats  {excerpt(span.text, 60)}" for span in scored[:3]]
    return (
        f"<h2>Where it leans on the heads</h2><p>{escape(_meaning(document, one, many))}</p>"
        f"{table}{quiet(_rest(many, ranked, scored))}",
        [f"{caption}:", *lines],
    )


def _noun(spans: SpanChoice) -> tuple[str, str]:
    if isinstance(spans, str) and spans in SPAN_KINDS:
        return spans, f"{spans}s"
    return ("match", "matches") if isinstance(spans, str | re.Pattern) else ("span", "spans")


def _meaning(document: DocumentRow, one: str, many: str) -> str:
    total = (document.ref_loss - document.base_loss) * document.n_scored
    rises = f"{'rises' if total > 0 else 'falls'} by {number(abs(total), 2)} nats in all"
    shares = "" if total > 0 else ", so that there are no shares of a rise"
    return (
        f"Without the heads the document's loss {rises}{shares}. "
        f"Ranked are {many} by what they add to it, the sum of reference − base loss over their "
        f"tokens. The score of a {one} is relative to its own base loss: where that is small, it "
        "may be high and add little."
    )


def _row(rank: int, span: RankedSpan) -> tuple[str, ...]:
    return (
        str(rank),
        signed(span.rise, 2),
        "–" if math.isnan(span.share) else f"{number(100 * span.share, 1)} %",
        f"<bdi>{escape(excerpt(span.text, EXCERPT_CHARACTERS))}</bdi>",
        number(span.score),
        signed(span.ref_loss - span.base_loss, 2),
        count(span.n_scored),
    )


def _rest(many: str, ranked: Sequence[RankedSpan], scored: Sequence[RankedSpan]) -> str:
    """A word on the spans that the table leaves out."""
    sentences = []
    if len(scored) > MOST_SPANS:
        added = math.fsum(span.rise for span in scored[MOST_SPANS:])
        sentences.append(
            f"{MOST_SPANS} of {count(len(scored))} {many}; the others add {signed(added, 2)} nats "
            "together, and rank_spans() lists them all."
        )
    if len(ranked) > len(scored):
        unscored = count(len(ranked) - len(scored))
        sentences.append(f"Without a scored token: {unscored} of {count(len(ranked))} {many}.")
    return " ".join(sentences)
