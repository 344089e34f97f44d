"""Retrieval scores: a map of all heads, the best with their intervals, whether samples suffice."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attninfluence.base.whole_number import as_whole_number
from attninfluence.heads.stability import share_option, stability_of
from attninfluence.views.drawing import Scale, svg, svg_line
from attninfluence.views.heatmap import heatmap_svg, heatmap_top
from attninfluence.views.table import table_html, wide
from attninfluence.views.view import View, quiet
from attninfluence.views.words import count, escape, number, percent, plural

if TYPE_CHECKING:
    from attninfluence.heads.head_table import HeadTable
    from attninfluence.heads.pairs import Head
    from attninfluence.heads.stability import Stability

TITLE = "Retrieval heads"
NEIGHBOURS = 5  # heads listed on either side of the border
WORDS_HEADS = 10  # heads listed in plain text
WORDS_WIDTH = 79
FROM_VERSION_1 = (
    "These heads come from a heads.json of version 1, which holds standard errors only: the "
    "intervals are the scores ± 1.96 standard errors."
)


def heads_view(heads: HeadTable, max_heads: int | None) -> View:
    """The view of a `HeadScores`; at most `max_heads` heads are listed, None lists all."""
    if max_heads is not None and as_whole_number("max_heads", max_heads) < 1:
        raise ValueError(f"max_heads must be at least 1, or None for all, not {max_heads}")
    stability = stability_of(heads)
    listed, left_out = _listed(heads, max_heads)
    body = [
        f"<p>{escape(_what_was_found(heads))}</p>",
        f"<p>Are these samples enough? <b>{escape(stability.sentence)}</b></p>",
        wide("Map of retrieval scores", _map(heads)),
        quiet("Outlined: the selected heads." if heads.selected else ""),
        _table(heads, stability, listed),
    ]
    notes = [left_out] if left_out else []
    notes += [FROM_VERSION_1] if heads.interval is None and heads.n_counted > 1 else []
    body += map(quiet, notes)
    return View(TITLE, "".join(body), heads_words(heads))


def _what_was_found(heads: HeadTable) -> str:
    layers, width = heads.scores.shape
    return (
        f"{count(len(heads.selected))} of {plural(heads.scores.size, 'head')} selected"
        f"{_by(heads)}; {plural(layers, 'layer')} of {plural(width, 'head')}. A score is the mean "
        f"share of an answer's tokens that the head copies, over the {count(heads.n_counted)} of "
        f"{plural(heads.samples, 'probe sample')} that count; the model answered "
        f"{percent(heads.success_rate, 1)} of the samples."
    )


def _by(heads: HeadTable) -> str:
    """The rule of the selection in brackets, where the options name one."""
    fraction, threshold = (share_option(heads, name) for name in ("fraction", "threshold"))
    if fraction is not None:
        return f" (the highest {100 * fraction:.3g} %)"
    return "" if threshold is None else f" (scores from {threshold:g})"


def _map(heads: HeadTable) -> str:
    layers, width = heads.scores.shape
    label = f"Retrieval scores of {plural(layers, 'layer')} of {plural(width, 'head')}"
    if heads.n_counted:
        label += (
            f"; the highest is {number(float(heads.scores.max()))} at {_name(heads.ranking()[0])}"
        )
    return heatmap_svg(heads.scores, heads.selected, label=f"{label}; the selected are outlined")


def _name(head: Head) -> str:
    return f"layer {head[0]}, head {head[1]}"


def _listed(heads: HeadTable, most: int | None) -> tuple[list[Head | None], str]:
    """The heads to list, None at a gap, and a sentence on what is left out.

    The selected come first, then the others, each by score; where not all have room, the best and
    those on either side of the border have.
    """
    chosen = set(heads.selected)
    ranking = heads.ranking()
    order = [head for head in ranking if head in chosen]
    n_selected = len(order)
    order += [head for head in ranking if head not in chosen]
    if most is None or len(order) <= most:
        return list(order), ""
    after = min(NEIGHBOURS, most // 2, len(order) - n_selected) if n_selected else most
    if n_selected + after <= most:
        kept: list[Head | None] = list(order[: n_selected + after])
    else:
        before = min(NEIGHBOURS, (most - after) // 2)
        kept = [*order[: most - after - before], None]
        kept += order[n_selected - before : n_selected + after]
    shown = sum(head is not None for head in kept)
    return kept, (
        f"{count(shown)} of {count(len(order))} heads are listed; view(max_heads=None) lists all."
    )


def _table(heads: HeadTable, stability: Stability, listed: Sequence[Head | None]) -> str:
    has_share = heads.sample_share is not None
    top = heatmap_top(heads.bounds())
    border = "" if math.isnan(stability.border) else ", border dashed"
    columns = [("head", "left"), ("score", ""), ("95 % interval", "")]
    columns += [("selection", "left")]
    columns += [("samples it copies in", "")] if has_share else []
    columns += [(f"0 to {top:.1f}{border}", "left")]
    rows = []
    for head in listed:
        if head is None:
            rows.append(["…"] + [""] * (len(columns) - 1))
            continue
        row = [_name(head), number(float(heads.scores[head])), _interval(heads, head)]
        row.append(_state(heads, stability, head))
        row += [_share(heads, head)] if has_share else []
        rows.append([*row, _range_svg(heads, head, stability.border, top)])
    return table_html(columns, rows, "The heads with the highest scores")


def _interval(heads: HeadTable, head: Head) -> str:
    low, high = heads.bounds()[:, head[0], head[1]]
    return "–" if math.isnan(low) else f"{number(low)} to {number(high)}"


def _share(heads: HeadTable, head: Head) -> str:
    share = np.nan if heads.sample_share is None else float(heads.sample_share[head])
    return "–" if math.isnan(share) else percent(share, 1)


def _state(heads: HeadTable, stability: Stability, head: Head) -> str:
    state = "selected" if head in heads.selected else "left out"
    near = head in stability.doubtful or head in stability.rivals
    return f"{state}, within chance" if near else state


def _range_svg(heads: HeadTable, head: Head, border: float, top: float) -> str:
    """The score as a point on its interval, from 0 to `top`, with the border."""
    score = float(heads.scores[head])
    low, high = (float(end) for end in heads.bounds()[:, head[0], head[1]])
    x = Scale(0.0, top, 5.0, 155.0)
    body = [svg_line(5, 8, 155, 8, "grid")]
    if not math.isnan(border) and border <= top:
        body.append(svg_line(x(border), 0, x(border), 16, "cut"))
    if not math.isnan(low):
        body.append(svg_line(x(low), 8, max(x(high), x(low) + 1), 8, "reach"))
    if not math.isnan(score):
        body.append(f'<circle class="point" cx="{x(score):.1f}" cy="8" r="3.2"/>')
    return svg(160, 16, f"{number(score)}, interval {_interval(heads, head)}", body)


def heads_words(heads: HeadTable) -> str:
    """A `HeadScores` in lines of at most 80 characters."""
    stability = stability_of(heads)
    layers, width = heads.scores.shape
    lines = [
        f"HeadScores: {count(len(heads.selected))} of {plural(heads.scores.size, 'head')} selected"
        f"{_by(heads)}; {plural(layers, 'layer')} of {plural(width, 'head')}",
        f"  {count(heads.n_counted)} of {plural(heads.samples, 'sample')} counted, "
        f"{percent(heads.success_rate, 1)} answered",
        *textwrap.wrap(
            f"Are these samples enough? {stability.sentence}",
            WORDS_WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
        ),
    ]
    if heads.n_counted:
        lines += _words_table(heads, stability)
    return "\n".join(lines)


def _words_table(heads: HeadTable, stability: Stability) -> list[str]:
    listed, left_out = _listed(heads, WORDS_HEADS)
    digits = len(str(max(heads.scores.shape) - 1))
    lines = []
    for head in listed:
        if head is None:
            lines.append("  ...")
            continue
        name = f"layer {head[0]:>{digits}}, head {head[1]:>{digits}}"
        interval = f"({_interval(heads, head)})"
        state = _state(heads, stability, head)
        lines.append(f"  {name}  {number(float(heads.scores[head]))} {interval:<16}  {state}")
    return [*lines, *([f"  {left_out}"] if left_out else [])]
