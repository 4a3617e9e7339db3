"""Levenberg-Marquardt with bounds (Levenberg 1944; Marquardt 1963; damping of Nielsen 1999), for few controls.

Each iteration minimises, inside the bounds, the quadratic model that the curvature of the problem gives, damped in the
direction of steep controls. Directions in which the model is concave are turned: a cost need not be convex in the
output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from hydrocli.arrays import Floats
from hydrocli.calibration.problem import StageResult
from hydrocli.calibration.recorder import Recorder

FIRST_DAMPING = 1e-3
MOST_DAMPING = 1e6
"""Beyond it a step promises a millionth of what the model without damping does."""
SUFFICIENT = 1e-4
"""Least part of the predicted decrease for which a step is taken."""
LEAST_CURVATURE = 1e-12
"""Of a control, relative to the largest: keeps the damping of one without effect above zero."""
DEAD_END = "Stopped: no lower cost near this point (a kink of the cost, or the limit of its precision)."


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Options.

    Attributes:
        iterations: maximum number of steps tried.
        ftol: stop when a step that is hardly damped neither promises nor brings a decrease of the cost by more.
        gtol: stop when no component of the projected gradient is larger.
        rtol: stop when a step decreases the cost by no more than this share of it.
    """

    iterations: int = 50
    ftol: float = 1e-8
    gtol: float = 1e-6
    rtol: float = 0.0

    def minimise(self, recorder: Recorder) -> StageResult:
        """Descend from the first of the problem's starts.

        Raises:
            NumericalError: the cost or its gradient is not finite at a point that was taken.
        """
        problem = recorder.problem
        x = problem.starts[0]
        recorder.values(problem.starts[:1])
        cost, gradient, hessian = recorder.curvature(x)
        recorder.report(x, cost, gradient)
        steepness, damping, growth = np.zeros(x.size), FIRST_DAMPING, 2.0
        for _ in range(self.iterations):
            if np.max(np.abs(problem.free_gradient(x, gradient))) <= self.gtol:
                return recorder.result(f"Converged: projected gradient below {self.gtol:g}.")
            steepness = np.maximum(steepness, np.abs(np.diag(hessian)))
            # Where no control has a curvature, as in a cost that is linear, the damping alone limits the step.
            least = LEAST_CURVATURE * steepness.max() or np.max(np.abs(gradient))
            damped = _convex(hessian) + damping * np.diag(steepness + least)
            trial = np.clip(
                x + _step(damped, gradient, problem.lower - x, problem.upper - x), problem.lower, problem.upper
            )
            step = trial - x
            promised = -float(gradient @ step + step @ damped @ step / 2.0)
            found = float(recorder.values(trial[np.newaxis])[0])
            gained = cost - found
            if not gained > SUFFICIENT * promised > 0.0:
                damping, growth = damping * growth, 2.0 * growth
                if damping > MOST_DAMPING:
                    return recorder.result(DEAD_END)
                continue
            enough = max(self.ftol, self.rtol * cost)
            is_last = max(gained, promised) <= enough and damping < 1.0
            damping, growth = damping * max(1.0 / 3.0, 1.0 - (2.0 * gained / promised - 1.0) ** 3), 2.0
            x = trial
            cost, gradient, hessian = recorder.curvature(x)
            recorder.report(x, cost, gradient)
            if is_last:
                return recorder.result(f"Converged: a step decreased the cost by less than {enough:.2g}.")
        return recorder.result(f"Stopped at the iteration limit ({self.iterations}).")


def _convex(hessian: Floats) -> Floats:
    """The matrix with the absolute values of its eigenvalues, [m, m]."""
    values, vectors = np.linalg.eigh(hessian)
    return (vectors * np.abs(values)) @ vectors.T


def _step(matrix: Floats, gradient: Floats, lower: Floats, upper: Floats) -> Floats:
    """The step [m] between bounds that minimises gradient' s + s' matrix s / 2."""
    root = np.linalg.cholesky(matrix)
    return lsq_linear(root.T, -np.linalg.solve(root, gradient), (lower, upper), method="bvls").x
