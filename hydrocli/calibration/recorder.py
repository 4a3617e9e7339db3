"""Link between optimiser and problem: replays the journal, records new evaluations, counts, reports and stops.

The k-th evaluation of a resumed calibration takes its numbers from the k-th entry of the journal, provided that it is
requested at the same point, bit by bit. A deterministic optimiser therefore follows the same path to the end of the
journal, and continues from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.calibration.journal import Batch, Journal, NoJournal, machine
from hydrocli.calibration.problem import Iteration, Problem, StageResult
from hydrocli.errors import InputError, NumericalError

Evaluation = Callable[[Floats], tuple[float, Floats]]


class Interrupted(Exception):  # noqa: N818 - an result, not a fault
    """`should_stop` returned True; caught in `stages`."""


class Recorder:
    """Access of an optimiser to the functions of its problem.

    Args:
        journal: as it was opened.
        on_iteration: called for every iteration, including those of an earlier process.
        should_stop: called before every evaluation.
        on_evaluation: given the cost (the lowest of a group) after each evaluation that was computed here.

    Attributes:
        problem: the one that is being solved.
    """

    problem: Problem

    def __init__(
        self,
        journal: Journal | NoJournal,
        on_iteration: Callable[[Iteration], None],
        should_stop: Callable[[], bool],
        on_evaluation: Callable[[float], None] = lambda cost: None,
    ) -> None:
        self._journal, self._on_iteration, self._should_stop = journal, on_iteration, should_stop
        self._on_evaluation = on_evaluation
        self._evaluations, self._seconds, self._replayed = 0, 0.0, False

    def begin(self, stage: str, problem: Problem) -> None:
        """Enter a stage; what is evaluated from now on belongs to it.

        Raises:
            InputError: the journal has something else at this place.
        """
        self.problem, self._stage = problem, stage
        self._evaluations_before, self._seconds_before, self._iterations = self._evaluations, self._seconds, -1
        self._best = (problem.starts[0], np.nan, np.full(problem.lower.size, np.nan))
        entry = self._journal.next()
        if entry is None:
            self._journal.append(stage)
        elif entry != stage:
            raise self._unlike(f"the journal does not continue with the stage {stage!r}")

    def value_and_gradient(self, x: Floats) -> tuple[float, Floats]:
        """Cost and gradient, [m], at `x`, [m].

        Raises:
            NumericalError: either is not finite.
            InputError: the journal has another point at this place, or cannot be written.
        """
        cost, rows = self._evaluated(x, self.problem.value_and_gradient)
        return cost, rows[0]

    def batch(self, iteration: int, anchor: Floats, x: Floats) -> tuple[float, Floats]:
        """Cost and gradient, [m], of the batch of an iteration at `x`, [m]; see `Problem`.

        Raises:
            NumericalError, InputError: see `value_and_gradient`.
        """
        function = self.problem.batch
        assert function is not None
        cost, rows = self._evaluated(x, lambda point: function(iteration, anchor.copy(), point))
        return cost, rows[0]

    def curvature(self, x: Floats) -> tuple[float, Floats, Floats]:
        """Cost, gradient, [m], and approximate Hessian, [m, m], at `x`, [m]; see `Problem`.

        Raises:
            NumericalError, InputError: see `value_and_gradient`.
        """
        function = self.problem.curvature
        assert function is not None

        def stacked(point: Floats) -> tuple[float, Floats]:
            cost, gradient, hessian = function(point)
            return cost, np.concatenate([gradient[np.newaxis], hessian])

        cost, rows = self._evaluated(x, stacked, 1 + x.size)
        return cost, rows[0], rows[1:]

    def values(self, points: Floats) -> Floats:
        """Costs, [k], of control vectors, [k, m], with infinity in the place of NaN.

        Raises:
            InputError: see `value_and_gradient`.
        """
        batch = self._recorded(points, 0) or self._computed_values(points)
        return np.where(np.isnan(batch.values), np.inf, batch.values)

    def report(self, x: Floats, cost: float, gradient: Floats | None = None, batch_cost: float = np.nan) -> None:
        """Report an iteration, with the best point `x` of the stage so far."""
        if gradient is None:
            gradient = np.full(x.size, np.nan)
        self._iterations += 1
        self._best = (x.copy(), cost, gradient.copy())
        norm = float(np.max(np.abs(self.problem.free_gradient(x, gradient))))
        self._on_iteration(
            Iteration(
                self._stage,
                self._iterations,
                self._evaluations,
                cost,
                norm,
                self._seconds,
                x.copy(),
                self._replayed,
                batch_cost,
            )
        )

    def result(self, reason: str, finished: bool = True, candidates: Floats | None = None) -> StageResult:
        """The result of the stage at the last reported iteration; the reason is a sentence."""
        x, cost, gradient = self._best
        evaluations = self._evaluations - self._evaluations_before
        candidates = x[np.newaxis] if candidates is None else candidates
        seconds = self._seconds - self._seconds_before
        iterations = max(self._iterations, 0)
        return StageResult(
            self._stage, x, cost, gradient, iterations, evaluations, seconds, reason, finished, candidates
        )

    def _recorded(self, points: Floats, rows: int) -> Batch | None:
        """The next entry of the journal, if it has one, with so many rows of derivatives."""
        if self._should_stop():
            raise Interrupted
        entry = self._journal.next()
        self._replayed = entry is not None
        if entry is None:
            return None
        if isinstance(entry, str) or entry.points.shape != points.shape or len(entry.gradients) != rows:
            raise self._unlike(f"evaluation {self._evaluations + 1} is of another kind than in the journal")
        if entry.points.tobytes() != points.tobytes():
            off = np.max(np.abs(entry.points - points))
            raise self._unlike(f"evaluation {self._evaluations + 1} differs from the journal by {off:.1e}")
        self._count(entry)
        return entry

    def _evaluated(self, x: Floats, function: Evaluation, rows: int = 1) -> tuple[float, Floats]:
        """Cost and derivatives, [rows, m]: the gradient, and the rows of the Hessian where a problem gives them."""
        batch = self._recorded(x[np.newaxis], rows) or self._computed(x, function)
        return float(batch.values[0]), batch.gradients

    def _computed(self, x: Floats, function: Evaluation) -> Batch:
        began = time.perf_counter()
        cost, derivatives = function(x.copy())
        rows = np.array(derivatives, dtype=np.float64).reshape(-1, x.size)
        self._require_finite(cost, rows)
        return self._record(Batch(x[np.newaxis], np.array([cost]), rows, time.perf_counter() - began))

    def _computed_values(self, points: Floats) -> Batch:
        began = time.perf_counter()
        values = np.array(self.problem.values(points.copy()), dtype=np.float64)
        return self._record(Batch(points, values, points[:0], time.perf_counter() - began))

    def _record(self, batch: Batch) -> Batch:
        self._journal.append(batch)
        self._count(batch)
        if np.isfinite(batch.values).any():
            self._on_evaluation(float(np.nanmin(batch.values)))
        return batch

    def _count(self, batch: Batch) -> None:
        # The rows of a Hessian take a run each.
        self._evaluations += max(len(batch.points), len(batch.gradients) - 1)
        self._seconds += batch.seconds

    def _require_finite(self, cost: float, derivatives: Floats) -> None:
        """Of a gradient, [1, m], or of a gradient and a Hessian, [1 + m, m]."""
        gradient, broken = derivatives[0], np.flatnonzero(~np.isfinite(derivatives).all(axis=0))
        if np.isfinite(cost) and not broken.size:
            return
        what = f"the cost is {cost:g}"
        if broken.size:
            of = "gradient" if len(derivatives) == 1 else "gradient or Hessian"
            what += f" and {broken.size} of {gradient.size} components of its {of} are not finite, first {broken[0]}"
        raise NumericalError(
            f"{self._stage}, iteration {self._iterations + 1}, evaluation {self._evaluations + 1}",
            what,
            "Narrow the bounds of the parameters, or change the first guess.",
        )

    def _unlike(self, what: str) -> InputError:
        return InputError(
            str(self._journal.path),
            f"{what}: this machine does not reproduce the calibration exactly. "
            f"It was started on {self._journal.written_with}; this is {machine()}",
            "Continue it where it was started, with the same number of BLAS threads, or start again with --force.",
        )


class Optimiser(Protocol):
    """One kind of optimiser with its options settled."""

    def minimise(self, recorder: Recorder) -> StageResult:
        """Make the cost of `recorder.problem` small, evaluating through the recorder only."""
        ...
