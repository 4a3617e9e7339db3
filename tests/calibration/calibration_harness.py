"""Problems with known optima, and a harness that runs, kills and resumes calibrations of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hydrocli.calibration.journal import Journal
from hydrocli.calibration.problem import Iteration, Problem, StageResult
from hydrocli.calibration.recorder import Recorder
from hydrocli.calibration.stages import Stage, run_stages


class Killed(Exception):  # noqa: N818 - what happens, not an error
    """The process dies here."""


class Rosenbrock:
    """The valley of Rosenbrock in m dimensions, minimum 0 at (1, ..., 1); counts how often it is computed."""

    def __init__(self, die_at: int | None = None) -> None:
        self.computed, self.die_at = 0, die_at

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self._count()
        a, b = x[:-1], x[1:]
        gradient = np.zeros_like(x)
        gradient[:-1] = -400 * a * (b - a**2) - 2 * (1 - a)
        gradient[1:] += 200 * (b - a**2)
        return self._value(x), gradient

    def values(self, points: np.ndarray) -> np.ndarray:
        self._count()
        return np.array([self._value(x) for x in points])

    def problem(self, starts: np.ndarray, upper: float = 2.0) -> Problem:
        size = starts.shape[1]
        return Problem(
            starts,
            np.full(size, -2.0),
            np.full(size, upper),
            self.value_and_gradient,
            self.values,
            curvature=self.curvature,
        )

    def curvature(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Gauss-Newton: the valley is a sum of squares, of 10 (b - a^2) and 1 - a."""
        cost, gradient = self.value_and_gradient(x)
        jacobian = np.zeros((2 * (x.size - 1), x.size))
        for k in range(x.size - 1):
            jacobian[2 * k, k : k + 2] = -20 * x[k], 10
            jacobian[2 * k + 1, k] = -1
        return cost, gradient, 2 * jacobian.T @ jacobian

    @staticmethod
    def _value(x: np.ndarray) -> float:
        return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    def _count(self) -> None:
        if self.computed == self.die_at:
            raise Killed
        self.computed += 1


class Outcome:
    """Endings and history of a calibration, as bytes that can be compared."""

    def __init__(self, results: list[StageResult], history: list[Iteration]) -> None:
        self.results, self.history = results, history

    @property
    def bits(self) -> tuple[object, ...]:
        """All but the wall times."""
        results = tuple((e.stage, e.cost, e.iterations, e.evaluations, e.reason, e.finished) for e in self.results)
        arrays = tuple((e.x.tobytes(), e.gradient.tobytes(), e.candidates.tobytes()) for e in self.results)
        history = tuple(
            (i.stage, i.iteration, i.evaluations, i.cost, repr(i.gradient_norm), i.x.tobytes()) for i in self.history
        )
        return results + arrays + history


Build = Callable[[Rosenbrock], Sequence[Stage]]


def calibrate(
    path: Path, build: Build, function: Rosenbrock | None = None, should_stop: Callable[[], bool] = lambda: False
) -> Outcome:
    """One process: opens the journal, runs the stages, and dies or ends."""
    history: list[Iteration] = []
    with Journal(path, "key") as journal:
        results = run_stages(build(function or Rosenbrock()), Recorder(journal, history.append, should_stop))
    return Outcome(results, history)
