"""Workers that compute elsewhere, one interface over both: processes of this machine, or workers of Dask.

A worker hosts a service, an object that was pickled there and answers requests one after the other. There are two ways
to use workers:

* an `Executor` gives tasks to whoever is idle; how each has ended comes back by its key, also where its worker died;
* a `WorkerPool` has workers that each keep a service of their own, and asks all of them at once.

A process of this machine is started anew, not forked (threads of a library do not survive a fork), and in a session of
its own: Ctrl-C is for its parent to hand on. See `hydrocli.execution.worker` for its side of the connection.

A task of Dask does not compute in the process of Dask itself: each thread of a Dask worker keeps one such process and
hands tasks on to it. So a task is stopped, killed and continued there as without Dask, with the same bits, and what
happens to Dask does not happen to it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import wait as wait_for
from typing import TYPE_CHECKING, Any, Protocol

from hydrocli.errors import ConfigurationError, HydrocliError, Stopped
from hydrocli.processes import signals_held_back

if TYPE_CHECKING:
    from distributed import Client, Future

INSTALL = 'Install it: pip install "hydrocli[cluster]".'
WHERE = "execution.cluster"
PATIENCE = 10.0
"""Seconds that an idle process has to end."""
ANSWERING, STARTING = 30.0, 300.0
"""Seconds that a scheduler of Dask has to answer, and its workers to import hydrocli, from a slow network say."""
BETWEEN_LOOKS = 1.0
"""Seconds between two questions which workers of Dask there are."""
THREADED = ("OPENBLAS", "MKL", "OMP", "BLIS", "NUMBA")
"""Libraries that take threads of their own."""


class Service(Protocol):
    """What a worker hosts; it is pickled to get there."""

    ignores_signals: bool
    """Whether SIGTERM does nothing, as the parent decides when to stop; otherwise it asks the request to end early."""

    @property
    def is_spent(self) -> bool:
        """Whether its process should end after the last answer, as nobody knows what that has left behind."""
        ...

    def session(self) -> AbstractContextManager[object]:
        """A context that a process enters before the first request and leaves after the last."""
        ...

    def handle(self, request: Any) -> Any:
        """The answer to a request; what is wrong with the request is part of the answer."""
        ...


class Task(Protocol):
    """A request that an `Executor` gives to any of its workers."""

    @property
    def key(self) -> str:
        """Name of the task."""
        ...


@dataclass(frozen=True)
class TaskResult:
    """How a task ended.

    Attributes:
        key: of the task.
        status: as the exit status of a command; negative: the number of the signal that killed the worker, or
            -256 less the exit status of a worker that ended by itself.
        reason: a sentence, empty where all is done.
        seconds: that it took.
        peak: largest memory of the worker so far [bytes].
    """

    key: str
    status: int
    reason: str = ""
    seconds: float = 0.0
    peak: float = 0.0


class WorkerLost(Exception):  # noqa: N818 - what happened, not a fault of this process
    """A worker has ended without an answer.

    Attributes:
        status: see `TaskResult`.
        number: of its service in a `WorkerPool`; 0, that of the asking process, where it is not known.
    """

    def __init__(self, status: int, number: int = 0) -> None:
        super().__init__(status, number)
        self.status, self.number = status, number

    def __str__(self) -> str:
        return f"a worker has ended with the status {self.status}"


class RemoteWorker(Protocol):
    """A worker that keeps a service; at most one request is under way."""

    def send(self, request: Any) -> None:
        """Ask; a worker that has ended shows when its answer is received."""
        ...

    def receive(self) -> Any:
        """The answer to the last request.

        Raises:
            WorkerLost: it has ended without one.
        """
        ...

    def shutdown(self) -> None:
        """Let it end."""
        ...


class Executor(Protocol):
    """Whoever has workers: this machine, or Dask."""

    @property
    def size(self) -> int:
        """How many tasks of one thread can go on at once; may change."""
        ...

    @property
    def n_workers(self) -> int:
        """How many workers can keep a service."""
        ...

    def submit(self, task: Task) -> None:
        """Begin a task; to be called only while there is room."""
        ...

    def wait(self, seconds: float) -> list[TaskResult]:
        """Tasks that have ended, as soon as one has; none after so many seconds."""
        ...

    def ask_to_stop(self) -> None:
        """Ask the services to end their tasks early."""
        ...

    def start_workers(self, services: Sequence[Service]) -> list[RemoteWorker]:
        """A worker for each service, at most `n_workers` of them."""
        ...

    def close(self) -> None:
        """Let all workers end."""
        ...


def executor_of(
    cluster: str, workers: int, service: Service | None = None, start: Callable[[], Any] | None = None
) -> Executor:
    """The executor of a configuration.

    Args:
        cluster: `none`: processes of this machine; `local`: Dask on this machine; or the address of a scheduler.
        workers: processes on this machine.
        service: what carries out tasks.
        start: starts a cluster of Dask that is neither local nor there already.

    Raises:
        ConfigurationError: Dask is not installed, or no scheduler answers.
    """
    return ProcessExecutor(workers, service) if cluster == "none" else DaskExecutor(cluster, workers, service, start)


class WorkerPool:
    """A service in this process and one in each of some workers, asked together.

    Args:
        here: `handle` of the service of this process.
        workers: those of the others.
    """

    def __init__(self, here: Callable[[Any], Any], workers: Sequence[RemoteWorker]) -> None:
        self._here, self._workers = here, workers

    def call_all(self, requests: Sequence[Any]) -> list[Any]:
        """Answers to one request for each service, that of this process first.

        Raises:
            WorkerLost: a worker has ended without an answer.
            BaseException: an answer that is one; the first of both, once all have answered or ended.
        """
        own, *others = requests
        for worker, request in zip(self._workers, others, strict=True):
            worker.send(request)
        try:
            answers: list[Any] = [self._here(own)]
        except HydrocliError as error:
            answers = [error]
        for number, worker in enumerate(self._workers, start=1):  # all, or the next request would get old answers
            try:
                answers.append(worker.receive())
            except WorkerLost as lost:
                answers.append(WorkerLost(lost.status, number))
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    def close(self) -> None:
        """Let the workers end."""
        for worker in self._workers:
            worker.shutdown()


class ProcessWorker:
    """A process of this machine, see `RemoteWorker`."""

    def __init__(self, service: Service) -> None:
        self.connection, theirs = Pipe()
        with (
            signals_held_back()
        ):  # until the worker has said what signals mean to it; before, they would end it with a traceback
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hydrocli.execution.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # whatever a library prints must not mix with the results of a command
                pass_fds=[theirs.fileno()],
                env=dict(os.environ) | {f"{name}_NUM_THREADS": "1" for name in THREADED},  # workers share the cores
                start_new_session=True,
            )
        theirs.close()
        self.send(service)

    def send(self, request: Any) -> None:
        """See `RemoteWorker`."""
        self.send_bytes(pickle.dumps(request))

    def send_bytes(self, request: bytes) -> None:
        """Ask with a pickled request."""
        self._asked_to_stop = False
        with contextlib.suppress(OSError):  # it has just died, which `receive` reports
            self.connection.send_bytes(request)

    def receive(self) -> Any:
        """See `RemoteWorker`."""
        return pickle.loads(self.receive_bytes())

    def receive_bytes(self) -> bytes:
        """The pickled answer to the last request.

        Raises:
            WorkerLost: it has ended without one.
        """
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            status = self.process.wait()
            raise WorkerLost(status if status < 0 else -256 - status) from None

    @property
    def is_alive(self) -> bool:
        """Whether its process goes on."""
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once for a request, which its service may take as a wish to end the request early."""
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self.process.terminate()

    def shutdown(self) -> None:
        """See `RemoteWorker`: it ends when its connection does; one that does not is killed."""
        self.connection.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(eq=False)
