"""Workers of Dask that keep basins of a regional calibration.

Each seat is an actor of one worker: it reads its basins from their stores, which all nodes see, and holds them; only
control vectors go there, and costs, gradients and scores come back. This process sums, in the order of the basins.
"""

from __future__ import annotations

import pickle
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

from hydrocli.errors import ConfigurationError
from hydrocli.execution.pool import BETWEEN_LOOKS, PATIENCE, connected, disconnect, local_cluster
from hydrocli.experiment.regional_workers import Host, Other, Seat, gone

STARTING = 300.0
"""Seconds that workers have to import hydrocli, from a slow network say."""


class DaskSeats:
    """The workers of a cluster.

    Args:
        kind: `local`, or the address of a scheduler.
        workers: processes of a cluster on this machine.

    Raises:
        ConfigurationError: Dask is not installed, no scheduler answers, or it has no workers.
    """

    def __init__(self, kind: str, workers: int) -> None:
        start = partial(local_cluster, workers) if kind == "local" else lambda: None
        self.client, self._cluster = connected(kind, start)
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except OSError as error:
            self.close()
            what = f"the scheduler at {kind} has no workers"
            raise ConfigurationError("execution.cluster", what, "Start some with `dask worker`.") from error
        if self._cluster is not None:
            self.client.run(be_deaf)
        self._addresses = sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self._addresses)

    def take(self, seats: Sequence[Seat]) -> list[Other]:
        """A worker for each seat, at most `size` of them.

        Raises:
            ConfigurationError: a worker cannot: it has another version of hydrocli, say.
            Stopped: a worker has gone.
        """
        futures = [
            self.client.submit(Actor, seat, actor=True, workers=[address], pure=False, retries=0)
            for seat, address in zip(seats, self._addresses, strict=False)
        ]
        try:
            return [Distant(self, future, future.result(timeout=STARTING)) for future in futures]
        except OSError as error:  # TimeoutError is one
            self.close()
            raise gone() from error
        except Exception as error:
            self.close()
            what = f"a worker of Dask takes no basins: {type(error).__name__}: {error}"
            remedy = "Scheduler and workers need the Python and the hydrocli that are here."
            raise ConfigurationError("execution.cluster", what, remedy) from error

    @property
    def alive(self) -> bool:
        """Whether the scheduler answers."""
        return bool(self.client.status == "running")

    def close(self) -> None:
        """Disconnect; a scheduler that ran before goes on."""
        disconnect(self.client, self._cluster)


class Actor(Host):
    """A host in a worker of Dask."""

    def reply(self, question: bytes) -> bytes:
        """As `answer`; arrays that Dask itself hands over cannot be written: kernels would be compiled anew."""
        return pickle.dumps(self.answer(*pickle.loads(question)))


class Distant:
    """A seat at a worker of Dask, see `hydrocli.experiment.regional_workers.Other`."""

    def __init__(self, seats: DaskSeats, future: Any, actor: Any) -> None:
        self._seats, self._future, self._actor = seats, future, actor
        self._reply: Any = None

    def send(self, what: str, arguments: tuple[Any, ...]) -> None:
        """See `Other`."""
        try:
            with self._seats.client.as_current():  # an actor has no client but this
                self._reply = self._actor.reply(pickle.dumps((what, arguments)))
        except RuntimeError as error:  # its worker was lost
            raise gone() from error

    def receive(self) -> Any:
        """See `Other`."""
        while True:
            try:
                return pickle.loads(self._reply.result(timeout=BETWEEN_LOOKS))
            except TimeoutError as error:  # Dask does not end a call whose scheduler has died
                if not self._seats.alive or self._future.status != "finished":
                    raise gone() from error
            except Exception as error:
                raise gone() from error

    def close(self) -> None:
        """See `Other`; all have one connection."""
        self._seats.close()


def be_deaf() -> None:
    """In a worker of this machine: the one that asks decides when to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
