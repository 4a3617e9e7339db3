"""One owner at a time, an ending for every run, and nothing touched that is not ours."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from results_examples import Spawn

from hydrocli.errors import HeldError, InputError, Stopped
from hydrocli.execution.signals import Terminated
from hydrocli.results import lock, read
from hydrocli.results.folder import RunFolder, read_manifest, status
from hydrocli.results.log import read_log

HOLDER = """
    import sys, time
    from pathlib import Path
    from hydrocli.results.folder import RunFolder
    with RunFolder.open(Path(sys.argv[1]), "held") as folder:
        folder.start()
        print("holding", flush=True)
        time.sleep(60)
"""


def leave_lock(folder: Path, age: float = 0.0, **changes: object) -> Path:
    """A lock file in `folder` as another process would have left it."""
    folder.mkdir(exist_ok=True)
    path = folder / "lock.json"
    owner = dataclasses.asdict(lock.this_process()) | changes
    path.write_text(json.dumps(owner))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_life_of_a_run(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a" / "b", "cance") as folder:
        assert status(folder.path).state == "created"
        folder.start(seed=1, inputs={"rain": "abc"}, identity="d41d")
        found = status(folder.path)
        assert found.state == "running"
        assert found.holder is not None
        assert (found.holder.pid, found.holder.host) == (os.getpid(), socket.gethostname())
        with folder.timed("ingest"):
            pass
        with folder.timed("calibrate"):
            time.sleep(0.01)
        first = folder.manifest.timings["calibrate"]
        with folder.timed("calibrate"):
            time.sleep(0.01)
        folder.warn("Three gauges have no data.")
        folder.warn("Three gauges have no data.")
        folder.update(counts={"missing": 3})
        folder.finish("The gradient is small.")
    manifest = read_manifest(tmp_path / "a" / "b")
    assert (manifest.state, manifest.ending, manifest.seed) == ("finished", "The gradient is small.", 1)
    assert manifest.inputs == {"rain": "abc"}
    assert manifest.counts == {"starts": 1, "missing": 3}
    assert manifest.warnings == ("Three gauges have no data.",)
    assert set(manifest.timings) == {"ingest", "calibrate", "ingest_cpu", "calibrate_cpu"}
    assert manifest.timings["calibrate"] >= first + 0.01
    assert {"hydrocli", "python", "numpy", "numba", "scipy", "pyarrow"} <= set(manifest.versions)
    assert manifest.host == socket.gethostname()
    assert manifest.cpu
    assert manifest.command.startswith(shlex.quote(sys.argv[0]))
    assert sorted(item.name for item in (tmp_path / "a" / "b").iterdir()) == ["log.jsonl", "manifest.json"]
    with RunFolder.open(tmp_path / "a" / "b", "another name") as folder:
        assert folder.manifest == manifest


@pytest.mark.parametrize(
    ("error", "state", "ending"),
    [
        (Stopped("runs/a", "stopped by SIGTERM", "Run again."), "stopped", "runs/a: stopped by SIGTERM\n  Run again."),
        (InputError("rain.tif", "is broken"), "failed", "rain.tif: is broken"),
        (ZeroDivisionError("division"), "failed", "ZeroDivisionError: division"),
        (KeyboardInterrupt(), "stopped", "stopped by KeyboardInterrupt"),
        (Terminated("SIGTERM"), "stopped", "stopped by SIGTERM"),
        (SystemExit(3), "failed", "SystemExit: 3"),
    ],
)
def test_every_ending_is_recorded(error: BaseException, state: str, ending: str, tmp_path: Path) -> None:
    def run() -> None:
        with RunFolder.open(tmp_path / "a", "a") as folder:
            folder.start()
            raise error

    with pytest.raises(type(error)):
        run()
    manifest = read_manifest(tmp_path / "a")
    assert (manifest.state, manifest.ending) == (state, ending)
    assert not (tmp_path / "a" / "lock.json").exists()
    assert read_log(tmp_path / "a" / "log.jsonl")[-1]["event"] == state


def test_error_of_a_later_command_leaves_the_run_finished(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a", "a") as folder:
        folder.start()
        folder.finish("Done.")
    with pytest.raises(ZeroDivisionError), RunFolder.open(tmp_path / "a", "a"):
        raise ZeroDivisionError
    assert read_manifest(tmp_path / "a").state == "finished"


def test_misspelt_field_is_a_bug(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a", "a") as folder, pytest.raises(TypeError):
        folder.update(sed=1)


def test_second_process_is_refused_until_the_first_ends(tmp_path: Path, spawn: Spawn) -> None:
    process = spawn(HOLDER, tmp_path / "a")
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    says = rf"is in use by another process: {socket.gethostname()}, process {process.pid}, since "
    with pytest.raises(HeldError, match=says) as caught:
        RunFolder.open(tmp_path / "a", "a")
    assert caught.value.exit_status == 6
    os.kill(process.pid, signal.SIGKILL)
    # Not waited for yet: a dead process whose parent has not looked is gone all the same.
    deadline = time.monotonic() + 10
    while status(tmp_path / "a").holder and time.monotonic() < deadline:
        time.sleep(0.01)
    with RunFolder.open(tmp_path / "a", "a") as folder:
        assert folder.manifest.state == "stopped"
        assert "Ended without an error message" in folder.manifest.ending
        assert read_log(folder.path / "log.jsonl")[-1]["event"] == "taken over"


def test_same_process_twice_is_refused(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a", "a"), pytest.raises(HeldError, match=f"process {os.getpid()}"):
        RunFolder.open(tmp_path / "a", "a")
    with RunFolder.open(tmp_path / "a", "a"):
        pass


@pytest.mark.parametrize(
    ("age", "changes"),
    [
        (0, {"pid": 2**22 + 1}),  # above the largest id that Linux gives
        (0, {"started": "1"}),  # the id was given to another process since
        (0, {"boot": "before the reboot"}),
        (lock.PATIENCE + 10, {"host": "elsewhere"}),
        (lock.PATIENCE + 10, {"namespace": "another container"}),
        (lock.MOMENT + 10, {"pid": "not a number"}),
    ],
)
def test_stale_lock_is_taken_over(age: float, changes: dict[str, object], tmp_path: Path) -> None:
    leave_lock(tmp_path / "a", age, **changes)
    with RunFolder.open(tmp_path / "a", "a") as folder:
        found = status(folder.path).holder
        assert found is not None
        assert found.pid == os.getpid()
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("age", "changes"),
    [
        (lock.PATIENCE + 1e6, {}),  # this very process: alive, however long silent
        (lock.PATIENCE - 60, {"host": "elsewhere", "pid": 2**22 + 1}),
        (lock.PATIENCE - 60, {"namespace": "another container", "pid": 2**22 + 1}),
        (0, {"pid": "not a number"}),
    ],
)
def test_living_owner_keeps_its_lock(age: float, changes: dict[str, object], tmp_path: Path) -> None:
    path = leave_lock(tmp_path / "a", age, **changes)
    before = path.read_bytes()
    with pytest.raises(HeldError):
        RunFolder.open(tmp_path / "a", "a")
    assert path.read_bytes() == before


OLD = lock.MOMENT + 60
"""Seconds after which a process that was starting has written its name."""
ODD_LOCKS: dict[str, Callable[[Path], object]] = {
    "dangling link": lambda path: path.symlink_to("/nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to an endless file": lambda path: path.symlink_to("/dev/zero"),
    "pipe": lambda path: os.mkfifo(path),
    "folder": lambda path: path.mkdir(),
    "process id of 31 digits": lambda path: leave_lock(path.parent, OLD, pid=10**30),
    "process id that is a text": lambda path: leave_lock(path.parent, OLD, pid="1"),
    "process id that is true": lambda path: leave_lock(path.parent, OLD, pid=True),
    "host that is a number": lambda path: leave_lock(path.parent, OLD, host=3),
    "deep JSON": lambda path: path.write_text("[" * 60_000),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "empty": lambda path: path.touch(),
}


@pytest.mark.parametrize("kind", ODD_LOCKS)
@pytest.mark.parametrize("name", ["lock.json", "lock.json.takeover"])
def test_whatever_is_in_the_place_of_a_lock_locks_nobody_out(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrocli.results.lock.time.sleep", lambda seconds: None)
    path = tmp_path / "a" / name
    path.parent.mkdir()
    if name != "lock.json" and kind.startswith(("process", "host")):
        ODD_LOCKS[kind](path.with_name("lock.json"))
        path.with_name("lock.json").rename(path)
    else:
        ODD_LOCKS[kind](path)
    moment = time.time() + (OLD if kind == "empty" else -OLD)  # a clock may be wrong
    os.utime(path, (moment, moment), follow_symlinks=False)
    with RunFolder.open(path.parent, "a") as folder:
        assert status(folder.path).holder is not None
    assert [item.name for item in path.parent.iterdir()] == ["manifest.json"]


def test_a_folder_that_becomes_read_only_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock cannot be removed: the process goes, and the next one finds the lock of a dead one."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patched, RunFolder.open(tmp_path / "a", "a"):
        patched.setattr(Path, "unlink", refuse)
    assert (tmp_path / "a" / "lock.json").exists()


def test_taker_that_was_killed_locks_nobody_out(tmp_path: Path) -> None:
    stale = leave_lock(tmp_path / "a", pid=2**22 + 1)
    stale.with_name("lock.json.takeover").write_bytes(stale.read_bytes())
    with RunFolder.open(tmp_path / "a", "a"):
        pass
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["manifest.json"]


def test_slow_taker_does_not_remove_the_lock_of_a_quick_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race itself, step by step: both find the lock stale, one takes it over, then the other goes on."""
    path = leave_lock(tmp_path / "a", pid=2**22 + 1)
    is_stale, quick = lock._is_stale, lock.Lock(path)

    def overtaken(*arguments: object) -> bool:
        monkeypatch.setattr(lock, "_is_stale", is_stale)
        found = is_stale(*arguments)
        quick.acquire()
        return found

    monkeypatch.setattr(lock, "_is_stale", overtaken)
    with pytest.raises(HeldError, match=f"process {os.getpid()}"):
        lock.Lock(path).acquire()
    assert json.loads(path.read_text())["token"] == quick.owner.token
    quick.release()
    assert list((tmp_path / "a").iterdir()) == []


