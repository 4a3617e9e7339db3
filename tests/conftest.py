"""What several packages share: the quick selection, work done once for all processes, runs, data of the peer."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import hypothesis
import pytest

if TYPE_CHECKING:
    from runs_harness import Dask

# The same examples in every run and every process; a busy machine may take its time for one.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=60)
hypothesis.settings.load_profile("tests")

QUICK = ("calibration", "cli", "config", "docs", "execution", "mapping", "results", "score")
"""Folders whose tests compile little and calibrate nothing."""
NOT_QUICK = ("peer", "slow")
"""Marks of tests in those folders that are left out."""

Once = Callable[[str, Callable[[Path], None]], Path]
Key = TypeVar("Key", bound=Hashable)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `quick` what `make quick` runs; single tests elsewhere carry the mark themselves."""
    for item in items:
        if item.path.parent.name in QUICK and not any(item.get_closest_marker(name) for name in NOT_QUICK):
            item.add_marker(pytest.mark.quick)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Makes a folder by name once for all processes of pytest-xdist; tests only read it.

    The function that fills the folder runs in the process that asks first, and the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    root = base if worker_id == "master" else base.parent

    def once(name: str, fill: Callable[[Path], None]) -> Path:
        folder = root / f"shared-{name}"
        with (root / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            finished = root / f"shared-{name}.finished"
            if not finished.exists():
                folder.mkdir()  # fails again in every process where the first one has failed
                fill(folder)
                finished.touch()
        return folder

    return once


class Made(Mapping[Key, Path]):
    """Files by key, each made when it is first asked for, once for all processes."""

    def __init__(self, once: Once, keys: Iterable[Key], make: Callable[[Path, Key], Path]) -> None:
        self._once, self._keys, self._make = once, list(keys), make

    def __getitem__(self, key: Key) -> Path:
        name = "-".join(key) if isinstance(key, tuple) else str(key)
        place = f"{self._make.__module__}-{name}"
        folder = self._once(place, lambda folder: self._note(folder, self._make(folder, key)))
        return folder / (folder / ".made").read_text()

    def _note(self, folder: Path, made: Path) -> None:
        (folder / ".made").write_text(str(made.relative_to(folder)))

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@pytest.fixture(scope="session")
def made(once: Once) -> Callable[[Iterable[Key], Callable[[Path, Key], Path]], Made[Key]]:
    """A table of files from their keys and a function that makes one in a folder."""
    return lambda keys, make: Made(once, keys, make)


@pytest.fixture(scope="session")
def peer_data() -> Path:
    """Folder with Cance, Lez and France_flwdir.tif, which smash carries; found without importing smash."""
    spec = find_spec("smash")
    if spec is None or spec.origin is None:
        pytest.skip("smash is not installed")
    return Path(spec.origin).parent / "factory" / "dataset"


@pytest.fixture(scope="session")
def cance_data(peer_data: Path) -> Path:
    """1 km, hourly, 2014-09-15 to 2015-01-15, interannual evapotranspiration, three gauges."""
    return peer_data / "Cance"


@pytest.fixture(scope="session")
def lez_data(peer_data: Path) -> Path:
    """1 km, daily, 2012-08-01 to 2013-07-31, three gauges."""
    return peer_data / "Lez"


@pytest.fixture(scope="session")
def store(once: Once) -> Path:
    """Where what was read from the sample is kept."""
    return once("store", lambda folder: None)


@pytest.fixture(scope="session")
def finished(store: Path, once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YAML of a run that is calibrated, validated and has its signatures; its folder `short` lies beside it.

    Every process has a copy of its own, since some tests lock it or write the same scores again.
    """
    from runs_harness import call, configuration

    def fill(folder: Path) -> None:
        file = configuration(folder / "short.yaml", store)
        for command in ("calibrate", "validate", "signatures"):
            call(command, file)

    copy = tmp_path_factory.mktemp("finished") / "copy"
    return shutil.copytree(once("finished", fill), copy) / "short.yaml"


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    """A scheduler of Dask with one worker."""
    from runs_harness import Dask, part_of_dask

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
