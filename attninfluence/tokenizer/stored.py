"""A tokenizer.json, checked before the library has it.

The library allocates what a file claims and takes each step of a pipeline as often as the file
says, and a program ends with it when it fails. So what is refused here are ids that no model has,
tables that are larger than the data that they lie in, and steps that multiply a text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attninfluence._core import ModelError
from attninfluence.base.json_shapes import ShapeError, Whole
from attninfluence.tokenizer.json_files import MOST_IDS, check_ids, check_token, expect, read_stored
from attninfluence.tokenizer.patterns import Pattern, Unproven

# Published tokenizers have a handful of steps; a text may become 33 times as long by the longest
# replacement of a SentencePiece table, 11 times by NFKD.
MOST_STEPS = 512
MOST_GROWTH = 4096
MOST_WORD = 1024  # characters that WordPiece takes apart, in their square; published: 100
MOST_PIECE = 4096  # bytes of a token of a Unigram model, whose trie is taken apart by recursion
MOST_PIECES = 16 << 20  # of all, at up to 430 bytes of memory each; a quarter million have 3 MB

_STAGES = ("normalizer", "pre_tokenizer", "decoder")
# By how much a step may multiply the bytes of a text, where its type alone says it.
_GROWTH = {
    "BertNormalizer": 3,
    "ByteLevel": 4,
    "Lowercase": 2,
    "Metaspace": 8,
    "NFC": 3,
    "NFD": 3,
    "NFKC": 11,
    "NFKD": 11,
}
# What BPEDecoder and CTC replace by a space.
_BLANKED = ("suffix", "word_delimiter_token")

_TEXTS = re.compile(rb"[^\0]+")  # one after another, as a table may be nothing but their ends

_Json = dict[str, Any]


def read_checked(path: Path) -> tuple[bytes, _Json]:
    """A tokenizer.json as `read_stored`; ModelError, naming the field, for what is refused."""
    data, stored = read_stored(path)
    expect(path, "model", stored.get("model"), "an object")
    _check_vocab(path, stored["model"].get("vocab"))
    _check_merges(path, stored["model"].get("merges"))
    _check_prefix(path, stored["model"])
    _check_longest_word(path, stored["model"].get("max_input_chars_per_word"))
    _check_added(path, stored.get("added_tokens"))
    for stage in _STAGES:
        _check_stage(path, stage, stored.get(stage))
    _check_post_processor(path, stored.get("post_processor"))
    return data, stored


def _check_vocab(path: Path, vocab: Any) -> None:
    """Ids by token; a Unigram model has a list, in which the place is the id."""
    expect(path, "model.vocab", vocab, "an object", "a list")
    if isinstance(vocab, list):
        if len(vocab) > MOST_IDS:
            raise ModelError(f"{path}: model.vocab has more than {MOST_IDS} tokens")
        _check_pieces(path, vocab)
        return
    values = vocab.values()
    if (
        set(map(type, values)) - {int}
        or not 0 <= min(values, default=0) <= max(values, default=0) < MOST_IDS
    ):
        check_ids(path, vocab.items())


def _check_pieces(path: Path, vocab: list[Any]) -> None:
    total = 0
    for at, piece in enumerate(vocab):
        text = piece[0] if isinstance(piece, list) and piece else None
        size = len(_utf8(text)) if isinstance(text, str) else 0
        total += size
        if size > MOST_PIECE:
            raise ModelError(
                f"{path}: the token in model.vocab[{at}] has {size} bytes, expected at most "
                f"{MOST_PIECE}"
            )
    if total > MOST_PIECES:
        raise ModelError(
            f"{path}: the tokens in model.vocab have {total} bytes, expected at most {MOST_PIECES}"
        )


def _check_longest_word(path: Path, most: Any) -> None:
    if most is None:
        return
    try:
        Whole(high=MOST_WORD).check(most, "model.max_input_chars_per_word")
    except ShapeError as error:
        raise ModelError(f"{path}: {error}") from None


def _check_merges(path: Path, merges: Any) -> None:
    if merges is None:
        return
    expect(path, "model.merges", merges, "a list")
    wrong = set(map(type, merges)) - {str, list}
    if wrong:
        at = next(at for at, one in enumerate(merges) if type(one) in wrong)
        expect(path, f"model.merges[{at}]", merges[at], "a string", "a list")


def _check_prefix(path: Path, model: _Json) -> None:
    """Of a merge, the library cuts as many bytes as the prefix has off the second part, wherever
    they end, and ends the process where that is within a character.
    """
    prefix, merges = model.get("continuing_subword_prefix"), model.get("merges")
    if not (isinstance(prefix, str) and prefix and merges):
        return
    for at, merge in enumerate(merges):
        for part in (merge.split(" ") if isinstance(merge, str) else merge)[1:]:
            if not (isinstance(part, str) and part.startswith(prefix)):
                raise ModelError(
                    f"{path}: expected the second part of model.merges[{at}] to begin with "
                    f"{prefix[:80]!r}, the continuing_subword_prefix, found {str(part)[:80]!r}"
                )


def _check_added(path: Path, added: Any) -> None:
    if added is None:
        return
    expect(path, "added_tokens", added, "a list")
    for at, token in enumerate(added):
        expect(path, f"added_tokens[{at}]", token, "an object")
        check_token(path, f"added_tokens[{at}]", token)
        check_ids(path, [(token["content"], token.get("id"))])


def _check_stage(path: Path, stage: str, settings: Any) -> None:
    """Number of steps, growth of a text and tables of a normalizer, pre-tokenizer or decoder."""
    if settings is None:
        return
    expect(path, stage, settings, "an object")
    growth = 1
    for count, step in enumerate(_objects(settings)):
        if count == MOST_STEPS:
            raise ModelError(f"{path}: the {stage} has more than {MOST_STEPS} steps")
        growth *= _growth(path, stage, step)
        if growth > MOST_GROWTH:
            raise ModelError(
                f"{path}: the steps of the {stage} may make a text more than {MOST_GROWTH} times "
                "as long"
            )


def _objects(value: Any) -> Iterator[_Json]:
    """All objects within a value, itself included, however they are named."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value
    for one in inner:
        if isinstance(one, (dict, list)):
            yield from _objects(one)


