"""The documents of a page: chosen, then read, then as far as they fit.

Their tokens come from the examples that the runs kept, or from a model that reads the text again.
What they may take of the page is bounded; what does not fit is left out, the tokens of later
documents first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from attninfluence.output.files import OutputError
from attninfluence.output.score_runs import ScoreRuns
from attninfluence.report.chosen import (
    MOST_OPEN,
    STANDINGS,
    ChosenDocument,
    choose_rows,
    kept_examples,
    row_key,
)
from attninfluence.report.description import Description
from attninfluence.report.domains import Domains
from attninfluence.report.reading import Reading, TokenView, kept_reading, read_again, token_view
from attninfluence.run.examples import Example
from attninfluence.views.tokens import colored_tokens_html, tokens_limit
from attninfluence.views.words import clip, escape, visible

if TYPE_CHECKING:
    from attninfluence.model.model import Model

TOKENS_OPEN, TOKENS_READ_AGAIN, TOKENS_FOLDED = 500, 2000, 300
LEAST_TOKENS = 16
TOKEN_BYTES = 1_400_000  # of the page, for tokens
EXCERPT_BYTES = 400_000
EXCERPT_CHARACTERS = 600


@dataclass(frozen=True)
class ReadDocument:
    """A chosen document and how it was read; None where its tokens are not at hand."""

    chosen: ChosenDocument
    reading: Reading | None

    @property
    def text(self) -> str:
        """Its text, as far as it is at hand."""
        read = "" if self.reading is None else self.reading.text
        return self.chosen.row.get("text") or read


class ShownTokens(NamedTuple):
    """A document's tokens, and as HTML."""

    view: TokenView
    html: str


@dataclass(frozen=True)
class ShownDocument:
    """A chosen document with what fits the page."""

    chosen: ChosenDocument
    excerpt: str
    tokens: ShownTokens | None

    @property
    def is_open(self) -> bool:
        """Whether its tokens stand in the section of their own."""
        return self.chosen.may_open and self.tokens is not None


@dataclass(frozen=True)
class Documents:
    """All that are shown, in order of domain, standing and rank; `limit` ends their colour scale.

    left_out      documents whose tokens did not fit the page
    has_text      whether the text of any is at hand
    has_examples  whether the runs kept examples of the domains that are drawn
    is_read_again whether a model read those that are open
    """

    shown: list[ShownDocument]
    limit: float
    left_out: int
    has_text: bool
    has_examples: bool
    is_read_again: bool

    def of(self, domain: int) -> list[ShownDocument]:
        return [document for document in self.shown if document.chosen.domain == domain]

    @property
    def open(self) -> list[ShownDocument]:
        return [document for document in self.shown if document.is_open]


def choose_documents(
    run: ScoreRuns, domains: Domains, description: Description, model: Model | None
) -> Documents:
    """The documents to show, with as many tokens and as much text as the page has room for."""
    kept = kept_examples(run, domains)
    chosen = choose_rows(run, domains, description, kept)
    read = [ReadDocument(one, _reading(one, run, kept, model)) for one in chosen]
    readings = [one.reading for one in read if one.reading is not None]
    limit = tokens_limit(np.subtract(reading.ref, reading.base) for reading in readings)
    tokens = _fitting_tokens(read, limit, TOKENS_OPEN if model is None else TOKENS_READ_AGAIN)
    texts = sum(bool(one.text) for one in read)
    excerpt_room = EXCERPT_BYTES // max(1, texts)
    return Documents(
        shown=[
            ShownDocument(one.chosen, _excerpt(one.text, excerpt_room), tokens.get(at))
            for at, one in enumerate(read)
        ],
        limit=limit,
        left_out=sum(one is None for one in tokens.values()),
        has_text=texts > 0,
        has_examples=bool(kept),
        is_read_again=model is not None,
    )


def check_has_text(run: ScoreRuns) -> None:
    """OutputError for a run that kept no text, of which a model has nothing to read."""
    if "text" not in run.schema().names and run.schema().names:
        raise OutputError(
            f"{run.name}: holds no text, so the model has nothing to read again; score with"
            " --keep-text, or leave the model out and see the examples that the run kept"
        )


def _reading(
    chosen: ChosenDocument,
    run: ScoreRuns,
    kept: dict[tuple[str, int], Example],
    model: Model | None,
) -> Reading | None:
    if model is not None and chosen.may_open:
        return read_again(chosen.row, run.common.get("scoring", {}), run.kernels, model)
    example = kept.get(row_key(chosen.row))
    return None if example is None else kept_reading(example)


def _fitting_tokens(
    read: list[ReadDocument], limit: float, most_open: int
) -> dict[int, ShownTokens | None]:
    """The tokens of the first of each standing, by place in the list; None where few would fit."""
    has_tokens = [at for at, one in enumerate(read) if one.reading is not None]
    opened = [at for at in has_tokens if read[at].chosen.may_open]
    folded = [at for at in has_tokens if read[at].chosen.rank == 0 and at not in opened]
    room, fitting = TOKEN_BYTES, {}
    for place, at in enumerate(opened + folded):
        is_open = place < len(opened)
        most = most_open if is_open else TOKENS_FOLDED
        among = MOST_OPEN if is_open else len(opened) + len(folded) - place
        fitting[at] = tokens = _first_tokens(read[at], limit, most, room // among)
        room -= len(tokens.html.encode()) if tokens else 0
    return fitting


def _first_tokens(one: ReadDocument, limit: float, most: int, room: int) -> ShownTokens | None:
    """The first tokens, at most so many and in so many bytes; None where few would fit."""
    assert one.reading is not None
    while most >= LEAST_TOKENS:
        view = token_view(one.chosen.row, one.reading, STANDINGS[one.chosen.standing], most)
        html = colored_tokens_html(view.pieces, view.base, view.ref, limit=limit)
        size = len(html.encode())
        if size <= room:
            return ShownTokens(view, html)
        most = int(min(most, np.size(one.reading.base)) * 0.95 * room / size)
    return None


def _excerpt(text: str, room: int) -> str:
    """The beginning of a text, in so many bytes."""
    excerpt = clip(visible(clip(text, EXCERPT_CHARACTERS + 1)), EXCERPT_CHARACTERS)
    while len(escape(excerpt).encode()) > room and excerpt:
        excerpt = clip(excerpt, len(excerpt) // 2)
    return excerpt
