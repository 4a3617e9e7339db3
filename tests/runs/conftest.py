"""One ingested store and one finished run of the embedded sample for all tests of the commands."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs_harness import Dask, call, configuration, part_of_dask


@pytest.fixture(scope="session")
def store(once: Callable[..., Path]) -> Path:
    """Where what was read from the sample is kept."""
    return once("store", lambda folder: None)


@pytest.fixture(scope="session")
def finished(store: Path, once: Callable[..., Path]) -> Path:
    """YAML of a run that is calibrated, validated and has its signatures; its folder `short` lies beside it.

    Tests read it only.
    """

    def fill(folder: Path) -> None:
        file = configuration(folder / "short.yaml", store)
        for command in ("calibrate", "validate", "signatures"):
            call(command, file)

    return once("finished", fill) / "short.yaml"


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    """A scheduler of Dask with one worker."""
    told = tmp_path / "scheduler.json"
    options = "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", told
    running = part_of_dask("distributed.cli.dask_scheduler", *options)
    while not told.exists() or not told.read_text():
        time.sleep(0.05)
    address = json.loads(told.read_text())["address"]
    worker = part_of_dask(
        "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny",
        "--death-timeout", "5", "--local-directory", tmp_path,
    )  # fmt: skip
    yield Dask(address, running, worker)
    for part in (running, worker):
        part.kill()
        part.wait()
