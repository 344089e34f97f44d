"""A file that somebody else may have put there, read to a stated size."""

from __future__ import annotations

import os
import stat


class UnreadableFileError(ValueError):
    """A file is not to be read; the message says why and does not name it."""


def read_regular_file(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The bytes of a regular file of at most `most_bytes`, links followed.

    Raises UnreadableFileError for a larger one and for what is no regular file, at once: a FIFO
    would be waited for, a device may never end. OSError as `open` does.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        check_is_regular(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > most_bytes:
        raise UnreadableFileError(f"is larger than {most_bytes >> 20} MiB")
    return data


def check_is_regular(descriptor: int) -> None:
    """UnreadableFileError, naming what it is, when an open file is no regular one."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise UnreadableFileError(f"expected a regular file, found {kind}")


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
