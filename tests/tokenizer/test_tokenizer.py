"""The tokenizer: ids as transformers gives them, and what is asked of it beyond that."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from attninfluence import ModelError
from attninfluence.tokenizer.tokenizer import Tokenizer, TokenizerError
from tests.kit.tiny_models import write_tokenizer

TEXTS = [
    "the thing and the other",
    " leading and trailing ",
    "naïve café — 日本語 😀 e\u0301",
    "a\0b",
    "line\r\nline\n\n\ttab",
    "x" * 5000,
]


def expected_ids(folder, text):
    """Ids of transformers' tokenizer of the folder, an appended EOS dropped."""
    from transformers import AutoTokenizer

    (folder / "config.json").write_text('{"model_type": "llama"}')
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bare = tokenizer(text, add_special_tokens=False)["input_ids"]
    full = tokenizer(text)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[: start + len(bare)]


@pytest.mark.parametrize("append_eos", [False, True])
@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("add_bos_token", [None, False, True])
@pytest.mark.parametrize(
    "tokenizer_class", ["PreTrainedTokenizerFast", "LlamaTokenizerFast", "GPTNeoXTokenizer"]
)
def test_bos_auto_is_that_of_transformers(
    tmp_path, bos, append_eos, add_bos_token, tokenizer_class
):
    write_tokenizer(
        tmp_path,
        bos=bos,
        append_eos=append_eos,
        add_bos_token=add_bos_token,
        tokenizer_class=tokenizer_class,
    )
    tokenizer = Tokenizer(tmp_path)
    text = "the <s> thing é"
    encoding = tokenizer.encode([text], special="control")[0]
    assert encoding.ids.tolist() == expected_ids(tmp_path, text)
    assert encoding.ids[: encoding.n_bos].tolist() == tokenizer.bos_ids()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(folder):
    return Tokenizer(folder)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_those_of_transformers(folder, tokenizer, text):
    assert tokenizer.encode([text])[0].ids.tolist() == expected_ids(folder, text)


def test_bos_policies(folder, tokenizer, tmp_path):
    assert tokenizer.bos_ids("auto") == tokenizer.bos_ids("always") == [0]
    assert tokenizer.bos_ids("never") == []
    without = Tokenizer(write_tokenizer(tmp_path, bos=False))
    assert without.bos_ids("auto") == []
    assert without.bos_ids("always") == [0]
    with pytest.raises(ValueError, match="bos must be one of auto, always, never, got 'yes'"):
        tokenizer.bos_ids("yes")


def test_bos_always_needs_a_bos_token(tmp_path):
    write_tokenizer(tmp_path, bos=False)
    (tmp_path / "tokenizer_config.json").unlink()
    tokenizer = Tokenizer(tmp_path)
    assert tokenizer.bos_ids("auto") == []
    with pytest.raises(ValueError, match=f"bos='always', but the tokenizer in '{tmp_path}' has no"):
        tokenizer.bos_ids("always")


def test_the_bos_token_may_be_an_object_or_in_the_special_tokens_map(tmp_path):
    write_tokenizer(tmp_path, bos=False)
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": {"content": "</s>"}}')
    assert Tokenizer(tmp_path).bos_ids("always") == [1]
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "special_tokens_map.json").write_text('{"bos_token": "<|endoftext|>"}')
    assert Tokenizer(tmp_path).bos_ids("always") == [2]


def test_text_that_looks_like_a_special_token_is_text(tokenizer):
    plain = tokenizer.encode(["<|endoftext|>"], bos="never")[0].ids
    assert 2 not in plain
    assert tokenizer.decode(plain) == "<|endoftext|>"
    assert tokenizer.encode(["<|endoftext|>"], bos="never", special="control")[0].ids == [2]
    with pytest.raises(ValueError, match="special must be one of text, control"):
        tokenizer.encode(["x"], special="both")


@pytest.mark.parametrize("text", TEXTS)
def test_offsets_are_characters_and_cover_the_text(tokenizer, text):
    encoding = tokenizer.encode([text])[0]
    assert encoding.offsets[0].tolist() == [0, 0]
    covered = np.zeros(len(text), dtype=bool)
    for start, stop in encoding.offsets[1:]:
        assert 0 <= start < stop <= len(text)
        covered[start:stop] = True
    assert covered.all()
    assert tokenizer.decode(encoding.ids[1:]) == text


