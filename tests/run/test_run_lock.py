"""One run at a time in an output folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attninfluence.run.lock import LOCK_NAME, LockedError, RunLock, check_unlocked

HOLD = """
import sys, time
from attninfluence.run.lock import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_refused_at_once_and_told_who(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    """Who waited instead would have the lock when the holder ends."""
    with pytest.raises(LockedError, match=f"process {holder.pid} on "), RunLock(tmp_path):
        pass
    with pytest.raises(LockedError, match=str(tmp_path)):
        check_unlocked(tmp_path)


def test_the_lock_of_a_killed_run_is_taken_over(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_NAME).exists()
    with RunLock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()


def test_nothing_is_left_behind_and_it_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLock(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []
    check_unlocked(tmp_path)
    check_unlocked(tmp_path / "absent")


def test_a_file_removed_by_its_holder_is_not_mistaken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may go between opening and locking it: two runs would hold different files."""
    real, calls = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not calls:
            (tmp_path / LOCK_NAME).unlink()
        calls.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunLock(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / LOCK_NAME).exists()


@pytest.mark.parametrize(("host", "refused"), [(socket.gethostname(), False), ("other", True)])
def test_without_locks_the_file_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, refused: bool
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    (tmp_path / LOCK_NAME).write_text(json.dumps({"host": host, "pid": child.pid}))
    if refused:
        with pytest.raises(LockedError, match="on other is writing"), RunLock(tmp_path):
            pass
    else:
        with RunLock(tmp_path):
            pass


def test_without_locks_a_living_process_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    owner = {"host": socket.gethostname(), "pid": os.getpid()}
    (tmp_path / LOCK_NAME).write_text(json.dumps(owner))
    with pytest.raises(LockedError, match="remove"), RunLock(tmp_path):
        pass


def plant(place: Path, kind: str, victim: Path) -> None:
    """Something that is no lock file of a run."""
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "hard link":
        os.link(victim, place)
    elif kind == "link to nothing":
        place.symlink_to(victim.with_name("new"))
    elif kind == "FIFO":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    else:
        place.mkdir()


PLANTED = {
    "link": "a regular file, found a link",
    "hard link": "a file of one name, found one of 2",
    "link to nothing": "a regular file, found a link",
    "FIFO": "a regular file, found a FIFO",
    "socket": "a regular file, found a socket",
    "folder": "a regular file, found a folder",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_lock_that_no_run_made_is_refused_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """To open it would wait for a FIFO, to write to it would empty what a link leads to."""
    folder, victim = tmp_path / "out", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    monkeypatch.chdir(folder)  # a socket's name has at most 107 bytes
    plant(Path(LOCK_NAME), kind, victim)
    told = f"{folder / LOCK_NAME}: expected {PLANTED[kind]}; remove it, or name another folder"
    for use in (lambda: RunLock(folder).__enter__(), lambda: check_unlocked(folder)):
        with pytest.raises(LockedError) as found:
            use()
        assert str(found.value) == told
    assert victim.read_text() == "precious" and os.path.lexists(LOCK_NAME)
    assert sorted(os.listdir(tmp_path)) == ["out", "victim"]


@pytest.mark.parametrize("pid", [0, -1, 1 << 31, 1 << 70, True, "1"])
def test_without_locks_a_pid_that_is_none_keeps_the_folder_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: object
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / LOCK_NAME).write_text(json.dumps({"host": socket.gethostname(), "pid": pid}))
    with pytest.raises(LockedError, match="remove"), RunLock(tmp_path):
        pass


def test_a_deep_lock_file_says_nobody(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text("[" * 4000)
    with RunLock(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()
