"""What cuts at several fractions keep, in all and by domain."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from attninfluence.report.cuts import totals
from attninfluence.report.given import left_out
from attninfluence.report.statistics import Statistics
from attninfluence.views.words import count, in_percent, number, percent


def cuts_section(found: Statistics) -> dict[str, Any] | None:
    """What cuts at several fractions keep, in all and by domain."""
    if not found.domains.scored.any():
        return None
    fractions = sorted(found.cuts.by_fraction)
    return {
        "all": [_cut_row(found, fraction) for fraction in fractions],
        "heads": [f"{in_percent(fraction)} %" for fraction in fractions],
        "rows": [_cuts_of(found, domain, fractions) for domain in found.domains.drawn],
        "more": left_out(found.domains.not_drawn, "domain", "listed"),
    }


def _cut_row(found: Statistics, fraction: Fraction) -> dict[str, str]:
    documents, tokens = totals(found.cuts.by_fraction[fraction])
    all_documents, all_tokens = int(found.domains.scored.sum()), int(found.domains.tokens.sum())
    return {
        "name": f"{in_percent(fraction)} %",
        "documents": count(documents),
        "tokens": count(tokens),
        "share_of_documents": percent(documents, all_documents),
        "share_of_tokens": percent(tokens, all_tokens),
        "longer": f"{number(tokens / documents / (all_tokens / all_documents), 2)} ×",
    }


def _cuts_of(found: Statistics, domain: int, fractions: list[Fraction]) -> dict[str, Any]:
    of_domain = [found.cuts.by_fraction[fraction] for fraction in fractions]
    tokens = int(found.domains.tokens[domain])
    return {
        "name": found.domains.name(domain),
        "cells": [
            (number(one.cut(domain)), percent(int(one.tokens[domain]), tokens)) for one in of_domain
        ],
    }
