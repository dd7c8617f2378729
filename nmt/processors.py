"""How many processors this process may use; in a container or under `taskset` these are fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path


def available_processors(root: Path = Path("/")) -> int:
    """The number of processors in the affinity mask, or in the quota of the control group if that is smaller.

    root: the folder that contains `proc` and `sys`
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, -int(-quota // 1)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The number of processors that the control groups (version 1 or 2) allow this process to use; None: no limit.

    See https://docs.kernel.org/admin-guide/cgroup-v2.html and
    https://docs.kernel.org/scheduler/sched-bwc.html.
    """
    try:
        groups = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return None
    mounted, quotas = root / "sys/fs/cgroup", []
    for number, controllers, path in (group for group in groups if len(group) == 3):
        if number == "0" and not controllers:
            quotas += [_quota(folder, "cpu.max") for folder in _upwards(mounted, path)]
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu"):
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                quotas += [_quota(folder, *names) for folder in _upwards(mounted / name, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(mounted: Path, path: str) -> list[Path]:
    """A group's folder and its parents up to the mount point, which in a container may be the only one."""
    folder = mounted / path.lstrip("/")
    return [folder, *(above for above in folder.parents if mounted in above.parents or above == mounted)]


def _quota(folder: Path, *names: str) -> float | None:
    """The ratio of a group's time and period, which are in one file or two; None without a limit."""
    try:
        quota, period = " ".join((folder / name).read_text() for name in names).split()[:2]
        return float(quota) / float(period) if float(quota) > 0 and float(period) > 0 else None
    except (OSError, ValueError):  # ValueError: `max`, no limit
        return None