def test_second_taker_waits_for_no_one(tmp_path: Path) -> None:
    stale = leave_lock(tmp_path / "a", pid=2**22 + 1)
    guard = lock.Lock(stale.with_name("lock.json.takeover"))
    guard.acquire()
    with pytest.raises(HeldError, match=f"process {os.getpid()}"):
        lock.Lock(stale).acquire()
    assert stale.exists()
    guard.release()


RACER = """
    import sys
    from pathlib import Path
    from hydrocli.errors import HeldError
    from hydrocli.results.lock import Lock

    path, inside, wins = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    won = 0
    while won < wins:
        lock = Lock(path)
        try:
            lock.acquire()
        except HeldError:
            continue
        inside.mkdir()  # fails if another one is inside
        inside.rmdir()
        won += 1
        if won % 3 == 0:  # goes without releasing, as if killed: the next one takes over from a dead process
            lock.stop_beating()
            path.write_text(path.read_text().replace(f'"pid": {lock.owner.pid}', '"pid": 4194305'))
        else:
            lock.release()
    print(won)
"""


@pytest.mark.slow
def test_never_two_owners(tmp_path: Path, spawn: Spawn) -> None:
    """Three processes fight for a lock that one time in three is left stale; a folder made inside proves each alone."""
    racers = [spawn(RACER, tmp_path / "lock.json", tmp_path / "inside", 20) for _ in range(3)]
    results = [racer.communicate(timeout=120) for racer in racers]
    assert [errors for _, errors in results] == [""] * 3
    assert [int(output) for output, _ in results] == [20] * 3


