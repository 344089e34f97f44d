r"""How a GGUF file's byte-level BPE parts a text: a row for each name of `tokenizer.ggml.pre`.

The names are those of llama.cpp, which gives each tokenizer that it converts the name of the
first one known to split alike. A row is the pre-tokenizer of that tokenizer's own tokenizer.json
(not the expressions of llama.cpp, whose engine reads classes of letters only approximately).
Names whose split `tokenizers` cannot express, or whose tokenizer.json is code, are not here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT4 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_QWEN2 = _GPT4.replace("{1,3}", "")
_QWEN3_5 = _QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(
    r"[^\s\p{L}\p{N}]+", r"[^\s\p{L}\p{M}\p{N}]+"
)
_BEFORE = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_AFTER_WORDS = rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
_TEKKEN = rf"{_BEFORE}{_UPPER}*{_LOWER}+|{_BEFORE}{_UPPER}+{_LOWER}*" rf"|\p{{N}}{_AFTER_WORDS}"
_GPT4O = (
    rf"{_BEFORE}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_BEFORE}{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}{_AFTER_WORDS}"
)
_JAIS2 = _GPT4.removesuffix(r"\s+(?!\S)|\s+") + "|".join(
    [*(rf"\s{{{count}}}(?!\S)" for count in (512, 256, 128, 64, 32, 16, 8, 4)), r"\s{1,2}(?!\S)"]
    + [r"\s{1}"]
)
_BAILING = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SEED = _QWEN2.replace(r"[^\s\p{L}\p{N}]+[\r\n]*", r"[^\s\p{L}\p{N}\r\n]+")
_EXAONE_MOE = (
    rf"{_CONTRACTIONS}|{_BEFORE}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}"
)
_SPARK = _DEEPSEEK3.replace(r"[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+", r"[\p{P}\p{S}]+|[\r\n]")
_YOUTU_SCRIPTS = "[\uac00-\ud7a3\u3131-\u318e]+|[！…“”‘’—：；，、-〿︰-﹏]+|[\u3105-\u312f]+|" + _CJK
_YOUTU = _GPT4O.replace("{1,3}", "")
# The letters of DeepSeek LLM: those that have a case.
_CASED = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"
    "\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"
    "\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
    "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59"
    "\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc"
    "\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
    "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee"
    "\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
    "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f"
    "\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)
_OLD_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"


def _split(pattern: str, behavior: str = "Isolated") -> Json:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": behavior,
        "invert": False,
    }


def _byte_level(uses_regex: bool) -> Json:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": uses_regex,
    }


def _digits(each: bool) -> Json:
    return {"type": "Digits", "individual_digits": each}


class Split(NamedTuple):
    """How the tokenizers of a name part a text, and what llama.cpp takes to go with the name.

    steps: the pre-tokenizer's, as tokenizer.json has them. composes: the text is in NFC first.
    ignores_merges: a part that is a token is not taken apart. adds_bos: where the file does not
    say whether a BOS stands before a text.
    """

    steps: tuple[Json, ...]
    composes: bool = False
    ignores_merges: bool = False
    adds_bos: bool = False


def _by(*patterns: str | Json) -> tuple[Json, ...]:
    """One pattern after the other, then bytes."""
    steps = [_split(one) if isinstance(one, str) else one for one in patterns]
    return (*steps, _byte_level(False))


_GPT2 = (_byte_level(True),)
_DIGITS_GPT2 = (_digits(True), _byte_level(True))
_LAGUNA = _by(_split(r"(?:\r?\n)+(?!\r?\n)", "MergedWithNext"), _QWEN2)
_FALCON = (
    {"type": "Punctuation", "behavior": "Contiguous"},
    _byte_level(True),
    _digits(False),
    _split("[0-9][0-9][0-9]"),
)

_ROWS = {
    "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano": Split(
        _by(_GPT4), ignores_merges=True, adds_bos=True
    ),
    "tekken": Split(_by(_TEKKEN), ignores_merges=True, adds_bos=True),
    "dbrx smaug-bpe glm4 chatglm-bpe": Split(_by(_GPT4)),
    "minicpm5": Split(_by(r"\p{N}{1,3}", _GPT4.replace("{1,3}", "+")), ignores_merges=True),
    "jais-2": Split(_by(_JAIS2)),
    "qwen2 f2llmv2": Split(_by(_QWEN2), composes=True),
    "qwen35": Split(_by(_QWEN3_5), composes=True),
    "deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2": Split(_by(_QWEN2)),
    "ufakzeka": Split(_by(_QWEN2.removeprefix(_CONTRACTIONS + "|"))),
    "gpt-4o llama4 kanana2 talkie minimax-m2": Split(_by(_GPT4O)),
    "gpt-2 phi-2 default gigachat a.x-4.0 mellum jais trillion granite-docling exaone4": Split(
        _GPT2
    ),
    "olmo mpt": Split(_GPT2, composes=True),
    "smollm starcoder refact codeshell exaone minerva-7b mellum2": Split(_DIGITS_GPT2),
    "command-r": Split(_DIGITS_GPT2, composes=True),
    "falcon": Split(_FALCON),
    "bloom poro-chat gpt3-finnish": Split(_by(_BLOOM)),
    "viking": Split(_by(_BLOOM, _digits(True))),
    "deepseek-coder": Split(
        _by("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _OLD_CJK, _digits(True)),
    ),
    "deepseek-llm": Split(
        _by(
            "[\r\n]",
            rf"\s?[{_CASED}]+",
            "\\s?[!-/:-~！-／：-～‘-\u201f\u3000-。]+",
            r"\s+$",
            _OLD_CJK,
            _digits(True),
        )
    ),
    "deepseek-v3 hunyuan-dense joyai-llm hy_v4": Split(_by(r"\p{N}{1,3}", _CJK, _DEEPSEEK3)),
    "spark2_5": Split(_by(r"\p{N}{1,3}", _CJK, _SPARK, r"\p{N}")),
    "youtu": Split(_by(_YOUTU_SCRIPTS, _YOUTU), ignores_merges=True),
    "bailingmoe bailingmoe2 llada-moe": Split(_by(_BAILING)),
    "seed-coder": Split(_by(_SEED)),
    "exaone-moe": Split(_by(_EXAONE_MOE)),
    "laguna": Split(_LAGUNA),
    "tiny_aya cohere2moe": Split(_by(r"\d{1,3}(?=(?:\d{3})*\b)", _GPT4O)),
}

SPLITS = {name: split for names, split in _ROWS.items() for name in names.split()}
