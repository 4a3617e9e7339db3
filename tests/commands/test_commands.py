"""The other commands, the YAML files that are shipped, execution options, and what cron sees."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from runs_harness import (
    BASE,
    ROOT,
    SAMPLE,
    START,
    assert_same_bits,
    call,
    configuration,
    contents,
    manifest,
    process,
    rows,
    series,
    table,
)

from hydrocli.config import load, load_campaign
from hydrocli.engine import order
from hydrocli.errors import InputError
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.experiment.summary import calibrated_parameters
from hydrocli.results.folder import RunFolder

QUICK: dict[str, Any] = {"first_guess": {"kind": "given"}, "optimiser.iterations": 3}
DISTRIBUTED = QUICK | {"mapping": {"kind": "distributed"}}
CONFIGS = [file for file in sorted((ROOT / "configs").glob("*.yaml")) if "models:" not in file.read_text()]


def sets(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gauges.validation": [], "gauges.weights": {"S0001": 2.0}}, "gauges.weights: no weight for S0002, S0003"),
        ({"gauges.validation": ["S0001", "S0002", "S0003", "S0004"]}, "gauges.validation: leaves no gauge"),
    ],
)
def test_calibration_gauges_left_out(changes: dict[str, Any], told: str, store: Path, tmp_path: Path) -> None:
    """Which gauges then calibrate is known only once their table is read."""
    file = configuration(tmp_path / "run.yaml", store, changes=QUICK | {"gauges.calibration": None} | changes)
    assert told in call("calibrate", file, status=2).stderr


def test_progress_does_not_pass_its_total(store: Path, tmp_path: Path) -> None:
    changes = {
        "first_guess": {"kind": "screening", "samples": 16, "descents": 2, "iterations": 1},
        "optimiser.iterations": 1,
    }
    result = call("calibrate", configuration(tmp_path / "run.yaml", store, changes=changes))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    assert steps[0]["done"] == 17
    assert all(step["done"] <= step["total"] for step in steps)
    assert all(set(step["nse"]) == {"S0001", "S0003"} for step in steps)
    assert f"calibrating: {steps[-1]['done']} evaluations, done after" in result.stderr


def test_cost_and_score_of_a_step_are_of_the_same_evaluation(store: Path, tmp_path: Path) -> None:
    """With one gauge and no penalty the cost is 1 - NSE."""
    changes = QUICK | {"gauges.calibration": ["S0001"], "gauges.validation": ["S0003"]}
    call("calibrate", configuration(tmp_path / "run.yaml", store, changes=changes))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    assert len(steps) == 4
    assert [1 - step["nse"]["S0001"] for step in steps] == pytest.approx([step["cost"] for step in steps], rel=1e-9)


def test_the_ending_of_a_calibration(store: Path, tmp_path: Path) -> None:
    """Scores are those of `validate`; cells whose parameter is at a bound are counted."""
    file, run = configuration(tmp_path / "run.yaml", store, changes=QUICK), tmp_path / "run"
    result = call("calibrate", file)
    assert f"next: `hydrocli validate {run}`" in result.stderr
    values = table(run, "parameters")["cp"]
    line = next(line for line in result.stdout.splitlines() if line.startswith("cp [mm]"))
    assert float(line.split()[2]) == pytest.approx(values.mean(), rel=1e-3)
    assert line.split()[-1] == "0"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["parameters"]["cp"] |= {"value": float(values.max()), "bounds": [1.0, float(values.max())]}
    with RunFolder.open(run, "run") as folder, folder.rewriting("config.yaml"):
        (run / "config.yaml").write_text(yaml.safe_dump(settings))
    cells = int(table(run, "domain")["calibrated"].sum())
    assert {row["parameter"]: row["cells_at_bound"] for row in calibrated_parameters(run)}["cp [mm]"] == cells
    found = {row["gauge"]: row for row in rows(call("calibrate", file, "--force", *sets("seed=2"), "--json"))}
    scored = {row["gauge"]: row for row in rows(call("validate", file, "--json")) if row["scenario"] == "calibration"}
    assert set(found) == set(scored)
    for code, row in found.items():
        assert (row["nse"], row["kge"]) == pytest.approx((scored[code]["nse"], scored[code]["kge"]), rel=1e-12)


# Execution: nothing but the precision changes a number.


def test_threads_and_memory_change_no_bit(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 16 cells give threads something to share, and 64 kB hold a few rows of states only."""
    monkeypatch.setattr(order, "CHUNK", 16)
    monkeypatch.setattr("hydrocli.config.base.LEAST_MEMORY", 1)
    for threads, memory in ((1, 2 * 10**9), (2, 2 * 10**9), (1, 65536), (3, 65536)):
        changes = DISTRIBUTED | {"execution": {"threads": threads, "memory": memory}}
        call("calibrate", configuration(tmp_path / f"{threads}-{memory}.yaml", store, changes=changes))
    one = tmp_path / "1-2000000000"
    for other in ("2-2000000000", "1-65536", "3-65536"):
        assert_same_bits(one, tmp_path / other)


