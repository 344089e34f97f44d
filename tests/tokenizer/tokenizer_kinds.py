"""Tokenizer folders of every structure in which models are published, trained on made-up text.

Each kind has the files, the normalizer, the pre-tokenizer, the added tokens and the
post-processor of a published family; only the vocabulary is small and our own.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

END = "<|endoftext|>"
SPACE = "\u2581"
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = GPT4.replace("{1,3}", "")

SYLLABLES = (
    "ba ce di fo gu an er in on ou st th qu ing tion ment re un é ß да но और 的 日 本".split()
)
NUMBERS = ["1999", "2024", "12", "345", "7777", "100", "4096"]


def made_up_texts(count: int = 300) -> list[str]:
    """Deterministic text to train on: words of syllables, numbers that recur, code."""
    chance = random.Random(5)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(400)]
    return [
        " ".join(chance.choices(words, k=30) + chance.choices(NUMBERS, k=4))
        + f"\n    x{chance.randint(0, 99)} = [1, 2];\n\n"
        for _ in range(count)
    ]


@functools.lru_cache(maxsize=8)
def _trained(bytes_first: bool, pattern: str | None, size: int = 700) -> Json:
    """`vocab` and `merges` of a BPE model, on bytes (or on characters with U+2581)."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    alphabet: list[str] = []
    if bytes_first:
        splits = pattern is None
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=splits)
        steps = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), "isolated")]
        backend.pre_tokenizer = pre_tokenizers.Sequence([*steps, level])
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        backend.normalizer = normalizers.Replace(" ", SPACE)
        backend.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=sorted(alphabet), show_progress=False
    )
    backend.train_from_iterator(made_up_texts(), trainer)
    model = json.loads(backend.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}


# ------------------------------------------------------------------ parts of a tokenizer.json


def token(index: int, text: str, *, special: bool = True, normalized: bool = False) -> Json:
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    return {"id": index, "content": text, **flags, "normalized": normalized, "special": special}


def byte_level(*, regex: bool = True, trim: bool = True, prefix: bool = False) -> Json:
    options = {"add_prefix_space": prefix, "trim_offsets": trim, "use_regex": regex}
    return {"type": "ByteLevel", **options}


def split(pattern: Json, behavior: str = "Isolated") -> Json:
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False}


def sequence(plural: str, *steps: Json) -> Json:
    return {"type": "Sequence", plural: list(steps)}


def replace(old: str, new: str) -> Json:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def template(before: list[tuple[str, int]], after: list[tuple[str, int]] | None = None) -> Json:
    """TemplateProcessing that puts tokens before and after a text."""
    after = after or []
    parts: list[Json] = [{"SpecialToken": {"id": text, "type_id": 0}} for text, _ in before]
    parts.append({"Sequence": {"id": "A", "type_id": 0}})
    parts += [{"SpecialToken": {"id": text, "type_id": 0}} for text, _ in after]
    known = {text: {"id": text, "ids": [i], "tokens": [text]} for text, i in before + after}
    second = {"Sequence": {"id": "B", "type_id": 1}}
    kind = "TemplateProcessing"
    return {"type": kind, "single": parts, "pair": [*parts, second], "special_tokens": known}


def bpe(vocab: dict[str, int], merges: list[tuple[str, str]], **options: Any) -> Json:
    usual: Json = {
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
    }
    return {"type": "BPE", **usual, **options, "vocab": vocab, "merges": [list(m) for m in merges]}