class _Slot:
    """A process and what it does, if anything."""

    worker: ProcessWorker
    task: Task | None = None
    began: float = 0.0

    def begin(self, task: Task) -> None:
        self.task, self.began = task, time.perf_counter()
        self.worker.send(task)

    def result(self) -> TaskResult | None:
        """What it answers, to be called when there is something; None from one that has ended in idleness."""
        task, self.task = self.task, None
        try:
            return self.worker.receive()
        except WorkerLost as lost:
            return TaskResult(task.key, lost.status, "", time.perf_counter() - self.began) if task else None


@dataclass
class ProcessExecutor:
    """Processes of this machine, see `Executor`; only as many are started as are needed.

    A process that is killed takes nothing with it but its task; a new one takes its place.
    """

    size: int
    service: Service | None = None
    _slots: list[_Slot] = field(default_factory=list)

    @property
    def n_workers(self) -> int:
        """See `Executor`."""
        return self.size

    def submit(self, task: Task) -> None:
        """See `Executor`."""
        assert self.service is not None
        idle = next((slot for slot in self._slots if slot.task is None and slot.worker.is_alive), None)
        if idle is None:
            idle = _Slot(ProcessWorker(self.service))
            self._slots.append(idle)
        idle.begin(task)

    def wait(self, seconds: float) -> list[TaskResult]:
        """See `Executor`."""
        ready = wait_for([slot.worker.connection for slot in self._slots], seconds)
        results = [slot.result() for slot in self._slots if slot.worker.connection in ready]
        for slot in [slot for slot in self._slots if slot.task is None and not slot.worker.is_alive]:
            slot.worker.shutdown()
            self._slots.remove(slot)
        return [result for result in results if result is not None]

    def ask_to_stop(self) -> None:
        """See `Executor`."""
        for slot in self._slots:
            if slot.task is not None:
                slot.worker.ask_to_stop()

    def start_workers(self, services: Sequence[Service]) -> list[RemoteWorker]:
        """See `Executor`."""
        return [ProcessWorker(service) for service in services]

    def close(self) -> None:
        """See `Executor`."""
        self.ask_to_stop()
        for slot in self._slots:
            slot.worker.shutdown()
        self._slots.clear()


