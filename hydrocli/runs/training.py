"""What a calibration consists of: the stages of the YAML, each with its mapping, optimiser and problem.

A uniform first guess goes before the stages: Sobol screening of the whole box, then short descents from the best sets.
Each stage starts from the maps with which the one before ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hydrocli.calibration.cmaes import CMAES
from hydrocli.calibration.history import Ending
from hydrocli.calibration.lbfgsb import LBFGSB
from hydrocli.calibration.problem import Optimiser, Problem
from hydrocli.calibration.screening import Screening
from hydrocli.calibration.stages import Stage
from hydrocli.mapping.distributed import Distributed
from hydrocli.mapping.mapping import Mapping
from hydrocli.mapping.rows import continued
from hydrocli.mapping.uniform import Uniform
from hydrocli.model.objective import Objective
from hydrocli.runs.build import Case
from hydrocli.score.cost import Cost

Floats = NDArray[np.float64]


def calibration_cost(case: Case) -> Cost:
    """Cost of the discharge at the calibration gauges from the start to the end of the calibration.

    Raises:
        InputError: gauges without observations to score.
    """
    window, steps = case.experiment.period.calibration, case.calibration_steps
    assert window is not None
    weights = case.experiment.gauges.weights
    return Cost.of(
        case.basin.discharge[case.gauges(case.calibration), :steps],
        case.inside(window)[:steps],
        case.calibration,
        [weights[code] for code in case.calibration] if weights else None,
    )


class Training:
    """Stages of a calibration, all on one sweep over the cells that drain to its gauges.

    Args:
        case: the experiment and its basin.

    Attributes:
        stages: for `hydrocli.calibration.stages.run_stages`.
        iterations: upper limit of all of them together.
        scores: NSE [g] of the calibration gauges at the last evaluation with a gradient.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self._cost = calibration_cost(case)
        self._cells = np.flatnonzero(case.calibrated_cells)
        self._sweep, _, _ = case.sweep(self._cells, case.gauges(case.calibration), case.calibration_steps)
        self._kinds: list[str] = []
        self._objective: Objective | None = None
        self.iterations = 0
        self.stages = [*self._first_guess(), *self._asked()]

    @property
    def scores(self) -> Floats:
        """See the class."""
        return self._objective.scores if self._objective else np.full(len(self.case.calibration), np.nan)

    def mapping(self, endings: Sequence[Ending]) -> Mapping:
        """The mapping of the last stage that has ended, as it was when the stage began."""
        return self._mapping(len(endings) - 1, endings[:-1])

    def maps(self, endings: Sequence[Ending]) -> Floats:
        """Maps [7, n] at the end of the last stage that has ended."""
        return self.mapping(endings).parameters(endings[-1].x)

    def _first_guess(self) -> list[Stage]:
        guess = self.case.experiment.first_guess
        if guess.kind == "given":
            return []
        screening = Screening(guess.samples, guess.descents, seed=self.case.experiment.seed)
        descent = LBFGSB(guess.iterations)
        return [
            self._stage("screening", "uniform", screening, -(-(guess.samples + 1) // screening.batch)),
            self._stage("first guess", "uniform", descent, guess.descents * guess.iterations, guess.descents),
        ]

    def _asked(self) -> list[Stage]:
        experiment = self.case.experiment
        stages = []
        for number, stage in enumerate(experiment.optimiser, start=1):
            kind = stage.mapping or experiment.mapping.kind
            optimiser: Optimiser
            if stage.kind == "lbfgsb":
                optimiser = LBFGSB(stage.iterations, stage.cost_tolerance, stage.gradient_tolerance, stage.corrections)
            else:
                optimiser = CMAES(
                    stage.iterations,
                    stage.population,
                    stage.spread,
                    stage.cost_tolerance,
                    stage.patience,
                    experiment.seed,
                )
            stages.append(self._stage(f"{number} {kind} {stage.kind}", kind, optimiser, stage.iterations))
        return stages

    def _stage(self, name: str, kind: str, optimiser: Optimiser, iterations: int, descents: int = 1) -> Stage:
        number = len(self._kinds)
        self._kinds.append(kind)
        self.iterations += iterations
        problem: Callable[[Sequence[Ending]], Problem] = partial(self._problem, number)
        return Stage(name, optimiser, problem, descents)

    def _mapping(self, stage: int, endings: Sequence[Ending]) -> Mapping:
        """Mapping of a stage, given how those before it ended."""
        rows = self.case.rows
        if stage:
            rows = continued(rows, self._mapping(stage - 1, endings[:-1]).parameters(endings[-1].x))
        if self._kinds[stage] == "uniform":
            return Uniform(rows, self.case.calibrated_cells)
        return Distributed(rows, self.case.calibrated_cells)

    def _problem(self, stage: int, endings: Sequence[Ending]) -> Problem:
        case, mapping = self.case, self._mapping(stage, endings)
        self._objective = Objective(self._sweep, self._cells, mapping, self._cost, case.state, case.place)
        starts = mapping.first_guess()[np.newaxis]
        if stage and self._kinds[stage - 1] == self._kinds[stage] == "uniform":
            starts = endings[-1].candidates  # the controls mean the same
        return Problem(starts, mapping.lower, mapping.upper, self._objective.value_and_gradient, self._objective.values)
