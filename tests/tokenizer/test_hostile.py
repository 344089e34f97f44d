"""Tokenizer files that are damaged or made to do harm: each is refused, in a sentence, at once."""

from __future__ import annotations

import base64
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, normalizers, pre_tokenizers

from attninfluence import ModelError
from attninfluence.tokenizer import stored
from attninfluence.tokenizer.cuts import Cuts
from attninfluence.tokenizer.json_files import MOST_IDS
from attninfluence.tokenizer.tokenizer import Tokenizer
from tests.kit.tiny_models import write_tokenizer
from tests.tokenizer import tokenizer_kinds as kinds

A_TOKEN = {"content": "<s>", "special": True}
A_NULL = {"content": "a", "special": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    return tmp_path


def change(path: Path, **fields: Any) -> None:
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(settings | fields))


def refused(folder: Path, *words: str) -> str:
    with pytest.raises(ModelError) as caught:
        Tokenizer(folder)
    said = str(caught.value)
    assert all(word in said for word in words), said
    return said


def table(trie: bytes, size: int | None = None, replacements: bytes = b"") -> str:
    size = len(trie) if size is None else size
    return base64.b64encode(size.to_bytes(4, "little") + trie + replacements).decode()


# ------------------------------------------------------------------------------------ ids


IDS = [MOST_IDS, 10**8, 2**31 + 5, 2**32, 10**30, -1, 1.5, "7", None]


@pytest.mark.parametrize("index", IDS)
@pytest.mark.parametrize("kind", ["BPE", "WordPiece", "WordLevel"])
def test_an_id_of_the_vocabulary_that_no_model_has(folder: Path, kind: str, index: Any) -> None:
    model = {"type": kind, "vocab": {"a": 0, "far": index}, "unk_token": "a"}
    model |= {"merges": []} if kind == "BPE" else {}
    model |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 9}
    change(folder / "tokenizer.json", model=model)
    refused(folder, "tokenizer.json: expected the id of the token 'far'", "16777215", "found ")


@pytest.mark.parametrize("index", IDS)
def test_an_id_of_an_added_token(folder: Path, index: Any) -> None:
    stored = json.loads((folder / "tokenizer.json").read_text())
    change(folder / "tokenizer.json", added_tokens=[stored["added_tokens"][0] | {"id": index}])
    refused(folder, "tokenizer.json: expected the id of the token '<s>'")


@pytest.mark.parametrize("index", IDS)
@pytest.mark.parametrize("rebuilt", [False, True])
def test_an_id_in_a_post_processor(folder: Path, index: Any, rebuilt: bool) -> None:
    if rebuilt:
        kinds.gpt2(folder)
        Library(models.BPE()).save(str(folder / "tokenizer.json"))
    special = {"<s>": {"id": "<s>", "ids": [0, index], "tokens": ["<s>", "<s>"]}}
    pieces = [{"SpecialToken": {"id": "<s>", "type_id": 0}}]
    template = {
        "type": "TemplateProcessing",
        "single": pieces,
        "pair": [],
        "special_tokens": special,
    }
    bert = {"type": "BertProcessing", "sep": ["</s>", index], "cls": ["<s>", 0]}
    for step in (template, bert, {"type": "Sequence", "processors": [template]}):
        change(folder / "tokenizer.json", post_processor=step)
        refused(folder, "tokenizer.json: expected the id of the token '", "found ")


def test_templates_that_multiply_a_text(folder: Path) -> None:
    """By the ids of a token, by their pieces, or one after the other."""
    special = {"<s>": {"id": "<s>", "ids": [0] * 200, "tokens": ["<s>"] * 200}}
    token, text = (
        {name: {"id": of, "type_id": 0}}
        for name, of in (("SpecialToken", "<s>"), ("Sequence", "A"))
    )
    template = {
        "type": "TemplateProcessing",
        "single": [text, *[token] * 20],
        "pair": [],
        "special_tokens": special,
    }
    change(folder / "tokenizer.json", post_processor=template)
    refused(folder, "tokenizer.json: the templates of the post_processor may make of a token")
    doubled = template | {"single": [text, text], "special_tokens": {}}
    change(
        folder / "tokenizer.json",
        post_processor={"type": "Sequence", "processors": [doubled] * 13},
    )
    refused(folder, "tokenizer.json: the templates of the post_processor may make of a token")
    for field, value in (("single", "a $A"), ("special_tokens", [])):
        change(folder / "tokenizer.json", post_processor=template | {field: value})
        refused(folder, f"tokenizer.json: expected {field} of the post_processor to be ")
    change(folder / "tokenizer.json", post_processor=template | {"single": [token, text]})
    assert Tokenizer(folder).bos_ids() == [0] * 200


