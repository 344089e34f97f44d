"""The tokenizer in a GGUF file gives the ids of the one that it was written from."""

from __future__ import annotations

import json
import pickle
import random
import warnings
from itertools import product

import numpy as np
import pytest
from tokenizers import Tokenizer as Library
from tokenizers.models import BPE

from attninfluence import ModelError
from attninfluence.tokenizer.gguf_fields import Fields
from attninfluence.tokenizer.gguf_merges import scored_merges
from attninfluence.tokenizer.gguf_splits import SPLITS
from attninfluence.tokenizer.tokenizer import Tokenizer
from tests.kit.gguf import metadata
from tests.kit.gguf.metadata import BYTE, CONTROL, NORMAL, USER_DEFINED, write_fields
from tests.tokenizer import tokenizer_kinds as kinds
from tests.tokenizer.test_pieces import count_pieces, encoder

N_RANDOM = 1000
# Folders of the structure of those that llama.cpp gives the name.
NAMED = {
    "gpt-2": "gpt2_json",
    "olmo": "gpt_neox",
    "starcoder": "starcoder2",
    "smollm": "starcoder2",
    "command-r": "cohere",
    "llama-bpe": "llama3",
    "qwen2": "qwen2",
}
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
ANY_CASE = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# What llama.cpp splits by, one expression after the other, where its engine reads them exactly.
EXPRESSIONS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [rf"{ANY_CASE}|{WORDS}|\p{{N}}{{1,3}}{REST}"],
    "stablelm2": [rf"{ANY_CASE}|{WORDS}|\p{{N}}{REST}"],
    "minicpm5": [r"\p{N}{1,3}", rf"{ANY_CASE}|{WORDS}|\p{{N}}+{REST}"],
    "ufakzeka": [rf"{WORDS}|\p{{N}}{REST}"],
    "seed-coder": [
        rf"{ANY_CASE}|{WORDS}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "bailingmoe": [
        rf"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|{WORDS}|\p{{N}}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ],
    "bloom": [r" ?[^(\s|[.,!?…。，、।۔،])]+"],
    "viking": [r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"],
    "deepseek-coder": [
        "[\r\n]",
        r"\s?\p{L}+",
        r"\s?\p{P}+",
        "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
        r"\p{N}",
    ],
    "deepseek-v3": [
        r"\p{N}{1,3}",
        "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ],
}


@pytest.fixture(scope="module")
def texts():
    return [*kinds.NASTY, *kinds.random_texts(N_RANDOM)]


def library_of(folder, special):
    """The folder's tokenizer.json as it stands."""
    library = Library.from_file(str(folder / "tokenizer.json"))
    library.encode_special_tokens = special == "text"
    return library


def differing(tokenizer, texts, special, wanted):
    """The texts whose ids, without a BOS, are not `wanted(text)`."""
    found = tokenizer.encode(texts, special=special, bos="never")
    return [
        text[:80]
        for text, one in zip(texts, found, strict=True)
        if one.ids.tolist() != wanted(text)
    ]


@pytest.mark.parametrize("special", ["text", "control"])
@pytest.mark.parametrize("pre", NAMED)
def test_byte_level_bpe_round_trips(folder_of, tmp_path, texts, pre, special):
    folder = folder_of(NAMED[pre])
    path = write_fields(tmp_path / "a.gguf", metadata.byte_level(folder, pre))
    library = library_of(folder, special)
    wanted = lambda text: library.encode(text, add_special_tokens=False).ids  # noqa: E731
    assert differing(Tokenizer(path), texts, special, wanted) == []


@pytest.mark.parametrize("pre", EXPRESSIONS)
def test_a_named_split_is_what_llama_cpp_splits_by(folder_of, tmp_path, texts, pre):
    """Written down a second time, from its source."""
    stored = metadata.stored_of(folder_of("gpt2_json"))
    splits = [kinds.split({"Regex": one}) for one in EXPRESSIONS[pre]]
    steps = kinds.sequence("pretokenizers", *splits, kinds.byte_level(regex=False))
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored | {"pre_tokenizer": steps}))
    path = write_fields(tmp_path / "a.gguf", metadata.byte_level(tmp_path, pre))
    library = library_of(tmp_path, "text")
    wanted = lambda text: library.encode(text, add_special_tokens=False).ids  # noqa: E731
    assert differing(Tokenizer(path), texts, "text", wanted) == []


