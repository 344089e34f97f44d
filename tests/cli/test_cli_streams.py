"""Processes without what most have: standard streams, a current folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attninfluence import cli
from tests.kit.child import ROOT
from tests.kit.score_tables import score_row, write_scores


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the current folder, `scores`: a finished run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n' * 9)
    write_scores(tmp_path / "scores", [[score_row("a.jsonl", n) for n in range(9)]], root=tmp_path)


def in_shell(redirected: str) -> subprocess.CompletedProcess[str]:
    """`select scores -o o` with standard streams as a shell's words say."""
    return subprocess.run(
        ["sh", "-c", f"{sys.executable} -m attninfluence.cli select scores -o o {redirected}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.usefixtures("scores")
@pytest.mark.parametrize("closed", ["2>&-", "2>&- <&-", "2>/dev/full"])
def test_a_stderr_that_takes_nothing_is_nothing_to_fail_at(closed: str) -> None:
    done = in_shell(closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["output"] == "o"


@pytest.mark.usefixtures("scores")
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_a_closed_stdout_is_nothing_to_fail_at(closed: str) -> None:
    done = in_shell(closed)
    assert (done.returncode, done.stdout) == (0, "")
    assert Path("o/_SUCCESS").exists() and "Traceback" not in done.stderr


@pytest.mark.usefixtures("scores")
def test_a_full_stdout_is_named() -> None:
    done = in_shell(">/dev/full")
    assert done.returncode == 2
    assert "error: stdout: No space left on device" in done.stderr.splitlines()[-1]


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What a library prints would go into it."""
    code = (
        "import os, sys; from attninfluence.cli import console, main, inspect;"
        "number = lambda: os.open('file', os.O_CREAT | os.O_WRONLY);"
        "inspect.run = lambda _: console.print_json(number()) or 0;"
        "sys.exit(main(['inspect']))"
    )
    command = f'{sys.executable} -c "{code}" 2>&- <&-'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, check=True, env=environment
    )
    assert int(done.stdout) > 2


def test_a_current_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = f"rmdir ../gone; {sys.executable} -m attninfluence.cli score ../a.jsonl -o ../o"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path / "gone",
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 2
    assert "the current folder was removed; change to one that is there" in done.stderr


class WriteOnly:
    """An object that can write and nothing else."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def closed_stream() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.usefixtures("scores")
@pytest.mark.parametrize("make", [lambda: None, closed_stream, WriteOnly])
def test_streams_that_a_program_put_in_their_place(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]
) -> None:
    monkeypatch.setattr(sys, "stderr", make())
    monkeypatch.setattr(sys, "stdout", make())
    given = sys.stdout, sys.stderr
    assert cli.main(["select", "scores", "-o", "o"]) == 0
    assert cli.main(["select", "nowhere", "-o", "o2"]) == 2
    assert cli.main(["--help"]) == 0
    assert cli.main(["selct"]) == 2
    assert (sys.stdout, sys.stderr) == given
    if isinstance(sys.stdout, WriteOnly) and isinstance(sys.stderr, WriteOnly):
        assert '"output": "o"' in sys.stdout.text
        assert "nowhere" in sys.stderr.text
