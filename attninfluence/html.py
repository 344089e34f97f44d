"""Pieces of HTML and SVG: a heatmap, a histogram, coloured tokens. Data in, one escaped string out.

The pieces hold no script and fetch nothing. They are coloured by classes whose colours `style()`
defines once for light and once for dark, so a page or a notebook cell that shows a piece inside an
element of class `ati` needs that style sheet beside it and nothing else (`fragment` does both).
Text from documents goes through `escape`, which also makes visible what would otherwise vanish or
rearrange the line: control characters, direction overrides, lone surrogates.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIGHT = {
    "page": "#fdfcf9",
    "panel": "#f5f2ea",
    "ink": "#1f2328",
    "quiet": "#5a5f66",
    "rule": "#d9d4c7",
    "accent": "#a8481a",
    "bar": "#8d887c",
    "control": "#2f6a99",
    "nan": "#e4e0d6",
}
DARK = {
    "page": "#16181c",
    "panel": "#1e2126",
    "ink": "#e6e3dc",
    "quiet": "#a5a39c",
    "rule": "#383c43",
    "accent": "#f0945c",
    "bar": "#73767c",
    "control": "#74aec6",
    "nan": "#2b2e34",
}
# A cell's background and the colour of the number on it, from the lowest value to the highest.
SEQUENTIAL_LIGHT = (
    ("#f3f0e8", "#1f2328"),
    ("#e0e5e4", "#1f2328"),
    ("#c8d9e0", "#1f2328"),
    ("#adcadb", "#1f2328"),
    ("#8cb8d1", "#1f2328"),
    ("#699fc4", "#14171a"),
    ("#3c74a1", "#ffffff"),
    ("#285d8c", "#ffffff"),
    ("#17446f", "#ffffff"),
)
SEQUENTIAL_DARK = (
    ("#20242a", "#e6e3dc"),
    ("#222d36", "#e6e3dc"),
    ("#233a49", "#e6e3dc"),
    ("#254a5e", "#e6e3dc"),
    ("#285b74", "#e6e3dc"),
    ("#4f95b4", "#0f1114"),
    ("#74aec6", "#0f1114"),
    ("#9bc7d8", "#0f1114"),
    ("#c6e3ec", "#0f1114"),
)
# A token's background by the rise of its loss: a step below zero (blue) and a step above (orange).
FALL_LIGHT = ("#e3ecf4", "#cbddec", "#aecbe3", "#8db5d8", "#6b9dc9")
RISE_LIGHT = ("#fbe7d9", "#f8d2b7", "#f4b890", "#ee9b6b", "#e57f4c")
FALL_DARK = ("#1f2a35", "#21384c", "#224867", "#22567d", "#245f90")
RISE_DARK = ("#33271f", "#4d301f", "#68391d", "#81401b", "#9a4717")
STEPS = len(RISE_LIGHT)

_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff]"
)


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"


def visible(text: str) -> str:
    """The text with each character that cannot be shown replaced by a sign that names it.

    Control characters other than tab and newline become control pictures; direction marks and
    overrides, zero-width spaces, byte order marks and lone surrogates become `⟨U+202E⟩`. The result
    can always be encoded as UTF-8.
    """
    return _UNSHOWABLE.sub(_picture, text)


def escape(text: str) -> str:
    """`visible(text)` escaped for HTML, in an element and in an attribute alike."""
    return html.escape(visible(text), quote=True)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters of the text; a shortened one ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals and a true minus sign; "–" where there is none (None, NaN)."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{digits}f}"
    if text.startswith("-"):
        text = text[1:] if float(text.replace(",", "")) == 0 else "−" + text[1:]
    return text


def count(value: int) -> str:
    """A whole number with thousands separated: 12,345."""
    return f"{int(value):,}"


def plural(number: int, noun: str) -> str:
    """A count and its noun: 1 row, 2 rows."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def percent(part: float, whole: float, digits: int = 1) -> str:
    """A share in per cent; "–" where the whole is nothing."""
    return f"{100 * part / whole:.{digits}f} %" if whole else "–"


