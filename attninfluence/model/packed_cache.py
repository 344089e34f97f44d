"""Packed weights in a folder of this user's, so that processes map one copy of them.

    $ATTNINFLUENCE_CACHE, $XDG_CACHE_HOME/attninfluence or ~/.cache/attninfluence
        packed/<model fingerprint>-<precision>-<kernel>.bin    made whole or not at all
        packed/<the same>.bin.lock                             held by the one that makes it

All of it may be removed at any time. Where it cannot be used, because the folder is not
writable, is another user's or may be written to by others, or because the disk is full, a model is
opened as it would be without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from attninfluence._core import Model as Core
from attninfluence._core import ModelError
from attninfluence.base.paths import expand_home
from attninfluence.base.regular_file import UnreadableFileError, open_in_place


def cache_folder() -> Path:
    """Where packed weights are kept; OSError without a home folder."""
    named = os.environ.get("ATTNINFLUENCE_CACHE")
    if named:
        return Path(expand_home(named))
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if base.startswith("~"):
        raise OSError("there is no home folder to keep a cache in")
    return Path(base, "attninfluence")


def open_packed(
    model: str, fingerprint: str, precision: str, kernel: str, check: Callable[[], None]
) -> Core:
    """The model at that path, its weights mapped from the cache and put there first if need be.

    Of several processes one packs and the others wait for it. A file that is damaged, of
    another model or not this user's alone is replaced. precision, kernel: as
    `_core.choose_kernel` names them. check: called with the weights read and not yet kept;
    raises where the files no longer have that fingerprint.
    """

    def read() -> Core:
        return Core(model, precision, kernel)

    def mapped(path: Path) -> Core | None:
        try:
            _check_owner(path, path.lstat())
            return Core(model, precision, kernel, packed=str(path), key=fingerprint)
        except (OSError, ModelError):
            return None

    try:
        path = _file(f"{fingerprint}-{precision}-{kernel}.bin")
        ready = mapped(path)
        if ready is not None:
            return ready
        with _locked(path):
            return mapped(path) or _make(path, fingerprint, read, check, mapped)
    except (OSError, UnreadableFileError):
        return read()


def _make(
    path: Path,
    fingerprint: str,
    read: Callable[[], Core],
    check: Callable[[], None],
    mapped: Callable[[Path], Core | None],
) -> Core:
    core = read()
    check()
    try:
        _write(path, core, fingerprint)
    except OSError:
        return core
    return mapped(path) or core


def _file(name: str) -> Path:
    """The file of that name in the cache, whose folders are there and this user's alone."""
    base = cache_folder()
    base.parent.mkdir(parents=True, exist_ok=True)
    for folder in (base, base / "packed"):
        folder.mkdir(mode=0o700, exist_ok=True)
        _check_owner(folder, folder.stat())
    return base / "packed" / name


def _check_owner(path: Path, status: os.stat_result) -> None:
    """PermissionError unless it is this user's and nobody else may write to it.

    Whoever may write to it chooses the weights, and what is mapped may change under a reader.
    """
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid() or mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"{path}: is of user {status.st_uid} with mode {mode:o}; expected one of user "
            f"{os.geteuid()} that nobody else may write to"
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock, which ends with the process at the latest."""
    descriptor = open_in_place(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing would leave it to a child that another thread forks meanwhile.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _write(path: Path, core: Core, fingerprint: str) -> None:
    """Put the model's weights into the file, whole; the lock is held."""
    for left in path.parent.glob(f"{path.name}.*.tmp"):  # of a process that was killed
        left.unlink(missing_ok=True)
    descriptor, temporary = tempfile.mkstemp(".tmp", f"{path.name}.", path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(core.packed_header(fingerprint))
            file.write(core.packed.data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
