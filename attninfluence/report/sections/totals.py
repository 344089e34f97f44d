"""The head of a page: how many rows, domains and tokens."""

from __future__ import annotations

from typing import Any

from attninfluence.report.cuts import CutsByFraction, totals
from attninfluence.report.domains import Domains
from attninfluence.views.words import count, plural


def totals_section(
    domains: Domains, cuts: CutsByFraction, run_totals: dict[str, Any], heads: int
) -> dict[str, Any]:
    rows, scored = int(domains.rows.sum()), int(domains.scored.sum())
    sentence = f"{plural(rows, 'document')} in {plural(len(domains.names), 'domain')}"
    sentence += ", all of them scored." if rows == scored else f": {count(scored)} scored"
    if rows != scored:
        sentence += f" and {count(rows - scored)} without a score."
    selected, _ = totals(cuts.selected)
    over = "over " if run_totals.get("partly_counted") else ""
    return {
        "sentence": sentence if rows else "The run holds no documents.",
        "figures": [
            ("documents", count(rows)),
            ("scored", count(scored)),
            ("domains", count(len(domains.names))),
            ("tokens", over + count(run_totals.get("tokens", 0))),
            ("heads masked", count(heads)),
            ("selected", count(selected)),
        ],
    }
