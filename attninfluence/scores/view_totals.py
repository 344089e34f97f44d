"""How many documents were scored, what became of the others, and their losses."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attninfluence.scores.score_rows import ScoreRows, five_numbers
from attninfluence.scores.statuses import status_lines
from attninfluence.scores.viewed import ViewedScores
from attninfluence.views.table import table_html
from attninfluence.views.view import quiet
from attninfluence.views.words import clip, count, escape, number, plural

MESSAGE_CHARACTERS = 240


def lead_paragraph(viewed: ViewedScores) -> str:
    """How many there are, and what made the numbers."""
    scores, scored = viewed.scores, int(viewed.documents.scored.sum())
    facts = [f" · {plural(int(scores.n_scored.sum()), 'token')} scored"]
    if not scored:
        facts.append(" · no document has a score")
    elif scored < len(scores):
        facts.append(f" · {count(len(scores) - scored)} without a score")
    lead = (
        f'<p class="lead"><strong>{plural(len(scores), "document")}</strong>'
        f"{escape(''.join(facts))}</p>"
    )
    return lead + quiet(_made_with(scores.metadata))


def _made_with(metadata: dict[str, Any]) -> str:
    """What made the numbers, as far as they say."""
    facts = []
    if heads := metadata.get("heads"):
        facts.append(f"{plural(len(heads), 'head')} masked ({metadata.get('mask', 'uniform')})")
    if control := metadata.get("control"):
        facts.append(f"{plural(len(control), 'control head')}")
    if "precision" in metadata:
        facts.append(f"{metadata['precision']}, kernel {metadata.get('kernel')}")
    if "model" in metadata:
        facts.append(f"model {str(metadata['model'])[:12]}")
    return " · ".join(facts)


def statuses_table(scores: ScoreRows) -> str:
    """How often each status is there and what it means; nothing where all is ok."""
    counts = Counter(scores.status)
    if not set(counts) - {"ok"}:
        return ""
    rows = []
    for status, documents, meaning in status_lines(counts):
        first = scores.status.index(status)
        if message := scores.messages.get(first):
            meaning += f"; the first one: {clip(message, MESSAGE_CHARACTERS)}"
        rows.append([status, count(documents), str(first), meaning])
    columns = [("status", "left"), ("documents", ""), ("first one", ""), ("meaning", "text")]
    cells = [[escape(cell) for cell in row] for row in rows]
    return table_html(columns, cells, "Documents by status")


def losses_table(scores: ScoreRows) -> str:
    names = {"score": "score", "base_loss": "base loss, nats", "ref_loss": "reference loss, nats"}
    if scores.control_score is not None:
        names |= {"control_score": "control score", "control_loss": "control loss, nats"}
    numbers = [(name, "") for name in ("lowest", "25 %", "median", "75 %", "highest")]
    rows = [
        [label, *map(number, five_numbers(getattr(scores, name)))] for name, label in names.items()
    ]
    return table_html([("of a document", "left"), *numbers], rows, "Scores and losses")
