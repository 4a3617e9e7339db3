"""Tests of the gradient on the user's own experiment, in double precision: is it the derivative of the cost?

The calibration's objective is taken at a random control inside the bounds, the weights of a network included. The
equations have kinks (the lowest level of the transfer store, the direct branch that the exchange empties), and a
difference across one is not the derivative. So each is taken with several widths, and the nearest counts; a wrong
gradient is near to none of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.engine.control import Control
from hydrocli.engine.objective import Objective
from hydrocli.execution.progress import track
from hydrocli.experiment.baseline import BaselineCalibration, BaselineObjective
from hydrocli.experiment.cost import calibration_cost, penalty_to_check
from hydrocli.experiment.setup import CalibrationSetup

Row = dict[str, Any]
Differentiable = Objective | BaselineObjective

DIRECTIONS = 3
WIDTHS = (1e-5, 1e-6, 1e-7, 1e-8)
"""Half-widths of the central differences, in normalised controls: wide ones meet kinks, narrow ones rounding."""
WEIGHTS = 0.2
"""Standard deviation of what is added to the weights: near zero the corrections would test nothing."""
BOUND = 1e-6
SLOPE = (1.9, 2.1)
SHIFTS = (0.0, 0.01, 0.02)


def check_gradient(setup: CalibrationSetup) -> list[Row]:
    """Rows of tests: what was compared, both values, the error, its bound, and whether it passed.

    Args:
        setup: of an experiment in double precision.
    """
    if setup.experiment.baseline is not None:
        return _check_baseline(setup)
    experiment = setup.experiment
    mapping = setup.mapping(experiment.mapping.kind, setup.rows)
    random = np.random.default_rng(experiment.seed)
    weights = setup.flux_network.weights + WEIGHTS * random.standard_normal(setup.flux_network.weights.size)
    control_map = Control(mapping, weights, setup.structure.has_network)
    cells = np.flatnonzero(setup.calibrated_cells)
    simulator, _, _ = setup.simulator(cells, setup.gauges(setup.series), setup.calibration_steps)
    penalty = penalty_to_check(setup, control_map.split(control_map.first_guess())[0])
    objective = Objective(simulator, cells, control_map, calibration_cost(setup), setup.state, setup.place, penalty)
    guess = control_map.first_guess()
    moved = guess + np.where(
        np.arange(guess.size) < mapping.lower.size, WEIGHTS * random.standard_normal(guess.size), 0
    )
    inside = 0.5 * guess + 0.5 * random.uniform(0.1, 0.9, guess.size)
    control = np.where(np.isinf(control_map.lower), moved, inside)
    return [*_tests(objective, control, random), _checkpoints(objective, control)]


def _check_baseline(setup: CalibrationSetup) -> list[Row]:
    """The same tests of a baseline, at weights near the first guess; the cost is that of the whole calibration."""
    options = {"early_stopping": False} if hasattr(setup.experiment.baseline, "early_stopping") else {}
    structure = setup.experiment.structure.model_copy(update=options)
    whole = replace(setup, experiment=setup.experiment.model_copy(update={"structure": structure}))
    calibration, random = BaselineCalibration(whole), np.random.default_rng(setup.experiment.seed)
    first = calibration.stages[0].problem([]).starts[0]
    size = WEIGHTS * float(np.abs(first).mean())
    return _tests(calibration.objective, first + size * random.standard_normal(first.size), random)


def _tests(objective: Differentiable, control: Floats, random: np.random.Generator) -> list[Row]:
    rows: list[Row] = []
    with track("checking the gradient", 3 * DIRECTIONS) as task:
        for test in (_difference, _taylor, _dot_product):
            for number in range(1, DIRECTIONS + 1):
                direction = random.standard_normal(control.size)
                rows.append(test(objective, control, direction / np.abs(direction).max(), random))
                rows[-1]["test"] += f" {number}"
                task.update(len(rows))
    return rows


def _row(test: str, one: float, other: float, bound: float) -> Row:
    error = abs(one - other) / max(abs(one), abs(other), 1e-300)
    return {
        "test": test,
        "value": one,
        "reference": other,
        "error": error,
        "bound": bound,
        "passed": bool(error <= bound),
    }


def _central(function: Any, control: Floats, direction: Floats, expected: float) -> float:
    """Derivative along a direction by central differences, with the width that comes nearest to what is expected."""
    found = [float(function(control + w * direction) - function(control - w * direction)) / (2 * w) for w in WIDTHS]
    return min(found, key=lambda value: abs(value - expected))


def _difference(objective: Differentiable, control: Floats, direction: Floats, _: np.random.Generator) -> Row:
    gradient = objective.value_and_gradient(control)[1]
    value = float(gradient @ direction)
    difference = _central(lambda x: objective.values(x[np.newaxis])[0], control, direction, value)
    return _row("gradient against central differences", value, difference, BOUND)


def _taylor(objective: Differentiable, control: Floats, direction: Floats, _: np.random.Generator) -> Row:
    """|J(x + h d) - J(x) - h g d| must shrink with the square of h; where the curvature is small, it does so later.

    A kink next to x spoils that: then points nearby are tried. A wrong gradient is wrong there too.
    """
    slope = np.inf
    for shift in SHIFTS:
        found = _slope(objective, control + shift * direction, direction)
        slope = min(slope, found, key=lambda value: abs(value - 2.0))
        if SLOPE[0] <= slope <= SLOPE[1]:
            break
    return {
        "test": "Taylor slope",
        "value": slope,
        "reference": 2.0,
        "error": abs(slope - 2.0),
        "bound": SLOPE[1] - 2.0,
        "passed": SLOPE[0] <= slope <= SLOPE[1],
    }


def _slope(objective: Differentiable, control: Floats, direction: Floats) -> float:
    """The slope nearest to 2 of the logarithms of five consecutive remainders."""
    value, gradient = objective.value_and_gradient(control)
    widths = 1e-3 * 0.5 ** np.arange(14)
    values = objective.values(control + widths[:, np.newaxis] * direction)
    remainders = np.log(np.abs(values - value - widths * (gradient @ direction)))
    slopes = np.polyfit(np.log(widths[:5]), np.lib.stride_tricks.sliding_window_view(remainders, 5).T, 1)[0]
    return float(min(slopes, key=lambda found: abs(found - 2.0)))


def _dot_product(objective: Differentiable, control: Floats, direction: Floats, random: np.random.Generator) -> Row:
    """<J dx, y> = <dx, J^T y> of the discharge by the control."""
    weight = random.standard_normal(objective.simulate(control).shape)
    value = float(objective.pull_back(control, weight) @ direction)
    forward = _central(lambda x: np.sum(weight * objective.simulate(x)), control, direction, value)
    return _row("dot product", value, forward, BOUND)


def _checkpoints(objective: Objective, control: Floats) -> Row:
    """The gradient with checkpoints has the same bits as without."""
    simulator = objective.simulator
    whole = objective.value_and_gradient(control)[1]
    simulator.set_memory(0.0)
    kept = objective.value_and_gradient(control)[1]
    row = _row("checkpoints", float(np.abs(whole).sum()), float(np.abs(kept).sum()), 0.0)
    return row | {"passed": bool(np.array_equal(whole, kept))}
