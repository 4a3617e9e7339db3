"""A campaign through a scheduler of Dask that runs already: the same bits, and nothing lost when it is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from runs_harness import ROOT, Dask, assert_same_bits, call, command, configuration, process

pytest.importorskip("distributed")

SHORT = {
    "first_guess": {"kind": "given"},
    "optimiser": {"kind": "lbfgsb", "iterations": 3},
    "gauges.calibration": None,
    "gauges.validation": None,
}
LONG = {"kind": "lbfgsb", "iterations": 60, "cost_tolerance": 0.0, "gradient_tolerance": 0.0}


def campaign(folder: Path, store: Path, name: str) -> Path:
    configuration(folder / "base.yaml", store, changes=SHORT)
    models = {"few": {}, "many": {"optimiser": LONG}}
    values = {"name": name, "folder": name, "base": "base.yaml", "models": {name: models[name]}}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(values | {"catchments": {"codes": ["S0004"]}, "after_calibration": []}))
    return file


def test_the_same_bits_and_a_scheduler_that_dies(dask: Dask, store: Path, tmp_path: Path) -> None:
    address, running = dask.address, dask.scheduler
    few, many = campaign(tmp_path, store, "few"), campaign(tmp_path, store, "many")
    through = process("batch", few, "--set", f"execution.cluster={address}")
    assert through.returncode == 0, through.stderr
    call("calibrate", tmp_path / "base.yaml", "--set", "gauges.calibration=[S0004]", "--set", "gauges.validation=[]",
         "--set", f"folder={tmp_path / 'alone'}")  # fmt: skip
    assert_same_bits(tmp_path / "alone", tmp_path / "few" / "few" / "S0004")
    folder = tmp_path / "many" / "many" / "S0004"
    with subprocess.Popen(
        command("batch", many, "--set", f"execution.cluster={address}"), stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as batch:
        while batch.poll() is None and not (folder / "journal.bin").exists():
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        told = batch.communicate()[1]
    assert batch.returncode == 75, told
    assert "the Dask scheduler does not respond any more" in told
    while json.loads(call("status", many, "--json").stdout)["state"] == "running":
        time.sleep(0.1)
    call("batch", many, "-q")
    assert json.loads(call("status", many, "--json").stdout)["state"] == "done"


def test_without_a_scheduler_there_is_an_error_and_no_run(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrocli.execution.pool.ANSWERING", 0.2)
    file = campaign(tmp_path, store, "few")
    told = call("batch", file, "--set", "execution.cluster=tcp://127.0.0.1:1", status=2)
    assert "no scheduler answers at tcp://127.0.0.1:1" in told.stderr
    assert not (tmp_path / "few" / "few").exists()
