"""Cores and memory that this process may use: of its affinity mask and its cgroup, not of the machine.

A container or a job of a scheduler sees all cores and all memory of its host; its limits are those of the control
groups (version 1 or 2) that it belongs to. The processor time of a job may be limited without a mask of cores.

A limit of address space (`ulimit -v`) is met elsewhere: libraries map their code and reserve memory while they are
loaded, and where they cannot, some of them abort the process or wait for ever. So a command asks for all of it before
it loads them.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hydrocli.errors import HydrocliError, OutOfMemoryError, Stopped, causes

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MEMINFO = Path("/proc/meminfo")
UNLIMITED = 2**60
"""Version 1 writes a number near 2^63 where there is no limit."""
OF_LIBRARIES = 1_200_000_000
"""Bytes of address space that the libraries and a small run take (1.0 GB suffice with two threads)."""
OF_PYTHON = 100_000_000
"""Bytes of address space that are taken when a command begins."""
LITTLE = 300_000_000
"""Bytes of address space without which a library may fail in any way."""
RESERVING_LESS = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Settings of libraries that otherwise reserve address space in advance."""
SIGNS_OF_SHORTAGE = (
    "failed to map segment",
    "cannot allocate memory",
    "can't start new thread",
    "out of memory",
    "bad_alloc",
    "malloc of size",
    "unable to allocate",
    "libllvmlite.so",
)
"""What libraries say, in lower case, where memory is short."""


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


def require_address_space(needed: int = OF_LIBRARIES) -> None:
    """Refuse to begin where a limit of address space is too low for the libraries, before any of them is loaded.

    Raises:
        OutOfMemoryError: less than `needed` bytes can be mapped.
    """
    if not _is_limited():
        return
    for name, value in RESERVING_LESS.items():
        os.environ.setdefault(name, value)
    if not _can_map(needed):
        gigabytes = (needed + OF_PYTHON) / 1e9
        what = f"the limit of memory ({_limit()}) is too low: hydrocli needs about {gigabytes:.1f} GB to start"
        raise OutOfMemoryError("memory", what, "Raise the limit (`ulimit -v`), or remove it (`ulimit -v unlimited`).")


def memory_error(error: BaseException) -> OutOfMemoryError | None:
    """The error that says that memory was short, where that is the cause of an error; else None."""
    if isinstance(error, OutOfMemoryError | Stopped) or not isinstance(error, Exception):
        return None
    chain = list(causes(error))
    short = any(_names_shortage(one) for one in chain)
    if not short and (isinstance(error, HydrocliError) or not _is_limited() or _can_map(LITTLE)):
        return None
    limit = f" under the limit of {_limit()}" if _is_limited() else ""
    first = next((one for one in chain if _names_shortage(one)), error)
    reason = f" ({type(first).__name__}: {first})".replace("(MemoryError: )", "(MemoryError)")
    return OutOfMemoryError(
        "memory",
        f"not enough memory{limit}{reason}",
        "Lower execution.memory or execution.threads, use a machine with more memory, or raise the limit (`ulimit -v`)."
        " What is done is kept: run again.",
    )


def _names_shortage(error: BaseException) -> bool:
    if isinstance(error, HydrocliError):
        return False
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = str(error).lower()
    return any(sign in text for sign in SIGNS_OF_SHORTAGE)


def _is_limited() -> bool:
    return any(resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in _LIMITS)


_LIMITS = {resource.RLIMIT_AS: "ulimit -v", resource.RLIMIT_DATA: "ulimit -d"}


def _limit() -> str:
    """The limits that are set, in words."""
    found = {name: resource.getrlimit(kind)[0] for kind, name in _LIMITS.items()}
    return " and ".join(
        f"{name}: {value / 1e9:.2f} GB" for name, value in found.items() if value != resource.RLIM_INFINITY
    )


def _can_map(size: int) -> bool:
    try:
        # Reserved, not used: no page of it is ever touched.
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return False
    return True


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
