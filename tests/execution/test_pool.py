"""Workers of this machine: answers, deaths and endings, with services that compute next to nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hydrocli.errors import InputError
from hydrocli.execution.pool import (
    ProcessExecutor,
    ProcessWorker,
    RemoteWorker,
    TaskResult,
    WorkerLost,
    WorkerPool,
    executor_of,
)


@dataclass
class Echo:
    """Answers with the request and its own number of answers so far; some words it takes for orders."""

    ignores_signals: bool = False
    count: int = 0
    is_spent: bool = False

    def session(self) -> AbstractContextManager[object]:
        return nullcontext()

    def handle(self, request: Any) -> Any:
        self.count += 1
        if request == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if request == "leave":
            os._exit(7)
        if request == "sleep":
            time.sleep(60)
        if request == "refuse":
            return InputError("here", "refused")
        return request, self.count, os.getpid()


@dataclass(frozen=True)
class Job:
    key: str
    order: str = ""


class Jobs(Echo):
    """The same for an executor."""

    def handle(self, request: Any) -> Any:
        super().handle(request.order)
        self.is_spent = request.order == "spend"
        return TaskResult(request.key, 0, str(os.getpid()))


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services are pickled by name: workers must find this module."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(2, Jobs())
    yield executor
    executor.close()


def results(executor: ProcessExecutor, count: int) -> dict[str, TaskResult]:
    found: dict[str, TaskResult] = {}
    until = time.monotonic() + 60
    while len(found) < count and time.monotonic() < until:
        found |= {result.key: result for result in executor.wait(0.5)}
    return found


def test_a_death_is_told_of_its_task_only(executor: ProcessExecutor) -> None:
    executor.submit(Job("a", "die"))
    executor.submit(Job("b"))
    found = results(executor, 2)
    assert (found["a"].status, found["b"].status) == (-signal.SIGKILL, 0)
    executor.submit(Job("c", "leave"))
    assert results(executor, 1)["c"].status == -256 - 7


def test_an_idle_worker_is_used_again_unless_it_is_spent(executor: ProcessExecutor) -> None:
    processes = []
    for key, order in (("a", ""), ("b", "spend"), ("c", "")):
        executor.submit(Job(key, order))
        processes.append(results(executor, 1)[key].reason)
        if order == "spend":
            executor.wait(1.0)  # its process ends
    assert processes[0] == processes[1] != processes[2]


def test_asked_to_stop_a_worker_ends_unless_it_ignores_signals() -> None:
    for ignores in (False, True):
        worker = ProcessWorker(Echo(ignores))
        worker.send("first")
        worker.receive()
        worker.send("sleep")
        worker.ask_to_stop()
        if ignores:
            assert not worker.connection.poll(0.3)
            worker.shutdown()  # and yet it does not outlive the connection
            assert not worker.is_alive
        else:
            with pytest.raises(WorkerLost) as lost:
                worker.receive()
            assert lost.value.status == -signal.SIGTERM


def test_all_services_of_a_pool_are_asked_and_keep_their_state() -> None:
    executor = executor_of("none", 2)
    workers: list[RemoteWorker] = executor.start_workers([Echo(), Echo()])
    pool = WorkerPool(Echo().handle, workers)
    try:
        for count in (1, 2):
            answers = pool.call_all(["x", "y", "z"])
            assert [(request, number) for request, number, _ in answers] == [("x", count), ("y", count), ("z", count)]
            assert len({process for *_, process in answers}) == 3
        with pytest.raises(InputError):
            pool.call_all(["x", "refuse", "z"])
        assert [number for _, number, _ in pool.call_all(["x", "y", "z"])] == [4, 4, 4]  # no answer of before
        with pytest.raises(WorkerLost) as lost:
            pool.call_all(["x", "y", "die"])
        assert (lost.value.status, lost.value.number) == (-signal.SIGKILL, 2)
    finally:
        pool.close()
