"""Where the input files of a mix may be read.

A selection says where its input files are, and may come from somebody else. So they are read only
where the user pointed: below the current folder, below the folder that holds the selection or the
mix, or below a root. Names decide, and links within such a folder are followed as scoring does.
Of a chained URL this holds for the last link, which archives and caches before it read, and for
every link that is neither: what such a one reads need not be what comes after it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from attninfluence.base.paths import expand_home
from attninfluence.corpus.files import is_url, local_path
from attninfluence.mix.names import located
from attninfluence.output.files import OutputError

Root = str | os.PathLike[str]

# The file systems that read nothing but the next link of a chain.
_OF_THE_NEXT = frozenset(("zip", "tar", "libarchive", "simplecache", "filecache", "blockcache"))


class Places:
    """The folders below which files are read.

    named  the selection and the mix, as the user names them
    roots  folders, from which relative names start where their file is there, and beginnings of
           URLs
    """

    def __init__(self, named: Sequence[Root], roots: Root | Sequence[Root] | None) -> None:
        given = [roots] if isinstance(roots, str | os.PathLike) else roots or []
        self._urls = [_ended(str(root)) for root in given if is_url(str(root))]
        folders = [os.path.abspath(expand_home(root)) for root in given if not is_url(str(root))]
        self._starts = folders
        beside = {os.path.dirname(os.path.abspath(expand_home(path))) for path in named} - {"/"}
        self._folders = [_ended(folder) for folder in (*folders, os.getcwd(), *sorted(beside))]

    def of(self, name: str, folder: str) -> str:
        """Where the input `name` is, which was read from the absolute `folder` when it was scored.

        OutputError for a place that the user did not point to.
        """
        starts = [*self._starts, os.path.abspath(folder)]
        paths = [located(name, start) for start in starts]
        at = next((at for at, path in enumerate(paths) if _is_there(path)), 0)
        path = paths[at]
        *links, last = path.split("::") if is_url(path) else [path]
        last = last.removeprefix("file://")
        starts_there = located(name, "") != path and ".." not in name.split("/")
        root = starts[at] if starts_there else _parent(last)
        outside = [] if self._holds(last) else [root]
        outside += [_parent(_as_url(link)) for link in links if not self._holds_link(link)]
        if outside:
            raise OutputError(
                f"{path}: the selection reads its input there, outside of the current folder and of"
                " those that hold SELECTED and MIX; if that is to be read, say"
                f" {' '.join(f'--root {one}' for one in outside)}"
            )
        return path

    def _holds(self, path: str) -> bool:
        if is_url(path):
            return ".." not in path.split("/") and path.startswith(tuple(self._urls))
        return os.path.normpath(path).startswith(tuple(self._folders))

    def _holds_link(self, link: str) -> bool:
        """Whether a link of a chain, which another one follows, is to be read."""
        return link.partition("://")[0] in _OF_THE_NEXT or self._holds(_as_url(link))


def _is_there(path: str) -> bool:
    """Whether this machine has the file, or the archive that it lies in."""
    last = (path.split("::")[-1] if is_url(path) else path).removeprefix("file://")
    return not is_url(last) and os.path.lexists(local_path(last))


def _ended(root: str) -> str:
    return root if root.endswith("/") else f"{root}/"


def _as_url(link: str) -> str:
    """A link of a chain, which need not have more than the name of its file system."""
    return link if is_url(link) else f"{link}://"


def _parent(path: str) -> str:
    """The folder of a file, here or behind a URL."""
    protocol, parts, rest = path.partition("://")
    if parts:
        return f"{protocol}://{rest.rpartition('/')[0]}"
    return os.path.dirname(os.path.normpath(path))
