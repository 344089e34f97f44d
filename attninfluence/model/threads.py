"""How many threads to compute with: the CPUs this process may really use.

`os.cpu_count()` counts the machine. A process may be confined to fewer CPUs by
its affinity mask, or to less CPU time by a control group's quota; starting more
threads than either allows makes everything slower.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

MOST_THREADS = 4096  # of the core


def available_cpus(
    cgroup_root: str | Path = "/sys/fs/cgroup", membership: str | Path = "/proc/self/cgroup"
) -> int:
    """CPUs usable by this process: min(affinity, ceil(cgroup quota)), at least 1.

    `cgroup_root` and `membership` are the places where Linux mounts control
    groups (version 2, or version 1 by controller) and lists those of a process.
    """
    quota = _cgroup_quota(Path(cgroup_root), Path(membership))
    cpus = _affinity()
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def default_threads(threads: int | None = None) -> int:
    """The number of threads to use when `threads` were asked for (None: not said).

    In this order: `threads`; ATTNINFLUENCE_NUM_THREADS; 1 inside a worker process
    of multiprocessing or multiprocess, whose siblings have the other CPUs;
    OMP_NUM_THREADS, at most `available_cpus()`; `available_cpus()`.

    Raises:
        ValueError: `threads` or ATTNINFLUENCE_NUM_THREADS is not a positive integer.
    """
    if threads is not None:
        return _positive(threads, "threads")
    asked = os.environ.get("ATTNINFLUENCE_NUM_THREADS", "").strip()
    if asked:
        return _positive(asked, "the environment variable ATTNINFLUENCE_NUM_THREADS")
    if in_worker_process():
        return 1
    openmp = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if openmp.isdecimal() and int(openmp) > 0:
        return min(int(openmp), available_cpus())
    return available_cpus()


def in_worker_process() -> bool:
    """Whether this process was started by multiprocessing or by multiprocess."""
    for name in ("multiprocessing.process", "multiprocess.process"):
        parent_process = getattr(sys.modules.get(name), "parent_process", None)
        if parent_process is not None and parent_process() is not None:
            return True
    return False


def _positive(value: int | str, name: str) -> int:
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1 or isinstance(value, (bool, float)):
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    if count > MOST_THREADS:
        raise ValueError(f"{name} must be at most {MOST_THREADS:,}, got {value!r}")
    return count


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota(root: Path, membership: Path) -> float | None:
    """The smallest CPU quota on the way from the root to this process's groups, in CPUs."""
    quotas = []
    for controllers, group in _memberships(membership):
        if not controllers:
            quotas += [_quota_v2(folder) for folder in _path_to(root, group)]
        elif "cpu" in controllers.split(","):
            for mount in (root / "cpu", root / controllers):
                quotas += [_quota_v1(folder) for folder in _path_to(mount, group)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _memberships(membership: Path) -> list[tuple[str, str]]:
    """The (controllers, group) pairs of a /proc/<pid>/cgroup file."""
    lines = [line.split(":", 2) for line in _read(membership).splitlines()]
    return [(fields[1], fields[2]) for fields in lines if len(fields) == 3]


def _path_to(root: Path, group: str) -> list[Path]:
    """The root and every folder from it down to `group`.

    Inside a container the group may be named as the host sees it and not exist
    below the container's root; the root itself is then the container's group.
    """
    folders = [root]
    for part in Path(group.strip("/")).parts:
        folders.append(folders[-1] / part)
    return folders


def _quota_v2(folder: Path) -> float | None:
    fields = _read(folder / "cpu.max").split()
    if len(fields) != 2 or not all(field.isdecimal() for field in fields):
        return None
    return _ratio(int(fields[0]), int(fields[1]))


def _quota_v1(folder: Path) -> float | None:
    quota = _read(folder / "cpu.cfs_quota_us").strip()
    period = _read(folder / "cpu.cfs_period_us").strip()
    if not quota.isdecimal() or not period.isdecimal():
        return None
    return _ratio(int(quota), int(period))


def _ratio(quota: int, period: int) -> float | None:
    return quota / period if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
