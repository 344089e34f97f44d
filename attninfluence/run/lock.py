"""One run at a time in an output folder.

    with RunLock("scores"):
        ...   # nobody else, on this machine or on another that shares the folder

The lock is the system's (`flock`), so a killed run lets go of it whatever happens; the file
`.lock` only says who holds it. Where the file system has no locks, the file decides: it is
taken over when it names a process of this machine that is gone, and otherwise refused. A `.lock`
that is anything but a file of that one name is refused, and stays as it is.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any

from attninfluence.base.json_values import JSONError, parse_json_object
from attninfluence.base.regular_file import UnreadableFileError, open_in_place

LOCK_NAME = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class LockedError(ValueError):
    """The folder is in use by another run, or cannot be locked; the message says whose, or why."""


class UnlockableError(LockedError):
    """The folder has a `.lock` that no run made."""


class RunLock:
    """The lock of one folder, which must exist. Use it in a `with` statement.

    LockedError, at once, while another process holds it; OSError when the lock file cannot
    be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder, LOCK_NAME)
        self._descriptor = -1

    def __enter__(self) -> RunLock:
        while self._descriptor < 0:
            self._try()
        owner = json.dumps({"host": socket.gethostname(), "pid": os.getpid()})
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, owner.encode(), 0)
        return self

    def _try(self) -> None:
        """Open and lock the file; it stays unlocked when it was removed in between."""
        descriptor, is_new = self._open()
        try:
            self._lock(descriptor, is_new)
            if _is_at(descriptor, self.path):
                self._descriptor, descriptor = descriptor, -1
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _open(self) -> tuple[int, bool]:
        """The lock file, and whether it is made by this."""
        flags = os.O_RDWR | os.O_CREAT
        try:
            return open_in_place(self.path, flags | os.O_EXCL, 0o666), True
        except FileExistsError:
            pass
        try:
            return open_in_place(self.path, flags, 0o666), False
        except UnreadableFileError as error:
            told = f"{self.path}: {error}; remove it, or name another folder"
            raise UnlockableError(told) from None

    def _lock(self, descriptor: int, is_new: bool) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = _owner(descriptor)
            if error.errno not in _NO_LOCKS:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                raise LockedError(f"{self.path.parent}: {_in_use_by(owner)}") from None
            if not is_new and not _is_gone(owner):
                raise LockedError(
                    f"{self.path.parent}: {_in_use_by(owner)}, and the file system has no locks "
                    f"to tell whether it still runs; if it does not, remove {self.path}"
                ) from None

    def __exit__(self, *error: object) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        try:
            self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def check_unlocked(folder: str | os.PathLike[str]) -> None:
    """LockedError when another run is writing into `folder`, which need not exist."""
    if os.path.lexists(Path(folder, LOCK_NAME)):
        with RunLock(folder):
            pass


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that `path` names: its holder removes it at the end."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _owner(descriptor: int) -> dict[str, Any]:
    try:
        return parse_json_object(os.pread(descriptor, 4096, 0))
    except JSONError:
        return {}


def _is_gone(owner: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that no longer exists."""
    pid = owner.get("pid")
    if owner.get("host") != socket.gethostname() or type(pid) is not int or not 0 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _in_use_by(owner: dict[str, Any]) -> str:
    if not owner:
        return "another run is writing into it"
    return f"process {owner.get('pid')} on {owner.get('host')} is writing into it"
