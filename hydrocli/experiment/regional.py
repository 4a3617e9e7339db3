"""Several basins under one control vector: what `Training` is for one basin, for all of them.

The cost is the mean over all gauges of all basins: that of a basin counts by its number of calibration gauges. Costs
and gradients are summed in the order of the basins, whoever has computed them. All that the basins have in common is
settled first: the range of each descriptor and the scale of the network's inputs are those of all basins together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.config import Experiment, numbers_hash, resolved
from hydrocli.engine.control import Control
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.dask_seats import DaskSeats
from hydrocli.experiment.regional_workers import Child, Crew, Dealt, Group, Seat
from hydrocli.experiment.setup import Case, Shared
from hydrocli.experiment.simulation import unsolved, write_outcome
from hydrocli.experiment.stages import Training
from hydrocli.results.folder import CONFIG, RunFolder
from hydrocli.results.write import write_text

BASINS = 2
"""Stream of random numbers that draws basins; `minibatch` has those before it."""


@contextmanager
def trained(cases: Sequence[Case]) -> Iterator[Training | Region]:
    """The training of a basin, or that of several with its processes, which end with the block."""
    if len(cases) == 1:
        yield Training(cases[0])
        return
    region = Region(cases)
    try:
        yield region
    finally:
        region.close()


class Region:
    """Stages of a calibration of several basins.

    Args:
        cases: the basin of the configuration, which lends its stages, then the others.

    Attributes:
        case: the first.
        codes: names of all calibration gauges.
        notes, stages, iterations, scores: as `Training` has them.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        shared = Shared.of(cases)
        self._cases = [_lean(case, shared, len(cases)) for case in cases]
        self.case = self._cases[0]
        self._own = Training(self._cases[0])
        self._crew = self._crew_of(cases[0].experiment, shared)
        gauges = np.array([len(case.calibration) for case in cases], np.float64)
        self._shares = gauges / gauges.sum()
        self.codes, self.notes, self.iterations = _codes(cases), self._own.notes, self._own.iterations
        self.scores: Floats = np.full(len(self.codes), np.nan)
        self.stages = [
            replace(stage, problem=partial(self._problem, number, stage.problem))
            for number, stage in enumerate(self._own.stages)
        ]

    def _crew_of(self, experiment: Experiment, shared: Shared) -> Crew:
        execution = experiment.execution
        sizes, threads = [case.size for case in self._cases], execution.threads
        dask = DaskSeats(execution.cluster, execution.workers) if execution.cluster != "none" else None
        places = _dealt(sizes, min(dask.size if dask else execution.workers, len(sizes)))
        if dask:
            places = [[], *places]  # where this process runs may be no place to compute
        seats = [Seat(tuple(self._cases[i].experiment for i in numbers), shared, threads) for numbers in places[1:]]
        here = [Training(self._cases[number]) if number else self._own for number in places[0]]
        return Crew(Group(here, threads), dask.take(seats) if dask else [Child(seat) for seat in seats], places)

    def close(self) -> None:
        """End the processes."""
        self._crew.close()

    def control(self, results: Sequence[StageResult]) -> Control:
        """As `Training.control`; names of controls are those of the first basin."""
        return self._own.control(results)

    def found(self, results: Sequence[StageResult]) -> tuple[Any, ...]:
        """As `Training.found`, of the first basin."""
        return self._own.found(results)

    def others(self, results: Sequence[StageResult]) -> Iterator[tuple[Case, tuple[Any, ...]]]:
        """Each further basin, and what was found for it."""
        for case in self._cases[1:]:
            yield case, Training(case).found(results)

    def _problem(
        self, number: int, own: Callable[[Sequence[StageResult]], Problem], results: Sequence[StageResult]
    ) -> Problem:
        problem = own(results)
        for case, bounds in zip(self._cases, self._crew.ask("begin", number, list(results)), strict=True):
            if not all(map(np.array_equal, bounds, (problem.lower, problem.upper))):
                what = f"the controls of {case.experiment.name} are not those of {self.case.experiment.name}"
                raise ConfigurationError("regional.basins", what, "Calibrate the same levels in `initial` of both.")
        return replace(
            problem, value_and_gradient=self._value_and_gradient, values=self._values, batch=self._batches(number)
        )

    def _batches(self, number: int) -> Callable[[int, Floats, Floats], tuple[float, Floats]] | None:
        """Of a stage: the batches of some basins, drawn by the number of the iteration alone."""
        asked = self.case.experiment.optimiser
        guessing = len(self.stages) - len(asked)
        batches = getattr(asked[number - guessing], "batches", None) if number >= guessing else None
        if batches is None:
            return None
        basins, seed = len(self._cases), self.case.experiment.seed
        drawn = min(batches.basins or basins, basins)

        def batch(iteration: int, anchor: Floats, x: Floats) -> tuple[float, Floats]:
            chosen = np.random.default_rng([seed, BASINS, iteration]).permutation(basins) < drawn
            answers = self._crew.ask("batches", iteration, anchor, x, Dealt(chosen.tolist()))
            cost, gradient, total = 0.0, np.zeros(x.size), self._shares[chosen].sum()
            for share, answer in zip(self._shares / total, answers, strict=True):
                if answer is not None:
                    cost, gradient = cost + share * answer[0], gradient + share * answer[1]
            return float(cost), gradient

        return batch

    def _value_and_gradient(self, x: Floats) -> tuple[float, Floats]:
        cost, gradient, answers = 0.0, np.zeros(x.size), self._crew.ask("gradients", x)
        for share, (value, slope, _) in zip(self._shares, answers, strict=True):
            cost, gradient = cost + share * value, gradient + share * slope
        self.scores = np.concatenate([scores for *_, scores in answers])
        return float(cost), gradient

    def _values(self, points: Floats) -> Floats:
        costs, answers = np.zeros(len(points)), self._crew.ask("values", points)
        for share, (values, *_) in zip(self._shares, answers, strict=True):
            costs = costs + share * values
        self.scores = np.concatenate([scores for *_, scores in answers])
        return costs


