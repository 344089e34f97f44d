"""What a GGUF file says of the model in it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from attninfluence._core import read_gguf
from attninfluence.base.gguf import is_gguf

_MOST_SHOWN = 200  # characters of a name

Facts = dict[str, Any]


def read_metadata(path: str) -> Facts:
    """The metadata by their keys but for arrays, which are the tokenizer's in the main."""
    metadata = read_gguf(path)["metadata"]
    return {key: value for key, value in metadata.items() if isinstance(value, (int, float, str))}


def describe_file(path: str) -> Facts:
    """Of a GGUF file its names, how many values it keeps in each type, and its tokenizer's names.

    None in place of what the file does not say, and of all for a folder.
    """
    if not is_gguf(path):
        return {"gguf": None}
    read = read_gguf(path)
    said = read["metadata"]
    values: Counter[str] = Counter()
    for _, kind, shape in read["tensors"]:
        values[kind] += math.prod(shape)
    return {
        "gguf": {
            "name": _text(said.get("general.name")),
            "architecture": _text(said.get("general.architecture")),
            "files": len(read["files"]),
            "values": dict(values.most_common()),
            "tokenizer": _text(said.get("tokenizer.ggml.model")),
            "split": _text(said.get("tokenizer.ggml.pre")),
        }
    }


def _text(value: Any) -> str | None:
    return value[:_MOST_SHOWN] if isinstance(value, str) else None
