"""Adam (Kingma & Ba 2015): gradient descent with adaptive moments.

    m <- beta1 m + (1 - beta1) g              v <- beta2 v + (1 - beta2) g^2
    x <- x - rate s(t) ((m / c1) / (sqrt(v / c2) + 1e-8) + decay x), cut at the bounds

c1 = 1 - beta1^t and c2 = 1 - beta2^t at iteration t (standard). smash has 1 - beta1 and 1 - beta2 throughout
(constant): its steps are up to twice as long in the first hundred iterations, and shorter than the standard ones later.
The weight decay is decoupled from the gradient (AdamW, Loshchilov & Hutter 2019) and applies only to the controls that
the problem lists. The schedule s(t) is 1 by default; a cosine (Loshchilov & Hutter 2017) or a geometric sequence
decreases to a final fraction; a warm-up increases it linearly first.

Where the problem has batches, g is the gradient of one batch per iteration, and points are compared by the full cost,
every `full_evaluation_every` iterations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.calibration.problem import StageResult
from hydrocli.calibration.recorder import Recorder

EPSILON = 1e-8


@dataclass(frozen=True)
class Adam:
    """Options.

    Attributes:
        iterations: maximum number.
        learning_rate: approximately the size of the first step of each control.
        beta1: decay of the mean of the gradients.
        beta2: decay of the mean of their squares.
        bias_correction: standard or constant, see the module.
        schedule: constant, cosine or exponential.
        rate_warmup: iterations over which the rate increases linearly to `learning_rate`.
        final_rate_fraction: final fraction of `learning_rate` of a schedule.
        weight_decay: decoupled decay of the controls that the problem lists as `decaying`.
        max_gradient_norm: gradient clipping by the 2-norm; None for none.
        patience: stop when this number of iterations has not reduced the cost by more than `ftol`; None for never.
        ftol: see `patience`.
        full_evaluation_every: with batches, iterations between evaluations of the full cost.
    """

    iterations: int = 240
    learning_rate: float = 0.003
    beta1: float = 0.9
    beta2: float = 0.999
    bias_correction: str = "standard"
    schedule: str = "constant"
    rate_warmup: int = 0
    final_rate_fraction: float = 0.01
    weight_decay: float = 0.0
    max_gradient_norm: float | None = None
    patience: int | None = None
    ftol: float = 0.0
    full_evaluation_every: int = 10

    def minimise(self, recorder: Recorder) -> StageResult:
        """Minimise from the first of the problem's starts; the result is the best point visited.

        Raises:
            NumericalError: the cost or its gradient is not finite at some iteration.
        """
        problem, x = recorder.problem, recorder.problem.starts[0]
        trajectory = _Batches(self, recorder) if problem.batch else _Trajectory(self, recorder)
        decay = np.zeros(x.size) if problem.decaying is None else self.weight_decay * problem.decaying
        gradient = trajectory.look(0, x)
        mean, square = np.zeros((2, x.size))
        for iteration in range(1, self.iterations + 1):
            gradient = self._limited(gradient)
            mean = self.beta1 * mean + (1.0 - self.beta1) * gradient
            square = self.beta2 * square + (1.0 - self.beta2) * gradient**2
            first, second = self._corrections(iteration)
            direction = (mean / first) / (np.sqrt(square / second) + EPSILON) + decay * x
            x = np.clip(x - self.learning_rate * self.share(iteration) * direction, problem.lower, problem.upper)
            gradient = trajectory.look(iteration, x)
            if trajectory.reason:
                break
        return trajectory.result()

    def share(self, iteration: int) -> float:
        """Fraction of `learning_rate` in an iteration, counted from 1."""
        if iteration <= self.rate_warmup:
            return iteration / self.rate_warmup
        done = (iteration - 1 - self.rate_warmup) / max(1, self.iterations - 1 - self.rate_warmup)
        if self.schedule == "cosine":
            return self.final_rate_fraction + (1.0 - self.final_rate_fraction) * (1.0 + math.cos(math.pi * done)) / 2.0
        return self.final_rate_fraction**done if self.schedule == "exponential" else 1.0

    def _limited(self, gradient: Floats) -> Floats:
        length = math.sqrt(float(gradient @ gradient))
        if self.max_gradient_norm is None or length <= self.max_gradient_norm:
            return gradient
        return gradient * (self.max_gradient_norm / length)

    def _corrections(self, iteration: int) -> tuple[float, float]:
        power = iteration if self.bias_correction == "standard" else 1
        return 1.0 - self.beta1**power, 1.0 - self.beta2**power


class _Trajectory:
    """The points that Adam visits, the best of them, and the reason to stop."""

    def __init__(self, options: Adam, recorder: Recorder) -> None:
        self.options, self.recorder, self.reason = options, recorder, ""
        nothing = np.full(recorder.problem.lower.size, np.nan)
        self.best, self.best_iteration = (recorder.problem.starts[0], np.inf, nothing), 0
        self._settled, self._settled_at = np.inf, 0

    def look(self, iteration: int, x: Floats) -> Floats:
        """The gradient for the step from `x`."""
        cost, gradient = self.recorder.value_and_gradient(x)
        self.judge(iteration, x, cost, gradient)
        self.recorder.report(*self.best)
        return gradient

    def judge(self, iteration: int, x: Floats, cost: float, gradient: Floats) -> None:
        """Update the best point, and check the patience."""
        if cost < self.best[1]:
            self.best, self.best_iteration = (x, cost, gradient), iteration
        if cost < self._settled - self.options.ftol:
            self._settled, self._settled_at = cost, iteration
        patience = self.options.patience
        if patience is not None and iteration - self._settled_at >= patience:
            by = f" by more than {self.options.ftol:g}" if self.options.ftol else ""
            self.reason = f"Stopped: no decrease of the cost{by} in {patience} iterations; {self._lowest()}"

    def result(self) -> StageResult:
        """The best point, and the reason to stop."""
        done = f"Stopped at the iteration limit ({self.options.iterations}); {self._lowest()}"
        return self.recorder.result(self.reason or done)

    def _lowest(self) -> str:
        return f"best cost at iteration {self.best_iteration}."


class _Batches(_Trajectory):
    """One batch per iteration; every `full_evaluation_every` iterations the cost over all data."""

    def look(self, iteration: int, x: Floats) -> Floats:
        """The gradient for the step from `x`; at the end, that of the full cost at the best point."""
        options, recorder = self.options, self.recorder
        last = iteration == options.iterations
        if iteration % options.full_evaluation_every == 0 or last:
            self._anchor = x
            self.judge(iteration, x, float(recorder.values(x[np.newaxis])[0]), np.full(x.size, np.nan))
        if last or self.reason:
            self.best = (self.best[0], *recorder.value_and_gradient(self.best[0]))
            recorder.report(*self.best)
            return self.best[2]
        cost, gradient = recorder.batch(iteration, self._anchor, x)
        recorder.report(*self.best, batch_cost=cost)
        return gradient
