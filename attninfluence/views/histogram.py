"""How the scores of a domain are distributed, and where the cut falls."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.views.drawing import Scale, nice_ticks, svg, svg_line, svg_text, tick_label
from attninfluence.views.words import count, escape, number, plural

MANY, TAIL = 200, 0.005  # of many scores, the share beyond each end of the axis


def histogram_edges(
    span: tuple[float, float], cut: float | None = None, bins: int = 30
) -> NDArray[np.float64]:
    """Edges float64[m + 1] of about `bins` equal bins that cover the span.

    With a cut, an edge falls on it exactly.
    """
    low, high = span
    is_range = high - low > 1e-9 * max(abs(low), abs(high), 1e-300)
    width = (high - low) / bins if is_range else 1.0
    anchor = low if cut is None else cut
    left = max(1, math.ceil((anchor - low) / width - 1e-9)) if cut is not None else 0
    right = max(1, math.ceil((high - anchor) / width - 1e-9))
    return anchor + width * np.arange(-left, right + 1, dtype=np.float64)


def histogram_counts(values: ArrayLike, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Values in each bin, int64[m]: at or above its lower edge and below its upper one.

    Values beyond the edges are counted in the outermost bins; NaN and infinities are not counted.
    The counts of pieces add up to those of the whole.
    """
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    bins = len(edges) - 1
    index = np.clip(np.searchsorted(edges, data, side="right") - 1, 0, bins - 1)
    return np.bincount(index, minlength=bins).astype(np.int64)


def histogram_bins(
    values: ArrayLike, span: tuple[float, float], cut: float | None = None, bins: int = 30
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges float64[m + 1] and counts int64[m] of about `bins` equal bins that cover the span.

    With a cut, a border falls on it exactly: what is at or above the cut is in the bins right of
    it, everything else left of it.
    """
    edges = histogram_edges(span, cut, bins)
    return edges, histogram_counts(values, edges)


def axis_span(values: ArrayLike) -> tuple[float, float]:
    """The range of scores to draw: all of them, or for many the middle 99 %."""
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    if not data.size:
        return 0.0, 1.0
    tail = axis_tail(data.size)
    low, high = (float(end) for end in np.quantile(data, (tail, 1 - tail)))
    return apart(low, high)


def axis_tail(scores: int) -> float:
    """The share of so many scores that lies beyond each end of the axis."""
    return TAIL if scores >= MANY else 0.0


def apart(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis, made to differ."""
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def beyond_sentence(beyond: int) -> str:
    """Where the scores are that lie beyond the axis; nothing of none."""
    if not beyond:
        return ""
    return (
        f"{plural(beyond, 'score')} beyond the ends of the axis "
        f"{'is' if beyond == 1 else 'are'} counted in the outermost bars."
    )


def _bars(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    cut: float | None,
    x: Scale,
    y: Scale,
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


def _short(documents: int) -> str:
    """A count that fits left of the axis; every bar has the whole one."""
    if documents < 100_000:
        return count(documents)
    return f"{documents / 1e6:.1f}M" if documents >= 999_500 else f"{documents / 1e3:.0f}k"


def _control_stroke(ends: tuple[float, float], x: Scale, y: float) -> str:
    low, high = ends
    middle, half = (x(low) + x(high)) / 2, max((x(high) - x(low)) / 2, 2.5)
    hint = escape(f"control heads: {number(low)} to {number(high)}")
    return (
        f'<rect class="control" x="{middle - half:.1f}" y="{y:.1f}" width="{2 * half:.1f}" '
        f'height="4"><title>{hint}</title></rect>'
    )


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
    span = widened(span, cut)
    edges, counts = histogram_bins(values, span, cut, bins)
    others = np.asarray([] if control is None else control, dtype=np.float64)
    others = others[np.isfinite(others)]
    low, high = np.percentile(others, (5, 95)) if others.size else (math.nan, math.nan)
    ends = (float(low), float(high)) if others.size else None
    return bars_svg(edges, counts, span, cut=cut, control=ends, label=label, width=width)


def widened(span: tuple[float, float], cut: float | None) -> tuple[float, float]:
    """The span with the cut inside."""
    return span if cut is None else (min(span[0], cut), max(span[1], cut))


def bars_svg(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    span: tuple[float, float],
    *,
    cut: float | None = None,
    control: tuple[float, float] | None = None,
    label: str,
    width: float = 340.0,
) -> str:
    """A histogram that is counted already, as SVG: `histogram_svg` of its edges and counts.

    `edges` float64[m + 1] come from `histogram_edges` of the span and the cut, which lies in the
    span; `control` is where the stroke under the axis begins and ends.
    """
    if not counts.any():
        nothing = svg_text(width / 2, 34, "no scores", anchor="middle")
        return svg(width, 60.0, f"{label}: no scores", [nothing])
    left, base, bin_width = 46.0, 132.0, float(edges[1] - edges[0])
    low, high = span[0] - bin_width, span[1] + bin_width
    x = Scale(low, high, left, width - 8)
    highest = int(counts.max())
    y = Scale(0.0, float(highest), base, 24.0)
    body = [
        svg_line(left, y(highest), width - 8, y(highest), "grid"),
        svg_text(left - 5, y(highest) + 4, _short(highest), anchor="end"),
        svg_text(left - 5, base + 1, "0", anchor="end"),
    ]
    body += _bars(edges, counts, cut, x, y, base)
    body.append(svg_line(left, base, width - 8, base, "axis"))
    body += [] if control is None else [_control_stroke(control, x, base + 1.5)]
    body += _score_axis(low, high, x, base, left, width)
    body += [] if cut is None else _cut_line(cut, x, base, width)
    return svg(width, base + 25, label, body)


def _score_axis(
    low: float, high: float, x: Scale, base: float, left: float, width: float
) -> list[str]:
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    parts = []
    for tick in ticks:
        place = min(max(x(tick), left + 4), width - 16)
        parts.append(svg_line(x(tick), base, x(tick), base + 6, "axis"))
        parts.append(svg_text(place, base + 19, tick_label(tick, step), anchor="middle"))
    return parts


def _cut_line(cut: float, x: Scale, base: float, width: float) -> list[str]:
    near_end = x(cut) > width * 0.6
    place, anchor = x(cut) + (-5 if near_end else 5), "end" if near_end else "start"
    return [
        svg_line(x(cut), 10, x(cut), base, "cut"),
        svg_text(place, 17, f"cut {number(cut)}", anchor=anchor, classes="accent"),
    ]
