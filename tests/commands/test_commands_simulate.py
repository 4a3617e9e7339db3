"""`simulate`: halves of a period make the whole, another run gives states and parameters, nothing is overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import CALIBRATED, END, assert_same_bits, call, configuration, contents, manifest, series, table

MIDDLE = "2014-10-28T00:00Z"
VALUES = {"cp": 150.0, "ct": 90.0, "kexc": -0.4, "akw": 4.0, "bkw": 0.7}
SET: dict[str, Any] = {f"parameters.{symbol}": {"value": value} for symbol, value in VALUES.items()}


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a simulation of the whole period."""
    file = configuration(tmp_path_factory.mktemp("whole") / "whole.yaml", store, changes=SET)
    call("simulate", file)
    return file.with_suffix("")


def test_two_halves_make_the_whole(whole: Path, store: Path, tmp_path: Path) -> None:
    """Discharge and all states, bit for bit; the capacity of interception goes along."""
    first = {"period.end": MIDDLE, "period.validation": None}
    call("simulate", configuration(tmp_path / "first.yaml", store, changes=SET | first))
    second = {"period.start": MIDDLE, "period.calibration": None, "period.validation": None, "initial": None}
    second |= {"initial.from": str(tmp_path / "first")}
    call("simulate", configuration(tmp_path / "second.yaml", store, changes=SET | second))
    for gauge in ("S0001", "S0002", "S0003", "S0004"):
        (times, expected), (early, head), (late, tail) = (
            series(folder, gauge) for folder in (whole, tmp_path / "first", tmp_path / "second")
        )
        np.testing.assert_array_equal(np.concatenate([early, late]), times)
        np.testing.assert_array_equal(np.concatenate([head, tail]), expected)
    assert_same_bits(whole, tmp_path / "second", ["states", "domain", "parameters"])
    halves = [table(tmp_path / name, "balance") for name in ("first", "second")]
    together = table(whole, "balance")
    for term in ("rain", "evapotranspiration", "runoff", "storage_change"):
        np.testing.assert_allclose(halves[0][term] + halves[1][term], together[term], rtol=1e-11)


def test_maps_of_a_run(finished: Path, store: Path, tmp_path: Path) -> None:
    """The run folder as target, its YAML in it, and `parameters.from` give the discharge of the calibration."""
    run = finished.with_suffix("")
    before = contents(run)
    call("simulate", run, "--output", tmp_path / "target")
    call("simulate", run / "config.yaml", "--output", tmp_path / "file")
    call("simulate", configuration(tmp_path / "from.yaml", store, changes={"parameters.from": str(run)}))
    for name in ("target", "file", "from"):
        assert_same_bits(run, tmp_path / name, ["discharge", "states", "domain", "parameters", "balance"])
        assert manifest(tmp_path / name)["state"] == "finished"
    assert contents(run) == before


def test_maps_of_a_run_in_another_period(finished: Path, tmp_path: Path) -> None:
    """Interception was matched on the period of the calibration, and its capacity belongs to the calibrated maps."""
    run = finished.with_suffix("")
    for key in ("first", "second"):
        start = {"first": CALIBRATED, "second": "2014-10-31T00:00Z"}[key]
        periods = [f"period.start={start}", f"period.end={END}", "period.calibration=null", "period.validation={}"]
        call("simulate", run, *(part for item in periods for part in ("--set", item)), "--output", tmp_path / key)
        np.testing.assert_array_equal(table(tmp_path / key, "domain")["ci"], table(run, "domain")["ci"])
        assert series(tmp_path / key, "S0001")[0][0] == np.datetime64(start.rstrip("Z")) + np.timedelta64(1, "h")


def test_without_observations(whole: Path, store: Path, tmp_path: Path) -> None:
    blind = SET | {"gauges.discharge": None}
    result = call("simulate", configuration(tmp_path / "blind.yaml", store, changes=blind))
    assert "NSE" not in result.stderr
    assert np.isnan(table(tmp_path / "blind", "discharge")["observed"]).all()
    for gauge in ("S0001", "S0004"):
        np.testing.assert_array_equal(series(tmp_path / "blind", gauge)[1], series(whole, gauge)[1])
    call("calibrate", configuration(tmp_path / "none.yaml", store, changes=blind), status=2)


