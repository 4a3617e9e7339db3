"""The step-by-step descent finds known optima, follows a valley, ends with a sentence and resumes to the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_harness import Killed, Rosenbrock, calibrate
from test_optimisers import QUADRATIC, solve

from hydrocli.calibration.problem import Problem
from hydrocli.calibration.sbs import StepByStep
from hydrocli.calibration.stages import Stage
from hydrocli.errors import ConfigurationError, NumericalError

START = np.array([[-1.2, 1.0]])


def sbs(function: Rosenbrock) -> Sequence[Stage]:
    return [Stage("sbs", StepByStep(min_step=0.02), lambda _: function.problem(START))]


def test_finds_the_minimum_at_a_bound(path: Path) -> None:
    """The step ends below 1e-4: so near is the minimum, in a space whose steps are at most half as long in z."""
    outcome = solve(path, StepByStep(min_step=1e-4), QUADRATIC)
    result, costs = outcome.results[0], [iteration.cost for iteration in outcome.history]
    np.testing.assert_allclose(result.x, [0.3, 1.0, 0.6], atol=1e-4)
    assert result.reason == "Converged: step below 0.0001."
    assert costs == sorted(costs, reverse=True)
    assert (costs[0], costs[-1]) == (QUADRATIC.values(QUADRATIC.starts)[0], result.cost)


def test_the_mean_step_follows_a_valley(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A valley along the diagonal of four controls: steps along the axes alone creep, and end far from the bottom.

    Without forgetting the mean of the past steps stays zero and is never tried.
    """

    def values(points: np.ndarray) -> np.ndarray:
        along = points.mean(axis=1, keepdims=True)
        return (along[:, 0] - 0.8) ** 2 + 100 * ((points - along) ** 2).sum(axis=1)

    start = np.full((1, 4), 0.1)
    problem = Problem(start, np.zeros(4), np.ones(4), QUADRATIC.value_and_gradient, values)
    result = solve(path, StepByStep(), problem).results[0]
    np.testing.assert_allclose(result.x, 0.8, atol=0.02)
    monkeypatch.setattr("hydrocli.calibration.sbs.FORGETTING", 1.0)
    alone = solve(path.with_name("alone"), StepByStep(), problem).results[0]
    assert np.abs(alone.x - 0.8).max() > 0.1


def test_a_start_at_a_bound_can_leave_it(path: Path) -> None:
    result = solve(path, StepByStep(), replace(QUADRATIC, starts=np.array([[0.0, 0.0, 1.0]]))).results[0]
    np.testing.assert_allclose(result.x, [0.3, 1.0, 0.6], atol=0.01)


def test_a_single_control_that_starts_at_its_bound(path: Path) -> None:
    one = Problem(np.ones((1, 1)), np.zeros(1), np.ones(1), QUADRATIC.value_and_gradient, lambda p: 1.0 - p[:, 0])
    result = solve(path, StepByStep(), one).results[0]
    assert result.x.tolist() == [1.0]
    assert solve(path.with_name("limit"), StepByStep(iterations=3), one).results[0].reason == (
        "Stopped at the iteration limit (3)."
    )


def test_numbers_that_are_none_are_no_way(path: Path) -> None:
    half = replace(QUADRATIC, values=lambda p: np.where(p[:, 0] > 0.6, np.nan, QUADRATIC.values(p)))
    np.testing.assert_allclose(solve(path, StepByStep(), half).results[0].x, [0.3, 1.0, 0.6], atol=0.01)
    none = replace(QUADRATIC, values=lambda p: np.full(len(p), np.nan))
    with pytest.raises(NumericalError, match="first guess is not finite"):
        solve(path.with_name("none"), StepByStep(), none)
    with pytest.raises(ConfigurationError, match="needs finite bounds"):
        solve(path.with_name("open"), StepByStep(), replace(QUADRATIC, upper=np.array([1.0, np.inf, 1.0])))


def test_killed_at_every_evaluation(tmp_path: Path) -> None:
    function = Rosenbrock()
    whole = calibrate(tmp_path / "whole", sbs, function)
    for death in range(0, function.computed, 7):
        with pytest.raises(Killed):
            calibrate(tmp_path / f"{death}", sbs, Rosenbrock(die_at=death))
        rest = Rosenbrock()
        assert calibrate(tmp_path / f"{death}", sbs, rest).bits == whole.bits
        assert rest.computed == function.computed - death
