"""What cuts at several fractions keep, in all and by domain."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from attninfluence.report.cuts import CutsByFraction, totals
from attninfluence.report.domains import Domains
from attninfluence.report.given import left_out
from attninfluence.select.picked import Selection
from attninfluence.views.words import count, in_percent, number, percent


def cuts_section(domains: Domains, cuts: CutsByFraction) -> dict[str, Any] | None:
    """What cuts at several fractions keep, in all and by domain."""
    if not domains.scored.any():
        return None
    fractions = sorted(cuts.by_fraction)
    return {
        "all": [_cut_row(domains, fraction, cuts.by_fraction[fraction]) for fraction in fractions],
        "heads": [f"{in_percent(fraction)} %" for fraction in fractions],
        "rows": [_cuts_of(domains, cuts, domain, fractions) for domain in domains.drawn],
        "more": left_out(domains.not_drawn, "domain", "listed"),
    }


def _cut_row(domains: Domains, fraction: Fraction, selection: Selection) -> dict[str, str]:
    documents, tokens = totals(selection)
    all_documents, all_tokens = int(domains.scored.sum()), int(domains.tokens.sum())
    return {
        "name": f"{in_percent(fraction)} %",
        "documents": count(documents),
        "tokens": count(tokens),
        "share_of_documents": percent(documents, all_documents),
        "share_of_tokens": percent(tokens, all_tokens),
        "longer": f"{number(tokens / documents / (all_tokens / all_documents), 2)} ×",
    }


def _cuts_of(
    domains: Domains, cuts: CutsByFraction, domain: int, fractions: list[Fraction]
) -> dict[str, Any]:
    selections = [cuts.by_fraction[fraction] for fraction in fractions]
    tokens = int(domains.tokens[domain])
    return {
        "name": domains.name(domain),
        "cells": [
            (number(selection.cut(domain)), percent(int(selection.tokens[domain]), tokens))
            for selection in selections
        ],
    }