class DaskExecutor:
    """Workers of Dask, see `Executor`: on this machine, of a cluster that `start` gives, or of a scheduler that runs.

    Args:
        cluster: `local`, what `start` starts, or the address of a scheduler.
        workers: processes of a cluster on this machine.
        service: what carries out tasks.
        start: starts a cluster that is neither local nor there already.

    Raises:
        ConfigurationError: Dask is not installed, or no scheduler answers.
    """

    def __init__(
        self, cluster: str, workers: int, service: Service | None = None, start: Callable[[], Any] | None = None
    ) -> None:
        start = partial(_local_cluster, workers) if cluster == "local" else start
        self._kind, self._service = cluster, service
        self.client, self._cluster = _connected(cluster, start or (lambda: None))
        self._futures: dict[str, tuple[Future[Any], float]] = {}
        self._size, self._asked = 0, -BETWEEN_LOOKS

    @property
    def size(self) -> int:
        """See `Executor`; workers come and go."""
        if time.monotonic() - self._asked >= BETWEEN_LOOKS:
            self._require_scheduler()
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
            self._size, self._asked = sum(worker["nthreads"] for worker in workers), time.monotonic()
        return self._size

    @property
    def n_workers(self) -> int:
        """See `Executor`; waits for the first.

        Raises:
            ConfigurationError: there is none.
        """
        return len(self._addresses())

    def _addresses(self) -> list[str]:
        try:
            self.client.wait_for_workers(1, timeout=ANSWERING)
        except OSError as error:
            self.close()
            what = f"the scheduler at {self._kind} has no workers"
            raise ConfigurationError(WHERE, what, "Start workers with `dask worker`.") from error
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, task: Task) -> None:
        """See `Executor`."""
        name = f"{task.key}-{uuid.uuid4().hex}"
        # Bytes, which the scheduler hands on as they are: it needs not import what is in them.
        content = pickle.dumps((self._service, task))
        future = self.client.submit(_host, content, key=name, pure=False, retries=0)
        self._futures[task.key] = future, time.perf_counter()

    def wait(self, seconds: float) -> list[TaskResult]:
        """See `Executor`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not any(future.done() for future, _ in self._futures.values()):
            time.sleep(0.02)
        self._require_scheduler()
        done = [key for key, (future, _) in self._futures.items() if future.done()]
        return [self._result(key, *self._futures.pop(key)) for key in done]

    def ask_to_stop(self) -> None:
        """See `Executor`."""
        with contextlib.suppress(OSError):
            self.client.run(_stop_hosted, on_error="ignore")

    def start_workers(self, services: Sequence[Service]) -> list[RemoteWorker]:
        """See `Executor`; a service is kept by a process of the Dask worker, behind an actor.

        Raises:
            ConfigurationError: a worker cannot: it has another version of hydrocli, say.
            WorkerLost: a worker has ended.
        """
        addresses = self._addresses()
        futures = [
            self.client.submit(_Actor, service, actor=True, workers=[address], pure=False, retries=0)
            for service, address in zip(services, addresses, strict=False)
        ]
        try:
            return [DaskWorker(self, future, future.result(timeout=STARTING)) for future in futures]
        except OSError as error:  # TimeoutError is one
            self.close()
            raise WorkerLost(-signal.SIGKILL) from error
        except Exception as error:
            self.close()
            what = f"a Dask worker cannot start: {type(error).__name__}: {error}"
            remedy = "Scheduler and workers must use the same versions of Python and hydrocli as this process."
            raise ConfigurationError(WHERE, what, remedy) from error

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler answers."""
        return bool(self.client.status == "running")

    def close(self) -> None:
        """See `Executor`; a scheduler that ran before goes on."""
        if self._service is not None:
            with contextlib.suppress(Exception):  # parts that have ended already
                self.client.run(_shutdown_hosted, on_error="ignore")
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # it reports lost connections at length
        for part in (self.client, self._cluster):
            if part is not None:
                with contextlib.suppress(Exception):
                    part.close(timeout=ANSWERING)

    def _require_scheduler(self) -> None:
        if not self.is_alive:
            what = "the Dask scheduler does not respond any more; its tasks save their state"
            raise Stopped(WHERE, what, "Run again to continue.")

    def _result(self, key: str, future: Future[Any], began: float) -> TaskResult:
        if future.status == "finished":
            return pickle.loads(future.result())
        self._require_scheduler()
        error = None if future.status == "cancelled" else future.exception()
        seconds = time.perf_counter() - began
        if error is None or type(error).__name__ == "KilledWorker":  # it died with its node, say
            return TaskResult(key, -signal.SIGKILL, "", seconds)
        return TaskResult(key, 1, f"a bug of hydrocli, or of Dask: {type(error).__name__}: {error}", seconds)


