"""Several basins under one control vector: the same bits whoever computes them, and the sum of what each has alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from runs_harness import (
    ROOT,
    assert_same_bits,
    call,
    command,
    configuration,
    manifest,
    rows,
    table,
)

from hydrocli.config import load, regional_members
from hydrocli.experiment.regional import RegionalCalibration, partition
from hydrocli.experiment.setup import CalibrationSetup, RegionalScaling, ingested
from hydrocli.experiment.stages import BasinCalibration

OTHERS: dict[str, dict[str, Any]] = {
    "b2": {"gauges.calibration": ["S0003"], "gauges.validation": []},
    "b3": {
        "gauges.calibration": ["S0002", "S0004"],
        "gauges.validation": [],
        "period.calibration": ["2014-09-10T00:00Z", "2014-10-05T00:00Z"],
        "period.validation": {"later": ["2014-10-05T00:00Z", "2014-10-15T00:00Z"]},
        "period.end": "2014-10-15T00:00Z",
        "initial": {"hp": {"value": 0.5}},
    },
}
"""Parts of the sample that share nothing with the first basin but some water; one of another period."""
FIRST: dict[str, Any] = {
    "gauges.calibration": ["S0001"],
    "gauges.validation": ["S0004"],
    "regional": {"basins": ["b2.yaml", "b3.yaml"]},
    "first_guess": {"kind": "screening", "samples": 8, "descents": 1, "iterations": 2},
    "optimiser": {"kind": "lbfgsb", "iterations": 4},
}
HYBRID: dict[str, Any] = {
    "structure": {"kind": "grnn", "network": {"hidden": [4], "input_scaling": "max"}},
    "first_guess": {"kind": "given"},
    "optimiser": [
        {"kind": "adam", "iterations": 4},
        {"kind": "adam", "iterations": 6, "batches": {"basins": 2, "full_evaluation_every": 3}},
        {"kind": "adam", "iterations": 6, "batches": {"basins": 2, "length": "5d", "full_evaluation_every": 3}},
    ],
}


@pytest.fixture(scope="module")
def region(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the files of the further basins."""
    folder = tmp_path_factory.mktemp("region")
    for name, changes in OTHERS.items():
        configuration(folder / f"{name}.yaml", store, changes=changes | {"name": name})
    return folder


def written(folder: Path, store: Path, name: str, changes: dict[str, Any] | None = None) -> Path:
    """YAML of the first basin."""
    return configuration(folder / f"{name}.yaml", store, changes=FIRST | (changes or {}))


def cases(file: Path) -> Sequence[CalibrationSetup]:
    return [CalibrationSetup(member, ingested(member)) for member in regional_members(load(file))]


def assert_same_region(one: Path, other: Path) -> None:
    assert_same_bits(one, other)
    for name in OTHERS:
        tables = ("parameters", "discharge", "states", "domain", "catchment_timeseries", "balance")
        assert_same_bits(one / "basins" / name, other / "basins" / name, tables)


@pytest.mark.parametrize("changes", [{}, HYBRID], ids=["uniform", "hybrid in mini-batches"])
def test_threads_and_processes_change_no_bit(changes: dict[str, Any], region: Path, store: Path) -> None:
    kind = "hybrid" if changes else "uniform"
    for threads, workers in ((1, 1), (3, 1), (2, 2)):
        execution = {"execution": {"threads": threads, "workers": workers}}
        call("calibrate", written(region, store, f"{kind}-{threads}-{workers}", changes | execution))
    for other in ("3-1", "2-2"):
        assert_same_region(region / f"{kind}-1-1", region / f"{kind}-{other}")


def test_its_cost_is_the_mean_over_all_gauges(region: Path, store: Path) -> None:
    """Each basin alone, at the same control: the region's cost and gradient are their sums by number of gauges."""
    alone = [BasinCalibration(case) for case in cases(written(region, store, "alone"))]
    with_all = RegionalCalibration(cases(region / "alone.yaml"))
    problem = with_all.stages[0].problem([])
    x = np.linspace(0.3, 0.7, problem.lower.size)
    parts = [training.stages[0].problem([]).value_and_gradient(x) for training in alone]
    cost, gradient = problem.value_and_gradient(x)
    assert with_all.codes == ("short/S0001", "b2/S0003", "b3/S0002", "b3/S0004")
    assert cost == pytest.approx(sum(n * value for n, (value, _) in zip((1, 1, 2), parts, strict=True)) / 4, rel=1e-14)
    expected = sum(n * slope for n, (_, slope) in zip((1, 1, 2), parts, strict=True)) / 4
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)
    assert problem.values(x[np.newaxis])[0] == pytest.approx(cost, rel=1e-14)
    np.testing.assert_array_equal(with_all.scores, np.concatenate([training.scores for training in alone]))
    np.testing.assert_allclose(1 - np.mean(with_all.scores), cost, rtol=1e-12)