# ---------------------------------------------------------------------------------- style sheet


def _variables(
    colors: dict[str, str],
    sequential: Iterable[tuple[str, str]],
    fall: Sequence[str],
    rise: Sequence[str],
) -> str:
    lines = [f"--{name}:{value};" for name, value in colors.items()]
    lines += [f"--q{i}:{back};--q{i}t:{front};" for i, (back, front) in enumerate(sequential)]
    lines += [f"--f{i}:{color};" for i, color in enumerate(fall, 1)]
    lines += [f"--r{i}:{color};" for i, color in enumerate(rise, 1)]
    return "".join(lines)


_PIECES = """
.ati svg{display:block;max-width:100%;height:auto;font:11px system-ui,sans-serif}
.ati svg text{fill:var(--quiet);font-variant-numeric:tabular-nums}
.ati svg .axis{stroke:var(--quiet);fill:none} .ati svg .grid{stroke:var(--rule);fill:none}
.ati svg .bar{fill:var(--bar)} .ati svg .chosen{fill:var(--accent)}
.ati svg .cut{stroke:var(--accent);stroke-width:1.5;stroke-dasharray:4 3}
.ati svg .control{fill:var(--control)}
.ati svg text.strong{fill:var(--ink)} .ati svg text.accent{fill:var(--accent);font-weight:600}
.ati svg .outline{fill:none;stroke:var(--accent);stroke-width:2.5}
.ati svg .qn{fill:var(--nan)} .ati svg .unfilled{fill:var(--panel)}
.ati .tokens{white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4;unicode-bidi:plaintext;
font:.84rem/1.75 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.ati .tokens span{border-radius:2px;padding:.12em 0;-webkit-box-decoration-break:clone;
box-decoration-break:clone}
.ati .tokens .end{color:var(--quiet)} .ati .tokens .none{color:var(--quiet)}
.ati .tokens,.ati svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}
"""


def style() -> str:
    """The style sheet of all pieces: their colours in light and in dark, within class `ati`."""
    light = _variables(LIGHT, SEQUENTIAL_LIGHT, FALL_LIGHT, RISE_LIGHT)
    dark = _variables(DARK, SEQUENTIAL_DARK, FALL_DARK, RISE_DARK)
    steps = range(1, STEPS + 1)
    cells = "".join(
        f".ati svg .q{i}{{fill:var(--q{i})}}.ati svg text.q{i}t{{fill:var(--q{i}t)}}"
        for i in range(len(SEQUENTIAL_LIGHT))
    )
    signs = "".join(
        f".ati .{sign}{i}{{background:var(--{sign}{i})}}"
        f".ati svg .{sign}{i}{{fill:var(--{sign}{i})}}"
        for sign in "fr"
        for i in steps
    )
    return (
        f".ati{{color-scheme:light;{light}color:var(--ink)}}"
        f"@media screen and (prefers-color-scheme:dark){{.ati{{color-scheme:dark;{dark}}}}}"
        f"{_PIECES}{cells}{signs}"
    )


def fragment(piece: str) -> str:
    """A piece with its style sheet, to stand alone (in a notebook cell, say)."""
    return f'<div class="ati"><style>{style()}</style>{piece}</div>'


# -------------------------------------------------------------------------------------- drawing