def test_single_precision_is_near(store: Path, tmp_path: Path) -> None:
    """Discharge within 1e-5 of the peak (some thousand roundings of 6e-8 in the stores), the first cost within 1e-5."""
    for precision in ("double", "single"):
        changes = QUICK | {"execution": {"precision": precision}}
        file = configuration(tmp_path / f"{precision}.yaml", store, changes=changes)
        call("calibrate", file)
        call("simulate", file, "--output", tmp_path / f"simulated-{precision}")
    for gauge in ("S0001", "S0004"):
        double, single = (series(tmp_path / f"simulated-{p}", gauge)[1] for p in ("double", "single"))
        assert 0 < np.max(np.abs(double - single)) < 1e-5 * double.max()
    double, single = (table(tmp_path / precision, "convergence")["cost"] for precision in ("double", "single"))
    assert abs(double[0] - single[0]) < 1e-5


# Commands that calibrate nothing.


def test_check(finished: Path, store: Path, tmp_path: Path) -> None:
    report = json.loads(call("check", finished, "--json").stdout)
    assert (report["cells"], report["steps"], report["levels"], report["calibrated_cells"]) == (59, 1800, 10, 59)
    assert report["problems"] == []
    assert str(store) in report["store"]
    gauges = {row["gauge"]: row for row in report["gauges"]}
    assert gauges["S0001"]["area_found_km2"] == gauges["S0001"]["area_asked_km2"] == 59
    assert gauges["S0002"]["role"] == "validation"
    observed = table(finished.with_suffix(""), "discharge")
    here = observed["gauge"] == "S0003"
    assert gauges["S0003"]["observed_missing"] == np.isnan(observed["observed"][here]).mean()
    assert [row["forcing"] for row in report["forcing"]] == ["precipitation", "pet", "temperature"]
    assert [row["steps_without_file"] for row in report["forcing"]] == [0, 0, 0]
    assert report["assumptions"][0].startswith(
        "precipitation: mm per hour (after scale_factor); the date in a file name"
    )
    (plausible, *_) = report["plausibility"]
    assert plausible["rain_missing"] == 0
    assert 0 < plausible["runoff_ratio"] < 1
    assert {row["gauge"] for row in report["gauge_candidates"]} == set(gauges)
    page = tmp_path / "check.html"
    shown = call("check", finished, "--report", "--output", page)
    page.unlink()
    assert "EPSG:2154" in shown.stdout
    assert "runoff" in shown.stdout
    assert "gauge candidates" not in shown.stdout
    assert f"The page is {page}." in shown.stderr
    nothing = configuration(tmp_path / "new.yaml", tmp_path / "store")
    assert json.loads(call("check", nothing, "--files-only", "--json").stdout)["store"] == "not ingested yet"
    assert [file.name for file in tmp_path.iterdir()] == ["new.yaml"]


def test_check_tells_all_problems(finished: Path, tmp_path: Path) -> None:
    changes = ("forcing.precipitation.path=nix", "basin.descriptors.slope=none.tif", "gauges.discharge.path=away")
    wrong = sets(*changes, "initial.from=nowhere")
    result = call("check", finished, *wrong, status=3)
    for place in ("forcing.precipitation.path", "basin.descriptors.slope", "gauges.discharge.path", "initial.from"):
        assert f"error: {place}" in result.stderr
    assert "cells" in result.stdout
    problems = json.loads(call("check", finished, *wrong, "--json", status=3).stdout)["problems"]
    assert len(problems) == 4
    assert "wrong.yaml" in call("check", tmp_path / "wrong.yaml", status=2).stderr


