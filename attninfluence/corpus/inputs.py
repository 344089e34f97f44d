"""The files that the arguments of a command name."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from attninfluence.base.paths import expand_home
from attninfluence.corpus.files import (
    ArchiveError,
    CorpusError,
    RealPlaces,
    file_format,
    file_suffix,
    is_taken_from_folders,
    is_url,
    local_path,
    suffixes,
)
from attninfluence.corpus.listing import Entry, Listing, LocalListing, UrlListing, listing_of
from attninfluence.corpus.passed_over import (
    DATASETS_CACHE,
    HIDDEN,
    NOT_NAMED,
    OTHER_KIND,
    OWN_OUTPUT,
    SAME_FILE,
    WRITTEN,
    PassedOver,
)
from attninfluence.corpus.tree import RUN_NAME, Tree, is_visible, is_written, split_glob

# What `map` and `filter` of a dataset leave in its folder: rows that are there already.
_DATASETS_CACHE = re.compile(r"cache-[0-9a-f]+(_\d+_of_\d+)?\.arrow")


class InputFile(NamedTuple):
    """One file of a corpus.

    name      as the arguments name it: relative or absolute, or a URL
    size      bytes as stored; 0 for a URL that does not tell
    modified  nanoseconds since 1970; None for a URL that does not tell
    domain    by its path below the argument that names the file: of a folder ``domain=value`` the
              value; else the first folder, of ``key=value`` the value; the file's own name, without
              the suffix of its format, when there is none. Of a glob, what stands before the first
              component with ``*``, ``?`` or ``[`` counts as the argument.
    """

    name: str
    size: int
    modified: int | None
    domain: str


class FoundInputs(NamedTuple):
    """The files that the arguments name, in order, and what they reach that is not read.

    unlisted  folders and archives that cannot be listed, what in a folder is no regular file or has
              no valid name, and why: what they hold is not known
    """

    files: list[InputFile]
    passed_over: PassedOver
    unlisted: dict[str, str]


def find_inputs(
    patterns: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str] | None = None,
    skip_unlisted: bool = False,
) -> FoundInputs:
    """The files that files, folders, globs and fsspec URLs name, each once, in a fixed order.

    A file that is named twice, as relative and absolute for one, keeps the name it has first.

    The order is that of the arguments, and by name within a folder or a glob. From a folder or a
    glob come all files with a suffix of FORMATS. Passed over are names below the folder, or below
    the glob's first part, that begin with ``.`` or ``_``, and folders there that this package
    wrote. Linked folders are followed, and each real folder is read once. A local name stays
    relative or absolute as it was given. Of suffixes that metadata have as well (``.json``), files
    are read where an argument ends in the suffix.

    Args:
        patterns: the arguments; one alone is a list of one.
        output: the folder that the run writes, whose files are never its inputs.
        skip_unlisted: name folders and archives that cannot be listed, and what in a folder
            can be no input, and go on.

    Raises:
        FileNotFoundError: an argument names nothing that is read.
        CorpusError: a file of another kind is named, or a folder cannot be listed.
    """
    search = _Search(output, skip_unlisted)
    places = RealPlaces()
    files: dict[str, InputFile] = {}
    given = [patterns] if isinstance(patterns, str | os.PathLike) else patterns
    arguments = search.arguments([os.fspath(pattern) for pattern in given])
    for argument in search.without_outputs(arguments):
        for file in search.expand(argument):
            files.setdefault(places.of(file.name), file)
    for place in [place for place in files if _target(place) in files]:
        search.passed_over.add(SAME_FILE, files.pop(place).name)
    search.passed_over.forget(lambda name: places.of(name) in files)
    return FoundInputs(list(files.values()), search.passed_over, search.unlisted)


def _target(place: str) -> str | None:
    """The place that a link to a file leads to; None for what is no link."""
    if is_url(place) or not os.path.islink(local_path(place)):
        return None
    return os.fsencode(os.path.realpath(local_path(place))).decode("utf-8", "surrogateescape")


def path_domain(below: str) -> str:
    """The domain of the file `below`: its path below the argument, with ``/`` between names."""
    *folders, name = below.split("/")
    if not folders:
        return name[: len(name) - len(file_suffix(name) or "")]
    pairs = [folder.partition("=") for folder in folders]
    named = (unquote(value) for key, _, value in pairs if key == "domain" and value)
    key, _, value = pairs[0]
    return next(named, "") or unquote(value) or key


class _Argument(NamedTuple):
    """Where an argument leads: to a file, a folder, or as a glob to what `parts` match below one.

    entry: what is at `path`; None for a glob, and for what is not there
    """

    given: str
    listing: Listing
    path: str
    entry: Entry | None
    parts: tuple[str, ...]

    @property
    def is_file(self) -> bool:
        return self.entry is not None and not self.entry.is_folder

    @property
    def folder(self) -> str:
        """The folder itself, or that of the file."""
        return self.path.rpartition("/")[0] if self.is_file else self.path


def _argument(given: str) -> _Argument:
    if not given:
        raise FileNotFoundError("'': no file, folder, glob or URL; the current folder is '.'")
    pattern = given if is_url(given) else expand_home(given)
    listing, path = listing_of(pattern)
    entry = listing.named(path)
    if entry is not None:
        return _Argument(pattern, listing, path, entry, ())
    folder, parts = split_glob(path)
    if parts and pattern.endswith("/"):
        parts += ("**",)  # folders alone
    return _Argument(pattern, listing, folder, None, parts)


class _Search:
    """The files of one argument after another, and what is met on the way."""

    def __init__(self, output: str | os.PathLike[str] | None, skip_unlisted: bool) -> None:
        self.passed_over = PassedOver()
        self.unlisted: dict[str, str] = {}
        self._skip_unlisted = skip_unlisted
        self._written: dict[tuple[str, str], bool] = {}
        self._own: Hashable = None
        if output is not None and os.path.lexists(os.path.join(output, RUN_NAME)):
            self._own = LocalListing().key(os.fspath(output))

    def arguments(self, patterns: Iterable[str]) -> list[_Argument]:
        """Where each pattern leads; an archive that cannot be read is a folder not listed."""
        found = []
        for pattern in patterns:
            try:
                found.append(_argument(pattern))
            except ArchiveError as error:
                if not self._skip_unlisted:
                    raise
                self.unlisted[pattern] = error.reason
        return found

    def without_outputs(self, arguments: Sequence[_Argument]) -> list[_Argument]:
        """The arguments that do not name what this package wrote; all, when none is left.

        A shell expands its globs to names, among which outputs come as if they were asked for.
        """
        others = [one for one in arguments if not self._is_in_output(one)]
        for one in arguments if others else ():
            if one not in others:
                self.passed_over.add(OWN_OUTPUT if self._is_own(one) else WRITTEN, one.given)
        return others or list(arguments)

    def _is_in_output(self, argument: _Argument) -> bool:
        """Whether its folder is an output, or lies in one as those of a mix do."""
        listing, folder = argument.listing, argument.folder
        places = (folder, folder.rpartition("/")[0])
        return any(self._is_written(listing, place) for place in places)

    def _is_written(self, listing: Listing, folder: str) -> bool:
        key = listing.name(folder), folder
        if key not in self._written:
            self._written[key] = is_written(listing, folder)
        return self._written[key]

    def expand(self, argument: _Argument) -> list[InputFile]:
        """The files of one argument; FileNotFoundError when there is none."""
        unlisted = len(self.unlisted)
        files = self._one(argument) if argument.is_file else self._below(argument)
        if not files and len(self.unlisted) == unlisted:
            reasons = f" ({self.passed_over})" if self.passed_over else ""
            given = argument.given if argument.given.strip() else repr(argument.given)
            raise FileNotFoundError(
                f"{given}: no such file, and no folder or glob that holds any of"
                f" {suffixes()}{reasons}"
            )
        return files

    def _one(self, argument: _Argument) -> list[InputFile]:
        """The file that an argument names itself."""
        listing, path, entry = argument.listing, argument.path, argument.entry
        name = argument.given if isinstance(listing, UrlListing) else listing.name(path)
        if self._is_own(argument):
            self.passed_over.add(OWN_OUTPUT, name)
            return []
        return [_input_file(listing, path, name, path.rpartition("/")[2], entry)]

    def _is_own(self, argument: _Argument) -> bool:
        return self._own is not None and argument.listing.key(argument.folder) == self._own

    def _below(self, argument: _Argument) -> list[InputFile]:
        """What a folder holds, or a glob matches below it."""
        listing, root, parts = argument.listing, argument.path, argument.parts
        if argument.entry is None and not parts:
            return []
        if not parts or "**" in parts:
            listing.look_below(root)
        tree = Tree(listing, root, self.passed_over, self._no_listing, self._own)
        files = []
        for path, entry in sorted(tree.files(parts).items()):
            reason = _why_not(entry.name, parts)
            if reason is None:
                below = path[len(root) :].lstrip("/")
                files += self._input_file(listing, path, below, entry)
            elif reason:
                self.passed_over.add(reason, listing.name(path))
        return files

    def _input_file(self, listing: Listing, path: str, below: str, entry: Entry) -> list[InputFile]:
        """The file, unless it cannot be an input and is told of as a folder not listed is."""
        try:
            return [_input_file(listing, path, listing.name(path), below, entry)]
        except CorpusError as error:
            if not self._skip_unlisted:
                raise
            self.unlisted[error.file] = error.reason
            return []

    def _no_listing(self, folder: str, error: OSError) -> None:
        reason = f"the folder cannot be listed ({error.strerror or error})"
        if not self._skip_unlisted:
            raise CorpusError(folder, f"{reason}; what it holds would be missing") from error
        self.unlisted[folder] = reason


def _why_not(name: str, parts: tuple[str, ...]) -> str | None:
    """Why a file of the name that was found by a glob's parts is not read; "" need not be told."""
    suffix = file_suffix(name)
    if not is_visible(name):
        return HIDDEN if suffix else ""
    if suffix is None:
        return OTHER_KIND
    if _DATASETS_CACHE.fullmatch(name):
        return DATASETS_CACHE
    is_named = bool(parts) and parts[-1].lower().endswith(suffix)
    return None if is_named or is_taken_from_folders(name) else NOT_NAMED


def _input_file(
    listing: Listing, path: str, name: str, below: str, entry: Entry | None
) -> InputFile:
    """`below`: the path below the argument. CorpusError for what is no file of a known kind."""
    if name.startswith("file://") and "::" in name:
        raise CorpusError(name, "'::' parts the links of a URL; name the file without file://")
    file_format(name)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise CorpusError(repr(name), "the name is not valid UTF-8; rename the file") from None
    size, modified = listing.size_and_time(path, entry.info if entry else None)
    return InputFile(name, size, modified, path_domain(below))
