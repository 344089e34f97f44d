"""One head reading one document: its weights, and at which steps of a probe sample it copies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.base.text import as_text
from attninfluence.base.whole_number import as_whole_number
from attninfluence.probe.samples import Sample
from attninfluence.tokenizer.ids import as_ids
from attninfluence.tokenizer.tokenizer import Tokenizer

Query = int | Iterable[int] | None


class AttentionModel(Protocol):
    """What a reading needs of a model; `attninfluence.model.Model` has it."""

    @property
    def precision(self) -> str: ...

    @property
    def vocab_size(self) -> int: ...

    @property
    def has_tokenizer(self) -> bool: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def attention(self, token_ids: ArrayLike, layer: int, head: int) -> NDArray[np.float32]:
        """float32[T, T]: row t holds the weights of query t."""


@dataclass(frozen=True, eq=False)
class HeadReading:
    """What a head looks at in a document.

    Attributes:
        layer, head: which one, both counted from 0.
        precision: the arithmetic of the model that read it.
        tokens: T strings, each token's text, or its id where the model has no tokenizer.
        weights: float32[T, T], row t the weights of query t over keys 0..t.
        queries: the rows that are looked at closely, in order.
        n_tokens: tokens of the whole document, of which the first T were read.
        sample: the probe sample that was read, else None.
        has_text: whether the tokens, joined, are the text.
    """

    layer: int
    head: int
    precision: str
    tokens: list[str]
    weights: NDArray[np.float32]
    queries: tuple[int, ...]
    n_tokens: int
    sample: Sample | None
    has_text: bool


@dataclass(frozen=True)
class Step:
    """One step of a probe sample's answer (METHOD.md section 2).

    query predicts the token behind it; key is the place of its largest weight, the first of equal
    ones; in_needle, and copies when the token there is the predicted one.
    """

    query: int
    key: int
    weight: float
    in_needle: bool
    copies: bool


def read_head(
    model: AttentionModel,
    document: str | bytes | ArrayLike | Sample,
    layer: int,
    head: int,
    query: Query,
    max_tokens: int | None,
) -> HeadReading:
    """The reading that `Model.view_attention` shows; arguments and errors are its own."""
    ids = _ids_of(model, document)
    n_tokens = len(ids)
    sample = document if isinstance(document, Sample) else None
    ids = ids[: _length_to_read(n_tokens, max_tokens, sample)]
    queries = _queries(query, len(ids)) if sample is None else _steps_of(sample, query)
    return HeadReading(
        layer=layer,
        head=head,
        precision=model.precision,
        tokens=_token_strings(model, ids),
        weights=model.attention(ids, layer, head),
        queries=queries,
        n_tokens=n_tokens,
        sample=sample,
        has_text=model.has_tokenizer,
    )


def copy_steps(reading: HeadReading) -> list[Step]:
    """The steps of the answer of the probe sample that was read, in order."""
    sample = reading.sample
    assert sample is not None
    start, stop = sample.needle
    steps = []
    for query in reading.queries:
        key = int(reading.weights[query].argmax())
        in_needle = start <= key < stop
        copies = in_needle and bool(sample.ids[key] == sample.ids[query + 1])
        steps.append(Step(query, key, float(reading.weights[query, key]), in_needle, copies))
    return steps


def _ids_of(model: AttentionModel, document: str | bytes | ArrayLike | Sample) -> NDArray[np.int32]:
    if isinstance(document, Sample):
        ids = document.ids
        if model.has_tokenizer:
            model.tokenizer.check_fits(ids, model.vocab_size)
    elif isinstance(document, str | bytes):
        text, _ = as_text(document)
        ids = model.tokenizer.encode([text or ""], offsets=False)[0].ids
        model.tokenizer.check_fits(ids, model.vocab_size)
    else:
        ids = as_ids(document, model.vocab_size, "document")
    if len(ids) < 2:
        raise ValueError(f"attention needs a document of at least 2 tokens, this has {len(ids)}")
    return ids


def _length_to_read(n_tokens: int, most: int | None, sample: Sample | None) -> int:
    if most is not None and as_whole_number("max_tokens", most) < 2:
        raise ValueError(f"max_tokens must be at least 2, or None for all, not {most}")
    if most is None or n_tokens <= most:
        return n_tokens
    if sample is not None:
        raise ValueError(
            f"the sample has {n_tokens:,} tokens and cannot be cut: its answer is at its end; make "
            f"it with max_length={most}, or give max_tokens=None (attention of {n_tokens:,} tokens "
            f"takes {4 * n_tokens**2 / 1e6:,.0f} MB)"
        )
    return most


def _queries(query: Query, n: int) -> tuple[int, ...]:
    chosen = -1 if query is None else query
    rows: list[int] = []
    for one in chosen if isinstance(chosen, Iterable) else [chosen]:
        row = as_whole_number("query", one)
        if not -n <= row < n:
            raise ValueError(f"query {row} is out of range: {n:,} tokens are read")
        rows.append(row % n)
    if not rows:
        raise ValueError("query names no token")
    return tuple(sorted(set(rows)))


def _steps_of(sample: Sample, query: Query) -> tuple[int, ...]:
    if query is not None:
        raise ValueError(
            "the queries of a probe sample are the steps of its answer: to choose others, give "
            "its ids (sample.ids)"
        )
    start, stop = sample.answer
    return tuple(range(start - 1, stop - 1))


def _token_strings(model: AttentionModel, ids: NDArray[Any]) -> list[str]:
    """Each token's text; its number where the model has none for it."""
    if model.has_tokenizer:
        return model.tokenizer.token_strings(ids)
    return [str(token) for token in ids.tolist()]