@pytest.mark.parametrize("kind", ["uniform", "distributed"])
@pytest.mark.parametrize("seed", [1, 2])
def test_gradcheck(kind: str, seed: int, store: Path, tmp_path: Path) -> None:
    changes = {"mapping": {"kind": kind}, "seed": seed, "initial.hp": {"value": 0.3, "calibrated": True}}
    printed = call("gradcheck", configuration(tmp_path / "run.yaml", store, changes=changes)).stdout
    lines = [line.split() for line in printed.splitlines() if line.endswith((" yes", " no"))]
    assert len(lines) == 10
    assert {line[-1] for line in lines} == {"yes"}
    assert not (tmp_path / "run").exists()


def test_a_wrong_gradient_fails(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydrocli.engine.objective import Objective

    right = Objective.value_and_gradient
    monkeypatch.setattr(
        Objective, "value_and_gradient", lambda self, x: (right(self, x)[0], right(self, x)[1] * (1 + 1e-3))
    )
    printed = call("gradcheck", configuration(tmp_path / "run.yaml", store), status=4).stdout
    failed = [line for line in printed.splitlines() if line.endswith(" no")]
    assert sum("central differences" in line for line in failed) == 3
    assert sum("Taylor" in line for line in failed) == 3


def test_ingest_and_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configuration(tmp_path / "run.yaml", tmp_path / ".hydrocli" / "store")
    first = call("ingest", file)
    assert "reading precipitation" in first.stderr
    assert "59 cells, 1800 steps, 4 gauges" in first.stderr
    heads, *_, last = first.stdout.splitlines()
    assert "runoff" in heads
    assert last.startswith("S0004")
    again = call("ingest", file, "--json")
    assert "reading" not in again.stderr
    assert {row["gauge"] for row in json.loads(again.stdout)["plausibility"]} == {"S0001", "S0002", "S0003", "S0004"}
    (path,) = (tmp_path / ".hydrocli" / "store").glob("?" * 32)  # beside it are listings of the archives
    for target in (file, tmp_path):
        assert str(path) in call("clean", target).stdout
    assert path.is_dir()
    monkeypatch.setenv(
        "HYDROCLI_CACHE", str(tmp_path / "cache")
    )  # compiled code of this user is not for a test to remove
    call("clean", file, "--remove")
    assert not path.exists()


# Samples and twins.


@pytest.fixture(scope="module")
def noise_free(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "basin"
    options = ("--cells", "50", "--gauges", "2", "--seed", "3", "--noise", "0", "--gaps", "0", "--encoding", "ldd")
    call("synthetic", folder, *options, "--start", "2019-10-01", "--end", "2019-10-21")
    return folder


def test_a_noise_free_sample_is_its_truth(noise_free: Path) -> None:
    """The discharge that was written is that of the true maps, to the digits of the file."""
    experiment = load(noise_free / "config.yaml")
    case = CalibrationSetup(experiment, ingested(experiment))
    network, maps = case.basin.network, []
    for symbol in case.structure.all_parameters:
        with rasterio.open(noise_free / "truth" / f"{symbol}.tif") as raster:
            maps.append([value[0] for value in raster.sample(zip(network.x, network.y, strict=True))])
    gauges = np.arange(len(case.basin.gauges.code))
    simulator, _, _ = case.simulator(np.arange(len(network)), gauges, len(case.basin.times))
    simulated, _ = simulator.simulate(np.array(maps, np.float64), case.state)
    assert len(gauges) == 2
    np.testing.assert_allclose(simulated, case.basin.discharge, rtol=1e-4, atol=1e-4 * simulated.max())


def test_a_sample_runs(noise_free: Path) -> None:
    file = noise_free / "config.yaml"
    few = sets("first_guess={kind: screening, samples: 16, descents: 1}", "optimiser.iterations=20")
    call("calibrate", file, *few)
    scores = {row["scenario"]: row["nse"] for row in rows(call("validate", file, "--json"))}
    assert scores["calibration"] > 0.8
    call("signatures", file)
    assert "not empty" in call("synthetic", noise_free, status=2).stderr


def test_a_region_runs(tmp_path: Path) -> None:
    """All catchments in one sweep; three in four calibrate, the others validate."""
    options = ("--region", "--catchments", "8", "--areas", "6-40", "--truth", "uniform", "--true-model", "infiltration")
    call("synthetic", tmp_path / "r", *options, "--end", "2019-09-21", "--noise", "0")
    listed = (tmp_path / "r" / "catchments.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in listed] == ["code", *(f"C000{number}" for number in range(1, 9))]
    file = tmp_path / "r" / "config.yaml"
    call("calibrate", file, *sets("first_guess={kind: given}", "optimiser.iterations=10"))
    scores = {row["gauge"]: row["scenario"] for row in rows(call("validate", file, "--json"))}
    assert [code for code, scenario in scores.items() if "spatio" in scenario] == ["C0004", "C0008"]
    campaign = load_campaign(tmp_path / "r" / "campaign.yaml").campaign
    assert campaign.catchments.table == tmp_path / "r" / "catchments.csv"
    assert "is not one of" in call("synthetic", tmp_path / "s", "--true-model", "darcy", status=2).stderr


@pytest.mark.parametrize(
    ("step", "end", "steps"), [("15min", "2019-09-07", 576), ("1d", "2020-03-01", 182), ("3h", "2019-10-01", 240)]
)
def test_other_steps(step: str, end: str, steps: int, tmp_path: Path) -> None:
    call("synthetic", tmp_path / "s", "--cells", "50", "--gauges", "2", "--end", end, "--step", step)
    file = tmp_path / "s" / "config.yaml"
    call("calibrate", file, *sets("first_guess={kind: given}", "optimiser.iterations=15"))
    folder = tmp_path / "s" / "runs" / "sample"
    for name in ("validate", "signatures"):
        assert {row["gauge"] for row in rows(call(name, file, "--json"))} == {"S0001", "S0002"}
    assert manifest(folder)["counts"]["steps"] == steps
    times = series(folder, "S0001")[0]
    assert set(np.diff(times).astype(int)) == {load(file).period.step}
    history = table(folder, "convergence")["cost"]
    assert history[-1] < 0.7 * history[0]
    assert np.abs(table(folder, "balance")["closure_error"]).max() < 1e-6


def test_a_twin_gives_its_parameters_back(store: Path, tmp_path: Path) -> None:
    """Discharge made with known uniform parameters, written as a tidy CSV and calibrated from the default start."""
    truth = {"cp": 180.0, "ct": 110.0, "kexc": -0.8, "akw": 6.0, "bkw": 0.55}
    known = {f"parameters.{symbol}": {"value": value} for symbol, value in truth.items()}
    call("simulate", configuration(tmp_path / "truth.yaml", store, changes=known))
    made = table(tmp_path / "truth", "discharge")
    with (tmp_path / "tidy.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["gauge", "time", "discharge"])
        for gauge, time, value in zip(made["gauge"], made["time"], made["simulated"], strict=True):
            writer.writerow([gauge, f"{time}Z", repr(float(value))])
    changes = {
        "gauges.discharge": {"path": str(tmp_path / "tidy.csv"), "format": "tidy"},
        "first_guess": {"kind": "screening", "samples": 32, "descents": 2, "iterations": 20},
        "optimiser": {"kind": "lbfgsb", "iterations": 300, "cost_tolerance": 1e-16, "gradient_tolerance": 1e-10},
    }
    call("calibrate", configuration(tmp_path / "twin.yaml", store, changes=changes))
    found, history = table(tmp_path / "twin", "parameters"), table(tmp_path / "twin", "convergence")
    assert history["cost"][-1] < 1e-7
    for symbol, value in truth.items():
        np.testing.assert_allclose(found[symbol], value, rtol=0.01, err_msg=symbol)


# What is shipped.


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=file.stem, marks=[pytest.mark.peer] if "data/smash" in file.read_text() else [])
        for file in CONFIGS
    ],
)
def test_every_shipped_configuration_runs(
    file: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    text = file.read_text()
    if "../data/smash" in text:
        text = text.replace("../data/smash", str(request.getfixturevalue("peer_data")))
    here = tmp_path / "configs" / file.name
    here.parent.mkdir()
    asked = yaml.safe_load(text.replace("../data-samples", str(SAMPLE.parent)))
    given, is_closed = asked.get("optimiser", {}), asked["structure"]["kind"] == "linear"
    short = [stage | {"iterations": 3} for stage in given] if isinstance(given, list) else given | {"iterations": 3}
    here.write_text(yaml.safe_dump(asked if is_closed else asked | {"optimiser": short}))
    kept = tmp_path_factory.getbasetemp() / "shipped"
    few = sets(f"forcing.store={kept}", "first_guess={kind: given}")
    call("check", here, *few)
    call("calibrate", here, *few)
    folder = tmp_path / "runs" / file.stem
    gauges = set(table(folder, "discharge")["gauge"])  # roles by their place in the network leave none out
    if isinstance(asked["gauges"]["calibration"], list):
        assert gauges == {*asked["gauges"]["calibration"], *asked["gauges"]["validation"]}
    for name in ("validate", "signatures"):
        printed = rows(call(name, here, *few, "--json"))
        assert {row["gauge"] for row in printed} == gauges
    assert manifest(folder)["state"] == "finished"
    history = table(folder, "convergence")["cost"]
    assert history[-1] < (1.0 if is_closed else history[0])  # of NSE: better than the mean


# What cron sees.


def test_without_a_terminal(store: Path, tmp_path: Path) -> None:
    """Plain lines on standard error, results and nothing else on standard output, a log of JSON."""
    file = configuration(tmp_path / "run.yaml", store, changes=QUICK)
    calibrated = process("calibrate", file)
    assert calibrated.returncode == 0
    scores, _, parameters = calibrated.stdout.partition("\n\n")
    assert [line.split()[0] for line in scores.splitlines() if line[0].isalnum()] == ["gauge", "S0001", "S0003"]
    assert [symbol for symbol in ("cp", "ct", "kexc", "akw", "bkw") if f"{symbol} [" not in parameters] == []
    again = process("calibrate", file)
    assert (again.returncode, again.stdout) == (0, "")
    scored = process("validate", file, "--json")
    assert [json.loads(line)["n_valid"] > 0 for line in scored.stdout.splitlines()] == [True] * 8
    plain = process("signatures", tmp_path / "run")
    assert "S0004" in plain.stdout
    for ended in (calibrated, again, scored, plain):
        assert not {"\r", "\x1b"} & set(ended.stdout + ended.stderr)
        assert all(line[:10].count("-") == 2 and line[19] == "Z" for line in ended.stderr.splitlines())
    assert process("validate", file, "--quiet").stderr == ""
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    steps = [line for line in lines if line["event"] == "step"]
    assert [step["iteration"] for step in steps] == [0, 1, 2, 3]
    assert all({"cost", "gradient_norm", "nse"} <= set(step) for step in steps)


def test_a_folder_named_by_the_day(store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "run.yaml", store, changes=QUICK | {"folder": "runs/{name}-{now:%Y%m}"})
    call("calibrate", file)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith(f"{BASE['name']}-20")
    assert "nothing to do" in call("calibrate", file).stderr
    assert str(load(folder).period.start) == START.replace("T", " ").replace("Z", ":00")


def test_a_copied_run_writes_into_its_own_folder(finished: Path, tmp_path: Path) -> None:
    """Also where the configuration in it still names the folder that it was copied from."""
    run, copy = finished.with_suffix(""), tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "scores.parquet").unlink()
    before = contents(run)
    call("validate", copy)
    assert (copy / "scores.parquet").exists()
    assert contents(run) == before


@pytest.mark.parametrize("of_number", ["hydrocli run folder 1", 4])
def test_every_command_refuses_a_run_of_another_format(of_number: str | int, finished: Path, tmp_path: Path) -> None:
    """Whether it is named by its folder, its configuration, or as the source of another run."""
    run = tmp_path / "run"
    shutil.copytree(finished.with_suffix(""), run)
    found = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(found | {"format": of_number}))
    before = contents(run)
    commands: list[tuple[str | Path, ...]] = [
        *((name, run) for name in ("calibrate", "validate", "signatures", "check", "report", "compare", "export")),
        ("calibrate", run, "--force"),
        ("simulate", run, "--output", tmp_path / "again"),
        ("simulate", finished, "--parameters-from", run, "--output", tmp_path / "again"),
        ("calibrate", finished, "--set", f"parameters.from={run}", "--set", f"folder={tmp_path / 'on'}"),
        ("calibrate", finished, "--set", f"initial.from={run}", "--set", f"folder={tmp_path / 'on'}"),
        ("validate", finished, "--set", f"folder={run}"),
    ]
    for arguments in commands:
        told = call(*arguments, status=InputError.exit_status).stderr
        assert "uses format 3" in told, arguments
        assert "Calibrate again with this version" in told, arguments
    assert contents(run) == before
