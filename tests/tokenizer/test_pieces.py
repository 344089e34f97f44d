"""A text tokenised in pieces has the tokens of the whole, whatever the tokenizer."""

from __future__ import annotations

import functools
import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attninfluence.model.opening import bundled_folder
from attninfluence.tokenizer import pieces
from attninfluence.tokenizer.cuts import Cuts
from attninfluence.tokenizer.pieces import COUNTED, encode_long
from attninfluence.tokenizer.tokenizer import Tokenizer, _encode_part
from tests.kit.tiny_models import write_tokenizer
from tests.tokenizer import made_pipelines, tokenizer_kinds

KINDS = {**tokenizer_kinds.KINDS, "bundled": lambda folder: bundled_folder()}
SHORT = [text for text in tokenizer_kinds.NASTY if 0 < len(text) < 1000]


@pytest.fixture(scope="module")
def tokenizer_of(tmp_path_factory):
    @functools.cache
    def tokenizer_of(kind):
        return Tokenizer(KINDS[kind](tmp_path_factory.mktemp("kind") / kind))

    return tokenizer_of


def in_pieces(text, encode, cuts, piece):
    """(ids, offsets) of a text in pieces, and how many there were."""
    parts, end = encode_long(text, encode, cuts, None, piece)
    assert end == len(text)
    ids, offsets = (np.concatenate([part[at] for part in parts]).tolist() for at in (0, 1))
    return (ids, offsets), len(parts)


def count_pieces(text, encode, cuts, piece):
    """How many pieces there were; they have the tokens of the whole."""
    whole = tuple(part.tolist() for part in encode(text))
    found, count = in_pieces(text, encode, cuts, piece)
    assert found == whole, (text, piece)
    return count


def encoder(tokenizer, special):
    return functools.partial(_encode_part, tokenizer._backend(special), True)


@pytest.mark.parametrize("special", ["text", "control"])
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_have_the_tokens_of_the_whole(tokenizer_of, kind, special):
    tokenizer, chance = tokenizer_of(kind), random.Random(kind)
    encode = encoder(tokenizer, special)
    texts = [*SHORT, *made_pipelines.hard_texts(300), *tokenizer_kinds.random_texts(300)]
    counts = [
        count_pieces(text, encode, tokenizer._cuts, chance.choice([1, 2, 3, 7, 20]))
        for text in texts
    ]
    assert np.mean(counts) > 5


@given(
    kind=st.sampled_from([*KINDS]),
    special=st.sampled_from(["text", "control"]),
    text=st.lists(st.sampled_from(made_pipelines.PARTS) | st.characters(codec="utf-8")).map(
        "".join
    ),
    piece=st.integers(1, 9),
)
def test_any_text_in_pieces_has_the_tokens_of_the_whole(tokenizer_of, kind, special, text, piece):
    tokenizer = tokenizer_of(kind)
    if text:
        count_pieces(text, encoder(tokenizer, special), tokenizer._cuts, piece)


@pytest.mark.parametrize("special", ["text", "control"])
def test_steps_in_any_order_keep_the_tokens(tmp_path_factory, special):
    from tokenizers import Tokenizer as Backend

    chance, texts, total = random.Random(special), made_pipelines.hard_texts(400), 0
    for name, stored in made_pipelines.pipelines(tmp_path_factory.mktemp("unigram"), 150):
        backend = Backend.from_str(stored)
        backend.encode_special_tokens = special == "text"
        normalizer = backend.normalizer
        normalize = str if normalizer is None else normalizer.normalize_str
        cuts = Cuts(json.loads(backend.to_str()), normalize)
        encode = functools.partial(_encode_part, backend, True)
        for text in chance.sample(texts, 12):
            try:
                whole = tuple(part.tolist() for part in encode(text))
            except ValueError:  # the library panics at some normalised added tokens
                continue
            found, count = in_pieces(text, encode, cuts, chance.choice([1, 2, 5]))
            assert found == whole, (name, text)
            total += count
    assert total > 10_000


LONG = "A line of text, and a number: 12345.\n" * 20_000


