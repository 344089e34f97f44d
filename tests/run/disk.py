"""A disk that fails, or a machine that dies, at a chosen step of writing an output folder."""

from __future__ import annotations

import builtins
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from attninfluence.output import part as part_module


class Steps:
    """Counts the steps of writing by kind, and acts before one of them.

    kinds  "open", "write", "close", "fsync", "rename", "unlink"
    act    called with (kind, path, the data of a write) before step number `at`; it may raise
    """

    def __init__(self, at: int | None, act: Callable[[str, str, bytes], None]) -> None:
        self.seen: list[tuple[str, str]] = []
        self._at = at
        self._act = act

    def step(self, kind: str, path: Any, data: bytes = b"") -> None:
        self.seen.append((kind, str(path)))
        if len(self.seen) - 1 == self._at:
            self._act(kind, str(path), data)


class _File:
    """A file whose writes and closing are steps."""

    def __init__(self, path: Any, file: Any, steps: Steps) -> None:
        self._path, self._file, self._steps = path, file, steps

    def write(self, data: Any) -> int:
        self._steps.step("write", self._path, bytes(data))
        return int(self._file.write(data))

    def close(self) -> None:
        was_open = not self._file.closed
        self._file.close()  # it is, whatever the system reports
        if was_open:
            self._steps.step("close", self._path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def watching(steps: Steps) -> Iterator[None]:
    """Let every write of an output folder go through `steps`."""
    real_fsync, real_replace, real_unlink = os.fsync, os.replace, os.unlink
    real_write_bytes = Path.write_bytes

    def open_file(path: Any, mode: str = "r", *rest: Any) -> Any:
        if not {"w", "x"} & {*mode}:
            return builtins.open(path, mode, *rest)
        steps.step("open", path)
        return _File(path, builtins.open(path, mode, *rest), steps)

    def write_bytes(path: Path, data: bytes) -> int:
        steps.step("write", path, data)
        return real_write_bytes(path, data)

    def fsync(descriptor: int) -> None:
        steps.step("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        real_fsync(descriptor)

    def replace(source: Any, target: Any) -> None:
        steps.step("rename", target)
        real_replace(source, target)

    def unlink(path: Any, **options: Any) -> None:
        steps.step("unlink", path)
        real_unlink(path, **options)

    with (
        mock.patch.object(part_module, "open", open_file, create=True),
        mock.patch.object(Path, "write_bytes", write_bytes),
        mock.patch.object(os, "fsync", fsync),
        mock.patch.object(os, "replace", replace),
        mock.patch.object(os, "unlink", unlink),
    ):
        yield


def fail_with(number: int) -> Callable[[str, str, bytes], None]:
    """An action: the system reports error `number`, as it does to Python."""

    def act(kind: str, path: str, data: bytes) -> None:
        named = (path,) if kind in ("open", "rename", "unlink") else ()
        raise OSError(number, os.strerror(number), *named)

    return act


def die(kind: str, path: str, data: bytes) -> None:
    """An action: the process is killed; of a write, half has reached the file."""
    if kind == "write" and data:
        with builtins.open(path, "ab") as file:
            file.write(data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(step: int, folder: Path) -> Callable[[], None]:
    """Kill this process and its children before its step number `step`, from 1; 0: never.

    A step is a file of `folder` opened to be written, renamed or removed, and a call of what is
    returned. So a kill falls between the same two steps however fast the machine is.
    """
    os.setpgid(0, 0)
    below, steps = f"{folder}{os.sep}", count(1)

    def next_step() -> None:
        if next(steps) == step:
            os.killpg(0, signal.SIGKILL)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            is_step = bool(flags & (os.O_WRONLY | os.O_RDWR))
        else:
            path, is_step = next(iter(arguments), None), event in ("os.rename", "os.remove")
        if is_step and isinstance(path, str | os.PathLike) and os.fspath(path).startswith(below):
            next_step()

    sys.addaudithook(hear)
    return next_step


FULL = errno.ENOSPC
BROKEN = errno.EIO