def test_ids_in_the_other_files(folder: Path) -> None:
    change(folder / "added_tokens.json", far=10**8)
    refused(folder, "added_tokens.json: expected the id of the token 'far'", "found 100000000")
    change(folder / "tokenizer_config.json", added_tokens_decoder={str(2**31 + 5): A_TOKEN})
    refused(folder, "tokenizer_config.json", "'<s>'", "found 2147483653")
    change(folder / "tokenizer_config.json", added_tokens_decoder={"-1": A_TOKEN})
    refused(folder, "tokenizer_config.json", "added_tokens_decoder to be ids", "'-1'")


def test_an_id_in_vocab_json(tmp_path: Path) -> None:
    kinds.gpt2(tmp_path)
    change(tmp_path / "vocab.json", far=10**8)
    refused(tmp_path, "vocab.json", "'far'", "found 100000000")


def test_the_largest_id_is_that_of_the_core(folder: Path) -> None:
    root = Path(__file__).parents[2] / "csrc" / "core" / "config" / "config.c"
    assert f"#define MOST_VOCAB ((size_t)1 << {MOST_IDS.bit_length() - 1})" in root.read_text()


def test_kind_and_cuts_do_not_write_the_vocabulary(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer(folder)
    expected = Cuts(json.loads(tokenizer._plain.to_str()), str)
    asked: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(plain, name)

    plain = tokenizer._plain
    monkeypatch.setattr(tokenizer, "_plain", Watched())
    assert tokenizer.kind == "byte-level BPE"
    pairs = [one + other for one in "a1 .é" for other in "b2 ,日"]
    assert [*map(tokenizer._cuts.between, pairs)] == [*map(expected.between, pairs)]
    assert any(map(expected.between, pairs)) and "to_str" not in asked


@pytest.mark.parametrize("make", [kinds.gpt2, kinds.llama2, kinds.qwen2, kinds.unigram])
def test_what_is_kept_of_a_model_is_what_the_library_writes(tmp_path: Path, make: Any) -> None:
    make(tmp_path)
    tokenizer = Tokenizer(tmp_path)
    written = json.loads(tokenizer._plain.to_str())["model"]
    written = {name: value for name, value in written.items() if name in tokenizer._model}
    assert tokenizer._model == tokenizer._model | written


def test_a_unigram_model_with_byte_fallback(folder: Path) -> None:
    backend = Library(models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0, byte_fallback=True))
    backend.save(str(folder / "tokenizer.json"))
    assert Tokenizer(folder).kind == "Unigram with byte fallback"