def _svg(width: float, height: float, label: str, body: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(body)}</svg>"
    )


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _text(x: float, y: float, text: str, *, anchor: str = "start", classes: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}{_class(classes)}>{escape(text)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    return f'<path class="{classes}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (steps of 1, 2 or 5 times a power of ten) within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _tick_label(value: float, step: float) -> str:
    return number(value, max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2)


def nice_limit(value: float) -> float:
    """The smallest round number not below the value; 1.0 where there is none above zero."""
    if not (value > 0 and math.isfinite(value)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * m >= value * 0.999999)


# -------------------------------------------------------------------------------------- heatmap


def _level(value: float, top: float) -> int:
    levels = len(SEQUENTIAL_LIGHT)
    return min(levels - 1, max(0, int(value / top * levels))) if top > 0 else 0


def _cell(
    x: float, y: float, size: float, value: float, top: float, where: str, show_number: bool
) -> str:
    if math.isnan(value):
        css, front, text = "qn", "", "–"
    else:
        level = _level(value, top)
        css, front, text = f"q{level}", f"q{level}t", f"{value:.2f}"
    hint = f"<title>{escape(f'{where}: {number(value)}')}</title>"
    cell = (
        f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{size - 1:g}" '
        f'height="{size - 1:g}">{hint}</rect>'
    )
    if show_number:
        cell += (
            f'<text class="{front}" x="{x + (size - 1) / 2:.1f}" y="{y + size / 2 + 3.5:.1f}" '
            f'text-anchor="middle" pointer-events="none">{text}</text>'
        )
    return cell


def heatmap_top(values: NDArray[np.float64]) -> float:
    """The value at the upper end of a heatmap's colours: the largest, rounded up to a tenth."""
    finite = values[np.isfinite(values)]
    return max(0.1, math.ceil(float(finite.max()) * 10 - 1e-9) / 10) if finite.size else 1.0


def _scale_bar(x: float, y: float, width: float, top: float) -> list[str]:
    levels = len(SEQUENTIAL_LIGHT)
    step = width / levels
    parts = [
        f'<rect class="q{i}" x="{x + i * step:.1f}" y="{y:.1f}" '
        f'width="{step + 0.3:.1f}" height="9"/>'
        for i in range(levels)
    ]
    parts.append(_text(x, y + 22, "0"))
    parts.append(_text(x + width, y + 22, f"{top:.1f}", anchor="end"))
    parts.append(_text(x + width / 2, y + 22, "retrieval score", anchor="middle"))
    return parts


def heatmap_svg(
    values: ArrayLike, outlined: Iterable[tuple[int, int]] = (), *, label: str | None = None
) -> str:
    """Layer x head heatmap as SVG, rows layers from 0 at the top, columns heads.

    `values` float64[layers, heads], NaN where there is none; the pairs (layer, head) of `outlined`
    get a border. Small maps show their numbers; every cell names its head and value on hover.
    """
    grid = np.asarray(values, dtype=np.float64)
    chosen = {(int(layer), int(head)) for layer, head in outlined}
    layers, heads = grid.shape
    size = 44.0 if heads <= 10 else 30.0 if heads <= 16 else 22.0 if heads <= 24 else 18.0
    left, top_margin, top = 46.0, 34.0, heatmap_top(grid)
    every = 1 if size >= 22 else 4
    body = [
        _text(left + heads * size / 2, 11, "head", anchor="middle"),
        _text(0, top_margin - 6, "layer"),
    ]
    for head in range(0, heads, every):
        body.append(_text(left + (head + 0.5) * size, top_margin - 6, str(head), anchor="middle"))
    for layer in range(layers):
        y = top_margin + layer * size
        if layer % every == 0:
            body.append(_text(left - 8, y + size / 2 + 3.5, str(layer), anchor="end"))
        for head in range(heads):
            where = f"layer {layer}, head {head}" + (" (selected)" * ((layer, head) in chosen))
            body.append(
                _cell(left + head * size, y, size, float(grid[layer, head]), top, where, size >= 30)
            )
    body += [
        f'<rect class="outline" x="{left + head * size + 0.5:.1f}" '
        f'y="{top_margin + layer * size + 0.5:.1f}" width="{size - 2:g}" height="{size - 2:g}"/>'
        for layer, head in sorted(chosen)
    ]
    bottom = top_margin + layers * size + 12
    width = max(left + heads * size + 2, 240.0)
    body += _scale_bar(left, bottom, min(width - left - 2, 260.0), top)
    if label is None:
        label = f"Retrieval scores of {layers} layers of {heads} heads; {len(chosen)} selected"
    return _svg(width, bottom + 28, label, body)


# ------------------------------------------------------------------------------------ histogram


def histogram_bins(
    values: ArrayLike, span: tuple[float, float], cut: float | None = None, bins: int = 30
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges float64[m + 1] and counts int64[m] of about `bins` equal bins that cover the span.

    With a cut, a border falls on it exactly: what is at or above the cut is in the bins right of
    it, everything else left of it. Values beyond the span are counted in the outermost bins; NaN
    and infinities are not counted.
    """
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    low, high = span
    is_range = high - low > 1e-9 * max(abs(low), abs(high), 1e-300)
    width = (high - low) / bins if is_range else 1.0
    anchor = low if cut is None else cut
    left = max(1, math.ceil((anchor - low) / width - 1e-9)) if cut is not None else 0
    right = max(1, math.ceil((high - anchor) / width - 1e-9))
    index = np.clip(np.floor((data - anchor) / width), -left, right - 1).astype(np.int64) + left
    edges = anchor + width * np.arange(-left, right + 1, dtype=np.float64)
    return edges, np.bincount(index, minlength=left + right).astype(np.int64)


def axis_span(values: ArrayLike) -> tuple[float, float]:
    """The range of scores to draw: all of them, or for many the middle 99 %."""
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    if not data.size:
        return 0.0, 1.0
    ends = (0, 100) if data.size < 200 else (0.5, 99.5)
    low, high = (float(end) for end in np.percentile(data, ends))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _bars(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    cut: float | None,
    x: _Scale,
    y: _Scale,
    base: float,
) -> list[str]:
    parts = []
    for start, stop, n in zip(edges[:-1], edges[1:], counts, strict=True):
        if n == 0:
            continue
        css = "chosen" if cut is not None and start >= cut - (stop - start) / 2 else "bar"
        x0, x1, y0 = x(start), x(stop), y(float(n))
        hint = escape(f"{number(start)} to {number(stop)}: {count(int(n))}")
        parts.append(
            f'<rect class="{css}" x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0 - 1, 0.5):.1f}" '
            f'height="{base - y0:.1f}"><title>{hint}</title></rect>'
        )
    return parts


class _Scale:
    """A straight map from data to drawing units."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        self.low, self.start = low, start
        self.slope = (stop - start) / (high - low) if high > low else 0.0

    def __call__(self, value: float) -> float:
        return self.start + (float(value) - self.low) * self.slope


def _control_stroke(control: ArrayLike, x: _Scale, y: float) -> list[str]:
    """A stroke from the 5th to the 95th percentile of the control's scores."""
    data = np.asarray(control, dtype=np.float64)
    data = data[np.isfinite(data)]
    if not data.size:
        return []
    low, high = (float(end) for end in np.percentile(data, (5, 95)))
    middle, half = (x(low) + x(high)) / 2, max((x(high) - x(low)) / 2, 2.5)
    hint = escape(f"control heads: {number(low)} to {number(high)}")
    return [
        f'<rect class="control" x="{middle - half:.1f}" y="{y:.1f}" width="{2 * half:.1f}" '
        f'height="4"><title>{hint}</title></rect>'
    ]


def histogram_svg(
    values: ArrayLike,
    span: tuple[float, float],
    *,
    cut: float | None = None,
    control: ArrayLike | None = None,
    label: str,
    bins: int = 30,
    width: float = 340.0,
) -> str:
    """Histogram of one domain's scores as SVG: bars at or above the cut stand out, others do not.

    `span` is the range of the axis (share it among panels; it is widened to hold the cut),
    `control` a second set of scores, of which a stroke under the axis shows the middle 90 %.
    Without a finite value the picture says so.
    """
    data = np.asarray(values, dtype=np.float64)
    low, high = span
    if cut is not None:
        low, high = min(low, cut), max(high, cut)
    if not np.isfinite(data).any():
        return _svg(
            width, 60.0, f"{label}: no scores", [_text(width / 2, 34, "no scores", anchor="middle")]
        )
    edges, counts = histogram_bins(data, (low, high), cut, bins)
    highest = max(1, int(counts.max()))
    left, base, bin_width = 30.0, 132.0, float(edges[1] - edges[0])
    x = _Scale(low - bin_width, high + bin_width, left, width - 8)
    y = _Scale(0.0, float(highest), base, 24.0)
    ticks = nice_ticks(low - bin_width, high + bin_width)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    body = [
        _line(left, y(highest), width - 8, y(highest), "grid"),
        _text(left - 5, y(highest) + 4, count(highest), anchor="end"),
        _text(left - 5, base + 1, "0", anchor="end"),
    ]
    body += _bars(edges, counts, cut, x, y, base)
    body.append(_line(left, base, width - 8, base, "axis"))
    body += [] if control is None else _control_stroke(control, x, base + 1.5)
    for tick in ticks:
        body.append(_line(x(tick), base, x(tick), base + 6, "axis"))
        body.append(
            _text(
                min(max(x(tick), left + 4), width - 16),
                base + 19,
                _tick_label(tick, step),
                anchor="middle",
            )
        )
    if cut is not None:
        near_end = x(cut) > width * 0.6
        body.append(_line(x(cut), 10, x(cut), base, "cut"))
        body.append(
            _text(
                x(cut) + (-5 if near_end else 5),
                17,
                f"cut {number(cut)}",
                anchor="end" if near_end else "start",
                classes="accent",
            )
        )
    return _svg(width, base + 25, label, body)


# --------------------------------------------------------------------------------------- tokens


def token_class(delta: float, limit: float) -> str:
    """The class of a token by its rise in loss: r1..r5 above zero, f1..f5 below, "" about zero.

    The steps divide (-limit, limit) evenly, with zero in the middle of the uncoloured one; beyond
    the limit the last step stays. NaN (a token without a loss) is "none".
    """
    if math.isnan(delta):
        return "none"
    step = min(STEPS, int(abs(delta) / limit * (STEPS + 0.5) + 0.5))
    return "" if step == 0 else f"{'r' if delta > 0 else 'f'}{step}"


def _token(text: str, base: float, ref: float, limit: float) -> str:
    shown = escape(clip(text, 200)).replace("\n", '<i class="end">↵</i>\n')
    if math.isnan(base) or math.isnan(ref):
        return f'<span class="none" title="not scored">{shown}</span>'
    delta = ref - base
    sign = "" if delta < 0 else "+"
    hint = f"loss {number(base)} → {number(ref)} without the heads ({sign}{number(delta)})"
    return f'<span{_class(token_class(delta, limit))} title="{escape(hint)}">{shown}</span>'


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
        f'<rect{_class(css or "unfilled")} x="{10 + i * step:.1f}" y="2" '
        f'width="{step:.1f}" height="13"/>'
        for i, css in enumerate(classes)
    ]
    middle = width / 2
    body.append(f'<rect class="axis" x="10" y="2" width="{width - 20:g}" height="13"/>')
    body.append(_line(middle, 15, middle, 20, "axis"))
    digits = 0 if limit == round(limit) else 2
    body.append(_text(10, 31, number(-limit, digits)))
    body.append(_text(middle, 31, "0", anchor="middle", classes="strong"))
    body.append(_text(width - 10, 31, "+" + number(limit, digits), anchor="end"))
    label = (
        f"Colour scale of a token's rise in loss, from {number(-limit, digits)} nats (blue) "
        f"through 0 (no colour) to +{number(limit, digits)} nats (orange)"
    )
    body.append(_text(middle, 49, "reference loss − base loss, nats", anchor="middle"))
    return _svg(width, 54, label, body)
