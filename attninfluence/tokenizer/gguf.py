"""A GGUF file's tokenizer, built of what the file says: tokens, merges or scores, types, a split.

Three kinds, `tokenizer.ggml.model`: "gpt2", byte-level BPE, whose split has a name
(gguf_splits.py); "llama", SentencePiece's BPE; "t5", SentencePiece's unigram model.
"""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError
from attninfluence.tokenizer.gguf_fields import (
    BYTE,
    CONTROL,
    MOST_ADDED,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Fields,
    read_fields,
    shown,
)
from attninfluence.tokenizer.gguf_merges import Merges, listed_merges, scored_merges
from attninfluence.tokenizer.gguf_splits import SPLITS, Json, Split
from attninfluence.tokenizer.opened import Opened, model_settings
from attninfluence.tokenizer.stored import MOST_GROWTH, longest_replacement

_SPACE = "\u2581"
_ROLES = ("bos", "eos", "unknown", "padding")
_BYTES = {f"<0x{byte:02X}>" for byte in range(256)}
_DEFAULT_SPLIT = "default"


class SplitWarning(UserWarning):
    """A file does not say how its model splits texts."""


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokens of a file.

    texts: by id. types: int64[n]. roles: ids by role, "bos", "eos", "unknown", "padding".
    """

    fields: Fields
    texts: list[str]
    types: NDArray[np.int64]
    roles: dict[str, int]

    @property
    def vocab(self) -> dict[str, int]:
        return {text: index for index, text in enumerate(self.texts)}

    def of_type(self, *types: int) -> list[int]:
        return [int(index) for index in np.flatnonzero(np.isin(self.types, types))]

    def role(self, role: str) -> str | None:
        return self.texts[self.roles[role]] if role in self.roles else None


@dataclass(frozen=True, slots=True)
class _Built:
    """backend: without its added tokens. model: its settings beside vocabulary and merges.
    adds_bos: where the file does not say. merges_blanks: runs of blanks come of merging, and are
    not looked for in the text.
    """

    backend: Any
    model: dict[str, Any]
    adds_bos: bool
    merges_blanks: bool = False


def open_gguf(path: str | os.PathLike[str]) -> Opened:
    """The tokenizer in a GGUF file; ModelError, saying what is missing, wrong or not known here.

    A file of byte-level BPE that does not name its split is read with GPT-2's, and a warning.
    """
    fields = read_fields(path)
    build = _builder(fields)
    tokens = _read_tokens(fields)
    try:
        built = build(tokens)
        _add_tokens(built, tokens)
    except (KeyboardInterrupt, SystemExit, MemoryError, ModelError, OSError, Warning):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        raise ModelError(f"{fields.path}: not a tokenizer that can be read ({error})") from error
    return Opened(
        built.backend,
        built.model | model_settings(built.backend.model),
        _bos_ids(tokens, built.adds_bos),
        tokens.role("bos"),
        splits_special=False,
    )


def has_gguf_tokenizer(path: str | os.PathLike[str]) -> bool:
    """Whether the file has a tokenizer of a kind that is known here."""
    try:
        _builder(read_fields(path))
    except ModelError:
        return False
    return True


def gguf_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of what the file says of its tokenizer, as 64 hexadecimal digits."""
    return read_fields(path).digest()


def _builder(fields: Fields) -> Callable[[_Tokens], _Built]:
    kind = fields.text("model")
    if kind is None:
        raise fields.error("model", "is missing: the file has no tokenizer")
    if kind not in _KINDS:
        raise fields.error(
            "model", f"is {shown(kind)}, a kind not known here; known are {', '.join(_KINDS)}"
        )
    return _KINDS[kind]


# --------------------------------------------------------------------------------- tokens


def _read_tokens(fields: Fields) -> _Tokens:
    texts = fields.tokens()
    count = len(texts)
    ids = {role: fields.token_id(role, count) for role in _ROLES}
    roles = {role: index for role, index in ids.items() if index is not None}
    types = fields.types(count)
    if types is None:
        types = _guessed_types(texts, roles)
    tokens = _Tokens(fields, texts, types, roles)
    for index in tokens.of_type(BYTE):
        if texts[index] not in _BYTES:
            raise fields.error(
                f"tokens[{index}]", f"is {shown(texts[index])}, expected a byte such as <0x0A>"
            )
    return tokens


