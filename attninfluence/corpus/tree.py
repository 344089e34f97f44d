"""The files below a folder, all of them or those that a glob matches."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Hashable, Sequence

from attninfluence.base.json_values import MOST_OWN_BYTES, JSONError, parse_json_object
from attninfluence.corpus.listing import Entry, Listing
from attninfluence.corpus.passed_over import (
    LEADS_UP,
    OWN_OUTPUT,
    READ_ALREADY,
    WRITTEN,
    PassedOver,
)

RUN_NAME = "run.json"
_OUTPUT = re.compile("attninfluence-(scores|selection|mix)")
_LIST = re.compile(r"(corpus|selected)-[a-z]+\.txt")  # what datatrove's readers are given
_MAGIC = re.compile(r"[*?\[]")

_Parts = tuple[str, ...]
# Since a folder that matches stands for all files below it.
_EVERYTHING = (("*",), ("**",), ("**", "*"))


def split_glob(pattern: str) -> tuple[str, _Parts]:
    """What stands before the first component with ``*``, ``?`` or ``[``, and the components."""
    magic = _MAGIC.search(pattern)
    head, slash, rest = pattern[: magic.start()].rpartition("/") if magic else (pattern, "", "")
    rest += pattern[magic.start() :] if magic else ""
    parts: list[str] = []
    for part in rest.split("/"):
        if part and (part, parts[-1:]) != ("**", ["**"]):
            parts.append(part)
    return head or slash, tuple(parts)


def is_visible(name: str) -> bool:
    return not name.startswith((".", "_"))


class Tree:
    """Reads folders from `root` on.

    Linked folders are followed, but for links to a folder that they lie in. A folder that has
    several names, as links make them, is read by one of them, rather one without links. So there
    are no loops. Folders below the root that this package wrote are passed over, and so is `own`,
    the key of the run's own output, anywhere.

    on_unlisted: told of a folder that cannot be listed
    """

    def __init__(
        self,
        listing: Listing,
        root: str,
        passed_over: PassedOver,
        on_unlisted: Callable[[str, OSError], None],
        own: Hashable = None,
    ) -> None:
        self._listing = listing
        self._root = root
        self._passed_over = passed_over
        self._on_unlisted = on_unlisted
        self._own = own
        self._files: dict[str, Entry] = {}
        self._waiting: list[tuple[str, _Parts]] = []
        self._linked: list[tuple[str, _Parts]] = []
        self._read: dict[tuple[Hashable, _Parts], str] = {}

    def files(self, parts: _Parts = ()) -> dict[str, Entry]:
        """By path, whatever the components `parts` of a glob match; without any, every file.

        What matches and is a folder stands for all files below it.
        """
        self._wait(self._root, parts, self._waiting)
        while self._waiting or self._linked:
            if not self._waiting:
                self._linked.sort(reverse=True)
                self._waiting.append(self._linked.pop())
            self._visit(*self._waiting.pop())
        return self._files

    def _visit(self, folder: str, parts: _Parts) -> None:
        try:
            if not self._is_read_first(folder, parts):
                return
            entries = self._entries(folder, parts)
            if self._is_output(folder, entries):
                return
            entries = self._without_lists(folder, entries)
        except OSError as error:
            if folder != self._root or not isinstance(error, FileNotFoundError):
                self._on_unlisted(self._listing.name(folder) or ".", error)
            return
        entries = [entry for entry in entries if is_visible(entry.name) or not entry.is_folder]
        if not parts or parts[0] == "**":
            self._take(folder, parts, [e for e in entries if e.is_folder or len(parts) < 2])
        if parts[:1] == ("**",):
            parts = parts[1:]
        if parts:
            matching = [e for e in entries if fnmatch.fnmatchcase(e.name, parts[0])]
            self._take(folder, parts[1:], matching)

    def _entries(self, folder: str, parts: _Parts) -> list[Entry]:
        """What matters of the folder: where one name is looked for, it need not be listed."""
        if not parts or _MAGIC.search(parts[0]):
            return self._listing.entries(folder)
        looked_for = (self._listing.entry(join(folder, name)) for name in (RUN_NAME, parts[0]))
        return [entry for entry in looked_for if entry is not None]

    def _take(self, folder: str, parts: _Parts, entries: Sequence[Entry]) -> None:
        """Folders wait for what is left of the glob; files are found where nothing is."""
        for entry in entries:
            path = join(folder, entry.name)
            if entry.is_link and entry.is_folder and self._listing.leads_up(path):
                self._passed_over.add(LEADS_UP, self._listing.name(path))
            elif entry.is_folder:
                self._wait(path, parts, self._linked if entry.is_link else self._waiting)
            elif not parts or parts == ("**",):
                self._files[path] = entry

    def _wait(self, folder: str, parts: _Parts, line: list[tuple[str, _Parts]]) -> None:
        line.append((folder, () if parts in _EVERYTHING else parts))

    def _is_read_first(self, folder: str, parts: _Parts) -> bool:
        """False for a folder that was read for the same parts; told where by another name."""
        key = self._listing.key(folder), parts
        if key not in self._read:
            self._read[key] = folder
            return True
        if self._read[key] != folder:
            self._passed_over.add(READ_ALREADY, self._listing.name(folder))
        return False

    def _is_output(self, folder: str, entries: Sequence[Entry]) -> bool:
        if self._own is not None and self._listing.key(folder) == self._own:
            self._passed_over.add(OWN_OUTPUT, self._listing.name(folder) or ".")
            return True
        has_run = any(entry.name == RUN_NAME for entry in entries)
        if folder != self._root and has_run and is_written(self._listing, folder):
            self._passed_over.add(WRITTEN, self._listing.name(folder))
            return True
        return False

    def _without_lists(self, folder: str, entries: list[Entry]) -> list[Entry]:
        """Of a mix that is read itself, the lists of its files are no documents."""
        lists = [entry for entry in entries if _LIST.fullmatch(entry.name)]
        if not lists or not is_written(self._listing, folder):
            return entries
        for entry in lists:
            self._passed_over.add(WRITTEN, self._listing.name(join(folder, entry.name)))
        return [entry for entry in entries if entry not in lists]


def is_written(listing: Listing, folder: str) -> bool:
    """Whether this package wrote scores, a selection or a mix there, finished or not."""
    try:
        made = parse_json_object(listing.read(join(folder, RUN_NAME), MOST_OWN_BYTES))
    except (OSError, JSONError):
        return False
    return bool(_OUTPUT.fullmatch(str(made.get("format"))))


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`, which is none for the working folder."""
    return f"{folder}{name}" if not folder or folder.endswith("/") else f"{folder}/{name}"
