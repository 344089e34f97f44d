"""Tokenizers of every published structure give the ids of transformers' AutoTokenizer."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from attninfluence import ModelError, load
from attninfluence.tokenizer.classes import AS_FILE, REBUILT, REFUSED, REGISTERED
from attninfluence.tokenizer.files import class_of
from attninfluence.tokenizer.tokenizer import Tokenizer
from tests.kit.tiny_models import make_llama_folder, write_tokenizer
from tests.tokenizer import tokenizer_kinds as kinds
from tests.tokenizer.tokenizer_reference import Reference

N_RANDOM = 2000  # half of them read with special tokens as text, half with them as tokens
MODEL_TYPES = "llama mistral qwen2 qwen3 gpt2 gpt_neox olmo2 gemma2 cohere phi3 stablelm".split()
CLASSES = [
    None,
    "PreTrainedTokenizerFast",
    "PreTrainedTokenizer",
    "TokenizersBackend",
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "CodeLlamaTokenizer",
    "GPT2Tokenizer",
    "GPTNeoXTokenizerFast",
    "CohereTokenizer",
    "Qwen2Tokenizer",
    "GemmaTokenizer",
    "CodeGenTokenizer",
    "BloomTokenizerFast",
    "TokenizerOfNobody",
]


@pytest.fixture(scope="module")
def texts():
    return [*kinds.NASTY, *kinds.random_texts(N_RANDOM)]


def differing(folder, texts, special):
    """The texts whose ids are not those of transformers."""
    reference, tokenizer = Reference(folder), Tokenizer(folder)
    found = tokenizer.encode(texts, special=special, offsets=False)
    wanted = reference.encode(texts, special)
    pairs = zip(texts, found, wanted, strict=True)
    return [text[:80] for text, ours, theirs in pairs if ours.ids.tolist() != theirs]


@pytest.mark.parametrize("special", ["text", "control"])
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_ids_are_those_of_transformers(folder_of, texts, kind, special):
    nasty, others = texts[: len(kinds.NASTY)], texts[len(kinds.NASTY) :]
    half = others[::2] if special == "text" else others[1::2]
    assert differing(folder_of(kind), nasty + half, special) == []


@pytest.mark.parametrize("special", ["text", "control"])
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_offsets_are_ordered_and_within_the_text(folder_of, texts, kind, special):
    tokenizer = Tokenizer(folder_of(kind))
    some = texts[: len(kinds.NASTY) + 200]
    for text, encoding in zip(some, tokenizer.encode(some, special=special), strict=True):
        assert not encoding.offsets[: encoding.n_bos].any()
        starts, stops = encoding.offsets[encoding.n_bos :].T
        assert np.all(starts >= 0) and np.all(starts <= stops) and np.all(stops <= len(text))
        assert np.all(np.diff(starts) >= 0) and np.all(np.diff(stops) >= 0)


@pytest.mark.parametrize("kind", [kind for kind in kinds.KINDS if kind != "unigram"])
def test_offsets_cover_what_the_tokens_say(folder_of, kind):
    """Every visible character of a plain text lies in a token (unigram's NFKC drops some)."""
    text = " The naïve café, 日本語 😀 12\n\tend </s> " + kinds.END
    offsets = Tokenizer(folder_of(kind)).encode([text], special="control")[0].offsets
    covered = np.zeros(len(text), dtype=bool)
    for start, stop in offsets:
        covered[start:stop] = True
    assert [char for char, is_in in zip(text, covered, strict=True) if not is_in] == []


@pytest.mark.parametrize("kind", ["starcoder2", "llama2"])
def test_the_class_decides_more_than_the_file_says(folder_of, tmp_path, texts, kind):
    """So the comparisons above see whether a tokenizer.json was read as it stands."""
    settings = json.loads((folder_of(kind) / "tokenizer_config.json").read_text())
    stored = json.loads((folder_of(kind) / "tokenizer.json").read_text())
    kinds.write(tmp_path, "llama", settings | {"tokenizer_class": AS_FILE}, stored)
    rebuilt, as_stored = Tokenizer(folder_of(kind)), Tokenizer(tmp_path)
    ours = rebuilt.encode(texts, bos="never", offsets=False)
    theirs = as_stored.encode(texts, bos="never", offsets=False)
    assert any(a.ids.tolist() != b.ids.tolist() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("tokenizer_class", CLASSES)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_class_and_bos_follow_family_and_declaration(tmp_path, model_type, tokenizer_class):
    write_tokenizer(tmp_path, append_eos=True)
    stored = json.loads((tmp_path / "tokenizer.json").read_text())
    settings = {"tokenizer_class": tokenizer_class, "bos_token": "</s>", "unk_token": "<s>"}
    kinds.write(tmp_path, model_type, settings, stored)
    check_against_transformers(tmp_path)


@pytest.mark.parametrize("place", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("tokenizer_class", CLASSES[1:])
def test_a_class_that_config_json_names_counts_too(tmp_path, tokenizer_class, place):
    stored = json.loads((kinds.llama2(tmp_path) / "tokenizer.json").read_text())
    kinds.write(tmp_path, "llama", {"bos_token": "<s>"}, stored)
    path = tmp_path / place
    settings = json.loads(path.read_text()) | {"tokenizer_class": tokenizer_class}
    path.write_text(json.dumps(settings))
    if place == "config.json" and tokenizer_class in ("TokenizerOfNobody", "PreTrainedTokenizer"):
        assert class_of(tmp_path) == AS_FILE  # transformers fails, without saying why
    else:
        check_against_transformers(tmp_path)


def check_against_transformers(folder):
    reference, tokenizer = Reference(folder), Tokenizer(folder)
    assert class_of(folder) == reference.class_name
    assert tokenizer.bos_ids() == reference.bos_ids
    some = ["", " the  1st thé", "a" + kinds.END + " </s> 12"]
    for special in ("text", "control"):
        found = tokenizer.encode(some, special=special)
        assert [one.ids.tolist() for one in found] == reference.encode(some, special)


PIECES = [
    ("gpt2", "GPT2Tokenizer"),
    ("phi", "CodeGenTokenizer"),
    ("gpt_neox", None),
    ("cohere", None),
    ("qwen3", None),
    ("llama", "GPT2TokenizerFast"),
]


@pytest.mark.parametrize("append_eos", [None, True])
@pytest.mark.parametrize("add_bos_token", [None, False, True])
@pytest.mark.parametrize(("model_type", "tokenizer_class"), PIECES)
def test_without_tokenizer_json_the_settings_decide(
    tmp_path, model_type, tokenizer_class, add_bos_token, append_eos
):
    kinds.gpt2(tmp_path)
    settings = {"tokenizer_class": tokenizer_class, "bos_token": kinds.END}
    settings |= {"add_bos_token": add_bos_token, "add_eos_token": append_eos}
    given = {name: value for name, value in settings.items() if value is not None}
    kinds.write(tmp_path, model_type, given)
    check_against_transformers(tmp_path)
    assert (Tokenizer(tmp_path).bos_ids() != []) == bool(add_bos_token)


ADDED = [
    {"added_tokens_decoder": {"701": {"content": "<new>", "special": True}}},
    {"added_tokens_decoder": {"701": {"content": " the", "normalized": True}}},
    {"pad_token": "<pad>", "additional_special_tokens": ["<a>", "<b>"]},
    {"extra_special_tokens": {"image_token": "<image>"}, "audio_token": "<audio>"},
    {"bos_token": {"__type": "AddedToken", "content": "<start>", "lstrip": True}},
    {"bos_token": None, "eos_token": "<|endoftext|>"},
    {"add_prefix_space": True},
    {"split_special_tokens": True},
]


@pytest.mark.parametrize("added_file", [False, True])
@pytest.mark.parametrize("map_file", [False, True])
@pytest.mark.parametrize("way", ["pieces", "rebuilt", "as stored"])
@pytest.mark.parametrize("settings", ADDED, ids=lambda settings: next(iter(settings)))
def test_added_tokens_come_from_every_file(tmp_path, settings, way, map_file, added_file):
    folder = (kinds.gpt2 if way == "pieces" else kinds.gpt2_json)(tmp_path)
    kinds.write_config(folder, model_type="mistral" if way == "as stored" else "gpt2")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    if map_file:
        roles = {"unk_token": {"content": "<unk>", "rstrip": True}, "sep_token": "<sep>"}
        (tmp_path / "special_tokens_map.json").write_text(json.dumps(roles))
    if added_file:
        added = {"  ": 705, "<sep>": 704, "\u2028": 703}
        (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    some = ["the  the<new> <a> <b>  <image>", "<audio><start>x <unk>  y\u2028<sep><pad>", kinds.END]
    reference, tokenizer = Reference(tmp_path), Tokenizer(tmp_path)
    for special in ("text", "control"):
        wanted = reference.encode(some, None if special == "control" else "text")
        found = tokenizer.encode(some, special=special)
        assert [one.ids.tolist() for one in found] == wanted
    assert tokenizer.vocab_size == max(reference.tokenizer.get_vocab().values()) + 1
    assert tokenizer._bos_token == reference.tokenizer.bos_token


@pytest.mark.parametrize("model_type", ["qwen3", "cohere", "gpt2", "mistral"])
def test_a_token_that_is_made_special_late(tmp_path, model_type):
    """Some classes add their special tokens once more, which makes them special or not."""
    kinds.gpt2_json(tmp_path)
    tokens = {"702": {"content": "<tool>", "special": False}}
    settings = {"added_tokens_decoder": tokens, "additional_special_tokens": ["<tool>"]}
    kinds.write_config(tmp_path, model_type=model_type)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    reference, tokenizer = Reference(tmp_path), Tokenizer(tmp_path)
    assert class_of(tmp_path) == reference.class_name
    for special in ("text", "control"):
        found = tokenizer.encode(["a <tool> b"], special=special)[0].ids.tolist()
        assert [found] == reference.encode(["a <tool> b"], special)


def test_the_classes_are_those_of_transformers():
    import transformers
    from transformers.models.auto import tokenization_auto as auto

    for model_type, name in REGISTERED.items():
        registered = auto.TOKENIZER_MAPPING_NAMES[model_type]
        assert registered in (name, "MistralCommonBackend"), model_type
    for name in REBUILT:
        assert "__init__" in vars(getattr(transformers, name)), name
    known = {name for name in auto.TOKENIZER_MAPPING_NAMES.values() if name}
    known = {name.removesuffix("Fast") for name in known}
    assert known <= REBUILT | REFUSED | {AS_FILE, "ParakeetTokenizer"}


def test_a_bos_that_the_class_has_by_default(folder_of):
    tokenizer = Tokenizer(folder_of("gpt2"))
    assert tokenizer.bos_ids() == []
    assert tokenizer.decode(tokenizer.bos_ids("always")) == kinds.END


@pytest.mark.parametrize("name", ["tokenizer.model", "tekken.json", "tiktoken.model"])
def test_what_must_be_converted_says_how(tmp_path, name):
    """With vocab.json beside it too: transformers prefers the other file then."""
    kinds.gpt2(tmp_path)
    (tmp_path / name).write_bytes(b"pieces")
    how = rf"only {name}; convert it once with transformers: AutoTokenizer.*save_pretrained"
    with pytest.raises(ModelError, match=how):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_half_a_tokenizer_is_none(tmp_path, missing):
    kinds.gpt2(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match=f"no tokenizer.json in .*, and no {missing}"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_broken_pieces_are_refused(tmp_path, name):
    kinds.gpt2(tmp_path)
    (tmp_path / name).write_text("a b c\n")
    with pytest.raises(ModelError, match=r"vocab\.json: not a tokenizer that can be read"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("model_type", ["mistral", "gemma2", "qwen3_5_text"])
def test_pieces_that_the_class_does_not_read(tmp_path, model_type):
    """transformers fails for the first; the others it opens without a vocabulary."""
    kinds.write_config(kinds.gpt2(tmp_path), model_type=model_type)
    with pytest.raises(ModelError, match="transformers reads no vocab.json for this folder"):
        Tokenizer(tmp_path)


REFUSALS = [
    ({"tokenizer_class": "T5Tokenizer"}, "with T5Tokenizer, which builds a pipeline of its own"),
    ({"tokenizer_class": "XGLMTokenizerFast"}, "with XGLMTokenizer, which"),
    ({"auto_map": {"AutoTokenizer": ["a.B", None]}}, "code that comes with the model"),
    ({"auto_map": ["a.B", None]}, "code that comes with the model"),
    ({"fix_mistral_regex": True}, "fix_mistral_regex is not supported"),
    ({"fast_tokenizer_files": ["tokenizer.4.json"]}, "fast_tokenizer_files is not supported"),
    ({"tokenizer_class": "GPT2Tokenizer"}, "a Unigram model, but transformers opens it with GPT2"),
    ({"added_tokens_decoder": {"x": {"content": "y"}}}, "not a tokenizer that can be read"),
]


@pytest.mark.parametrize(("settings", "reason"), REFUSALS)
def test_what_would_be_a_guess_is_refused(tmp_path, settings, reason):
    kinds.unigram(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=reason):
        Tokenizer(tmp_path)


def test_code_is_not_asked_for_where_the_class_is_known(tmp_path):
    settings = json.loads((kinds.llama3(tmp_path) / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": ["code.Tokenizer", None]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    check_against_transformers(tmp_path)


def change(path):
    """Another text of the same meaning, so that only a digest can tell."""
    content = path.read_bytes()
    path.write_bytes(content.removesuffix(b"\n") if content.endswith(b"\n") else content + b"\n")


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "added_tokens.json"])
def test_fingerprints_cover_what_tokens_are_read_from(tmp_path, name):
    make_llama_folder(tmp_path, vocab_size=720, tokenizer=False)
    kinds.codegen(tmp_path / "tokenizer")
    for path in (tmp_path / "tokenizer").glob("[!c]*"):
        path.rename(tmp_path / path.name)
    before = Tokenizer(tmp_path).fingerprint, load(tmp_path).fingerprint
    change(tmp_path / name)
    after = Tokenizer(tmp_path).fingerprint, load(tmp_path).fingerprint
    assert before[0] != after[0] and before[1] != after[1]


def test_fingerprints_cover_nothing_else(tmp_path):
    """Beside a tokenizer.json that is read as it stands, other files decide nothing."""
    folder = make_llama_folder(tmp_path)
    added = {"added_tokens_decoder": {}, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(added))
    kinds.write_pieces(folder, {"a": 0}, [])
    (folder / "added_tokens.json").write_text("{}")
    before = Tokenizer(folder).fingerprint, load(folder).fingerprint
    digest = hashlib.sha256()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        content = (folder / name).read_bytes()
        digest.update(f"{name}:{len(content)}:".encode() + content)
    digest.update(b"special_tokens_map.json:0:")
    assert before[0] == digest.hexdigest()
    for name in ("vocab.json", "merges.txt", "added_tokens.json"):
        change(folder / name)
    assert before == (Tokenizer(folder).fingerprint, load(folder).fingerprint)


def test_the_class_is_part_of_the_fingerprint(tmp_path):
    kinds.write_config(kinds.gpt2_json(tmp_path), model_type="gpt2")
    before = Tokenizer(tmp_path).fingerprint
    kinds.write_config(tmp_path, model_type="mistral")
    assert Tokenizer(tmp_path).fingerprint != before


def test_a_model_says_whether_it_has_a_tokenizer(tmp_path):
    folder = make_llama_folder(tmp_path, vocab_size=720, tokenizer=False)
    assert not load(folder).has_tokenizer
    (folder / "tokenizer_config.json").write_text("{broken")
    assert not load(folder).has_tokenizer
    (folder / "tokenizer_config.json").unlink()
    vocab = {"a": 0, "b": 1, kinds.END: 2}
    kinds.write_pieces(folder, vocab, [])
    assert not load(folder).has_tokenizer  # for no class that reads them
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    assert load(folder).has_tokenizer
    assert load(folder).tokenizer.encode_piece("ab") == [0, 1]
