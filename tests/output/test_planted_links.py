"""What is written goes to files made for it, and through no link that lies in wait for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attninfluence.base import replacing as replacing_module
from attninfluence.base.replacing import replacing, whole_file
from attninfluence.mix.new_files import NewFiles
from attninfluence.output.files import write_json
from attninfluence.output.part import PartWriter
from attninfluence.output.schema import score_schema


def write(path: Path) -> None:
    with replacing(path) as file:
        file.write_text("new")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The name that the next temporary file of `file` gets, a link to `victim`."""
    monkeypatch.setattr(replacing_module.secrets, "token_hex", lambda n: "00" * n)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / f".file.{'00' * 8}.tmp"
    link.symlink_to(victim)
    return link, victim


WRITERS: dict[str, Callable[[Path], Any]] = {
    "replacing": lambda final: write(final),
    "whole_file": lambda final: ExitStack().enter_context(whole_file(final, final)),
    "an output folder": lambda final: write_json(final, {}),
    "a mix": lambda final: ExitStack().enter_context(NewFiles().new_file(final)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_link_under_a_temporary_name_is_not_written_through(
    planted: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    link, victim = planted
    with pytest.raises(FileExistsError):
        WRITERS[name](tmp_path / "file")
    assert victim.read_text() == "precious" and not (tmp_path / "file").exists()
    assert link.is_symlink()
    victim.unlink()
    with pytest.raises(FileExistsError):
        WRITERS[name](tmp_path / "file")
    assert not victim.exists()


def test_a_part_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Its temporary name has the run's id, which run.json tells."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".part-00000.r1.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError, match=r"part-00000\.r1\.tmp"):
        PartWriter(tmp_path / "part-00000.parquet", "r1", score_schema())
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_whole_file_replaces_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "file").symlink_to(tmp_path / "victim")
    with whole_file(tmp_path / "file", tmp_path / "file") as file:
        file.write_text("new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "file").is_symlink() and (tmp_path / "file").read_text() == "new"
