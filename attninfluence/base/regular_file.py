"""A file that somebody else may have put there: read to a stated size, or written in place."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO


class UnreadableFileError(ValueError):
    """A file is not to be read; the message says why and does not name it."""


def read_regular_file(path: str | bytes | os.PathLike[str], most_bytes: int) -> bytes:
    """The bytes of a regular file of at most `most_bytes`, links followed.

    Raises UnreadableFileError for a larger one and for what is no regular file, at once: a FIFO
    would be waited for, a device may never end. OSError as `open` does.
    """
    data = bytearray()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | _WITHOUT_WAITING)
    try:
        check_is_regular(descriptor)
        while len(data) <= most_bytes and (piece := os.read(descriptor, _PIECE)):
            data += piece
    finally:
        os.close(descriptor)
    if len(data) > most_bytes:
        raise UnreadableFileError(f"is larger than {most_bytes >> 20} MiB")
    return bytes(data)


def open_regular_file(path: str | bytes | os.PathLike[str]) -> BinaryIO:
    """A regular file opened to be read, links followed; raises as `read_regular_file` does."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _WITHOUT_WAITING))  # noqa: SIM115 - who asked closes it
    try:
        check_is_regular(file.fileno())
    except BaseException:
        file.close()
        raise
    return file


def open_in_place(path: str | os.PathLike[str], flags: int, mode: int) -> int:
    """A descriptor of a file that is written under its final name, made where `flags` say so.

    Raises UnreadableFileError, with nothing changed, for a link, which may lead to any file, for a
    file that has other names, and for what is no regular file. OSError as `os.open` does.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | _WITHOUT_WAITING, mode)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise _not_regular(os.lstat(path).st_mode) from None
    try:
        check_is_regular(descriptor)
        if (names := os.fstat(descriptor).st_nlink) > 1:
            raise UnreadableFileError(f"expected a file of one name, found one of {names}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_is_regular(descriptor: int) -> None:
    """UnreadableFileError, naming what it is, when an open file is no regular one."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise _not_regular(mode)


def _not_regular(mode: int) -> UnreadableFileError:
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    return UnreadableFileError(f"expected a regular file, found {kind}")


_PIECE = 1 << 18  # read(n) takes n bytes of memory, however small the file is
_WITHOUT_WAITING = os.O_NONBLOCK | os.O_NOCTTY  # for the other end of a FIFO
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)  # a link, a socket, a folder
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
