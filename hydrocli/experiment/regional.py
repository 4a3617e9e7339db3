"""Several basins under one control vector: what `BasinCalibration` is for one basin, for all of them.

The cost is the mean over all gauges of all basins: that of a basin counts by its number of calibration gauges. All that
the basins have in common is settled first: the range of each descriptor and the scale of the network's inputs are those
of all basins together.

A basin's forcing and states stay where they are computed, by a thread of this process or of a worker; only control
vectors go there, and costs, gradients and scores come back. They are summed in the order of the basins: neither threads
nor processes change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli import jit
from hydrocli.arrays import Floats
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.config import Experiment, numbers_hash, resolved
from hydrocli.engine.control import Control
from hydrocli.errors import ConfigurationError, Stopped
from hydrocli.execution.pool import RemoteWorker, WorkerLost, WorkerPool, executor_of
from hydrocli.experiment.baseline import BaselineCalibration
from hydrocli.experiment.inputs import fingerprints
from hydrocli.experiment.setup import CalibrationSetup, RegionalScaling, all_ingested
from hydrocli.experiment.simulation import final_simulation, unsolved
from hydrocli.experiment.stages import BasinCalibration
from hydrocli.results.folder import CONFIG, RunFolder
from hydrocli.results.write import write_text

Answer = tuple[Any, Any, Floats]
"""Of a basin: cost and gradient [m], or costs [k] and nothing; scores of its gauges [g]."""
Part = tuple[float, Floats]
Request = tuple[str, tuple[Any, ...]]
"""Name of a method of a group, and its arguments."""


class Group:
    """Basins that one process computes, each by one of its threads.

    Args:
        calibrations: of each basin; those that take longest should come first.
        threads: how many are computed at once.
    """

    def __init__(self, calibrations: Sequence[BasinCalibration], threads: int) -> None:
        self.calibrations = calibrations
        self._problems: list[Problem] = []
        threads = min(threads, len(calibrations))
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def handle(self, request: Request) -> Any:
        """What a method returns."""
        method, arguments = request
        return getattr(self, method)(*arguments)

    def begin(self, stage: int, results: Sequence[StageResult]) -> list[tuple[Floats, Floats]]:
        """Enter a stage; the bounds of the controls of each basin."""
        self._problems = [calibration.stages[stage].problem(results) for calibration in self.calibrations]
        return [(problem.lower, problem.upper) for problem in self._problems]

    def gradients(self, x: Floats) -> list[Answer]:
        """Cost, gradient and scores of each basin."""

        def one(number: int) -> Answer:
            return *self._problems[number].value_and_gradient(x), self.calibrations[number].scores

        return self._each(one)

    def curvatures(self, x: Floats) -> list[tuple[float, Floats, Floats, Floats]]:
        """Cost, gradient, Hessian and scores of each basin."""

        def one(number: int) -> tuple[float, Floats, Floats, Floats]:
            curvature = self._problems[number].curvature
            assert curvature is not None
            return *curvature(x), self.calibrations[number].scores

        return self._each(one)

    def values(self, points: Floats) -> list[Answer]:
        """Costs [k] and scores of each basin at points [k, m]."""

        def one(number: int) -> Answer:
            return self._problems[number].values(points), None, self.calibrations[number].scores

        return self._each(one)

    def batches(self, iteration: int, anchor: Floats, x: Floats, wanted: Sequence[bool]) -> list[Part | None]:
        """Cost and gradient of the batch of each basin that is wanted, see `Problem.batch`; whole where it has none."""

        def one(number: int) -> Part | None:
            problem = self._problems[number]
            if not wanted[number]:
                return None
            return problem.batch(iteration, anchor, x) if problem.batch else problem.value_and_gradient(x)

        return self._each(one)

    def compilation_seconds(self) -> list[float]:
        """Seconds that the process has compiled so far, for each basin."""
        return [jit.compilation_seconds()] * len(self.calibrations)

    def _each(self, one: Callable[[int], Any]) -> list[Any]:
        numbers = range(len(self._problems))
        return list(self._pool.map(one, numbers)) if self._pool else [one(number) for number in numbers]


@dataclass(frozen=True)
class GroupSpec:
    """What a process needs to compute basins: their experiments, what all share, its threads."""

    experiments: tuple[Experiment, ...]
    regional_scaling: RegionalScaling
    threads: int

    def group(self) -> Group:
        """The basins, read from their stores."""
        pairs = zip(self.experiments, all_ingested(self.experiments), strict=True)
        return Group(
            [BasinCalibration(CalibrationSetup(*pair, regional_scaling=self.regional_scaling)) for pair in pairs],
            self.threads,
        )


class GroupServer:
    """The group of a worker, read at the first request, see `hydrocli.execution.pool.Service`."""

    ignores_signals = True  # the one that asks decides when to stop
    is_spent = False

    def __init__(self, spec: GroupSpec) -> None:
        self._spec = spec
        self._group: Group | None = None

    def session(self) -> AbstractContextManager[object]:
        """Nothing to enter."""
        return nullcontext()

    def handle(self, request: Request) -> Any:
        """What a method of the group returns, or what it raises, for the one that asks to raise."""
        try:
            self._group = self._group or self._spec.group()
            return self._group.handle(request)
        except BaseException as error:
            return error


@dataclass(frozen=True)
class PerBasin:
    """An argument with one item for each basin."""

    items: Sequence[Any]


def worker_lost(basins: Sequence[str]) -> Stopped:
    """The error of a worker that has ended without an answer."""
    what = f"the worker that computes {', '.join(basins)} ended without an error message: killed, or out of memory?"
    return Stopped("regional.basins", what, "All results so far are saved. Run again to continue, with fewer workers.")


BASINS = 2
"""Stream of random numbers that draws basins; `stages.MiniBatches` has those before it."""


@contextmanager
def opened(
    setups: Sequence[CalibrationSetup],
) -> Iterator[BasinCalibration | RegionalCalibration | BaselineCalibration]:
    """The calibration of a basin, or that of several with its workers, which end with the block."""
    if len(setups) == 1:
        is_baseline = setups[0].experiment.baseline is not None
        yield BaselineCalibration(setups[0]) if is_baseline else BasinCalibration(setups[0])
        return
    calibration = RegionalCalibration(setups)
    try:
        yield calibration
    finally:
        calibration.close()


class RegionalCalibration:
    """Stages of a calibration of several basins.

    Args:
        setups: of the basin of the configuration, which lends its stages, then of the others.

    Attributes:
        setup: the first.
        codes: names of all calibration gauges.
        notes, plans, stages, scores: as `BasinCalibration` has them.
    """

    def __init__(self, setups: Sequence[CalibrationSetup]) -> None:
        regional_scaling = RegionalScaling.of(setups)
        self._setups = [_lean(setup, regional_scaling, len(setups)) for setup in setups]
        self.setup = self._setups[0]
        self._own = BasinCalibration(self._setups[0])
        self._groups, self._pool = self._start(setups[0].experiment, regional_scaling)
        gauges = np.array([len(setup.series) for setup in setups], np.float64)
        self._shares = gauges / gauges.sum()
        self.codes, self.notes, self.plans = _codes(setups), self._own.notes, self._own.plans
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
            groups = [[], *groups]  # the node of this process may not be one to compute on
        specs = [
            GroupSpec(tuple(self._setups[i].experiment for i in numbers), regional_scaling, threads)
            for numbers in groups[1:]
        ]
        here = Group([BasinCalibration(self._setups[number]) if number else self._own for number in groups[0]], threads)
        try:
            workers: list[RemoteWorker] = executor.start_workers([GroupServer(spec) for spec in specs])
        except WorkerLost as lost:
            raise worker_lost([setup.experiment.name for setup in self._setups]) from lost
        return groups, WorkerPool(here.handle, workers)

    def compilation_seconds(self) -> list[float]:
        """Seconds that the process of each basin has compiled so far."""
        return self._call_all("compilation_seconds")

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
            raise worker_lost([self._setups[i].experiment.name for i in sorted(self._groups[lost.number])]) from lost
        by_number = {
            number: one
            for numbers, answer in zip(self._groups, answers, strict=True)
            for number, one in zip(numbers, answer, strict=True)
        }
        return [by_number[number] for number in sorted(by_number)]

    def control(self, results: Sequence[StageResult]) -> Control:
        """As `BasinCalibration.control`; names of controls are those of the first basin."""
        return self._own.control(results)

    def found(self, results: Sequence[StageResult]) -> tuple[Any, ...]:
        """As `BasinCalibration.found`, of the first basin."""
        return self._own.found(results)

    def uniform_start(self, results: Sequence[StageResult]) -> dict[str, float]:
        """As `BasinCalibration.uniform_start`; the values are those of all basins."""
        return self._own.uniform_start(results)

    def others(self, results: Sequence[StageResult]) -> Iterator[tuple[CalibrationSetup, tuple[Any, ...]]]:
        """Each further basin, and what was found for it."""
        for setup in self._setups[1:]:
            yield setup, BasinCalibration(setup).found(results)

    def _problem(
        self, number: int, own: Callable[[Sequence[StageResult]], Problem], results: Sequence[StageResult]
    ) -> Problem:
        problem = own(results)
        for setup, bounds in zip(self._setups, self._call_all("begin", number, list(results)), strict=True):
            if not all(map(np.array_equal, bounds, (problem.lower, problem.upper))):
                what = f"the controls of {setup.experiment.name} are not those of {self.setup.experiment.name}"
                raise ConfigurationError("regional.basins", what, "Calibrate the same levels in `initial` of both.")
        return replace(
            problem,
            value_and_gradient=self._value_and_gradient,
            values=self._values,
            batch=self._batches(number),
            curvature=self._curvature,
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

    def _curvature(self, x: Floats) -> tuple[float, Floats, Floats]:
        cost, gradient, hessian = 0.0, np.zeros(x.size), np.zeros((x.size, x.size))
        answers = self._call_all("curvatures", x)
        for share, (value, slope, curved, _) in zip(self._shares, answers, strict=True):
            cost, gradient, hessian = cost + share * value, gradient + share * slope, hessian + share * curved
        self.scores = np.concatenate([scores for *_, scores in answers])
        return float(cost), gradient, hessian

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
    for setup, (maps, network, model) in calibration.others(results):
        member = setup.experiment
        with RunFolder.open(Path(member.folder), member.name) as folder:
            inputs = {"basin": setup.basin.fingerprint} | fingerprints(member, {member.name: setup.calibration})
            folder.start(identity=numbers_hash(member), seed=member.seed, inputs=inputs)
            write_text(folder.path / CONFIG, resolved(member))
            own = final_simulation(folder, setup, maps, network, model, first_guess=calibration.uniform_start(results))
            with_whom = calibration.setup.experiment.name
            folder.finish(
                f"Calibrated together with {with_whom}, whose folder has the convergence table.{unsolved(folder)}"
            )
        scores |= {f"{member.name}/{code}": score for code, score in own.items()}
    return scores


def _lean(setup: CalibrationSetup, regional_scaling: RegionalScaling, basins: int) -> CalibrationSetup:
    """The setup with what all share; the threads are those of the region, the memory is for all basins together."""
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
    """Codes of the series that calibrate, with the name of the basin."""
    return tuple(f"{setup.experiment.name}/{code}" for setup in setups for code in setup.series)
