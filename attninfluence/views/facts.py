"""An opened model: what it is and how it reads, in a quiet table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attninfluence._core import ModelError
from attninfluence.views.table import wide
from attninfluence.views.view import View
from attninfluence.views.words import escape

if TYPE_CHECKING:
    from attninfluence.model.lines import Line
    from attninfluence.model.model import Model

# A folder is read once for its fingerprint; beyond this, only when somebody asks for it.
QUICK_BYTES = 2e9


def model_view(model: Model, *, has_fingerprint: bool) -> View:
    """The view of a model, whose fingerprint has been computed or not yet."""
    from attninfluence.model.description import describe
    from attninfluence.model.lines import lines_of

    title = model.place.hub_id or Path(model.path).name
    is_quick = has_fingerprint or model.core.bf16_bytes <= QUICK_BYTES
    try:
        lines = lines_of(describe(model, fingerprint=is_quick))
    except ModelError as error:
        lines = [("model", repr(model)), ("not described", str(error))]
    lines += [("threads", str(model.threads))]
    words = "\n".join(fact_lines(lines))
    return View(f"Model {title}", _table(lines), words)


def _table(lines: Iterable[Line]) -> str:
    """A row for each label, the lines that follow it without one in the same cell."""
    groups: list[list[tuple[str, list[str]]]] = [[]]
    for label, text in lines:
        if label:
            groups[-1].append((label, [text]))
        elif text:
            groups[-1][-1][1].append(text)
        else:
            groups.append([])
    bodies = (f"<tbody>{''.join(_row(*row) for row in group)}</tbody>" for group in groups)
    return wide("Facts of the model", f'<table class="facts">{"".join(bodies)}</table>')


def _row(label: str, texts: list[str]) -> str:
    cell = "<br>".join(map(escape, texts))
    return f'<tr><th scope="row">{escape(label)}</th><td class="text">{cell}</td></tr>'


WIDTH = 79


def fact_lines(facts: Sequence[tuple[str, str]], width: int = WIDTH) -> list[str]:
    """The facts with their labels in one column; texts are wrapped at words, not inside them.

    A no-break space in a text holds two words together; an empty pair is an empty line.
    """
    left = max(len(label) for label, _ in facts)
    room = max(width - left - 2, 20)
    told = []
    for label, text in facts:
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        for index, line in enumerate(lines):
            shown = line.replace("\N{NO-BREAK SPACE}", " ")
            told.append(f"{'' if index else label:<{left}}  {shown}".rstrip())
    return told
