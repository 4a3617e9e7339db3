"""Processes: which one something belongs to, whether that one has ended, and the signals that ask one to stop.

A process id alone says little: ids are reused, other hosts and containers have their own. With the host, the boot, the
namespace of ids and the start time it names one process for ever.

A signal may come to all processes of a command at once (Ctrl-C, `timeout`, a job scheduler). The first one decides what
it means; those that it has started do not take it by themselves.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGXCPU") if hasattr(signal, name)
)
"""SIGUSR1 is what job schedulers are usually asked to send some minutes before the end (sbatch --signal=B:USR1@300)."""
LARGEST_PID = 2**31 - 1
"""Of the type `pid_t`."""


def host() -> str:
    """Name of this host."""
    return socket.gethostname()


@cache
def boot() -> str:
    """Identifier of the current boot; "" where not available."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def namespace() -> str:
    """Namespace of process ids (containers have their own); "" where not available."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    return ""


def started(pid: int) -> str:
    """When a process started, in ticks since boot; "" when it has ended, "hidden" when it may not be looked at."""
    if not 0 < pid <= LARGEST_PID:
        return ""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "hidden"
    # The name of the program, in parentheses, may hold anything; after it come the state and, 20th, the start time.
    after_name = stat.rpartition(")")[2].split()
    return "" if after_name[0] in "ZX" else after_name[19]


def has_ended(pid: int, start: str) -> bool:
    """Whether the process of this id and start time has ended; for processes of this host, boot and namespace."""
    return started(pid) not in (start, "hidden")


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Let no signal that asks to stop come to this thread, nor to a process that it starts meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_through() -> None:
    """Take the signals that were held back when this process was started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def ignore_stop_signals() -> None:
    """Leave it to the process that has started this one to decide when to stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
