"""The files that arguments name, and how each is opened."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".jsonl.zst": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
    ".ndjson.zst": "jsonl",
}


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
    """``"parquet"`` or ``"jsonl"``; CorpusError for any other suffix."""
    suffix = file_suffix(path)
    if suffix is None:
        raise CorpusError(path, f"not a known kind of file; expected one of {', '.join(FORMATS)}")
    return FORMATS[suffix]


def is_url(path: str) -> bool:
    """True for what fsspec opens (``hf://...``), False for a path of this machine."""
    return "://" in path


def open_binary(path: str) -> BinaryIO:
    """Open a local path, or a URL through fsspec, for reading bytes as they are stored."""
    if not is_url(path):
        return open(path, "rb")
    import fsspec

    return cast(BinaryIO, fsspec.open(path, "rb").open())


def file_size(path: str) -> int:
    """Bytes of `path` as stored."""
    if not is_url(path):
        return os.path.getsize(path)
    from fsspec.core import url_to_fs

    filesystem, inner = url_to_fs(path)
    return int(filesystem.size(inner))


def expand_inputs(patterns: Iterable[str]) -> list[str]:
    """The files that files, folders, globs and fsspec URLs name, each once, in a fixed order.

    The order is that of the arguments, and by name within a folder or a glob. From a folder come
    all files below it with a suffix of FORMATS, but for names that begin with ``.`` or ``_``. A
    local name stays relative or absolute as it was given. Raises FileNotFoundError for an argument
    that names nothing and CorpusError for a file of another kind.
    """
    files: dict[str, None] = {}
    for pattern in patterns:
        for path in _expand_url(pattern) if is_url(pattern) else _expand_local(pattern):
            file_format(path)
            _check_name(path)
            files[path] = None
    return list(files)


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise CorpusError(repr(path), "the name is not valid UTF-8; rename the file") from None


def _expand_local(pattern: str) -> list[str]:
    if os.path.isfile(pattern):
        return [_normal(pattern)]
    if os.path.isdir(pattern):
        found = sorted(_walk(pattern))
    else:
        found = []
        for match in sorted(glob.glob(pattern, recursive=True)):
            found += sorted(_walk(match)) if os.path.isdir(match) else [_normal(match)]
    if not found:
        raise FileNotFoundError(
            f"{pattern}: no such file, and no folder or glob that holds any of {', '.join(FORMATS)}"
        )
    return found


def _normal(path: str) -> str:
    return os.path.normpath(path).replace(os.sep, "/")


def _visible(name: str) -> bool:
    return not name.startswith((".", "_"))


def _walk(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _visible(name)]
        for name in names:
            if _visible(name) and file_suffix(name):
                yield _normal(os.path.join(parent, name))


def _expand_url(pattern: str) -> list[str]:
    from fsspec.core import url_to_fs

    filesystem, inner = url_to_fs(pattern)
    if filesystem.isfile(inner):
        return [pattern]
    inner = inner.rstrip("/")
    matches = filesystem.find(inner) if filesystem.isdir(inner) else filesystem.glob(inner)
    hidden_from = len(inner) if filesystem.isdir(inner) else 0
    found = [
        filesystem.unstrip_protocol(path)
        for path in sorted(matches)
        if file_suffix(path) and all(map(_visible, path[hidden_from:].strip("/").split("/")))
    ]
    if not found:
        raise FileNotFoundError(f"{pattern}: names no file of the kinds {', '.join(FORMATS)}")
    return found