def _guessed_types(texts: list[str], roles: dict[str, int]) -> NDArray[np.int64]:
    """Where the file has none: tokens with a role are special, and bytes look like bytes."""
    types = np.full(len(texts), NORMAL)
    types[[index for index, text in enumerate(texts) if text in _BYTES]] = BYTE
    types[list(roles.values())] = CONTROL
    return types


def _add_tokens(built: _Built, tokens: _Tokens) -> None:
    """Special tokens, those with a role among them, and those found in a text before all else."""
    from tokenizers import AddedToken

    special = set(tokens.of_type(CONTROL)) | set(tokens.roles.values())
    others = {
        index
        for index in tokens.of_type(USER_DEFINED)
        if not (built.merges_blanks and _is_blank(tokens.texts[index]))
    }
    if len(special | others) > MOST_ADDED:
        raise tokens.fields.error(
            "token_type", f"has more than {MOST_ADDED} control and user-defined tokens"
        )
    built.backend.add_tokens(
        [
            AddedToken(tokens.texts[index], normalized=False, special=index in special)
            for index in sorted(special | others)
        ]
    )


def _is_blank(text: str) -> bool:
    """Of a SentencePiece model, runs of blanks, which the file may write as blanks."""
    return not text.strip(f" {_SPACE}")


def _bos_ids(tokens: _Tokens, default: bool) -> list[int]:
    """What stands before a text. A file that asks for a BOS has to name one."""
    asked = tokens.fields.flag("add_bos_token")
    if asked and "bos" not in tokens.roles:
        raise tokens.fields.error("add_bos_token", "is true, but the file has no bos_token_id")
    adds = default if asked is None else asked
    return [tokens.roles["bos"]] if adds and "bos" in tokens.roles else []


# ---------------------------------------------------------------------------------- kinds


