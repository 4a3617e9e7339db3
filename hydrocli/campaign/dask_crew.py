"""A crew of Dask: on this machine, on nodes that SLURM gives, or on those of a scheduler that runs already.

A task of Dask does not compute in the process of Dask itself: each thread of a Dask worker keeps one process of
`hydrocli.campaign.worker` and hands tasks on to it. So a run is stopped, killed and continued there as without Dask,
with the same bits, and what happens to Dask does not happen to it. Forcing is never sent: every process maps the
store, which lies on a file system that all nodes share.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hydrocli.campaign.processes import Worker
from hydrocli.campaign.worker import Ending, Task
from hydrocli.config import Campaign
from hydrocli.errors import ConfigurationError, Stopped
from hydrocli.execution.pool import BETWEEN_LOOKS, INSTALL, connected, disconnect, local_cluster

if TYPE_CHECKING:
    from distributed import Future


_hosted: dict[int, Worker] = {}
"""Processes of this Dask worker, by thread."""


class DaskCrew:
    """See `hydrocli.campaign.processes.Crew`.

    Args:
        campaign: what cluster, and what is asked of SLURM.
        workers: processes of a cluster on this machine.

    Raises:
        ConfigurationError: Dask is not installed, or no scheduler answers.
    """

    def __init__(self, campaign: Campaign, workers: int) -> None:
        self._client, self._cluster = connected(campaign.execution.cluster, lambda: _cluster(campaign, workers))
        self._futures: dict[str, tuple[Future[Any], float]] = {}
        self._size, self._asked = 0, -BETWEEN_LOOKS

    @property
    def size(self) -> int:
        """See `Crew`; workers come and go."""
        if time.monotonic() - self._asked >= BETWEEN_LOOKS:
            self._alive()
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            self._size, self._asked = sum(worker["nthreads"] for worker in workers), time.monotonic()
        return self._size

    def start(self, task: Task) -> None:
        """See `Crew`."""
        name = f"{task.key}-{uuid.uuid4().hex}"
        future = self._client.submit(host, asdict(task), key=name, pure=False, retries=0)
        self._futures[task.key] = future, time.perf_counter()

    def wait(self, seconds: float) -> list[Ending]:
        """See `Crew`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not any(future.done() for future, _ in self._futures.values()):
            time.sleep(0.02)
        self._alive()
        done = [key for key, (future, _) in self._futures.items() if future.done()]
        return [self._ending(key, *self._futures.pop(key)) for key in done]

    def ask_to_stop(self) -> None:
        """See `Crew`."""
        with contextlib.suppress(OSError):
            self._client.run(stop_hosted, on_error="ignore")

    def close(self) -> None:
        """See `Crew`; a scheduler that ran before goes on."""
        with contextlib.suppress(Exception):  # whatever is gone already
            self._client.run(leave_hosted, on_error="ignore")
        disconnect(self._client, self._cluster)

    def _alive(self) -> None:
        if self._client.status != "running":
            what = "the scheduler of Dask does not answer any more; every run saves itself"
            raise Stopped("execution.cluster", what, "Run again to continue.")

    def _ending(self, key: str, future: Future[Any], began: float) -> Ending:
        if future.status == "finished":
            return Ending(**future.result())
        self._alive()
        error = None if future.status == "cancelled" else future.exception()
        seconds = time.perf_counter() - began
        if error is None or type(error).__name__ == "KilledWorker":  # it died with its node, say
            return Ending(key, -signal.SIGKILL, "", seconds)
        return Ending(key, 1, f"a bug of hydrocli, or of Dask: {type(error).__name__}: {error}", seconds)


def _cluster(campaign: Campaign, workers: int) -> Any:
    """The cluster to start; None where a scheduler runs already."""
    asked = campaign.slurm
    if campaign.execution.cluster == "local":
        return local_cluster(workers)
    if campaign.execution.cluster != "slurm":
        return None
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise ConfigurationError("execution.cluster", "dask-jobqueue is not installed", INSTALL) from None
    options: dict[str, Any] = {"queue": asked.partition, "account": asked.account}
    cluster = SLURMCluster(
        cores=asked.cores,
        processes=asked.cores,
        memory=f"{asked.memory // 10**6}MB",
        walltime=asked.time,
        job_extra_directives=[*asked.options, "--signal=B:TERM@120"],
        job_script_prologue=list(asked.setup),
        **{name: value for name, value in options.items() if value},
    )
    cluster.scale(jobs=asked.jobs)
    return cluster


def host(values: dict[str, Any]) -> dict[str, Any]:
    """In a Dask worker: do a task in the process of this thread."""
    thread = threading.get_ident()
    worker = _hosted.get(thread)
    if worker is None or not worker.is_alive:
        worker = _hosted[thread] = Worker.begin()
    worker.send(Task(**{**values, "steps": tuple(values["steps"])}))
    while (ending := worker.hear()) is None:
        pass  # it blocks until there is something to hear
    return asdict(ending)


def stop_hosted() -> None:
    """In a Dask worker: let the runs of its processes save themselves."""
    for worker in _hosted.values():
        if worker.task is not None and worker.is_alive:
            worker.process.terminate()


def leave_hosted() -> None:
    """In a Dask worker: let its processes go."""
    for thread in list(_hosted):
        _hosted.pop(thread).leave()
