"""The scores by domain: a table, and a histogram of each domain that is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from attninfluence.base.arrays import Ints
from attninfluence.report.cuts import CutsByFraction, totals
from attninfluence.report.description import Description
from attninfluence.report.domains import Domains
from attninfluence.report.given import left_out
from attninfluence.report.quantile import median
from attninfluence.report.sample import SAMPLED, SAMPLED_OF_ALL
from attninfluence.report.statistics import Statistics
from attninfluence.views.histogram import bars_svg, beyond_sentence
from attninfluence.views.words import count, in_percent, number, percent, plural


def domains_section(statistics: Statistics) -> dict[str, Any]:
    domains, cuts = statistics.domains, statistics.cuts
    return {
        "sentence": _selection_sentence(domains, cuts),
        "rows": [_domain_row(statistics, domain) for domain in domains.listed],
        "others": _sums(domains, cuts, domains.others) if len(domains.others) else None,
        "others_name": plural(len(domains.others), "more domain"),
        "all": _sums(domains, cuts, np.arange(len(domains.names))),
        "largest": _largest_sentence(domains),
        "precision": _precision(statistics.description),
        "panels": [_panel(statistics, domain) for domain in domains.drawn],
        "beyond": beyond_sentence(statistics.bars.beyond),
        "more": left_out(domains.not_drawn, "domain", "drawn"),
    }


def _selection_sentence(domains: Domains, cuts: CutsByFraction) -> str:
    if not domains.scored.any():
        return "No document has a score, so nothing is selected."
    share = in_percent(cuts.main)
    selected, tokens = totals(cuts.selected)
    return (
        f"Within each domain the {share} % of documents with the highest scores are selected: "
        f"{plural(selected, 'document')} with {percent(tokens, int(domains.tokens.sum()))} "
        "of the tokens. Where their share of the tokens exceeds their share of the documents, the "
        "score favours long documents."
    )


def _largest_sentence(domains: Domains) -> str:
    if not len(domains.others):
        return ""
    return f"The {len(domains.listed)} largest domains are listed, by name."


def _precision(description: Description) -> str:
    """What of the numbers is not exact."""
    sentences = []
    if description.error:
        sentences.append(
            "Medians and quartiles of many documents come from sketches: their rank is off by less "
            f"than {number(100 * description.error, 1)} % of the documents."
        )
    if not description.samples.are_whole:
        sentences.append(
            f"Rank correlations are those of random samples: {count(SAMPLED)} documents of a larger"
            f" domain, {count(SAMPLED_OF_ALL)} of all. Counts, cuts and shares are exact."
        )
    return " ".join(sentences)


def _sums(domains: Domains, cuts: CutsByFraction, members: Ints) -> dict[str, str]:
    selected, tokens = totals(cuts.selected, members)
    return {
        "rows": count(int(domains.rows[members].sum())),
        "scored": count(int(domains.scored[members].sum())),
        "selected": count(selected),
        "share_of_tokens": percent(tokens, int(domains.tokens[members].sum())),
    }


def _domain_row(statistics: Statistics, domain: int) -> dict[str, str]:
    domains, cuts = statistics.domains, statistics.cuts
    sketches, samples = statistics.description.sketches, statistics.description.samples
    return {
        "name": domains.name(domain),
        **_sums(domains, cuts, np.array([domain])),
        "base_loss": number(median(sketches.base_loss[domain])),
        "score": number(median(sketches.score[domain])),
        "cut": number(cuts.selected.cut(domain)),
        "length": number(samples.length_correlation(domain), 2),
    }


def _panel(statistics: Statistics, domain: int) -> dict[str, Any]:
    domains, bars = statistics.domains, statistics.bars
    name, cut = domains.name(domain), statistics.cuts.selected.cut(domain)
    scored = int(domains.scored[domain])
    drawing = bars_svg(
        bars.edges[domain],
        bars.counts[domain],
        bars.span,
        cut=cut,
        control=statistics.description.sketches.control_ends(domain),
        label=f"{name}: scores of {plural(scored, 'document')}, cut at {number(cut)}",
    )
    return {"name": name, "histogram": Markup(drawing)}
