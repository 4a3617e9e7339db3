"""Random kills: commands are killed at random moments, continued, and must end as if nobody had disturbed them.

    python tests/kills.py --kills 200 --seed 1
    python tests/kills.py --kills 20 --cases batch regional

A command runs on a fortnight of the embedded sample. SIGKILL, SIGTERM or SIGINT comes to its process, to its process
group or to one of its workers, at a random moment; the same command is then started again, perhaps killed again, and in
the end left alone. What must hold:

* it ends within a time limit, with a documented exit status and without a traceback;
* no process of it outlives it;
* the next start goes on, and its tables are those of an undisturbed run, to the bit;
* nothing is left that is neither a result nor an input: no lock, no journal, no file that is not finished.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from runs_harness import BASE, ROOT, changed, command, configuration

FORTNIGHT: dict[str, Any] = {
    "period.start": "2014-10-01T00:00Z",
    "period.calibration": ["2014-10-04T00:00Z", "2014-10-12T00:00Z"],
    "period.validation": {"later": ["2014-10-12T00:00Z", "2014-10-15T00:00Z"]},
    "period.end": "2014-10-15T00:00Z",
    "first_guess": {"kind": "given"},
    "optimiser": {"kind": "lbfgsb", "iterations": 5},
}
FIRST_ISSUE, LAST_ISSUE = "2014-10-12T00:00Z", "2014-10-14T00:00Z"
OPTIMISERS: dict[str, Any] = {
    "lbfgsb": {"kind": "lbfgsb", "iterations": 40, "cost_tolerance": 0.0, "gradient_tolerance": 0.0},
    "adam": {
        "kind": "adam",
        "iterations": 60,
        "batches": {"length": "3d", "spin_up": "1d", "full_evaluation_every": 7},
    },
    "levenberg_marquardt": {"kind": "levenberg_marquardt", "iterations": 30, "cost_tolerance": 0.0},
    "cmaes": {"kind": "cmaes", "iterations": 12},
    "sbs": {"kind": "sbs", "iterations": 8},
    "stages": [{"kind": "sbs", "iterations": 3}, {"kind": "lbfgsb", "iterations": 20}],
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("process", "group", "worker")
DONE, STOPPED, INTERRUPTED = 0, 75, 130
LIMIT = 120.0
"""Seconds in which a command must end, killed or not."""
GRACE = 30.0
"""Seconds that workers have to save what they do once their parent is dead."""
COMPILES = 15.0
"""Seconds of a command that probably compiled the model, and takes less time from now on."""
LEFTOVERS = (
    "*.partial",
    "*.partial-journal",
    ".export.*",
    "lock*.json",
    "*.takeover",
    "journal.bin",
    "tmp*",
    "ingestion.json",
)
UNEQUAL = {"seconds", "updated", "attempts"}
"""Columns that differ from run to run: wall times, starts."""
MARK = "HYDROCLI_TEST_KILLS"


@dataclass(frozen=True)
class Case:
    """Command lines in a folder, the same each time, and what they leave."""

    name: str
    fill: Callable[[Path], None]
    lines: tuple[tuple[str, ...], ...]
    ingests: bool = False


def write(folder: Path, stem: str = "run", **changes: Any) -> None:
    """A configuration with its store in the folder; a store that is there already is found."""
    configuration(folder / f"{stem}.yaml", folder / "store", changes=FORTNIGHT | changes)


def write_region(folder: Path) -> None:
    write(folder, "b2", **{"name": "b2", "gauges.calibration": ["S0003"], "gauges.validation": []})
    changes = {"gauges.calibration": ["S0001"], "gauges.validation": [], "regional": {"basins": ["b2.yaml"]}}
    write(folder, **changes, optimiser=OPTIMISERS["lbfgsb"], execution={"workers": 2})


def write_campaign(folder: Path) -> None:
    write(folder, "base", **{"gauges.calibration": None, "gauges.validation": None})
    values = {
        "name": "trial",
        "folder": "trial",
        "base": "base.yaml",
        "catchments": {"codes": ["S0003", "S0004"]},
        "models": {"gr": {}, "sbs": {"optimiser": OPTIMISERS["sbs"]}},
        "execution": {"workers": 2, "attempts": 9},
    }
    (folder / "campaign.yaml").write_text(yaml.safe_dump(values))


def calibrations() -> Iterator[Case]:
    for name, optimiser in OPTIMISERS.items():
        yield Case(name, lambda folder, chosen=optimiser: write(folder, optimiser=chosen), (("calibrate", "run.yaml"),))


def after(name: str, *line: str) -> Case:
    """A command on a run that is calibrated and scored."""
    return Case(name, write, (line,))


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *calibrations(),
        Case("regional", write_region, (("calibrate", "run.yaml"),)),
        Case("batch", write_campaign, (("batch", "campaign.yaml"),)),
        Case("ingest", write, (("ingest", "run.yaml"),), ingests=True),
        Case("first", write, (("calibrate", "run.yaml"),), ingests=True),
        after("validate", "validate", "run.yaml"),
        after("signatures", "signatures", "run.yaml"),
        after("report", "report", "run.yaml"),
        after("geopackage", "export", "run.yaml"),
        after("netcdf", "export", "run.yaml", "--to", "netcdf"),
        after("simulate", "simulate", "run.yaml", "--output", "simulated"),
        after("hindcast", "hindcast", "run.yaml", "--from", FIRST_ISSUE, "--to", LAST_ISSUE, "--every", "2h"),
        after("forecast", "forecast", "run.yaml", "--issue", FIRST_ISSUE),
        after("again", "calibrate", "run.yaml", "--force", "--set", "optimiser.iterations=9"),
    )
}
PREPARED = ("validate", "signatures", "report", "geopackage", "netcdf", "simulate", "hindcast", "forecast", "again")
"""Cases that begin with a finished run."""


@dataclass
class Tally:
    """What happened: kills by case, target, signal and exit status; sentences on what must not be."""

    kills: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Trial:
    """A case in a folder of its own, beside the folder of an undisturbed run of it."""

    def __init__(self, case: Case, base: Path, tally: Tally) -> None:
        self.case, self.base, self.tally = case, base, tally
        self.start, self.undisturbed, self.folder = base / "start", base / "undisturbed", base / "trial"
        self.seconds: list[float] = []

    def prepare(self, store: Path) -> None:
        """Fill the folder that every trial begins with, and run the case once."""
        self.start.mkdir(parents=True)
        # Paths are absolute: the folder has the same name for every trial, and is moved when it is done.
        self.start.rename(self.folder)
        self.case.fill(self.folder)
        if not self.case.ingests:
            shutil.copytree(store, self.folder / "store")
        if self.case.name in PREPARED:
            for line in (("calibrate", "run.yaml"), ("validate", "run.yaml")):
                self._require(self._run(line))
        shutil.copytree(self.folder, self.start)
        self.seconds = self._timed()
        self.folder.rename(self.undisturbed)
        if sum(self.seconds) > COMPILES:
            shutil.copytree(self.start, self.folder)
            self.seconds = self._timed()
            shutil.rmtree(self.folder)

    def _timed(self) -> list[float]:
        seconds = []
        for line in self.case.lines:
            began = time.monotonic()
            self._require(self._run(line))
            seconds.append(time.monotonic() - began)
        return seconds

    def disturb(self, rng: random.Random, kills: int) -> None:
        """Kill so many times, go on to the end, and look at what is there."""
        shutil.copytree(self.start, self.folder)
        before = len(self.tally.faults)
        words = []
        for line, seconds in zip(self.case.lines, self.seconds, strict=True):
            for _ in range(kills):
                moment, number = rng.uniform(0.02, 1.05) * seconds, rng.choice(SIGNALS)
                target = rng.choice(TARGETS)
                status = self._kill(line, moment, number, target, rng)
                words.append(f"{number.name} to the {target} after {moment:.2f} s: {status}")
                self.tally.kills[self.case.name, target, number.name, status] += 1
            ended = self._run(line)
            if ended.returncode not in (DONE,):
                self._fault(f"does not go on: {ended.returncode}\n{ended.stderr}")
        if len(self.tally.faults) == before:
            self._compare()
        if len(self.tally.faults) > before:
            kept = self.base / f"fault-{len(self.tally.faults)}"
            self.folder.rename(kept)
            self.tally.faults[-1] += f"\n  after: {'; '.join(words)}\n  kept in {kept}"
        else:
            shutil.rmtree(self.folder)

    def _fault(self, sentence: str) -> None:
        self.tally.faults.append(f"{self.case.name}: {sentence}")

    def _require(self, ended: subprocess.CompletedProcess[str]) -> None:
        if ended.returncode:
            raise RuntimeError(f"{self.case.name}: {ended.args} -> {ended.returncode}\n{ended.stderr}")

    def _run(self, line: Sequence[str]) -> subprocess.CompletedProcess[str]:
        mark = uuid.uuid4().hex
        options = {"cwd": self.folder, "env": environment(mark), "capture_output": True, "text": True}
        try:
            ended = subprocess.run(command(*line), **options, timeout=LIMIT, check=False)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired:
            end_all(mark)
            return subprocess.CompletedProcess(line, 124, "", f"has not ended in {LIMIT:.0f} s")
        self._look_for_orphans(line, mark)
        return ended

    def _kill(self, line: Sequence[str], moment: float, number: signal.Signals, target: str, rng: random.Random) -> int:
        mark = uuid.uuid4().hex
        with subprocess.Popen(
            command(*line),
            cwd=self.folder,
            env=environment(mark),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(moment)
            if running.poll() is None:
                send(running.pid, number, target, mark, rng)
            try:
                told = running.communicate(timeout=LIMIT)[1]
            except subprocess.TimeoutExpired:
                end_all(mark)
                running.kill()
                self._fault(f"has not ended in {LIMIT:.0f} s after {number.name} to the {target}")
                return 124
        self._look_for_orphans(line, mark)
        status = running.returncode
        # Python itself is ended by a signal before the command has begun.
        allowed = {DONE, STOPPED, -number} | ({INTERRUPTED} if number == signal.SIGINT else set())
        if status not in allowed:
            self._fault(f"{number.name} to the {target} after {moment:.2f} s: ended with {status}\n{told}")
        if "Traceback" in told:
            self._fault(f"{number.name} to the {target} after {moment:.2f} s: traceback\n{told}")
        return status

    def _look_for_orphans(self, line: Sequence[str], mark: str) -> None:
        until = time.monotonic() + GRACE
        while (left := marked(mark)) and time.monotonic() < until:
            time.sleep(0.02)
        if left:
            self._fault(f"{line}: processes outlive it: {left}")
            end_all(mark)

    def _compare(self) -> None:
        for pattern in LEFTOVERS:
            for left in (path.relative_to(self.folder) for path in self.folder.rglob(pattern)):
                if not (left.name == "journal.bin" and is_aside(left)):  # of a run that can still go on
                    self._fault(f"leaves {left}")
        ours, theirs = results(self.folder), results(self.undisturbed)
        if ours.keys() != theirs.keys():
            self._fault(f"has other files: {sorted(ours.keys() ^ theirs.keys())}")
        for name in ours.keys() & theirs.keys():
            if not same(ours[name], theirs[name]):
                self._fault(f"{name} differs")


def environment(mark: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return os.environ | {MARK: mark, "PYTHONPATH": path}


def marked(mark: str) -> list[str]:
    """Living processes that a command has started, itself included, by the mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found.append(f"{folder.name} {(folder / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
    return found


def end_all(mark: str) -> None:
    for process in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process.split()[0]), signal.SIGKILL)


