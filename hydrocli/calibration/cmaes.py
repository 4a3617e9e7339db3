"""CMA-ES (Hansen 2016) of the library `cmaes`: global search without gradients, for some tens of controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cmaes import CMA

from hydrocli.calibration.problem import StageResult
from hydrocli.calibration.recorder import Recorder
from hydrocli.errors import NumericalError


@dataclass(frozen=True)
class CMAES:
    """Options.

    Attributes:
        iterations: generations at most.
        population: control vectors in a generation, 4 or more; None for 4 + 3 log(controls).
        sigma0: initial standard deviation, as a fraction of the distance between the bounds.
        ftol: stop when the best costs of the last `patience` generations differ by less.
        patience: see `ftol`.
        seed: of the draws.
    """

    iterations: int = 300
    population: int | None = None
    sigma0: float = 0.2
    ftol: float = 1e-8
    patience: int = 20
    seed: int = 1

    def minimise(self, recorder: Recorder) -> StageResult:
        """Search around the first of the problem's starts.

        Raises:
            ConfigurationError: a control has open bounds.
            NumericalError: no cost of a generation is finite.
        """
        problem = recorder.problem
        problem.require_box("cmaes")
        width = problem.upper - problem.lower
        search = CMA(
            (problem.starts[0] - problem.lower) / width,
            self.sigma0,
            bounds=np.tile([0.0, 1.0], (width.size, 1)),
            seed=self.seed,
            population_size=self.population,
        )
        best, best_cost = problem.starts[0], float(recorder.values(problem.starts[:1])[0])
        recorder.report(best, best_cost)
        lowest, reason = list[float](), ""
        while not reason:
            drawn = np.array([search.ask() for _ in range(search.population_size)])
            points = np.clip(problem.lower + width * drawn, problem.lower, problem.upper)
            costs = recorder.values(points)
            if not np.isfinite(costs).any():
                raise NumericalError(
                    f"cmaes, generation {len(lowest) + 1}", "no cost is finite", "Narrow the bounds of the parameters."
                )
            search.tell(list(zip(drawn, costs.tolist(), strict=True)))
            lowest.append(float(costs.min()))
            if lowest[-1] < best_cost:
                best, best_cost = points[int(np.argmin(costs))], lowest[-1]
            recorder.report(best, best_cost)
            reason = self._reason(search, lowest)
        return recorder.result(reason)

    def _reason(self, search: CMA, lowest: list[float]) -> str:
        if len(lowest) >= self.patience and np.ptp(lowest[-self.patience :]) <= self.ftol:
            return f"Converged: best cost changed by at most {self.ftol:g} in {self.patience} iterations."
        if search.should_stop():
            return "Stopped: the search distribution is degenerate."
        if len(lowest) >= self.iterations:
            return f"Stopped at the iteration limit ({self.iterations})."
        return ""
