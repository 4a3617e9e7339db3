"""Terms, weights and penalties of the objective, from the YAML to the run folder."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_harness import assert_same_bits, call, configuration, manifest, process, series, table
from test_experiment_resume import STOPPED, disturbed

from hydrocli.config import load
from hydrocli.errors import HydrocliError
from hydrocli.experiment.cost import calibration_cost
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.experiment.stages import stage_plans
from hydrocli.score.metrics import nse

GIVEN = {"first_guess": {"kind": "given"}, "parameters.cp.value": 150.0, "parameters.ct.value": 80.0}
TERMS = [
    {"metric": "nse", "transform": "log"},
    {"metric": "kge", "weight": 0.5, "transform": "sqrt"},
    {"signature": "Epf", "weight": 0.2},
    {"signature": "Crchf", "weight": 0.2},
]
EVENTS = {"flood_events.peak_quantile": 0.98}
SMOOTH: dict[str, Any] = GIVEN | {
    "mapping": {"kind": "distributed"},
    "optimiser": {"kind": "lbfgsb", "iterations": 8},
}
LCURVE = SMOOTH | {
    "objective": {"terms": TERMS[:2], "regularisation": {"smoothing": 1, "prior": 0.1, "weight": "lcurve"}},
    "objective.regularisation.weights": [1, 100.0, 0.01],
}


SYMBOLS = ("cp", "ct", "kexc", "akw", "bkw")


def simulated(folder: Path) -> np.ndarray:
    """Discharge [g, t] of the calibration gauges to the end of the calibration."""
    stamps = series(folder, "S0001")[0] <= np.datetime64("2014-10-25T00:00")
    return np.stack([series(folder, code)[1][stamps] for code in ("S0001", "S0003")])


def cost_of(file: Path) -> Any:
    experiment = load(file)
    return calibration_cost(CalibrationSetup(experiment, ingested(experiment)))


@pytest.mark.parametrize("between", ["neighbours", "downstream"])
def test_gradcheck_of_several_terms_and_a_penalty(between: str, store: Path, tmp_path: Path) -> None:
    objective = {
        "terms": TERMS,
        "regularisation": {"prior": 1, "smoothing": 1, "smoothing_pairs": between, "weight": 0.3},
    }
    changes = EVENTS | SMOOTH | {"objective": objective}
    printed = call("gradcheck", configuration(tmp_path / "run.yaml", store, changes=changes)).stdout
    passed = [line.split()[-1] for line in printed.splitlines()[2:] if line]
    assert "yes" in passed
    assert "no" not in passed


def test_a_uniform_stage_before_a_mapping_has_no_penalty(store: Path, tmp_path: Path) -> None:
    """It finds the parameters near which the penalty holds the maps."""
    stages = [{"kind": "sbs", "mapping": "uniform", "iterations": 1}, {"kind": "adam", "iterations": 1}]
    changes = {"mapping": {"kind": "multilinear"}, "optimiser": stages}
    experiment = load(configuration(tmp_path / "run.yaml", store, changes=changes))
    plans = stage_plans(CalibrationSetup(experiment, ingested(experiment)))
    assert [(plan.trainable.mapping, plan.weight) for plan in plans] == [
        ("uniform", 0), ("uniform", 0), ("uniform", 0), ("multilinear", 5),
    ]  # fmt: skip


def test_weights_of_gauges(store: Path, tmp_path: Path) -> None:
    """S0001 drains 59 km2 and S0003 12 km2; both have as many observations but for their gaps."""

    def weights(asked: Any) -> np.ndarray:
        file = configuration(tmp_path / "run.yaml", store, changes={"gauges.weights": asked})
        return np.array([weight for _, weight, _ in cost_of(file).parts])

    areas = np.array([59, 12])
    np.testing.assert_allclose(weights("area"), areas / 71, rtol=0.01)
    np.testing.assert_allclose(weights({"S0001": 1, "S0003": 3.0}), [0.25, 0.75], rtol=1e-14)
    np.testing.assert_array_equal(weights(None), [0.5, 0.5])
    lengths = [gauge.steps.size for gauge in cost_of(tmp_path / "run.yaml").gauges]
    np.testing.assert_allclose(weights("record_length"), np.array(lengths) / sum(lengths), rtol=1e-14)


def test_gauges_of_one_cell_may_share_a_weight(store: Path, tmp_path: Path) -> None:
    """S0002 is moved to the cell of S0001: together they count as much as S0003."""
    roles = {"gauges.calibration": ["S0001", "S0002", "S0003"], "gauges.validation": []}
    for asked, expected in (("share", [0.25, 0.25, 0.5]), ("separate", [1 / 3] * 3)):
        file = configuration(tmp_path / "run.yaml", store, changes=roles | {"gauges.same_cell": asked})
        experiment = load(file)
        basin = ingested(experiment)
        cell = basin.gauges.cell.copy()
        cell[basin.gauges.code.index("S0002")] = cell[basin.gauges.code.index("S0001")]
        moved = replace(basin, gauges=replace(basin.gauges, cell=cell))
        weights = [weight for _, weight, _ in calibration_cost(CalibrationSetup(experiment, moved)).parts]
        np.testing.assert_allclose(weights, expected, rtol=1e-14)


def test_gauges_of_one_cell_may_be_one_series(store: Path, tmp_path: Path) -> None:
    """S0002 is moved to the cell of S0001; each has a gap, and its values are those of S0001 and a tenth more."""
    roles = {"gauges.calibration": ["S0001", "S0002", "S0003"], "gauges.validation": []}
    weights = {"gauges.weights": {"S0001": 1.0, "S0002": 3.0, "S0003": 2.0}, "gauges.same_cell": "merge"}
    experiment = load(configuration(tmp_path / "run.yaml", store, changes=roles | weights))
    basin = ingested(experiment)
    a, b, c = (basin.gauges.code.index(code) for code in ("S0001", "S0002", "S0003"))
    cell, discharge = basin.gauges.cell.copy(), np.array(basin.discharge)
    cell[b] = cell[a]
    discharge[a] = np.nan_to_num(discharge[a], nan=1.0)
    discharge[b] = 1.1 * discharge[a]
    discharge[a, 40:60], discharge[b, 50:90] = np.nan, np.nan
    expected = 1.05 * discharge[a]
    expected[40:50], expected[50:60], expected[60:90] = discharge[b, 40:50], np.nan, discharge[a, 60:90]
    moved = replace(basin, gauges=replace(basin.gauges, cell=cell), discharge=discharge)
    setup = CalibrationSetup(experiment, moved)
    assert setup.series == {"S0001": ["S0001", "S0002"], "S0003": ["S0003"]}
    steps = setup.calibration_steps
    np.testing.assert_allclose(setup.observed[0], expected[:steps], rtol=1e-14)
    np.testing.assert_array_equal(setup.observed[1], discharge[c, :steps])
    cost = calibration_cost(setup)
    np.testing.assert_allclose([weight for _, weight, _ in cost.parts], [0.5, 0.5])
    (note,) = [text for text in cost.notes if "one series" in text]
    assert f"gauges S0001, S0002 are on one cell and calibrate as one series of {steps - 10} steps" in note
    assert f"all have a value in {steps - 50}, where their means are " in note
    until = np.tile(np.arange(len(basin.times), dtype=np.int32), (len(cell), 1))
    until[b, :24] = 23
    with pytest.raises(HydrocliError, match="S0001, S0002 are on one cell, but are means of different intervals"):
        _ = CalibrationSetup(experiment, replace(moved, discharge_until=until)).observed


def test_an_lcurve_that_is_stopped_ends_with_the_same_bits(store: Path, tmp_path: Path) -> None:
    """Each weight is a stage: the curve goes on where it was stopped, and takes the same corner."""
    whole = process("calibrate", configuration(tmp_path / "whole.yaml", store, changes=LCURVE))
    assert whole.returncode == 0, whole.stderr
    timings = manifest(tmp_path / "whole")["timings"]
    assert 0 < timings["calibration_compilation"] < timings["calibration"]  # a new process at least reads its code
    file = configuration(tmp_path / "stopped.yaml", store, changes=LCURVE)
    assert disturbed(file, signal.SIGTERM, 60_000) == STOPPED
    assert process("calibrate", file).returncode == 0
    assert_same_bits(tmp_path / "whole", tmp_path / "stopped")
    curve, history = table(tmp_path / "whole", "lcurve"), table(tmp_path / "whole", "convergence")
    assert curve["weight"].tolist() == [100, 1, 0.01]
    assert np.all(np.diff(curve["misfit"]) < 0)
    assert curve["penalty"][0] < curve["penalty"][-1]
    np.testing.assert_allclose(curve["penalty"], 0.1 * curve["prior"] + curve["smoothing"], rtol=1e-12)
    taken = int(np.flatnonzero(curve["corner"])[0])
    at_corner = history["stage"] == "1 distributed lbfgsb, corner"
    expected = curve["misfit"][taken] + curve["weight"][taken] * curve["penalty"][taken]
    assert history["cost"][at_corner][0] == pytest.approx(expected, rel=1e-12)


def test_a_smoothed_map_is_smoother_and_fits_less(store: Path, tmp_path: Path) -> None:
    rough, misfit = {}, {}
    for weight in (0.0, 30.0):
        objective = {"regularisation": {"smoothing": 1, "weight": weight}} if weight else {}
        changes = SMOOTH | {"objective": objective, "optimiser.iterations": 120}
        file = configuration(tmp_path / f"w{weight:g}.yaml", store, changes=changes)
        call("calibrate", file)
        maps, domain = (table(file.with_suffix(""), name) for name in ("parameters", "domain"))
        here = domain["downstream"] >= 0
        rough[weight] = {
            symbol: np.std((maps[symbol] - maps[symbol][domain["downstream"]])[here]) for symbol in SYMBOLS
        }
        misfit[weight] = cost_of(file).value(simulated(file.with_suffix("")))
        total = table(file.with_suffix(""), "convergence")["cost"][-1]
        assert (total > 1.01 * misfit[weight]) == (weight > 0)
    assert all(rough[30.0][symbol] < 0.5 * rough[0.0][symbol] for symbol in SYMBOLS)
    assert misfit[30.0] > misfit[0.0]


def test_few_observations_and_missing_events_are_told(store: Path, tmp_path: Path) -> None:
    quiet = {"flood_events.thresholds": {"S0001": 1e6}, "optimiser": {"kind": "lbfgsb", "iterations": 1}}
    objective = {"terms": [{"metric": "nse"}, {"signature": "Epf"}]}
    file = configuration(tmp_path / "run.yaml", store, changes=GIVEN | EVENTS | quiet | {"objective": objective})
    told = call("calibrate", file).stderr
    assert "warning: S0001: no signature Epf in the calibration period" in told
    assert any("no signature Epf" in warning for warning in manifest(tmp_path / "run")["warnings"])
    call("calibrate", file, "--set", "flood_events.thresholds={S0001: 1e6, S0003: 1e6}", "--force", status=3)


def test_progress_shows_nse_whatever_the_terms_are(store: Path, tmp_path: Path) -> None:
    changes = GIVEN | {"objective": {"metric": "rmse"}, "optimiser": {"kind": "lbfgsb", "iterations": 3}}
    file = configuration(tmp_path / "run.yaml", store, changes=changes)
    told = call("calibrate", file).stderr
    columns, start, end = table(tmp_path / "run", "discharge"), "2014-09-20T00:00", "2014-10-25T00:00"
    inside = (columns["time"] > np.datetime64(start)) & (columns["time"] <= np.datetime64(end))
    here = inside & (columns["gauge"] == "S0001")
    assert f"S0001 {nse(columns['observed'][here], columns['simulated'][here]):.3f}" in told