def test_digits_are_split_one_by_one_as_the_tokenizers_of_that_name_do(folder_of, tmp_path):
    """transformers has no row for "smollm" and takes GPT-2's split, in which a blank joins a number
    and digits join each other. The public tokenizer.json of SmolLM2 has Digits, each by itself,
    before ByteLevel, and so have StarCoder2's and the others of the row.
    """
    stored = metadata.stored_of(folder_of("starcoder2"))
    assert [step["type"] for step in stored["pre_tokenizer"]["pretokenizers"]] == [
        "Digits",
        "ByteLevel",
    ]
    path = write_fields(tmp_path / "a.gguf", metadata.byte_level(folder_of("starcoder2"), "smollm"))
    pieces = lambda text: Tokenizer(path)._plain.pre_tokenizer.pre_tokenize_str(text)  # noqa: E731
    assert [piece for piece, _ in pieces("in  1999")] == ["in", "ĠĠ", "1", "9", "9", "9"]
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="a.gguf").backend_tokenizer
    found = theirs.pre_tokenizer.pre_tokenize_str("in  1999")
    assert [piece for piece, _ in found] == ["in", "Ġ", "Ġ1999"]


@pytest.mark.parametrize("special", ["text", "control"])
def test_sentencepiece_with_its_merges(folder_of, tmp_path, texts, special):
    folder = folder_of("llama2_as_stored")
    path = write_fields(tmp_path / "a.gguf", metadata.sentencepiece(folder))
    library = library_of(folder, special)
    wanted = lambda text: library.encode(text, add_special_tokens=False).ids  # noqa: E731
    assert differing(Tokenizer(path), texts, special, wanted) == []


@pytest.mark.parametrize("prefix", [None, False, True])
def test_sentencepiece_by_its_scores(folder_of, tmp_path, texts, prefix):
    """Merged plainly, as SentencePiece defines it; a file that does not say has the prefix."""
    said = metadata.scored(metadata.sentencepiece(folder_of("llama2_as_stored")))
    path = write_fields(tmp_path / "a.gguf", said | {"add_space_prefix": prefix})
    types, ids = said["token_type"], {text: at for at, text in enumerate(said["tokens"])}
    scores = {
        text: float(score)
        for text, score, kind in zip(said["tokens"], said["scores"], types, strict=True)
        if kind == NORMAL
    }

    def wanted(text):
        start = "" if prefix is False or not text else kinds.SPACE
        found = []
        for piece in metadata.merged_by_score(start + text.replace(" ", kinds.SPACE), scores):
            if piece in scores:
                found.append(ids[piece])
            else:
                found += [ids[f"<0x{byte:02X}>"] for byte in piece.encode()]
        return found

    some = [text for text in texts if len(text) < 400]
    assert differing(Tokenizer(path), some, "text", wanted) == []


def test_scores_of_any_vocabulary_are_merged_as_sentencepiece_does():
    """Tokens that can be put together in several ways, which compete for pieces between them."""
    chance, fields = random.Random(7), Fields("a.gguf", {})
    words = ["".join(word) for size in range(2, 6) for word in product("ab", repeat=size)]
    several = 0
    for _ in range(300):
        tokens = ["a", "b", *chance.sample(words, chance.randint(3, 14))]
        scores = dict(zip(tokens, chance.sample(range(-99, 0), len(tokens)), strict=True))
        merges = scored_merges(fields, scores.items())
        several += len(merges) > len({left + right for left, right in merges})
        library = Library(BPE({token: at for at, token in enumerate(tokens)}, merges))
        for _ in range(20):
            text = "".join(chance.choices("ab", k=chance.randint(1, 12)))
            assert library.encode(text).tokens == metadata.merged_by_score(text, scores)
    assert several > 50


