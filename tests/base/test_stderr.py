"""Progress where stderr is missing, closed, or an object that can only write."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from attninfluence.base.progress import ProgressBar
from attninfluence.base.stderr import is_terminal, open_stderr


class WriteOnly:
    """An object that can write and nothing else."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Gone(io.StringIO):
    """A terminal whose window was closed, or a pipe whose reader has left."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, os.strerror(5))

    def flush(self) -> None:
        raise OSError(5, os.strerror(5))


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("make", [lambda: None, closed, WriteOnly, Gone, object])
def test_progress_fails_at_no_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make: Callable[[], Any]
) -> None:
    stream = make()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar("read", total=2) as bar:
        bar.update(1, tokens=3)
        bar.update(1)
    print("a line", file=open_stderr(), flush=True)
    assert capsys.readouterr().out == ""
    if isinstance(stream, WriteOnly):
        assert stream.text.startswith("read: ") and stream.text.endswith("a line\n")


def test_a_stderr_that_is_closed_while_a_bar_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar("read", total=2) as bar:
        assert "read" in stream.getvalue()
        stream.close()
        bar.update(2)


def test_what_a_terminal_is() -> None:
    assert not any(map(is_terminal, (None, closed(), WriteOnly(), io.StringIO())))
    assert is_terminal(Gone())


def test_the_rest_is_that_of_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert open_stderr().encoding == "ascii"


def test_letters_that_a_stream_cannot_encode_are_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding="ascii"))
    print("Größe", file=open_stderr(), flush=True)
    assert written.getvalue() == b"Gr\\xf6\\xdfe\n"
