"""The scores by domain: a table, and a histogram of each domain that is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from attninfluence.base.arrays import Ints
from attninfluence.report.cuts import totals
from attninfluence.report.given import left_out
from attninfluence.report.quantile import median
from attninfluence.report.statistics import SAMPLED, SAMPLED_OF_ALL, Statistics
from attninfluence.views.histogram import bars_svg, beyond_sentence
from attninfluence.views.words import count, in_percent, number, percent, plural


def domains_section(found: Statistics) -> dict[str, Any]:
    listed, others = found.domains.listed, found.domains.others
    return {
        "sentence": _selection_sentence(found),
        "rows": [_domain_row(found, domain) for domain in listed],
        "others": _sums(found, others) if len(others) else None,
        "others_name": f"{plural(len(others), 'more domain')}",
        "all": _sums(found, np.arange(len(found.domains.names))),
        "which": _which(found, listed, "listed"),
        "precision": _precision(found),
        "panels": [_panel(found, domain) for domain in found.domains.drawn],
        "beyond": beyond_sentence(found.beyond),
        "more": left_out(found.domains.not_drawn, "domain", "drawn"),
    }


def _selection_sentence(found: Statistics) -> str:
    if not found.domains.scored.any():
        return "No document has a score, so nothing is selected."
    share = in_percent(found.cuts.main)
    selected, tokens = totals(found.cuts.selected)
    return (
        f"Within each domain the {share} % of documents with the highest scores are selected: "
        f"{plural(selected, 'document')} with {percent(tokens, int(found.domains.tokens.sum()))} "
        "of the tokens. Where their share of the tokens exceeds their share of the documents, the "
        "score favours long documents."
    )


def _which(found: Statistics, shown: list[int], word: str) -> str:
    hidden = len(found.domains.names) - len(shown)
    return f"The {len(shown)} largest domains are {word}, by name." if hidden else ""


def _precision(found: Statistics) -> str:
    """What of the numbers is not exact."""
    sentences = []
    if found.error:
        sentences.append(
            "Medians and quartiles of many documents come from sketches: their rank is off by less "
            f"than {number(100 * found.error, 1)} % of the documents."
        )
    if found.is_sampled:
        sentences.append(
            f"Rank correlations are those of random samples: {count(SAMPLED)} documents of a larger"
            f" domain, {count(SAMPLED_OF_ALL)} of all. Counts, cuts and shares are exact."
        )
    return " ".join(sentences)


def _sums(found: Statistics, domains: Ints) -> dict[str, str]:
    selected, tokens = totals(found.cuts.selected, domains)
    return {
        "rows": count(int(found.domains.rows[domains].sum())),
        "scored": count(int(found.domains.scored[domains].sum())),
        "selected": count(selected),
        "share_of_tokens": percent(tokens, int(found.domains.tokens[domains].sum())),
    }


def _domain_row(found: Statistics, domain: int) -> dict[str, str]:
    return {
        "name": found.domains.name(domain),
        **_sums(found, np.array([domain])),
        "base_loss": number(median(found.base_loss[domain])),
        "score": number(median(found.score[domain])),
        "cut": number(found.cuts.selected.cut(domain)),
        "length": number(found.length_correlation(domain), 2),
    }


def _panel(found: Statistics, domain: int) -> dict[str, Any]:
    name, cut = found.domains.name(domain), found.cuts.selected.cut(domain)
    scored = int(found.domains.scored[domain])
    drawing = bars_svg(
        found.edges[domain],
        found.bars[domain],
        found.span,
        cut=cut,
        control=found.control_ends(domain),
        label=f"{name}: scores of {plural(scored, 'document')}, cut at {number(cut)}",
    )
    return {"name": name, "histogram": Markup(drawing)}
