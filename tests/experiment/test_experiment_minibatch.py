"""Mini-batches: a window is a piece of the whole run, its gradient that of its cost; what a run with them reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runs_harness import call, configuration, manifest, table

from hydrocli.config import load
from hydrocli.config.optimiser import Batches
from hydrocli.engine.control import Control
from hydrocli.engine.objective import Objective
from hydrocli.engine.windows import Windows
from hydrocli.experiment.cost import calibration_cost
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.experiment.stages import MiniBatches, sub_periods
from hydrocli.mapping.direct import Uniform
from hydrocli.score.regularisation import Penalty

BOTH = np.array([0, 1])


@pytest.fixture(scope="module")
def case(store: Path, tmp_path_factory: pytest.TempPathFactory) -> CalibrationSetup:
    file = configuration(tmp_path_factory.mktemp("batches") / "run.yaml", store)
    experiment = load(file, ["structure.kind=grnn", "initial.hp.calibrated=true", "structure.network.initial_std=0.3"])
    return CalibrationSetup(experiment, ingested(experiment))


@pytest.fixture(scope="module")
def objective(case: CalibrationSetup) -> Objective:
    cells = np.flatnonzero(case.calibrated_cells)
    simulator, _, _ = case.simulator(cells, case.gauges(case.calibration), case.calibration_steps)
    control = Control(Uniform(case.rows, case.calibrated_cells), case.flux_network.weights, trained=True)
    return Objective(simulator, cells, control, calibration_cost(case), case.state, case.place)


def cut(case: CalibrationSetup, objective: Objective, length: int, lead: int) -> Windows:
    simulator = case.part(objective.cells, case.gauges(case.calibration), length + lead)
    return Windows(objective, simulator, sub_periods(case, asked(length, lead)))


def asked(length: int, lead: int) -> Batches:
    """So many hours."""
    return Batches(length=f"{length}h", spin_up=f"{lead}h")


def test_sub_periods_cover_the_calibration(case: CalibrationSetup) -> None:
    """840 steps after 456 of warm-up: ]2014-09-20, 2014-10-25] from 2014-09-01."""
    windows = sub_periods(case, asked(240, 100))
    assert [(w.first, w.scored, w.end) for w in windows] == [
        (356, 456, 696),
        (596, 696, 936),
        (836, 936, 1176),
        (956, 1056, 1296),
    ]
    assert [(w.first, w.scored, w.end) for w in sub_periods(case, asked(840, 456))] == [(0, 456, 1296)]
    assert sub_periods(case, asked(420, 600))[0].first == 0


@pytest.mark.parametrize("lead", [0, 36])
def test_a_window_at_its_anchor_is_a_piece_of_the_whole_run(
    case: CalibrationSetup, objective: Objective, lead: int
) -> None:
    """States, river and forcing of a window are those of the whole run, to the bit: so is the cost of the mixture."""
    windows, control = cut(case, objective, 100, lead), objective.control.first_guess()
    whole = objective.value_and_gradient(control)[0]
    for number in (0, 3, 8):
        assert windows.value_and_gradient(number, BOTH, control, control)[0] == whole


def test_one_window_with_all_before_it_is_the_whole(case: CalibrationSetup, objective: Objective) -> None:
    windows, control = cut(case, objective, 840, 456), objective.control.first_guess()
    value, gradient = windows.value_and_gradient(0, BOTH, control, control)
    expected, whole = objective.value_and_gradient(control)
    assert value == expected
    np.testing.assert_array_equal(gradient, whole)


def test_the_gradient_is_that_of_the_window(case: CalibrationSetup, objective: Objective) -> None:
    """Central differences along a direction, away from the anchor; the error of a step h = 1e-5 is some 1e-10."""
    windows, anchor = cut(case, objective, 200, 50), objective.control.first_guess()
    rng = np.random.default_rng(3)
    control, direction = anchor + 0.01 * rng.standard_normal(anchor.size), rng.standard_normal(anchor.size)

    def value(step: float) -> float:
        return windows.value_and_gradient(1, BOTH[1:], anchor, control + step * direction)[0]

    gradient = windows.value_and_gradient(1, BOTH[1:], anchor, control)[1]
    assert gradient @ direction == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-6)
    level = objective.control.names.index("hp")
    assert gradient[level] == 0.0  # the level at the start is of the past
    assert np.count_nonzero(gradient) > anchor.size / 2


def test_gradients_of_gauges_sum_up(case: CalibrationSetup, objective: Objective) -> None:
    """1 - NSE is a sum over gauges: rounding apart."""
    windows, control = cut(case, objective, 200, 50), objective.control.first_guess()
    both = windows.value_and_gradient(2, BOTH, control, control)[1]
    one, other = (windows.value_and_gradient(2, BOTH[g : g + 1], control, control)[1] for g in (0, 1))
    np.testing.assert_allclose(one + other, both, rtol=1e-9, atol=1e-12)
    assert np.abs(one).max() > 0


def test_batches_share_out_the_penalty(case: CalibrationSetup, objective: Objective) -> None:
    """Over all windows and gauges its gradient comes once, however many of them are in a batch."""
    control = objective.control.first_guess()
    maps, weights = objective.control.split(control)
    rows = np.flatnonzero([row.calibrated for row in case.rows])
    bounds = (np.array([getattr(case.rows[k], end) for k in rows]) for end in ("lower", "upper"))
    none = np.zeros((2, 0), np.intp)
    penalty = Penalty(100.0, 1.0, 0.0, rows, np.arange(maps.shape[1]), *bounds, 0.8 * maps, none)
    held = Objective(
        objective.simulator, objective.cells, objective.control, objective.cost, case.state, case.place, penalty
    )
    free, paying = cut(case, objective, 280, 0), cut(case, held, 280, 0)
    batches = [(window, BOTH[gauge : gauge + 1], control, control) for window in range(3) for gauge in BOTH]
    paid = sum(paying.value_and_gradient(*batch)[1] - free.value_and_gradient(*batch)[1] for batch in batches)
    whole = objective.control.transpose(control, penalty.derivative(maps), np.zeros_like(weights))
    np.testing.assert_allclose(paid, whole, rtol=1e-9, atol=1e-12)
    assert np.abs(whole).max() > 1


def test_every_sub_period_once_before_any_again(case: CalibrationSetup, objective: Objective) -> None:
    """What an iteration sees follows from its number: the windows of an epoch are all there are, in another order."""
    batches = MiniBatches(case, objective, Batches(length="10d", gauges=1))
    seen: list[tuple[int, list[int]]] = []
    batches._parts.value_and_gradient = lambda number, gauges, *_: seen.append((number, gauges.tolist()))  # type: ignore[method-assign,assignment]
    for iteration in (*range(12), *range(12)):
        batches(iteration, np.zeros(1), np.zeros(1))
    assert seen[:12] == seen[12:]
    epochs = [[number for number, _ in seen[first : first + 4]] for first in (0, 4, 8)]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3]] * 3
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert {gauge for _, (gauge,) in seen} == {0, 1}


def test_a_run_with_mini_batches(store: Path, tmp_path: Path) -> None:
    """The lowest whole cost counts; the history has the cost of each batch, and whole costs every few iterations."""
    batches = {"length": "7d", "full_evaluation_every": 4}
    adam = {"kind": "adam", "iterations": 9, "learning_rate": 0.02, "batches": batches}
    file = configuration(tmp_path / "run.yaml", store, changes={"optimiser": adam})
    call("calibrate", file)
    history, stages = table(tmp_path / "run", "convergence"), manifest(tmp_path / "run")["stages"]
    own = history["stage"] == "1 uniform adam"
    assert np.isfinite(history["batch_cost"][own]).tolist() == [True] * 9 + [False]
    assert np.isnan(history["batch_cost"][~own]).all()
    assert [stage["stage"] for stage in stages] == ["screening", "first guess", "1 uniform adam"]
    assert stages[-1]["iterations"] == 9
    assert stages[-1]["cost"] == history["cost"][own].min() <= stages[-2]["cost"]
    assert all(stage["reason"].endswith(".") for stage in stages)
    assert np.isfinite(table(tmp_path / "run", "control")["gradient"]).all()


@pytest.mark.parametrize(("key", "value"), [("length", "80d"), ("spin_up", "60d")])
def test_sub_periods_that_do_not_fit(key: str, value: str, store: Path, tmp_path: Path) -> None:
    adam = {"kind": "adam", "batches": {"length": "10d"} | {key: value}}
    file = configuration(tmp_path / "run.yaml", store, changes={"optimiser": adam})
    assert f"optimiser.batches.{key}" in call("calibrate", file, status=2).stderr


def test_costs_on_several_threads_have_the_same_bits(case: CalibrationSetup, objective: Objective) -> None:
    """Control vectors are dealt to twins of the sweep; one of them leaves the finite numbers."""
    rng, start = np.random.default_rng(7), objective.control.first_guess()
    controls = start + 0.02 * rng.standard_normal((7, start.size))
    controls[4, -1] = np.nan
    alone = objective.values(controls)
    scores = objective.scores
    twins = [objective.simulator.clone(), objective.simulator.clone()]
    state, cost = case.state, objective.cost
    together = Objective(
        objective.simulator, objective.cells, objective.control, cost, state, case.place, helpers=twins
    )
    np.testing.assert_array_equal(together.values(controls), alone)
    assert np.isnan(alone).tolist() == [False, False, False, False, True, False, False]
    np.testing.assert_array_equal(together.scores, scores)
    np.testing.assert_array_equal(together.values(controls[4:5]), [np.nan])