def _byte_level(tokens: _Tokens) -> _Built:
    fields = tokens.fields
    split = _split_of(fields)
    vocab = tokens.vocab
    merges = listed_merges(fields, vocab)
    if merges is None:
        raise fields.error("merges", "is missing, of a byte-level BPE")
    shell = _shell(
        [{"type": "NFC"}] if split.composes else [],
        split.steps,
        [{"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}],
    )
    options = {"ignore_merges": split.ignores_merges}
    return _Built(_with_bpe(shell, vocab, merges, options), options, split.adds_bos)


def _split_of(fields: Fields) -> Split:
    name = fields.text("pre")
    if name in (None, _DEFAULT_SPLIT):
        warnings.warn(
            f"{fields.path}: tokenizer.ggml.pre does not say how texts are split; they are split "
            "as GPT-2's, which is wrong for many a model: convert it again to be sure",
            SplitWarning,
            stacklevel=2,
        )
    name = name or _DEFAULT_SPLIT
    if name not in SPLITS:
        raise fields.error(
            "pre",
            f"is {shown(name)}, a way to split texts that is not known here; known are "
            f"{', '.join(sorted(SPLITS))}",
        )
    return SPLITS[name]


def _sentencepiece(tokens: _Tokens) -> _Built:
    fields = tokens.fields
    scores = fields.scores(len(tokens.texts))
    spelled = [_SPACE * len(text) if _is_blank(text) else text for text in tokens.texts]
    tokens = _Tokens(fields, spelled, tokens.types, tokens.roles)
    vocab = tokens.vocab
    if len(vocab) < len(spelled):
        raise fields.error("tokens", "has two runs of as many blanks")
    merges = listed_merges(fields, vocab)
    if merges is None:
        if scores is None:
            raise fields.error("scores", "is missing, and so are the merges")
        merges = scored_merges(fields, _ranks(tokens, scores))
    prefix = _flag(fields, "add_space_prefix", True)
    steps = [*_trimming(fields, False), *([_PREPEND] if prefix else []), _REPLACE]
    options = {
        "byte_fallback": bool(tokens.of_type(BYTE)),
        "fuse_unk": True,
        "unk_token": _unknown(tokens),
    }
    shell = _shell(steps, (), _decoders(prefix))
    backend = _with_bpe(shell, vocab, merges, options)
    return _Built(backend, options, adds_bos=True, merges_blanks=True)


def _ranks(tokens: _Tokens, scores: NDArray[np.float64]) -> list[tuple[str, float]]:
    """What SentencePiece merges to, by score; runs of blanks of the user's own before all."""
    blanks = [index for index in tokens.of_type(USER_DEFINED) if _is_blank(tokens.texts[index])]
    above = float(scores.max(initial=0.0))
    ranks = [(tokens.texts[index], above + len(blanks) - at) for at, index in enumerate(blanks)]
    return ranks + [(tokens.texts[index], float(scores[index])) for index in tokens.of_type(NORMAL)]


def _unigram(tokens: _Tokens) -> _Built:
    from tokenizers.models import Unigram

    fields = tokens.fields
    scores = fields.scores(len(tokens.texts))
    if scores is None:
        raise fields.error("scores", "is missing, of a unigram model")
    unknown = _unknown(tokens)
    has_bytes = bool(tokens.of_type(BYTE))
    prefix = _flag(fields, "add_space_prefix", True)
    metaspace = {
        "type": "Metaspace",
        "replacement": _SPACE,
        "prepend_scheme": "always" if prefix else "never",
        "split": True,
    }
    shell = _shell([*_charsmap(fields), *_trimming(fields, True)], [metaspace], _decoders(prefix))
    shell.model = Unigram(
        list(zip(tokens.texts, scores.tolist(), strict=True)),
        unk_id=None if unknown is None else tokens.texts.index(unknown),
        byte_fallback=has_bytes,
    )
    return _Built(shell, {"byte_fallback": has_bytes}, adds_bos=False)


def _flag(fields: Fields, field: str, default: bool) -> bool:
    value = fields.flag(field)
    return default if value is None else value


def _unknown(tokens: _Tokens) -> str | None:
    """The token for what has none: by its role, or else by its type."""
    named = tokens.role("unknown")
    typed = tokens.of_type(UNKNOWN)
    return tokens.texts[typed[0]] if named is None and typed else named


def _trimming(fields: Fields, default: bool) -> list[Json]:
    """SentencePiece's remove_extra_whitespaces: none at the ends, one between words."""
    if not _flag(fields, "remove_extra_whitespaces", default):
        return []
    return [
        {"type": "Replace", "pattern": {"Regex": r"\A +| +\z"}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    ]


def _charsmap(fields: Fields) -> list[Json]:
    table = fields.table("precompiled_charsmap")
    if not table:
        return []
    longest = longest_replacement(fields.path, "tokenizer.ggml.precompiled_charsmap", table)
    if longest > MOST_GROWTH:
        raise fields.error("precompiled_charsmap", f"has a replacement of {longest} bytes")
    return [{"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}]


_PREPEND = {"type": "Prepend", "prepend": _SPACE}
_REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}


def _decoders(prefix: bool) -> list[Json]:
    steps: list[Json] = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    return [*steps, strip] if prefix else steps


def _shell(normalizers: Sequence[Json], splitters: Sequence[Json], decoders: Sequence[Json]) -> Any:
    """A tokenizer of these steps whose model is still empty."""
    import tokenizers

    def sequence(plural: str, steps: Sequence[Json]) -> Json | None:
        return {"type": "Sequence", plural: list(steps)} if steps else None

    settings = {
        "version": "1.0",
        "normalizer": sequence("normalizers", normalizers),
        "pre_tokenizer": sequence("pretokenizers", splitters),
        "decoder": sequence("decoders", decoders),
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    }
    return tokenizers.Tokenizer.from_str(json.dumps(settings))


def _with_bpe(shell: Any, vocab: dict[str, int], merges: Merges, options: dict[str, Any]) -> Any:
    from tokenizers.models import BPE

    shell.model = BPE(vocab=vocab, merges=merges, **options)
    return shell


_KINDS = {"gpt2": _byte_level, "llama": _sentencepiece, "t5": _unigram}