@pytest.mark.parametrize("trims", [False, True])
def test_offsets_keep_the_leading_space(folder, tmp_path, trims):
    stored = json.loads((folder / "tokenizer.json").read_text())
    if trims:
        kind = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
        stored["post_processor"] = kind | {"trim_offsets": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    tokenizer = Tokenizer(tmp_path)
    encoding = tokenizer.encode(["of the"], bos="never")[0]
    assert tokenizer.token_strings(encoding.ids) == ["of", " the"]
    assert encoding.offsets.tolist() == [[0, 2], [2, 6]]


def test_truncation_and_padding_of_the_file_are_ignored(folder, tokenizer, tmp_path):
    stored = json.loads((folder / "tokenizer.json").read_text())
    stored["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    stored["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 2,
        "pad_type_id": 0,
        "pad_token": "<|endoftext|>",
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    text = "a text of more than four"
    ids = Tokenizer(tmp_path).encode([text], bos="never")[0].ids
    assert ids.tolist() == tokenizer.encode([text], bos="never")[0].ids.tolist()


def test_pieces_have_no_bos(tokenizer):
    assert tokenizer.encode_piece("of") == tokenizer.encode(["of"], bos="never")[0].ids.tolist()
    assert tokenizer.encode_piece("") == []


def test_an_empty_text_is_its_bos(tokenizer):
    encoding = tokenizer.encode([""])[0]
    assert encoding.ids.tolist() == [0]
    assert encoding.offsets.shape == (1, 2)
    assert tokenizer.encode([""], offsets=False)[0].offsets is None


def test_token_strings_of_a_sentencepiece_tokenizer_keep_spaces(tmp_path):
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    backend = Backend(
        models.BPE(vocab={"\u2581a": 0, "\u2581b": 1, "c": 2, "\u2581": 3}, merges=[])
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer(tmp_path).token_strings([0, 1, 2]) == [" a", " b", "c"]


class Panic(BaseException):
    """As the tokenizers library raises it: no Exception."""


class Backend:
    def __init__(self, error):
        self.error = error

    def encode(self, text, add_special_tokens):
        raise self.error


def test_a_panic_is_a_tokenizer_error(folder):
    tokenizer = Tokenizer(folder)
    tokenizer._plain = Backend(Panic("index out of bounds"))
    with pytest.raises(TokenizerError, match="the tokenizer failed: index out of bounds"):
        tokenizer.encode(["text"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_not_the_texts_fault_passes_through(folder, error):
    tokenizer = Tokenizer(folder)
    tokenizer._plain = Backend(error())
    with pytest.raises(error):
        tokenizer.encode(["text"])


def test_a_folder_without_tokenizer_json(tmp_path):
    with pytest.raises(ModelError, match="no tokenizer.json in .*give token ids instead"):
        Tokenizer(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"sentencepiece")
    with pytest.raises(ModelError, match=r"only tokenizer\.model; convert it once"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", ""),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", '{"model": {"type": "BPE"}}'),
        ("tokenizer_config.json", "{"),
        ("tokenizer_config.json", "[]"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content):
    write_tokenizer(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=name):
        Tokenizer(tmp_path)


def test_pickles_as_a_path(tokenizer):
    pickled = pickle.dumps(tokenizer)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).encode_piece("the") == tokenizer.encode_piece("the")


def test_the_fingerprint_is_that_of_the_files(folder, tokenizer, tmp_path):
    write_tokenizer(tmp_path)
    assert Tokenizer(tmp_path).fingerprint == tokenizer.fingerprint
    write_tokenizer(tmp_path, add_bos_token=True)
    assert Tokenizer(tmp_path).fingerprint != tokenizer.fingerprint


def test_ids_beyond_the_vocabulary_have_no_text(tokenizer):
    assert tokenizer.token_strings([0, 99999]) == ["<s>", "99999"]


def test_ids_beyond_a_models_are_refused_with_both_sizes(tokenizer):
    tokenizer.check_fits([0, 276], 277)
    tokenizer.check_fits([], 1)
    with pytest.raises(ModelError, match=r"token id 277 is outside .* of 277 ids, .* has 278: put"):
        tokenizer.check_fits([0, 277], 277)


COUNT_THREADS = """
import os, sys
from attninfluence.tokenizer import Tokenizer
tokenizer = Tokenizer(sys.argv[1])
before = len(os.listdir("/proc/self/task"))
tokenizer.encode(["some text " * 1000] * 20)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are listed on Linux only")
def test_encoding_starts_no_thread(folder):
    """A pool of the library's own threads would be copied, dead, into a forked worker."""
    environment = {name: value for name, value in os.environ.items() if "TOKENIZERS" not in name}
    command = [sys.executable, "-c", COUNT_THREADS, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == "0"