def write_others(region: Region, results: Sequence[StageResult]) -> dict[str, float]:
    """The run folder of each further basin; NSE of its calibration gauges.

    Raises:
        NumericalError: a state or discharge is not finite.
    """
    scores: dict[str, float] = {}
    for case, found in region.others(results):
        member = case.experiment
        with RunFolder.open(Path(member.folder), member.name) as folder:
            write_text(folder.path / CONFIG, resolved(member))
            folder.start(identity=numbers_hash(member), seed=member.seed, inputs={"basin": case.basin.fingerprint})
            own = write_outcome(folder, case, *found)
            with_whom = region.case.experiment.name
            folder.finish(f"Calibrated together with {with_whom}, whose folder has the history.{unsolved(folder)}")
        scores |= {f"{member.name}/{code}": score for code, score in own.items()}
    return scores


def _lean(case: Case, shared: Shared, basins: int) -> Case:
    """The case with what all share; its threads are those of the region, and the memory is for all basins together."""
    execution = case.experiment.execution
    alone = execution.model_copy(update={"threads": 1, "cluster": "none", "memory": execution.memory // basins})
    return replace(case, experiment=case.experiment.model_copy(update={"execution": alone}), shared=shared)


def _dealt(sizes: Sequence[int], groups: int) -> list[list[int]]:
    """Numbers of the items of each group, so that sums are about equal; the largest first, number 0 in the first."""
    order = [0, *sorted(range(1, len(sizes)), key=lambda number: -sizes[number])]
    places, loads = [list[int]() for _ in range(groups)], [0] * groups
    for number in order:
        lightest = loads.index(min(loads))
        places[lightest].append(number)
        loads[lightest] += sizes[number]
    return [sorted(numbers, key=lambda number: -sizes[number]) for numbers in places]


def _codes(cases: Sequence[Case]) -> tuple[str, ...]:
    """Codes of the calibration gauges, with the name of the basin."""
    return tuple(f"{case.experiment.name}/{code}" for case in cases for code in case.calibration)
