"""`validate` and `signatures` with the periods and gauges of the YAML as it is now; data with holes and nonsense."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from runs_harness import (
    CALIBRATED,
    END,
    SAMPLE,
    call,
    configuration,
    contents,
    manifest,
    rows,
    series,
    table,
)

from hydrocli.basin import store as store_module

QUICK: dict[str, Any] = {"first_guess": {"kind": "given"}, "optimiser.iterations": 3}
DISTRIBUTED = QUICK | {"mapping": {"kind": "distributed"}}
LATER = "2014-11-30T00:00Z"


def linked(folder: Path, *copied: str) -> Path:
    """The sample with some of its parts as copies that may be changed."""
    folder.mkdir()
    for item in SAMPLE.iterdir():
        if item.name not in copied:
            (folder / item.name).symlink_to(item)
        elif item.is_dir():
            shutil.copytree(item, folder / item.name)
        else:
            shutil.copy2(item, folder)
    return folder


@pytest.mark.parametrize("mapping", ["uniform", "distributed"])
def test_what_the_run_has_not_simulated_is_simulated(mapping: str, store: Path, tmp_path: Path) -> None:
    """A longer period and another gauge come later; what was there keeps its bits, and a smaller wish loses nothing."""
    changes = QUICK | {"mapping": {"kind": mapping}, "gauges.validation": ["S0002"]}
    call("calibrate", configuration(tmp_path / "run.yaml", store, changes=changes))
    run = tmp_path / "run"
    before, control = series(run, "S0001"), table(run, "control")
    more = changes | {"gauges.validation": ["S0002", "S0004"], "period.end": LATER}
    more |= {"period.validation": {"later": [CALIBRATED, END], "last": [END, LATER]}}
    file = configuration(tmp_path / "run.yaml", store, changes=more)
    assert "nothing to do" in call("calibrate", file).stderr
    more["forcing.precipitation.scale_factor"] = 0.2  # the run has its own
    file = configuration(tmp_path / "run.yaml", store, changes=more)
    result = call("validate", file, "--json")
    assert "repeating the simulation: gauges S0004 and periods last" in result.stderr
    found = {(row["gauge"], row["period"]): row["scenario"] for row in rows(result)}
    assert found[("S0001", "calibration")] == "calibration"
    assert found[("S0001", "last")] == "temporal"
    assert found[("S0004", "calibration")] == "spatial"
    assert found[("S0004", "last")] == "spatio-temporal"
    assert len(found) == 4 * 3
    assert all(row["n_valid"] > 100 for row in rows(result))
    times, discharge = series(run, "S0001")
    assert times[-1] == np.datetime64(LATER.rstrip("Z"))
    np.testing.assert_array_equal(discharge[: len(before[1])], before[1])
    np.testing.assert_array_equal(table(run, "control")["value"], control["value"])
    assert "repeating the simulation" not in call("signatures", file).stderr
    fewer = configuration(tmp_path / "run.yaml", store, changes=changes | {"gauges.validation": ["S0004"]})
    assert {row["gauge"] for row in rows(call("validate", fewer, "--json"))} == {"S0001", "S0003", "S0004"}
    assert set(table(run, "discharge")["gauge"]) == {"S0001", "S0002", "S0003", "S0004"}


def test_an_interrupted_simulation_is_made_again(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between two tables must not leave a run that says it has the gauge, and lacks it elsewhere."""
    changes = QUICK | {"gauges.validation": []}
    call("calibrate", configuration(tmp_path / "run.yaml", store, changes=changes))
    file = configuration(tmp_path / "run.yaml", store, changes=QUICK)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hydrocli.experiment.simulation._write_balance", killed)
        call("validate", file, status=130)
    assert {row["gauge"] for row in rows(call("validate", file, "--json"))} == {"S0001", "S0002", "S0003", "S0004"}
    assert set(table(tmp_path / "run", "balance")["gauge"]) == {"S0001", "S0002", "S0003", "S0004"}