def write(folder: Path, model_type: str, settings: Json, stored: Json | None = None) -> Path:
    """config.json, tokenizer_config.json and, if given, tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    _dump(folder / "config.json", {"model_type": model_type})
    _dump(folder / "tokenizer_config.json", settings)
    if stored is not None:
        parts = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder"))
        usual: Json = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": []}
        _dump(folder / "tokenizer.json", usual | parts | stored)
    return folder


def _dump(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_pieces(folder: Path, vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """vocab.json and merges.txt as GPT-2 has them."""
    _dump(folder / "vocab.json", vocab)
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _byte_vocab(pattern: str | None, *extra: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    trained = _trained(True, pattern)
    vocab = dict(trained["vocab"])
    for text in extra:
        vocab[text] = len(vocab)
    return vocab, trained["merges"]


# ------------------------------------------------------------------------------------- kinds


def gpt2(folder: Path) -> Path:
    """vocab.json and merges.txt, no tokenizer.json, hardly a configuration."""
    vocab, merges = _byte_vocab(None, END)
    write(folder, "gpt2", {"model_max_length": 1024})
    write_pieces(folder, vocab, merges)
    return folder


def gpt2_json(folder: Path) -> Path:
    """GPT-2's tokenizer.json, beside the two files it was made from."""
    vocab, merges = _byte_vocab(None, END)
    stored = {
        "added_tokens": [token(vocab[END], END, normalized=True)],
        "pre_tokenizer": byte_level(),
        "post_processor": byte_level(trim=False, prefix=True),
        "decoder": byte_level(),
        "model": bpe(vocab, merges, continuing_subword_prefix="", end_of_word_suffix=""),
    }
    write_pieces(write(folder, "gpt2", {"tokenizer_class": "GPT2Tokenizer"}, stored), vocab, merges)
    return folder


def opt(folder: Path) -> Path:
    """GPT-2's two files, but `</s>` is put before each text, and `<pad>` comes first."""
    trained, merges = _byte_vocab(None)
    first = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = {text: index for index, text in enumerate([*first, *trained])}
    end = {key: value for key, value in token(2, "</s>", normalized=True).items() if key != "id"}
    end.pop("special")
    settings = {
        "errors": "replace",
        "unk_token": {"__type": "AddedToken", **end},
        "bos_token": {"__type": "AddedToken", **end},
        "eos_token": {"__type": "AddedToken", **end},
        "pad_token": {"__type": "AddedToken", **end, "content": "<pad>"},
        "add_prefix_space": False,
        "add_bos_token": True,
        "tokenizer_class": "GPT2Tokenizer",
    }
    write(folder, "opt", settings)
    write_pieces(folder, vocab, merges)
    roles = {"bos_token": end, "eos_token": end, "unk_token": end, "pad_token": "<pad>"}
    _dump(folder / "special_tokens_map.json", roles)
    return folder


def codegen(folder: Path) -> Path:
    """As Phi-1 and 2: runs of spaces in added_tokens.json, which are no special tokens."""
    vocab, merges = _byte_vocab(None, END)
    write(folder, "phi", {"tokenizer_class": "CodeGenTokenizer", "bos_token": END})
    write_pieces(folder, vocab, merges)
    runs = {" " * count: len(vocab) + 8 - count for count in range(8, 1, -1)}
    _dump(folder / "added_tokens.json", runs)
    return folder


def llama3(folder: Path) -> Path:
    """Byte-level BPE split by a pattern, whole words before merges, a BOS by template."""
    vocab, merges = _byte_vocab(GPT4)
    for word in ("Ġunlikely", "hippopotamus"):  # in the vocabulary, not to be had by merges
        vocab[word] = len(vocab)
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|reserved_0|>"]
    added = [token(len(vocab) + at, text) for at, text in enumerate(specials)]
    bos = (specials[0], len(vocab))
    steps = (split({"Regex": GPT4}), byte_level(regex=False))
    stored = {
        "added_tokens": added,
        "pre_tokenizer": sequence("pretokenizers", *steps),
        "post_processor": sequence("processors", byte_level(trim=False), template([bos])),
        "decoder": byte_level(),
        "model": bpe(vocab, merges, ignore_merges=True),
    }
    settings = {
        "added_tokens_decoder": _decoder(added),
        "bos_token": specials[0],
        "eos_token": specials[1],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    return write(folder, "llama", settings, stored)


def _decoder(added: list[Json]) -> Json:
    """`added_tokens_decoder` of tokenizer_config.json."""
    return {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in added}


def _fallback_vocab(specials: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Specials, a token a byte, then characters and merges: SentencePiece's order."""
    trained = _trained(False, None)
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *trained["vocab"]]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}, trained["merges"]