def _growth(path: Path, stage: str, step: _Json) -> int:
    """By how much a step may multiply the bytes of a text: the most of what its type and its
    fields say. The library does not need a type, and does not mind fields of another one.
    """
    growth = [_GROWTH.get(str(step.get("type")), 1)]
    if "precompiled_charsmap" in step:
        growth.append(_longest_replacement(path, f"the {stage}'s precompiled_charsmap", step))
    if "pattern" in step and "content" in step:
        growth.append(_replacement(path, stage, step))
    if "prepend" in step:
        expect(path, f"prepend of the {stage}", step["prepend"], "a string")
        growth.append(1 + len(_utf8(step["prepend"])))
    if "" in map(step.get, _BLANKED):
        growth.append(3)  # a space on both sides of each character
    return max(growth)


def _replacement(path: Path, stage: str, step: _Json) -> int:
    expect(path, f"content of the {stage}'s Replace", step["content"], "a string")
    expect(path, f"pattern of the {stage}'s Replace", step["pattern"], "an object", "a string")
    content, pattern = len(_utf8(step["content"])), step["pattern"]
    text = pattern.get("String") if isinstance(pattern, dict) else pattern
    if isinstance(text, str) and text:
        return max(1, -(-content // len(_utf8(text))))
    try:
        Pattern(text if isinstance(text, str) else str(pattern.get("Regex")))
    except Unproven:  # it may match between any two characters, as an empty text does
        return 1 + content
    return max(1, content)


def _longest_replacement(path: Path, field: str, step: _Json) -> int:
    expect(path, field, step["precompiled_charsmap"], "a string")
    try:
        table = base64.b64decode(step["precompiled_charsmap"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ModelError(f"{path}: {field} is not base64 ({error})") from None
    return longest_replacement(path, field, table)


def longest_replacement(path: str | Path, field: str, table: bytes) -> int:
    """The bytes of the longest replacement of a SentencePiece table; ModelError for no such table.

    The table is a number of bytes in 32 bits, a trie of so many, and replacements that end in NUL.
    """
    size = int.from_bytes(table[:4], "little")
    if len(table) < 8 or size < 4 or size % 4 or size > len(table) - 4:
        raise ModelError(
            f"{path}: {field} names a trie of {size} bytes, expected a multiple of 4 within the "
            f"{max(0, len(table) - 4)} that follow"
        )
    replacements = _TEXTS.finditer(table, 4 + size)
    return max(1, max((one.end() - one.start() for one in replacements), default=0))


def _check_post_processor(path: Path, settings: Any) -> None:
    """The ids that it puts around a text, and how many: a step takes what the one before gave."""
    if settings is None:
        return
    expect(path, "post_processor", settings, "an object")
    growth = 1
    for step in _objects(settings):
        growth *= _pieces(path, step)
        if growth > MOST_GROWTH:
            raise ModelError(
                f"{path}: the templates of the post_processor may make of a token more than "
                f"{MOST_GROWTH}"
            )
        for field in ("sep", "cls"):
            pair = step.get(field)
            if isinstance(pair, list) and len(pair) == 2:
                check_ids(path, [(str(pair[0]), pair[1])])
        if isinstance(step.get("ids"), list):
            check_ids(path, [(str(step.get("id")), index) for index in step["ids"]])


def _pieces(path: Path, step: _Json) -> int:
    """What a template may make of one token: its pieces, each with the most ids that one has."""
    if "single" not in step:
        return 1
    for field, kind in (("single", "a list"), ("special_tokens", "an object")):
        expect(path, f"{field} of the post_processor", step.get(field, {}), kind)
    named = [one["ids"] for one in _objects(step) if isinstance(one.get("ids"), list)]
    return max(1, len(step["single"])) * max([1, *map(len, named)])


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