def send(pid: int, number: signal.Signals, target: str, mark: str, rng: random.Random) -> None:
    """To the process, to every process of the command (workers have groups of their own), or to one of its workers."""
    pids = [int(process.split()[0]) for process in marked(mark)]
    workers = [one for one in pids if one != pid]
    chosen = {"process": [pid], "group": [pid, *workers], "worker": [rng.choice(workers)] if workers else [pid]}[target]
    for one in chosen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, number)


def results(folder: Path) -> dict[str, Path]:
    """What is compared: tables, arrays of stores, exports and pages, by path.

    Not the runs that `--force` sets aside: each that was begun before it was killed is one of them.
    """
    kinds = (".parquet", ".npy", ".tif", ".gpkg", ".nc", ".png", ".html", ".yaml")
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix in kinds and path.is_file())
    return {str(path): folder / path for path in found if not is_aside(path)}


def is_aside(path: Path) -> bool:
    """Whether a path in the folder of a trial belongs to a run that `--force` has set aside."""
    return bool(re.fullmatch(r"run\.\d+", path.parts[0]))


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same; pages and pictures hold dates, and need only be there."""
    if one.suffix in (".html", ".png"):
        return True
    if one.suffix == ".parquet":
        left, right = (pq.read_table(path, partitioning=None) for path in (one, other))
        names = [name for name in left.column_names if name not in UNEQUAL]
        return left.column_names == right.column_names and left.select(names).equals(right.select(names))
    if one.suffix == ".npy":
        return np.array_equal(np.load(one), np.load(other), equal_nan=True)
    if one.suffix == ".nc":
        import h5py

        with h5py.File(one) as left, h5py.File(other) as right:
            return left.keys() == right.keys() and all(
                left[name][()].tobytes() == right[name][()].tobytes() for name in left if left[name].dtype.kind in "fi"
            )
    return one.read_bytes() == other.read_bytes()


def random_kills(
    kills: int, seed: int, base: Path, cases: Sequence[str] = tuple(CASES), say: Callable[[str], None] = print
) -> Tally:
    """Kill so many times, shared out among the cases; what went wrong is in the tally.

    Args:
        kills: number of kills.
        seed: of moments, signals and targets.
        base: empty folder to work in.
        cases: names of `CASES`.
        say: gets a line for each case.
    """
    tally, rng = Tally(), random.Random(seed)
    file = configuration(base / "store.yaml", base / "store", changes=changed({}, {}) | FORTNIGHT, base=BASE)
    subprocess.run(command("ingest", file), check=True, env=environment(""), capture_output=True)
    # The gauges of one run and those of the campaign have stores of their own.
    trials = {}
    for name in cases:
        trials[name] = Trial(CASES[name], base / name, tally)
        trials[name].prepare(base / "store")
        say(f"{name}: {', '.join(f'{seconds:.1f} s' for seconds in trials[name].seconds)} undisturbed")
    done = 0
    while done < kills:
        for name in cases:
            count = min(rng.randint(1, 3), kills - done)
            if count:
                trials[name].disturb(rng, count)
                done += count
        say(f"{done} kills, {len(tally.faults)} faults")
    return tally


def main() -> int:
    """Kill as often as asked, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", nargs="+", choices=sorted(CASES), default=list(CASES))
    parser.add_argument("--folder", type=Path, help="empty folder to work in; kept; default: a temporary one")
    options = parser.parse_args()
    base = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    base.mkdir(parents=True, exist_ok=True)
    tally = random_kills(
        options.kills, options.seed, base.resolve(), options.cases, lambda text: print(text, flush=True)
    )
    for (case, target, name, status), count in sorted(tally.kills.items()):
        print(f"{count:4} {case:<11} {name:<8} to the {target:<8} ended with {status}")
    for fault in tally.faults:
        print(f"FAULT {fault}")
    print(f"{sum(tally.kills.values())} kills, {len(tally.faults)} faults")
    if not options.folder and not tally.faults:
        shutil.rmtree(base)
    return bool(tally.faults)


if __name__ == "__main__":
    sys.exit(main())
