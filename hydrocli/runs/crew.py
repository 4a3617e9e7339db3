"""Who computes the basins of a regional calibration: threads of this process, and processes that keep their basins.

A basin's forcing and states stay where they are computed; only control vectors go there, and costs, gradients and
scores come back. Every answer belongs to one basin, and whoever sums them does so in the order of the basins: neither
threads nor processes change a bit.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.calibration.history import Ending
from hydrocli.calibration.problem import Problem
from hydrocli.config import Experiment
from hydrocli.errors import HydrocliError, Stopped
from hydrocli.runs.build import Case, Shared, all_ingested
from hydrocli.runs.progress import Console
from hydrocli.runs.training import Training

Floats = NDArray[np.float64]
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

    def begin(self, stage: int, endings: Sequence[Ending]) -> list[tuple[Floats, Floats]]:
        """Enter a stage; the bounds of the controls of each basin."""
        self._problems = [training.stages[stage].problem(endings) for training in self.trainings]
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
        basins = all_ingested(self.experiments, Console(quiet=True))
        pairs = zip(self.experiments, basins, strict=True)
        return Group([Training(Case(*pair, shared=self.shared)) for pair in pairs], self.threads)


class Crew:
    """A group in this process and one in each of some others, asked together.

    Args:
        here: the basins of this process.
        seats: of each other process.
        places: for every group, its own first, the numbers of its basins.
    """

    def __init__(self, here: Group, seats: Sequence[Seat], places: Sequence[Sequence[int]]) -> None:
        self._here, self._places = here, places
        self._pipes, self._processes = list[Connection](), []
        context = get_context("spawn")  # a fork would take locks and threads of compiled code along
        for seat in seats:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, seat), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def close(self) -> None:
        """End the other processes."""
        for pipe in self._pipes:
            pipe.close()  # which they take for a goodbye
        for process in self._processes:
            process.join()

    def ask(self, what: str, *arguments: Any) -> list[Any]:
        """Answers of all basins, by number, to a method of `Group`; an argument that is a `Dealt` is shared out.

        Raises:
            HydrocliError: as a basin raised it, the first in the order of the groups.
            Stopped: a process has ended without a word.
        """
        for number, pipe in enumerate(self._pipes, start=1):
            _send(pipe, (what, self._of(number, arguments)))
        try:
            answers: list[Any] = [getattr(self._here, what)(*self._of(0, arguments))]
        except HydrocliError as error:
            answers = [error]
        answers += [_receive(pipe) for pipe in self._pipes]  # all, or the next question would get old answers
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


def _send(pipe: Connection, question: Any) -> None:
    try:
        pipe.send(question)
    except OSError as error:
        raise _gone() from error


def _receive(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError) as error:
        raise _gone() from error


def _gone() -> Stopped:
    what = "a process that computes basins has ended without a word: killed, or out of memory?"
    return Stopped("regional.basins", what, "Everything so far is saved: run again to continue, with fewer workers.")


def _serve(pipe: Connection, seat: Seat) -> None:
    """Answer questions until the other end of the pipe is closed, or its process gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the one that asks decides when to stop
    group: Group | None = None
    while True:
        try:
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        try:
            group = group or seat.group()
            answer: Any = getattr(group, what)(*arguments)
        except BaseException as error:  # the other side raises it
            answer = error
        pipe.send(answer)