@pytest.mark.parametrize("named", [True, False])
def test_a_gauge_of_the_calibration_does_not_validate(named: bool, store: Path, tmp_path: Path) -> None:
    """Also where the YAML does not name those that calibrate: then they are all that did not validate at the time."""
    changes = QUICK if named else QUICK | {"gauges.calibration": None}
    file = configuration(tmp_path / "run.yaml", store, changes=changes)
    call("calibrate", file)
    before = contents(tmp_path / "run")
    now = changes | {"gauges.calibration": ["S0001"] if named else None, "gauges.validation": ["S0002", "S0003"]}
    for name in ("validate", "signatures"):
        error = call(name, configuration(tmp_path / "run.yaml", store, changes=now), status=2).stderr
        assert "S0003: the run was calibrated with it" in error
    assert contents(tmp_path / "run") == before
    now["gauges.validation"] = ["S0002"]
    printed = rows(call("validate", configuration(tmp_path / "run.yaml", store, changes=now), "--json"))
    assert {row["gauge"] for row in printed if row["scenario"] == "calibration"} == {"S0001", "S0003"}


def test_a_period_before_the_run_is_refused(finished: Path, store: Path) -> None:
    changes = {"period.start": "2014-08-20T00:00Z"}
    changes |= {"period.validation": {"early": ["2014-08-25T00:00Z", "2014-09-10T00:00Z"]}}
    changes |= {"folder": str(finished.with_suffix(""))}
    file = configuration(finished.parent / "early.yaml", store, changes=changes)
    assert "period.validation.early" in call("validate", file, status=2).stderr


def test_nothing_to_validate(store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "run.yaml", store, changes=QUICK)
    for name in ("validate", "signatures"):
        assert "does not exist" in call(name, file, status=3).stderr
    call("simulate", configuration(tmp_path / "run.yaml", store, changes={"period.calibration": None}))
    assert "simulation" in call("validate", file, status=3).stderr


def test_a_gauge_without_observations(store: Path, tmp_path: Path) -> None:
    """Scores are null with a warning; a gauge that shall calibrate is refused."""
    data = linked(tmp_path / "data", "qobs")
    (silent,) = (data / "qobs").glob("*S0004*")
    silent.unlink()
    file = configuration(tmp_path / "run.yaml", store, data, QUICK)
    assert "S0004 has no observed discharge" in call("calibrate", file).stderr
    result = call("validate", file, "--json")
    assert "S0004 has no observation" in result.stderr
    for row in rows(result):
        assert (row["n_valid"] == 0) == (row["gauge"] == "S0004")
        assert (row["nse"] is None) == (row["gauge"] == "S0004")
    scores = table(tmp_path / "run", "scores")
    np.testing.assert_array_equal(np.isnan(scores["value"]), scores["gauge"] == "S0004")
    summary = {(row["gauge"], row["period"]): row for row in rows(call("signatures", file, "--json"))}
    assert summary[("S0004", "later")]["events"] == 0
    assert summary[("S0001", "later")]["events"] > 0
    events, signatures = table(tmp_path / "run", "events"), table(tmp_path / "run", "signatures")
    assert "S0004" not in events["gauge"]
    silent_ones = signatures["gauge"] == "S0004"
    assert silent_ones.any()
    assert np.isnan(signatures["observed"][silent_ones]).all()
    assert np.isnan(signatures["event"][silent_ones]).all()
    changes = QUICK | {"gauges.calibration": ["S0001", "S0004"], "gauges.validation": []}
    error = call("calibrate", configuration(tmp_path / "no.yaml", store, data, changes), status=3).stderr
    assert "S0004 has no observation" in error


def test_no_events_at_all(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished.with_suffix(""), tmp_path / "run")
    arguments = ["--set", "flood_events.peak_discharge=1e9", "--set", f"folder={run}", "--json"]
    printed = rows(call("signatures", run, *arguments))
    assert {row["events"] for row in printed} == {0}
    assert all(row["Epf error"] is None and row["Crc error"] is not None for row in printed)
    assert len(table(run, "events")["event"]) == 0


def poke(file: Path, value: float) -> None:
    with rasterio.open(file) as raster:
        profile, values = raster.profile, raster.read(1).astype(np.float32)
    values[3, 3] = value
    with rasterio.open(file, "w", **(profile | {"dtype": "float32", "nodata": None})) as raster:
        raster.write(values, 1)


