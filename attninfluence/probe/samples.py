"""The probe task that shows which heads retrieve (METHOD.md section 2; the paper's section 4.1).

A sample asks for one value of a JSON object, after a few questions answered for it:

    Extract the value ... {"k1": "v1", "k2": "v2", ... }   key: k7 answer: v7 ... key: k2 answer: v2
                                         needle ^^                                      answer ^^

It is put together from pieces tokenised one by one, so the value is the same token ids in the
needle and in the answer, and both places are known exactly. This module knows nothing of models.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attninfluence.probe.sentences import Texts, random_stream, read_sentences

INSTRUCTION = (
    "Extract the value of the given key from the JSON object below. Output only the value.\n\n{"
)
KEY_LENGTH = 32
KEY_CHARACTERS = string.ascii_letters + string.digits
MIN_VALUE_TOKENS = 4
MAX_VALUE_TOKENS = 30
MAX_SENTENCES = 4_000

# The demonstrated pairs are drawn again, this often, before a length counts as too small.
MAX_DRAWS = 100


class PieceTokenizer(Protocol):
    """What a sample needs of a tokenizer; `attninfluence.tokenizer.Tokenizer` has it."""

    def encode_piece(self, text: str) -> list[int]:
        """The ids of plain text, without BOS or anything else added."""

    def bos_ids(self) -> list[int]:
        """What the tokenizer's own policy puts before a text: one id, or none."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One probe sample; `ids[needle]` and `ids[answer]` are the same ids.

    Attributes:
        ids: int32[T], BOS included where the tokenizer's policy has one; ends with the answer.
        needle: (start, stop) of the queried value inside the JSON object.
        answer: (start, stop) of the answer; stop is T.
        key: the queried key.
        value: the queried value, which occurs once in the object.
        n_pairs: pairs in the object.
        place: place of the queried pair in the object, 0..n_pairs-1.
    """

    ids: NDArray[np.int32]
    needle: tuple[int, int]
    answer: tuple[int, int]
    key: str
    value: str
    n_pairs: int
    place: int

    def __repr__(self) -> str:
        return (
            f"Sample({len(self.ids)} tokens, {self.n_pairs} pairs: pair {self.place}, key "
            f"{self.key!r}, has the value {self.value!r} at {list(self.needle)}, which is the "
            f"answer at {list(self.answer)})"
        )


def make_samples(
    tokenizer: PieceTokenizer,
    samples: int = 800,
    max_length: int = 4096,
    shots: int = 3,
    corpus: Texts | None = None,
    seed: int = 0,
) -> list[Sample]:
    """Makes probe samples (METHOD.md section 2).

    Sample i depends on the tokenizer, `max_length`, `shots`, `corpus`, `seed` and i alone, so the
    first ten samples are the same whether ten or 800 are asked for.

    Args:
        tokenizer: an `attninfluence.tokenizer.Tokenizer`, for example `model.tokenizer`.
        samples: how many, at least 1.
        max_length: the most tokens of prompt and answer together, BOS included. The object gets
            as many pairs as fit, so a sample falls short of it by less than one pair.
        shots: pairs of the object that are asked and answered before the query.
        corpus: where the values come from: None for the sentences bundled with the package; a
            .txt file; what `attninfluence score` takes as input (JSONL or Parquet with a column
            `text`, a folder, a glob); or texts. `read_sentences` says how they become sentences.
        seed: of everything random, at least 0.

    Raises:
        ValueError: an argument is out of range, `max_length` is too small for `shots + 1` pairs,
            or there are too few sentences of 4 to 30 tokens to fill a sample.
    """
    return list(iter_samples(tokenizer, samples, max_length, shots, corpus, seed))


def iter_samples(
    tokenizer: PieceTokenizer,
    samples: int,
    max_length: int,
    shots: int,
    corpus: Texts | None,
    seed: int,
) -> Iterator[Sample]:
    """The samples of `make_samples`, made one at a time; arguments are checked at the call."""
    for name, number, least in (("samples", samples, 1), ("shots", shots, 0), ("seed", seed, 0)):
        if number < least:
            raise ValueError(f"{name} must be at least {least}, not {number}")
    values = _values(tokenizer, corpus, seed)
    maker = _SampleMaker(tokenizer, values, max_length, shots)
    return (maker.make(random_stream(seed, 1, index)) for index in range(samples))


@dataclass(frozen=True)
class _Value:
    text: str
    ids: list[int]


@dataclass(frozen=True)
class _Pair:
    key: str
    value: _Value
    opening: list[int]  # '"<key>": "'


class _SampleMaker:
    """Puts samples together; every piece of text that recurs is tokenised once."""

    def __init__(
        self, tokenizer: PieceTokenizer, values: list[_Value], max_length: int, shots: int
    ) -> None:
        self.encode = tokenizer.encode_piece
        self.values, self.max_length, self.shots = values, max_length, shots
        self.start = tokenizer.bos_ids() + self.encode(INSTRUCTION)
        self.between = self.encode('",\n')
        self.close = self.encode('"') + self.encode("}\n\n")
        self.after_answer = self.encode("\n\n")

    def make(self, rng: np.random.Generator) -> Sample:
        """One sample from one stream of random numbers."""
        order, pairs, questions, length = self._draw_asked(rng)
        for index in order[len(pairs) :]:
            pair = self._pair(rng, self.values[index])
            length += self._pair_length(pair)
            if length > self.max_length:
                return self._join(rng, pairs, questions)
            pairs.append(pair)
        raise ValueError(
            f"a sample of {self.max_length} tokens needs more than the {len(self.values)} "
            f"sentences of {MIN_VALUE_TOKENS} to {MAX_VALUE_TOKENS} tokens that the corpus has "
            "for this tokenizer: give a larger corpus or a smaller max_length"
        )

    def _draw_asked(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], list[_Pair], list[list[int]], int]:
        """An order of the values, the demonstrated pairs with the queried one last, and length."""
        n_asked = self.shots + 1
        lengths: list[int] = []
        for _ in range(MAX_DRAWS):
            order = rng.permutation(len(self.values))
            pairs = [self._pair(rng, self.values[index]) for index in order[:n_asked]]
            questions = [self.encode(f"key: {pair.key}\nanswer: ") for pair in pairs]
            length = len(self.start) - len(self.between) + len(self.close)
            length += self.shots * len(self.after_answer)
            for pair, question in zip(pairs, questions, strict=True):
                length += self._pair_length(pair) + len(question) + len(pair.value.ids)
            if length <= self.max_length:
                return order, pairs, questions, length
            lengths.append(length)
        raise ValueError(
            f"max_length={self.max_length} is too small for a probe sample: {n_asked} pairs of "
            f"which {self.shots} are demonstrated take {min(lengths)} to {max(lengths)} tokens "
            "with this tokenizer; give a longer max_length (the model's context is its limit) or "
            "fewer shots"
        )

    def _pair(self, rng: np.random.Generator, value: _Value) -> _Pair:
        places = rng.integers(len(KEY_CHARACTERS), size=KEY_LENGTH)
        key = "".join([KEY_CHARACTERS[place] for place in places])
        return _Pair(key, value, self.encode(f'"{key}": "'))

    def _pair_length(self, pair: _Pair) -> int:
        return len(pair.opening) + len(pair.value.ids) + len(self.between)

    def _join(
        self, rng: np.random.Generator, pairs: list[_Pair], questions: list[list[int]]
    ) -> Sample:
        """The sample of `pairs`; the first `shots` are demonstrated, the next one is queried."""
        query = self.shots
        ids = list(self.start)
        places = rng.permutation(len(pairs))
        for place, index in enumerate(places):
            pair = pairs[index]
            ids += pair.opening
            if index == query:
                needle = (len(ids), len(ids) + len(pair.value.ids))
            ids += pair.value.ids
            ids += self.close if place == len(pairs) - 1 else self.between
        for pair, question in zip(pairs[:query], questions, strict=False):
            ids += question + pair.value.ids + self.after_answer
        ids += questions[query]
        queried = pairs[query]
        answer = (len(ids), len(ids) + len(queried.value.ids))
        ids += queried.value.ids
        place = int(np.flatnonzero(places == query)[0])
        array = np.array(ids, dtype=np.int32)
        return Sample(array, needle, answer, queried.key, queried.value.text, len(pairs), place)


def _values(tokenizer: PieceTokenizer, corpus: Texts | None, seed: int) -> list[_Value]:
    """Sentences of 4 to 30 tokens, none of which is part of another, in an order of the seed's."""
    values: dict[tuple[int, ...], _Value] = {}
    for text in read_sentences(corpus, seed):
        ids = tokenizer.encode_piece(text)
        if MIN_VALUE_TOKENS <= len(ids) <= MAX_VALUE_TOKENS:
            values.setdefault(tuple(ids), _Value(text, ids))
        if len(values) == MAX_SENTENCES:
            break
    everything = "\n".join(value.text for value in values.values())
    return [value for value in values.values() if everything.count(value.text) == 1]
