"""A file is replaced whole, and nothing else than a file is replaced."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from attninfluence.base.replacing import replacing


def write(path: Path, text: str = "new") -> None:
    with replacing(path) as file:
        file.write_text(text)


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file, link = tmp_path / "folder" / "file", tmp_path / "link"
    link.symlink_to(file)
    for text in ("first", "second"):
        write(link, text)
        assert link.is_symlink() and file.read_text() == text
    assert os.listdir(tmp_path / "folder") == ["file"]


def test_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write(Path("~/file"))
    assert os.listdir() == ["file"]
    with pytest.raises(FileNotFoundError):
        write(Path("~/no/file"))


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """A pipe stands for /dev/null and /dev/stdout, which root could replace."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for path in (pipe, link):
            write(path)
            assert os.read(reader, 100) == b"new"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        write(tmp_path)


def test_a_read_only_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only") as found:
        write(tmp_path / "page.html")
    assert found.value.filename == str(tmp_path / "page.html")


def test_a_folder_that_is_not_there_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match="nowhere/file"),
        replacing(tmp_path / "nowhere/file"),
    ):
        raise AssertionError("the block was entered")
