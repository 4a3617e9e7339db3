"""Cores and memory that this process may use: of its affinity mask and its cgroup, not of the machine.

A container or a job of a scheduler sees all cores and all memory of its host; its limits are those of the control
groups (version 1 or 2) that it belongs to. The processor time of a job may be limited without a mask of cores.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MEMINFO = Path("/proc/meminfo")
UNLIMITED = 2**60
"""Version 1 writes a number near 2^63 where there is no limit."""


def usable_cores() -> int:
    """Cores of the affinity mask, or fewer where the control group has a quota of processor time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas())]))


def usable_memory() -> int:
    """Bytes that are free for new processes, on the machine and in the control group."""
    free = [limit - used for limit, used in _memory_limits()]
    return max(0, min([*free, *_available()], default=UNLIMITED))


def whole_memory() -> int:
    """Bytes that there are at most, used ones included."""
    return min([*(limit for limit, _ in _memory_limits()), *_available("MemTotal")], default=UNLIMITED)


def _groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, the innermost first, of version 2 and 1."""
    with suppress(OSError):
        for line in MEMBERSHIP.read_text().splitlines():
            _, names, path = line.split(":", 2)
            if names and controller not in names.split(","):
                continue
            top = ROOT / controller if names else ROOT
            inner = top / path.strip("/")
            # In a container the path may be that of the host, and its own group be mounted at the top.
            yield from (folder for folder in (inner, *inner.parents) if folder == top or top in folder.parents)


def _quotas() -> Iterator[float]:
    for folder in _groups("cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                yield int(quota) / int(period)
        with suppress(OSError, ValueError, ZeroDivisionError):
            micros = int((folder / "cpu.cfs_quota_us").read_text())
            if micros > 0:
                yield micros / int((folder / "cpu.cfs_period_us").read_text())


def _memory_limits() -> Iterator[tuple[int, int]]:
    """Limit and use [bytes] of each group that has a limit; what files keep in memory can be given up."""
    for limit_name, used_name, given_up in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in _groups("memory"):
            with suppress(OSError, ValueError):
                limit = int((folder / limit_name).read_text())
                if limit >= UNLIMITED:
                    continue
                stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                yield limit, int((folder / used_name).read_text()) - int(stat.get(given_up, 0))


def _available(name: str = "MemAvailable") -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in MEMINFO.read_text().splitlines():
            if line.startswith(f"{name}:"):
                yield 1024 * int(line.split()[1])
