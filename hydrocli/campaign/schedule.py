"""The order in which an executor gets tasks: the longest first, as many at once as cores and memory allow."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hydrocli.campaign.worker import RunTask
from hydrocli.errors import HeldError, Stopped
from hydrocli.execution.pool import Executor, TaskResult
from hydrocli.experiment.estimate import BYTES_OF_PROCESS
from hydrocli.jit import is_warm
from hydrocli.processes import STOP_SIGNALS

PAUSE = 0.5
"""Seconds between two looks at the signals."""
HELD_TRIES, HELD_PAUSE = 20, 2.0
"""How often, and after how many seconds, a run is tried again that a killed worker may still hold."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """Memory of all running tasks [bytes], and starts of a task whose worker was killed."""

    memory: float
    attempts: int


class Queue:
    """Waiting and running tasks.

    Args:
        tasks: in any order.
        executor: carries them out.
        limits: of all of them together.
        on_result: called with each final result.
    """

    def __init__(
        self, tasks: list[RunTask], executor: Executor, limits: Limits, on_result: Callable[[TaskResult], None]
    ) -> None:
        self.waiting = sorted(tasks, key=lambda task: (-task.seconds, task.key))
        self.running: dict[str, RunTask] = {}
        self._executor, self._limits, self._on_result = executor, limits, on_result
        self._killed: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}
        self._warm: set[str] = set()

    def work(self, stop: Callable[[], bool], on_progress: OnProgress = lambda waiting, running: None) -> None:
        """Do all tasks; once `stop` is true, let the running ones save themselves and start no other.

        Args:
            stop: called now and then.
            on_progress: called now and then with the numbers of waiting and running tasks.
        """
        stopping = False
        while self.running or (self.waiting and not stopping):
            if stop() and not stopping:
                stopping = True
                self._executor.ask_to_stop()
            if not stopping:
                self._start_those_that_fit()
            on_progress(len(self.waiting), len(self.running))
            for result in self._executor.wait(PAUSE):
                self._ended(result, stopping or stop())

    def _start_those_that_fit(self) -> None:
        for task in list(self.waiting):
            if self._threads() >= self._executor.size:
                return
            if self._fits(task):
                self.waiting.remove(task)
                self.running[task.key] = task
                self._executor.submit(task)

    def _fits(self, task: RunTask) -> bool:
        if self._threads() + min(task.threads, self._executor.size) > self._executor.size:
            return False
        if self._not_before.get(task.key, 0.0) > time.monotonic():
            return False
        if self._compiles(task) and any(other.kind == task.kind for other in self.running.values()):
            return False  # two that compile the same take as long as one
        return sum(map(need, self.running.values())) + need(task) <= self._limits.memory

    def _compiles(self, task: RunTask) -> bool:
        if task.kind and task.kind not in self._warm and is_warm(task.kind):
            self._warm.add(task.kind)
        return bool(task.kind) and task.kind not in self._warm

    def _threads(self) -> int:
        return sum(min(task.threads, self._executor.size) for task in self.running.values())

    def _ended(self, result: TaskResult, stopping: bool) -> None:
        task = self.running.pop(result.key)
        # A signal to all processes may come to a worker first: it has stopped, and this process hears of it next.
        asked = result.status == Stopped.exit_status or -result.status in STOP_SIGNALS
        if result.status < 0 or asked:
            self._killed[task.key] += 1
            reason = result.reason or f"its worker was ended {_by(result.status)}"
            if stopping or (asked and self._killed[task.key] >= self._limits.attempts):
                result = replace(result, status=Stopped.exit_status, reason=reason)
            elif self._killed[task.key] < self._limits.attempts:
                self.waiting.insert(0, task)
                return
            else:
                times = f", {self._killed[task.key]} times" if self._killed[task.key] > 1 else ""
                result = replace(result, reason=f"{reason}{times}{_remedy(result.status)}")
        held_by_the_dead = result.status == HeldError.exit_status and self._killed[task.key]
        if held_by_the_dead and not stopping and self._held[task.key] < HELD_TRIES:
            self._held[task.key] += 1
            self._not_before[task.key] = time.monotonic() + HELD_PAUSE
            self.waiting.append(task)
            return
        if result.status == 0:
            self._warm.add(task.kind)
        self._on_result(result)


def need(task: RunTask) -> float:
    """Memory of a task with its process [bytes]."""
    return task.bytes + BYTES_OF_PROCESS


def _by(status: int) -> str:
    if status <= -256:
        return f"with the status {-256 - status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by the signal {-status}"


def _remedy(status: int) -> str:
    killed = status == -signal.SIGKILL
    return ": did the machine run out of memory? A lower execution.memory of the runs, or fewer workers, help" * killed
