"""Attention weights as pictures: a whole matrix, and a part of it enlarged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attninfluence.views.drawing import Scale, nice_ticks, svg, svg_line, svg_text
from attninfluence.views.palette import SEQUENTIAL_LIGHT
from attninfluence.views.words import clip, count, escape, number

Weights = NDArray[np.float32]

MAX_CELLS = 96  # a side of the picture; a longer document's tokens share cells
MAX_NAMED = 150  # bright cells that name themselves on hover
NAMED_FROM = 0.1
LABELLED = 24  # tokens that are written beside the picture; more get numbers
LABEL_LENGTH = 14

SIDE = 480.0
LEFT, RIGHT = 92.0, 112.0


@dataclass(frozen=True)
class Mark:
    """A range of tokens with a name: columns that are looked at, or rows that look."""

    start: int
    stop: int
    name: str


def weight_level(weight: float) -> int:
    """The colour of a weight, on a scale of square roots: small weights differ by as much."""
    return min(len(SEQUENTIAL_LIGHT) - 1, int(math.sqrt(max(weight, 0.0)) * len(SEQUENTIAL_LIGHT)))


def shown_token(text: str, limit: int = LABEL_LENGTH) -> str:
    """A token in quotation marks, short, with its line ends and tabs as signs."""
    return f"‘{clip(text.replace(chr(10), '↵').replace(chr(9), '⇥'), limit)}’"


def pooled(weights: Weights) -> tuple[Weights, NDArray[np.int64]]:
    """At most MAX_CELLS a side, each the largest weight of its tokens; and where each starts."""
    n = min(len(weights), MAX_CELLS)
    starts = -(-np.arange(n) * len(weights) // n)
    rows = np.maximum.reduceat(weights, starts, axis=0)
    return np.maximum.reduceat(rows, starts, axis=1), starts


def matrix_svg(
    weights: Weights, tokens: Sequence[str], columns: Sequence[Mark], rows: Sequence[Mark],
    label: str,
) -> str:  # fmt: skip
    """The attention matrix, queries downwards and keys to the right, with brackets at its marks.

    `weights` float32[T, T]. Where marked columns and rows meet there is a frame.
    """
    n = len(weights)
    cells, starts = pooled(weights)
    size = max(1.0, min(22.0, SIDE / len(cells)))
    side = size * len(cells)
    top = _label_height(tokens) + 14 if n <= LABELLED else 58.0
    x, y = Scale(0, n, LEFT, LEFT + side), Scale(0, n, top, top + side)
    body = [
        _triangle(len(cells), size, top),
        *_cells(cells, size, top),
        *_named(cells, starts, n, size, top),
    ]
    body += _token_labels(tokens, size, top) if n <= LABELLED else _numbers(n, x, y)
    body += [svg_text(LEFT, 11, "looked at →"), svg_text(0, top - 8, "looks ↓")]
    body += [_column_bracket(mark, x, top, side, y) for mark in columns]
    body += _row_brackets(rows, x, y)
    body += [_frame(x(c.start), y(r.start), x(c.stop), y(r.stop)) for c in columns for r in rows]
    body += weight_scale(LEFT, top + side + 16)
    return svg(LEFT + max(side, 200.0) + RIGHT, top + side + 46, label, body)


def _triangle(n: int, size: float, top: float) -> str:
    steps = "".join(f"h{size:g}v{size:g}" for _ in range(n))
    return f'<path class="q0" d="M{LEFT:g} {top:g}{steps}H{LEFT:g}z"/>'


def _cells(cells: Weights, size: float, top: float) -> list[str]:
    """All cells brighter than the ground, those of one colour as one path."""
    paths: dict[int, list[str]] = {}
    for row, column in np.argwhere(np.tril(cells) > 0):
        level = weight_level(float(cells[row, column]))
        if level:
            at = f"M{LEFT + column * size:.4g} {top + row * size:.4g}"
            paths.setdefault(level, []).append(f"{at}h{size:g}v{size:g}h{-size:g}z")
    return [f'<path class="q{level}" d="{"".join(paths[level])}"/>' for level in sorted(paths)]


def _named(cells: Weights, starts: NDArray[np.int64], n: int, size: float, top: float) -> list[str]:
    """The brightest cells once more, with what they are as a hint."""
    places = np.argwhere(cells >= NAMED_FROM)
    order = np.argsort(-cells[tuple(places.T)], kind="stable")[:MAX_NAMED]
    ends = [*starts[1:].tolist(), n]
    parts = []
    for row, column in places[order].tolist():
        weight = float(cells[row, column])
        hint = (
            f"{_span(int(starts[row]), ends[row])} at {_span(int(starts[column]), ends[column])}: "
            f"{number(weight)}"
        )
        parts.append(
            f'<rect class="q{weight_level(weight)}" x="{LEFT + column * size:.4g}" '
            f'y="{top + row * size:.4g}" width="{size:g}" height="{size:g}">'
            f"<title>{escape(hint)}</title></rect>"
        )
    return parts


def _span(start: int, stop: int) -> str:
    return f"token {start}" if stop - start == 1 else f"tokens {start} to {stop - 1}"


def _token_labels(tokens: Sequence[str], size: float, top: float) -> list[str]:
    parts = []
    for place, token in enumerate(tokens):
        middle = (place + 0.5) * size
        parts.append(svg_text(LEFT - 6, top + middle + 3.5, shown_token(token), anchor="end"))
        parts.append(slanted_text(LEFT + middle + 3, top - 6, shown_token(token)))
    return parts


def _label_height(labels: Sequence[str]) -> float:
    """Room for the slanted names of columns."""
    return 30.0 + 5.2 * max(len(shown_token(label)) for label in labels)


def slanted_text(x: float, y: float, text: str) -> str:
    """A label that rises to the right from its place."""
    place = f'x="{x:.1f}" y="{y:.1f}" transform="rotate(-55 {x:.1f} {y:.1f})"'
    return f"<text {place}>{escape(text)}</text>"


def _numbers(n: int, x: Scale, y: Scale) -> list[str]:
    parts = []
    for tick in nice_ticks(0, n - 1, 6):
        place = int(tick)
        parts.append(svg_text(x(place), y.start - 8, count(place), anchor="middle"))
        parts.append(svg_text(LEFT - 8, y(place) + 4, count(place), anchor="end"))
    return parts


def _column_bracket(mark: Mark, x: Scale, top: float, side: float, y: Scale) -> str:
    low, high = _at_least(x(mark.start), x(mark.stop))
    edge = top - 20
    bracket = f'<path class="bracket" d="M{low:.1f} {edge + 5:.1f}V{edge:.1f}H{high:.1f}v5"/>'
    guides = "".join(
        svg_line(at, edge + 5, at, top + side, "guide") for at in (x(mark.start), x(mark.stop))
    )
    return (
        guides
        + bracket
        + svg_text((low + high) / 2, edge - 6, mark.name, anchor="middle", classes="accent")
    )


def _row_brackets(marks: Sequence[Mark], x: Scale, y: Scale) -> list[str]:
    """Brackets where the rows end, with a name where there is room for one."""
    parts, free = [], -math.inf
    for mark in marks:
        low, high = _at_least(y(mark.start), y(mark.stop))
        edge, middle = x(mark.stop) + 10, (low + high) / 2 + 4
        parts.append(f'<path class="bracket" d="M{edge - 5:.1f} {low:.1f}h5V{high:.1f}h-5"/>')
        if middle >= free:
            parts.append(svg_text(edge + 6, middle, mark.name, classes="accent"))
            free = middle + 13
    return parts


def _at_least(low: float, high: float, least: float = 4.0) -> tuple[float, float]:
    """The ends of a bracket, apart enough to be seen."""
    more = max(0.0, least - (high - low)) / 2
    return low - more, high + more


def _frame(x0: float, y0: float, x1: float, y1: float) -> str:
    return (
        f'<rect class="frame" x="{x0 - 1:.1f}" y="{y0 - 1:.1f}" width="{x1 - x0 + 2:.1f}" '
        f'height="{y1 - y0 + 2:.1f}"/>'
    )


def weight_scale(x: float, y: float) -> list[str]:
    """The colours of weights from 0 to 1."""
    levels = len(SEQUENTIAL_LIGHT)
    step = 180.0 / levels
    parts = [
        f'<rect class="q{i}" x="{x + i * step:.1f}" y="{y:.1f}" width="{step + 0.3:.1f}" '
        'height="9"/>'
        for i in range(levels)
    ]
    parts += [
        svg_text(x + 180 * math.sqrt(at), y + 22, f"{at:g}", anchor=anchor)
        for at, anchor in ((0, "start"), (0.1, "middle"), (0.4, "middle"), (1, "end"))
    ]
    return [*parts, svg_text(x + 192, y + 9, "attention weight")]


def enlarged_svg(
    weights: Weights, queries: Sequence[str], keys: Sequence[str],
    outlined: Iterable[tuple[int, int]], beside: Sequence[str], label: str,
) -> str:  # fmt: skip
    """A part of the matrix, a cell for each weight: float32[rows, columns], named at both sides.

    `outlined` are (row, column) pairs; `beside` is a text to the right of each row.
    """
    size, left, top = 18.0, 130.0, _label_height(keys)
    body = [
        slanted_text(left + (i + 0.5) * size + 3, top - 6, shown_token(key))
        for i, key in enumerate(keys)
    ]
    for row, query in enumerate(queries):
        y = top + row * size
        body.append(svg_text(left - 8, y + 13, shown_token(query), anchor="end", classes="strong"))
        for column, key in enumerate(keys):
            weight = float(weights[row, column])
            hint = f"predicts {shown_token(query)}: {number(weight)} at {shown_token(key)}"
            body.append(
                f'<rect class="q{weight_level(weight)}" x="{left + column * size:g}" y="{y:g}" '
                f'width="{size - 1:g}" height="{size - 1:g}"><title>{escape(hint)}</title></rect>'
            )
        body.append(svg_text(left + len(keys) * size + 10, y + 13, beside[row]))
    body += [
        f'<rect class="outline" x="{left + column * size:g}" y="{top + row * size:g}" '
        f'width="{size - 1:g}" height="{size - 1:g}"/>'
        for row, column in outlined
    ]
    body += [svg_text(left, 11, "tokens of the needle →"), svg_text(0, top - 8, "predicts ↓")]
    return svg(left + len(keys) * size + 230, top + len(queries) * size + 6, label, body)