# ------------------------------------------------------------------------- types and depth


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"]
)
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_deep_json(folder: Path, name: str, opened: str, closed: str) -> None:
    for depth in (100, 100_000):
        middle = opened * depth + "1" + closed * depth
        (folder / name).write_text('{"legacy": ' + middle + "}")
        refused(folder, name, "nested more than 64 deep")


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("fast_tokenizer_files", 5, "fast_tokenizer_files to be a list, found a number"),
        ("fast_tokenizer_files", [[]], "fast_tokenizer_files[0] to be a string, found a list"),
        ("tokenizer_class", ["a"], "tokenizer_class to be a string, found a list"),
        ("bos_token", 5, "bos_token to be a string or an object, found a number"),
        ("bos_token", {"content": 5}, "bos_token.content to be a string, found a number"),
        ("bos_token", {"content": "a", "special": "yes"}, "bos_token.special to be a boolean"),
        (
            "bos_token",
            {"content": "a", "lstrip": None},
            "bos_token.lstrip to be a boolean, found null",
        ),
        ("extra_special_tokens", 5, "to be a list or an object, found a number"),
        ("additional_special_tokens", [5], "additional_special_tokens[0] to be a string or an"),
        ("extra_special_tokens", {"a": []}, "extra_special_tokens['a'] to be a string or an"),
        ("extra_special_tokens", {"a": None}, "extra_special_tokens['a'] to be a string or an"),
        ("extra_special_tokens", ["a", None], "extra_special_tokens[1] to be a string or an"),
        ("image_token", {"content": 3}, "image_token.content to be a string, found a number"),
        ("added_tokens_decoder", [], "added_tokens_decoder to be an object, found a list"),
        ("added_tokens_decoder", {"1": 5}, "added_tokens_decoder['1'] to be a string or an"),
        (
            "added_tokens_decoder",
            {"1": A_NULL},
            "added_tokens_decoder['1'].special to be a boolean",
        ),
        ("add_bos_token", "no", "add_bos_token to be a boolean, found a string"),
        ("split_special_tokens", [], "split_special_tokens to be a boolean, found a list"),
        ("fix_mistral_regex", 1, "fix_mistral_regex to be a boolean, found a number"),
    ],
)
def test_a_setting_of_a_wrong_type(folder: Path, field: str, value: Any, found: str) -> None:
    change(folder / "tokenizer_config.json", **{field: value})
    refused(folder, f"tokenizer_config.json: expected {found}" if " to be" in found[:40] else found)
    (folder / "tokenizer_config.json").unlink()
    change(folder / "special_tokens_map.json", **{field: value})
    if field not in ("fast_tokenizer_files", "tokenizer_class", "fix_mistral_regex"):
        refused(folder, "special_tokens_map.json: expected ", found)


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("model", 5, "expected model to be an object, found a number"),
        ("model", {"type": "BPE"}, "expected model.vocab to be an object or a list, found null"),
        ("model", {"vocab": {}, "merges": 5}, "expected model.merges to be a list"),
        ("model", {"vocab": {}, "merges": ["a b", 5]}, "expected model.merges[1] to be a string"),
        ("added_tokens", {}, "expected added_tokens to be a list, found an object"),
        ("added_tokens", [5], "expected added_tokens[0] to be an object, found a number"),
        ("added_tokens", [{"id": 1}], "expected added_tokens[0].content to be a string"),
        ("normalizer", "NFC", "expected normalizer to be an object, found a string"),
        ("pre_tokenizer", [], "expected pre_tokenizer to be an object, found a list"),
        ("decoder", 5, "expected decoder to be an object, found a number"),
        ("post_processor", 5, "expected post_processor to be an object, found a number"),
        ("normalizer", {"type": "Nothing"}, "not a tokenizer that can be read"),
    ],
)
def test_a_part_of_a_wrong_type(folder: Path, field: str, value: Any, found: str) -> None:
    change(folder / "tokenizer.json", **{field: value})
    refused(folder, "tokenizer.json: ", found)


@pytest.mark.parametrize("text", ["a" * 200_000, "a" * 4097, "é" * 2049])
def test_a_token_that_is_longer_than_a_stack_is_deep(folder: Path, text: str) -> None:
    """The library ends the process over the longest, so this test does where it is not refused."""
    for longest, is_refused in ((text, True), ("é" * 2048, False)):
        vocab = [["<unk>", 0.0], [longest, -1.0]]
        change(folder / "tokenizer.json", model={"type": "Unigram", "unk_id": 0, "vocab": vocab})
        if is_refused:
            refused(folder, "tokenizer.json: the token in model.vocab[1] has ", "at most 4096")
        else:
            assert Tokenizer(folder).kind == "Unigram"


def test_tokens_of_a_unigram_model_are_bounded_in_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_PIECES", 105)
    vocab = [["<unk>", 0.0], ["a" * 100, -1.0]]
    change(folder / "tokenizer.json", model={"type": "Unigram", "unk_id": 0, "vocab": vocab})
    assert Tokenizer(folder).kind == "Unigram"
    vocab.append(["b", -1.0])
    change(folder / "tokenizer.json", model={"type": "Unigram", "unk_id": 0, "vocab": vocab})
    refused(folder, "the tokens in model.vocab have 106 bytes, expected at most 105")


