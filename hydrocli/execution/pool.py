"""Connections to Dask, for whatever computes in workers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hydrocli.errors import ConfigurationError

if TYPE_CHECKING:
    from distributed import Client

INSTALL = 'Install it: pip install "hydrocli[cluster]".'
PATIENCE = 30.0
"""Seconds that a scheduler has to answer."""
BETWEEN_LOOKS = 1.0
"""Seconds between two questions which workers there are."""


def connected(kind: str, start: Callable[[], Any]) -> tuple[Client, Any]:
    """A client and its cluster: that which `start` gives, or None and the scheduler at the address `kind`.

    Raises:
        ConfigurationError: Dask is not installed, or no scheduler answers.
    """
    where = "execution.cluster"
    try:
        from distributed import Client
    except ImportError:
        raise ConfigurationError(where, "Dask is not installed", INSTALL) from None
    logging.getLogger("distributed").setLevel(logging.ERROR)
    cluster = start()
    try:
        return Client(kind if cluster is None else cluster, timeout=PATIENCE, set_as_default=False), cluster
    except OSError as error:
        what = f"no scheduler answers at {kind} ({error})"
        raise ConfigurationError(where, what, "Start one with `dask scheduler` and `dask worker`.") from error


def disconnect(client: Client, cluster: Any) -> None:
    """End a client and the cluster that was started for it, whatever is gone already."""
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # of what is gone it tells at length
    for part in (client, cluster):
        if part is not None:
            with contextlib.suppress(Exception):
                part.close(timeout=PATIENCE)


def local_cluster(workers: int) -> Any:
    """Workers of one thread each on this machine."""
    from distributed import LocalCluster

    # Dask measures its own process, not those of campaigns, and knows nothing of mapped files.
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=None, silence_logs=logging.ERROR
    )
