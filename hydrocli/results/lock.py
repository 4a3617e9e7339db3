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
import stat
import threading
import time
import uuid
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from hydrocli import processes
from hydrocli.errors import HeldError
from hydrocli.files import now_of_file_system, os_errors_as_input_errors

BEAT = 30.0
"""Seconds between two touches of the lock."""
PATIENCE = 300.0
"""Seconds without a touch after which the lock of an owner on another host is stale."""
MOMENT = 10.0
"""Seconds after which a lock without a readable owner is stale."""
LARGEST = 65536
"""Bytes of a lock that are read; its own are some hundred."""

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
        return self.host == processes.host() and (
            self.boot != processes.boot() or self.namespace == processes.namespace()
        )

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended; only valid where it can be seen."""
        return self.boot != processes.boot() or processes.has_ended(self.pid, self.started)


def this_process() -> Owner:
    """The process that runs this, with a new token."""
    return Owner(
        token=uuid.uuid4().hex,
        host=processes.host(),
        boot=processes.boot(),
        namespace=processes.namespace(),
        pid=os.getpid(),
        started=processes.started(os.getpid()),
        job=next((os.environ[name] for name in JOB_VARIABLES if name in os.environ), ""),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


class Lock:
    """The lock at a path, held from `acquire` to `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = this_process()
        self._lost = False
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            HeldError: another process holds it.
            InputError: the lock file cannot be written.
        """
        with os_errors_as_input_errors(self.path):
            _take(self.path, self.owner)
            _remove_guard(self.path, self.owner)
        try:
            self.start_beating()
        except BaseException:  # no thread can be had
            self.release()
            raise

    def copy_to(self, folder: Path) -> None:
        """Write the same lock into another folder, which will take the place of the locked one."""
        with os_errors_as_input_errors(folder):
            _create(folder / self.path.name, self.owner)

    def start_beating(self) -> None:
        """Touch the lock now and then."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
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
        if self.owner.pid == os.getpid() and _read(self.path) == self.owner:
            # A file system that became read-only keeps the lock of a process that has ended: it is stale then.
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def stop_beating(self) -> None:
        """End the heartbeat, and wait for its end."""
        if self._stop and self._thread and self._thread.is_alive():
            self._stop.set()
            self._thread.join()

    def _beat(self) -> None:
        assert self._stop is not None
        while not self._stop.wait(BEAT):
            # An error of the file system (a server that is away for a moment) is not a loss: try at the next beat.
            with contextlib.suppress(OSError):
                if _read(self.path, strict=True) != self.owner:
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
        if not _is_there(path):
            continue
        if not _is_stale(path, present, now_of_file_system(path.parent)):
            raise HeldError(
                str(path.parent),
                f"is in use by another process: {present or 'one that is starting'}",
                "Wait for it, stop it, or choose another folder.",
            )
        guard = _guard_of(path)
        _take(guard, owner)
        try:
            # Checked again: from here on no other process can remove it, but one may have done so before.
            if _read(path) == present and _is_stale(path, present, now_of_file_system(path.parent)):
                _remove(path)
        finally:
            guard.unlink(missing_ok=True)


def _guard_of(path: Path) -> Path:
    return path.with_name(path.name + ".takeover")


def _remove_guard(path: Path, owner: Owner) -> None:
    """Remove the second lock that a process killed while it took this one over has left."""
    guard = _guard_of(path)
    if _is_there(guard):
        with contextlib.suppress(HeldError):  # one that finds this lock held, and ends
            _take(guard, owner)
            guard.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove what is in the place of a lock; a folder only when it is empty."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


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


def _read(path: Path, *, strict: bool = False) -> Owner | None:
    """The owner that the file names; None when there is no file or no owner in it.

    Anything may be in its place: a link, a pipe, a folder, a file of any content.

    Raises:
        OSError: if `strict`, for errors other than a missing file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:  # noqa: PTH123 - a handle
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            content = json.loads(file.read(LARGEST))
        owner = Owner(**{field.name: content[field.name] for field in fields(Owner)})
    except OSError as error:
        if strict and not isinstance(error, FileNotFoundError):
            raise
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    texts = [getattr(owner, field.name) for field in fields(Owner) if field.name != "pid"]
    is_pid = type(owner.pid) is int and 0 < owner.pid <= processes.LARGEST_PID
    return owner if is_pid and all(isinstance(text, str) for text in texts) else None


def _is_there(path: Path) -> bool:
    """Whether anything has this name, a link to nowhere included."""
    return os.path.lexists(path)


def _wait_for_name(path: Path) -> Owner | None:
    """The owner, waiting up to a second for its name to be written."""
    for _ in range(20):
        if (owner := _read(path)) or not _is_there(path):
            return owner
        time.sleep(0.05)
    return None


def _is_stale(path: Path, owner: Owner | None, now: float) -> bool:
    if owner and owner.can_be_seen:
        return owner.is_gone
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        return True  # a link, a pipe, a folder: no process that starts makes one
    age = now - found.st_mtime
    # A time to come is that of a wrong clock, and says nothing for a living owner either.
    return abs(age) > (PATIENCE if owner else MOMENT)
