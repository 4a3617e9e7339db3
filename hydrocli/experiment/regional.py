"""Several basins under one control vector: what `StagePlan` is for one basin, for all of them.

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
from hydrocli.execution.pool import RemoteWorker, WorkerLost, WorkerPool, executor_of
from hydrocli.experiment.regional_workers import Group, GroupServer, GroupSpec, PerBasin, worker_lost
from hydrocli.experiment.setup import CalibrationSetup, RegionalScaling
from hydrocli.experiment.simulation import final_simulation, unsolved
from hydrocli.experiment.stages import StagePlan
from hydrocli.results.folder import CONFIG, RunFolder
from hydrocli.results.write import write_text

BASINS = 2
"""Stream of random numbers that draws basins; `minibatch` has those before it."""


@contextmanager
def trained(setups: Sequence[CalibrationSetup]) -> Iterator[StagePlan | RegionalCalibration]:
    """The training of a basin, or that of several with its processes, which end with the block."""
    if len(setups) == 1:
        yield StagePlan(setups[0])
        return
    calibration = RegionalCalibration(setups)
    try:
        yield calibration
    finally:
        calibration.close()


class RegionalCalibration:
    """Stages of a calibration of several basins.

    Args:
        cases: the basin of the configuration, which lends its stages, then the others.

    Attributes:
        case: the first.
        codes: names of all calibration gauges.
        notes, stages, iterations, scores: as `StagePlan` has them.
    """

    def __init__(self, setups: Sequence[CalibrationSetup]) -> None:
        regional_scaling = RegionalScaling.of(setups)
        self._setups = [_lean(setup, regional_scaling, len(setups)) for setup in setups]
        self.setup = self._setups[0]
        self._own = StagePlan(self._setups[0])
        self._groups, self._pool = self._start(setups[0].experiment, regional_scaling)
        gauges = np.array([len(setup.calibration) for setup in setups], np.float64)
        self._shares = gauges / gauges.sum()
        self.codes, self.notes, self.iterations = _codes(setups), self._own.notes, self._own.iterations
        self.scores: Floats = np.full(len(self.codes), np.nan)
        self.stages = [
            replace(stage, problem=partial(self._problem, number, stage.problem))
            for number, stage in enumerate(self._own.stages)
        ]

    def _start(self, experiment: Experiment, regional_scaling: RegionalScaling) -> tuple[list[list[int]], WorkerPool]:
        """Numbers of the basins of each group, that of this process first, and whoever computes them."""
        execution = experiment.execution
        sizes, threads = [setup.size for setup in self._setups], execution.threads
        executor = executor_of(execution.cluster, execution.workers)
        groups = partition(sizes, min(executor.n_workers, len(sizes)))
        if execution.cluster != "none":
            groups = [[], *groups]  # where this process runs may be no place to compute
        specs = [
            GroupSpec(tuple(self._setups[i].experiment for i in numbers), regional_scaling, threads)
            for numbers in groups[1:]
        ]
        here = Group([StagePlan(self._setups[number]) if number else self._own for number in groups[0]], threads)
        try:
            workers: list[RemoteWorker] = executor.start_workers([GroupServer(spec) for spec in specs])
        except WorkerLost as lost:
            raise worker_lost() from lost
        return groups, WorkerPool(here.handle, workers)

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def _call_all(self, method: str, *arguments: Any) -> list[Any]:
        """Answers of all basins, by number, to a method of `Group`; a `PerBasin` among the arguments is shared out.

        Raises:
            HydrocliError: as a basin raised it, the first in the order of the groups.
            Stopped: a worker has ended without an answer.
        """
        requests = [
            (method, tuple([a.items[i] for i in numbers] if isinstance(a, PerBasin) else a for a in arguments))
            for numbers in self._groups
        ]
        try:
            answers = self._pool.call_all(requests)
        except WorkerLost as lost:
            raise worker_lost() from lost
        by_number = {
            number: one
            for numbers, answer in zip(self._groups, answers, strict=True)
            for number, one in zip(numbers, answer, strict=True)
        }
        return [by_number[number] for number in sorted(by_number)]

    def control(self, results: Sequence[StageResult]) -> Control:
        """As `StagePlan.control`; names of controls are those of the first basin."""
        return self._own.control(results)

    def found(self, results: Sequence[StageResult]) -> tuple[Any, ...]:
        """As `StagePlan.found`, of the first basin."""
        return self._own.found(results)

    def others(self, results: Sequence[StageResult]) -> Iterator[tuple[CalibrationSetup, tuple[Any, ...]]]:
        """Each further basin, and what was found for it."""
        for setup in self._setups[1:]:
            yield setup, StagePlan(setup).found(results)

    def _problem(
        self, number: int, own: Callable[[Sequence[StageResult]], Problem], results: Sequence[StageResult]
    ) -> Problem:
        problem = own(results)
        for setup, bounds in zip(self._setups, self._call_all("begin", number, list(results)), strict=True):
            if not all(map(np.array_equal, bounds, (problem.lower, problem.upper))):
                what = f"the controls of {setup.experiment.name} are not those of {self.setup.experiment.name}"
                raise ConfigurationError("regional.basins", what, "Calibrate the same levels in `initial` of both.")
        return replace(
            problem, value_and_gradient=self._value_and_gradient, values=self._values, batch=self._batches(number)
        )

    def _batches(self, number: int) -> Callable[[int, Floats, Floats], tuple[float, Floats]] | None:
        """Of a stage: the batches of some basins, drawn by the number of the iteration alone."""
        asked = self.setup.experiment.optimiser
        guessing = len(self.stages) - len(asked)
        batches = getattr(asked[number - guessing], "batches", None) if number >= guessing else None
        if batches is None:
            return None
        basins, seed = len(self._setups), self.setup.experiment.seed
        drawn = min(batches.basins or basins, basins)

        def batch(iteration: int, anchor: Floats, x: Floats) -> tuple[float, Floats]:
            chosen = np.random.default_rng([seed, BASINS, iteration]).permutation(basins) < drawn
            answers = self._call_all("batches", iteration, anchor, x, PerBasin(chosen.tolist()))
            cost, gradient, total = 0.0, np.zeros(x.size), self._shares[chosen].sum()
            for share, answer in zip(self._shares / total, answers, strict=True):
                if answer is not None:
                    cost, gradient = cost + share * answer[0], gradient + share * answer[1]
            return float(cost), gradient

        return batch

    def _value_and_gradient(self, x: Floats) -> tuple[float, Floats]:
        cost, gradient, answers = 0.0, np.zeros(x.size), self._call_all("gradients", x)
        for share, (value, slope, _) in zip(self._shares, answers, strict=True):
            cost, gradient = cost + share * value, gradient + share * slope
        self.scores = np.concatenate([scores for *_, scores in answers])
        return float(cost), gradient

    def _values(self, points: Floats) -> Floats:
        costs, answers = np.zeros(len(points)), self._call_all("values", points)
        for share, (values, *_) in zip(self._shares, answers, strict=True):
            costs = costs + share * values
        self.scores = np.concatenate([scores for *_, scores in answers])
        return costs


def write_others(calibration: RegionalCalibration, results: Sequence[StageResult]) -> dict[str, float]:
    """The run folder of each further basin; NSE of its calibration gauges.

    Raises:
        NumericalError: a state or discharge is not finite.
    """
    scores: dict[str, float] = {}
    for setup, found in calibration.others(results):
        member = setup.experiment
        with RunFolder.open(Path(member.folder), member.name) as folder:
            write_text(folder.path / CONFIG, resolved(member))
            folder.start(identity=numbers_hash(member), seed=member.seed, inputs={"basin": setup.basin.fingerprint})
            own = final_simulation(folder, setup, *found)
            with_whom = calibration.setup.experiment.name
            folder.finish(
                f"Calibrated together with {with_whom}, whose folder has the convergence table.{unsolved(folder)}"
            )
        scores |= {f"{member.name}/{code}": score for code, score in own.items()}
    return scores


def _lean(setup: CalibrationSetup, regional_scaling: RegionalScaling, basins: int) -> CalibrationSetup:
    """The case with what all share; its threads are those of the region, and the memory is for all basins together."""
    execution = setup.experiment.execution
    alone = execution.model_copy(update={"threads": 1, "cluster": "none", "memory": execution.memory // basins})
    return replace(
        setup, experiment=setup.experiment.model_copy(update={"execution": alone}), regional_scaling=regional_scaling
    )


def partition(sizes: Sequence[int], groups: int) -> list[list[int]]:
    """Numbers of the items of each group, so that sums are about equal; the largest first, number 0 in the first."""
    order = [0, *sorted(range(1, len(sizes)), key=lambda number: -sizes[number])]
    places, loads = [list[int]() for _ in range(groups)], [0] * groups
    for number in order:
        lightest = loads.index(min(loads))
        places[lightest].append(number)
        loads[lightest] += sizes[number]
    return [sorted(numbers, key=lambda number: -sizes[number]) for numbers in places]


def _codes(setups: Sequence[CalibrationSetup]) -> tuple[str, ...]:
    """Codes of the calibration gauges, with the name of the basin."""
    return tuple(f"{setup.experiment.name}/{code}" for setup in setups for code in setup.calibration)
