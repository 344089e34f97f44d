"""A table, which scrolls by itself where the page is narrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attninfluence.views.drawing import class_attribute
from attninfluence.views.words import escape

Column = tuple[str, str]  # its name, and its class: "" for numbers, "left", or "text" that wraps


def wide(label: str, body: str) -> str:
    """What may be wider than the page: a part that scrolls, by the keyboard too."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">{body}</div>'


def table_html(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], label: str, *, header: bool = True
) -> str:
    """Rows of cells, each HTML; the first cell of a row names it."""
    names = "".join(
        f'<th scope="col"{class_attribute(css)}>{escape(name)}</th>' for name, css in columns
    )
    head = f"<thead><tr>{names}</tr></thead>" if header else ""
    body = "".join(_row(columns, row) for row in rows)
    return wide(label, f"<table>{head}<tbody>{body}</tbody></table>")


def _row(columns: Sequence[Column], row: Sequence[str]) -> str:
    first, *others = row
    cells = (
        f"<td{class_attribute(css)}>{cell}</td>"
        for (_, css), cell in zip(columns[1:], others, strict=True)
    )
    return f'<tr><th scope="row">{first}</th>{"".join(cells)}</tr>'
