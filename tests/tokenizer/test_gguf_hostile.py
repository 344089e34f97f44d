"""GGUF tokenizers that are damaged or made to do harm: each is refused, in a sentence, at once."""

from __future__ import annotations

import contextlib
import copy
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attninfluence import ModelError
from attninfluence.tokenizer import gguf as opener
from attninfluence.tokenizer import gguf_fields, gguf_merges
from attninfluence.tokenizer.gguf_fields import Fields
from attninfluence.tokenizer.gguf_merges import scored_merges
from attninfluence.tokenizer.tokenizer import Tokenizer, TokenizerError
from tests.kit.gguf import metadata
from tests.kit.gguf.metadata import Metadata, write_fields
from tests.tokenizer import tokenizer_kinds as kinds

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
N_MUTATIONS = 400


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metadata]:
    """The metadata of a tokenizer of each kind."""
    root = tmp_path_factory.mktemp("kinds")
    roles = {"bos_token_id": 1, "eos_token_id": 2, "add_bos_token": True}
    bytes_first = metadata.byte_level(kinds.gpt2_json(root / "gpt2"), "gpt-2") | roles
    pieces = metadata.sentencepiece(kinds.llama2(root / "llama")) | roles
    return {
        "gpt2": bytes_first,
        "listed": pieces,
        "llama": metadata.scored(pieces),
        "t5": metadata.unigram(kinds.unigram(root / "t5")),
    }


def refused(path: Path, metadata: Metadata, *words: str) -> str:
    with pytest.raises(ModelError) as caught:
        Tokenizer(write_fields(path / "a.gguf", metadata))
    told = str(caught.value)
    assert told.startswith(f"{path}/a.gguf: ") and all(word in told for word in words), told
    assert "\n" not in told and len(told) < 1500
    return told


# ------------------------------------------------------------------------------ single fields


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": None}, "model is missing: the file has no tokenizer"),
        ({"model": "bert"}, "model is 'bert', a kind not known here; known are gpt2, llama, t5"),
        ({"model": 7}, "model is a whole number, expected a string"),
        ({"pre": "kimi-k2"}, "pre is 'kimi-k2', a way to split texts that is not known here"),
        ({"pre": "x" * 5000}, f"pre is '{80 * 'x'}', a way"),
        ({"pre": True}, "pre is a boolean, expected a string"),
        ({"tokens": None}, "tokens is missing, or names no token"),
        ({"tokens": "a"}, "tokens is a string, expected an array of strings"),
        ({"tokens": [1, 2]}, "tokens is an array of int32, expected an array of strings"),
        ({"tokens": [True]}, "tokens is an array of booleans, expected an array of strings"),
        ({"tokens": ["a", "b", "a"]}, "tokens has the token 'a' twice, at 0 and 2"),
        ({"tokens": ["a" * 5000]}, "tokens has a token of 5000 bytes, 0, expected at most 4096"),
        ({"token_type": np.array([1, 1], dtype=np.int32)}, "token_type has 2 entries for "),
        ({"token_type": "1"}, "token_type is a string, expected an array of numbers"),
        ({"merges": None}, "merges is missing, of a byte-level BPE"),
        ({"merges": ["a b", "c d", "a b"]}, "merges has the merge 'a b' twice, at 0 and 2"),
        ({"merges": ["a"]}, "merges[0] is 'a', but '' is no token"),
        ({"merges": ["a \u0416"]}, "merges[0] is 'a \u0416', but '\u0416' is no token"),
        ({"merges": ["! !"]}, "merges[0] is '! !', but '!!' is no token"),
        ({"merges": [1]}, "merges is an array of int32, expected an array of strings"),
        ({"bos_token_id": 10**6}, "bos_token_id is 1000000, and the file has "),
        ({"bos_token_id": -1}, "bos_token_id is -1, and the file has "),
        ({"bos_token_id": "1"}, "bos_token_id is a string, expected a whole number"),
        ({"bos_token_id": True}, "bos_token_id is a boolean, expected a whole number"),
        ({"bos_token_id": None}, "add_bos_token is true, but the file has no bos_token_id"),
        ({"add_bos_token": 1}, "add_bos_token is a whole number, expected a boolean"),
    ],
)
def test_a_field_of_byte_level_bpe(
    tmp_path: Path, said: dict[str, Metadata], changes: Metadata, words: str
) -> None:
    refused(tmp_path, said["gpt2"] | changes, f"tokenizer.ggml.{words}")


