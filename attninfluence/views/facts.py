"""Labels and texts in two columns, as a terminal, a plain `repr` and a notebook show facts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from attninfluence.views.table import wide
from attninfluence.views.view import View
from attninfluence.views.words import escape

Fact = tuple[str, str]  # label and text; both are empty between two groups

WIDTH = 79


def fact_lines(facts: Sequence[Fact], width: int = WIDTH) -> list[str]:
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


def facts_view(title: str, label: str, facts: Sequence[Fact]) -> View:
    """The facts in a quiet table; `label` names it to whoever cannot see it."""
    return View(title, _table(label, facts), "\n".join(fact_lines(facts)))


def _table(label: str, facts: Iterable[Fact]) -> str:
    """A row for each label, the lines that follow it without one in the same cell."""
    groups: list[list[tuple[str, list[str]]]] = [[]]
    for name, text in facts:
        if name:
            groups[-1].append((name, [text]))
        elif text:
            groups[-1][-1][1].append(text)
        else:
            groups.append([])
    bodies = (f"<tbody>{''.join(_row(*row) for row in group)}</tbody>" for group in groups)
    return wide(label, f'<table class="facts">{"".join(bodies)}</table>')


def _row(label: str, texts: list[str]) -> str:
    cell = "<br>".join(map(escape, texts))
    return f'<tr><th scope="row">{escape(label)}</th><td class="text">{cell}</td></tr>'
