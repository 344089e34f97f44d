"""The files of a model folder that decide a loss, their digest and their stamps."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from attninfluence._core import ModelError
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


def stamp_files(folder: str) -> Stamps:
    """(size, modification time in ns) of each file of the digest, by name."""
    stats = {path.name: path.stat() for path in _deciding_files(folder)}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def digest_stamps(stamps: Stamps) -> str:
    """SHA-256 of stamps, as 64 hexadecimal digits."""
    return hashlib.sha256(repr(sorted(stamps.items())).encode()).hexdigest()


def digest_files(folder: str) -> str:
    """SHA-256 over names and contents, as 64 hexadecimal digits.

    ModelError for what is no regular file: a FIFO would be waited for, a device may never end.
    """
    digest = hashlib.sha256()
    for path in _deciding_files(folder):
        try:
            file = open_regular_file(path)
        except UnreadableFileError as error:
            raise ModelError(f"{path}: {error}") from None
        with file:
            digest.update(f"{path.name}:{os.fstat(file.fileno()).st_size}:".encode())
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _deciding_files(folder: str) -> list[Path]:
    os.scandir(
        folder
    ).close()  # raises for a folder that cannot be listed, where glob finds nothing
    patterns = (*_DECIDING, *extra_files(folder))
    return sorted({path for pattern in patterns for path in Path(folder).glob(pattern)})