def test_a_calibration_is_not_overwritten(finished: Path, store: Path, tmp_path: Path) -> None:
    run = finished.with_suffix("")
    before = contents(run)
    assert "--output" in call("simulate", finished, status=2).stderr
    assert "--output" in call("simulate", run, status=2).stderr
    assert contents(run) == before
    file = configuration(tmp_path / "both.yaml", store)
    call("simulate", file)
    assert "simulation" in call("calibrate", file, status=2).stderr
    call("simulate", file)
    call("calibrate", file, "--force")
    assert manifest(tmp_path / "both")["ending"].startswith("Cost")
    assert manifest(tmp_path / "both.1")["ending"].startswith("Simulated")


def test_a_calibration_goes_on_from_another_run(finished: Path, store: Path, tmp_path: Path) -> None:
    """The first cost is the last of the other run; the maps come through their table and bounds (some roundings)."""
    run = finished.with_suffix("")
    changes = {"parameters.from": str(run), "first_guess": None, "optimiser.iterations": 2}
    call("calibrate", configuration(tmp_path / "on.yaml", store, changes=changes))
    first, last = table(tmp_path / "on", "convergence"), table(run, "convergence")
    assert first["stage"][0] == "1 uniform lbfgsb"
    np.testing.assert_allclose(first["cost"][0], last["cost"][-1], rtol=1e-9)
    assert first["cost"][-1] <= first["cost"][0]


def test_a_run_of_another_basin_is_refused(finished: Path, store: Path, tmp_path: Path) -> None:
    upstream = {"gauges.calibration": ["S0003"], "gauges.validation": ["S0004"]}
    adam = {"mapping": {"kind": "distributed"}, "optimiser": {"kind": "adam", "iterations": 1}}
    small = configuration(tmp_path / "small.yaml", store, changes=upstream | adam)
    call("calibrate", small)
    part = {"parameters.from": str(tmp_path / "small")}
    error = call("simulate", configuration(tmp_path / "large.yaml", store, changes=part), status=3).stderr
    assert "47 of 59 cells are not in this run" in error
    assert "its map of cp varies" in error
    within = configuration(
        tmp_path / "in.yaml", store, changes=upstream | {"parameters.from": str(finished.parent / "short")}
    )
    call("simulate", within)
    np.testing.assert_array_equal(series(tmp_path / "in", "S0003")[1], series(finished.with_suffix(""), "S0003")[1])
    unfinished = {"initial": None, "initial.from": str(tmp_path / "nowhere")}
    assert (
        "does not exist"
        in call("simulate", configuration(tmp_path / "x.yaml", store, changes=unfinished), status=3).stderr
    )


def test_what_is_not_finite_is_named(store: Path, tmp_path: Path) -> None:
    """Cell, time and parameters; the folder says that it failed, and no table of nonsense is left."""
    changes = {"parameters.kexc": {"value": 1e300, "bounds": [-1.0, 1e301]}, "first_guess": {"kind": "given"}}
    file = configuration(tmp_path / "run.yaml", store, changes=changes)
    for name in ("simulate", "calibrate"):
        folder = tmp_path / name
        error = call(name, file, "--set", f"folder={folder}", status=4).stderr
        assert "cell " in error
        assert "2014-09-01T01:00:00" in error
        assert "kexc = 1e+300" in error
        assert manifest(folder)["state"] == "failed"
        assert not list(folder.glob("*.parquet"))


def test_a_run_that_has_changed_since_is_told(finished: Path, store: Path, tmp_path: Path) -> None:
    """Its path stays the same; a calibration that started from it is no longer the one that the file describes."""
    run = tmp_path / "first"
    shutil.copytree(finished.with_suffix(""), run)
    changes = {"parameters.from": str(run), "first_guess": None, "optimiser": {"kind": "lbfgsb", "iterations": 1}}
    file = configuration(tmp_path / "second.yaml", store, changes=changes)
    call("calibrate", file)
    assert "nothing to do" in call("calibrate", file).stderr
    (run / "parameters.parquet").write_bytes((run / "parameters.parquet").read_bytes() + b" ")
    refused = " ".join(call("calibrate", file, status=2).stderr.split())
    assert "the parent run in parameters.from has changed since the start of this calibration" in refused
