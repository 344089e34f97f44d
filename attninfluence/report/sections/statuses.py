"""Rows by domain and status."""

from __future__ import annotations

from typing import Any

from attninfluence.report.domains import Domains
from attninfluence.scores.statuses import status_order
from attninfluence.views.words import count, plural


def statuses_by_domain(domains: Domains) -> dict[str, Any] | None:
    """Rows by domain and status; None where all have one status or there is one domain."""
    if len(domains.statuses) < 2 or len(domains.names) < 2:
        return None
    order = sorted(range(len(domains.statuses)), key=lambda at: status_order(domains.statuses[at]))
    others = domains.others
    rows = [
        (domains.name(domain), [count(int(domains.rows[domain, at])) for at in order])
        for domain in domains.listed
    ]
    if len(others):
        sums = domains.rows[others].sum(axis=0)
        rows.append((plural(len(others), "more domain"), [count(int(sums[at])) for at in order]))
    return {"heads": [domains.statuses[at] for at in order], "rows": rows}
