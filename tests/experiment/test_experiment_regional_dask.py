"""Basins of a regional calibration at workers of Dask: the same bits, errors as they are, nothing lost by a kill."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import ROOT, Dask, assert_same_bits, call, command, configuration

from hydrocli.config import load, numbers_hash, regional_members
from hydrocli.errors import NumericalError
from hydrocli.experiment.regional import RegionalCalibration
from hydrocli.experiment.setup import CalibrationSetup, ingested

pytest.importorskip("distributed")

FIRST: dict[str, Any] = {
    "gauges.calibration": ["S0001"],
    "gauges.validation": [],
    "regional": {"basins": ["b2.yaml", "b3.yaml"]},
    "structure": {"kind": "grnn", "network": {"hidden": [4], "input_scaling": "max"}},
    "mapping": {"kind": "mlp", "hidden": [4]},
    "first_guess": {"kind": "given"},
    "optimiser": {"kind": "adam", "iterations": 60, "batches": {"basins": 2}},
}


def region(folder: Path, store: Path, name: str) -> Path:
    """YAML of the first of three basins."""
    for other, gauges in (("b2", ["S0003"]), ("b3", ["S0002", "S0004"])):
        own = {"name": other, "gauges.calibration": gauges, "gauges.validation": []}
        configuration(folder / f"{other}.yaml", store, changes=own)
    return configuration(folder / f"{name}.yaml", store, changes=FIRST)


def victim_of(journal: Path, victim: subprocess.Popen[Any], number: signal.Signals) -> None:
    """Send a signal as soon as some evaluations more are saved."""
    before = journal.stat().st_size if journal.exists() else 0
    until = time.monotonic() + 60
    while time.monotonic() < until and (not journal.exists() or journal.stat().st_size < before + 4000):
        time.sleep(0.002)
    victim.send_signal(number)


def test_the_same_bits_whatever_dies_on_the_way(dask: Dask, store: Path, tmp_path: Path) -> None:
    """The only worker of a scheduler is killed, then the parent of a local cluster stopped; a third call goes on."""
    call("calibrate", region(tmp_path, store, "undisturbed"))
    file = region(tmp_path, store, "disturbed")
    journal = tmp_path / "disturbed" / "journal.bin"
    killing = threading.Thread(target=victim_of, args=(journal, dask.worker, signal.SIGKILL))
    killing.start()
    told = call("calibrate", file, "--set", f"execution.cluster={dask.address}", status=75)
    killing.join()
    assert "the worker that computes short, b2, b3 ended without an error message" in told.stderr
    local = ["--set", "execution.cluster=local", "--set", "execution.workers=2"]
    with subprocess.Popen(command("calibrate", file, *local), stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        victim_of(journal, running, signal.SIGTERM)
        words = running.communicate(timeout=60)[1]
    assert running.returncode == 75, words
    assert "stopped by SIGTERM" in words
    assert "Traceback" not in words
    call("calibrate", file)
    assert_same_bits(tmp_path / "undisturbed", tmp_path / "disturbed")
    for part in ("basins/b2", "basins/b3"):
        assert_same_bits(tmp_path / "undisturbed" / part, tmp_path / "disturbed" / part, ("parameters", "discharge"))


def test_errors_of_a_basin_come_out_as_they_are(dask: Dask, store: Path, tmp_path: Path) -> None:
    file = region(tmp_path, store, "run")
    experiment = load(file, [f"execution.cluster={dask.address}"])
    assert numbers_hash(experiment) == numbers_hash(load(file))
    several = RegionalCalibration(
        [CalibrationSetup(member, ingested(member)) for member in regional_members(experiment)]
    )
    try:
        problem = several.stages[0].problem([])
        with pytest.raises(NumericalError):
            problem.value_and_gradient(np.full(problem.lower.size, np.nan))
        assert np.isfinite(problem.value_and_gradient(problem.starts[0])[0])
    finally:
        several.close()
