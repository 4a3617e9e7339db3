"""Each optimiser finds known optima, ends with a sentence, and stops at numbers that are none."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from calibration_harness import Outcome, Rosenbrock, calibrate
from scipy.optimize import least_squares, rosen, rosen_der

from hydrocli.calibration.cmaes import CMAES
from hydrocli.calibration.lbfgsb import DEAD_END, LBFGSB
from hydrocli.calibration.levenberg_marquardt import DEAD_END as DEAD_END_NEARBY
from hydrocli.calibration.levenberg_marquardt import LevenbergMarquardt
from hydrocli.calibration.problem import Problem
from hydrocli.calibration.recorder import Optimiser
from hydrocli.calibration.screening import APART, Screening
from hydrocli.calibration.stages import Stage
from hydrocli.errors import ConfigurationError, NumericalError

START = np.array([[1.9, -1.0, 0.3, 1.2]])


def solve(path: Path, optimiser: Optimiser, problem: Problem) -> Outcome:
    return calibrate(path, lambda _: [Stage("stage", optimiser, lambda _: problem)])


def quadratic(weights: np.ndarray, centre: np.ndarray, start: np.ndarray) -> Problem:
    """Sum of weights (x - centre)^2 in [0, 1]^m; its minimum is the centre clipped to the box."""
    return Problem(
        start,
        np.zeros(centre.size),
        np.ones(centre.size),
        lambda x: (float(weights @ (x - centre) ** 2), 2 * weights * (x - centre)),
        lambda points: ((points - centre) ** 2) @ weights,
    )


QUADRATIC = quadratic(np.array([1.0, 30.0, 1000.0]), np.array([0.3, 1.4, 0.6]), np.full((1, 3), 0.5))


def test_the_test_function_is_that_of_scipy() -> None:
    cost, gradient = Rosenbrock().value_and_gradient(START[0])
    assert cost == pytest.approx(rosen(START[0]), rel=1e-14)
    np.testing.assert_allclose(gradient, rosen_der(START[0]), rtol=1e-13)


def test_lbfgsb_walks_the_valley_to_its_end(path: Path) -> None:
    outcome = solve(path, LBFGSB(ftol=1e-14, gtol=1e-9), Rosenbrock().problem(START))
    result = outcome.results[0]
    np.testing.assert_allclose(result.x, 1.0, atol=1e-6)  # in a flat valley x is known to the root of the precision
    assert result.finished
    assert result.iterations == len(outcome.history) - 1
    assert result.evaluations == outcome.history[-1].evaluations
    costs = [iteration.cost for iteration in outcome.history]
    assert costs == sorted(costs, reverse=True)
    assert (result.cost, result.x.tobytes()) == (costs[-1], outcome.history[-1].x.tobytes())
    np.testing.assert_array_equal(result.gradient, Rosenbrock().value_and_gradient(result.x)[1])


def test_lbfgsb_stops_at_a_bound_with_a_vanished_free_gradient(path: Path) -> None:
    result = solve(path, LBFGSB(ftol=0.0), QUADRATIC).results[0]
    np.testing.assert_allclose(result.x, [0.3, 1.0, 0.6], atol=1e-6)
    assert result.x[1] == 1.0
    assert result.gradient[1] == pytest.approx(-24.0)
    assert result.reason == "Converged: projected gradient below 1e-06."


class ExponentialDecay:
    """a exp(-b t) + c against noisy values: a residual that does not vanish, in the box [0, 2]^3."""

    def __init__(self, upper: float = 2.0) -> None:
        self.t = np.linspace(0.0, 4.0, 60)
        self.observed = 1.5 * np.exp(-0.8 * self.t) + 0.3 + 0.05 * np.sin(40.0 * self.t)
        self.lower, self.upper = np.zeros(3), np.array([2.0, upper, 2.0])

    def residuals(self, x: np.ndarray) -> np.ndarray:
        return x[0] * np.exp(-x[1] * self.t) + x[2] - self.observed

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        decay = np.exp(-x[1] * self.t)
        return np.stack([decay, -x[0] * self.t * decay, np.ones_like(decay)], axis=-1)

    def values(self, points: np.ndarray) -> np.ndarray:
        return np.array([0.5 * np.sum(self.residuals(x) ** 2) for x in points])

    def curvature(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        jacobian = self.jacobian(x)
        return float(self.values(x[np.newaxis])[0]), jacobian.T @ self.residuals(x), jacobian.T @ jacobian

    def problem(self, start: np.ndarray) -> Problem:
        starts = start[np.newaxis]
        gradient: Any = None  # not asked for
        return Problem(starts, self.lower, self.upper, gradient, self.values, curvature=self.curvature)


@pytest.mark.parametrize("upper", [2.0, 0.5], ids=["inside", "at a bound"])
@pytest.mark.parametrize("start", [[0.1, 0.1, 0.1], [1.9, 0.4, 1.9], [0.0, 0.5, 0.0]])
def test_levenberg_marquardt_ends_where_scipy_does(start: list[float], upper: float, path: Path) -> None:
    decay = ExponentialDecay(upper)
    result = solve(path, LevenbergMarquardt(ftol=0.0, gtol=1e-8), decay.problem(np.array(start))).results[0]
    inside = np.clip(start, decay.lower + 0.01, decay.upper - 0.01)
    theirs = least_squares(
        decay.residuals, inside, decay.jacobian, (decay.lower, decay.upper), xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert result.reason == "Converged: projected gradient below 1e-08."
    np.testing.assert_allclose(result.x, theirs.x, rtol=1e-6, atol=1e-8)
    assert result.cost <= theirs.cost * (1 + 1e-12)
    assert (result.x[1] == 0.5) == (upper == 0.5)


def test_levenberg_marquardt_goes_downhill_and_counts_runs(path: Path) -> None:
    function = Rosenbrock()
    outcome = solve(path, LevenbergMarquardt(iterations=200, ftol=0.0), function.problem(START))
    np.testing.assert_allclose(outcome.results[0].x, 1.0, atol=1e-6)
    costs = [iteration.cost for iteration in outcome.history]
    assert costs == sorted(costs, reverse=True)
    accepted = outcome.results[0].iterations + 1
    tried = function.computed - accepted  # a value for each try, a curvature for each that was accepted
    assert outcome.results[0].evaluations == tried + START.size * accepted


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"iterations": 2}, "Stopped at the iteration limit (2)."),
        ({"gtol": 0.0, "ftol": 1e-6}, "Converged: a step decreased the cost by less than 1e-06."),
        ({"rtol": 0.5, "gtol": 0.0}, "Converged: a step decreased the cost by less than"),
    ],
)
def test_levenberg_marquardt_says_why_it_ended(options: dict[str, float], sentence: str, path: Path) -> None:
    problem = ExponentialDecay().problem(np.array([0.1, 0.1, 0.1]))
    assert solve(path, LevenbergMarquardt(**options), problem).results[0].reason.startswith(sentence)


def test_levenberg_marquardt_turns_away_from_what_is_not_finite_and_from_hills(path: Path) -> None:
    """cos(x) + y^2 is concave at the start; beyond x = 4 there is nothing."""

    def values(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return np.where(x > 4.0, np.nan, np.cos(x) + y**2)

    def curvature(point: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        x, y = point
        return float(values(point[np.newaxis])[0]), np.array([-np.sin(x), 2 * y]), np.diag([-np.cos(x), 2.0])

    start, none = np.array([[0.05, 1.0]]), cast(Any, None)
    problem = Problem(start, np.array([0.0, -2.0]), np.array([6.0, 2.0]), none, values, curvature=curvature)
    result = solve(path, LevenbergMarquardt(), problem).results[0]
    np.testing.assert_allclose(result.x, [np.pi, 0.0], atol=1e-5)


def test_levenberg_marquardt_ends_at_a_kink(path: Path) -> None:
    def curvature(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return float(np.abs(x).sum()), np.where(x >= 0.0, 1.0, -1.0), np.eye(1)

    none = cast(Any, None)
    problem = Problem(
        np.zeros((1, 1)), -np.ones(1), np.ones(1), none, lambda p: np.abs(p).sum(axis=1), curvature=curvature
    )
    result = solve(path, LevenbergMarquardt(), problem).results[0]
    assert (result.x, result.reason) == (0.0, DEAD_END_NEARBY)


def test_levenberg_marquardt_descends_a_cost_without_curvature(path: Path) -> None:
    """A cost that is linear in the output has no Gauss-Newton Hessian: the damping limits the step."""
    slope = np.array([1.0, -2.0])

    def curvature(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return float(slope @ x), slope, np.zeros((2, 2))

    start, none = np.full((1, 2), 0.5), cast(Any, None)
    problem = Problem(start, np.zeros(2), np.ones(2), none, lambda points: points @ slope, curvature=curvature)
    result = solve(path, LevenbergMarquardt(), problem).results[0]
    np.testing.assert_array_equal(result.x, [0.0, 1.0])
    assert result.reason == "Converged: projected gradient below 1e-06."


def test_a_hessian_that_is_not_finite_stops_the_run(path: Path) -> None:
    def curvature(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return 1.0, np.ones(2), np.array([[1.0, 0.0], [0.0, np.nan]])

    start, none = np.full((1, 2), 0.5), cast(Any, None)
    problem = Problem(start, np.zeros(2), np.ones(2), none, lambda points: np.ones(1), curvature=curvature)
    with pytest.raises(NumericalError, match="1 of 2 components of its gradient or Hessian are not finite, first 1"):
        solve(path, LevenbergMarquardt(), problem)


def test_screening_keeps_candidates_that_are_apart(path: Path) -> None:
    """Two valleys, at 0.2 and 0.8 of each axis, the first deeper: its neighbours do not take all places."""

    def values(points: np.ndarray) -> np.ndarray:
        deep, shallow = (((points - at) ** 2).sum(axis=1) for at in (0.2, 0.8))
        return np.minimum(deep, 0.05 + shallow)

    problem = Problem(np.full((1, 2), 0.5), np.zeros(2), np.ones(2), cast(Any, None), values)
    found = solve(path, Screening(samples=64, keep=2), problem).results[0].candidates
    np.testing.assert_allclose(found, [[0.2, 0.2], [0.8, 0.8]], atol=0.15)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (LBFGSB(iterations=3), r"Stopped at the iteration limit \(3\)\."),
        (LBFGSB(ftol=0.1, gtol=0.0), r"Converged: cost decreased by less than 0\.1 over 5 iterations\."),
        (LBFGSB(ftol=0.0, gtol=1e-3), r"Converged: projected gradient below 0\.001\."),
    ],
)
def test_lbfgsb_says_why_it_ended(path: Path, options: LBFGSB, sentence: str) -> None:
    result = solve(path, options, Rosenbrock().problem(START)).results[0]
    assert result.finished
    assert re.match(sentence, result.reason)


def test_lbfgsb_started_at_the_minimum_ends_there(path: Path) -> None:
    outcome = solve(path, LBFGSB(), Rosenbrock().problem(np.ones((1, 4))))
    assert outcome.results[0].evaluations == 1
    assert [iteration.iteration for iteration in outcome.history] == [0]


def test_lbfgsb_tells_of_a_wrong_gradient(path: Path) -> None:
    """With its sign turned no step along the gradient lowers the cost."""
    wrong = replace(QUADRATIC, value_and_gradient=lambda x: (QUADRATIC.value_and_gradient(x)[0], -np.ones(3)))
    result = solve(path, LBFGSB(), replace(wrong, starts=np.array([[0.3, 0.9, 0.6]]), upper=np.full(3, 0.9))).results[0]
    assert result.reason == DEAD_END
    assert result.x.tobytes() == np.array([0.3, 0.9, 0.6]).tobytes()


@pytest.mark.parametrize(
    ("cost", "gradient", "what"),
    [
        (np.nan, [1.0, 1.0, 1.0], "the cost is nan$"),
        (1.0, [1.0, np.inf, np.nan], "the cost is 1 and 2 of 3 components of its gradient are not finite, first 1$"),
    ],
)
def test_a_number_that_is_none_stops_with_the_place(path: Path, cost: float, gradient: list[float], what: str) -> None:
    calls: list[int] = []

    def broken(x: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(1)
        return QUADRATIC.value_and_gradient(x) if len(calls) < 3 else (cost, np.array(gradient))

    with pytest.raises(NumericalError) as raised:
        solve(path, LBFGSB(), replace(QUADRATIC, value_and_gradient=broken))
    assert re.match(r"stage, iteration \d, evaluation 3$", raised.value.where)
    assert re.match(what, raised.value.what)


def test_cmaes_finds_the_minimum_at_a_bound(path: Path) -> None:
    outcome = solve(path, CMAES(ftol=1e-12), QUADRATIC)
    result = outcome.results[0]
    np.testing.assert_allclose(result.x, [0.3, 1.0, 0.6], atol=1e-4)
    assert result.reason == "Converged: best cost changed by at most 1e-12 in 20 iterations."
    assert np.isnan(result.gradient).all()
    costs = [iteration.cost for iteration in outcome.history]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == QUADRATIC.values(QUADRATIC.starts)[0]


def test_cmaes_walks_the_valley(path: Path) -> None:
    result = solve(path, CMAES(iterations=1000, ftol=1e-10), Rosenbrock().problem(np.zeros((1, 2)))).results[0]
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)


def test_screening_covers_the_box_and_keeps_the_best(path: Path) -> None:
    seen: list[np.ndarray] = []

    def values(points: np.ndarray) -> np.ndarray:
        seen.append(points)
        return QUADRATIC.values(points)

    result = solve(path, Screening(samples=64, keep=4, batch=10), replace(QUADRATIC, values=values)).results[0]
    points = np.concatenate(seen)
    assert points.shape == (65, 3)
    assert np.array_equal(points[0], QUADRATIC.starts[0])
    halves = (points[1:] > 0.5).sum(axis=0)
    assert np.array_equal(halves, [32, 32, 32])  # what a Sobol sequence is for
    ranked = points[np.argsort(QUADRATIC.values(points))]
    assert np.array_equal(result.candidates[0], ranked[0])
    best = ranked[: 1 + max(int(np.flatnonzero((ranked == kept).all(axis=1))[0]) for kept in result.candidates)]
    near = [min(float(np.sqrt(np.mean((one - kept) ** 2))) for kept in result.candidates) for one in best]
    assert max(near) <= APART  # all better ones that were not kept are neighbours
    between = [np.sqrt(np.mean((a - b) ** 2)) for a, b in combinations(result.candidates, 2)]
    assert min(between) > APART
    assert np.array_equal(result.x, result.candidates[0])
    assert result.reason == "65 samples evaluated."
    assert result.evaluations == 65


def test_screening_counts_nan_as_worst(path: Path) -> None:
    def values(points: np.ndarray) -> np.ndarray:
        return np.where(points[:, 0] < 0.9, np.nan, QUADRATIC.values(points))

    result = solve(path, Screening(samples=32, keep=32), replace(QUADRATIC, values=values)).results[0]
    assert 0 < len(result.candidates) < 32
    assert (result.candidates[:, 0] >= 0.9).all()


@pytest.mark.parametrize("optimiser", [Screening(samples=4), CMAES()])
def test_nothing_finite_stops(path: Path, optimiser: Optimiser) -> None:
    with pytest.raises(NumericalError, match="finite"):
        solve(path, optimiser, replace(QUADRATIC, values=lambda points: np.full(len(points), np.nan)))


@pytest.mark.parametrize("optimiser", [Screening(), CMAES()])
def test_a_box_is_needed_to_draw_from_it(path: Path, optimiser: Optimiser) -> None:
    with pytest.raises(ConfigurationError, match="needs finite bounds"):
        solve(path, optimiser, replace(QUADRATIC, upper=np.array([1.0, np.inf, 1.0])))


def test_a_start_outside_its_bounds_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"1 of 3 controls start outside their bounds; the first is control 2 at 1\.5"
    ):
        replace(QUADRATIC, starts=np.array([[0.5, 0.5, 1.5]]))
