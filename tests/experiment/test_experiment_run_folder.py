"""The run folder of the embedded sample: every file, unit and number that the contract promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from runs_harness import (
    BASE,
    CALIBRATED,
    END,
    SAMPLE,
    START,
    assert_same_bits,
    call,
    contents,
    manifest,
    rows,
    table,
)

from hydrocli import names
from hydrocli.names import STATES
from hydrocli.results import read

PARAMETERS = names.PARAMETERS | names.ROUTING_PARAMETERS

CALIBRATION = (BASE["period"]["calibration"][0], CALIBRATED)
PERIODS = {"calibration": CALIBRATION, "later": (CALIBRATED, END)}

LOOKED_AT = {"hp": "-", "ht": "-", "aet": "mm/step", "exchange": "mm/step", "qt": "mm/step", "storage": "mm"}
COLUMNS = {
    "discharge": {"gauge": "", "time": "UTC", "observed": "m3/s", "simulated": "m3/s"},
    "scores": {"gauge": "", "scenario": "", "period": "", "metric": "", "value": "", "n_valid": ""},
    "parameters": {"cell": "", "row": "", "column": "", "x": "unit of the CRS", "y": "unit of the CRS"}
    | {symbol: PARAMETERS[symbol].unit for symbol in PARAMETERS},
    "control": {"name": "", "value": "-", "lower": "-", "upper": "-", "gradient": "-"},
    "convergence": {"stage": "", "iteration": "", "evaluations": "", "cost": "-", "gradient_norm": "-", "seconds": "s"},
    "states": {"cell": ""} | {symbol: STATES[symbol].unit for symbol in STATES if symbol != "rain_intensity"},
    "domain": {"area": "m2", "downstream": "", "level": "", "calibrated": "", "ci": "mm", "slope": "as given"}
    | {"gauge": ""},
    "catchments": {"gauge": "", "cell": "", "x": "unit of the CRS", "y": "unit of the CRS", "cells": "", "area": "m2"}
    | {"downstream_gauge": ""},
    "catchment_timeseries": {"gauge": "", "time": "UTC", "precipitation": "mm/step", "pet": "mm/step"} | LOOKED_AT,
    "mean_maps": {"cell": "", "x": "unit of the CRS", "y": "unit of the CRS"} | LOOKED_AT,
    "uncertainty": {"name": "", "value": "see unit", "standard_error": "see unit", "lower_95": "see unit"}
    | {"upper_95": "see unit", "unit": "", "state": ""},
    "correlations": {"name": "", "other": "", "correlation": "-"},
    "balance": {"gauge": "", "year": ""}
    | dict.fromkeys(("rain", "evapotranspiration", "exchange", "correction_source", "clamped"), "mm")
    | dict.fromkeys(("runoff", "routing_floor_volume", "storage_change", "closure_error"), "mm"),
    "annual_fluxes": {"gauge": "", "period": "", "days": "d"}
    | dict.fromkeys(("rain", "soil_evaporation", "interception_evaporation", "exchange"), "mm/year")
    | dict.fromkeys(("correction_source", "clamped", "runoff", "storage_change"), "mm/year"),
    "events": {"gauge": "", "period": "", "event": "", "start": "UTC", "end": "UTC", "season": "", "rain_peak": "UTC"}
    | {"discharge_peak": "UTC"},
    "signatures": {"gauge": "", "period": "", "event": "", "signature": "", "observed": "", "simulated": ""}
    | {"relative_error": "-"},
}


@pytest.fixture
def folder(finished: Path) -> Path:
    return finished.with_suffix("")


def inside(times: np.ndarray, period: str) -> np.ndarray:
    start, end = (np.datetime64(text.rstrip("Z"), "s") for text in PERIODS[period])
    return (times > start) & (times <= end)


def test_files(folder: Path) -> None:
    expected = {"config.yaml", "manifest.json", "log.jsonl", *(f"{name}.parquet" for name in COLUMNS)}
    rasters = {f"parameters/{symbol}.tif" for symbol in PARAMETERS} | {
        f"maps/mean_{symbol}.tif" for symbol in LOOKED_AT
    }
    assert set(contents(folder)) == expected | rasters


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_and_units(folder: Path, name: str) -> None:
    parquet = pq.ParquetFile(folder / f"{name}.parquet")
    schema = parquet.schema_arrow
    assert schema.names[0] == "run"
    assert set(parquet.read(["run"])["run"].to_pylist()) == {"short"}
    assert {column: schema.field(column).metadata[b"unit"].decode() for column in COLUMNS[name]} == COLUMNS[name]
    assert not {str(field.type) for field in schema} & {"float", "halffloat", "decimal"}
    group = parquet.metadata.row_group(0)
    assert {group.column(c).compression for c in range(group.num_columns)} == {"ZSTD"}
    assert (b"crs" in schema.metadata) == (name in ("parameters", "domain", "catchments", "mean_maps"))


def test_parameter_maps_are_those_of_the_table(folder: Path) -> None:
    columns = table(folder, "parameters")
    for symbol, quantity in PARAMETERS.items():
        with rasterio.open(folder / "parameters" / f"{symbol}.tif") as raster:
            values, units, cell = raster.read(1), raster.units[0], raster.transform
            epsg = raster.crs.to_epsg()
        assert (units, epsg) == (quantity.unit, 2154)
        np.testing.assert_array_equal(values[columns["row"], columns["column"]], columns[symbol])
        assert np.isfinite(values).sum() == len(columns[symbol]) == 59
        np.testing.assert_array_equal(cell.c + cell.a * (columns["column"] + 0.5), columns["x"])
        np.testing.assert_array_equal(cell.f + cell.e * (columns["row"] + 0.5), columns["y"])


def test_control_leads_to_the_parameters(folder: Path) -> None:
    control, parameters = table(folder, "control"), table(folder, "parameters")
    assert list(control["name"]) == list(PARAMETERS)
    assert np.all((control["lower"] <= control["value"]) & (control["value"] <= control["upper"]))
    assert np.isfinite(control["gradient"]).all()
    for name, value in zip(control["name"], control["value"], strict=True):
        lower, upper = PARAMETERS[name].lower, PARAMETERS[name].upper
        assert lower is not None
        assert upper is not None
        np.testing.assert_allclose(parameters[name], lower + (upper - lower) * value, rtol=1e-14)


def test_discharge_has_every_step_and_the_observations_of_the_files(folder: Path) -> None:
    columns = table(folder, "discharge")
    stamps = np.arange(np.datetime64(START.rstrip("Z"), "s") + 3600, np.datetime64(END.rstrip("Z"), "s") + 1, 3600)
    for code in ("S0001", "S0002", "S0003", "S0004"):
        here = columns["gauge"] == code
        np.testing.assert_array_equal(columns["time"][here], stamps.astype("datetime64[s]"))
        (file,) = (SAMPLE / "qobs").glob(f"*{code}*")
        lines = np.array([float(line) for line in file.read_text().split()[1 : len(stamps) + 1]])
        np.testing.assert_array_equal(columns["observed"][here], np.where(lines < 0, np.nan, lines))
    assert np.isfinite(columns["simulated"]).all()
    assert np.isnan(columns["observed"]).any()


def own_metrics(q: np.ndarray, s: np.ndarray) -> dict[str, float]:
    r = np.corrcoef(q, s)[0, 1]
    return {
        "nse": 1 - np.mean((q - s) ** 2) / np.var(q),
        "nnse": 1 / (1 + np.mean((q - s) ** 2) / np.var(q)),
        "log_nse": 1
        - np.mean(np.log((q + 0.01 * q.mean()) / (s + 0.01 * q.mean())) ** 2) / np.var(np.log(q + 0.01 * q.mean())),
        "kge": 1 - np.linalg.norm([r - 1, np.std(s) / np.std(q) - 1, np.mean(s) / np.mean(q) - 1]),
        "rmse": np.sqrt(np.mean((q - s) ** 2)),
        "mae": np.mean(abs(q - s)),
        "pbias": 100 * (s.sum() / q.sum() - 1),
        "peak_ratio": s.max() / q.max(),
    }


def test_scores_from_the_discharge(folder: Path) -> None:
    """Tolerance: sums of two thousand terms in another order, and 1 - small differences."""
    discharge, scores = table(folder, "discharge"), table(folder, "scores")
    found = {}
    for row in zip(*(scores[name] for name in ("gauge", "period", "scenario", "metric")), strict=True):
        found[row] = len(found)
    assert len(found) == 4 * 2 * 8 * 2
    scenarios = {(True, True): "calibration", (True, False): "temporal", (False, True): "spatial"}
    for code in ("S0001", "S0002", "S0003", "S0004"):
        for period in PERIODS:
            here = (discharge["gauge"] == code) & inside(discharge["time"], period)
            here &= np.isfinite(discharge["observed"])
            scenario = scenarios.get((code in ("S0001", "S0003"), period == "calibration"), "spatio-temporal")
            for metric, value in own_metrics(discharge["observed"][here], discharge["simulated"][here]).items():
                number = found[code, period, scenario, metric]
                np.testing.assert_allclose(scores["value"][number], value, rtol=1e-10, atol=1e-12)
                assert scores["n_valid"][number] == here.sum()


def test_scores_over_the_flood_events(folder: Path) -> None:
    """The events of `signatures`: a step belongs to one if its stamp lies from its start to its end."""
    discharge, scores, events = (table(folder, name) for name in ("discharge", "scores", "events"))
    seen = 0
    for code in ("S0001", "S0002", "S0003", "S0004"):
        for period in PERIODS:
            of_gauge = (discharge["gauge"] == code) & inside(discharge["time"], period)
            here = np.zeros_like(of_gauge)
            for k in np.flatnonzero((events["gauge"] == code) & (events["period"] == period)):
                here |= of_gauge & (discharge["time"] >= events["start"][k]) & (discharge["time"] <= events["end"][k])
            here &= np.isfinite(discharge["observed"])
            rows = (scores["gauge"] == code) & (scores["period"] == period)
            for metric, value in own_metrics(discharge["observed"][here], discharge["simulated"][here]).items():
                (number,) = np.flatnonzero(rows & (scores["metric"] == f"{metric}_events"))
                np.testing.assert_allclose(scores["value"][number], value, rtol=1e-10, atol=1e-12)
                assert scores["n_valid"][number] == here.sum()
            seen += here.sum()
    assert seen > 0


def test_history_goes_down_to_the_cost_of_the_scores(folder: Path) -> None:
    history, scores = table(folder, "convergence"), table(folder, "scores")
    stages = list(dict.fromkeys(history["stage"]))
    assert stages == ["screening", "first guess 1", "first guess 2", "1 uniform lbfgsb"]
    for stage in stages:
        here = history["stage"] == stage
        assert np.all(np.diff(history["cost"][here]) <= 0)
        np.testing.assert_array_equal(history["iteration"][here], np.arange(here.sum()))
    for rising in ("evaluations", "seconds"):
        assert np.all(np.diff(history[rising]) >= 0)
    calibrated = (scores["scenario"] == "calibration") & (scores["metric"] == "nse")
    np.testing.assert_allclose(history["cost"][-1], 1 - scores["value"][calibrated].mean(), rtol=1e-10)
    assert history["cost"][-1] < 0.2


def test_states_and_domain(folder: Path) -> None:
    states, domain = table(folder, "states"), table(folder, "domain")
    for symbol in ("hi", "hp", "ht"):
        assert np.all((states[symbol] >= 0) & (states[symbol] <= 1))
    assert np.all(states["discharge"] > 0)
    downstream, level = domain["downstream"], domain["level"]
    drains = downstream >= 0
    np.testing.assert_array_equal(level[downstream[drains]], level[drains] + 1)
    assert drains.sum() == 58
    assert np.all((domain["ci"] >= 0.1) & (domain["ci"] <= 2.9))
    run, catchments = read(folder), table(folder, "catchments")
    inside = {code: run.catchment(code) for code in ("S0001", "S0002", "S0003")}
    assert {code: domain["area"][cells].sum() / 1e6 for code, cells in inside.items()} == {
        "S0001": 59,
        "S0002": 27,
        "S0003": 12,
    }
    np.testing.assert_array_equal(domain["calibrated"], inside["S0001"] | inside["S0003"])
    for code, area, count in zip(catchments["gauge"], catchments["area"], catchments["cells"], strict=True):
        assert (area, count) == (domain["area"][run.catchment(code)].sum(), run.catchment(code).sum())
    # What a reader with SQL alone does: a catchment is the zones of the gauges that lead to it.
    leads_to = dict(zip(catchments["gauge"], catchments["downstream_gauge"], strict=True))
    for code, cells in inside.items():
        zones = set(leads_to) - {None}
        through = {zone for zone in zones if code in _path(zone, leads_to)}
        np.testing.assert_array_equal(np.isin(domain["gauge"].astype(str), list(through)), cells)


def _path(gauge: str | None, leads_to: dict[str, str | None]) -> list[str]:
    """A gauge and all downstream of it."""
    return [] if gauge is None else [gauge, *_path(leads_to[gauge], leads_to)]


def test_final_discharge_is_the_state_of_the_gauge_cell(folder: Path) -> None:
    states, domain = table(folder, "states"), table(folder, "domain")
    outlet = np.flatnonzero(domain["downstream"] < 0)
    discharge = table(folder, "discharge")
    last = discharge["simulated"][(discharge["gauge"] == "S0001") & (discharge["time"] == discharge["time"].max())]
    np.testing.assert_array_equal(states["discharge"][outlet], last)


def test_balance(folder: Path) -> None:
    """Rain and storage told twice: by the balance, and by the forcing means and the states."""
    balance, means, domain = (table(folder, name) for name in ("balance", "catchment_timeseries", "domain"))
    states, parameters = table(folder, "states"), table(folder, "parameters")
    assert np.all(np.abs(balance["closure_error"]) < 1e-6)
    assert np.all(balance["correction_source"] == 0)
    assert np.all(np.abs(balance["clamped"]) < 1e-9)
    for code in ("S0001", "S0004"):
        here, catchment = balance["gauge"] == code, read(folder).catchment(code)
        rain = means["precipitation"][means["gauge"] == code].sum()
        np.testing.assert_allclose(balance["rain"][here].sum(), rain, rtol=1e-9)
        start = 0.01 * domain["ci"] + 0.3 * parameters["cp"] + 0.2 * parameters["ct"]
        end = states["hi"] * domain["ci"] + states["hp"] * parameters["cp"] + states["ht"] * parameters["ct"]
        np.testing.assert_allclose(balance["storage_change"][here].sum(), (end - start)[catchment].mean(), rtol=1e-9)


def test_runoff_leaves_through_the_outlet(folder: Path) -> None:
    """What the cells give is what flows past the gauge, but for the water still on its way (ten cells: hours)."""
    discharge, balance = table(folder, "discharge"), table(folder, "balance")
    volume = 3600 * discharge["simulated"][discharge["gauge"] == "S0001"].sum() / 59e6 * 1e3
    runoff = balance["runoff"][balance["gauge"] == "S0001"].sum()
    np.testing.assert_allclose(volume, runoff, rtol=0.02)


def test_signatures_and_events(folder: Path) -> None:
    events, signatures = table(folder, "events"), table(folder, "signatures")
    assert len(events["event"]) > 0
    assert np.all((events["start"] <= events["discharge_peak"]) & (events["discharge_peak"] <= events["end"]))
    for code, period in {(g, p) for g, p in zip(events["gauge"], events["period"], strict=True)}:
        here = (events["gauge"] == code) & (events["period"] == period)
        assert inside(events["discharge_peak"][here], period).all()
        told = (signatures["gauge"] == code) & (signatures["period"] == period)
        assert set(signatures["event"][told & ~np.isnan(signatures["event"])]) == set(events["event"][here])
    errors = (signatures["simulated"] - signatures["observed"]) / signatures["observed"]
    known = np.isfinite(signatures["relative_error"])
    assert known.mean() > 0.8
    np.testing.assert_allclose(signatures["relative_error"][known], errors[known], rtol=1e-12, atol=1e-15)


def test_manifest(folder: Path) -> None:
    found = manifest(folder)
    assert found["state"] == "finished"
    assert found["ending"].startswith("Cost ")
    assert found["seed"] == 1
    assert found["inputs"]["basin"]
    assert set(found["timings"]) >= {"ingestion", "calibration", "results"}
    assert 0 <= found["timings"]["calibration_compilation"] <= found["timings"]["calibration"]
    assert found["counts"] | {"cells": 59, "steps": 1800, "forcing_missing": 0} == found["counts"]
    assert {"hydrocli", "numpy", "numba", "scipy"} <= set(found["versions"])


def test_a_finished_run_is_left_alone(finished: Path, folder: Path) -> None:
    before = contents(folder)
    for target in (finished, folder):
        assert "nothing to do" in call("calibrate", target).stderr
    assert contents(folder) == before


def test_the_stored_configuration_makes_the_run_again(folder: Path, tmp_path: Path) -> None:
    call("calibrate", folder / "config.yaml", "--set", f"folder={tmp_path / 'again'}")
    assert_same_bits(folder, tmp_path / "again")


def test_json_and_table_of_a_run_folder(folder: Path) -> None:
    scores = table(folder, "scores")
    printed = rows(call("validate", folder, "--json"))
    assert [row["scenario"] for row in printed] == ["calibration"] * 2 + ["temporal"] * 2 + ["spatial"] * 2 + [
        "spatio-temporal"
    ] * 2
    for row in printed:
        here = (scores["gauge"] == row["gauge"]) & (scores["period"] == row["period"])
        here &= [not metric.endswith("_events") for metric in scores["metric"]]
        np.testing.assert_array_equal([row[metric] for metric in scores["metric"][here]], scores["value"][here])
    assert {row["gauge"] for row in rows(call("signatures", folder, "--json"))} == {"S0001", "S0002", "S0003", "S0004"}
    assert "spatio-temporal" in call("validate", folder).stdout


def test_python_users(folder: Path) -> None:
    run = read(folder)
    assert run.discharge.attrs["units"]["simulated"] == "m3/s"
    assert json.loads(json.dumps(run.log[0]))["event"]
    assert run.manifest.state == "finished"


READ_ALL = (
    "import os, sys; import numpy, pyarrow; from hydrocli.results import read\n"
    "run = read(sys.argv[1]); run.arrays('scores') if run.has('scores') else None\n"
    "before = len(os.listdir('/proc/self/task')) if os.path.isdir('/proc/self/task') else 0\n"
    "found = [run.arrays(name) for name in ('domain', 'discharge', 'parameters', 'balance')]\n"
    "print(before, len(os.listdir('/proc/self/task')) if before else 0)\n"
)


def test_reading_tables_starts_no_thread(finished: Path) -> None:
    """One that frees memory of Python while the process ends would abort it, with the results written."""
    command = [sys.executable, "-c", READ_ALL, str(finished.with_suffix(""))]
    before, after = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert after == before
