"""The best and the worst documents of each domain."""

from __future__ import annotations

from collections.abc import Sequence

from attninfluence.base.text import as_text
from attninfluence.scores.viewed import ViewedScores
from attninfluence.views.words import clip, escape, excerpt, number, plural

NAME_CHARACTERS = 80
EXCERPT_CHARACTERS = 240


def best_and_worst(viewed: ViewedScores, examples: int) -> str:
    """So many at either end of each domain."""
    if not examples:
        return ""
    blocks = "".join(_block(viewed, domain, examples) for domain in viewed.drawn)
    return f"<h2>Best and worst documents</h2>{blocks}"


def _block(viewed: ViewedScores, domain: int, examples: int) -> str:
    """The documents of one domain; folded where there are several."""
    best, worst = viewed.documents.extremes(domain, examples)
    lists = "".join(
        _list(viewed, title, positions)
        for title, positions in (("Highest scores", best), ("Lowest scores", worst))
        if positions
    )
    pair = f'<div class="pair">{lists}</div>'
    if not viewed.by_domain:
        return pair
    return f"<details><summary>{escape(viewed.name(domain))}</summary>{pair}</details>"


def _list(viewed: ViewedScores, title: str, positions: Sequence[int]) -> str:
    items = "".join(f"<li>{_entry(viewed, position)}</li>" for position in positions)
    return f'<section><h3>{title}</h3><ol class="documents">{items}</ol></section>'


def _entry(viewed: ViewedScores, position: int) -> str:
    scores = viewed.scores
    facts = [
        f"loss {number(float(scores.base_loss[position]))} → "
        f"{number(float(scores.ref_loss[position]))}",
        plural(int(scores.n_tokens[position]), "token"),
    ]
    if scores.control_score is not None:
        facts.append(f"control score {number(float(scores.control_score[position]))}")
    where = f"document {position}"
    if viewed.names is not None and viewed.names[position] is not None:
        where += f", {clip(str(viewed.names[position]), NAME_CHARACTERS)}"
    return (
        f"<strong>{number(float(scores.score[position]))}</strong> {escape(where)}"
        f'<div class="quiet">{escape(", ".join(facts))}</div>{_excerpt(viewed, position)}'
    )


def _excerpt(viewed: ViewedScores, position: int) -> str:
    if viewed.texts is not None:
        text, _ = as_text(viewed.texts[position])
    else:
        rows = viewed.scores.token_rows
        text = None if rows is None else rows[position].text
    if text is None:
        return ""
    return f'<p class="excerpt" dir="auto">{escape(excerpt(text, EXCERPT_CHARACTERS))}</p>'