@pytest.mark.parametrize("value", [np.inf, 1e38])
def test_impossible_rain_is_refused_with_its_file(tmp_path: Path, value: float) -> None:
    data = linked(tmp_path / "data", "prcp")
    poke(data / "prcp" / "2014" / "10" / "03" / "rain_precipitation_201410031200.tif", value)
    file = configuration(tmp_path / "run.yaml", tmp_path / "store", data, QUICK)
    result = call("calibrate", file, status=3)
    assert "rain_precipitation_201410031200.tif" in result.stderr


def checksums_again(folder: Path) -> None:
    """Describe a store as it is now."""
    meta = json.loads((folder / "meta.json").read_text())
    meta["checksums"] = {name: store_module._checksums(folder / name, size) for name, size in meta["sizes"].items()}
    meta[store_module._OWN] = store_module._checksum_of(meta)
    (folder / "meta.json").write_text(json.dumps(meta))


def test_a_number_that_is_not_finite_ends_the_run_with_its_place(tmp_path: Path) -> None:
    """Such rain can only come from a store that was wrong before its checksums were taken."""
    file = configuration(tmp_path / "run.yaml", tmp_path / "store", linked(tmp_path / "data", "prcp"), QUICK)
    call("ingest", file)
    (rain,) = (tmp_path / "store").glob("*/precipitation.f32")
    cells = len(np.load(rain.with_name("network_row.npy")))
    np.memmap(rain, np.float32, "r+")[780 * cells + 5] = np.inf
    checksums_again(rain.parent)
    result = call("calibrate", file, status=4)
    assert "cell 5 (" in result.stderr
    assert manifest(tmp_path / "run")["state"] == "failed"


def test_missing_rain_is_counted(tmp_path: Path) -> None:
    data = linked(tmp_path / "data", "prcp")
    folder = data / "prcp" / "2014" / "10" / "03"
    poke(folder / "rain_precipitation_201410031200.tif", np.nan)
    (folder / "rain_precipitation_201410031500.tif").unlink()
    file = configuration(tmp_path / "run.yaml", tmp_path / "store", data, QUICK)
    assert "precipitation" in call("simulate", file).stderr
    found = manifest(tmp_path / "run")
    assert found["counts"]["forcing_missing"] == 60
    assert "60 of" in found["warnings"][0]
    assert np.isfinite(table(tmp_path / "run", "discharge")["simulated"]).all()
    means = table(tmp_path / "run", "catchment_timeseries")
    gap = np.isnan(means["precipitation"])
    assert set(means["time"][gap]) == {np.datetime64("2014-10-03T15:00:00", "s")}


def test_a_run_folder_goes_on_from_the_end_of_a_run(finished: Path, tmp_path: Path) -> None:
    """Its configuration spells out all values; `from` on the command line counts before them."""
    run = finished.with_suffix("")
    for name, setting in {"key": f"initial.from={run}", "section": f"initial={{from: {run}}}"}.items():
        call("simulate", run, "--set", setting, "-o", tmp_path / name)
    simulated = {name: table(tmp_path / name, "discharge")["simulated"] for name in ("key", "section")}
    np.testing.assert_array_equal(simulated["key"], simulated["section"])
    assert not np.allclose(simulated["key"][:100], table(run, "discharge")["simulated"][:100], rtol=0.1)


def test_other_data_under_a_finished_run_are_noticed(tmp_path: Path) -> None:
    """A later validation period simulates again; with other rain the scores would be those of another calibration."""
    data = linked(tmp_path / "data", "prcp")
    file = configuration(tmp_path / "run.yaml", tmp_path / "store", data, QUICK)
    call("calibrate", file, "--set", "period.end=2014-11-10", "--set", "period.validation={}")
    poke(data / "prcp" / "2014" / "10" / "03" / "rain_precipitation_201410031200.tif", 500)
    result = call(
        "validate",
        file,
        "--set",
        "period.end=2014-11-20",
        "--set",
        "period.validation={p: [2014-11-10, 2014-11-20]}",
        status=3,
    )
    assert "the data have changed since the calibration" in result.stderr
