"""Step by step: the local search of rainfall-runoff modellers (Michel 1991; Edijatno et al. 1999), values only.

Every control is tried one step to either side of the best point, in a transformed space without ends; the best of these
trials is the next point. After 2 m steps in a row the step doubles, after a round without a lower cost it is halved,
and the search ends once the step is small. Beside these steps along the axes, a mean of the steps of the past is tried
as one step, so that narrow valleys across the axes are followed too.

The space: y = artanh(2 z - 1), z the place of a control between its bounds, so that a step means little change near a
bound and most in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.calibration.recorder import Recorder
from hydrocli.errors import NumericalError

FORGETTING = 0.7
"""What is left of the mean step after m iterations."""
LIMIT = 8.0
"""Largest |y|: nearer to a bound than a ten millionth of the width the search does not go."""


@dataclass(frozen=True)
class StepByStep:
    """Options.

    Attributes:
        iterations: rounds of trials at most.
        step: the first, in the transformed space.
        min_step: the search ends once the step is below it.
    """

    iterations: int = 500
    step: float = 0.64
    min_step: float = 0.001

    def minimise(self, recorder: Recorder) -> StageResult:
        """Search from the first of the problem's starts.

        Raises:
            ConfigurationError: a control has open bounds.
            NumericalError: the cost at the start is not finite.
        """
        recorder.problem.require_box("sbs")
        search = _Search(recorder, self.step)
        for _ in range(self.iterations):
            if search.step_size < self.min_step:
                return recorder.result(f"Converged: step below {self.min_step:g}.")
            search.step()
        return recorder.result(f"Stopped at the iteration limit ({self.iterations}).")


class _Search:
    """Current point, step size and past steps of the search."""

    def __init__(self, recorder: Recorder, step_size: float) -> None:
        self._recorder, self.step_size = recorder, step_size
        self._x = recorder.problem.starts[0]
        self._y = _transformed(recorder.problem, self._x)
        self._cost = float(recorder.values(self._x[np.newaxis])[0])
        if not np.isfinite(self._cost):
            raise NumericalError(
                "sbs", "the cost of the first guess is not finite", "Change the first guess or the bounds."
            )
        recorder.report(self._x, self._cost)
        self._before, self._mean_step = self._y, np.zeros(self._y.size)
        self._successes = self._rounds = 0

    def step(self) -> None:
        """One round along the axes, and one trial along the mean of past steps."""
        size = self._y.size
        points = self._neighbours()
        if self._moved(points):
            self._successes += 1
            self._mean_step = self._mean_step * FORGETTING ** (1 / size)
            self._mean_step += (1 - FORGETTING ** (1 / size)) * (self._y - self._before)
            if self._successes > 2 * size:
                self.step_size, self._successes = 2 * self.step_size, 0
        else:
            self.step_size, self._successes = self.step_size / 2, 0
        self._rounds += 1
        if self._rounds > 4 * size and self._mean_step.any():  # the mean then contains several steps along each axis
            self._moved(_inside(self._y + self._mean_step)[np.newaxis])
        self._recorder.report(self._x, self._cost)

    def _neighbours(self) -> Floats:
        """One step to either side in every control, less where the search has just come from."""
        steps = self.step_size * np.eye(self._y.size)
        points = _inside(np.concatenate([self._y + steps, self._y - steps]))
        known = (points == self._y).all(axis=1) | (points == self._before).all(axis=1)
        return points[~known]

    def _moved(self, points: Floats) -> bool:
        """Go to the best of the points, if it is better than the present one."""
        if not len(points):  # a single control, between a bound and where it came from
            return False
        controls = _controls(self._recorder.problem, points)
        costs = self._recorder.values(controls)
        chosen = int(np.argmin(costs))
        if not costs[chosen] < self._cost:
            return False
        self._before, self._y = self._y, points[chosen]
        self._x, self._cost = controls[chosen], float(costs[chosen])
        return True


def _transformed(problem: Problem, x: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # a bound is at infinity
        return _inside(np.arctanh(2.0 * (x - problem.lower) / (problem.upper - problem.lower) - 1.0))


def _controls(problem: Problem, points: Floats) -> Floats:
    share = (1.0 + np.tanh(points)) / 2.0
    return np.clip(problem.lower + (problem.upper - problem.lower) * share, problem.lower, problem.upper)


def _inside(y: Floats) -> Floats:
    return y.clip(-LIMIT, LIMIT)
