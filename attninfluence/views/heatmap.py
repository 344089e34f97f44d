"""The scores of all heads, a cell each: rows layers, columns heads."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.views.drawing import svg, svg_text
from attninfluence.views.palette import SEQUENTIAL_LIGHT
from attninfluence.views.words import escape, number


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
    parts.append(svg_text(x, y + 22, "0"))
    parts.append(svg_text(x + width, y + 22, f"{top:.1f}", anchor="end"))
    parts.append(svg_text(x + width / 2, y + 22, "retrieval score", anchor="middle"))
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
        svg_text(left + heads * size / 2, 11, "head", anchor="middle"),
        svg_text(0, top_margin - 6, "layer"),
    ]
    for head in range(0, heads, every):
        body.append(
            svg_text(left + (head + 0.5) * size, top_margin - 6, str(head), anchor="middle")
        )
    for layer in range(layers):
        y = top_margin + layer * size
        if layer % every == 0:
            body.append(svg_text(left - 8, y + size / 2 + 3.5, str(layer), anchor="end"))
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
    return svg(width, bottom + 28, label, body)
