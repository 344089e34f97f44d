"""The scores of all heads, a cell each: rows layers, columns heads."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.views.drawing import color_bar, svg, svg_text
from attninfluence.views.palette import SEQUENTIAL_LIGHT
from attninfluence.views.words import escape, number

# Cells of a map that name themselves on hover; in a larger one, only the outlined do: each name
# takes some 50 bytes of a page.
MAX_NAMED = 2500
LEFT, TOP = 46.0, 34.0  # room for the numbers of layers and heads


def _level(value: float, top: float) -> int:
    levels = len(SEQUENTIAL_LIGHT)
    return min(levels - 1, max(0, int(value / top * levels))) if top > 0 else 0


def _colors(value: float, top: float) -> tuple[str, str]:
    """The classes of a cell and of the number on it."""
    if math.isnan(value):
        return "qn", ""
    level = _level(value, top)
    return f"q{level}", f"q{level}t"


def _named_cell(
    x: float, y: float, size: float, value: float, top: float, where: str, show_number: bool
) -> str:
    css, front = _colors(value, top)
    cell = (
        f'<rect class="{css}" x="{x:g}" y="{y:g}" width="{size - 1:g}" height="{size - 1:g}">'
        f"<title>{escape(f'{where}: {number(value)}')}</title></rect>"
    )
    if show_number:
        cell += (
            f'<text class="{front}" x="{x + (size - 1) / 2:.1f}" y="{y + size / 2 + 3.5:.1f}" '
            f'text-anchor="middle" pointer-events="none">{number(value, 2)}</text>'
        )
    return cell


def _unnamed_cells(cells: Iterable[tuple[float, float, float]], size: float, top: float) -> str:
    """Cells (x, y, value), those of one colour as one path."""
    paths: dict[str, list[str]] = {}
    for x, y, value in cells:
        paths.setdefault(_colors(value, top)[0], []).append(f"M{x:g} {y:g}")
    side = f"h{size - 1:g}v{size - 1:g}h{1 - size:g}z"
    return "".join(
        f'<path class="{css}" d="{"".join(start + side for start in starts)}"/>'
        for css, starts in sorted(paths.items())
    )


def _cell_size(heads: int) -> float:
    """Units a side: as large as a notebook's width holds, as small as can be told apart."""
    sizes = ((10, 44.0), (16, 30.0), (24, 22.0), (40, 18.0))
    return next((size for most, size in sizes if heads <= most), 13.0)


def heatmap_top(values: NDArray[np.float64]) -> float:
    """The value at the upper end of a heatmap's colours: the largest, rounded up to a tenth."""
    finite = values[np.isfinite(values)]
    return max(0.1, math.ceil(float(finite.max()) * 10 - 1e-9) / 10) if finite.size else 1.0


def _scale_bar(x: float, y: float, width: float, top: float) -> list[str]:
    return [
        *color_bar(x, y, width),
        svg_text(x, y + 22, "0"),
        svg_text(x + width, y + 22, f"{top:.1f}", anchor="end"),
        svg_text(x + width / 2, y + 22, "retrieval score", anchor="middle"),
    ]


def heatmap_svg(
    values: ArrayLike, outlined: Iterable[tuple[int, int]] = (), *, label: str | None = None
) -> str:
    """Layer x head heatmap as SVG, rows layers from 0 at the top, columns heads.

    `values` float64[layers, heads], NaN where there is none; the pairs (layer, head) of `outlined`
    get a border. Small maps show their numbers; a cell names its head and value on hover, in a map
    of more than `MAX_NAMED` cells an outlined one.
    """
    grid = np.asarray(values, dtype=np.float64)
    chosen = {(int(layer), int(head)) for layer, head in outlined}
    layers, heads = grid.shape
    size, top = _cell_size(heads), heatmap_top(grid)
    bottom, width = TOP + layers * size + 12, max(LEFT + heads * size + 2, 240.0)
    body = [
        *_axes(layers, heads, size),
        *_cells(grid, chosen, size, top),
        *(_outline(layer, head, size) for layer, head in sorted(chosen)),
        *_scale_bar(LEFT, bottom, min(width - LEFT - 2, 260.0), top),
    ]
    if label is None:
        label = f"Retrieval scores of {layers} layers of {heads} heads; {len(chosen)} selected"
    return svg(width, bottom + 28, label, body)


def _axes(layers: int, heads: int, size: float) -> list[str]:
    every = 1 if size >= 22 else 4
    names = [
        svg_text(LEFT + heads * size / 2, 11, "head", anchor="middle"),
        svg_text(0, TOP - 6, "layer"),
    ]
    columns = [
        svg_text(LEFT + (head + 0.5) * size, TOP - 6, str(head), anchor="middle")
        for head in range(0, heads, every)
    ]
    rows = [
        svg_text(LEFT - 8, TOP + (layer + 0.5) * size + 3.5, str(layer), anchor="end")
        for layer in range(0, layers, every)
    ]
    return [*names, *columns, *rows]


def _cells(
    grid: NDArray[np.float64], chosen: Container[tuple[int, int]], size: float, top: float
) -> list[str]:
    named, unnamed = [], []
    for layer, head in np.ndindex(grid.shape):
        x, y, value = LEFT + head * size, TOP + layer * size, float(grid[layer, head])
        is_chosen = (layer, head) in chosen
        if is_chosen or grid.size <= MAX_NAMED:
            where = f"layer {layer}, head {head}{' (selected)' * is_chosen}"
            named.append(_named_cell(x, y, size, value, top, where, size >= 30))
        else:
            unnamed.append((x, y, value))
    return [*named, _unnamed_cells(unnamed, size, top)]


def _outline(layer: int, head: int, size: float) -> str:
    return (
        f'<rect class="outline" x="{LEFT + head * size + 0.5:.1f}" '
        f'y="{TOP + layer * size + 0.5:.1f}" width="{size - 2:g}" height="{size - 2:g}"/>'
    )
