"""Which parts of a document lean on the heads most: its spans by their rise in loss.

A span's score is relative to its own base loss, so a short or an easy span may have a high one and
yet hardly matter. What ranks is therefore the rise itself: the sum of reference loss - base loss
over the span's tokens, in nats. Over spans that cover the text without overlap it adds up to the
document's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from attninfluence.scores.spans import SPAN_KINDS, SpanScore, as_spans, find_spans, score_spans
from attninfluence.views.words import clip, number, plural, signed, visible

SpanChoice: TypeAlias = str | re.Pattern[str] | Iterable[tuple[int, int]]
SPAN_CHOICE = f"{' or '.join(repr(kind) for kind in SPAN_KINDS)}, a regular expression of text"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RankedSpan(SpanScore):
    """A span with its text and what it adds to the document's rise.

    rise: the sum of reference loss - base loss over its scored tokens, in nats; 0.0 without one.
    share: of the document's rise; NaN where that is not above zero.
    """

    text: str
    rise: float
    share: float

    def __repr__(self) -> str:
        share = "" if math.isnan(self.share) else f", {number(100 * self.share, 1)} %"
        return (
            f"RankedSpan({self.start}:{self.stop}, rise {signed(self.rise)} nats{share}, score "
            f"{number(self.score)}, {plural(self.n_scored, 'token')}: "
            f"{visible(repr(clip(self.text, 60)))})"
        )


def locate_spans(text: str, spans: SpanChoice) -> NDArray[np.int64]:
    """int64[n, 2]: (start, stop) in characters of the spans that a caller names.

    "line" and "sentence" divide the text; another string is a regular expression, like a compiled
    one, and its matches that are not empty are the spans; anything else holds (start, stop) pairs.
    ValueError for an expression that is none and for pairs that cannot be, TypeError for the rest.
    """
    if isinstance(spans, str) and spans in SPAN_KINDS:
        return find_spans(text, spans)
    if isinstance(spans, str):
        spans = _compiled(spans)
    if isinstance(spans, re.Pattern) and isinstance(spans.pattern, str):
        found = [match.span() for match in spans.finditer(text) if match.group()]
        return np.array(found, dtype=np.int64).reshape(-1, 2)
    if isinstance(spans, Iterable):
        return as_spans(spans, "spans")
    raise TypeError(f"spans must be {SPAN_CHOICE} or (start, stop) pairs, got {spans!r}")


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise ValueError(
            f"spans must be {SPAN_CHOICE} or (start, stop) pairs; "
            f"{expression!r} is no regular expression: {error}"
        ) from None


def rank_spans(
    text: str,
    spans: NDArray[np.int64],
    first_characters: NDArray[np.int64],
    losses: NDArray[np.float32],
) -> list[RankedSpan]:
    """The spans by their rise, the highest first; those without a scored token last.

    spans: int64[n, 2] in characters. first_characters: int64[n_scored], where each scored token
    starts. losses: float32[readings, n_scored]: base, reference and, if there is one, control.
    Spans of the same rise keep the order of the text.
    """
    base, ref = losses[0].astype(np.float64), losses[1].astype(np.float64)
    total = float(np.sum(ref - base))
    ranked = [
        _ranked(span, text[span.start : span.stop], total)
        for span in score_spans(spans, first_characters, losses)
    ]
    return sorted(ranked, key=_order)


def _ranked(span: SpanScore, text: str, total: float) -> RankedSpan:
    rise = (span.ref_loss - span.base_loss) * span.n_scored if span.n_scored else 0.0
    values = {name: getattr(span, name) for name in SpanScore.__slots__}
    return RankedSpan(**values, text=text, rise=rise, share=rise / total if total > 0 else math.nan)


def _order(span: RankedSpan) -> tuple[bool, bool, float, int]:
    has_no_rise = math.isnan(span.rise)
    return not span.n_scored, has_no_rise, 0.0 if has_no_rise else -span.rise, span.start
