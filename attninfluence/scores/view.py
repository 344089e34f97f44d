"""A set of scores: totals, distribution and cut by domain, the best and the worst documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.text import as_text
from attninfluence.base.whole_number import as_whole_number
from attninfluence.scores.domains import as_column, group
from attninfluence.scores.statuses import STATUS_MEANING, status_order
from attninfluence.select.in_memory import ScoredDocuments
from attninfluence.select.rule import as_fraction
from attninfluence.views.histogram import axis_span, beyond_sentence, histogram_svg
from attninfluence.views.table import table_html
from attninfluence.views.view import View, quiet
from attninfluence.views.words import (
    clip,
    count,
    domain_name,
    escape,
    excerpt,
    in_percent,
    number,
    percent,
    plural,
    visible,
)

if TYPE_CHECKING:
    from attninfluence.scores.score_rows import ScoreRows

MOST_DOMAINS = 12
NAME_CHARACTERS = 80
EXCERPT_CHARACTERS = 240
PANEL_WIDTH, WIDE_PANEL_WIDTH = 340.0, 460.0

Column = NDArray[np.object_]


@dataclass(frozen=True)
class _Set:
    """Scores with what was given beside them, and what follows from it."""

    scores: ScoreRows
    documents: ScoredDocuments
    by_domain: bool  # whether the domains have names
    texts: Column | None
    names: Column | None
    fraction: Fraction
    selected: NDArray[np.bool_]
    drawn: list[int]  # the domains that are shown

    def members(self, domain: int | None) -> NDArray[np.int64]:
        """Positions of the scored documents of one domain, or of all."""
        if domain is None:
            return np.flatnonzero(self.documents.scored)
        return self.documents.members(domain)

    def cut(self, domain: int) -> float | None:
        """The lowest selected score of a domain; None where none is."""
        members = self.members(domain)
        chosen = self.documents.score[members[self.selected[members]]]
        return float(chosen.min()) if chosen.size else None

    def name(self, domain: int) -> str:
        if not self.by_domain:
            return "all documents"
        return domain_name(self.documents.domains[domain])

    @property
    def share(self) -> str:
        """The fraction in per cent."""
        return f"{in_percent(self.fraction)} %"


def scores_view(
    scores: ScoreRows,
    *,
    domains: Iterable[Any] | None,
    texts: Iterable[Any] | None,
    names: Iterable[Any] | None,
    fraction: float | str,
    examples: int,
) -> View:
    """See `Scores.view`."""
    if as_whole_number("examples", examples) < 0:
        raise ValueError(f"examples must not be negative, got {examples}")
    found = _collect(scores, domains, texts, names, as_fraction(fraction))
    parts = [_lead(found), _statuses(scores)]
    words = [f"Scores: {scores.sentence()}"]
    if found.drawn:
        parts += [_losses(scores), _domains(found), _panels(found), _examples(found, examples)]
        words += _domain_lines(found)
    return View("AttentionInfluence scores", "".join(parts), "\n".join(words))


def _collect(
    scores: ScoreRows,
    domains: Iterable[Any] | None,
    texts: Iterable[Any] | None,
    names: Iterable[Any] | None,
    fraction: Fraction,
) -> _Set:
    given = {"domains": domains, "texts": texts, "names": names}
    columns = {
        name: None if values is None else as_column(values, name, len(scores))
        for name, values in given.items()
    }
    documents = group(scores, columns["domains"])
    sizes = np.bincount(documents.domain[documents.scored], minlength=len(documents.domains))
    largest = np.argsort(-sizes, kind="stable")[:MOST_DOMAINS]
    return _Set(
        scores=scores,
        documents=documents,
        by_domain=domains is not None,
        texts=columns["texts"],
        names=columns["names"],
        fraction=fraction,
        selected=documents.highest(fraction),
        drawn=sorted(int(domain) for domain in largest if sizes[domain]),
    )


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else float("nan")


# -------------------------------------------------------------------------------- totals


def _lead(found: _Set) -> str:
    scores, scored = found.scores, int(found.documents.scored.sum())
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


def _statuses(scores: ScoreRows) -> str:
    """How often each status is there and what it means; nothing where all is ok."""
    counts = Counter(scores.status)
    if not set(counts) - {"ok"}:
        return ""
    rows = [
        [status, count(rows), str(scores.status.index(status)), _meaning(scores, status)]
        for status, rows in sorted(counts.items(), key=lambda item: status_order(item[0]))
    ]
    columns = [("status", "left"), ("documents", ""), ("first one", ""), ("meaning", "text")]
    return table_html(columns, map(_escaped, rows), "Documents by status")


def _escaped(row: Iterable[str]) -> list[str]:
    return [escape(cell) for cell in row]


def _meaning(scores: ScoreRows, status: str) -> str:
    message = scores.messages.get(scores.status.index(status), "")
    meaning = STATUS_MEANING.get(status, "")
    return f"{meaning}; the first one: {clip(message, EXCERPT_CHARACTERS)}" if message else meaning


def _losses(scores: ScoreRows) -> str:
    names = {"score": "score", "base_loss": "base loss, nats", "ref_loss": "reference loss, nats"}
    if scores.control_score is not None:
        names |= {"control_score": "control score", "control_loss": "control loss, nats"}
    numbers = [(name, "") for name in ("lowest", "25 %", "median", "75 %", "highest")]
    rows = [[label, *_quartiles(getattr(scores, name))] for name, label in names.items()]
    return table_html([("of a document", "left"), *numbers], rows, "Scores and losses")


def _quartiles(values: NDArray[np.float64]) -> list[str]:
    finite = values[~np.isnan(values)]
    if not finite.size:
        return ["–"] * 5
    return [number(float(value)) for value in np.percentile(finite, [0, 25, 50, 75, 100])]


# -------------------------------------------------------------------------------- domains


def _domains(found: _Set) -> str:
    """Where the cut falls: a sentence, with domains a table."""
    heading = "<h2>Distribution and cut</h2>"
    control = _control_sentence(found)
    if not found.by_domain:
        return f"{heading}<p>{escape(_cut_sentence(found))}</p>{control}"
    rule = (
        f"Within each domain the {found.share} of documents with the highest scores are selected."
    )
    names = ["documents", "scored", "median score", "cut", "selected", "of its tokens"]
    if found.scores.control_score is not None:
        names += ["median control", "above control"]
    rows = [*(_domain_row(found, domain) for domain in found.drawn), _total_row(found)]
    table = table_html(
        [("domain", "left"), *((name, "") for name in names)],
        map(_escaped, rows),
        "Scores by domain",
    )
    shown, known = len(found.drawn), len(found.documents.domains)
    more = f"Shown are {shown} of {plural(known, 'domain')}, those with the most documents scored."
    return f"{heading}<p>{rule}</p>{table}{quiet(more if shown < known else '')}{control}"


def _cut_sentence(found: _Set) -> str:
    members = found.members(0)
    chosen = members[found.selected[members]]
    return (
        f"The highest {found.share} begin at a score of {number(found.cut(0))}: "
        f"{count(len(chosen))} of {plural(len(members), 'document')}, with "
        f"{_share_of_tokens(found, members)} of the tokens."
    )


def _share_of_tokens(found: _Set, members: NDArray[np.int64]) -> str:
    tokens = found.documents.n_tokens[members]
    return percent(int(tokens[found.selected[members]].sum()), int(tokens.sum()))


def _domain_row(found: _Set, domain: int) -> list[str]:
    rows = int((found.documents.domain == domain).sum())
    numbers = _numbers(found, found.members(domain), number(found.cut(domain)))
    return [found.name(domain), count(rows), *numbers]


def _total_row(found: _Set) -> list[str]:
    domains = len(found.documents.domains)
    label = f"all {plural(domains, 'domain')}"
    return [label, count(len(found.scores)), *_numbers(found, found.members(None), "")]


def _numbers(found: _Set, members: NDArray[np.int64], cut: str) -> list[str]:
    score = found.documents.score[members]
    numbers = [
        count(len(members)),
        number(_median(score)),
        cut,
        count(int(found.selected[members].sum())),
        _share_of_tokens(found, members),
    ]
    if found.scores.control_score is None:
        return numbers
    control = found.scores.control_score[members]
    above = percent(int((score > control).sum()), len(members), 0)
    return [*numbers, number(_median(control[~np.isnan(control)])), above]


def _control_sentence(found: _Set) -> str:
    if found.scores.control_score is None:
        return ""
    members = found.members(None)
    score, control = found.documents.score[members], found.scores.control_score[members]
    above = percent(int((score > control).sum()), len(members), 0)
    return (
        "<p>"
        + escape(
            f"With the control heads masked instead the median score is "
            f"{number(_median(control[~np.isnan(control)]))}, against {number(_median(score))}; "
            f"{above} of the documents score higher than their control. Were the two alike, the "
            "score would say how much any heads matter, not these."
        )
        + "</p>"
    )


def _domain_lines(found: _Set) -> list[str]:
    """The distributions as plain lines, under one another."""
    if not found.by_domain:
        return [_cut_sentence(found)]
    heading = f"{'domain':<30} {'scored':>12} {'median':>9} {'cut':>9}"
    return [heading, *(_domain_line(found, domain) for domain in found.drawn)]


def _domain_line(found: _Set, domain: int) -> str:
    members = found.members(domain)
    median = number(_median(found.documents.score[members]))
    name = excerpt(visible(found.name(domain)), 30)
    return f"{name:<30} {count(len(members)):>12} {median:>9} {number(found.cut(domain)):>9}"


# -------------------------------------------------------------------------------- histograms


def _panels(found: _Set) -> str:
    control = found.scores.control_score
    shown = np.concatenate([found.members(domain) for domain in found.drawn])
    joined = found.documents.score[shown]
    span = axis_span(joined if control is None else np.concatenate([joined, control[shown]]))
    cuts = [cut for domain in found.drawn if (cut := found.cut(domain)) is not None]
    low, high = min([span[0], *cuts]), max([span[1], *cuts])
    beyond = int(((joined < low) | (joined > high)).sum())
    panels = "".join(_panel(found, domain, (low, high)) for domain in found.drawn)
    panels = f'<div class="panels">{panels}</div>' if found.by_domain else panels
    return f"{panels}{quiet(_axis_words(beyond, control is not None))}"


def _panel(found: _Set, domain: int, span: tuple[float, float]) -> str:
    members, cut, name = found.members(domain), found.cut(domain), found.name(domain)
    control = found.scores.control_score
    drawing = histogram_svg(
        found.documents.score[members],
        span,
        cut=cut,
        control=None if control is None else control[members],
        label=f"{name}: scores of {plural(len(members), 'document')}, cut at {number(cut)}",
        width=PANEL_WIDTH if found.by_domain else WIDE_PANEL_WIDTH,
    )
    title = f"<figcaption>{escape(name)}</figcaption>" if found.by_domain else ""
    return f"<figure>{title}{drawing}</figure>"


def _axis_words(beyond: int, has_control: bool) -> str:
    sentences = ["Documents by score; what stands out is selected."]
    if has_control:
        sentences.append("The stroke under an axis spans the middle 90 % of the control scores.")
    return " ".join(filter(None, [*sentences, beyond_sentence(beyond)]))


# -------------------------------------------------------------------------------- documents


def _examples(found: _Set, examples: int) -> str:
    if not examples:
        return ""
    blocks = "".join(_block(found, domain, examples) for domain in found.drawn)
    return f"<h2>Best and worst documents</h2>{blocks}"


def _block(found: _Set, domain: int, examples: int) -> str:
    """The documents of one domain; folded where there are several."""
    best, worst = found.documents.extremes(domain, examples)
    lists = "".join(
        _list(found, title, positions)
        for title, positions in (("Highest scores", best), ("Lowest scores", worst))
        if positions
    )
    pair = f'<div class="pair">{lists}</div>'
    if not found.by_domain:
        return pair
    return f"<details><summary>{escape(found.name(domain))}</summary>{pair}</details>"


def _list(found: _Set, title: str, positions: Sequence[int]) -> str:
    items = "".join(f"<li>{_entry(found, position)}</li>" for position in positions)
    return f'<section><h3>{title}</h3><ol class="documents">{items}</ol></section>'


def _entry(found: _Set, position: int) -> str:
    scores = found.scores
    facts = [
        f"loss {number(float(scores.base_loss[position]))} → "
        f"{number(float(scores.ref_loss[position]))}",
        plural(int(scores.n_tokens[position]), "token"),
    ]
    if scores.control_score is not None:
        facts.append(f"control score {number(float(scores.control_score[position]))}")
    where = f"document {position}"
    if found.names is not None and found.names[position] is not None:
        where += f", {clip(str(found.names[position]), NAME_CHARACTERS)}"
    return (
        f"<strong>{number(float(scores.score[position]))}</strong> {escape(where)}"
        f'<div class="quiet">{escape(", ".join(facts))}</div>{_excerpt(found, position)}'
    )


def _excerpt(found: _Set, position: int) -> str:
    if found.texts is not None:
        text, _ = as_text(found.texts[position])
    else:
        rows = found.scores.token_rows
        text = None if rows is None else rows[position].text
    if text is None:
        return ""
    return f'<p class="excerpt" dir="auto">{escape(excerpt(text, EXCERPT_CHARACTERS))}</p>'
