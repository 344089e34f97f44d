"""One head at work on one document: its attention as a picture, and the tokens it looks at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attninfluence.views.matrix import (
    MAX_CELLS,
    Mark,
    enlarged_svg,
    matrix_svg,
    range_words,
    shown_token,
    weight_level,
)
from attninfluence.views.table import table_html, wide
from attninfluence.views.tokens import token_text
from attninfluence.views.view import View, quiet
from attninfluence.views.words import count, escape, number, plural

if TYPE_CHECKING:
    from attninfluence.heads.reading import HeadReading, Step
    from attninfluence.probe.samples import Sample

MAX_QUERIES = 12  # of a text that get a table
KEYS_OF_ONE, KEYS_OF_SEVERAL = 10, 4  # most looked at tokens listed for a query
SHOWN_FROM = 0.0005  # smaller weights are 0.000
HINTED_FROM = 0.005  # weights that a token says on hover


def attention_view(reading: HeadReading) -> View:
    """The view of `Model.view_attention`."""
    title = f"Attention of layer {reading.layer}, head {reading.head}"
    parts = _sample_parts if reading.sample is not None else _text_parts
    sentence, body, lines = parts(reading)
    body = [
        f"<p>{escape(sentence[0].upper() + sentence[1:])}</p>",
        *body,
        "<h2>The tokens it looks at</h2>",
        quiet(_legend(reading)),
        _tokens_html(reading),
    ]
    return View(title, "".join(body), "\n".join([f"{title}: {sentence}", *lines]))


Parts = tuple[str, list[str], list[str]]  # a sentence, HTML, lines of plain text


def _sample_parts(reading: HeadReading) -> Parts:
    from attninfluence.heads.reading import copy_steps

    sample, steps = reading.sample, copy_steps(reading)
    assert sample is not None
    copied = sum(step.copies for step in steps)
    sentence = (
        f"a probe sample of {plural(len(sample.ids), 'token')} that asks for one of "
        f"{plural(sample.n_pairs, 'value')}. The head copies {copied} of {len(steps)} answer "
        f"tokens: at so many steps its largest weight lies in the needle, on the token that "
        f"comes next. Read in {reading.precision}."
    )
    first, last = reading.queries[0], reading.queries[-1] + 1
    marks = [Mark(*sample.needle, "needle")], [Mark(first, last, "answer steps")]
    body = [
        _matrix(reading, *marks),
        "<h2>The steps of the answer</h2>",
        _enlarged(reading, sample, steps),
        _steps_table(reading, sample, steps),
    ]
    return sentence, body, [_step_line(reading, sample, step) for step in steps]


def _text_parts(reading: HeadReading) -> Parts:
    queries = reading.queries[:MAX_QUERIES]
    sentence = f"{_what_was_read(reading)}, in {reading.precision}."
    if len(queries) < len(reading.queries):
        sentence += (
            f" The first {len(queries)} of {count(len(reading.queries))} queries are listed."
        )
    rows = [Mark(query, query + 1, f"query {query}") for query in queries]
    body = [_matrix(reading, [], rows), _keys_table(reading, queries)]
    return sentence, body, [_keys_line(reading, query) for query in queries]


def _what_was_read(reading: HeadReading) -> str:
    read = len(reading.tokens)
    if read == reading.n_tokens:
        return f"{plural(read, 'token')} read"
    return (
        f"the first {count(read)} of {plural(reading.n_tokens, 'token')} read "
        "(view_attention(..., max_tokens=None) reads all)"
    )


def _matrix(reading: HeadReading, columns: Sequence[Mark], rows: Sequence[Mark]) -> str:
    n = len(reading.tokens)
    label = f"Attention matrix of {plural(n, 'token')}, queries downwards and keys to the right"
    names = [f"{mark.name}: {range_words(mark.start, mark.stop)}" for mark in (*columns, *rows)]
    picture = matrix_svg(reading.weights, reading.tokens, columns, rows, "; ".join([label, *names]))
    note = "A row is a token that looks, a column a token that it looks at."
    if n > MAX_CELLS:
        note += (
            f" A cell stands for about {n / MAX_CELLS:.1f} x {n / MAX_CELLS:.1f} tokens and shows "
            "the largest of their weights, so single bright points stay."
        )
    return wide("Attention matrix", picture) + quiet(note)


def _enlarged(reading: HeadReading, sample: Sample, steps: Sequence[Step]) -> str:
    """Needle and answer: the diagonal that a retrieval head draws."""
    start, stop = sample.needle
    picture = enlarged_svg(
        reading.weights[list(reading.queries), start:stop],
        [_predicted(reading, step) for step in steps],
        reading.tokens[start:stop],
        [(row, step.key - start) for row, step in enumerate(steps) if step.copies],
        ["" if step.in_needle else _elsewhere(reading, step) for step in steps],
        "Attention of each answer step to each token of the needle; copied tokens are outlined",
    )
    note = quiet("Outlined: the largest weight of a step that copies.")
    return wide("Attention of the answer to the needle", picture) + note


def _predicted(reading: HeadReading, step: Step) -> str:
    return reading.tokens[step.query + 1]


def _elsewhere(reading: HeadReading, step: Step) -> str:
    token = shown_token(reading.tokens[step.key])
    return f"{number(step.weight, 2)} at {token}, token {count(step.key)}"


def _where(sample: Sample, step: Step) -> str:
    if step.in_needle:
        return f"needle, {step.key - sample.needle[0] + 1} of {sample.needle[1] - sample.needle[0]}"
    return f"token {count(step.key)}"


def _steps_table(reading: HeadReading, sample: Sample, steps: Sequence[Step]) -> str:
    columns = [("step", "left"), ("predicts", "left"), ("looks most at", "left"), ("where", "left")]
    columns += [("weight", ""), ("copies", "left")]
    rows = [
        [
            str(number_of),
            escape(shown_token(_predicted(reading, step), 24)),
            escape(shown_token(reading.tokens[step.key], 24)),
            _where(sample, step),
            number(step.weight),
            "yes" if step.copies else "no",
        ]
        for number_of, step in enumerate(steps, start=1)
    ]
    return table_html(columns, rows, "The steps of the answer")


def _step_line(reading: HeadReading, sample: Sample, step: Step) -> str:
    predicted, seen = _predicted(reading, step), reading.tokens[step.key]
    return (
        f"  predicts {shown_token(predicted)}: looks most at {shown_token(seen)}, "
        f"{_where(sample, step)} ({number(step.weight, 2)}){', copies' * step.copies}"
    )


def _most_looked_at(reading: HeadReading, query: int, n: int) -> list[tuple[int, float]]:
    """(key, weight) of the n largest weights of a row, less those that would show as zero."""
    row = reading.weights[query, : query + 1]
    order = np.argsort(-row, kind="stable")[:n]
    return [(int(key), float(row[key])) for key in order if row[key] >= SHOWN_FROM]


def _keys_table(reading: HeadReading, queries: Sequence[int]) -> str:
    columns = [("token that looks", "left"), ("looks at", "left"), ("token", ""), ("weight", "")]
    n = KEYS_OF_ONE if len(queries) == 1 else KEYS_OF_SEVERAL
    rows = [
        [
            escape(f"{shown_token(reading.tokens[query], 24)}, {count(query)}"),
            escape(shown_token(reading.tokens[key], 24)),
            count(key),
            number(weight),
        ]
        for query in queries
        for key, weight in _most_looked_at(reading, query, n)
    ]
    return table_html(columns, rows, "The tokens most looked at")


def _keys_line(reading: HeadReading, query: int) -> str:
    seen = ", ".join(
        f"{shown_token(reading.tokens[key])} {number(weight, 2)}"
        for key, weight in _most_looked_at(reading, query, KEYS_OF_SEVERAL)
    )
    return f"  {shown_token(reading.tokens[query])}, token {count(query)}: looks most at {seen}"


def _legend(reading: HeadReading) -> str:
    if reading.sample is not None:
        return (
            "Coloured by the largest weight that a step of the answer gives them; needle and "
            "answer are underlined."
        )
    several = len(reading.queries) > 1
    who = (
        f"the largest weight that {len(reading.queries)} queries give"
        if several
        else (f"the weight that token {count(reading.queries[0])} gives")
    )
    return f"Coloured by {who} them; what looks is underlined."


def _tokens_html(reading: HeadReading) -> str:
    """The document's text, its tokens on the colour of their weight."""
    weights = reading.weights[list(reading.queries)].max(axis=0)
    names = _underlined(reading)
    parts = []
    for name, places in groupby(range(len(weights)), key=lambda place: names.get(place, "")):
        inner = _run(reading, weights, places)
        label = f'<b class="label">{name}</b>' if name else ""
        parts.append(f'{label}<u class="marked">{inner}</u>' if name else inner)
    return f'<div class="tokens" dir="auto">{"".join(parts)}</div>'


def _underlined(reading: HeadReading) -> dict[int, str]:
    """The names of the tokens that stand out."""
    if reading.sample is None:
        return dict.fromkeys(reading.queries, "query")
    needle, answer = range(*reading.sample.needle), range(*reading.sample.answer)
    return dict.fromkeys(needle, "needle") | dict.fromkeys(answer, "answer")


def _run(reading: HeadReading, weights: NDArray[np.float32], places: Iterable[int]) -> str:
    behind = "" if reading.has_text else " "
    return "".join(
        _token(reading.tokens[place] + behind, float(weights[place])) for place in places
    )


def _token(text: str, weight: float) -> str:
    shown = token_text(text)
    if weight < HINTED_FROM:
        return shown
    level = weight_level(weight)
    css = f' class="q{level}"' if level else ""
    return f'<span{css} title="weight {number(weight)}">{shown}</span>'
