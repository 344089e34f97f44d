"""Folders and files by their paths, on this machine and behind a URL."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from attninfluence.base.regular_file import UnreadableFileError, read_regular_file
from attninfluence.corpus.files import CorpusError, filesystem_of, is_url, local_path

_MODIFIED = ("mtime", "LastModified", "last_modified", "created")
_FILE_SCHEMES = ("file://", "local://")


class Entry(NamedTuple):
    """A name in a folder. info: what a file system behind a URL tells of it."""

    name: str
    is_folder: bool
    is_link: bool = False
    info: Any = None


class Listing(Protocol):
    """Where files are looked for; paths have ``/`` between names."""

    def entries(self, folder: str) -> list[Entry]:
        """What `folder` holds, by name; OSError where it cannot be listed."""

    def entry(self, path: str) -> Entry | None:
        """What is at `path`, if there is anything."""

    def named(self, path: str) -> Entry | None:
        """As `entry`, of an argument, which may be a glob."""

    def look_below(self, folder: str) -> None:
        """Expect that all folders below `folder` will be asked for."""

    def key(self, folder: str) -> Hashable:
        """The same for all paths of one folder."""

    def leads_up(self, link: str) -> bool:
        """Whether a linked folder is one of those that hold the link."""

    def read(self, path: str, most_bytes: int) -> bytes:
        """The bytes of a regular file of at most so many; OSError where there is none."""

    def name(self, path: str) -> str:
        """What the user calls `path`."""

    def size_and_time(self, path: str, info: Any) -> tuple[int, int | None]:
        """Bytes as stored, and nanoseconds since 1970 of the last change; 0 and None: not told."""


def listing_of(pattern: str) -> tuple[Listing, str]:
    """Where an argument is looked for, and its path there."""
    if not is_url(pattern):
        return LocalListing(), _normal(_as_utf8(pattern))
    if pattern.startswith(_FILE_SCHEMES) and "::" not in pattern:
        return LocalListing("file://"), _normal(_as_utf8(filesystem_of(pattern)[1]))
    return UrlListing.of(pattern)


class LocalListing:
    """The folders of this machine; names are UTF-8, whatever the locale.

    scheme: what names begin with
    """

    def __init__(self, scheme: str = "") -> None:
        self._scheme = scheme

    def entries(self, folder: str) -> list[Entry]:
        place: Any = local_path(folder or ".")
        with os.scandir(place) as found:
            return sorted(
                Entry(_as_utf8(entry.name), _is_folder(entry), entry.is_symlink())
                for entry in found
            )

    def entry(self, path: str) -> Entry | None:
        place = local_path(path or ".")
        if not os.path.lexists(place):
            return None
        return Entry(posixpath.basename(path), os.path.isdir(place), os.path.islink(place))

    def named(self, path: str) -> Entry | None:
        return self.entry(path)

    def look_below(self, folder: str) -> None:
        pass

    def key(self, folder: str) -> Hashable:
        status = os.stat(local_path(folder or "."))
        return status.st_dev, status.st_ino

    def leads_up(self, link: str) -> bool:
        place: Any = os.path.realpath(local_path(posixpath.dirname(link) or "."))
        target: Any = os.path.realpath(local_path(link))
        return bool(os.path.commonpath([place, target]) == target)

    def read(self, path: str, most_bytes: int) -> bytes:
        try:
            return read_regular_file(local_path(path), most_bytes)
        except UnreadableFileError as error:
            raise OSError(str(error)) from None

    def name(self, path: str) -> str:
        return f"{self._scheme}{path}"

    def size_and_time(self, path: str, info: Any) -> tuple[int, int | None]:
        """CorpusError for what is no regular file; a link to nothing is left to who reads it."""
        try:
            status = os.stat(local_path(path))
        except OSError:
            return 0, None
        if not stat.S_ISREG(status.st_mode):
            raise CorpusError(self.name(path), "not a regular file")
        return status.st_size, status.st_mtime_ns


class UrlListing:
    """The folders of an fsspec file system.

    before, after: the other links of a chained URL, ``simplecache::`` and ``::c.zip`` for some
    """

    def __init__(self, filesystem: Any, before: str, after: str) -> None:
        self._filesystem = filesystem
        self._before = before
        self._after = after
        self._known: dict[str, dict[str, Entry]] = {}

    @classmethod
    def of(cls, url: str) -> tuple[UrlListing, str]:
        """The file system of a URL, and the path in it."""
        filesystem, path = filesystem_of(url)
        links = url.split("::")
        first = next(at for at, link in enumerate(links) if "://" in link)
        before = "".join(f"{link}::" for link in links[:first])
        after = "".join(f"::{link}" for link in links[first + 1 :])
        return cls(filesystem, before, after), path.rstrip("/")

    def look_below(self, folder: str) -> None:
        """Ask once for all of it, where the file system can tell."""
        if _tells_all(self._filesystem):
            found = _by_folder(self._filesystem.find(folder, detail=True))
            self._known = found if folder in found else {}

    def entries(self, folder: str) -> list[Entry]:
        if folder in self._known:
            return sorted(self._known[folder].values(), key=lambda entry: entry.name)
        infos = self._filesystem.ls(folder, detail=True)
        entries = [_entry(info) for info in infos if info["name"].rstrip("/") != folder]
        return sorted(entries, key=lambda entry: entry.name)

    def entry(self, path: str) -> Entry | None:
        try:
            return _entry(self._filesystem.info(path))
        except FileNotFoundError:
            return None

    def named(self, path: str) -> Entry | None:
        if self._filesystem.isfile(path):
            return _entry(self._filesystem.info(path))
        return Entry("", True) if self._filesystem.isdir(path) else None

    def key(self, folder: str) -> Hashable:
        return folder

    def leads_up(self, link: str) -> bool:
        return False

    def read(self, path: str, most_bytes: int) -> bytes:
        try:
            if int(self._filesystem.info(path).get("size") or 0) > most_bytes:
                raise OSError(f"is larger than {most_bytes} bytes")
            return bytes(self._filesystem.cat_file(path))
        except Exception as error:  # those of a network are the file system's own
            raise OSError(str(error)) from error

    def name(self, path: str) -> str:
        return f"{self._before}{self._filesystem.unstrip_protocol(path)}{self._after}"

    def size_and_time(self, path: str, info: Any) -> tuple[int, int | None]:
        value = next((info[key] for key in _MODIFIED if info.get(key) is not None), None)
        if isinstance(value, datetime):
            value = value.timestamp()
        modified = round(value * 1e9) if isinstance(value, (int, float)) else None
        return int(info.get("size") or 0), modified


def _as_utf8(name: str | bytes) -> str:
    """A name of the system with its bytes read as UTF-8, which the locale may not do."""
    try:
        return os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # it does not come from the system
        return str(name)


def _is_folder(entry: os.DirEntry[Any]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere, for one in a circle
        return False


def _normal(path: str) -> str:
    """The path without ``.`` and empty names, and without ``..`` that follow no linked folder."""
    normal = posixpath.normpath(path) if path else ""
    if ".." in path.split("/") and not _is_same(path, normal):
        root = "/" if path.startswith("/") else ""
        normal = root + "/".join(name for name in path.split("/") if name not in ("", "."))
    return "" if normal == "." else normal


def _is_same(path: str, other: str) -> bool:
    first: Any = os.path.realpath(local_path(path))
    second: Any = os.path.realpath(local_path(other))
    return bool(first == second)


def _entry(info: Mapping[str, Any]) -> Entry:
    path = str(info["name"]).rstrip("/")
    return Entry(path.rpartition("/")[2], info["type"] == "directory", info=info)


def _tells_all(filesystem: Any) -> bool:
    """Whether `find` asks for more than one folder at once."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    kind = type(filesystem)
    if isinstance(filesystem, AsyncFileSystem):
        return kind._find is not AsyncFileSystem._find
    return kind.find is not AbstractFileSystem.find


def _by_folder(found: Mapping[str, Any]) -> dict[str, dict[str, Entry]]:
    """The folders that the paths of files imply, each with its entries by name."""
    folders: dict[str, dict[str, Entry]] = {}
    for path, info in found.items():
        folder, _, name = path.rpartition("/")
        is_new = folder not in folders
        folders.setdefault(folder, {})[name] = Entry(name, False, info=info)
        while folder and is_new:
            parent, _, name = folder.rpartition("/")
            is_new = parent not in folders
            folders.setdefault(parent, {})[name] = Entry(name, True)
            folder = parent
    return folders
