"""The kinds of files a corpus has, and how each is opened."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, cast

FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".jsonl.zst": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
    ".ndjson.zst": "jsonl",
    ".txt": "text",
    ".txt.gz": "text",
    ".txt.zst": "text",
}

# About how much text is held at once, unless one row has more.
BATCH_BYTES = 16 << 20


class CorpusError(ValueError):
    """A file of the corpus cannot be used; the message names it, `file` is its name."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason

    def __reduce__(self) -> tuple[type[CorpusError], tuple[str, str]]:
        return type(self), (self.file, self.reason)


def file_suffix(path: str) -> str | None:
    """The suffix of `path` that FORMATS lists, or None."""
    name = path.lower()
    return next((suffix for suffix in FORMATS if name.endswith(suffix)), None)


def file_format(path: str) -> str:
    """``"parquet"``, ``"jsonl"`` or ``"text"``; CorpusError for any other suffix."""
    suffix = file_suffix(path)
    if suffix is None:
        raise CorpusError(path, f"not a known kind of file; expected one of {', '.join(FORMATS)}")
    return FORMATS[suffix]


def is_url(path: str) -> bool:
    """True for what fsspec opens (``hf://...``), False for a path of this machine."""
    return "://" in path


def filesystem_of(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it; CorpusError where it knows of none."""
    from fsspec.core import url_to_fs

    try:
        filesystem, inner = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise CorpusError(url, f"fsspec cannot open it: {error}") from error
    return filesystem, inner


def open_binary(path: str, *, in_order: bool = True) -> BinaryIO:
    """Open a local path, or a URL through fsspec, for reading bytes as they are stored.

    in_order  the file is read from its first byte to its last; otherwise a remote one is asked for
              the bytes that are read and for none ahead of them
    """
    if not is_url(path):
        return open(path, "rb")
    filesystem, inner = filesystem_of(path)
    options: dict[str, Any] = {} if in_order else {"cache_type": "none"}
    return cast(BinaryIO, filesystem.open(inner, "rb", **options))


def file_size(path: str) -> int:
    """Bytes of `path` as stored."""
    if not is_url(path):
        return os.path.getsize(path)
    filesystem, inner = filesystem_of(path)
    return int(filesystem.size(inner))
