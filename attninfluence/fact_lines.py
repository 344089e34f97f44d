"""Labels and texts in two columns, as a terminal and a plain `repr` show facts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

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
