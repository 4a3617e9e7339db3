"""L-BFGS-B of scipy (Byrd et al. 1995; Zhu et al. 1997; Morales & Nocedal 2011): descent with bounds.

The first trial step of L-BFGS-B inside bounds is the whole negative gradient, cut at the bounds: with a steep cost it
lands in a corner of the box. The cost is therefore scaled before scipy sees it so that this step moves no control by
more than `first_step`; later steps do not depend on the scale.

The stopping rules are our own, on the unscaled cost, with the definitions of scipy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, OptimizeResult, minimize

from hydrocli.calibration.history import Ending
from hydrocli.calibration.recorder import Recorder

Array = NDArray[np.float64]

UNLIMITED = 10**9
DEAD_END = "No lower cost along the gradient: the precision of the numbers is reached, or the gradient is wrong."
"""The one ending that is left to scipy."""


@dataclass(frozen=True)
class LBFGSB:
    """Options.

    Attributes:
        iterations: stop after so many.
        ftol: stop when an iteration lowers the cost by less than this share of it (of 1 where the cost is below 1).
        gtol: stop when no component of the gradient, cut at the bounds, is above this.
        first_step: the largest change of a control in the first trial step.
        corrections: pairs of steps and gradient changes that stand for the curvature.
    """

    iterations: int = 200
    ftol: float = 1e-8
    gtol: float = 1e-6
    first_step: float = 0.1
    corrections: int = 10

    def minimise(self, recorder: Recorder) -> Ending:
        """Descend from the first of the problem's starts.

        Raises:
            NumericalError: the cost or its gradient is not finite somewhere on the way.
        """
        descent = _Descent(self, recorder)
        if not descent.reason:
            problem = recorder.problem
            minimize(
                descent.scaled,
                problem.starts[0],
                jac=True,
                method="L-BFGS-B",
                bounds=Bounds(problem.lower, problem.upper),
                callback=descent.iterated,
                options={
                    "maxcor": self.corrections,
                    "maxiter": UNLIMITED,
                    "maxfun": UNLIMITED,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
        return recorder.ending(descent.reason or DEAD_END)


class _Descent:
    """What scipy calls back, and the point at which it stands."""

    def __init__(self, options: LBFGSB, recorder: Recorder) -> None:
        self._options, self._recorder = options, recorder
        self._x = recorder.problem.starts[0]
        self._cost, self._gradient = recorder.value_and_gradient(self._x)
        self._iterations = 0
        self._cost_before = self._cost
        self._scale = self._first_scale()
        self.reason = self._accept()

    def scaled(self, x: Array) -> tuple[float, Array]:
        if not np.array_equal(x, self._x):
            self._x = x.copy()
            self._cost, self._gradient = self._recorder.value_and_gradient(self._x)
        return self._scale * self._cost, self._scale * self._gradient

    def iterated(self, intermediate_result: OptimizeResult) -> None:
        self._iterations += 1
        self.scaled(intermediate_result.x)  # no evaluation where the line search ended at its last point, as it does
        self.reason = self._accept()
        if self.reason:
            raise StopIteration

    def _accept(self) -> str:
        """Report the point that the line search has accepted; a sentence where it is to be the last."""
        self._recorder.report(self._x, self._cost, self._gradient)
        before, self._cost_before = self._cost_before, self._cost
        options = self._options
        if self._slope() <= options.gtol:
            return f"The gradient has vanished (no component above {options.gtol:g})."
        if self._iterations and before - self._cost <= options.ftol * max(abs(before), abs(self._cost), 1.0):
            return f"The cost has settled (lowered by {before - self._cost:.1e} at last, tolerance {options.ftol:g})."
        if self._iterations >= options.iterations:
            return f"The limit of {options.iterations} iterations is reached."
        return ""

    def _slope(self) -> float:
        return float(np.max(np.abs(self._recorder.problem.free_gradient(self._x, self._gradient))))

    def _first_scale(self) -> float:
        free = self._recorder.problem.free_gradient(self._x, self._gradient) != 0
        return self._options.first_step / float(np.max(np.abs(self._gradient[free]))) if free.any() else 1.0