def test_a_token_type_that_there_is_not(tmp_path: Path, said: dict[str, Metadata]) -> None:
    for kind in (0, 7, -1):
        types = said["gpt2"]["token_type"].copy()
        types[5] = kind
        words = f"token_type of token 5 is {kind}, expected 1 to 6"
        refused(tmp_path, said["gpt2"] | {"token_type": types}, words)


def test_a_byte_that_is_none(tmp_path: Path, said: dict[str, Metadata]) -> None:
    tokens = list(said["llama"]["tokens"])
    at = tokens.index("<0x0A>")
    for text in ("<0x-1>", "<0x0a>", "<0x100>", "<x>"):
        tokens[at] = text
        words = f"tokens[{at}] is '{text}', expected a byte such as <0x0A>"
        refused(tmp_path, said["llama"] | {"tokens": tokens}, words)


@pytest.mark.parametrize("kind", ["llama", "t5"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number(
    tmp_path: Path, said: dict[str, Metadata], kind: str, value: float
) -> None:
    scores = said[kind]["scores"].copy()
    scores[-1] = value
    words = f"scores of token {len(scores) - 1} is {value}, expected a finite number"
    refused(tmp_path, said[kind] | {"scores": scores}, words)
    refused(tmp_path, said[kind] | {"scores": scores[:-1]}, "scores has ", " entries for ")
    refused(tmp_path, said[kind] | {"scores": None}, "scores is missing")


def test_runs_of_blanks_that_are_one(tmp_path: Path, said: dict[str, Metadata]) -> None:
    tokens = [*said["llama"]["tokens"][:-2], "  ", kinds.SPACE * 2]
    refused(tmp_path, said["llama"] | {"tokens": tokens}, "tokens has two runs of as many blanks")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"\0", "names a trie of 0 bytes"),
        ((1 << 31).to_bytes(4, "little") + bytes(8), "names a trie of 2147483648 bytes"),
        ((4).to_bytes(4, "little") + bytes(4) + b"x" * 5000, "has a replacement of 5000 bytes"),
    ],
)
def test_a_table_of_characters(
    tmp_path: Path, said: dict[str, Metadata], table: bytes, words: str
) -> None:
    changed = said["t5"] | {"precompiled_charsmap": np.frombuffer(table, dtype=np.uint8)}
    refused(tmp_path, changed, "tokenizer.ggml.precompiled_charsmap", words)
    wide = np.array([1], dtype=np.int32)
    words = "precompiled_charsmap is an array of int32, expected one of bytes"
    refused(tmp_path, said["t5"] | {"precompiled_charsmap": wide}, words)


def test_an_empty_token_has_a_name_of_its_own(tmp_path: Path, said: dict[str, Metadata]) -> None:
    """As converters write where a vocabulary has no text for an id."""
    tokens = [*said["gpt2"]["tokens"], ""]
    changed = said["gpt2"] | {"tokens": tokens, "token_type": None}
    tokenizer = Tokenizer(write_fields(tmp_path / "a.gguf", changed))
    assert tokenizer.vocab_size == len(tokens)
    assert tokenizer.token_strings([len(tokens) - 1]) == [f"[EMPTY_{len(tokens) - 1}]"]


# ------------------------------------------------------------------------------------- sizes