@pytest.mark.parametrize("most", [1025, 1 << 60, -1, 1e3, "100"])
def test_the_longest_word_of_a_wordpiece_model_is_bounded(folder: Path, most: Any) -> None:
    """The library takes a word apart in the square of its length, and more."""
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {"[UNK]": 0, "a": 1},
    }
    change(folder / "tokenizer.json", model=model)
    assert Tokenizer(folder).kind == "WordPiece"
    change(folder / "tokenizer.json", model={**model, "max_input_chars_per_word": most})
    refused(folder, "model.max_input_chars_per_word must be a whole number from 0 to 1024")


@pytest.mark.parametrize(
    ("prefix", "merge"), [("x", ["a", "é"]), ("x", "a é"), ("é", ["a", "xé"]), ("##", ["a", 5])]
)
def test_a_merge_that_is_cut_within_a_character(folder: Path, prefix: str, merge: Any) -> None:
    """The library ends the process over one, so this test does where it is not refused."""
    model = {"type": "BPE", "vocab": {"a": 0, "é": 1, "xé": 2}, "continuing_subword_prefix": prefix}
    change(folder / "tokenizer.json", model={**model, "merges": [merge]})
    refused(folder, "tokenizer.json: expected the second part of model.merges[0] to begin with ")


def test_merges_of_what_continues_a_word(folder: Path) -> None:
    model = {"type": "BPE", "vocab": {"a": 0, "##b": 1, "ab": 2}, "merges": [["a", "##b"]]}
    change(folder / "tokenizer.json", model={**model, "continuing_subword_prefix": "##"})
    assert Tokenizer(folder).vocab_size >= 3


def test_a_name_that_is_given_twice(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().rstrip()[:-1] + ', "normalizer": null}')
    refused(folder, "tokenizer.json", "a name occurs twice in one object")


def test_a_file_of_another_kind_or_too_large(folder: Path) -> None:
    kinds.gpt2(folder)
    (folder / "tokenizer.json").unlink(missing_ok=True)
    os.truncate(folder / "merges.txt", (256 << 20) + 1)
    refused(folder, "merges.txt: is larger than 256 MiB")
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        (folder / name).touch()
        os.truncate(folder / name, (64 << 20) + 1)
        refused(folder, f"{name}: is larger than 64 MiB")


# -------------------------------------------------------------------------------- pipelines


@pytest.mark.parametrize(
    "charsmap",
    [
        "/////wAAAAAAAAAA",
        "",
        "AAAA",
        table(b""),
        table(b"\0" * 8, size=6),
        table(b"\0" * 8, size=12),
        "not base64",
    ],
)
def test_a_table_that_is_larger_than_its_data(folder: Path, charsmap: str) -> None:
    step: Any = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    for _ in range(3):
        change(folder / "tokenizer.json", normalizer=step)
        refused(folder, "tokenizer.json: the normalizer's precompiled_charsmap ")
        step = {"type": "Sequence", "normalizers": [step]}


def test_a_table_of_replacements_of_nothing_takes_the_memory_of_its_text(folder: Path) -> None:
    path = folder / "tokenizer.json"
    n_bytes = 2 << 20
    step = {"type": "Precompiled", "precompiled_charsmap": table(b"\0" * 8, None, b"\0" * n_bytes)}
    change(path, normalizer=step)
    tracemalloc.start()
    try:
        stored.read_checked(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * n_bytes
    finally:
        tracemalloc.stop()


def test_steps_that_multiply_a_text(folder: Path) -> None:
    path = folder / "tokenizer.json"
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    anywhere = {"type": "Replace", "pattern": {"Regex": ""}, "content": "a"}
    empty = {"type": "Replace", "pattern": {"String": ""}, "content": "a"}
    swapped = {"type": "Replace", "pattern": {"Regex": "a{2,0}"}, "content": "a"}
    long = {"type": "Precompiled", "precompiled_charsmap": table(b"\0" * 8, None, b"a" * 5000)}
    for steps in (
        [double] * 13,
        [anywhere] * 13,
        [empty] * 13,
        [swapped] * 13,
        [{"type": "NFKD"}] * 4,
        [long],
    ):
        change(path, normalizer={"type": "Sequence", "normalizers": steps})
        refused(
            folder, "tokenizer.json: the steps of the normalizer may make a text more than 4096"
        )
    change(path, normalizer={"type": "Sequence", "normalizers": [double] * 12})
    assert Tokenizer(folder).encode(["b"])
    change(path, normalizer={"type": "Sequence", "normalizers": [{"type": "Strip"}] * 600})
    refused(folder, "the normalizer has more than 512 steps")
    spread = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": True,
        "use_regex": True,
    }
    change(path, normalizer=None)
    change(path, pre_tokenizer={"type": "Sequence", "pretokenizers": [spread] * 7})
    refused(folder, "the steps of the pre_tokenizer may make a text")


