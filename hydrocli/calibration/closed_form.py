"""A problem that starts at its solution: evaluated there once, it has a cost and an entry in the journal."""

from __future__ import annotations

from hydrocli.calibration.problem import StageResult
from hydrocli.calibration.recorder import Recorder


class ClosedForm:
    """The optimiser of problems whose first start is their solution."""

    def minimise(self, recorder: Recorder) -> StageResult:
        """The first start of the problem, with its cost and gradient.

        Raises:
            NumericalError: either is not finite.
        """
        x = recorder.problem.starts[0]
        recorder.report(x, *recorder.value_and_gradient(x))
        return recorder.result("Solved in closed form.")
