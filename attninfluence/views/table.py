"""A table, which scrolls by itself, by the keyboard too, where it is wider than its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attninfluence.views.words import Html, escape


def wide(label: str, body: str) -> str:
    """What may be wider than the page: a part that scrolls."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">{body}</div>'


def table_html(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: Sequence[str] = (),
) -> str:
    """Rows of cells under their columns; the first one of a row is its heading.

    A cell is plain text or `Html`. `texts` names the columns that hold words, which are set to the
    left and may wrap; the others hold numbers and are set to the right.
    """
    styles = [' class="left" dir="auto"' if name in texts else "" for name in columns]
    heads = "".join(
        f'<th scope="col"{style}>{escape(name)}</th>'
        for name, style in zip(columns, styles, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, styles)}</tr>" for row in rows)
    return wide(
        caption,
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>",
    )


def _cells(row: Sequence[str], styles: Sequence[str]) -> str:
    first, *rest = (
        f"{style}>{cell if isinstance(cell, Html) else escape(cell)}"
        for cell, style in zip(row, styles, strict=True)
    )
    return f'<th scope="row"{first}</th>' + "".join(f"<td{cell}</td>" for cell in rest)
