"""The data of a campaign before its runs: every store is built once, and what each run will take is estimated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydrocli.basin import store
from hydrocli.basin.ingest import ingest_batch
from hydrocli.config import RunSpec
from hydrocli.errors import HeldError, HydrocliError, InputError
from hydrocli.experiment.estimate import Estimate, estimate
from hydrocli.experiment.inputs import refuse_implausible, source_of
from hydrocli.experiment.setup import reading
from hydrocli.files import os_errors_as_input_errors
from hydrocli.results.lock import Lock

logger = logging.getLogger(__name__)

Sizes = dict[str, Estimate | HydrocliError]
"""What a run will take, or what is wrong with its data, by its key."""
PAUSE = 1.0
LOCK = "ingestion.json"


def ingest_all(specs: Sequence[RunSpec], workers: int, stopping: Callable[[], None]) -> Sizes:
    """Build the stores that are missing; what is wrong with the data of one run does not keep the others from theirs.

    Args:
        items: the runs.
        workers: processes that read rasters.
        stopping: asked between two files; may raise.
    """
    sizes: Sizes = {}
    folders = dict.fromkeys(str(spec.experiment.forcing.store) for spec in specs)
    for folder in map(Path, folders):
        here = [spec for spec in specs if Path(spec.experiment.forcing.store) == folder]
        found = _ingested(here, folder, workers, stopping)
        for spec, result in zip(here, found, strict=True):
            sizes[spec.key] = result if isinstance(result, HydrocliError) else _size(spec, folder, result)
    return sizes


def _ingested(
    specs: Sequence[RunSpec], folder: Path, workers: int, stopping: Callable[[], None]
) -> list[str | HydrocliError]:
    with _alone(folder, stopping), reading(stopping) as show:
        return ingest_batch([source_of(spec.experiment) for spec in specs], folder, workers, show)


@contextmanager
def _alone(folder: Path, stopping: Callable[[], None]) -> Iterator[None]:
    """Wait for another process that reads data into the same folder: they may be the same data."""
    with os_errors_as_input_errors(folder, "cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        lock = Lock(folder / LOCK)
        try:
            lock.acquire()
            break
        except HeldError as error:
            if not waiting:
                logger.info(f"waiting: {error.where} is {error.what}")
            waiting = True
            stopping()
            time.sleep(PAUSE)
    try:
        yield
    finally:
        lock.release()


def _size(spec: RunSpec, folder: Path, fingerprint: str) -> Estimate | HydrocliError:
    stored = store.load(folder, fingerprint)
    if stored is None:
        return InputError(str(folder / fingerprint), "cannot be read back", "Check the disk, then run again.")
    try:
        refuse_implausible(spec.experiment, stored.path)
    except HydrocliError as error:
        return error
    gauges = stored.basin.gauges
    return estimate(spec.experiment, stored.basin.network, gauges, gauges.code)
