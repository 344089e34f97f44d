"""Attention weights as pictures: a whole matrix, and a part of it enlarged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attninfluence.views.drawing import Scale, color_bar, nice_ticks, svg, svg_line, svg_text
from attninfluence.views.palette import SEQUENTIAL_LIGHT
from attninfluence.views.words import clip, count, escape, number, visible

Weights = NDArray[np.float32]

MAX_CELLS = 96  # a side of the picture; a longer document's tokens share cells
MAX_NAMED = 150  # bright cells that name themselves on hover
NAMED_FROM = 0.1
LABELLED = 24  # tokens that are written beside the picture; more get numbers
LABEL_LENGTH = 14

SIDE = 480.0
RIGHT = 112.0  # room for the names of rows


@dataclass(frozen=True)
class Mark:
    """A range of tokens with a name: columns that are looked at, or rows that look."""

    start: int
    stop: int
    name: str


@dataclass(frozen=True)
class _Grid:
    """Where the cells of a picture are, in drawing units."""

    left: float
    top: float
    size: float
    n: int

    def x(self, column: float) -> float:
        return self.left + column * self.size

    def y(self, row: float) -> float:
        return self.top + row * self.size


def weight_level(weight: float) -> int:
    """The colour of a weight, on a scale of square roots: small weights differ by as much."""
    return min(len(SEQUENTIAL_LIGHT) - 1, int(math.sqrt(max(weight, 0.0)) * len(SEQUENTIAL_LIGHT)))


def shown_token(text: str, limit: int = LABEL_LENGTH) -> str:
    """A token in quotation marks, short, with its line ends and tabs as signs."""
    return f"‘{clip(visible(text).replace(chr(10), '↵').replace(chr(9), '⇥'), limit)}’"


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
    grid = _grid(len(cells), tokens)
    side = grid.x(len(cells)) - grid.left
    x = Scale(0, n, grid.left, grid.left + side)
    y = Scale(0, n, grid.top, grid.top + side)
    body = [_triangle(grid), *_cells(cells, grid), *_named(cells, [*starts.tolist(), n], grid)]
    body += _token_labels(tokens, grid) if n <= LABELLED else _numbers(n, x, y)
    body += [svg_text(grid.left, 11, "looked at →"), svg_text(0, grid.top - 8, "looks ↓")]
    body += [_column_bracket(mark, x, grid.top, grid.top + side) for mark in columns]
    body += _row_brackets(rows, x, y)
    body += [_frame(x(c.start), y(r.start), x(c.stop), y(r.stop)) for c in columns for r in rows]
    body += weight_scale(grid.left, grid.top + side + 16)
    return svg(grid.left + max(side, 200.0) + RIGHT, grid.top + side + 46, label, body)


def _grid(n: int, tokens: Sequence[str]) -> _Grid:
    """Cells that fill the side, with room for the labels of the tokens or their numbers."""
    size = min(22.0, SIDE / n)
    if len(tokens) <= LABELLED:
        return _Grid(92.0, _label_height(tokens) + 14, size, n)
    return _Grid(52.0, 58.0, size, n)


def _triangle(grid: _Grid) -> str:
    steps = f"h{grid.size:g}v{grid.size:g}" * grid.n
    return f'<path class="q0" d="M{grid.left:g} {grid.top:g}{steps}H{grid.left:g}z"/>'


def _cells(cells: Weights, grid: _Grid) -> list[str]:
    """All cells brighter than the ground, those of one colour as one path."""
    paths: dict[int, list[str]] = {}
    side = f"h{grid.size:g}v{grid.size:g}h{-grid.size:g}z"
    for row, column in np.argwhere(np.tril(cells) > 0).tolist():
        level = weight_level(float(cells[row, column]))
        if level:
            paths.setdefault(level, []).append(f"M{grid.x(column):.4g} {grid.y(row):.4g}{side}")
    return [f'<path class="q{level}" d="{"".join(paths[level])}"/>' for level in sorted(paths)]


def _named(cells: Weights, starts: Sequence[int], grid: _Grid) -> list[str]:
    """The brightest cells once more, with what they are as a hint; `starts` ends with T."""
    places = np.argwhere(cells >= NAMED_FROM)
    order = np.argsort(-cells[tuple(places.T)], kind="stable")[:MAX_NAMED]
    parts = []
    for row, column in places[order].tolist():
        weight = float(cells[row, column])
        looks, seen = (range_words(starts[at], starts[at + 1]) for at in (row, column))
        parts.append(
            f'<rect class="q{weight_level(weight)}" x="{grid.x(column):.4g}" '
            f'y="{grid.y(row):.4g}" width="{grid.size:g}" height="{grid.size:g}">'
            f"<title>{escape(f'{looks} at {seen}: {number(weight)}')}</title></rect>"
        )
    return parts


def range_words(start: int, stop: int) -> str:
    """A range of tokens in words."""
    return f"token {start}" if stop - start == 1 else f"tokens {start} to {stop - 1}"


def _token_labels(tokens: Sequence[str], grid: _Grid) -> list[str]:
    parts = []
    for place, token in enumerate(tokens):
        x, y, name = grid.x(place + 0.5), grid.y(place + 0.5), shown_token(token)
        parts.append(svg_text(grid.left - 6, y + 3.5, name, anchor="end"))
        parts.append(slanted_text(x + 3, grid.top - 6, name))
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
        parts.append(svg_text(x.start - 8, y(place) + 4, count(place), anchor="end"))
    return parts


def _column_bracket(mark: Mark, x: Scale, top: float, bottom: float) -> str:
    low, high = _at_least(x(mark.start), x(mark.stop))
    edge = top - 20
    bracket = f'<path class="bracket" d="M{low:.1f} {edge + 5:.1f}V{edge:.1f}H{high:.1f}v5"/>'
    guides = "".join(
        svg_line(at, edge + 5, at, bottom, "guide") for at in (x(mark.start), x(mark.stop))
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
    numbers = [
        svg_text(x + 180 * math.sqrt(at), y + 22, f"{at:g}", anchor=anchor)
        for at, anchor in ((0, "start"), (0.1, "middle"), (0.4, "middle"), (1, "end"))
    ]
    return [*color_bar(x, y, 180.0), *numbers, svg_text(x + 192, y + 9, "attention weight")]


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
