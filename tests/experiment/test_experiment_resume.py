"""Stopped, killed and continued runs end with the bits of a run that nobody disturbed; folders are never shared."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from runs_harness import (
    END,
    ROOT,
    SAMPLE,
    assert_readable,
    assert_same_bits,
    call,
    command,
    configuration,
    contents,
    manifest,
    process,
)

from hydrocli.results.folder import RunFolder

LONG: dict[str, Any] = {"period.end": "2015-02-01T00:00Z", "period.calibration": ["2014-09-20T00:00Z", END]} | {
    "period.validation": {"later": [END, "2015-02-01T00:00Z"]}
}
UNIFORM = LONG | {"optimiser": {"kind": "lbfgsb", "iterations": 30}}
DISTRIBUTED = LONG | {
    "mapping": {"kind": "distributed"},
    "optimiser": [{"kind": "lbfgsb", "mapping": "uniform", "iterations": 15}, {"kind": "lbfgsb", "iterations": 70}],
}
BATCHES = LONG | {
    "structure": {"kind": "grnn"},
    "optimiser": [
        {"kind": "sbs", "train": ["cp", "ct"], "iterations": 5},
        {
            "kind": "adam",
            "iterations": 60,
            "learning_rate": 0.01,
            "schedule": "cosine",
            "rate_warmup": 3,
            "weight_decay": 0.1,
        }
        | {"batches": {"length": "10d", "spin_up": "2d", "gauges": 1, "full_evaluation_every": 7}},
    ],
}
KINDS = {"uniform": UNIFORM, "distributed": DISTRIBUTED, "batches": BATCHES}
FRAMES = {"uniform": 150, "distributed": 4800, "batches": 2600}
"""About the bytes of an evaluation in the journal, in the longest stage."""
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL)
STOPPED, KILLED = 75, -signal.SIGKILL


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def disturbed(file: Path, ask: signal.Signals, growth: int) -> int:
    """Start the calibration, send a signal once its journal has grown, wait for its end; gives the exit status."""
    folder = file.with_suffix("")
    journal = folder / "journal.bin"
    before = size(journal)
    with subprocess.Popen(command("calibrate", file), stderr=subprocess.PIPE, cwd=ROOT) as running:
        while running.poll() is None and size(journal) < before + growth:
            time.sleep(0.001)
        running.send_signal(ask)
        running.communicate()
    assert_readable(folder)
    return running.returncode


@pytest.fixture(scope="session")
def undisturbed(store: Path, made: Callable[..., Mapping[str, Path]]) -> Mapping[str, Path]:
    """Run folders of calibrations from the first to the last evaluation in one go."""

    def make(folder: Path, name: str) -> Path:
        ended = process("calibrate", configuration(folder / f"{name}.yaml", store, changes=KINDS[name]))
        assert ended.returncode == 0, ended.stderr
        return folder / name

    return made(KINDS, make)


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_and_killed_again_and_again(
    kind: str, undisturbed: Mapping[str, Path], store: Path, tmp_path: Path
) -> None:
    file = configuration(tmp_path / "run.yaml", store, changes=KINDS[kind])
    rng = random.Random(kind)
    endings = []
    asked = (signal.SIGTERM, signal.SIGKILL) if kind == "batches" else SIGNALS
    for ask in asked:
        endings.append(disturbed(file, ask, rng.randrange(1, 12) * FRAMES[kind]))
        state = manifest(tmp_path / "run")["state"]
        assert state == {STOPPED: "stopped", KILLED: "running", 0: "finished"}[endings[-1]]
    assert endings[:2] == [STOPPED, KILLED]
    last = process("calibrate", file)
    assert last.returncode == 0, last.stderr
    assert_same_bits(undisturbed[kind], tmp_path / "run")
    assert not (tmp_path / "run" / "journal.bin").exists()
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize("ask", [signal.SIGTERM, signal.SIGKILL])
def test_disturbed_at_any_time(
    ask: signal.Signals, undisturbed: Mapping[str, Path], store: Path, tmp_path: Path
) -> None:
    """While Python starts, data are read, results are written ...: whenever it is, the next call goes on."""
    file = configuration(tmp_path / "run.yaml", store, changes=UNIFORM)
    rng = random.Random(int(ask))
    for share in (0.2, 0.5, 0.8):
        with subprocess.Popen(command("calibrate", file), stderr=subprocess.DEVNULL, cwd=ROOT) as running:
            time.sleep(3 * (share + rng.uniform(-0.2, 0.2)))
            running.send_signal(ask)
        # Python itself is ended by the signal for the first tenth of a second.
        assert running.returncode in (0, STOPPED, -ask)
        assert_readable(tmp_path)
    call("calibrate", file)
    assert_same_bits(undisturbed["uniform"], tmp_path / "run")


def wait_for(condition: Any, running: subprocess.Popen[bytes]) -> None:
    while not (seen := condition()) and running.poll() is None:
        time.sleep(0.001)
    assert seen, f"{running.args} ended before"


@pytest.mark.parametrize("name", ["calibrate", "ingest", "simulate"])
def test_an_ingestion_that_is_stopped_leaves_nothing(name: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    file = configuration(tmp_path / "run.yaml", store)
    with subprocess.Popen(command(name, file), stderr=subprocess.PIPE, cwd=ROOT) as running:
        wait_for(lambda: list(store.glob("*.partial/precipitation.f32")), running)
        running.terminate()
        assert b"stopped" in running.communicate()[1]
    assert running.returncode == STOPPED
    assert not list(store.iterdir())
    call(name, file)
    assert len([one for one in store.iterdir() if one.name != "listings"]) == 1


def test_an_ingestion_that_is_killed_is_done_again(finished: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    file = configuration(tmp_path / "run.yaml", store)
    with subprocess.Popen(command("calibrate", file), stderr=subprocess.DEVNULL, cwd=ROOT) as running:
        wait_for(lambda: list(store.glob("*.partial/precipitation.f32")), running)
        running.kill()
    call("calibrate", file)
    assert_same_bits(finished.with_suffix(""), tmp_path / "run")
    assert not list(store.glob("*.partial"))


def test_a_signal_while_results_are_written(finished: Path, store: Path, tmp_path: Path) -> None:
    """They take less than a second: they are finished, and the run is."""
    file = configuration(tmp_path / "run.yaml", store)
    folder = tmp_path / "run"
    with subprocess.Popen(command("calibrate", file), stderr=subprocess.DEVNULL, cwd=ROOT) as running:
        wait_for((folder / "control.parquet").exists, running)
        running.terminate()
    assert running.returncode in (0, STOPPED, -signal.SIGTERM)
    assert manifest(folder)["state"] == "finished"
    assert_same_bits(finished.with_suffix(""), folder)


def stopped_run(file: Path) -> Path:
    assert disturbed(file, signal.SIGTERM, 600) == STOPPED
    return file.with_suffix("")


def test_another_configuration_is_refused_and_told(store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "run.yaml", store, changes=UNIFORM)
    folder = stopped_run(file)
    before = {name: entry for name, entry in contents(folder).items() if name not in ("manifest.json", "log.jsonl")}
    error = call("calibrate", file, "--set", "optimiser.iterations=3", "--set", "seed=2", status=2).stderr
    assert "seed" in error
    assert "optimiser.0.iterations" in error
    assert "period" not in error
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    call("calibrate", file, "--set", "optimiser.iterations=3", "--set", "seed=2", "--force")
    aside = contents(tmp_path / "run.1")
    assert {name: aside[name] for name in before} == before
    assert manifest(folder)["state"] == "finished"
    call("calibrate", tmp_path / "run.1" / "config.yaml", "--set", f"folder={tmp_path / 'run.1'}")


def test_keys_that_change_no_number_may_change(finished: Path, store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "run.yaml", store)
    disturbed(file, signal.SIGTERM, 600)
    call("calibrate", file, "--set", "execution.threads=2", "--set", "execution.memory=16MB", "--set", "name=other")
    assert_same_bits(finished.with_suffix(""), tmp_path / "run")


def test_changed_data_are_refused(finished: Path, store: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for item in SAMPLE.iterdir():
        (data / item.name).symlink_to(item)
    (data / "gauge_attributes.csv").unlink()
    shutil.copy2(SAMPLE / "gauge_attributes.csv", data)
    file = configuration(tmp_path / "run.yaml", store, data)
    stopped_run(file)
    table = data / "gauge_attributes.csv"
    kept = table.stat()
    os.utime(table, ns=(kept.st_atime_ns, kept.st_mtime_ns + 10**9))
    assert "have changed" in call("calibrate", file, status=3).stderr
    os.utime(table, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    call("calibrate", file)
    assert_same_bits(finished.with_suffix(""), tmp_path / "run")


def test_a_start_that_failed_early_binds_nobody(finished: Path, store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "run.yaml", store)
    call("calibrate", file, "--set", "basin.descriptors.slope=nowhere.tif", status=3)
    assert manifest(tmp_path / "run")["state"] == "failed"
    call("calibrate", file)
    assert_same_bits(finished.with_suffix(""), tmp_path / "run")


def test_a_folder_that_another_process_holds(finished: Path) -> None:
    folder = finished.with_suffix("")
    with RunFolder.open(folder, "short"):
        for name in ("calibrate", "validate", "signatures"):
            error = call(name, finished, status=6).stderr
            assert f"process {os.getpid()}" in error
            assert str(folder) in error
    call("calibrate", finished)


def test_force_moves_nothing_before_the_new_run_can_begin(finished: Path, tmp_path: Path) -> None:
    """Its data are read first: here one file is missing, and nothing has happened."""
    folder = finished.with_suffix("")
    before = contents(folder)
    wrong = "--set", f"basin.descriptors.slope={tmp_path / 'missing.tif'}"
    assert "missing.tif" in call("calibrate", finished, "--force", *wrong, status=3).stderr
    del before["log.jsonl"]
    assert before.items() <= contents(folder).items()
    assert not list(folder.parent.glob("short.*/"))


@pytest.mark.parametrize("limit", [2500, 40_000], ids=["journal", "results"])
def test_a_disk_that_is_full(limit: int, finished: Path, store: Path, tmp_path: Path) -> None:
    """A limit of file sizes fails like a full disk, in the middle of a file."""
    file = configuration(tmp_path / "run.yaml", store)
    folder = tmp_path / "run"

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    failed = process("calibrate", file, preexec_fn=limited)
    assert failed.returncode == 3, failed.stderr
    assert "error: " in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "ulimit -f" in failed.stderr or "File too large" in failed.stderr
    assert_readable(folder)
    assert not list(folder.rglob(".*"))
    call("calibrate", file)
    assert_same_bits(finished.with_suffix(""), folder)
