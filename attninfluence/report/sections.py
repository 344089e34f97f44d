"""What each section of a page says, in words and pieces; the template gives them their places."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from markupsafe import Markup

from attninfluence.base.arrays import Ints
from attninfluence.report.cuts import totals
from attninfluence.report.documents import TOKENS_READ_AGAIN, Document, Documents
from attninfluence.report.given import left_out
from attninfluence.report.quantile import median
from attninfluence.report.reading import row_name
from attninfluence.report.statistics import SAMPLED, SAMPLED_OF_ALL, Statistics
from attninfluence.run.examples import (
    EXTREME_DOCUMENTS,
    MOST_DOMAINS,
    MOST_TOKENS,
    RANDOM_DOCUMENTS,
)
from attninfluence.scores.statuses import status_order
from attninfluence.views.histogram import bars_svg, beyond_sentence
from attninfluence.views.length import LengthBin, length_svg, lengths_in_words
from attninfluence.views.tokens import tokens_scale_svg
from attninfluence.views.words import count, domain_name, in_percent, number, percent, plural


def _name(found: Statistics, domain: int) -> str:
    return domain_name(found.domains.names[domain])


def _domains_left_out(found: Statistics, done: str) -> str:
    return left_out(found.domains.with_scores - len(found.domains.drawn), "domain", done)


# ------------------------------------------------------------------------------------------ totals


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


# ----------------------------------------------------------------------------------------- domains


def domains_section(found: Statistics) -> dict[str, Any]:
    listed = found.domains.listed
    others = _others(found, listed)
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
        "more": _domains_left_out(found, "drawn"),
    }


def _others(found: Statistics, listed: list[int]) -> Ints:
    return np.setdiff1d(np.arange(len(found.domains.names)), listed)


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
    told = []
    if found.error:
        told.append(
            "Medians and quartiles of many documents come from sketches: their rank is off by less "
            f"than {number(100 * found.error, 1)} % of the documents."
        )
    if found.is_sampled:
        told.append(
            f"Rank correlations are those of random samples: {count(SAMPLED)} documents of a larger"
            f" domain, {count(SAMPLED_OF_ALL)} of all. Counts, cuts and shares are exact."
        )
    return " ".join(told)


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
        "name": _name(found, domain),
        **_sums(found, np.array([domain])),
        "base_loss": number(median(found.base_loss[domain])),
        "score": number(median(found.score[domain])),
        "cut": number(found.cuts.selected.cut(domain)),
        "length": number(found.length_correlation(domain), 2),
    }


def _panel(found: Statistics, domain: int) -> dict[str, Any]:
    name, cut = _name(found, domain), found.cuts.selected.cut(domain)
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


# -------------------------------------------------------------------------------------------- cuts


def cuts_section(found: Statistics) -> dict[str, Any] | None:
    """What cuts at several fractions keep, in all and by domain."""
    if not found.domains.scored.any():
        return None
    fractions = sorted(found.cuts.by_fraction)
    return {
        "all": [_cut_row(found, fraction) for fraction in fractions],
        "heads": [f"{in_percent(fraction)} %" for fraction in fractions],
        "rows": [_cuts_of(found, domain, fractions) for domain in found.domains.drawn],
        "more": _domains_left_out(found, "listed"),
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
        "name": _name(found, domain),
        "cells": [
            (number(one.cut(domain)), percent(int(one.tokens[domain]), tokens)) for one in of_domain
        ],
    }


# ------------------------------------------------------------------------------------------ length


def length_section(found: Statistics) -> dict[str, Any] | None:
    """Loss and score by length; None where no length has documents enough."""
    bins = found.lengths.bins()
    if len(bins) < 2:
        return None
    return {
        "sentence": _length_sentence(found.length_correlation(None)),
        "drawing": Markup(length_svg(bins, label=_length_label(bins))),
        "rows": [_length_row(one) for one in bins],
    }


def _length_sentence(correlation: float) -> str:
    if not abs(correlation) >= 0.1:  # NaN where all scores are equal
        what = "the score hardly depends on it"
    else:
        what = "longer documents score " + ("higher" if correlation > 0 else "lower")
    return (
        "The rank correlation of score and number of tokens over all documents is "
        f"{number(correlation, 2)}: {what}. The table of domains above has it within each domain."
    )


def _length_label(bins: list[LengthBin]) -> str:
    first, last = bins[0], bins[-1]
    ends = [
        f"{number(one.loss[1], 2)} nats a token and a score of {number(one.score)} at "
        f"{lengths_in_words(one)} tokens"
        for one in (first, last)
    ]
    return f"Median base loss and median score by length: {ends[0]}, {ends[1]}"


def _length_row(one: LengthBin) -> dict[str, str]:
    low, middle, high = (number(value) for value in one.loss)
    return {
        "tokens": lengths_in_words(one),
        "documents": count(one.documents),
        "median": middle,
        "quartiles": f"{low} to {high}",
        "score": number(one.score),
    }


# ----------------------------------------------------------------------------------------- control


def control_section(found: Statistics, heads: int) -> dict[str, Any] | None:
    """How the score compares with that of the control heads; None without a control."""
    if found.cuts.control is None:
        return None
    score, control = median(found.score_of_all), median(found.control_of_all)
    share = in_percent(found.cuts.main)
    common, selected = int(found.cuts.common.sum()), totals(found.cuts.selected)[0]
    return {
        "sentence": (
            f"On the same base reading {plural(heads, 'other head')} were masked in the same way. "
            f"Over all scored documents the median score is {number(score)} with the "
            f"retrieval heads and {number(control)} with the control heads. Were the two "
            "alike, the score would say how much any heads matter, not these."
        ),
        "overlap": (
            f"Of the {share} % of each domain that the score selects, the control's score would "
            f"select {percent(common, selected)} as well; by chance it would be "
            f"{percent(_by_chance(found), selected)}. The nearer to chance, the more the selection "
            "is these heads' own."
        ),
        "share": share,
        "rows": [_control_row(found, domain) for domain in found.domains.drawn],
        "more": _domains_left_out(found, "listed"),
    }


def _by_chance(found: Statistics) -> float:
    """How many of the selected documents a control without any relation to the score selects."""
    scored = found.domains.scored
    assert found.cuts.control is not None
    share = found.cuts.control.selected / np.maximum(scored, 1)
    return float((found.cuts.selected.selected * share).sum())


def _control_row(found: Statistics, domain: int) -> dict[str, str]:
    return {
        "name": _name(found, domain),
        "score": number(median(found.score[domain])),
        "control": number(median(found.control[domain])),
        "above": percent(int(found.above[domain]), int(found.domains.scored[domain]), 0),
        "common": percent(
            int(found.cuts.common[domain]), int(found.cuts.selected.selected[domain]), 0
        ),
        "correlation": number(found.control_correlation(domain), 2),
    }


# --------------------------------------------------------------------------------------- documents


def tokens_section(documents: Documents) -> dict[str, Any] | None:
    """The documents that are open, token by token."""
    if not any(one.tokens for one in documents.shown):
        return None
    return {
        "scale": Markup(tokens_scale_svg(documents.limit)),
        "documents": [
            {
                "anchor": _anchor(one),
                "name": row_name(one.row),
                "sentence": "" if one.view is None else one.view.sentence,
                "body": Markup(one.tokens),
            }
            for one in documents.open
        ],
    }


def _anchor(one: Document) -> str:
    return f"tokens-{one.domain}"


TITLES = {"highest": "Highest scores", "middle": "Near the median", "lowest": "Lowest scores"}


def documents_section(found: Statistics, documents: Documents) -> dict[str, Any] | None:
    """Best, middle and worst documents of each domain that is drawn."""
    if not found.domains.drawn:
        return None
    return {
        "source": " ".join(filter(None, [_most_shown(found), _source(documents)])),
        "no_text": ""
        if documents.has_text
        else ("The run did not keep the text; score with --keep-text to read the documents here."),
        "domains": [
            {
                "name": _name(found, domain),
                "lists": [
                    (TITLES[place], [_entry(one) for one in documents.of(domain, place)])
                    for place in TITLES
                    if documents.of(domain, place)
                ],
                "folded": [_folded(one) for one in documents.folded(domain)],
            }
            for domain in found.domains.drawn
        ],
        "more": _domains_left_out(found, "shown"),
    }


def _most_shown(found: Statistics) -> str:
    """Whether fewer documents are shown than were asked for."""
    return (
        "" if found.has_room else f"At most {found.room} at either end of a domain fit this page."
    )


def _source(documents: Documents) -> str:
    """Where tokens and middle documents come from, and what did not fit."""
    told = []
    if documents.has_examples:
        told.append(
            "Tokens and middle documents come from the examples that the run kept while it scored: "
            f"of each of the first {MOST_DOMAINS} domains the {EXTREME_DOCUMENTS} highest, the "
            f"{EXTREME_DOCUMENTS} lowest and {RANDOM_DOCUMENTS} at random, up to "
            f"{count(MOST_TOKENS)} tokens of each."
        )
    if documents.is_read_again and documents.open:
        most = count(TOKENS_READ_AGAIN)
        told.append(
            f"The documents above were read again by the model; up to {most} tokens are shown."
        )
    if documents.left_out:
        told.append(
            f"The tokens of {plural(documents.left_out, 'document')} did not fit this page."
        )
    return " ".join(told)


def _entry(one: Document) -> dict[str, Any]:
    row = one.row
    return {
        "score": number(row["score"]),
        "losses": f"{number(row['base_loss'])} → {number(row['ref_loss'])} nats",
        "name": row_name(row),
        "tokens_of": plural(row["n_tokens"], "token"),
        "excerpt": one.excerpt,
        "anchor": _anchor(one) if one.is_open else "",
    }


def _folded(one: Document) -> dict[str, Any]:
    assert one.view is not None
    return {
        "summary": f"{number(one.row['score'])} token by token: {one.view.name}",
        "sentence": one.view.sentence,
        "body": Markup(one.tokens),
    }


# ---------------------------------------------------------------------------------------- statuses


def statuses_by_domain(found: Statistics) -> dict[str, Any] | None:
    """Rows by domain and status; None where all have one status or there is one domain."""
    domains = found.domains
    if len(domains.statuses) < 2 or len(domains.names) < 2:
        return None
    order = sorted(range(len(domains.statuses)), key=lambda at: status_order(domains.statuses[at]))
    others = _others(found, domains.listed)
    rows = [
        (_name(found, domain), [count(int(domains.rows[domain, at])) for at in order])
        for domain in domains.listed
    ]
    if len(others):
        sums = domains.rows[others].sum(axis=0)
        rows.append((plural(len(others), "more domain"), [count(int(sums[at])) for at in order]))
    return {"heads": [domains.statuses[at] for at in order], "rows": rows}
