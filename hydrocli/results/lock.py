"""Who owns a run folder: a lock file that works where flock does not (NFS, Lustre).

The file is created with O_EXCL, so one process wins, and it names its owner: host, boot, process id with the time at
which that process started (an id alone may be given again), job, and a token of its own. A thread of the owner touches
it every `BEAT` seconds.

An owner is gone when its process is, seen from the same host, or when it has not touched the file for `PATIENCE`
seconds, seen from another host or container. Then the lock is taken over. So that two takers never both win, the file
is removed only under a second lock beside it, `<name>.takeover`, after looking again; that one is taken by the same
rule, so a taker that is killed locks nobody out. An owner that stood still for longer than `PATIENCE` finds at its next
beat that the lock is another's, and says so at the next `assert_held`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from hydrocli.errors import HeldError
from hydrocli.results.write import os_errors_as_input_errors

BEAT = 30.0
"""Seconds between two touches of the lock."""
PATIENCE = 300.0
"""Seconds without a touch after which an owner that cannot be looked at is taken for gone."""
MOMENT = 10.0
"""Seconds after which a lock without a readable owner is what a killed process left."""

JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


@dataclass(frozen=True)
class Owner:
    """A process, so described that no other one can be taken for it."""

    token: str
    host: str
    boot: str
    namespace: str
    pid: int
    started: str
    job: str
    since: str

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}" + (f", job {self.job}" if self.job else "") + f", since {self.since}"

    @property
    def can_be_seen(self) -> bool:
        """Whether process ids here mean the same as there: the same host, and the same container."""
        return self.host == socket.gethostname() and (self.boot != _boot() or self.namespace == _namespace())

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended; asked only where it can be seen."""
        return self.boot != _boot() or _started(self.pid) not in (self.started, "hidden")


def this_process() -> Owner:
    """The process that runs this, with a new token."""
    return Owner(
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        boot=_boot(),
        namespace=_namespace(),
        pid=os.getpid(),
        started=_started(os.getpid()),
        job=next((os.environ[name] for name in JOB_VARIABLES if name in os.environ), ""),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


class Lock:
    """The lock at a path, held from `acquire` to `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = this_process()
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            HeldError: another process holds it.
            InputError: the lock file cannot be written.
        """
        with os_errors_as_input_errors(self.path):
            _take(self.path, self.owner)
        self._thread.start()

    def assert_held(self) -> None:
        """Raise HeldError if another process took over, which happens only to one that stood still too long."""
        if self._lost:
            other = _read(self.path)
            raise HeldError(
                str(self.path.parent),
                f"was taken over by {other or 'another process'} because this one gave no sign for {PATIENCE:g} s",
                "Nothing more is written by this one.",
            )

    def release(self) -> None:
        """Give the lock back; nothing happens in a child of the owner, or when it is another's already."""
        self.stop_beating()
        if self.owner.pid == os.getpid() and self.path.exists() and _read(self.path) == self.owner:
            self.path.unlink(missing_ok=True)

    def stop_beating(self) -> None:
        """End the heartbeat, and wait for its end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            # An error of the file system (a server that is away for a moment) is not a loss: try at the next beat.
            with contextlib.suppress(OSError):
                if not self.path.exists() or _read(self.path) != self.owner:
                    self._lost = True
                    return
                os.utime(self.path)


def holder(path: Path) -> Owner | None:
    """The living owner of a lock, looked at without touching anything."""
    owner = _read(path)
    return owner if owner and not _is_stale(path, owner, time.time()) else None


def _take(path: Path, owner: Owner) -> None:
    while not _create(path, owner):
        present = _wait_for_name(path)
        if not path.exists():
            continue
        if not _is_stale(path, present, _now(path.parent)):
            raise HeldError(
                str(path.parent),
                f"held by another process: {present or 'one that is just starting'}",
                "Wait for it, stop it, or use another folder.",
            )
        guard = path.with_name(path.name + ".takeover")
        _take(guard, owner)
        try:
            # Looked at again: from here on nobody else can remove it, but somebody may have done so before.
            if _read(path) == present and _is_stale(path, present, _now(path.parent)):
                path.unlink(missing_ok=True)
        finally:
            guard.unlink(missing_ok=True)


def _create(path: Path, owner: Owner) -> bool:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    try:
        os.write(handle, json.dumps(asdict(owner)).encode())
        os.fsync(handle)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    # One that stood still before its name was in the file may have been taken for dead.
    return _read(path) == owner


def _read(path: Path) -> Owner | None:
    """The owner that the file names; None when there is no file or no owner in it."""
    try:
        content = json.loads(path.read_bytes())
        owner = Owner(**{field.name: content[field.name] for field in fields(Owner)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return owner if isinstance(owner.pid, int) and owner.pid > 0 else None


def _wait_for_name(path: Path) -> Owner | None:
    """The owner, waiting a second for one that is just writing its name."""
    for _ in range(20):
        if (owner := _read(path)) or not path.exists():
            return owner
        time.sleep(0.05)
    return None


def _is_stale(path: Path, owner: Owner | None, now: float) -> bool:
    if owner and owner.can_be_seen:
        return owner.is_gone
    try:
        age = now - path.stat().st_mtime
    except FileNotFoundError:
        return False
    return age > (PATIENCE if owner else MOMENT)


def _now(folder: Path) -> float:
    """The time by the clock that stamps the files of this folder, which may be a server's."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        return os.fstat(probe.fileno()).st_mtime


def _boot() -> str:
    """Which start of the machine this is; "" where the system does not tell."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    """Which numbering of processes this one is in, a container having its own; "" where the system does not tell."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    return ""


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; "" when it has ended, "hidden" when it may not be looked at."""
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