def test_batches_of_basins_are_whole_basins_and_average_to_the_whole(region: Path, store: Path) -> None:
    """With one basin a batch: each batch is the cost of a basin, and all basins have their turn."""
    adam = {"kind": "adam", "iterations": 2, "batches": {"basins": 1}}
    whole = RegionalCalibration(
        cases(written(region, store, "batches", {"first_guess": {"kind": "given"}, "optimiser": adam}))
    )
    problem = whole.stages[0].problem([])
    x = np.full(problem.lower.size, 0.4)
    assert problem.batch is not None
    drawn = {problem.batch(iteration, x, x)[0] for iteration in range(40)}
    problem.value_and_gradient(x)
    costs = 1 - whole.scores
    np.testing.assert_allclose(sorted(drawn), sorted([costs[0], costs[1], (costs[2] + costs[3]) / 2]), rtol=1e-12)


def test_inputs_of_the_network_are_scaled_by_the_largest_of_all(region: Path, store: Path) -> None:
    several = cases(written(region, store, "scaled", HYBRID))
    scales = [case.flux_network.scale for case in several]
    assert len({scale[2] for scale in scales}) > 1
    np.testing.assert_array_equal(RegionalScaling.of(several).flux_network.scale, np.min(scales, axis=0))


@pytest.mark.parametrize("kind", ["multilinear", "mlp", "cnn"])
def test_mappings_by_descriptors_see_one_range_for_all(kind: str, region: Path, store: Path) -> None:
    """The range over all basins is in the network of each; the gradient through all of them is right."""
    changes = {"mapping": {"kind": kind}, "first_guess": {"kind": "given"}, "optimiser.iterations": 2}
    file = written(region, store, kind, changes)
    several = cases(file)
    shared = RegionalScaling.of(several).scaling
    assert shared is not None
    for number, name in enumerate(shared.names):
        fields = np.concatenate([case.basin.descriptors[name] for case in several])
        assert (shared.lowest[number], shared.highest[number]) == (fields.min(), fields.max())
    assert not np.array_equal(shared.lowest, several[1].scaling.lowest)
    problem = RegionalCalibration(several).stages[0].problem([])
    x = problem.starts[0]
    direction = np.random.default_rng(1).normal(size=x.size)
    slope = problem.value_and_gradient(x)[1] @ direction
    above, below = problem.values(np.stack([x + 1e-5 * direction, x - 1e-5 * direction]))
    assert slope == pytest.approx((above - below) / 2e-5, rel=1e-4)
    call("calibrate", file)
    one, other = (table(region / kind / part, "network_weights") for part in (".", "basins/b2"))
    np.testing.assert_array_equal(one["value"], other["value"])


def test_a_mapping_of_a_region_starts_from_uniform_parameters_of_all_basins(region: Path, store: Path) -> None:
    """They are one set of values, and are simulated and scored in every basin."""
    file = written(region, store, "held", {"mapping": {"kind": "multilinear"}, "optimiser.iterations": 2})
    call("calibrate", file)
    first, *others = (manifest(region / "held" / part)["first_guess"] for part in (".", "basins/b2", "basins/b3"))
    assert set(first) == {"cp", "ct", "kexc", "akw", "bkw"}
    assert others == [first, first]
    assert "uniform" in table(region / "held", "convergence")["stage"]
    assert {row["basin"] for row in rows(call("validate", file, "--json")) if np.isfinite(row["nse_uniform"])} == {
        "short", "b2", "b3",
    }  # fmt: skip