class DaskWorker:
    """A service kept by a worker of Dask, see `RemoteWorker`."""

    def __init__(self, executor: DaskExecutor, future: Any, actor: Any) -> None:
        self._executor, self._future, self._actor = executor, future, actor
        self._reply: Any = None

    def send(self, request: Any) -> None:
        """See `RemoteWorker`."""
        with contextlib.suppress(RuntimeError):  # its worker was lost, which `receive` reports
            self._reply = None
            with self._executor.client.as_current():  # an actor has no client but this
                self._reply = self._actor.reply(pickle.dumps(request))

    def receive(self) -> Any:
        """See `RemoteWorker`."""
        lost = WorkerLost(-signal.SIGKILL)
        while self._reply is not None:
            try:
                answer = pickle.loads(self._reply.result(timeout=BETWEEN_LOOKS))
                if isinstance(answer, WorkerLost):
                    lost = answer
                    break
                return answer
            except TimeoutError as error:  # Dask does not end a call whose scheduler has died
                if not self._executor.is_alive or self._future.status != "finished":
                    raise lost from error
            except Exception as error:
                raise lost from error
        raise lost

    def shutdown(self) -> None:
        """See `RemoteWorker`; all have one connection."""
        with contextlib.suppress(Exception), self._executor.client.as_current():  # it may have ended
            self._actor.shutdown().result(timeout=2 * PATIENCE)
        self._executor.close()


def _connected(kind: str, start: Callable[[], Any]) -> tuple[Client, Any]:
    """A client and its cluster: that which `start` gives, or None and the scheduler at the address `kind`."""
    try:
        from distributed import Client
    except ImportError:
        raise ConfigurationError(WHERE, "Dask is not installed", INSTALL) from None
    logging.getLogger("distributed").setLevel(logging.ERROR)
    cluster = start()
    try:
        return Client(kind if cluster is None else cluster, timeout=ANSWERING, set_as_default=False), cluster
    except OSError as error:
        what = f"no scheduler answers at {kind} ({error})"
        raise ConfigurationError(WHERE, what, "Start one with `dask scheduler` and `dask worker`.") from error


def _local_cluster(workers: int) -> Any:
    """Workers of one thread each, in this process: what they compute, they compute in processes that they host."""
    from distributed import LocalCluster

    # Dask measures its own process, not those that it hosts, and knows nothing of mapped files.
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        memory_limit=0,
        dashboard_address=None,
        silence_logs=logging.ERROR,
    )


# What follows runs in a worker of Dask.

_hosted: dict[int, ProcessWorker] = {}
"""Processes of this Dask worker, by thread."""
_working: set[int] = set()
"""Threads whose process has a task."""


def _host(content: bytes) -> bytes:
    """Do a task in the process of this thread."""
    service, task = pickle.loads(content)
    thread, began = threading.get_ident(), time.perf_counter()
    worker = _hosted.get(thread)
    if worker is None or not worker.is_alive:
        worker = _hosted[thread] = ProcessWorker(service)
    _working.add(thread)
    try:
        worker.send(task)
        return pickle.dumps(worker.receive())
    except WorkerLost as lost:
        return pickle.dumps(TaskResult(task.key, lost.status, "", time.perf_counter() - began))
    finally:
        _working.discard(thread)


def _stop_hosted() -> None:
    """Ask the services of its processes to end their tasks early."""
    for thread in list(_working):
        if (worker := _hosted.get(thread)) is not None and worker.is_alive:
            worker.ask_to_stop()


def _shutdown_hosted() -> None:
    """Let its processes end."""
    for thread in list(_hosted):
        _hosted.pop(thread).shutdown()


class _Actor:
    """A service in a process of this Dask worker; it ends with the actor."""

    def __init__(self, service: Service) -> None:
        self._worker = ProcessWorker(service)

    def reply(self, request: bytes) -> bytes:
        """The answer to a pickled request, or that the process was lost, pickled."""
        self._worker.send_bytes(request)
        try:
            return self._worker.receive_bytes()
        except WorkerLost as lost:
            return pickle.dumps(lost)

    def shutdown(self) -> None:
        """Let the process end."""
        self._worker.shutdown()

    def __del__(self) -> None:
        self.shutdown()
