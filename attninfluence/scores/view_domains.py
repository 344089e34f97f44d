"""Where the cut falls, by domain: sentences, a table, and plain lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attninfluence.scores.viewed import ViewedScores
from attninfluence.views.table import table_html
from attninfluence.views.view import quiet
from attninfluence.views.words import count, escape, excerpt, number, percent, plural, visible

WERE_THEY_ALIKE = (  # the score and the control's, in a view and in a report
    "Were the two alike, the score would say how much any heads matter, not these."
)


def domains_part(viewed: ViewedScores) -> str:
    """Where the cut falls: a sentence, with domains a table."""
    heading = "<h2>Distribution and cut</h2>"
    control = _control_sentence(viewed)
    if not viewed.by_domain:
        return f"{heading}<p>{escape(_cut_sentence(viewed))}</p>{control}"
    rule = (
        f"Within each domain the {viewed.share} of documents with the highest scores are selected."
    )
    names = ["documents", "scored", "median score", "cut", "selected", "of its tokens"]
    if viewed.scores.control_score is not None:
        names += ["median control", "above control"]
    rows = [*(_domain_row(viewed, domain) for domain in viewed.drawn), _total_row(viewed)]
    table = table_html(
        [("domain", "left"), *((name, "") for name in names)],
        [[escape(cell) for cell in row] for row in rows],
        "Scores by domain",
    )
    shown, known = len(viewed.drawn), len(viewed.documents.domains)
    more = f"Shown are {shown} of {plural(known, 'domain')}, those with the most documents scored."
    return f"{heading}<p>{rule}</p>{table}{quiet(more if shown < known else '')}{control}"


def _cut_sentence(viewed: ViewedScores) -> str:
    members = viewed.members(0)
    chosen = members[viewed.selected[members]]
    return (
        f"The highest {viewed.share} begin at a score of {number(viewed.cut(0))}: "
        f"{count(len(chosen))} of {plural(len(members), 'document')}, with "
        f"{_share_of_tokens(viewed, members)} of the tokens."
    )


def _share_of_tokens(viewed: ViewedScores, members: NDArray[np.int64]) -> str:
    tokens = viewed.documents.n_tokens[members]
    return percent(int(tokens[viewed.selected[members]].sum()), int(tokens.sum()))


def _domain_row(viewed: ViewedScores, domain: int) -> list[str]:
    rows = int((viewed.documents.domain == domain).sum())
    numbers = _numbers(viewed, viewed.members(domain), number(viewed.cut(domain)))
    return [viewed.name(domain), count(rows), *numbers]


def _total_row(viewed: ViewedScores) -> list[str]:
    domains = len(viewed.documents.domains)
    label = f"all {plural(domains, 'domain')}"
    return [label, count(len(viewed.scores)), *_numbers(viewed, viewed.members(None), "")]


def _numbers(viewed: ViewedScores, members: NDArray[np.int64], cut: str) -> list[str]:
    score = viewed.documents.score[members]
    numbers = [
        count(len(members)),
        number(_median(score)),
        cut,
        count(int(viewed.selected[members].sum())),
        _share_of_tokens(viewed, members),
    ]
    if viewed.scores.control_score is None:
        return numbers
    control = viewed.scores.control_score[members]
    above = percent(int((score > control).sum()), len(members), 0)
    return [*numbers, number(_median(control[~np.isnan(control)])), above]


def _control_sentence(viewed: ViewedScores) -> str:
    if viewed.scores.control_score is None:
        return ""
    members = viewed.members(None)
    score, control = viewed.documents.score[members], viewed.scores.control_score[members]
    above = percent(int((score > control).sum()), len(members), 0)
    return (
        "<p>"
        + escape(
            f"With the control heads masked instead the median score is "
            f"{number(_median(control[~np.isnan(control)]))}, against {number(_median(score))}; "
            f"{above} of the documents score higher than their control. {WERE_THEY_ALIKE}"
        )
        + "</p>"
    )


def domain_lines(viewed: ViewedScores) -> list[str]:
    """The distributions as plain lines, under one another."""
    if not viewed.by_domain:
        return [_cut_sentence(viewed)]
    heading = f"{'domain':<30} {'scored':>12} {'median':>9} {'cut':>9}"
    return [heading, *(_domain_line(viewed, domain) for domain in viewed.drawn)]


def _domain_line(viewed: ViewedScores, domain: int) -> str:
    members = viewed.members(domain)
    median = number(_median(viewed.documents.score[members]))
    name = excerpt(visible(viewed.name(domain)), 30)
    return f"{name:<30} {count(len(members)):>12} {median:>9} {number(viewed.cut(domain)):>9}"


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else float("nan")
