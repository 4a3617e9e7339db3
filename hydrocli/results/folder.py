"""The run folder: its manifest, and exclusive access to it.

`manifest.json` describes versions, host, inputs and result of the run:

| state | meaning |
|---|---|
| created | nothing computed yet |
| running | a process works on it; if none holds the lock, that process was killed |
| stopped | interrupted; the same command continues it |
| finished | done |
| failed | ended with an error, see `ending` |
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

import hydrocli
from hydrocli import run_format
from hydrocli.errors import HeldError, HydrocliError, InputError, Stopped
from hydrocli.files import is_partial, os_errors_as_input_errors, partial_of, remove_leftovers
from hydrocli.formatting import to_jsonable
from hydrocli.results import log
from hydrocli.results.lock import Lock, Owner, holder
from hydrocli.results.write import write_json, write_text

State = Literal["created", "running", "stopped", "finished", "failed"]

CONFIG, MANIFEST, JOURNAL = run_format.CONFIG, run_format.MANIFEST, "journal.bin"
LOCK = "lock.json"
LOG = "log.jsonl"
PAGE = "report.html"
MEMBERS = "members"
"""Folder inside a run folder: runs of the further members of an ensemble."""
FOLDERS = ("parameters", "maps", "figures")
"""Folders inside a run folder."""
PARTIAL = ".*.partial"
"""Pattern of the names of files that are not finished, see `hydrocli.files`."""
FIRST_BYTES = 2**20
"""Space that must be free before an earlier run is moved aside."""
LIBRARIES = ("numpy", "numba", "llvmlite", "scipy", "pyarrow")
"""Libraries whose version may change a number or a file."""


def _versions() -> dict[str, str]:
    versions = {"hydrocli": hydrocli.__version__, "python": platform.python_version()}
    # From the metadata of the installed packages: importing them would cost seconds.
    return versions | {library: metadata.version(library) for library in LIBRARIES}


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds.

    Attributes:
        run: name of the run, also the column `run` of its tables.
        state: see the module.
        ending: how it ended, as a sentence.
        identity: hash of everything that changes the results; another hash means another run.
        seed: of every random number.
        inputs: fingerprint of each input by name.
        timings: seconds by part of the work, those of the processors (`<part>_cpu`), and those of it in which code was
            compiled or read from the cache (`<part>_compilation`).
        counts: numbers of cells, steps, evaluations, missing forcing ...
        stages: of a calibration: name, reason for stopping, iterations, evaluations, cost, seconds.
        gradient_norms: at the end of a calibration, 2-norm of the gradient of each group of controls.
        structure: kind, snow, title, states, fluxes and corrections of the structure, as the report needs them, and the
            time step [s] that its values per step belong to.
        first_guess: value of each calibrated parameter from which a mapping by descriptors started; empty where it
            started from maps.
        uncertainty: assumptions behind the standard errors of the controls.
        warnings: sentences for the user.
        files: of a finished run, size and SHA-256 of each file (see `run_format`).
        created, updated: UTC.
        versions, host, cpu, command: of the last command that computed.
    """

    run: str
    format: int = run_format.RUN_FORMAT
    state: State = "created"
    ending: str = ""
    identity: str = ""
    seed: int | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    gradient_norms: dict[str, float] = field(default_factory=dict)
    structure: dict[str, Any] = field(default_factory=dict)
    first_guess: dict[str, float] = field(default_factory=dict)
    uncertainty: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    updated: str = field(default_factory=_now)
    versions: dict[str, str] = field(default_factory=_versions)
    host: str = field(default_factory=socket.gethostname)
    cpu: str = field(default_factory=_cpu)
    command: str = field(default_factory=lambda: shlex.join(sys.argv))


@dataclass(frozen=True)
class Status:
    """State of a run folder, read without a lock."""

    run: str
    state: State
    ending: str
    holder: Owner | None


def parts_of(timings: Mapping[str, float]) -> list[str]:
    """Parts of the work that have a wall time."""
    return [name for name in timings if not name.endswith(("_cpu", "_compilation"))]