def test_gemma_keeps_runs_of_blanks_and_newlines(folder_of, tmp_path, texts):
    """Its file writes runs of blanks as blanks, newlines as tokens that are looked for first."""
    said = metadata.scored(metadata.sentencepiece(folder_of("gemma")))
    blank = said["tokens"].index("  ")
    assert said["token_type"][blank] == USER_DEFINED
    said |= {"add_space_prefix": False, "bos_token_id": 2, "add_bos_token": True}
    path = write_fields(tmp_path / "a.gguf", said, "gemma3")
    tokenizer = Tokenizer(path)
    assert tokenizer.bos_ids() == [2]
    assert tokenizer.encode_piece("a  b")[1] == blank
    assert said["tokens"].index("\n\n") in tokenizer.encode_piece("a\n\nb")
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="a.gguf")
    wanted = lambda text: theirs(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    assert differing(tokenizer, texts, "control", wanted) == []


@pytest.mark.parametrize("special", ["text", "control"])
def test_a_unigram_model(folder_of, tmp_path, texts, special):
    """Without a table of characters: blanks at the ends are taken out, and all but one between."""
    stored = metadata.stored_of(folder_of("unigram"))
    strip = {"type": "Replace", "pattern": {"Regex": r"\A +| +\z| +(?= )"}, "content": ""}
    metaspace = stored["pre_tokenizer"]
    kinds.write(tmp_path, "llama", {}, stored | {"normalizer": strip, "pre_tokenizer": metaspace})
    path = write_fields(tmp_path / "a.gguf", metadata.unigram(tmp_path))
    tokenizer, library = Tokenizer(path), library_of(tmp_path, special)
    assert (tokenizer.bos_ids(), tokenizer.bos_ids("always")) == ([], [1])
    wanted = lambda text: library.encode(text, add_special_tokens=False).ids  # noqa: E731
    assert differing(tokenizer, texts, special, wanted) == []


def write_kind(folder_of, path, kind):
    make = {
        "gpt2": lambda: metadata.byte_level(folder_of("llama3"), "llama-bpe"),
        "digits": lambda: metadata.byte_level(folder_of("starcoder2"), "smollm"),
        "llama": lambda: metadata.scored(metadata.sentencepiece(folder_of("llama2"))),
        "gemma": lambda: (
            metadata.scored(metadata.sentencepiece(folder_of("gemma")))
            | {"add_space_prefix": False}
        ),
        "t5": lambda: metadata.unigram(folder_of("unigram")),
    }
    return write_fields(path, make[kind]())


@pytest.mark.parametrize("special", ["text", "control"])
@pytest.mark.parametrize("kind", ["gpt2", "digits", "llama", "gemma", "t5"])
def test_long_texts_have_the_tokens_of_the_whole(folder_of, tmp_path, kind, special):
    tokenizer = Tokenizer(write_kind(folder_of, tmp_path / "a.gguf", kind))
    encode, chance = encoder(tokenizer, special), random.Random(kind)
    some = [*[t for t in kinds.NASTY if 0 < len(t) < 1000], *kinds.random_texts(150)]
    counts = [count_pieces(t, encode, tokenizer._cuts, chance.choice([1, 3, 20])) for t in some]
    assert np.mean(counts) > (5 if kind != "t5" else 0)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma", "t5"])
def test_what_a_tokenizer_says_of_itself(folder_of, tmp_path, kind):
    path = write_kind(folder_of, tmp_path / "a.gguf", kind)
    tokenizer = Tokenizer(path)
    names = {"gpt2": "byte-level BPE", "t5": "Unigram with byte fallback"}
    assert tokenizer.kind == names.get(kind, "BPE with byte fallback")
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.encode_piece("the thing") == tokenizer.encode_piece("the thing")
    text = "the <unk> café  日本 x\n"
    assert tokenizer.decode(tokenizer.encode_piece(text)) == (
        text.replace("  ", " ") if kind == "t5" else text
    )


def test_the_fingerprint_is_of_what_decides_the_tokens(folder_of, tmp_path):
    said = metadata.byte_level(folder_of("qwen2"), "qwen2") | {"general.name": "a"}
    first = Tokenizer(write_fields(tmp_path / "a.gguf", said)).fingerprint
    assert (
        Tokenizer(write_fields(tmp_path / "b.gguf", said | {"general.name": "b"})).fingerprint
        == first
    )
    changes = [{"pre": "llama-bpe"}, {"add_bos_token": False}, {"merges": said["merges"][:-1]}]
    found = {
        Tokenizer(write_fields(tmp_path / "c.gguf", said | one)).fingerprint for one in changes
    }
    assert len(found | {first}) == 4


# ------------------------------------------------------------------------- BOS and special tokens

END = "<|endoftext|>"


@pytest.mark.parametrize(
    ("pre", "flag", "wanted"),
    [("llama-bpe", None, True), ("tekken", None, True), ("qwen2", None, False)]
    + [("llama-bpe", False, False), ("qwen2", True, True)],
)
def test_whether_a_bos_stands_before_a_text(folder_of, tmp_path, pre, flag, wanted):
    said = metadata.byte_level(folder_of("gpt2_json"), pre)
    bos = said["tokens"].index(END)
    roles = {"bos_token_id": bos, "eos_token_id": bos, "add_eos_token": True}
    path = write_fields(tmp_path / "a.gguf", said | roles | {"add_bos_token": flag})
    tokenizer = Tokenizer(path)
    assert tokenizer.bos_ids() == ([bos] if wanted else [])
    assert tokenizer.bos_ids("always") == [bos]
    assert bos not in tokenizer.encode(["a"])[0].ids.tolist()[1:]  # an EOS is not appended


@pytest.mark.parametrize("model", ["llama", "t5"])
def test_the_default_of_a_kind(folder_of, tmp_path, model):
    make = {"llama": "llama", "t5": "t5"}[model]
    said = {
        "llama": lambda: metadata.scored(metadata.sentencepiece(folder_of("llama2"))),
        "t5": lambda: metadata.unigram(folder_of("unigram")),
    }[make]()
    path = write_fields(tmp_path / "a.gguf", said | {"bos_token_id": 1})
    assert Tokenizer(path).bos_ids() == ([1] if model == "llama" else [])
    path = write_fields(tmp_path / "b.gguf", said | {"bos_token_id": None})
    assert Tokenizer(path).bos_ids() == []


@pytest.mark.parametrize("role", ["bos", "eos", "unknown", "padding"])
def test_a_role_that_no_token_has(folder_of, tmp_path, role):
    """Converters write -1 for it, which is 4294967295 in the file's unsigned number."""
    said = metadata.byte_level(folder_of("gpt2_json"), "gpt-2")
    none = {f"{role}_token_id": np.uint32(2**32 - 1)}
    plain, without = (
        Tokenizer(write_fields(tmp_path / name, said | more))
        for name, more in (("a.gguf", {}), ("b.gguf", none))
    )
    assert list(without.encode(["a text"])[0].ids) == list(plain.encode(["a text"])[0].ids)
    assert without.bos_ids() == []
    with pytest.raises(ModelError, match="bos_token_id is 4294967294, and the file has"):
        Tokenizer(write_fields(tmp_path / "c.gguf", said | {"bos_token_id": np.uint32(2**32 - 2)}))


def test_what_looks_like_a_special_token_is_text(folder_of, tmp_path):
    """Control tokens, and what has a role; user-defined ones are found in any text."""
    said = metadata.byte_level(folder_of("qwen2"), "qwen2")
    types, ids = said["token_type"], {text: at for at, text in enumerate(said["tokens"])}
    assert (types[ids["<|im_start|>"]], types[ids["<tool_call>"]]) == (CONTROL, USER_DEFINED)
    types[ids[END]] = NORMAL
    path = write_fields(tmp_path / "a.gguf", said | {"eos_token_id": ids[END]})
    tokenizer = Tokenizer(path)
    text = f"a<|im_start|>b<tool_call>c{END}"
    named = {ids[one] for one in ("<|im_start|>", "<tool_call>", END)}
    as_text, as_tokens = (
        set(tokenizer.encode([text], special=special)[0].ids.tolist()) & named
        for special in ("text", "control")
    )
    assert as_text == {ids["<tool_call>"]} and as_tokens == named
    assert tokenizer.decode([ids["<|im_start|>"]]) == "<|im_start|>"


def test_a_control_token_is_no_merge(tmp_path):
    """Of a model by scores: "<s>" could be put together of tokens, and is not."""
    tokens = ["<unk>", "<s>", "<", "s", ">", "<s", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [2, CONTROL, *[NORMAL] * 4, *[BYTE] * 256]
    said = {
        "model": "llama",
        "tokens": tokens,
        "token_type": np.array(types, dtype=np.int32),
        "scores": np.array([0, 0, -9, -9, -9, -1, *[0] * 256], dtype=np.float32),
        "add_space_prefix": False,
    }
    tokenizer = Tokenizer(write_fields(tmp_path / "a.gguf", said))
    assert tokenizer.encode_piece("<s>") == [5, 4]
    assert tokenizer.encode(["<s>"], special="control")[0].ids.tolist() == [1]
    assert tokenizer.encode_piece("<0x0A>\n")[-1] == tokens.index("<0x0A>")


def test_without_types_bytes_and_roles_tell(folder_of, tmp_path):
    said = metadata.scored(metadata.sentencepiece(folder_of("llama2")))
    roles = {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
    full = Tokenizer(write_fields(tmp_path / "a.gguf", said | roles))
    bare = Tokenizer(write_fields(tmp_path / "b.gguf", said | roles | {"token_type": None}))
    for text in ("the <s>\x01 日", "</s>"):
        for special in ("text", "control"):
            first, second = (one.encode([text], special=special)[0].ids for one in (full, bare))
            assert first.tolist() == second.tolist()


# ------------------------------------------------------------------------------- what is told


@pytest.mark.parametrize("pre", [None, "default"])
def test_a_split_without_a_name_is_told(folder_of, tmp_path, pre):
    path = write_fields(tmp_path / "a.gguf", metadata.byte_level(folder_of("gpt2_json"), pre))
    with pytest.warns(UserWarning, match="a.gguf: tokenizer.ggml.pre does not say how texts are"):
        found = Tokenizer(path)
    named = write_fields(tmp_path / "b.gguf", metadata.byte_level(folder_of("gpt2_json"), "gpt-2"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wanted = Tokenizer(named)
    assert found.encode_piece("in  1999's") == wanted.encode_piece("in  1999's")


def test_every_name_of_the_table_opens(folder_of, tmp_path):
    for name in SPLITS.keys() - {"default"}:
        path = write_fields(tmp_path / "a.gguf", metadata.byte_level(folder_of("gpt2_json"), name))
        assert Tokenizer(path).decode(Tokenizer(path).encode_piece("a  1é\n")) == "a  1é\n"


def test_a_file_without_a_tokenizer(tmp_path):
    path = write_fields(tmp_path / "a.gguf", {"general.name": "a"})
    with pytest.raises(ModelError, match=r"a.gguf: tokenizer.ggml.model is missing: the file has"):
        Tokenizer(path)
