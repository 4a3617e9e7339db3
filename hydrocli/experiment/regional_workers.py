"""Who computes the basins of a regional calibration: threads of this process, and others that keep their basins.

A basin's forcing and states stay where they are computed; only control vectors go there, and costs, gradients and
scores come back. Every answer belongs to one basin, and whoever sums them does so in the order of the basins: neither
threads nor processes change a bit. The others are processes of this machine, or workers of Dask, see `dask_seats`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Protocol

from hydrocli.arrays import Floats
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.config import Experiment
from hydrocli.errors import HydrocliError, Stopped
from hydrocli.experiment.setup import Case, Shared, all_ingested
from hydrocli.experiment.stages import Training

Answer = tuple[Any, Any, Floats]
"""Of a basin: cost and gradient [m], or costs [k] and nothing; scores of its gauges [g]."""
Part = tuple[float, Floats]


class Group:
    """Basins that one process computes, each by one of its threads.

    Args:
        trainings: of each basin; those that take longest should come first.
        threads: how many are computed at once.
    """

    def __init__(self, trainings: Sequence[Training], threads: int) -> None:
        self.trainings = trainings
        self._problems: list[Problem] = []
        self._pool = ThreadPoolExecutor(min(threads, len(trainings))) if threads > 1 and len(trainings) > 1 else None

    def begin(self, stage: int, results: Sequence[StageResult]) -> list[tuple[Floats, Floats]]:
        """Enter a stage; the bounds of the controls of each basin."""
        self._problems = [training.stages[stage].problem(results) for training in self.trainings]
        return [(problem.lower, problem.upper) for problem in self._problems]

    def gradients(self, x: Floats) -> list[Answer]:
        """Cost, gradient and scores of each basin."""

        def one(number: int) -> Answer:
            return *self._problems[number].value_and_gradient(x), self.trainings[number].scores

        return self._each(one)

    def values(self, points: Floats) -> list[Answer]:
        """Costs [k] and scores of each basin at points [k, m]."""

        def one(number: int) -> Answer:
            return self._problems[number].values(points), None, self.trainings[number].scores

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
class Seat:
    """What a process needs to compute basins: their experiments, what all share, its threads."""

    experiments: tuple[Experiment, ...]
    shared: Shared
    threads: int

    def group(self) -> Group:
        """The basins, read from their stores."""
        basins = all_ingested(self.experiments)
        pairs = zip(self.experiments, basins, strict=True)
        return Group([Training(Case(*pair, shared=self.shared)) for pair in pairs], self.threads)


class Host:
    """The group of a seat where it is computed, read at the first question."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._group: Group | None = None

    def answer(self, what: str, arguments: tuple[Any, ...]) -> Any:
        """What a method of the group returns, or what it raises, for the one that asks to raise."""
        try:
            self._group = self._group or self._seat.group()
            return getattr(self._group, what)(*arguments)
        except BaseException as error:
            return error


class Other(Protocol):
    """A host elsewhere: a process, or a worker of Dask."""

    def send(self, what: str, arguments: tuple[Any, ...]) -> None:
        """Ask; Stopped where it is gone."""
        ...

    def receive(self) -> Any:
        """The answer to what was asked last; Stopped where it is gone."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class Child:
    """A process of this machine."""

    def __init__(self, seat: Seat) -> None:
        context = get_context("spawn")  # a fork would take locks and threads of compiled code along
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, seat), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, what: str, arguments: tuple[Any, ...]) -> None:
        """See `Other`."""
        try:
            self._pipe.send((what, arguments))
        except OSError as error:
            raise gone() from error

    def receive(self) -> Any:
        """See `Other`."""
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise gone() from error

    def close(self) -> None:
        """See `Other`."""
        self._pipe.close()  # which it takes for a goodbye
        self._process.join()


class Crew:
    """A group in this process and one in each of some others, asked together.

    Args:
        here: the basins of this process.
        others: who has the other basins.
        places: for every group, its own first, the numbers of its basins.
    """

    def __init__(self, here: Group, others: Sequence[Other], places: Sequence[Sequence[int]]) -> None:
        self._here, self._others, self._places = here, others, places

    def close(self) -> None:
        """Let the others go."""
        for other in self._others:
            other.close()

    def ask(self, what: str, *arguments: Any) -> list[Any]:
        """Answers of all basins, by number, to a method of `Group`; an argument that is a `Dealt` is shared out.

        Raises:
            HydrocliError: as a basin raised it, the first in the order of the groups.
            Stopped: one of the others has ended without a word.
        """
        for number, other in enumerate(self._others, start=1):
            other.send(what, self._of(number, arguments))
        try:
            answers: list[Any] = [getattr(self._here, what)(*self._of(0, arguments))]
        except HydrocliError as error:
            answers = [error]
        answers += [other.receive() for other in self._others]  # all, or the next question would get old answers
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        by_number = {
            number: one
            for places, answer in zip(self._places, answers, strict=True)
            for number, one in zip(places, answer, strict=True)
        }
        return [by_number[number] for number in sorted(by_number)]

    def _of(self, group: int, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        places = self._places[group]
        return tuple([a.items[i] for i in places] if isinstance(a, Dealt) else a for a in arguments)


@dataclass(frozen=True)
class Dealt:
    """An argument with one item for each basin."""

    items: Sequence[Any]


def gone() -> Stopped:
    """What is said of one that has ended."""
    what = "a process that computes basins has ended without a word: killed, or out of memory?"
    return Stopped("regional.basins", what, "Everything so far is saved: run again to continue, with fewer workers.")


def _serve(pipe: Connection, seat: Seat) -> None:
    """Answer questions until the other end of the pipe is closed, or its process gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the one that asks decides when to stop
    host = Host(seat)
    while True:
        try:
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        pipe.send(host.answer(what, arguments))