class RunFolder:
    """A run folder that this process holds until the end of the `with` block.

    An error that leaves the block while the state is `running` is recorded: `stopped` for `Stopped`, else `failed`.
    """

    def __init__(self, path: Path, lock: Lock, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = lock

    @classmethod
    def open(cls, path: Path, run: str) -> RunFolder:
        """Create or open the folder `path`, and lock it.

        Args:
            path: the folder; missing parents are created.
            run: name of a new run; an existing run keeps its name.

        Raises:
            HeldError: another process holds it.
            InputError: it has other content than a run, or cannot be written.
        """
        path = Path(path).absolute()
        with os_errors_as_input_errors(path, "cannot be made"):
            path.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(path)
        lock = Lock(path / LOCK)
        lock.acquire()
        try:
            _remove_leftovers(path)
            log.repair_last_line(path / LOG)
            return cls(path, lock, _found_or_new(path, run))
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self._record_ending(error)
        finally:
            self._lock.release()

    def assert_held(self) -> None:
        """Raise HeldError if another process took the folder over; called repeatedly in a long run."""
        self._lock.assert_held()

    def update(self, **changes: Any) -> None:
        """Change fields of the manifest and write it; dictionaries are merged.

        Raises:
            TypeError: no such field.
            HeldError: another process holds the folder by now.
        """
        self.assert_held()
        merged = {
            name: getattr(self.manifest, name) | value if isinstance(value, dict) else value
            for name, value in changes.items()
        }
        self.manifest = replace(self.manifest, **merged, updated=_now())
        _write_manifest(self.path, self.manifest)

    def start(self, **changes: Any) -> None:
        """Record that this process starts to compute, with its versions, host and command."""
        self.update(**_starting(self.manifest), **changes)

    def finish(self, sentence: str) -> None:
        """Record that the run is done, and the checksums of its files."""
        self.manifest = replace(self.manifest, files=run_format.checksums(self.path))
        self.update(state="finished", ending=sentence)

    @contextmanager
    def rewriting(self, *names: str) -> Iterator[None]:
        """Replace files of a finished run; without names any of them.

        Their checksums leave the manifest before, and come back after: a kill in between damages nothing.
        """
        kept = {name: listed for name, listed in self.manifest.files.items() if names and name not in names}
        self.manifest = replace(self.manifest, files=kept)
        self.update()
        yield
        self.update(files=run_format.checksums(self.path, names))

    def warn(self, sentence: str) -> None:
        """Add a warning to the log and, once, to the manifest."""
        if sentence not in self.manifest.warnings:
            self.update(warnings=(*self.manifest.warnings, sentence))
        self.log("warning", "warning", sentence=sentence)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the times of the block to the timings; a continued run adds to the earlier times."""
        began, began_cpu = time.perf_counter(), time.process_time()
        yield
        self.add_times(**{part: time.perf_counter() - began, f"{part}_cpu": time.process_time() - began_cpu})

    def add_times(self, **seconds: float) -> None:
        """Add to timings of the manifest."""
        self.update(timings={name: self.manifest.timings.get(name, 0.0) + more for name, more in seconds.items()})

    def log(self, event: str, level: log.Level = "info", **fields: Any) -> None:
        """Add a line to `log.jsonl`."""
        log.append(self.path / LOG, event, level, **fields)

    def record(self, fields: dict[str, Any]) -> None:
        """Add a line of fields, `event` and `level` among them, to `log.jsonl`."""
        self.log(**fields)

    def begin_again(self, config: str, **changes: Any) -> Path:
        """Rename the folder to `<name>.1` (or the next free number), and start a new run in its place.

        The new folder is locked, written and has space to begin before the old one is moved.

        Args:
            config: text of `config.yaml` of the new run.
            changes: fields of its manifest, see `start`.

        Returns:
            The path that the old run has now.

        Raises:
            InputError: the new run cannot be written; the old one is where it was.
            HeldError: another process started in the new folder first.
        """
        self.assert_held()
        manifest = Manifest(self.manifest.run)
        manifest = replace(manifest, **_starting(manifest), **changes)
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        with os_errors_as_input_errors(self.path), partial_of(self.path) as fresh:
            fresh.mkdir()
            self._lock.copy_to(fresh)
            write_text(fresh / CONFIG, config)
            write_json(fresh / MANIFEST, asdict(manifest))
            _require_space(fresh)
            self._lock.stop_beating()
            try:
                self._exchange(fresh, aside)
            finally:
                self._lock.start_beating()
            self.manifest = manifest
            (aside / LOCK).unlink(missing_ok=True)
        return aside

    def _exchange(self, fresh: Path, aside: Path) -> None:
        """Move the old run aside, and the new one to its place; neither moves where one of them cannot."""
        self.path.rename(aside)
        try:
            fresh.rename(self.path)
        except OSError as error:
            try:
                aside.rename(self.path)
            except OSError:
                what = f"another process started there while the earlier run was moved to {aside}"
                raise HeldError(str(self.path), what, "Wait for it, or choose another folder.") from error
            raise

    def _record_ending(self, error: BaseException) -> None:
        # Signals and Ctrl-C are no `Exception`: whoever sends them wants an end, and the same command goes on.
        is_stop = isinstance(error, Stopped) or not isinstance(error, Exception | SystemExit)
        state: State = "stopped" if is_stop else "failed"
        sentence = str(error) or type(error).__name__
        if is_stop and not isinstance(error, Stopped):
            sentence = f"stopped by {str(error) or type(error).__name__}"
        elif not isinstance(error, HydrocliError):
            sentence = f"{type(error).__name__}: {error}"
        # The disk may be full, or another process may hold the folder: the original error matters more.
        with suppress(HydrocliError):
            self.assert_held()
            known = is_stop or isinstance(error, HydrocliError)
            where = {} if known else {"traceback": traceback.format_exception(error)}
            self.log(state, "info" if state == "stopped" else "error", sentence=sentence, **where)
            if self.manifest.state == "running":
                self.update(state=state, ending=sentence)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a run folder.

    Raises:
        InputError: there is no folder or no manifest, or it is not one of hydrocli's, or of another format.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise InputError(
            str(folder), "does not exist", "Run `hydrocli calibrate` first, or check the path of the run folder."
        )
    if not path.exists():
        raise InputError(
            str(folder),
            f"is not a run folder (no {MANIFEST})",
            "Run `hydrocli calibrate` first, or check the path of the run folder.",
        )
    with os_errors_as_input_errors(path, "cannot be read"):
        content = path.read_bytes()
    try:
        values = json.loads(content)
        if run_format.is_other_format(found := values["format"]):  # whose checksum may be made otherwise
            raise run_format.other_format(folder, found)
        if values.get(run_format.OWN, "") not in ("", run_format.own_checksum(values)):
            raise ValueError("it is damaged: its checksum differs")
        if found != run_format.RUN_FORMAT:
            raise ValueError(f"its format is {found!r}")
        if values["state"] not in get_args(State):
            raise ValueError(f"its state is {values['state']!r}")
        # Fields that an older version did not write get their default.
        known = {item.name: values[item.name] for item in fields(Manifest) if item.name in values}
        return Manifest(**{**known, "warnings": tuple(values["warnings"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            str(path), f"is not the manifest of a run ({error})", "Move the folder away, or choose another one."
        ) from error


def status(folder: Path) -> Status:
    """State of a run folder; read-only, without a lock.

    Raises:
        InputError: it is not a run folder.
    """
    manifest = read_manifest(folder)
    owner = holder(folder / LOCK)
    if manifest.state == "running" and owner is None:
        manifest = _killed(manifest)
    return Status(manifest.run, manifest.state, manifest.ending, owner)


def page_hint(folder: Path) -> str:
    """Sentence on the report of a run: where it is, or how to create it."""
    page = folder / PAGE
    again = f"`hydrocli report {shlex.quote(str(folder))}`"
    return f"{page} is out of date; to update it: {again}" if page.exists() else f"to create the report: {again}"


def _killed(manifest: Manifest) -> Manifest:
    sentence = (
        f"Ended without an error message after {manifest.updated} on {manifest.host}: killed, or the host went down."
    )
    return replace(manifest, state="stopped", ending=sentence)


def _starting(manifest: Manifest) -> dict[str, Any]:
    """Fields of the manifest of a run that this process starts to compute, or to continue."""
    fresh = asdict(Manifest(manifest.run))
    here = {name: fresh[name] for name in ("versions", "host", "cpu", "command")}
    counts = manifest.counts | {"starts": manifest.counts.get("starts", 0) + 1}
    return {"state": "running", "ending": "", "counts": counts, **here}


def _require_space(folder: Path) -> None:
    """Reserve what a run writes first: the head of its journal, its log.

    Raises:
        OSError: there is not so much.
    """
    with partial_of(folder / "space") as probe, probe.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, FIRST_BYTES)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes were writing in a run folder, and beside it in its place."""
    remove_leftovers(path.parent, path.name)
    for folder in (path, *(path / name for name in FOLDERS)):
        remove_leftovers(folder)
        with os_errors_as_input_errors(folder, "cannot be cleaned"):
            for item in folder.glob(PARTIAL):
                if not is_partial(item.name):  # it names no process, which can only have held this lock
                    item.unlink(missing_ok=True)


def _found_or_new(path: Path, run: str) -> Manifest:
    """The manifest of a locked folder; a state `running` means that the earlier process was killed."""
    if not (path / MANIFEST).exists():
        manifest = Manifest(run)
    elif (manifest := read_manifest(path)).state == "running":
        manifest = _killed(manifest)
        log.append(path / LOG, "taken over", "warning", sentence=manifest.ending)
    else:
        return manifest
    _write_manifest(path, manifest)
    return manifest


def _write_manifest(path: Path, manifest: Manifest) -> None:
    values = to_jsonable(asdict(manifest))
    write_json(path / MANIFEST, values | {run_format.OWN: run_format.own_checksum(values)})


def _refuse_foreign(path: Path) -> None:
    items = {item.name for item in path.iterdir()}  # listed once: another process may be starting here
    if MANIFEST in items:
        read_manifest(path)
        return
    ours = {name for name in items if fnmatch(name, PARTIAL) or name.startswith(LOCK)}
    if foreign := sorted(items - ours):
        raise InputError(
            str(path),
            f"is not a run folder, and not empty: it contains {', '.join(foreign[:3])}{' ...' if foreign[3:] else ''}",
            "Choose another folder, or move its content away.",
        )