def test_a_step_with_fields_of_another_one(folder: Path) -> None:
    """The library goes by the type and leaves the rest; each way to read the step counts."""
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    for step in (
        {"type": "ByteLevel", "prepend": ""},
        {"type": "NFKD", "pattern": {"String": "a"}, "content": ""},
        {**double, "precompiled_charsmap": table(b"\0" * 8)},
        {"type": "Prepend", "prepend": "aa", "pattern": {"String": "a"}, "content": "a"},
    ):
        steps = {"type": "Sequence", "normalizers": [step] * 13}
        change(folder / "tokenizer.json", normalizer=steps)
        refused(folder, "tokenizer.json: the steps of the normalizer may make a text more than")


@pytest.mark.parametrize(
    "step",
    [
        {"type": "BPEDecoder", "suffix": ""},
        {"suffix": ""},
        {"type": "CTC", "pad_token": "b", "word_delimiter_token": "", "cleanup": True},
    ],
)
def test_decoders_that_put_a_space_between_any_two_characters(folder: Path, step: Any) -> None:
    change(folder / "tokenizer.json", decoder={"type": "Sequence", "decoders": [step] * 8})
    refused(folder, "tokenizer.json: the steps of the decoder may make a text more than 4096")
    step = {name: value or "</w>" for name, value in step.items()}
    change(folder / "tokenizer.json", decoder={"type": "Sequence", "decoders": [step] * 8})
    assert Tokenizer(folder).decode([0])


@pytest.mark.parametrize("rebuilt", [False, True])
def test_an_added_token_of_which_the_normalizer_leaves_nothing(folder: Path, rebuilt: bool) -> None:
    """The library never ends, and takes all memory, where there is another normalized token."""
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "special"], False)
    gone, other = (
        {"id": at, "content": text, "normalized": True, **flags}
        for at, text in ((900, "\u2581"), (901, "ab"))
    )
    replace = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": ""}
    path = folder / "tokenizer.json"
    change(path, normalizer=replace, added_tokens=[gone])
    assert Tokenizer(folder).encode(["ab"])
    change(path, added_tokens=[gone, {**other, "normalized": False}])
    assert Tokenizer(folder).encode(["ab"])
    change(path, added_tokens=[gone, other])
    if not rebuilt:
        refused(folder, "leaves nothing of the added token '\u2581'")
        return
    change(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    assert Tokenizer(folder).encode(["ab"])  # its own normalizer leaves it


def test_a_decoder_that_fails(folder: Path) -> None:
    """A failure of the library within a call is none of Python's exceptions."""
    text = Tokenizer(folder).token_strings([5])[0]
    strip = {"type": "Strip", "content": text[-1], "start": 0, "stop": 9}
    change(folder / "tokenizer.json", decoder=strip)
    tokenizer = Tokenizer(folder)
    for decode in (tokenizer.decode, tokenizer.token_strings):
        with pytest.raises(ModelError, match="^the tokenizer in .* cannot decode its tokens"):
            decode([5])


def test_steps_of_published_tokenizers_are_taken() -> None:
    """The longest pipelines: those of ALBERT, XLM-RoBERTa and Llama 2."""
    table_of = table(b"\0" * 8, None, b"a" * 33)
    first = {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}
    second = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}
    precompiled = {"type": "Precompiled", "precompiled_charsmap": table_of}
    albert = [first, first, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]
    llama = [
        json.loads(step.__getstate__())
        for step in (normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581"))
    ]
    for steps in ([*albert, precompiled], [precompiled, second], llama):
        stored._check_stage(Path("x"), "normalizer", {"type": "Sequence", "normalizers": steps})
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("a", "isolated")] * 6 + [pre_tokenizers.ByteLevel()]
    )
    stored._check_stage(Path("x"), "pre_tokenizer", json.loads(split.__getstate__()))
    decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    stored._check_stage(Path("x"), "decoder", json.loads(decoder.__getstate__()))