def test_every_basin_has_a_run_folder_of_its_own(region: Path, store: Path) -> None:
    file = written(region, store, "folders")
    call("calibrate", file)
    told = rows(call("validate", file, "--json"))
    found = {(row["basin"], row["gauge"], row["scenario"]) for row in told}
    assert ("short", "S0004", "spatio-temporal") in found
    assert ("b3", "S0002", "temporal") in found
    assert {row["basin"] for row in rows(call("signatures", file, "--json"))} == {"short", "b2", "b3"}
    own = region / "folders" / "basins" / "b3"
    assert manifest(own)["state"] == "finished"
    assert set(table(own, "scores")["gauge"]) == {"S0002", "S0004"}
    first = {symbol: table(region / "folders", "parameters")[symbol][0] for symbol in ("cp", "ct", "akw")}
    assert all(np.all(table(own, "parameters")[symbol] == value) for symbol, value in first.items())
    assert {row["gauge"] for row in rows(call("validate", own, "--json"))} == {"S0002", "S0004"}
    assert "nothing to do" in call("calibrate", file).stderr


def test_another_basin_is_another_calibration(region: Path, store: Path, tmp_path: Path) -> None:
    for name, changes in OTHERS.items():
        configuration(tmp_path / f"{name}.yaml", store, changes=changes | {"name": name})
    file = written(tmp_path, store, "run", {"first_guess": {"kind": "given"}, "optimiser.iterations": 1})
    call("calibrate", file)
    configuration(tmp_path / "b2.yaml", store, changes=OTHERS["b2"] | {"name": "b2", "initial": {"hp": {"value": 0.4}}})
    assert "files of regional.basins" in call("calibrate", file, status=2).stderr


def test_what_basins_cannot_have_in_common_is_refused(store: Path, tmp_path: Path) -> None:
    configuration(tmp_path / "b2.yaml", store, changes=OTHERS["b2"] | {"name": "run", "period.step": "1d"})
    configuration(
        tmp_path / "b3.yaml", store, changes=OTHERS["b3"] | {"name": "b3", "initial": {"hp": {"calibrated": True}}}
    )
    file = written(tmp_path, store, "run", {"name": "run", "mapping": {"kind": "distributed"}})
    told = call("calibrate", file, status=2).stderr
    for words in ("two basins have the name run", "step of 86400 s", "shares no control"):
        assert words in told
    configuration(tmp_path / "b2.yaml", store, changes=OTHERS["b2"] | {"name": "b2"})
    told = call("calibrate", written(tmp_path, store, "run"), status=2).stderr
    assert "the controls of b3 are not those of short" in told
    assert yaml.safe_load((tmp_path / "run.yaml").read_text())["regional"]["basins"] == ["b2.yaml", "b3.yaml"]
    assert "length" in call("check", file, "--set", "optimiser={kind: adam, batches: {gauges: 1}}", status=2).stderr


def worker_of(process: int) -> int:
    """The one process that computes basins for another."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    (worker,) = [pid for pid, line in lines.items() if b"hydrocli.execution.worker" in line]
    return worker


def test_killed_processes_and_stopped_parents_lose_nothing(region: Path, store: Path) -> None:
    """First a process that computes basins is killed, then the parent is stopped; the third call ends with the bits."""
    changes = HYBRID | {"optimiser": {"kind": "adam", "iterations": 80, "batches": {"basins": 2}}}
    call("calibrate", written(region, store, "undisturbed", changes))
    file = written(region, store, "disturbed", changes | {"execution": {"workers": 2}})
    journal = file.with_suffix("") / "journal.bin"
    for is_child in (True, False):
        before = journal.stat().st_size if journal.exists() else 0
        with subprocess.Popen(command("calibrate", file), stderr=subprocess.PIPE, cwd=ROOT) as running:
            while running.poll() is None and (not journal.exists() or journal.stat().st_size < before + 4000):
                time.sleep(0.002)
            worker = worker_of(running.pid)
            os.kill(worker if is_child else running.pid, signal.SIGKILL if is_child else signal.SIGTERM)
            _, told = running.communicate(timeout=60)
        assert running.returncode == 75, told
        assert not Path(f"/proc/{worker}").exists()
    call("calibrate", file)
    assert_same_region(region / "undisturbed", region / "disturbed")


def test_basins_are_dealt_by_their_size() -> None:
    """The first basin stays in the first group; each next largest goes where least is: 55 and 45."""
    assert partition([5, 40, 1, 30, 20, 4], 2) == [[3, 4, 0], [1, 5, 2]]