def opened(monkeypatch: pytest.MonkeyPatch, metadata: Metadata) -> None:
    """A tokenizer of metadata that no file holds."""
    keyed = {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
    monkeypatch.setattr(opener, "read_fields", lambda path: Fields(path, keyed))
    opener.open_gguf("a.gguf")


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch, said: dict[str, Metadata]) -> None:
    with pytest.raises(ModelError, match=r"tokens has \d+ bytes, expected at most 16777216"):
        opened(monkeypatch, said["gpt2"] | {"tokens": [f"{at:04000}" for at in range(4300)]})
    monkeypatch.setattr(gguf_fields, "MOST_IDS", 10)
    with pytest.raises(ModelError, match=r"tokens has \d+ entries, expected at most 10$"):
        opened(monkeypatch, said["gpt2"])
    monkeypatch.undo()
    monkeypatch.setattr(gguf_merges, "MOST_MERGES", 3)
    for kind, words in (("gpt2", "merges has .* entries, expected at most 3"), ("llama", "3 ways")):
        with pytest.raises(ModelError, match=words):
            opened(monkeypatch, said[kind])
    monkeypatch.undo()
    monkeypatch.setattr(opener, "MOST_ADDED", 10)
    with pytest.raises(ModelError, match="more than 10 control and user-defined tokens"):
        opened(monkeypatch, said["gpt2"] | {"token_type": np.full(len(said["gpt2"]["tokens"]), 3)})


def test_long_tokens_take_no_memory_in_their_square() -> None:
    """A token can be put together in as many ways as it has characters."""
    fields = Fields("a.gguf", {})
    ranks = [("a" * size, float(-size)) for size in range(1, 600)]
    tracemalloc.start()
    assert len(scored_merges(fields, ranks)) == 599 * 598 // 2
    assert tracemalloc.get_traced_memory()[1] < 300e6
    tracemalloc.stop()


# --------------------------------------------------------------------------- damage by chance


def mutated(said: Metadata, chance: random.Random) -> Metadata:
    changed = copy.deepcopy(said)
    for _ in range(chance.choice([1, 1, 2, 5])):
        key = chance.choice([*changed])
        value = changed[key]
        if isinstance(value, list) and value and chance.random() < 0.8:
            at = chance.randrange(len(value))
            value[at] = chance.choice([*value[-3:], "", " ", "a\0", value[at][::-1], "x" * 3000])
            del value[chance.choice([len(value), len(value), chance.randrange(len(value))]) :]
        elif isinstance(value, np.ndarray) and len(value) and chance.random() < 0.8:
            at = chance.randrange(len(value))
            changed[key] = value.copy()
            changed[key][at] = chance.choice([0, 1, 2, 3, 4, 5, 6, -1, 100])
        else:
            changed[key] = chance.choice([None, "", "a", 0, -1, 1 << 20, True, 1.5, ["a"]])
    return changed


@pytest.mark.parametrize("kind", ["gpt2", "listed", "llama", "t5"])
@pytest.mark.filterwarnings("ignore:.*does not say how texts are split")
def test_damage_ends_in_a_sentence(tmp_path: Path, said: dict[str, Metadata], kind: str) -> None:
    chance, refusals = random.Random(kind), 0
    for _ in range(N_MUTATIONS // 4):
        path = write_fields(tmp_path / "a.gguf", mutated(said[kind], chance))
        refusals += not opens_or_tells(path)
    assert N_MUTATIONS // 40 < refusals < N_MUTATIONS // 4


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
@pytest.mark.filterwarnings("ignore:.*does not say how texts are split")
def test_damaged_bytes_end_in_a_sentence(
    tmp_path: Path, said: dict[str, Metadata], kind: str
) -> None:
    whole = write_fields(tmp_path / "a.gguf", said[kind]).read_bytes()
    chance, path = random.Random(kind), tmp_path / "b.gguf"
    for _ in range(N_MUTATIONS // 4):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 3, 10])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([len(data), len(data), chance.randrange(len(data))])])
        opens_or_tells(path)


def opens_or_tells(path: Path) -> bool:
    """Whether the file opens; what does reads any text."""
    try:
        tokenizer: Any = Tokenizer(path)
    except ModelError as error:
        told = str(error)
        assert str(path) in told and "\n" not in told and len(told) < 2000
        return False
    with contextlib.suppress(TokenizerError, ModelError):
        ids = tokenizer.encode(["The 1st text,\tof  two lines\n\u00e4\u4e00 <s>"])[0].ids
        assert len(tokenizer.token_strings(ids)) == len(ids)
    return True
