"""Threads: affinity, control groups, environment, worker processes."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from attninfluence.model.threads import available_cpus, default_threads, in_worker_process


@pytest.fixture(autouse=True)
def eight_cpus_and_no_wishes(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("ATTNINFLUENCE_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def cgroup(tmp_path, membership, files):
    for name, content in files.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(content)
    (tmp_path / "cgroup").write_text(membership)
    return tmp_path / "root", tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "1000 100000\n"}, 1),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/not/seen/here\n", {"cpu.max": "400000 100000\n"}, 4),
        ("4:cpu,cpuacct:/j\n", {"cpu/j/cpu.cfs_quota_us": "250000\n"}, 8),
        (
            "4:cpu,cpuacct:/j\n",
            {"cpu/j/cpu.cfs_quota_us": "250000\n", "cpu/j/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "4:cpu,cpuacct:/\n",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 8),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 8),
    ],
)
def test_available_cpus_is_the_smaller_of_affinity_and_quota(tmp_path, membership, files, cpus):
    assert available_cpus(*cgroup(tmp_path, membership, files)) == cpus


def test_what_is_asked_for_comes_first(monkeypatch):
    monkeypatch.setenv("ATTNINFLUENCE_NUM_THREADS", "5")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert default_threads(16) == 16
    assert default_threads() == 5
    monkeypatch.delenv("ATTNINFLUENCE_NUM_THREADS")
    assert default_threads() == min(2, available_cpus())


def test_openmp_can_only_lower_the_number(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64,2")
    assert default_threads() == available_cpus()
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert default_threads() == available_cpus()


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "two"])
def test_threads_must_be_a_positive_integer(value):
    with pytest.raises(ValueError, match="threads must be a positive integer"):
        default_threads(value)


def test_a_bad_environment_variable_is_named(monkeypatch):
    monkeypatch.setenv("ATTNINFLUENCE_NUM_THREADS", "all")
    with pytest.raises(ValueError, match="ATTNINFLUENCE_NUM_THREADS must be .* got 'all'"):
        default_threads()


def report(queue):
    queue.put((in_worker_process(), default_threads()))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_one_thread_inside_a_worker(method):
    assert not in_worker_process()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=report, args=(queue,))
    process.start()
    try:
        assert queue.get(timeout=60) == (True, 1)
    finally:
        process.join()


def test_a_worker_of_the_multiprocess_package_counts_too(monkeypatch):
    import sys
    import types

    module = types.ModuleType("multiprocess.process")
    module.parent_process = lambda: object()
    monkeypatch.setitem(sys.modules, "multiprocess.process", module)
    assert in_worker_process()
    assert default_threads() == 1
