"""A file that gets its name when it is finished, whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from attninfluence.base.paths import expand_home

NAME_CHARACTERS = 40  # of the file's name in that of its new one: names have at most 255 bytes
SYNCS = 8  # files synced at the same time: a disk writes what waits together in one go


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file beside `path` to write to, which takes its name, durably, when the block ends.

    A block that fails leaves what was there before. A link stays one: its file is replaced. What is
    no regular file, as /dev/stdout, is itself written to. `path` may begin with ~. OSError names
    it.
    """
    path = expand_home(path)
    check_replaceable(path)
    final = Path(os.path.realpath(path))
    if final.exists() and not final.is_file():
        yield final
        return
    with whole_file(final, path) as temporary:
        yield temporary


@contextmanager
def whole_file(final: Path, called: str | os.PathLike[str]) -> Iterator[Path]:
    """As `replacing`, but a link of the name is itself replaced; OSError names what is `called`."""
    temporary = beside(final)
    try:
        make_new(temporary)
        try:
            yield temporary
            give_name(temporary, final)
        finally:
            with suppress(OSError):  # a read-only file system refuses even what is not there
                temporary.unlink()
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        # The system's words: those of Arrow tell of the temporary file.
        raise OSError(error.errno, os.strerror(error.errno), os.fspath(called)) from error


def beside(final: Path) -> Path:
    """A name in the same folder, for a file that is to have the name `final`: see `make_new`."""
    return final.with_name(f".{final.name[:NAME_CHARACTERS]}.{secrets.token_hex(8)}.tmp")


def make_new(temporary: Path) -> None:
    """Make an empty file; FileExistsError where anything has the name, a link that leads nowhere
    included, so that what is written to it is written nowhere else.
    """
    open(temporary, "xb").close()


def give_name(temporary: Path, final: Path) -> None:
    """Give a finished file its final name, durably."""
    sync(temporary)
    os.replace(temporary, final)
    sync(final.parent)


def give_names(finals: Mapping[Path, Path]) -> None:
    """Give finished files, the keys, their final names, durably: as `give_name`, for far less each.

    Their contents are on disk before the first is named; each folder is synced once.
    """
    with ThreadPoolExecutor(SYNCS) as pool:
        for _ in pool.map(sync, finals):
            pass
    for temporary, final in finals.items():
        os.replace(temporary, final)
    for folder in dict.fromkeys(final.parent for final in finals.values()):
        sync(folder)


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """OSError, naming `path`, for a folder and for a file in a folder that is not there."""
    final = Path(os.path.realpath(expand_home(path)))
    if final.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not final.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system name the file it is about."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync(path: Path) -> None:
    """Make a file or a folder's list of names last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
