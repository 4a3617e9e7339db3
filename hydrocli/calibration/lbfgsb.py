"""L-BFGS-B of scipy (Byrd et al. 1995; Zhu et al. 1997; Morales & Nocedal 2011): descent with bounds.

The first trial point is the start minus the gradient, clipped at the bounds, and may be a corner of the box: the cost
must be finite there. (Shorter first steps needed as many evaluations in tests, and ended in local minima more often.)

The stopping rules are implemented here, so that each has its own message; scipy keeps one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

from hydrocli.arrays import Floats
from hydrocli.calibration.problem import StageResult
from hydrocli.calibration.recorder import Recorder

UNLIMITED = 10**9
PATIENCE = 5
DEAD_END = "Stopped: no lower cost along the search direction (a kink of the cost, or the limit of its precision)."
"""The one result that is left to scipy."""


@dataclass(frozen=True)
class LBFGSB:
    """Options.

    Attributes:
        iterations: maximum number.
        ftol: stop when five iterations together reduce the cost by no more than this (a single one may be short by
            chance).
        gtol: stop when no component of the projected gradient is larger.
        history_size: number of past steps and gradient changes that approximate the Hessian.
    """

    iterations: int = 200
    ftol: float = 1e-8
    gtol: float = 1e-6
    history_size: int = 10

    def minimise(self, recorder: Recorder) -> StageResult:
        """Descend from the first of the problem's starts.

        Raises:
            NumericalError: the cost or its gradient is not finite at some iteration.
        """
        descent = _Descent(self, recorder)
        if not descent.reason:
            problem = recorder.problem
            minimize(
                descent.evaluate,
                problem.starts[0],
                jac=True,
                method="L-BFGS-B",
                bounds=Bounds(problem.lower, problem.upper),
                callback=descent.iterated,
                options={
                    "maxcor": self.history_size,
                    "maxiter": UNLIMITED,
                    "maxfun": UNLIMITED,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
        return recorder.result(descent.reason or DEAD_END)


class _Descent:
    """Callbacks of scipy, and the current point."""

    def __init__(self, options: LBFGSB, recorder: Recorder) -> None:
        self._options, self._recorder = options, recorder
        self._x = recorder.problem.starts[0]
        self._cost, self._gradient = recorder.value_and_gradient(self._x)
        self._costs: list[float] = []
        self.reason = self._accept()

    def evaluate(self, x: Floats) -> tuple[float, Floats]:
        if not np.array_equal(x, self._x):
            self._x = x.copy()
            self._cost, self._gradient = self._recorder.value_and_gradient(self._x)
        return self._cost, self._gradient

    def iterated(self, intermediate_result: OptimizeResult) -> None:
        self.evaluate(intermediate_result.x)  # no evaluation where the line search ended at its last point, as it does
        self.reason = self._accept()
        if self.reason:
            raise StopIteration

    def _accept(self) -> str:
        """Report the point that the line search has accepted; a sentence where it is to be the last."""
        self._recorder.report(self._x, self._cost, self._gradient)
        self._costs.append(self._cost)
        options, slope = self._options, self._recorder.problem.free_gradient(self._x, self._gradient)
        if np.max(np.abs(slope)) <= options.gtol:
            return f"Converged: projected gradient below {options.gtol:g}."
        if len(self._costs) > PATIENCE and self._costs[-1 - PATIENCE] - self._cost <= options.ftol:
            return f"Converged: cost decreased by less than {options.ftol:g} over {PATIENCE} iterations."
        if len(self._costs) > options.iterations:
            return f"Stopped at the iteration limit ({options.iterations})."
        return ""
