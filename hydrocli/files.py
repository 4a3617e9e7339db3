"""Files and folders that are whole or not there, and removal of what killed processes have left.

Everything is made under a temporary name in the same folder, flushed to the disk and renamed: neither a kill nor a full
disk leaves anything incomplete under a final name. The temporary name, `.<name>.<process>.<token>.partial`, says which
process makes it. What a dead process has left is removed by the next one that writes into the folder; what a living
process is making stays. A process of another host or container cannot be seen: it counts as dead when its file was not
touched for `PATIENCE` seconds.

Errors of the operating system become sentences with the path.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from hydrocli import processes
from hydrocli.errors import InputError

PATIENCE = 3600.0
"""Seconds without a change after which the file of a process that cannot be seen is a leftover."""

REMEDIES = {
    errno.ENOSPC: "Free some space and run again.",
    errno.EDQUOT: "Free some space or request a larger quota, and run again.",
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f), or use another file system.",
    errno.EACCES: "Check the permissions of the folder (ls -ld).",
    errno.EPERM: "Check the permissions of the folder (ls -ld).",
    errno.EROFS: "Choose a folder on a writable file system.",
}
_PARTIAL = re.compile(r"\.(.+)\.([0-9a-f]{8})-([0-9a-f]{8})-(\d{1,10})-(\w*)\.[0-9a-f]{12}\.partial")


@contextmanager
def os_errors_as_input_errors(path: Path, what: str = "cannot be written") -> Iterator[None]:
    """Convert errors of the operating system to an InputError with the path."""
    try:
        yield
    except OSError as error:
        raise os_error_as_input_error(error, path, what) from error


def os_error_as_input_error(error: OSError, path: Path | str, what: str = "cannot be written") -> InputError:
    """An error of the operating system in the words of this tool."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InputError(str(path), f"{what}: {reason}", REMEDIES.get(error.errno or 0, ""))


@contextmanager
def partial_of(path: Path) -> Iterator[Path]:
    """A name for what will take the place of `path`; whatever has this name when the block ends is removed.

    The first use in a folder removes what dead processes have left there.
    """
    if path.parent not in _cleaned:
        _cleaned.add(path.parent)
        remove_leftovers(path.parent)
    partial = path.with_name(f".{path.name}.{_this_process()}.{uuid.uuid4().hex[:12]}.partial")
    try:
        yield partial
    finally:
        _remove(partial)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` when the block ends without error.

    Raises:
        InputError: disk full, no permission, limit of file size; `path` is then unchanged.
    """
    with os_errors_as_input_errors(path), partial_of(path) as partial:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105 - the call that tests make fail
        sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, is_good: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """An empty folder that takes the place of `path`, and of what is there, when the block ends without error.

    Args:
        path: the folder.
        is_good: whether what is there by then stays instead: another process may have made the same.

    Raises:
        OSError: it cannot be written; `path` is then unchanged.
    """
    with partial_of(path) as partial:
        partial.mkdir(parents=True)
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                sync_file(file)
        if not is_good():
            _install(partial, path)
            sync_folder(path.parent)


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove what dead processes were making in a folder, that of one `name` only if given.

    A folder that cannot be read or written keeps them: cleaning never ends a command.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            found = _PARTIAL.fullmatch(entry.name)
            if found and name in ("", found[1]) and _is_leftover(Path(entry.path), found):
                _remove(Path(entry.path))


def is_partial(name: str) -> bool:
    """Whether a name is that of something that a process is making, or was when it ended."""
    return _PARTIAL.fullmatch(name) is not None


def sync_file(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a folder; the rename is theirs to keep.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


_cleaned: set[Path] = set()
"""Folders in which this process has looked for leftovers."""


def _this_process() -> str:
    pid = os.getpid()
    return f"{_short(processes.host())}-{_short(_boot())}-{pid}-{processes.started(pid)}"


def _boot() -> str:
    return processes.boot() + processes.namespace()


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _is_leftover(path: Path, found: re.Match[str]) -> bool:
    """Whether the process that a name of a partial file or folder names has ended."""
    _, host, boot, pid, start = found.groups()
    if (host, boot) == (_short(processes.host()), _short(_boot())):
        return processes.has_ended(int(pid), start)
    newest = max(entry.stat(follow_symlinks=False).st_mtime for entry in (path, *path.glob("*")))
    return now_of_file_system(path.parent) - newest > PATIENCE


def now_of_file_system(folder: Path) -> float:
    """Time of the clock of the file system of this folder, possibly that of a server."""
    with partial_of(folder / "clock") as probe:
        probe.touch()
        return probe.stat().st_mtime


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    # A file system that became read-only keeps it; what went wrong before matters more.
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _install(partial: Path, final: Path) -> None:
    """Put a whole folder in its place, in that of another one if there is any."""
    while True:
        try:
            partial.rename(final)
            return
        except OSError:
            if not final.exists():
                raise
            with partial_of(final) as aside, suppress(FileNotFoundError):
                final.rename(aside)
