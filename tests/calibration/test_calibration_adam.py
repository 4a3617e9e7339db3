"""Adam is the textbook's, stays in the box, returns the best point of its way, and resumes to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_harness import Killed, Outcome, Rosenbrock, calibrate

from hydrocli.calibration.adam import Adam
from hydrocli.calibration.problem import Problem
from hydrocli.calibration.stages import Stage
from hydrocli.errors import NumericalError

START = np.array([[-1.2, 1.0, 0.3]])
OPEN = np.full(3, np.inf)


def solve(path: Path, optimiser: Adam, problem: Problem) -> Outcome:
    return calibrate(path, lambda _: [Stage("stage", optimiser, lambda _: problem)])


def recording(function: Callable[[np.ndarray], tuple[float, np.ndarray]], lower: np.ndarray, upper: np.ndarray):
    """A problem that keeps the points where it was evaluated."""
    points: list[np.ndarray] = []

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        points.append(x.copy())
        return function(x)

    return Problem(START, lower, upper, evaluate, Rosenbrock().values), points


def textbook(x: np.ndarray, iterations: int, rate: float, beta1: float, beta2: float) -> list[np.ndarray]:
    """Kingma & Ba (2015), algorithm 1, component by component; the moments as sums over all gradients."""
    points, gradients = [x], []
    for t in range(1, iterations + 1):
        gradients.append(Rosenbrock().value_and_gradient(points[-1])[1])
        ages = np.arange(t)[::-1]
        m = sum((1 - beta1) * beta1**age * g for age, g in zip(ages, gradients, strict=True)) / (1 - beta1**t)
        v = sum((1 - beta2) * beta2**age * g**2 for age, g in zip(ages, gradients, strict=True)) / (1 - beta2**t)
        points.append(points[-1] - rate * m / (np.sqrt(v) + 1e-8))
    return points


def test_the_path_is_that_of_the_textbook(path: Path) -> None:
    """The sums are in another order: rounding, which the valley enlarges over thirty iterations."""
    problem, points = recording(Rosenbrock().value_and_gradient, -OPEN, OPEN)
    solve(path, Adam(iterations=30, learning_rate=0.02, beta1=0.8, beta2=0.99), problem)
    np.testing.assert_allclose(points, textbook(START[0], 30, 0.02, 0.8, 0.99), rtol=1e-10)


def test_the_first_step_is_the_rate_in_every_control(path: Path) -> None:
    problem, points = recording(Rosenbrock().value_and_gradient, -OPEN, OPEN)
    solve(path, Adam(iterations=1, learning_rate=0.003), problem)
    np.testing.assert_allclose(np.abs(points[1] - points[0]), 0.003, rtol=1e-9)


@pytest.mark.parametrize(("iteration", "ratio"), [(1, 1.0), (10, 2.06), (40, 1.57), (105, 1.0), (240, 0.68)])
def test_steps_of_the_constant_correction(path: Path, iteration: int, ratio: float) -> None:
    """Under a constant gradient g: m = g (1 - b1^t), v = g^2 (1 - b2^t), so the ratio of the steps is known."""
    lengths = []
    for correction in ("standard", "constant"):
        problem, points = recording(lambda x: (float(x.sum()), np.ones(3)), -OPEN, OPEN)
        solve(path.with_name(correction), Adam(iterations=iteration, bias_correction=correction), problem)
        lengths.append((points[-2] - points[-1])[0])
    assert lengths[0] == pytest.approx(0.003, rel=1e-6)
    assert lengths[1] / lengths[0] == pytest.approx(ratio, abs=0.005)


def test_walks_the_valley(path: Path) -> None:
    outcome = solve(path, Adam(iterations=4000, learning_rate=0.02), Rosenbrock().problem(START))
    result = outcome.results[0]
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert result.finished
    assert (result.iterations, result.evaluations) == (4000, 4001)
    assert [iteration.iteration for iteration in outcome.history] == list(range(4001))


def test_returns_the_best_of_its_way(path: Path) -> None:
    """A rate far too large climbs out of the valley again; the history shows the best so far, as of every optimiser."""
    computed: list[tuple[float, bytes]] = []

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = Rosenbrock().value_and_gradient(x)
        computed.append((cost, x.tobytes()))
        return cost, gradient

    outcome = solve(
        path, Adam(iterations=60, learning_rate=2.0), Problem(START, -OPEN, OPEN, evaluate, Rosenbrock().values)
    )
    best = min(computed)
    assert computed[-1] > best
    result, costs = outcome.results[0], [iteration.cost for iteration in outcome.history]
    assert (result.cost, result.x.tobytes()) == best
    np.testing.assert_array_equal(result.gradient, Rosenbrock().value_and_gradient(result.x)[1])
    assert costs == sorted(costs, reverse=True)
    assert result.reason == f"Stopped at the iteration limit (60); best cost at iteration {computed.index(best)}."


def test_is_cut_at_the_bounds(path: Path) -> None:
    """The minimum of a paraboloid lies outside in two of three directions: x ends on these bounds, and never beyond."""
    centre, lower, upper = np.array([3.0, -4.0, 0.0]), np.array([-1.5, -2.0, -np.inf]), np.array([0.5, np.inf, np.inf])
    problem, points = recording(lambda x: (float(np.sum((x - centre) ** 2)), 2 * (x - centre)), lower, upper)
    result = solve(path, Adam(iterations=300, learning_rate=0.05), problem).results[0]
    assert ((np.array(points) >= lower) & (np.array(points) <= upper)).all()
    np.testing.assert_array_equal(result.x[:2], [0.5, -2.0])
    np.testing.assert_allclose(result.x[2], 0.0, atol=1e-3)
    np.testing.assert_array_equal(problem.free_gradient(result.x, result.gradient)[:2], 0.0)


def test_a_number_that_is_none_stops_with_the_place(path: Path) -> None:
    problem, points = recording(
        lambda x: (np.nan if len(points) == 3 else 1.0, np.ones(3)), np.full(3, -2.0), np.full(3, 2.0)
    )
    with pytest.raises(NumericalError, match="stage, iteration 2, evaluation 3: the cost is nan"):
        solve(path, Adam(), problem)


def adam(function: Rosenbrock) -> Sequence[Stage]:
    """Two stages, the second from where the first has ended."""
    quick, slow = (
        Adam(iterations=9, learning_rate=0.1),
        Adam(iterations=7, learning_rate=0.01, bias_correction="constant"),
    )
    return [
        Stage("quick", quick, lambda _: function.problem(START)),
        Stage("slow", slow, lambda before: replace(function.problem(START), starts=before[-1].candidates)),
    ]


def test_killed_at_every_evaluation(tmp_path: Path) -> None:
    function = Rosenbrock()
    whole = calibrate(tmp_path / "whole", adam, function)
    assert function.computed == 18
    for death in range(function.computed):
        with pytest.raises(Killed):
            calibrate(tmp_path / f"{death}", adam, Rosenbrock(die_at=death))
        rest = Rosenbrock()
        assert calibrate(tmp_path / f"{death}", adam, rest).bits == whole.bits
        assert rest.computed == function.computed - death


def test_stopped_before_every_evaluation_again_and_again(tmp_path: Path) -> None:
    whole, path, stops = calibrate(tmp_path / "whole", adam), tmp_path / "journal", 0
    while True:
        function = Rosenbrock()
        outcome = calibrate(path, adam, function, should_stop=lambda function=function: function.computed == 1)
        if outcome.results[-1].finished:
            break
        assert outcome.results[-1].reason == "Interrupted; run again to continue."
        stops += 1
    assert stops == 17
    assert outcome.bits == whole.bits


SLOPE = (lambda x: (float(x.sum()), np.ones(3)), -OPEN, OPEN)
"""A constant gradient: every step of Adam is the rate of its iteration."""


def steps(path: Path, optimiser: Adam) -> np.ndarray:
    problem, points = recording(*SLOPE)
    solve(path, optimiser, problem)
    return -np.diff(np.array(points)[:, 0])


def test_schedules(path: Path) -> None:
    """In the middle a cosine is half-way between the ends, a geometric sequence at their geometric mean."""
    quarter = {"iterations": 25, "learning_rate": 0.01, "final_rate_fraction": 0.04, "rate_warmup": 4}
    cosine = steps(path.with_name("c"), Adam(schedule="cosine", **quarter))
    geometric = steps(path.with_name("e"), Adam(schedule="exponential", **quarter))
    np.testing.assert_allclose(cosine[:5], [0.0025, 0.005, 0.0075, 0.01, 0.01], rtol=1e-6)
    np.testing.assert_allclose(cosine[[4, 14, 24]], [0.01, 0.0052, 0.0004], rtol=1e-6)
    np.testing.assert_allclose(geometric[[4, 14, 24]], [0.01, 0.002, 0.0004], rtol=1e-6)
    np.testing.assert_allclose(steps(path.with_name("k"), Adam(iterations=9, learning_rate=0.01)), 0.01, rtol=1e-6)


def test_the_decay_is_decoupled_and_pulls_what_is_named(path: Path) -> None:
    """Without a gradient nothing but the decay moves: x (1 - rate decay)^t, and only there."""
    problem, points = recording(lambda x: (1.0, np.zeros(3)), -OPEN, OPEN)
    problem = replace(problem, decaying=np.array([True, False, True]))
    solve(path, Adam(iterations=5, learning_rate=0.1, weight_decay=0.2), problem)
    np.testing.assert_allclose(points[-1], START[0] * [0.98**5, 1.0, 0.98**5], rtol=1e-14)


def test_a_long_gradient_is_shortened(path: Path) -> None:
    """The first step does not feel it, the moments do: after one long gradient the next ones weigh as much."""
    lengths = iter([100.0, 1.0])
    problem, points = recording(lambda x: (1.0, np.array([next(lengths), 0.0, 0.0])), -OPEN, OPEN)
    solve(path, Adam(iterations=1, learning_rate=0.1, max_gradient_norm=1.0), problem)
    np.testing.assert_allclose(points[1] - points[0], [-0.1, 0.0, 0.0], rtol=1e-6)
    alternating = iter([100.0, 1.0, 1.0])
    problem, points = recording(lambda x: (1.0, np.array([next(alternating), 0.0, 0.0])), -OPEN, OPEN)
    solve(path.with_name("second"), Adam(iterations=2, learning_rate=0.1, max_gradient_norm=1.0), problem)
    np.testing.assert_allclose(np.diff(np.array(points)[:, 0]), -0.1, rtol=1e-6)


def test_patience_ends_it(path: Path) -> None:
    """The cost is that of a slope which ends: after iteration 10 nothing is lower by more than the tolerance."""
    problem, points = recording(lambda x: (-float(min(len(points), 11)) - 1e-3 * len(points), np.ones(3)), -OPEN, OPEN)
    result = solve(path, Adam(iterations=100, patience=7, ftol=0.01), problem).results[0]
    assert result.iterations == 17
    assert result.finished
    assert result.reason == (
        "Stopped: no decrease of the cost by more than 0.01 in 7 iterations; best cost at iteration 17."
    )


PARTS = 4


def batches(function: Rosenbrock) -> Sequence[Stage]:
    """The whole is the sum over four batches, each a quarter of it plus a term that vanishes in the sum."""

    def batch(iteration: int, anchor: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = function.value_and_gradient(x)
        tilt = np.array([1.0, -1.0, 1.0, -1.0])[iteration % PARTS] * (1 + anchor)
        return cost + float(tilt @ x), gradient + tilt

    adam = Adam(iterations=22, learning_rate=0.1, full_evaluation_every=5, patience=11)
    return [Stage("parts", adam, lambda _: replace(function.problem(START), batch=batch))]


def test_batches_are_judged_by_the_whole_cost(path: Path) -> None:
    outcome = calibrate(path, batches)
    result, history = outcome.results[0], outcome.history
    assert [i.iteration for i in history] == list(range(23))
    changes = [i for i in range(1, 23) if history[i].cost != history[i - 1].cost]
    assert changes
    assert set(changes) <= {5, 10, 15, 20, 22}
    assert result.cost == Rosenbrock().values(result.x[np.newaxis])[0]
    np.testing.assert_array_equal(result.gradient, Rosenbrock().value_and_gradient(result.x)[1])
    assert np.isfinite([i.batch_cost for i in history[:-1]]).all()
    assert np.isnan(history[-1].batch_cost)
    assert result.evaluations == 22 + 6 + 1  # batches, whole costs, the gradient at the end


def test_batches_killed_at_every_evaluation(tmp_path: Path) -> None:
    """The order of the batches and their anchors follow from the iteration, so a resumed way is the same."""
    function = Rosenbrock()
    whole = calibrate(tmp_path / "whole", batches, function)
    for death in range(1, function.computed, 5):
        with pytest.raises(Killed):
            calibrate(tmp_path / f"{death}", batches, Rosenbrock(die_at=death))
        rest = Rosenbrock()
        assert calibrate(tmp_path / f"{death}", batches, rest).bits == whole.bits
        assert rest.computed == function.computed - death
