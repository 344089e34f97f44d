"""The files of a model that decide a loss, their digest and their stamps."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from attninfluence._core import ModelError
from attninfluence.base.gguf import is_gguf, parts_of
from attninfluence.base.regular_file import UnreadableFileError, open_regular_file
from attninfluence.tokenizer.files import extra_files

# Beside files that only some tokenizers are read from. heads.json is a result, not part of
# the model.
_DECIDING = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)

Stamps = dict[str, tuple[int, int]]


def stamp_files(path: str) -> Stamps:
    """(size, modification time in ns) of each file of the digest, by name."""
    stats = {file.name: file.stat() for file in _deciding_files(path)}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def digest_stamps(stamps: Stamps) -> str:
    """SHA-256 of stamps, as 64 hexadecimal digits."""
    return hashlib.sha256(repr(sorted(stamps.items())).encode()).hexdigest()


def digest_files(path: str) -> str:
    """SHA-256 over the files of a model, as 64 hexadecimal digits.

    Over names and contents in a folder; of a GGUF model over the contents of its files, which get
    other names. ModelError for what is no regular file: a FIFO would be waited for, a device may
    never end.
    """
    digest = hashlib.sha256()
    named = not is_gguf(path)
    for file_path in _deciding_files(path):
        try:
            file = open_regular_file(file_path)
        except UnreadableFileError as error:
            raise ModelError(f"{file_path}: {error}") from None
        with file:
            name = file_path.name if named else "gguf"
            digest.update(f"{name}:{os.fstat(file.fileno()).st_size}:".encode())
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _deciding_files(path: str) -> list[Path]:
    if is_gguf(path):
        return parts_of(path)
    os.scandir(path).close()  # raises for a folder that cannot be listed, where glob finds nothing
    patterns = (*_DECIDING, *extra_files(path))
    return sorted({file for pattern in patterns for file in Path(path).glob(pattern)})
