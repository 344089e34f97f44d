"""The files that the arguments of a command name."""

from __future__ import annotations

import glob
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

from attninfluence.corpus.files import (
    FORMATS,
    CorpusError,
    file_format,
    file_suffix,
    filesystem_of,
    is_url,
)

_MAGIC = re.compile(r"[*?\[]")
_MODIFIED = ("mtime", "LastModified", "last_modified", "created")


class InputFile(NamedTuple):
    """One file of a corpus.

    name      as the arguments name it: relative or absolute, or a URL
    size      bytes as stored; 0 for a URL that does not tell
    modified  nanoseconds since 1970; None for a URL that does not tell
    domain    by its path: the first folder below the argument that names the file (of a folder
              ``key=value`` the value); the file's own name, without the suffix of its format, when
              there is none. Of a glob, what stands before the first component with ``*``, ``?`` or
              ``[`` counts as the argument.
    """

    name: str
    size: int
    modified: int | None
    domain: str


def expand_inputs(patterns: Iterable[str]) -> list[InputFile]:
    """The files that files, folders, globs and fsspec URLs name, each once, in a fixed order.

    A file that is named twice, as relative and absolute for one, keeps the name it has first.

    The order is that of the arguments, and by name within a folder or a glob. From a folder or a
    glob come all files with a suffix of FORMATS, but for those of which a name below the folder, or
    below the glob's first part, begins with ``.`` or ``_``. Folders of scores and of selections
    below a folder are passed over. A local name stays relative or absolute as it was given. Raises
    FileNotFoundError for an argument that names nothing and CorpusError for a file of another kind.
    """
    files: dict[str, InputFile] = {}
    for pattern in patterns:
        for file in _expand_url(pattern) if is_url(pattern) else _expand_local(pattern):
            local = file.name.removeprefix("file://")
            files.setdefault(local if is_url(local) else os.path.abspath(local), file)
    return list(files.values())


def path_domain(below: str) -> str:
    """The domain of the file `below`: its path below the argument, with ``/`` between names."""
    folder, _, rest = below.partition("/")
    if not rest:
        return folder[: len(folder) - len(file_suffix(folder) or "")]
    key, _, value = folder.partition("=")
    return unquote(value) or key


def _check_name(path: str) -> None:
    file_format(path)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise CorpusError(repr(path), "the name is not valid UTF-8; rename the file") from None


def _glob_folder(pattern: str) -> str:
    """What stands before the first component of a glob that has magic characters in it."""
    magic = _MAGIC.search(pattern)
    head, slash, _ = pattern[: magic.start() if magic else None].rpartition("/")
    return head or slash


def _expand_local(pattern: str) -> list[InputFile]:
    if os.path.isfile(pattern):
        return [_local_file(pattern, os.path.dirname(pattern))]
    if os.path.isdir(pattern):
        folder, found = pattern, set(_walk(pattern))
    else:
        folder, found = _glob_folder(pattern), set()
        for match in glob.glob(pattern, recursive=True):
            found.update(_walk(match) if os.path.isdir(match) else [_normal(match)])
    files = [_local_file(path, folder) for path in sorted(found) if _wanted(_below(path, folder))]
    if not files:
        raise FileNotFoundError(
            f"{pattern or repr(pattern)}: no such file, and no folder or glob that holds any of"
            f" {', '.join(FORMATS)}"
        )
    return files


def _normal(path: str) -> str:
    return os.path.normpath(path).replace(os.sep, "/")


def _below(path: str, folder: str) -> str:
    return _normal(os.path.relpath(path, folder or "."))


def _local_file(path: str, folder: str) -> InputFile:
    name = _normal(path)
    _check_name(name)
    domain = path_domain(_below(path, folder))
    try:
        status = os.stat(path)
    except OSError:  # a link to nothing: reading it will say what is wrong
        return InputFile(name, 0, None, domain)
    if not stat.S_ISREG(status.st_mode):
        raise CorpusError(name, "not a regular file")
    return InputFile(name, status.st_size, status.st_mtime_ns, domain)


def _wanted(below: str) -> bool:
    return file_suffix(below) is not None and all(map(_visible, below.split("/")))


def _visible(name: str) -> bool:
    return not name.startswith((".", "_"))


def _walk(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _visible(name)]
        if parent == folder or not _is_output(parent):
            yield from (_normal(os.path.join(parent, name)) for name in names)


def _is_output(folder: str) -> bool:
    """Whether this package wrote scores or a selection there: tables, not documents."""
    try:
        with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:
            made = json.load(file)
    except (OSError, ValueError):
        return False
    kinds = ("attninfluence-scores", "attninfluence-selection")
    return isinstance(made, dict) and made.get("format") in kinds


def _expand_url(pattern: str) -> list[InputFile]:
    filesystem, inner = filesystem_of(pattern)
    if filesystem.isfile(inner):
        return [_url_file(pattern, filesystem.info(inner), inner.rsplit("/", 1)[-1])]
    inner = inner.rstrip("/")
    if filesystem.isdir(inner):
        folder, found = inner, filesystem.find(inner, detail=True)
    else:
        folder, found = _glob_folder(inner), _url_glob(filesystem, inner)
    files = [
        _url_file(filesystem.unstrip_protocol(path), info, below)
        for path, info in sorted(found.items())
        if _wanted(below := path[len(folder) :].strip("/"))
    ]
    if not files:
        raise FileNotFoundError(f"{pattern}: names no file of the kinds {', '.join(FORMATS)}")
    return files


def _url_glob(filesystem: Any, inner: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path, info in filesystem.glob(inner, detail=True).items():
        if info["type"] == "directory":
            found |= filesystem.find(path, detail=True)
        else:
            found[path] = info
    return found


def _url_file(name: str, info: dict[str, Any], below: str) -> InputFile:
    _check_name(name)
    return InputFile(name, int(info.get("size") or 0), _modified(info), path_domain(below))


def _modified(info: dict[str, Any]) -> int | None:
    """What a file system tells of the time of the last change, in nanoseconds."""
    value = next((info[key] for key in _MODIFIED if info.get(key) is not None), None)
    if isinstance(value, datetime):
        value = value.timestamp()
    return round(value * 1e9) if isinstance(value, (int, float)) else None
