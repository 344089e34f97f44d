"""Tokenizers as llama.cpp's converter writes them into the metadata of a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFValueType
from numpy.typing import NDArray

from tests.kit.gguf.made import Typed, write_gguf

Metadata = dict[str, Any]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPACE = "\u2581"


def write_fields(
    path: Path,
    fields: Metadata,
    architecture: str = "llama",
    *,
    tensors: Mapping[str, NDArray[np.float32]] | None = None,
    most_tensors: int = 0,
) -> Path:
    """A file of these fields as `write_gguf` writes it; those without a dot are tokenizer.ggml's.

    None and an empty list leave one out.
    """
    metadata = {
        key if "." in key else f"tokenizer.ggml.{key}": _typed(value)
        for key, value in fields.items()
        if value is not None and not (isinstance(value, list) and not value)
    }
    f32 = {name: ("F32", values) for name, values in (tensors or {}).items()}
    return write_gguf(path, f32, metadata, architecture=architecture, most_tensors=most_tensors)


def _typed(value: Any) -> Any:
    """Of numbers of numpy's, those in their type."""
    types = GGUFValueType
    if isinstance(value, np.uint32):
        return Typed(int(value), types.UINT32)
    if not isinstance(value, np.ndarray):
        return value
    items = {"i4": types.INT32, "f4": types.FLOAT32, "u1": types.UINT8, "f8": types.FLOAT64}
    return Typed(value.tolist(), types.ARRAY, items[value.dtype.str[1:]])


def stored_of(folder: Path) -> Any:
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))


def tokens_of(stored: Any, size: int | None = None) -> Metadata:
    """Tokens and types: added ones are control or user-defined, gaps are "[PADn]" and unused."""
    added = {token["id"]: token for token in stored["added_tokens"]}
    vocab = {index: text for text, index in stored["model"]["vocab"].items()}
    count = size or max([*vocab, *added]) + 1
    tokens, types = [], []
    for index in range(count):
        kind = NORMAL
        text = vocab.get(index)
        if index in added:
            text = added[index]["content"]
            kind = CONTROL if added[index]["special"] else USER_DEFINED
            text = text.replace(SPACE, " ") if kind == USER_DEFINED else text
        elif text is None:
            text, kind = f"[PAD{index}]", UNUSED
        tokens.append(text)
        types.append(kind)
    return {"tokens": tokens, "token_type": np.array(types, dtype=np.int32)}


def byte_level(folder: Path, pre: str | None, **changes: Any) -> Metadata:
    """Byte-level BPE, from a folder with tokenizer.json."""
    stored = stored_of(folder)
    merges = [" ".join(one) if isinstance(one, list) else one for one in stored["model"]["merges"]]
    known = {"model": "gpt2", "pre": pre, **tokens_of(stored), "merges": merges}
    return known | changes


def sentencepiece(folder: Path, **changes: Any) -> Metadata:
    """SentencePiece's BPE with its merges, from a folder with tokenizer.json."""
    stored = stored_of(folder)
    metadata = tokens_of(stored)
    types = metadata["token_type"]
    for index, text in enumerate(metadata["tokens"]):
        if types[index] == NORMAL and text.startswith("<0x"):
            types[index] = BYTE
    unknown = metadata["tokens"].index("<unk>")
    types[unknown] = UNKNOWN
    merges = [" ".join(one) for one in stored["model"]["merges"]]
    known = {"model": "llama", "pre": "default", **metadata, "merges": merges}
    return known | {"unknown_token_id": unknown} | changes


def scored(metadata: Metadata) -> Metadata:
    """With scores in place of merges, as SentencePiece trains them: less for each later piece."""
    types = metadata["token_type"]
    scores = -np.cumsum(types == NORMAL).astype(np.float32)
    scores[types != NORMAL] = -1000
    scores[types == BYTE] = 0
    return metadata | {"merges": None, "scores": scores}


def unigram(folder: Path, **changes: Any) -> Metadata:
    """A unigram model, from a folder with tokenizer.json."""
    stored = stored_of(folder)
    texts = [text for text, _ in stored["model"]["vocab"]]
    types = [BYTE if text.startswith("<0x") else NORMAL for text in texts]
    types[0] = UNKNOWN
    types[1] = types[2] = CONTROL
    known = {
        "model": "t5",
        "tokens": texts,
        "scores": np.array([score for _, score in stored["model"]["vocab"]]),
        "token_type": np.array(types, dtype=np.int32),
        "unknown_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return known | changes


def merged_by_score(text: str, scores: dict[str, float]) -> list[str]:
    """SentencePiece's BPE, plainly: the adjacent pair whose piece has the highest score becomes one
    piece, of equal ones the leftmost, until there is none.
    """
    pieces = list(text)
    while True:
        pairs = [left + right for left, right in zip(pieces, pieces[1:])]  # noqa: B905
        known = [(scores[pair], -at) for at, pair in enumerate(pairs) if pair in scores]
        if not known:
            return pieces
        at = -max(known)[1]
        pieces[at : at + 2] = [pairs[at]]
