"""The documents of a page: the best, a middle one and the worst of each domain that is drawn.

Their numbers come from the tables, their tokens from the examples that the runs kept, or from a
model that reads the text again. What they may take of the page is bounded; what does not fit is
left out, the tokens of later documents first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attninfluence.output.files import OutputError
from attninfluence.output.score_runs import ScoreRuns
from attninfluence.report.description import Description
from attninfluence.report.domains import Domains
from attninfluence.report.quantile import median
from attninfluence.report.reading import Reading, TokenView, kept_reading, read_again, token_view
from attninfluence.run.checkpoint import read_examples
from attninfluence.run.examples import Example, Reservoir
from attninfluence.views.tokens import colored_tokens_html, tokens_limit
from attninfluence.views.words import clip, escape, visible

if TYPE_CHECKING:
    from attninfluence.model.model import Model

MOST_OPEN = 4  # documents whose tokens are seen without opening anything
TOKENS_OPEN, TOKENS_READ_AGAIN, TOKENS_FOLDED = 500, 2000, 300
LEAST_TOKENS = 16
TOKEN_BYTES = 1_400_000  # of the page, for tokens
EXCERPT_BYTES = 400_000
EXCERPT_CHARACTERS = 600

PLACES = {
    "highest": "The highest score",
    "middle": "A score near the median",
    "lowest": "The lowest score",
}


@dataclass(frozen=True)
class Document:
    """A document that is shown. `view` and `tokens` (HTML) are there where it has tokens.

    place      highest, middle or lowest; `rank` counts from 0 within it
    is_open    whether its tokens stand in the section of their own
    """

    domain: int
    place: str
    rank: int
    row: dict[str, Any]
    reading: Reading | None = None
    excerpt: str = ""
    is_open: bool = False
    view: TokenView | None = None
    tokens: str = ""


@dataclass(frozen=True)
class Documents:
    """All that are shown, in order of domain, place and rank; `limit` ends their colour scale.

    left_out      documents whose tokens did not fit the page
    has_text      whether the text of any is at hand
    has_examples  whether the runs kept examples of the domains that are drawn
    is_read_again whether a model read those that are open
    """

    shown: list[Document]
    limit: float
    left_out: int
    has_text: bool
    has_examples: bool = False
    is_read_again: bool = False

    def of(self, domain: int, place: str) -> list[Document]:
        return [one for one in self.shown if one.domain == domain and one.place == place]

    def folded(self, domain: int) -> list[Document]:
        """Those of a domain that have tokens and are not open."""
        return [
            one for one in self.shown if one.domain == domain and one.tokens and not one.is_open
        ]

    @property
    def open(self) -> list[Document]:
        return [one for one in self.shown if one.is_open]


def choose_documents(
    run: ScoreRuns, domains: Domains, description: Description, model: Model | None
) -> Documents:
    """The documents to show, with as many tokens and as much text as the page has room for."""
    kept = _kept_examples(run, domains)
    chosen = _with_readings(_choose(run, domains, description, kept))
    largest = sorted(domains.drawn, key=lambda at: -int(domains.scored[at]))
    is_open = set(largest[:MOST_OPEN])
    chosen = [
        replace(one, is_open=one.domain in is_open and (one.place, one.rank) == ("highest", 0))
        for one in chosen
    ]
    if model is not None:
        chosen = [_read(one, run, model) if one.is_open else one for one in chosen]
    chosen = [replace(one, is_open=one.is_open and one.reading is not None) for one in chosen]
    fitted = _fitted(chosen, TOKENS_OPEN if model is None else TOKENS_READ_AGAIN)
    return replace(fitted, has_examples=bool(kept), is_read_again=model is not None)


def check_has_text(run: ScoreRuns) -> None:
    """OutputError for a run that kept no text, of which a model has nothing to read."""
    if "text" not in run.schema().names and run.schema().names:
        raise OutputError(
            f"{run.name}: holds no text, so the model has nothing to read again; score with"
            " --keep-text, or leave the model out and see the examples that the run kept"
        )


def _kept_examples(run: ScoreRuns, domains: Domains) -> dict[tuple[str, int], Example]:
    """The examples of the domains that are drawn, by file and row; of many shards no more than of
    one."""
    names = {domains.names[at] for at in domains.drawn}
    reservoir = Reservoir()
    for one in run.runs:
        for example in read_examples(one.path, one.run["run_id"]):
            if example.domain in names:
                reservoir.put(example)
    return {example.key: example for example in reservoir}


def _choose(
    run: ScoreRuns,
    domains: Domains,
    description: Description,
    kept: dict[tuple[str, int], Example],
) -> list[tuple[Document, Example | None]]:
    medians = {domain: description.nearest_median(domain) for domain in description.extremes}
    ends = [(one.highest, one.lowest) for one in description.extremes.values()]
    # All at once: to find a row, each part file is opened.
    rows = run.rows_at([*medians.values(), *(at for pair in ends for part in pair for at in part)])
    chosen: list[tuple[Document, Example | None]] = []
    for (domain, median_at), pair in zip(medians.items(), ends, strict=True):
        best, worst = ([rows[at] for at in part] for part in pair)
        middle = _middle(domains, description, kept, domain, rows[median_at], [*best, *worst])
        for place, members in (("highest", best), ("middle", middle), ("lowest", worst)):
            chosen += [
                (Document(domain, place, rank, row), kept.get(_key(row)))
                for rank, row in enumerate(members)
            ]
    return chosen


def _key(row: dict[str, Any]) -> tuple[str, int]:
    return row["file"], row["row"]


def _middle(
    domains: Domains,
    description: Description,
    kept: dict[tuple[str, int], Example],
    domain: int,
    sampled: dict[str, Any],
    others: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The kept document nearest the median; without examples `sampled`, the nearest of a sample."""
    taken = {_key(row) for row in others}
    name, center = domains.names[domain], median(description.sketches.score[domain])
    own = [one for one in kept.values() if one.domain == name]
    free = [one for one in own if one.key not in taken]
    if free:
        nearest = min(free, key=lambda one: (abs(one.score - center), one.key))
        return [{field: getattr(nearest, field) for field in Example.__slots__}]
    return [] if own or _key(sampled) in taken else [sampled]