def test_owner_that_lost_its_folder_writes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)

    def run() -> None:
        with RunFolder.open(tmp_path / "a", "a") as folder:
            folder.start()
            leave_lock(tmp_path / "a", host="elsewhere", token="other")
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                folder.assert_held()
                time.sleep(0.01)

    with pytest.raises(HeldError, match=r"was taken over by elsewhere, process"):
        run()
    assert (tmp_path / "a" / "lock.json").exists(), "the lock of the new owner stays"
    assert read_manifest(tmp_path / "a").state == "running"


def test_heartbeat_touches_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with RunFolder.open(tmp_path / "a", "a") as folder:
        path = folder.path / "lock.json"
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 1
        folder.assert_held()


def test_job_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with RunFolder.open(tmp_path / "a", "a"), pytest.raises(HeldError, match="job 4711"):
        RunFolder.open(tmp_path / "a", "a")


def test_begin_again_sets_the_old_one_aside(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a", "cance") as folder:
        folder.start()
        (folder.path / "scores.parquet").write_bytes(b"old")
        assert folder.begin_again("name: cance\n", identity="b") == tmp_path / "a.1"
        assert (folder.manifest.state, folder.manifest.identity) == ("running", "b")
        assert folder.manifest == read_manifest(folder.path)
        assert folder.manifest.run == "cance"
        assert (folder.path / "config.yaml").read_text() == "name: cance\n"
        with pytest.raises(HeldError):
            RunFolder.open(tmp_path / "a", "a")
        (folder.path / "scores.parquet").write_bytes(b"newer")
        assert folder.begin_again("") == tmp_path / "a.2"
        folder.finish("Done.")
    assert (tmp_path / "a.1" / "scores.parquet").read_bytes() == b"old"
    assert (tmp_path / "a.2" / "scores.parquet").read_bytes() == b"newer"
    assert status(tmp_path / "a").state == "finished"
    assert not list(tmp_path.rglob("lock.json"))


@pytest.mark.parametrize("call", ["posix_fallocate", "fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_run_where_it_is(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunFolder.open(tmp_path / "a", "cance") as folder:
        folder.start(identity="old")
        folder.finish("Done.")
    with RunFolder.open(tmp_path / "a", "cance") as folder:
        with monkeypatch.context() as patched:
            patched.setattr(f"hydrocli.files.os.{call}", full)
            with pytest.raises(InputError, match="No space left on device"):
                folder.begin_again("", identity="new")
        assert (folder.manifest.identity, folder.manifest.state) == ("old", "finished")
        with pytest.raises(HeldError):
            RunFolder.open(tmp_path / "a", "a")
    assert [item.name for item in tmp_path.iterdir()] == ["a"]
    assert not (tmp_path / "a" / "lock.json").exists()


@pytest.mark.parametrize("name", ["thesis.tex", "scores.parquet", ".hidden"])
def test_foreign_folder_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(InputError, match=rf"is not a run folder, and not empty: it contains {name}"):
        RunFolder.open(tmp_path, "a")
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_two_that_start_at_once_are_one_and_a_refused_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the other appear while the folder is looked at: it is held, and no foreign one."""
    listed = Path.iterdir

    def late(path: Path) -> Iterator[Path]:
        for item in listed(tmp_path / "other"):
            shutil.copy(item, path)
        return listed(path)

    with RunFolder.open(tmp_path / "other", "a"):
        monkeypatch.setattr(Path, "iterdir", late)
        with pytest.raises(HeldError):
            RunFolder.open(tmp_path / "a", "a")


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"format": "web app"}', '{"format": 3, "state": "exploded"}', "\udcff"],
)
def test_foreign_manifest_is_left_alone(content: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content.encode(errors="surrogateescape"))
    (tmp_path / ".precious.partial").write_text("")
    with pytest.raises(InputError, match="is not the manifest of a run"):
        RunFolder.open(tmp_path, "a")
    assert sorted(item.name for item in tmp_path.iterdir()) == [".precious.partial", "manifest.json"]


@pytest.mark.parametrize(("found", "number"), [("hydrocli run folder 1", 1), (2, 2), (4, 4)])
def test_a_folder_of_another_format_is_refused_and_left_alone(found: str | int, number: int, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format": found, "state": "finished"}))
    expected = rf"format {number} of run folders; this version of hydrocli uses format 3\n  Calibrate again"
    for act in (read_manifest, lambda path: RunFolder.open(path, "a"), read):
        with pytest.raises(InputError, match=expected):
            act(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["manifest.json"]


def test_start_that_was_killed_before_the_manifest(tmp_path: Path) -> None:
    leave_lock(tmp_path / "a", pid=2**22 + 1)
    (tmp_path / "a" / ".manifest.json.77.partial").write_text("{")
    with RunFolder.open(tmp_path / "a", "a") as folder:
        assert [item.name for item in folder.path.glob(".*")] == []
        assert folder.manifest.state == "created"


def test_nothing_heavy_is_imported_to_own_a_folder(tmp_path: Path) -> None:
    source = (
        "import sys; from pathlib import Path; from hydrocli.results.folder import RunFolder\n"
        "import hydrocli.results\n"
        "with RunFolder.open(Path(sys.argv[1]), 'a') as folder: folder.start()\n"
        "print(sorted({'pyarrow', 'pandas', 'rasterio', 'scipy', 'numba', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", source, tmp_path / "a"], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