def _llama2_stored(legacy: bool) -> Json:
    vocab, merges = _fallback_vocab(["<unk>", "<s>", "</s>"])
    decoders = [
        replace(SPACE, " "),
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    steps = ({"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE))
    metaspace = {"type": "Metaspace", "replacement": SPACE, "split": False}
    return {
        "added_tokens": [token(at, text) for at, text in enumerate(["<unk>", "<s>", "</s>"])],
        "normalizer": sequence("normalizers", *steps) if legacy else None,
        "pre_tokenizer": None if legacy else metaspace | {"prepend_scheme": "first"},
        "post_processor": template([("<s>", 1)]),
        "decoder": sequence("decoders", *decoders),
        "model": bpe(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
    }


def llama2(folder: Path, legacy: bool = True, name: str = "LlamaTokenizer") -> Path:
    """SentencePiece's BPE: U+2581 for spaces and before the text, bytes for what is unknown."""
    stored = _llama2_stored(legacy)
    settings = {
        "added_tokens_decoder": _decoder(stored["added_tokens"]),
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "legacy": legacy,
        "tokenizer_class": name,
    }
    return write(folder, "llama", settings, stored)


def llama2_as_stored(folder: Path) -> Path:
    """The same files, but read as they stand, because the family has no class of its own."""
    return write_config(llama2(folder), model_type="mistral")


def llama2_new(folder: Path) -> Path:
    """The newer form: no normalizer, a Metaspace pre-tokenizer."""
    return llama2(folder, legacy=False)


def write_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    _dump(path, config | changes)
    return folder


def code_llama(folder: Path) -> Path:
    """As Llama 2, with tokens for infilling, and a BOS whatever the files say."""
    return llama2(folder, name="CodeLlamaTokenizer")


def gemma(folder: Path) -> Path:
    """SentencePiece's BPE without a space before the text."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    runs = ["\n\n", "  ", "    ", "<start_of_turn>"]
    vocab, merges = _fallback_vocab(specials + runs)
    added = [token(at, text) for at, text in enumerate(specials)]
    added += [token(vocab[text], text, special=False) for text in runs[:-1]]
    added.append(token(vocab[runs[-1]], runs[-1]))
    steps = (replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"})
    stored = {
        "added_tokens": added,
        "normalizer": replace(" ", SPACE),
        "pre_tokenizer": split({"String": " "}, "MergedWithPrevious"),
        "post_processor": template([("<bos>", 2)]),
        "decoder": sequence("decoders", *steps),
        "model": bpe(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
    }
    settings = {
        "added_tokens_decoder": _decoder(added),
        "bos_token": "<bos>",
        "tokenizer_class": "GemmaTokenizer",
    }
    return write(folder, "gemma2", settings, stored)


def _qwen2_parts() -> tuple[dict[str, int], list[tuple[str, str]], Json]:
    vocab, merges = _byte_vocab(GPT4)  # with merges of digits, which the pattern keeps apart
    texts = [END, "<|im_start|>", "<|im_end|>"]
    added = [token(len(vocab) + at, text) for at, text in enumerate(texts)]
    added.append(token(len(vocab) + 3, "<tool_call>", special=False))
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": _decoder(added),
        "additional_special_tokens": texts[1:],
        "bos_token": None,
        "eos_token": END,
        "pad_token": END,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    return vocab, merges, settings


def qwen2(folder: Path) -> Path:
    """NFC, a pattern that parts digits, no BOS."""
    vocab, merges, settings = _qwen2_parts()
    added = [{"id": int(i), **t} for i, t in settings["added_tokens_decoder"].items()]
    steps = (split({"Regex": QWEN2}), byte_level(regex=False, trim=False))
    stored = {
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": sequence("pretokenizers", *steps),
        "post_processor": byte_level(regex=False, trim=False),
        "decoder": byte_level(regex=False, trim=False),
        "model": bpe(vocab, merges, continuing_subword_prefix="", end_of_word_suffix=""),
    }
    return write(folder, "qwen2", settings, stored)


def qwen2_pieces(folder: Path) -> Path:
    """The same from vocab.json and merges.txt."""
    vocab, merges, settings = _qwen2_parts()
    write_pieces(write(folder, "qwen3", settings), vocab, merges)
    return folder


def gpt_neox(folder: Path) -> Path:
    """As Pythia: runs of spaces as added tokens, matched in text that is in NFC."""
    vocab, merges = _byte_vocab(None, END, "<|padding|>")
    runs = [" " * count for count in range(8, 1, -1)]
    added = [token(vocab[text], text) for text in (END, "<|padding|>")]
    added += [
        token(len(vocab) + at, text, special=False, normalized=True) for at, text in enumerate(runs)
    ]
    stored = {
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": byte_level(),
        "post_processor": template([(END, vocab[END])]),
        "decoder": byte_level(),
        "model": bpe(vocab, merges),
    }
    return write(folder, "gpt_neox", {"tokenizer_class": "GPTNeoXTokenizer"}, stored)


def cohere(folder: Path) -> Path:
    """As Command R: digits one by one, a BOS by template."""
    names = ["<PAD>", "<UNK>", "<CLS>", "<SEP>", "<MASK_TOKEN>", "<BOS_TOKEN>", "<EOS_TOKEN>"]
    trained, merges = _byte_vocab(None)
    vocab = {text: at for at, text in enumerate([*names, "<EOP_TOKEN>", *trained])}
    steps = ({"type": "Digits", "individual_digits": True}, byte_level())
    stored = {
        "added_tokens": [token(at, text) for at, text in enumerate(names)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": sequence("pretokenizers", *steps),
        "post_processor": template([("<BOS_TOKEN>", 5)], [("<EOS_TOKEN>", 6)]),
        "decoder": byte_level(),
        "model": bpe(vocab, merges),
    }
    settings = {"bos_token": "<BOS_TOKEN>", "tokenizer_class": "CohereTokenizerFast"}
    return write(folder, "cohere", settings, stored)


def starcoder2(folder: Path) -> Path:
    """A tokenizer.json whose parting of digits transformers 5 ignores."""
    vocab, merges = _byte_vocab(None, END, "<fim_prefix>")
    steps = ({"type": "Digits", "individual_digits": True}, byte_level())
    stored = {
        "added_tokens": [token(vocab[text], text) for text in (END, "<fim_prefix>")],
        "pre_tokenizer": sequence("pretokenizers", *steps),
        "decoder": byte_level(),
        "model": bpe(vocab, merges),
    }
    settings = {"tokenizer_class": "GPT2Tokenizer", "additional_special_tokens": ["<fim_prefix>"]}
    return write(folder, "starcoder2", settings, stored)


def unigram(folder: Path) -> Path:
    """SentencePiece's unigram model: NFKC, several spaces made one, bytes for the unknown."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    backend = Tokenizer(models.Unigram())
    collapse = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.UnigramTrainer(
        vocab_size=700, special_tokens=names, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(made_up_texts(), trainer)
    model = json.loads(backend.to_str())["model"] | {"byte_fallback": True}
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always"}
    stored = {
        "added_tokens": [token(at, text) for at, text in enumerate(names[:3])],
        "normalizer": sequence("normalizers", {"type": "Nmt"}, {"type": "NFKC"}, collapse),
        "pre_tokenizer": metaspace | {"split": True},
        "post_processor": template([("<s>", 1)], [("</s>", 2)]),
        "decoder": sequence("decoders", {"type": "ByteFallback"}, metaspace | {"split": True}),
        "model": model,
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}
    return write(folder, "llama", settings, stored)


KINDS: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (
        gpt2,
        gpt2_json,
        opt,
        codegen,
        gpt_neox,
        starcoder2,
        cohere,
        llama3,
        llama2,
        llama2_as_stored,
        llama2_new,
        code_llama,
        gemma,
        qwen2,
        qwen2_pieces,
        unigram,
    )
}


# ------------------------------------------------------------------------------------- texts

NASTY = [
    "",
    " ",
    "\n",
    " \t \n\r\n  ",
    "   leading and trailing   ",
    "a\0b\0\0",
    "\ufffd\ufffd torn \ufffd",  # lone surrogates and broken bytes, mended
    "\ufeffbyte order mark",
    "line\r\nline\r\n\r\n\tx\n\n\n",
    "\ttabs\t\tand  spaces   of    many     lengths      here        ",
    "x" * 10_000,
    " " * 10_000,
    "\n" * 10_000,
    "\U0001f600" * 10_000,
    "\u0301" * 10_000,
    "7" * 10_000,
    SPACE * 100,
    SPACE + "a" + SPACE + " b",
    "".join(chr(97 + at * 7 % 26) for at in range(10_000)),
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea 👍🏽",
    "שלום עולם مرحبا بالعالم \u202eright to left\u202c",
    "e\u0301 é a\u0308\u0323 \u1e69 s\u0323\u0307 ﬁ ﬃ ① ½ Å \u212b 가 \u1100\u1161",
    "日本語のテキスト、中文没有空格的文本。한국어 ไทยไม่มีช่องว่าง नमस्ते",
    f"a {END} b{END}{END}",
    "<s>text</s> <unk> <pad><bos> <eos><mask> <|im_start|>user<|im_end|> <tool_call>x</tool_call>",
    "<|begin_of_text|><|eot_id|> unlikely hippopotamus<BOS_TOKEN> <fim_prefix> [INST] <0x0A>",
    "a </s> b</s>c <s> d", "unlikely hippopotamus unlikely",
    "don't we'll I'VE THEY'RE it's 12345 1,234.5 ١٢٣ x1y22z333",
    "def f(x):\n    if x:\n        return {'a': [1, 2]}  # note\n\n\nclass A: pass",
    "https://example.org/a?b=c&d=%20#e user@example.org C:\\dir\\file",
]  # fmt: skip

_SCRIPTS = [
    (0x20, 0x7E),
    (0xA0, 0x17F),
    (0x300, 0x36F),
    (0x370, 0x52F),
    (0x590, 0x6FF),
    (0x900, 0x97F),
    (0xE00, 0xE7F),
    (0x1100, 0x11FF),
    (0x2000, 0x2069),
    (0x2581, 0x2581),
    (0x3040, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFB00, 0xFB4F),
    (0xFF00, 0xFFEF),
    (0x1F300, 0x1F64F),
]
_SPACES = [" ", " ", " ", "  ", "    ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", ""]
_PIECES = [
    "def f(x):\n    return x",
    "a[0] += 1;",
    "don't",
    "1234",
    "3.14",
    END,
    "<s>",
    "</s>",
    "0x7f",
]


def random_texts(count: int, seed: int = 11) -> Iterator[str]:
    """Texts that mix scripts, words, code, numbers, special tokens and kinds of space."""
    chance = random.Random(seed)
    for _ in range(count):
        parts = [_random_part(chance) for _ in range(chance.randint(1, 40))]
        yield "".join(part + chance.choice(_SPACES) for part in parts)


def _random_part(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(NUMBERS)
    if kind < 0.45:
        return "".join(chance.choices(SYLLABLES, k=chance.randint(1, 4)))
    if kind < 0.6:
        return str(chance.randrange(10 ** chance.randint(1, 12)))
    if kind < 0.75:
        return chance.choice(_PIECES)
    low, high = chance.choice(_SCRIPTS)
    return "".join(chr(chance.randint(low, high)) for _ in range(chance.randint(1, 8)))
