"""Where a tokenizer is: in the files of a model folder, or in a GGUF file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from attninfluence.base.gguf import is_gguf
from attninfluence.tokenizer.classes import AS_FILE
from attninfluence.tokenizer.files import class_of, extra_files, has_files, open_folder
from attninfluence.tokenizer.gguf import gguf_digest, has_gguf_tokenizer, open_gguf
from attninfluence.tokenizer.opened import Opened

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def open_source(path: str) -> Opened:
    """The tokenizer of a model folder or GGUF file; ModelError, saying what is missing or wrong."""
    return open_gguf(path) if is_gguf(path) else open_folder(path)


def has_tokenizer(path: str | os.PathLike[str]) -> bool:
    """Whether there is a tokenizer of a kind that is known here."""
    return has_gguf_tokenizer(path) if is_gguf(path) else has_files(path)


def digest_source(path: str) -> str:
    """SHA-256 over what decides the tokens, as 64 hexadecimal digits.

    That is the folder's tokenizer files, and the class that transformers opens them with where
    it does not take tokenizer.json as it stands; of a GGUF file, its tokenizer's fields.
    """
    if is_gguf(path):
        return gguf_digest(path)
    digest = hashlib.sha256()
    for name in (*_FILES, *extra_files(path)):
        file = Path(path, name)
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{name}:{len(content)}:".encode() + content)
    name = class_of(path)
    if name != AS_FILE:
        digest.update(f"class:{name}".encode())
    return digest.hexdigest()
