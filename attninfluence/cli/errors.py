"""An exception as the one sentence that a person reads."""

from __future__ import annotations

import errno
import os

from attninfluence.cli.console import printable

# What the system says in two words, and what to do about it.
_REMEDIES = {
    errno.ENOENT: "check the name",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name a place that can be written",
    errno.ENOTDIR: "check the name",
    errno.EISDIR: "name a file",
    errno.ENOSPC: "free some space, or name another place",
    errno.EDQUOT: "free some space, or name another place",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or name another place",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENAMETOOLONG: "name a shorter one",
}


def sentence(error: BaseException) -> str:
    """What went wrong and what to do, one line that cannot drive a terminal."""
    return printable(" ".join(_told(error).split()))


def _told(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError) and not error.filename and not _has_folder():
        return "the current folder was removed; change to one that is there"
    if isinstance(error, OSError) and error.strerror:
        named = f"{_name(error.filename)}: " if error.filename else ""
        remedy = _REMEDIES.get(error.errno or 0)
        return f"{named}{error.strerror}" + (f"; {remedy}" if remedy else "")
    if isinstance(error, MemoryError):
        told = str(error) or "not enough memory"
        return f"{told}; free some, or take fewer --threads"
    return str(error) or type(error).__name__


def _has_folder() -> bool:
    """Whether this process still has a current folder, which nobody names."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _name(filename: object) -> str:
    return filename.decode(errors="replace") if isinstance(filename, bytes) else str(filename)


def is_bug(error: BaseException) -> bool:
    """Whether nobody raised it on purpose: it is none of what the package and its libraries say."""
    if isinstance(error, (ValueError, OSError, MemoryError, ImportError)):
        return False
    return type(error).__module__.partition(".")[0] in ("builtins", "attninfluence")


def bug(error: BaseException) -> str:
    """What to say of an exception that nobody raised on purpose."""
    kind, text = type(error).__name__, sentence(error)
    told = kind if text == kind else f"{kind}: {text}"
    return (
        f"a bug in attninfluence ({told}); please report it, with the command and the traceback"
        " that --debug shows"
    )
