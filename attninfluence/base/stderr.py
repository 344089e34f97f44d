"""stderr as a process may find it: there, missing, closed, or an object that can only write."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


def open_stderr() -> TextIO:
    """sys.stderr as a stream to which progress and remarks can be written without a failure.

    A service and `2>&-` have none, a program may close it or put any object with `write` in its
    place, and its reader may leave. What cannot be written is dropped; nothing else happens.
    """
    return cast(TextIO, _Tolerant(sys.stderr))


def is_terminal(stream: object) -> bool:
    """Whether the stream says that a person reads it."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):  # none or write-only, gone, closed
        return False


@contextlib.contextmanager
def for_libraries() -> Iterator[None]:
    """A sys.stderr in the block for what shows progress of its own, where the process has none."""
    if sys.stderr is not None:
        yield
        return
    with contextlib.redirect_stderr(open_stderr()):
        yield


class _Tolerant:
    """A stream that writes where it can; what else is asked of it, the stream behind it has."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            try:
                self._stream.write(text)
            except UnicodeEncodeError:  # sys.stderr itself never refuses a letter
                self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return is_terminal(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