@pytest.mark.parametrize("kind", ["llama3", "llama2", "gemma", "gpt_neox", "unigram"])
def test_a_long_text_is_encoded_in_pieces(tokenizer_of, kind, monkeypatch):
    tokenizer = tokenizer_of(kind)
    lengths, text = [], LONG[: 4 * pieces.PIECE]
    whole = tokenizer._plain.encode(text, add_special_tokens=False)
    monkeypatch.setattr(tokenizer, "_plain", Watched(tokenizer._plain, lengths))
    encoding = tokenizer.encode([text], bos="never")[0]
    assert encoding.ids.tolist() == whole.ids
    assert encoding.offsets.tolist() == [list(pair) for pair in whole.offsets]
    assert encoding.n_characters == len(text)
    assert max(lengths) <= pieces.PIECE + 1
    assert sum(lengths) < 1.01 * len(text)


class Watched:
    """A backend that notes the lengths of what it encodes."""

    def __init__(self, backend, lengths):
        self.backend, self.lengths = backend, lengths

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def encode(self, text, **options):
        self.lengths.append(len(text))
        return self.backend.encode(text, **options)


@pytest.mark.parametrize("text", ["x" * 300_000, " " * 300_000, "\u0301" * 200_000])
def test_what_cannot_be_cut_is_one_piece(tokenizer_of, text):
    tokenizer = tokenizer_of("llama3")
    found = tokenizer.encode([text], bos="never", enough=5)[0]
    assert found.n_characters == len(text)
    assert found.ids.tolist() == tokenizer._plain.encode(text, add_special_tokens=False).ids


def test_a_long_word_lies_in_the_piece_that_it_begins_in(tokenizer_of):
    tokenizer = tokenizer_of("llama3")
    text = LONG[:50_000] + "x" * 150_000 + LONG[:50_000]
    encode = encoder(tokenizer, "text")
    assert count_pieces(text, encode, tokenizer._cuts, pieces.PIECE) == 3


# ------------------------------------------------------------------------------- enough


def test_enough_ends_at_the_first_cut_behind_the_characters_that_are_always_read(tokenizer_of):
    tokenizer = tokenizer_of("llama3")
    whole, some = (tokenizer.encode([LONG], enough=enough)[0] for enough in (None, 4096))
    end = some.n_characters
    assert COUNTED <= end < COUNTED + 20
    assert tokenizer._cuts.between(LONG[end - 1 : end + 1])
    assert not any(tokenizer._cuts.between(LONG[at - 1 : at + 1]) for at in range(COUNTED, end))
    assert some.ids.tolist() == whole.ids[: len(some.ids)].tolist()
    assert some.offsets.tolist() == whole.offsets[: len(some.ids)].tolist()
    assert whole.offsets[len(some.ids)][0] >= end


def test_enough_goes_on_at_twice_the_characters(tokenizer_of):
    tokenizer = tokenizer_of("llama3")
    first = tokenizer.encode([LONG], enough=1)[0]
    same = tokenizer.encode([LONG], enough=len(first.ids))[0]
    more = tokenizer.encode([LONG], enough=len(first.ids) + 1)[0]
    assert same.n_characters == first.n_characters
    assert 2 * COUNTED <= more.n_characters < 2 * COUNTED + 20
    assert tokenizer.encode([LONG], enough=10**9)[0].n_characters == len(LONG)


def test_enough_does_not_depend_on_the_pieces(tokenizer_of, monkeypatch):
    tokenizer = tokenizer_of("llama3")
    wanted = tokenizer.encode([LONG], enough=9)[0]
    monkeypatch.setattr(encode_long, "__defaults__", (1000,))
    found = tokenizer.encode([LONG], enough=9)[0]
    assert found.ids.tolist() == wanted.ids.tolist()
    assert found.n_characters == wanted.n_characters


def test_a_text_of_so_many_characters_is_read_to_its_end(tokenizer_of):
    found = tokenizer_of("llama3").encode([LONG[:COUNTED]], enough=1)[0]
    assert found.n_characters == COUNTED


def test_an_interrupt_is_heard_between_pieces(tmp_path):
    tokenizer = Tokenizer(write_tokenizer(tmp_path))
    encode, calls = encoder(tokenizer, "text"), []

    def interrupted(text):
        calls.append(text)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(text)

    with pytest.raises(KeyboardInterrupt):
        encode_long(LONG, interrupted, tokenizer._cuts, None)
    assert sum(map(len, calls)) < len(LONG) / 2
