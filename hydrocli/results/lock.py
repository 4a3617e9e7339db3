"""Lock of a run folder: a file that works where flock does not (NFS, Lustre).

The file is created with O_EXCL, so exactly one process succeeds. It identifies its owner: host, boot, process id with
its start time (ids are reused), job, and a unique token. A thread of the owner touches the file every `BEAT` seconds.

A lock is stale when its owner's process has ended, as seen from the same host, or when the file was not touched for
`PATIENCE` seconds, as seen from another host or container. A stale lock is taken over. To prevent two processes from
taking it over at once, the file is removed only under a second lock, `<name>.takeover`, and after a second check; that
lock follows the same rule, so a process killed in between blocks nobody. An owner that was suspended for longer than
`PATIENCE` notices at its next heartbeat that it has lost the lock, and raises at the next `assert_held`.
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
"""Seconds without a touch after which the lock of an owner on another host is stale."""
MOMENT = 10.0
"""Seconds after which a lock without a readable owner is stale."""

JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


@dataclass(frozen=True)
class Owner:
    """A uniquely identified process."""

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
        """Whether the process has ended; only valid where it can be seen."""
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
        """Raise HeldError if another process took over, which happens only after a long suspension."""
        if self._lost:
            other = _read(self.path)
            raise HeldError(
                str(self.path.parent),
                f"was taken over by {other or 'another process'}, because this process did not respond "
                f"for {PATIENCE:g} s",
                "This process writes nothing more. Run the command again when the other process has ended.",
            )

    def release(self) -> None:
        """Release the lock; no effect in a child process, or after another process took it over."""
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
                f"is in use by another process: {present or 'one that is starting'}",
                "Wait for it, stop it, or choose another folder.",
            )
        guard = path.with_name(path.name + ".takeover")
        _take(guard, owner)
        try:
            # Checked again: from here on no other process can remove it, but one may have done so before.
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
    # A process suspended before its name was written may have lost the lock.
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
    """The owner, waiting up to a second for its name to be written."""
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
    """Time of the clock of the file system of this folder, possibly that of a server."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        return os.fstat(probe.fileno()).st_mtime


def _boot() -> str:
    """Identifier of the current boot; "" where not available."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _namespace() -> str:
    """Namespace of process ids (containers have their own); "" where not available."""
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