def _with_readings(chosen: list[tuple[Document, Example | None]]) -> list[Document]:
    return [
        one if example is None else replace(one, reading=kept_reading(example))
        for one, example in chosen
    ]


def _read(one: Document, run: ScoreRuns, model: Model) -> Document:
    reading = read_again(one.row, run.common.get("scoring", {}), run.kernels, model)
    return replace(one, reading=reading)


# ------------------------------------------------------------------------------- what fits the page


def _fitted(chosen: list[Document], tokens_open: int) -> Documents:
    """The documents with their tokens and excerpts, those that are open first."""
    readings = [one.reading for one in chosen if one.reading is not None]
    limit = tokens_limit(np.subtract(one.ref, one.base) for one in readings)
    texts = sum(bool(_text(one)) for one in chosen)
    by_size = [_with_excerpt(one, EXCERPT_BYTES // max(1, texts)) for one in chosen]
    wanted = [one for one in by_size if one.reading is not None and (one.is_open or one.rank == 0)]
    folded = sum(not one.is_open for one in wanted)
    room, fitted = TOKEN_BYTES, {}
    for one in sorted(wanted, key=lambda one: not one.is_open):
        most = tokens_open if one.is_open else TOKENS_FOLDED
        share = room // (MOST_OPEN if one.is_open else max(1, folded))
        fitted[id(one)] = made = _with_tokens(one, limit, most, share)
        room -= len(made.tokens.encode())
        folded -= not one.is_open
    shown = [fitted.get(id(one), one) for one in by_size]
    left_out = sum(not one.tokens for one in fitted.values())
    return Documents(shown, limit, left_out, texts > 0)


def _with_tokens(one: Document, limit: float, most: int, room: int) -> Document:
    """With the first tokens, at most so many and in so many bytes; without, where few would fit."""
    assert one.reading is not None
    while most >= LEAST_TOKENS:
        view = token_view(one.row, one.reading, PLACES[one.place], most)
        tokens = colored_tokens_html(view.pieces, view.base, view.ref, limit=limit)
        size = len(tokens.encode())
        if size <= room:
            return replace(one, view=view, tokens=tokens)
        most = int(min(most, np.size(one.reading.base)) * 0.95 * room / size)
    return replace(one, is_open=False)


def _text(one: Document) -> str:
    return one.row.get("text") or (one.reading.text if one.reading is not None else "")


def _with_excerpt(one: Document, room: int) -> Document:
    excerpt = clip(visible(clip(_text(one), EXCERPT_CHARACTERS + 1)), EXCERPT_CHARACTERS)
    while len(escape(excerpt).encode()) > room and excerpt:
        excerpt = clip(excerpt, len(excerpt) // 2)
    return replace(one, excerpt=excerpt)
