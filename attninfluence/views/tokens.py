"""A document's tokens on colours that show how much their losses rise without the heads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from attninfluence.views.drawing import class_attribute, nice_limit, svg, svg_line, svg_text
from attninfluence.views.palette import STEPS
from attninfluence.views.words import clip, count, escape, number, signed

# Of a longer piece, the beginning is shown.
PIECE_CHARACTERS = 200


def token_class(delta: float, limit: float) -> str:
    """The class of a token by its rise in loss: r1..r5 above zero, f1..f5 below, "" about zero.

    The steps divide (-limit, limit) evenly, with zero in the middle of the uncoloured one; beyond
    the limit the last step stays. NaN (a token without a loss) is "none".
    """
    if math.isnan(delta):
        return "none"
    step = min(STEPS, int(abs(delta) / limit * (STEPS + 0.5) + 0.5))
    return "" if step == 0 else f"{'r' if delta > 0 else 'f'}{step}"


def token_text(text: str) -> str:
    """A token's text as HTML, the ends of lines marked, of a long one the beginning."""
    return escape(clip(text, PIECE_CHARACTERS)).replace("\n", '<i class="end">↵</i>\n')


def _token(text: str, base: float, ref: float, limit: float) -> str:
    shown = token_text(text)
    if math.isnan(base) or math.isnan(ref):
        return f'<span class="none" title="not scored">{shown}</span>'
    delta = ref - base
    hint = f"loss {number(base)} → {number(ref)} without the heads ({signed(delta)})"
    return (
        f'<span{class_attribute(token_class(delta, limit))} title="{escape(hint)}">{shown}</span>'
    )


def tokens_limit(deltas: Iterable[ArrayLike]) -> float:
    """An end for the colour scale: the 98th percentile of |rise| over all tokens, made round."""
    parts = [np.abs(np.asarray(d, dtype=np.float64)) for d in deltas]
    whole = np.concatenate(parts) if parts else np.empty(0)
    whole = whole[np.isfinite(whole)]
    return nice_limit(float(np.percentile(whole, 98))) if whole.size else 1.0


def colored_tokens_html(
    tokens: Sequence[str],
    base: ArrayLike,
    ref: ArrayLike,
    *,
    limit: float | None = None,
    max_tokens: int = 2000,
) -> str:
    """A document's tokens, each on a colour that shows how much its loss rises without the heads.

    `tokens` n strings; `base`, `ref` float[n] losses in nats, NaN where a token has none (the first
    one, say). `limit` is the rise at the ends of the scale. At most `max_tokens` are shown, and the
    number of those left out is said.
    """
    losses = np.asarray(base, dtype=np.float64), np.asarray(ref, dtype=np.float64)
    if not len(tokens) == len(losses[0]) == len(losses[1]):
        raise ValueError(
            f"{len(tokens)} tokens need as many losses, not {len(losses[0])} base and "
            f"{len(losses[1])} reference losses"
        )
    if limit is None:
        limit = tokens_limit([losses[1] - losses[0]])
    spans = [
        _token(text, float(b), float(r), limit)
        for text, b, r in zip(tokens[:max_tokens], *losses, strict=False)
    ]
    more = len(tokens) - max_tokens
    rest = f'<p class="quiet">{count(more)} more tokens are not shown.</p>' if more > 0 else ""
    return f'<div class="tokens" dir="auto">{"".join(spans)}</div>{rest}'


def tokens_scale_svg(limit: float, width: float = 300.0) -> str:
    """The colour scale of `colored_tokens_html`: eleven steps with zero in the middle, in nats."""
    classes = [f"f{i}" for i in range(STEPS, 0, -1)] + [""] + [f"r{i}" for i in range(1, STEPS + 1)]
    step = (width - 20) / len(classes)
    body = [
        f'<rect{class_attribute(css or "unfilled")} x="{10 + i * step:.1f}" y="2" '
        f'width="{step:.1f}" height="13"/>'
        for i, css in enumerate(classes)
    ]
    middle = width / 2
    body.append(f'<rect class="axis" x="10" y="2" width="{width - 20:g}" height="13"/>')
    body.append(svg_line(middle, 15, middle, 20, "axis"))
    digits = 0 if limit == round(limit) else 2
    body.append(svg_text(10, 31, number(-limit, digits)))
    body.append(svg_text(middle, 31, "0", anchor="middle", classes="strong"))
    body.append(svg_text(width - 10, 31, "+" + number(limit, digits), anchor="end"))
    label = (
        f"Colour scale of a token's rise in loss, from {number(-limit, digits)} nats (blue) "
        f"through 0 (no colour) to +{number(limit, digits)} nats (orange)"
    )
    body.append(svg_text(middle, 49, "reference loss − base loss, nats", anchor="middle"))
    return svg(width, 54, label, body)
