"""What is on disk, and in what order, when the files of a mix get their names together."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from attninfluence.mix import new_files as new_files_module
from attninfluence.mix.new_files import NewFiles
from attninfluence.mix.write import mix
from attninfluence.output.files import OutputError
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.kit.child import ROOT
from tests.kit.score_tables import score_row, write_scores

FILES = 7


@pytest.fixture
def selection(tmp_path: Path) -> Path:
    """Of seven files of two rows the second is selected."""
    (tmp_path / "corpus").mkdir()
    parts = []
    for number in range(FILES):
        name = f"{number}.jsonl"
        (tmp_path / "corpus" / name).write_text('{"text": "a"}\n{"text": "b"}\n')
        parts.append([score_row(name, row, score=float(row)) for row in range(2)])
    write_scores(tmp_path / "out", parts, tmp_path / "corpus")
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 2)))
    return tmp_path / "sel"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """("sync", a file or folder) and ("name", a final name), in their order.

    A file that is synced under its temporary name and renamed is called by its final name.
    """
    seen: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def record_sync(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def record_name(source: str | Path, target: str | Path) -> None:
        replace(source, target)
        for at, (kind, path) in enumerate(seen):
            if path == str(source):
                seen[at] = (kind, str(target))
        seen.append(("name", str(target)))

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_name)
    return seen


@pytest.mark.parametrize("group", [1, 3, 1000])
def test_nothing_is_named_that_a_crash_could_lose(tmp_path, selection, events, monkeypatch, group):
    """Contents before names, and names before what says that they are there."""
    monkeypatch.setattr(new_files_module, "GROUP_FILES", group)
    folder = tmp_path / "mix"
    mix(selection, folder)
    named = [path for kind, path in events if kind == "name"]
    assert len(named) == len(set(named)) and named[-1] == f"{folder}/_SUCCESS"
    for path in named:
        assert events.index(("sync", path)) < events.index(("name", path))
    recipe = events.index(("name", f"{folder}/recipe.json"))
    for part in ("corpus", "selected"):
        files = [path for path in named if os.path.dirname(path) == f"{folder}/{part}"]
        assert len(files) == FILES
        last = max(events.index(("name", path)) for path in files)
        synced = [at for at, event in enumerate(events) if event == ("sync", f"{folder}/{part}")]
        assert last < max(synced) < recipe
        assert len(synced) <= -(-2 * FILES // group)


def test_a_group_ends_with_its_files_or_its_bytes(tmp_path, events, monkeypatch):
    monkeypatch.setattr(new_files_module, "GROUP_FILES", 3)
    monkeypatch.setattr(new_files_module, "GROUP_BYTES", 100)
    named = []
    with NewFiles() as files:
        for number, size in enumerate((1, 1, 1, 60, 60, 200, 1)):
            with files.new_file(tmp_path / str(number)) as temporary:
                temporary.write_bytes(bytes(size))
            named.append(sum(kind == "name" for kind, _ in events))
    assert named == [0, 0, 3, 3, 5, 6, 6]
    assert sorted(os.listdir(tmp_path)) == [str(number) for number in range(7)]


def write_two(folder: Path, error: OSError | None = None) -> None:
    """Files a and b; with an error it comes when both are written."""
    with NewFiles() as files:
        for name in ("a", "b"):
            with files.new_file(folder / name) as temporary:
                temporary.write_bytes(b"ours")
                if error is not None and name == "b":
                    raise error


def test_a_failure_leaves_no_temporary_file_and_no_name(tmp_path):
    with pytest.raises(OSError, match="No space"):
        write_two(tmp_path, OSError(errno.ENOSPC, "No space left on device"))
    assert os.listdir(tmp_path) == []
    write_two(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_file_that_cannot_be_synced_is_named_and_none_is_published(
    tmp_path, selection, monkeypatch
):
    fsync = os.fsync

    def broken(descriptor: int) -> None:
        if "00003-3" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error") as told:
        mix(selection, tmp_path / "mix")
    assert "00003-3" in str(told.value.filename)
    for part in ("corpus", "selected"):
        assert os.listdir(tmp_path / "mix" / part) == []
    assert not (tmp_path / "mix/_SUCCESS").exists()


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(OutputError, match="a: already exists; another run is writing"):
        write_two(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["a"]


CHILD = """\
import sys
from attninfluence.mix import new_files
from attninfluence.mix.write import mix
from tests.run.disk import die_at

selection, folder, group, step = sys.argv[1:]
new_files.GROUP_FILES = int(group)
die_at(int(step), folder)
mix(selection, folder)
"""


def test_killed_at_any_step_a_mix_has_whole_files_and_no_mark(tmp_path, selection):
    mix(selection, tmp_path / "whole")
    steps = [random.Random(at).randrange(low, low + 10) for at, low in enumerate((2, 12, 22, 32))]
    for step in steps:
        folder = tmp_path / f"killed{step}"
        command = [sys.executable, "-c", CHILD, selection, folder, "4", str(step)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=False)
        assert run.returncode == -signal.SIGKILL, run.stderr
        assert not (folder / "_SUCCESS").exists()
        for path in folder.glob("*/[!.]*"):
            whole = tmp_path / "whole" / path.relative_to(folder)
            assert path.read_bytes() == whole.read_bytes()
