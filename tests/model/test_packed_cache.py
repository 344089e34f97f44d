"""The cache of packed weights: made once, whole, replaced when damaged, never in the way."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from attninfluence import _core
from attninfluence.model import packed_cache
from attninfluence.model.packed_cache import cache_folder, open_packed
from tests.kit.child import run_python
from tests.kit.tiny_models import make_llama_folder

KEY = "0123456789abcdef" * 4
NAME = f"{KEY}-fp32-portable.bin"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("ATTNINFLUENCE_CACHE", str(folder))
    return folder


def no_check():
    pass


def opened(folder, check=no_check):
    return open_packed(str(folder), KEY, "fp32", "portable", check)


def mapped_file(core):
    """The file that the weights of a model are mapped from, or ""."""
    address = core.packed.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        first, last = (int(end, 16) for end in fields[0].split("-"))
        if first <= address < last:
            return fields[5] if len(fields) > 5 else ""
    raise AssertionError("no mapping has the weights")


def packed(folder):
    return _core.Model(str(folder), "fp32", "portable").packed


def test_made_once_and_mapped(cache, tiny_folder, tmp_path):
    path = cache / "packed" / NAME
    first = opened(tiny_folder)
    assert mapped_file(first) == str(path)
    made = path.stat()
    assert made.st_size == 4096 + first.weight_bytes
    assert stat.S_IMODE(made.st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (cache, path.parent)] == [0o700] * 2
    second = opened(tiny_folder)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    for core in (first, second):
        assert np.array_equal(core.packed, packed(tiny_folder))
    assert sorted(os.listdir(path.parent)) == [NAME, f"{NAME}.lock"]


def test_the_weights_are_not_read_again(cache, tmp_path):
    folder = make_llama_folder(tmp_path / "model", tokenizer=False)
    expected = opened(folder).packed
    (folder / "model.safetensors").unlink()
    assert np.array_equal(opened(folder).packed, expected)


@pytest.mark.parametrize("damage", ["cut", "flipped", "other key", "older", "empty", "text"])
def test_a_file_that_is_not_the_one_is_replaced(cache, tiny_folder, damage):
    path = cache / "packed" / NAME
    good = opened(tiny_folder)
    whole = path.read_bytes()
    bad = {
        "cut": whole[:-64],
        "flipped": whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:],
        "other key": good.packed_header("other") + whole[4096:],
        "older": whole[:36] + (1).to_bytes(4, sys.byteorder) + whole[40:],
        "empty": b"",
        "text": b"not weights\n" * 500,
    }[damage]
    path.write_bytes(bad) if damage != "cut" else os.truncate(path, len(bad))
    again = opened(tiny_folder)
    assert path.read_bytes() == whole
    assert mapped_file(again) == str(path)
    assert np.array_equal(again.packed, packed(tiny_folder))


def test_an_open_model_keeps_its_weights_when_the_file_goes(cache, tiny_folder):
    core = opened(tiny_folder)
    (cache / "packed" / NAME).unlink()
    assert np.array_equal(core.packed, packed(tiny_folder))


def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "replace", "mkstemp", "flock", "open"])
def test_a_full_disk_is_no_error(cache, tiny_folder, monkeypatch, step):
    home = {"flock": packed_cache.fcntl, "mkstemp": packed_cache.tempfile}.get(step, os)
    with monkeypatch.context() as patch:
        patch.setattr(home, step, fail)
        core = opened(tiny_folder)
    assert mapped_file(core) == ""
    assert np.array_equal(core.packed, packed(tiny_folder))
    assert not [name for name in os.listdir(cache / "packed") if not name.endswith(".lock")]
    assert mapped_file(opened(tiny_folder)) == str(cache / "packed" / NAME)


def test_a_cache_that_cannot_be_is_no_error(tiny_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        monkeypatch.setenv("ATTNINFLUENCE_CACHE", str(place))
        assert mapped_file(opened(tiny_folder)) == ""


@pytest.mark.parametrize("place", ["", "packed"])
@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(cache, tiny_folder, place, mode):
    opened(tiny_folder)
    (cache / place).chmod(mode)
    assert mapped_file(opened(tiny_folder)) == ""
    (cache / place).chmod(0o755)
    assert mapped_file(opened(tiny_folder)) == str(cache / "packed" / NAME)


def test_the_folders_of_another_user_are_not_used(cache, tiny_folder, monkeypatch):
    opened(tiny_folder)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert mapped_file(opened(tiny_folder)) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder or a file away")
@pytest.mark.parametrize("place", [".", "packed"])
def test_a_folder_that_was_given_away_is_not_used(cache, tiny_folder, place):
    opened(tiny_folder)
    os.chown(cache / place, 12345, -1)
    assert mapped_file(opened(tiny_folder)) == ""


@pytest.mark.parametrize("foreign", ["writable", "link", "owner"])
def test_a_file_that_is_not_of_this_user_alone_is_replaced(cache, tiny_folder, tmp_path, foreign):
    path = cache / "packed" / NAME
    opened(tiny_folder)
    if foreign == "writable":
        path.chmod(0o620)
    elif foreign == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        pytest.skip("only root gives a file away")
    before = path.lstat().st_ino
    again = opened(tiny_folder)
    assert mapped_file(again) == str(path)
    made = path.lstat()
    assert made.st_ino != before
    assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (os.geteuid(), 0o600)


def test_a_lock_that_is_a_link_is_not_followed(cache, tiny_folder, tmp_path):
    opened(tiny_folder)
    (cache / "packed" / NAME).unlink()
    lock = cache / "packed" / f"{NAME}.lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "new")
    assert mapped_file(opened(tiny_folder)) == ""
    assert not (tmp_path / "new").exists() and os.listdir(lock.parent) == [lock.name]


def test_a_folder_that_changed_leaves_nothing(cache, tiny_folder):
    def check():
        raise ValueError("changed")

    with pytest.raises(ValueError, match="changed"):
        opened(tiny_folder, check)
    assert os.listdir(cache / "packed") == [f"{NAME}.lock"]


def test_what_a_killed_process_left_is_removed(cache, tiny_folder):
    for folder in (cache, cache / "packed"):
        folder.mkdir(mode=0o700)
    left = [cache / "packed" / f"{NAME}.abc.tmp", cache / "packed" / "other.bin.abc.tmp"]
    for path in left:
        path.write_text("half")
    opened(tiny_folder)
    assert [path.exists() for path in left] == [False, True]


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("ATTNINFLUENCE_CACHE", "/here")
    assert cache_folder() == Path("/here")
    monkeypatch.delenv("ATTNINFLUENCE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert cache_folder() == Path("/there/attninfluence")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/me")
    assert cache_folder() == Path("/me/.cache/attninfluence")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(OSError, match="no home folder"):
        cache_folder()


# All start together; one of them is killed while it writes, where that is asked for.
TOGETHER = """
import multiprocessing, os, signal, sys
from attninfluence.model import packed_cache
from tests.model.test_packed_cache import mapped_file, opened

folder, killed = sys.argv[1], sys.argv[2] == "killed"
fork = multiprocessing.get_context("fork")
barrier, writes, write = fork.Barrier(4), fork.Value("i", 0), packed_cache._write

def counted(path, core, fingerprint):
    with writes.get_lock():
        writes.value += 1
        first = writes.value == 1
    if first and killed:
        packed_cache.tempfile.mkstemp(".tmp", f"{path.name}.", path.parent)
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, core, fingerprint)

def work():
    packed_cache._write = counted
    barrier.wait()
    assert mapped_file(opened(folder)).endswith(".bin")

processes = [fork.Process(target=work) for _ in range(4)]
for process in processes:
    process.start()
for process in processes:
    process.join(60)
print(writes.value, sorted(process.exitcode for process in processes))
"""


@pytest.mark.parametrize(
    ("fate", "told"), [("spared", "1 [0, 0, 0, 0]\n"), ("killed", "2 [-9, 0, 0, 0]\n")]
)
def test_of_several_processes_one_packs(cache, tiny_folder, fate, told):
    assert run_python(TOGETHER, tiny_folder, fate) == told
    assert sorted(os.listdir(cache / "packed")) == [NAME, f"{NAME}.lock"]
