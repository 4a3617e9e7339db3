"""What a run says of its uncertainty: Gauss-Newton is the Hessian where the fit is perfect; tables; gradient norms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runs_harness import call, configuration, manifest, table

from hydrocli.config import load
from hydrocli.engine.control import Control
from hydrocli.engine.objective import Objective
from hydrocli.engine.sensitivities import gauss_newton, penalty_curvature, sensitivities
from hydrocli.errors import NumericalError
from hydrocli.experiment.cost import calibration_cost, penalty_of
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.mapping.direct import Uniform


@pytest.fixture(scope="module")
def case(store: Path, tmp_path_factory: pytest.TempPathFactory) -> CalibrationSetup:
    file = configuration(tmp_path_factory.mktemp("uncertainty") / "run.yaml", store)
    experiment = load(file, ["parameters.cp.value=150", "parameters.ct.value=90", "parameters.kexc.value=-0.4"])
    return CalibrationSetup(experiment, ingested(experiment))


def objective_of(case: CalibrationSetup) -> Objective:
    cells = np.flatnonzero(case.calibrated_cells)
    simulator, _, _ = case.simulator(cells, case.gauges(case.calibration), case.calibration_steps)
    control = Control(Uniform(case.rows, case.calibrated_cells), case.flux_network.weights, trained=False)
    return Objective(simulator, cells, control, calibration_cost(case), case.state, case.place)


def test_gauss_newton_is_the_hessian_of_a_perfect_fit(case: CalibrationSetup) -> None:
    """Residuals are zero there, and with them what Gauss-Newton leaves out.

    Differences of the gradient with a step of 1e-6; where exchange empties the direct branch it has a kink, which takes
    them off by 5e-5.
    """
    objective = objective_of(case)
    control = objective.control.first_guess()
    discharge = np.array(case.basin.discharge)
    discharge[case.gauges(case.calibration), : case.calibration_steps] = objective.simulate(control)
    clone = objective_of(replace(case, basin=replace(case.basin, discharge=discharge)))
    assert clone.value_and_gradient(control)[0] < 1e-20
    sensitivity, curved = sensitivities(clone, control, np.ones(5, bool))
    found = np.einsum("gtk,gtl->kl", sensitivity, curved)
    steps = 1e-6 * np.eye(5)
    hessian = np.stack(
        [(clone.value_and_gradient(control + s)[1] - clone.value_and_gradient(control - s)[1]) / 2e-6 for s in steps]
    )
    scale = np.sqrt(np.outer(np.diag(hessian), np.diag(hessian)))
    np.testing.assert_allclose(found / scale, hessian / scale, atol=2e-4)
    np.testing.assert_allclose(found, found.T, atol=1e-9 * np.abs(found).max())


@pytest.mark.parametrize("metric", ["nse", "kge"])
def test_sensitivities_are_those_of_the_adjoint(metric: str, case: CalibrationSetup) -> None:
    """d cost / d discharge times them is the gradient, to the error of the differences; any metric has a curvature."""
    changed = case.experiment.model_copy(update={"objective": type(case.experiment.objective)(metric=metric)})
    objective = objective_of(replace(case, experiment=changed))
    control = objective.control.first_guess()
    sensitivity, curved = sensitivities(objective, control, np.array([True, True, False, True, True]))
    slope = objective.cost.value_and_derivative(objective.simulate(control))[1]
    expected = objective.value_and_gradient(control)[1][[0, 1, 3, 4]]
    np.testing.assert_allclose(np.einsum("gt,gtk->k", slope, sensitivity), expected, rtol=1e-6)
    assert np.linalg.eigvalsh(np.einsum("gtk,gtl->kl", sensitivity, curved)).max() > 0


@pytest.mark.parametrize("metric", ["nse", "kge"])
def test_one_sided_differences_have_the_gradient_of_the_adjoint(metric: str, case: CalibrationSetup) -> None:
    """Cost, gradient and Hessian for descents; at an upper bound differences are taken inward."""
    weighed = type(case.experiment.objective)(metric=metric, regularisation={"weight": 0.3, "prior": 1.0})
    changed = replace(case, experiment=case.experiment.model_copy(update={"objective": weighed}))
    objective = objective_of(changed)
    control = objective.control.first_guess()
    first = objective.control.split(control + 0.05)[0]
    objective.penalty = penalty_of(changed, "uniform", first, 0.3)
    control[4] = objective.control.upper[4]
    cost, gradient, hessian = gauss_newton(objective, control)
    expected_cost, expected = objective.value_and_gradient(control)
    assert cost == pytest.approx(expected_cost, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    sensitivity, curved = sensitivities(objective, control, np.ones(5, bool))
    central = np.einsum("gtk,gtl->kl", sensitivity, curved) + penalty_curvature(objective, control, np.ones(5, bool))
    np.testing.assert_allclose(hessian, (central + central.T) / 2, atol=1e-3 * np.abs(central).max())  # kexc has kinks


def test_a_run_that_has_just_ended_serves_the_differences(case: CalibrationSetup) -> None:
    """The same bits whether or not the costs were asked for before, and with helpers."""
    objective = objective_of(case)
    control = objective.control.first_guess()
    alone = gauss_newton(objective, control)
    objective.values(control[np.newaxis])
    runs = list[int]()
    simulate = objective.simulator.simulate
    objective.simulator.simulate = lambda *args: (runs.append(1), simulate(*args))[1]  # type: ignore[method-assign]
    after = gauss_newton(objective, control)
    assert len(runs) == control.size
    objective.values(control[np.newaxis] + 0.01)  # another control is not the one
    again = gauss_newton(objective, control)
    objective.helpers = [objective_of(case).simulator]
    shared = gauss_newton(objective, control)
    for found in (after, again, shared):
        assert all(np.array_equal(a, b) for a, b in zip(found, alone, strict=True))


def test_a_dry_river_has_a_curvature(case: CalibrationSetup) -> None:
    """No discharge at all has no maximum to take a step from."""
    objective = objective_of(case)
    control = objective.control.first_guess()
    wet = objective.discharges(np.stack([control, control + 0.01]))
    dry = [np.zeros_like(wet[0]), *([wet[1]] * control.size)]
    objective.discharges = lambda controls: [run.copy() for run in dry]  # type: ignore[method-assign]
    _, gradient, hessian = gauss_newton(objective, control)
    assert np.isfinite(gradient).all()
    assert np.isfinite(hessian).all()
    assert (np.diag(hessian) > 0).all()


def test_differences_of_a_run_that_is_not_finite_say_where(case: CalibrationSetup) -> None:
    objective = objective_of(case)
    objective.state.discharge[:] = np.nan  # of the river at the start
    with pytest.raises(NumericalError, match="is not a finite number"):
        gauss_newton(objective, objective.control.first_guess())


def test_tables_of_a_run(finished: Path) -> None:
    folder = finished.with_suffix("")
    found, pairs, told = table(folder, "uncertainty"), table(folder, "correlations"), manifest(folder)
    assert found["name"].tolist() == ["cp", "ct", "kexc", "akw", "bkw"]
    assert found["unit"].tolist() == ["mm", "mm", "mm/step", "-", "-"]
    maps = table(folder, "parameters")
    np.testing.assert_allclose(found["value"], [maps[name][0] for name in found["name"]], rtol=1e-12)
    known = found["state"] == "determined"
    assert known.sum() >= 3
    assert (found["standard_error"][known] > 0).all()
    assert np.isnan(found["standard_error"][~known]).all()
    assert (found["lower_95"] < found["value"])[known].all()
    assert (found["upper_95"] > found["value"])[known].all()
    assert found["upper_95"][known].max() <= 1000
    free = list(dict.fromkeys(pairs["name"].tolist()))
    matrix = pairs["correlation"].reshape(len(free), len(free))
    np.testing.assert_allclose(np.diag(matrix)[np.isfinite(np.diag(matrix))], 1.0, rtol=1e-12)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-9)
    gauges = told["uncertainty"]["gauges"]
    assert list(gauges) == ["S0001", "S0003"]
    assert all(0 < gauge["effective_observations"] <= gauge["observations"] for gauge in gauges.values())
    assert "Gauss-Newton" in told["uncertainty"]["assumptions"]
    assert list(told["gradient_norms"]) == found["name"].tolist()


def test_many_controls_have_gradient_norms_only(store: Path, tmp_path: Path) -> None:
    changes = {"mapping": {"kind": "distributed"}, "structure": {"kind": "grnn"}}
    changes |= {"optimiser": {"kind": "adam", "iterations": 2}, "first_guess": {"kind": "given"}}
    call("calibrate", configuration(tmp_path / "run.yaml", store, changes=changes))
    assert not (tmp_path / "run" / "uncertainty.parquet").exists()
    told = manifest(tmp_path / "run")
    assert list(told["gradient_norms"]) == ["cp", "ct", "kexc", "akw", "bkw", "phi1"]
    control = table(tmp_path / "run", "control")
    weights = np.array([name.startswith("phi1") for name in control["name"]])
    assert told["gradient_norms"]["phi1"] == pytest.approx(np.linalg.norm(control["gradient"][weights]))
    assert told["uncertainty"] == {}


def test_coefficients_of_descriptors_and_a_penalty(store: Path, tmp_path: Path) -> None:
    """Coefficients keep their own units; a parameter that one control is all of has its own; a prior bends flat ways.

    A prior of weight 1e6 alone makes the cost: the coefficients then scatter by much less than without it.
    """
    mapping = {"kind": "multilinear", "descriptors": ["slope"], "uniform_parameters": ["akw", "bkw", "kexc"]}
    changes = {"mapping": mapping, "optimiser": {"kind": "lbfgsb", "iterations": 3}, "first_guess": {"kind": "given"}}
    errors = []
    for name, penalty in (("free", None), ("held", {"prior": 1.0, "weight": 1e6})):
        objective = {"metric": "nse"} | ({"regularisation": penalty} if penalty else {})
        call("calibrate", configuration(tmp_path / f"{name}.yaml", store, changes=changes | {"objective": objective}))
        found = table(tmp_path / name, "uncertainty")
        assert sorted(found["name"]) == ["akw", "bkw", "cp", "cp[slope]", "ct", "ct[slope]", "kexc"]
        units = dict(zip(found["name"], found["unit"], strict=True))
        assert (units["cp"], units["cp[slope]"], units["kexc"]) == ("-", "-", "mm/step")
        errors.append(dict(zip(found["name"], found["standard_error"], strict=True)))
    assert errors[1]["cp"] < 0.01 * errors[0]["cp"]
    assert "penalty" in manifest(tmp_path / "held")["uncertainty"]["assumptions"]
