"""Adam (Kingma & Ba 2015): descent with momentum, each control in steps of its own size.

    m <- beta1 m + (1 - beta1) g              v <- beta2 v + (1 - beta2) g^2
    x <- x - rate (m / c1) / (sqrt(v / c2) + 1e-8), cut at the bounds

c1 = 1 - beta1^t and c2 = 1 - beta2^t at iteration t (standard). smash has 1 - beta1 and 1 - beta2 throughout
(constant): its steps are up to twice as long in the first hundred iterations, and shorter than the standard ones then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydrocli.calibration.history import Ending
from hydrocli.calibration.recorder import Recorder

EPSILON = 1e-8


@dataclass(frozen=True)
class Adam:
    """Options.

    Attributes:
        iterations: so many are done.
        rate: about the length of the first step in every control.
        beta1: decay of the mean of the gradients.
        beta2: decay of the mean of their squares.
        bias_correction: standard or constant, see the module.
    """

    iterations: int = 240
    rate: float = 0.003
    beta1: float = 0.9
    beta2: float = 0.999
    bias_correction: str = "standard"

    def minimise(self, recorder: Recorder) -> Ending:
        """Descend from the first of the problem's starts; the best point of the way is the ending.

        Raises:
            NumericalError: the cost or its gradient is not finite somewhere on the way.
        """
        problem, x = recorder.problem, recorder.problem.starts[0]
        cost, gradient = recorder.value_and_gradient(x)
        best, best_iteration = (x, cost, gradient), 0
        recorder.report(*best)
        mean, square = np.zeros((2, x.size))
        for iteration in range(1, self.iterations + 1):
            mean = self.beta1 * mean + (1.0 - self.beta1) * gradient
            square = self.beta2 * square + (1.0 - self.beta2) * gradient**2
            first, second = self._corrections(iteration)
            step = self.rate * (mean / first) / (np.sqrt(square / second) + EPSILON)
            x = np.clip(x - step, problem.lower, problem.upper)
            cost, gradient = recorder.value_and_gradient(x)
            if cost < best[1]:
                best, best_iteration = (x, cost, gradient), iteration
            recorder.report(*best)
        return recorder.ending(
            f"All {self.iterations} iterations are done; that of the lowest cost is {best_iteration}."
        )

    def _corrections(self, iteration: int) -> tuple[float, float]:
        power = iteration if self.bias_correction == "standard" else 1
        return 1.0 - self.beta1**power, 1.0 - self.beta2**power
