"""Tokenizers of many steps, put together of parts, and texts that are hard to cut."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.tokenizer import tokenizer_kinds as kinds
from tests.tokenizer.tokenizer_kinds import SPACE, Json, byte_level, replace, sequence, split

# As OpenAI publishes them: of GPT-4o, and of GPT-4 with quantifiers that give nothing back.
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4_POSSESSIVE = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _regex(text: str) -> Json:
    return {"Regex": text}


def _by(pattern: str, behavior: str = "Isolated") -> Json:
    return sequence("pretokenizers", split(_regex(pattern), behavior), byte_level(regex=False))


def _replaced(pattern: str, content: str) -> Json:
    return {"type": "Replace", "pattern": _regex(pattern), "content": content}


def _metaspace(scheme: str, splits: bool) -> Json:
    kind = {"type": "Metaspace", "replacement": SPACE}
    return kind | {"prepend_scheme": scheme, "split": splits}


def _digits(each: bool) -> Json:
    return {"type": "Digits", "individual_digits": each}


_PREPEND = {"type": "Prepend", "prepend": SPACE}
_BERT = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
NORMALIZERS: list[Json | None] = [
    None,
    *({"type": name} for name in "NFC NFD NFKC NFKD Lowercase Nmt StripAccents ByteLevel".split()),
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "BertNormalizer", **_BERT},
    _PREPEND,
    replace(" ", SPACE),
    replace("an", "xyz"),
    _replaced(" {2,}", " "),
    _replaced(r"\s+", "_"),
    _replaced("[aeiou]+", "o"),
    sequence("normalizers", _PREPEND, replace(" ", SPACE)),
    sequence("normalizers", {"type": "NFKC"}, {"type": "Lowercase"}, _replaced(" +", " ")),
]
PRE_TOKENIZERS: list[Json | None] = [
    None,
    byte_level(),
    byte_level(prefix=True),
    *map(_by, (kinds.GPT4, kinds.QWEN2, GPT4O, GPT4_POSSESSIVE)),
    *(_by(kinds.GPT4, f"MergedWith{side}") for side in ("Next", "Previous")),
    *(_by(kinds.GPT4, behavior) for behavior in ("Contiguous", "Removed")),
    sequence(
        "pretokenizers",
        split(_regex(r"\p{N}{1,3}")),
        split(_regex("[一-龥぀-ゟ゠-ヿ]+")),
        split(_regex(DEEPSEEK)),
        byte_level(regex=False),
    ),
    sequence("pretokenizers", _digits(True), byte_level()),
    sequence("pretokenizers", _digits(False), byte_level(prefix=True)),
    sequence(
        "pretokenizers",
        {"type": "Punctuation", "behavior": "Contiguous"},
        byte_level(),
        _digits(False),
        split(_regex("[0-9][0-9][0-9]")),
    ),
    *(_metaspace(scheme, True) for scheme in ("first", "always", "never")),
    _metaspace("always", False),
    *({"type": name} for name in "Whitespace WhitespaceSplit BertPreTokenizer".split()),
    {"type": "UnicodeScripts"},
    split({"String": " "}, "MergedWithPrevious"),
    split({"String": " "}, "MergedWithNext"),
    split({"String": "an"}),
    split(_regex(r"\w+|\s+")) | {"invert": True},
    split(_regex(r"\w+"), "Removed") | {"invert": True},
    {"type": "CharDelimiterSplit", "delimiter": " "},
    {"type": "Punctuation", "behavior": "MergedWithPrevious"},
]


def models(folder: Path) -> dict[str, Json]:
    vocab, merges = kinds._byte_vocab(kinds.GPT4)
    pieces, joined = kinds._fallback_vocab(["<unk>", "<s>", "</s>"])
    plain = {text: at for text, at in pieces.items() if not text.startswith("<0x")}
    unknown: dict[str, Any] = {"unk_token": "<unk>", "fuse_unk": True}
    words = ["[UNK]", *"abcdefghijklmnopqrstuvwxyz", "##n", "##e", "an", "##ing"]
    stored = (kinds.unigram(folder) / "tokenizer.json").read_text(encoding="utf-8")
    by_word = {"unk_token": "[UNK]", "vocab": {text: at for at, text in enumerate(words)}}
    return {
        "bytes": kinds.bpe(vocab, merges),
        "bytes, whole words first": kinds.bpe(vocab, merges, ignore_merges=True),
        "byte fallback": kinds.bpe(pieces, joined, byte_fallback=True, **unknown),
        "unknown characters": kinds.bpe(plain, joined, **unknown),
        "WordPiece": {
            "type": "WordPiece",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            **by_word,
        },
        "WordLevel": {"type": "WordLevel", **by_word},
        "Unigram": json.loads(stored)["model"],
    }


def pipelines(folder: Path, count: int) -> Iterator[tuple[str, str]]:
    """Names and tokenizer.json of `count` combinations, with added tokens of each flag."""
    every = [*itertools.product(models(folder).items(), NORMALIZERS, PRE_TOKENIZERS)]
    for (name, model), normalizer, pre_tokenizer in random.Random(4).sample(every, count):
        stored = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": _added(len(model["vocab"]), normalizer),
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": None,
            "decoder": None,
            "model": model,
        }
        yield f"{name}, {normalizer}, {pre_tokenizer}", json.dumps(stored)


def _added(start: int, normalizer: Json | None) -> list[Json]:
    """Without one that the normalizer makes empty, at which the library never ends."""
    flags: list[tuple[str, Json]] = [
        ("<s>", {}),
        (" <pad>", {"lstrip": True}),
        ("end", {"rstrip": True, "special": False}),
        ("the", {"single_word": True, "special": False, "normalized": True}),
        ("  ", {"special": False, "normalized": True}),
        ("é", {"special": False, "normalized": True}),
    ]
    if normalizer and normalizer["type"] == "Strip":
        flags.remove(("  ", {"special": False, "normalized": True}))
    return [kinds.token(start + at, text) | more for at, (text, more) in enumerate(flags)]


PARTS = [
    *[" ", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\ufeff", "\u200d"],
    *["a", "an", "the", "the ", "ing", "end", "x", "A", "é", "e\u0301", "\u0301", "ß", "ſ", "ﬁ"],
    *["'s", "'S", "'", "12", "3", "１", "½", ".", ",", "!", "_", "<", ">", SPACE, "\x00"],
    *["日本", "。", "，", "가", "\u1161", "ان", "👍🏽", "<s>", " <pad>", "</s>", kinds.END],
]


def hard_texts(count: int, seed: int = 3) -> list[str]:
    """Texts of parts that steps treat alike alone and otherwise side by side."""
    chance = random.Random(seed)
    return ["".join(chance.choices(PARTS, k=chance.randint(2, 60))) for _ in range(count)]
