"""Files that are whole or not there, and what is left of processes that were killed while they made one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hydrocli.errors import InputError
from hydrocli.files import PATIENCE, atomic_folder, atomic_write, is_partial, partial_of, remove_leftovers
from hydrocli.processes import LARGEST_PID, has_ended, started

pytestmark = pytest.mark.quick
ENDED = 2**22 + 1
"""More than the largest id that Linux gives."""

KILLED = """
import os, signal, sys
from pathlib import Path
from hydrocli.files import {how}
with {how}(Path(sys.argv[1])) as made:
    {write}
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITE = {
    "atomic_write": "made.write(b'half')",
    "atomic_folder": "(made / 'half').touch()",
    "partial_of": "made.touch()",
}


def left_by(change: Callable[[str], str], path: Path) -> Path:
    """A file that is not finished, of this process but for a change of its name."""
    with partial_of(path) as name:
        pass
    left = name.with_name(change(name.name))
    left.touch()
    return left


@pytest.mark.parametrize("how", WRITE)
def test_what_a_killed_process_was_making_is_removed_by_the_next_one(how: str, tmp_path: Path) -> None:
    source = KILLED.format(how=how, write=WRITE[how])
    subprocess.run([sys.executable, "-c", source, str(tmp_path / "a")], check=False)
    (left,) = tmp_path.iterdir()
    assert is_partial(left.name)
    with atomic_write(tmp_path / "b") as file:
        file.write(b"whole")
    assert [item.name for item in tmp_path.iterdir()] == ["b"]


def test_what_a_living_process_is_making_stays(tmp_path: Path) -> None:
    with partial_of(tmp_path / "a") as mine:
        mine.touch()
        remove_leftovers(tmp_path)
        assert mine.exists()
    other = left_by(lambda name: name.replace(f"-{os.getpid()}-{started(os.getpid())}", f"-1-{started(1)}"), mine)
    reused = left_by(lambda name: name.replace(f"-{started(os.getpid())}.", "-1."), mine)
    ended = left_by(lambda name: name.replace(f"-{os.getpid()}-", f"-{ENDED}-"), mine)
    remove_leftovers(tmp_path)
    assert (other.exists(), reused.exists(), ended.exists()) == (True, False, False)


def test_a_process_that_cannot_be_seen_is_dead_when_it_is_silent(tmp_path: Path) -> None:
    left = left_by(lambda name: name.replace(name.rsplit(".", 3)[1][:8], "0" * 8), tmp_path / "a")
    remove_leftovers(tmp_path)
    assert left.exists()
    old = left.stat().st_mtime - PATIENCE - 1
    os.utime(left, (old, old))
    remove_leftovers(tmp_path)
    assert not left.exists()


def test_files_of_others_stay(tmp_path: Path) -> None:
    names = {"a", ".a.partial", ".a.0.partial", ".hidden", "a.partial"}
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {item.name for item in tmp_path.iterdir()} == names


def test_leftovers_of_one_name_only(tmp_path: Path) -> None:
    one, other = (left_by(lambda name: name.replace(f"-{os.getpid()}-", f"-{ENDED}-"), tmp_path / n) for n in "ab")
    remove_leftovers(tmp_path, "a")
    assert (one.exists(), other.exists()) == (False, True)


def test_a_folder_takes_the_place_of_another_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "a") as folder:
            (folder / content).touch()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "a"):
        raise ZeroDivisionError
    assert [item.name for item in tmp_path.rglob("*")] == ["a", "new"]


def test_a_file_system_that_became_read_only_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file cannot be removed either; the error is the first one."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def write() -> None:
        with monkeypatch.context() as patched, atomic_write(tmp_path / "a") as file:
            patched.setattr("hydrocli.files.os.fsync", refuse)
            patched.setattr(Path, "unlink", refuse)
            file.write(b"half")

    with pytest.raises(InputError, match="Read-only file system"):
        write()


@pytest.mark.parametrize("pid", [0, -1, LARGEST_PID + 1, 10**30])
def test_a_process_id_that_no_process_has(pid: int) -> None:
    assert has_ended(pid, "1")
