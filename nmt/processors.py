"""How many processors this process may use: fewer than the machine has, in a container or under `taskset`."""

from __future__ import annotations

import os
from pathlib import Path


def available_processors(root: Path = Path("/")) -> int:
    """The processors of the affinity mask, or as many as the quota of the control group comes to, if these are fewer.

    root: where `proc` and `sys` are
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, -int(-quota // 1)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that the control groups of this process allow, of both versions; None: no limit.

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
    """A group's folder and those above it, up to where the file system is mounted; in a container it may be all."""
    folder = mounted / path.lstrip("/")
    return [folder, *(above for above in folder.parents if mounted in above.parents or above == mounted)]


def _quota(folder: Path, *names: str) -> float | None:
    """Time and period of a group, in one file or two, as their ratio; None without a limit."""
    try:
        quota, period = " ".join((folder / name).read_text() for name in names).split()[:2]
        return float(quota) / float(period) if float(quota) > 0 and float(period) > 0 else None
    except (OSError, ValueError):  # ValueError: `max`, no limit
        return None
