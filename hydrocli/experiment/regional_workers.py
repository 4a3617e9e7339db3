"""The basins of a regional calibration as one process computes them, each by one of its threads.

A basin's forcing and states stay where they are computed; only control vectors go there, and costs, gradients and
scores come back. Every answer belongs to one basin, and whoever sums them does so in the order of the basins: neither
threads nor processes change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from hydrocli.arrays import Floats
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.config import Experiment
from hydrocli.errors import Stopped
from hydrocli.experiment.setup import CalibrationSetup, RegionalScaling, all_ingested
from hydrocli.experiment.stages import StagePlan

Answer = tuple[Any, Any, Floats]
"""Of a basin: cost and gradient [m], or costs [k] and nothing; scores of its gauges [g]."""
Part = tuple[float, Floats]
Request = tuple[str, tuple[Any, ...]]
"""Name of a method of a group, and its arguments."""


class Group:
    """Basins that one process computes, each by one of its threads.

    Args:
        trainings: of each basin; those that take longest should come first.
        threads: how many are computed at once.
    """

    def __init__(self, plans: Sequence[StagePlan], threads: int) -> None:
        self.plans = plans
        self._problems: list[Problem] = []
        self._pool = ThreadPoolExecutor(min(threads, len(plans))) if threads > 1 and len(plans) > 1 else None

    def handle(self, request: Request) -> Any:
        """What a method returns."""
        method, arguments = request
        return getattr(self, method)(*arguments)

    def begin(self, stage: int, results: Sequence[StageResult]) -> list[tuple[Floats, Floats]]:
        """Enter a stage; the bounds of the controls of each basin."""
        self._problems = [plan.stages[stage].problem(results) for plan in self.plans]
        return [(problem.lower, problem.upper) for problem in self._problems]

    def gradients(self, x: Floats) -> list[Answer]:
        """Cost, gradient and scores of each basin."""

        def one(number: int) -> Answer:
            return *self._problems[number].value_and_gradient(x), self.plans[number].scores

        return self._each(one)

    def values(self, points: Floats) -> list[Answer]:
        """Costs [k] and scores of each basin at points [k, m]."""

        def one(number: int) -> Answer:
            return self._problems[number].values(points), None, self.plans[number].scores

        return self._each(one)

    def batches(self, iteration: int, anchor: Floats, x: Floats, wanted: Sequence[bool]) -> list[Part | None]:
        """Cost and gradient of the batch of each basin that is wanted, see `Problem.batch`; whole where it has none."""

        def one(number: int) -> Part | None:
            problem = self._problems[number]
            if not wanted[number]:
                return None
            return problem.batch(iteration, anchor, x) if problem.batch else problem.value_and_gradient(x)

        return self._each(one)

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
            [StagePlan(CalibrationSetup(*pair, regional_scaling=self.regional_scaling)) for pair in pairs], self.threads
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


def worker_lost() -> Stopped:
    """What is said of a worker that has ended without an answer."""
    what = "a process that computes basins ended without an error message: killed, or out of memory?"
    return Stopped("regional.basins", what, "All results so far are saved. Run again to continue, with fewer workers.")
