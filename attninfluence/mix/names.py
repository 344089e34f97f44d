"""Names of files as those who read a mix open them.

`datasets` takes a name for a pattern of fsspec: ``*``, ``?`` and ``[`` match, ``::`` parts a chain
of file systems, and ``$NAME`` is replaced by a variable of the environment. datatrove is given a
list with a file a line. So files that a mix writes get names without any of that, and names of
files that stay where they are are escaped, or refused before anything is written.
"""

from __future__ import annotations

import glob
import os
import re

from attninfluence.corpus.files import file_suffix, inner_path, is_url
from attninfluence.output.files import OutputError

LONGEST_NAME = 255  # bytes, of most file systems
_KEPT = re.compile(r"[A-Za-z0-9._+=,@-]")
_AS_READ = {".gzip": ".gz", ".zstd": ".zst"}  # what readers know a compression by
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)


def stored_name(index: int, path: str) -> str:
    """The name in a mix of the file `path`, the input's number `index`, with its suffix.

    ASCII letters, digits, ``._+=,@-`` and printable characters beyond ASCII stay, each other
    becomes ``_``; the name has at most LONGEST_NAME bytes.
    """
    name = inner_path(path).rsplit("/", 1)[-1]
    suffix = name[len(name) - len(file_suffix(name) or "") :]
    stem = "".join(map(_safe, name[: len(name) - len(suffix)]))
    for written, read in _AS_READ.items():
        if suffix.lower().endswith(written):
            suffix = suffix[: -len(written)] + read
    start = f"{index:05d}-"
    room = LONGEST_NAME - len(start) - len(suffix)
    return f"{start}{stem.encode()[:room].decode(errors='ignore')}{suffix}"


def _safe(character: str) -> str:
    is_kept = _KEPT.match(character) or (not character.isascii() and character.isprintable())
    return character if is_kept else "_"


def located(name: str, start: str) -> str:
    """Where the input `name` is now, if relative names start from the absolute folder `start`.

    In a chain it is the last link that may be a path of this machine; where no other link says that
    the chain is a URL, it says so itself.
    """
    *links, last = name.split("::") if is_url(name) else [name]
    last = last.removeprefix("file://")
    if not is_url(last):
        last = os.path.join(start, last)
        if links and not any(map(is_url, links)):
            last = f"file://{last}"
    return "::".join([*links, last])


def pattern(path: str) -> str:
    """The pattern of fsspec that matches just `path`; of a chain the inner path is one."""
    inner = inner_path(path)
    protocol, parts, rest = inner.rpartition("://")
    return path.replace(inner, protocol + parts + glob.escape(rest), 1)


def check_nameable(path: str) -> None:
    """OutputError for a file that no recipe can name: it is to be copied."""
    amiss = _amiss(path)
    if not amiss and is_url(path) and inner_path(path).startswith(("http://", "https://")):
        amiss = "'*' or '[', which cannot be escaped there" if re.search(r"[*\[]", path) else ""
    if amiss:
        raise OutputError(
            f"{path!r} has {amiss}; rename it, or mix without --recipe, which copies it under a"
            " name of its own"
        )


def check_folder(path: str | os.PathLike[str]) -> None:
    """OutputError for a folder below which the readers of a recipe find no file."""
    amiss = _amiss(os.path.abspath(path), is_folder=True)
    if amiss:
        raise OutputError(f"{os.path.abspath(path)!r} has {amiss}; name another folder")


def _amiss(path: str, *, is_folder: bool = False) -> str:
    """What in a path its readers would not take as it stands; "" if nothing."""
    links = path.split("::") if is_url(path) else [path]
    if any("::" in link for link in links):
        return "'::', which fsspec takes for a chain of file systems"
    if any(_VARIABLE.search(link) for link in links if not is_url(link)):
        return "a '$', which datasets takes for a variable of the environment"
    if not is_folder and re.search(r"[\r\n]", path):
        return "a line end, and datatrove reads a list of files by lines"
    return ""
