"""The head of a page: how many rows, domains and tokens."""

from __future__ import annotations

from typing import Any

from attninfluence.report.cuts import totals
from attninfluence.report.statistics import Statistics
from attninfluence.views.words import count, plural


def totals_section(found: Statistics, run_totals: dict[str, Any], heads: int) -> dict[str, Any]:
    rows, scored = int(found.domains.rows.sum()), int(found.domains.scored.sum())
    domains = len(found.domains.names)
    sentence = f"{plural(rows, 'document')} in {plural(domains, 'domain')}"
    sentence += ", all of them scored." if rows == scored else f": {count(scored)} scored"
    if rows != scored:
        sentence += f" and {count(rows - scored)} without a score."
    selected, _ = totals(found.cuts.selected)
    return {
        "sentence": sentence if rows else "The run holds no documents.",
        "figures": [
            ("documents", count(rows)),
            ("scored", count(scored)),
            ("domains", count(domains)),
            ("tokens", count(run_totals.get("tokens", 0))),
            ("heads masked", count(heads)),
            ("selected", count(selected)),
        ],
    }
