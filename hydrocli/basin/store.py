"""The ingested basins on disk: one folder each, named by the fingerprint of its inputs, read by memory map.

A store is written in a sibling folder and renamed when it is whole, so that a reader sees all of it or nothing. Of two
processes that build the same one, the first to rename wins: a whole store is never moved, for others read it. Only
fixed names are written. Figures of plausibility stand beside the arrays as Parquet.

Its description holds checksums of all arrays and of itself. They are compared when the store is opened, once in a
process; a damaged store is built anew.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin import plausibility
from hydrocli.basin.basin import Basin, Gauges
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import DrainageNetwork
from hydrocli.errors import InputError
from hydrocli.files import atomic_folder, is_partial

FORMAT = 6
"""Of the files below; a change makes all older stores be built anew."""
NETWORK = ("row", "column", "x", "y", "downstream", "level", "cell_width", "cell_area", "drained_area")
GAUGES = ("cell", "x", "y", "area_asked", "area_found")
FORCINGS = ("precipitation", "pet", "temperature")
"""Arrays of a basin; the last one only where its configuration gives temperatures."""
_META = "meta.json"
_OWN = "checksum"
"""Key of the description with the checksum of all its other keys."""
_BLOCK, _READERS = 2**23, 4
"""Bytes that have a checksum of their own, and threads that read them."""
_NAME = re.compile(r"[0-9a-f]{32}")
DAMAGES = (OSError, ValueError, KeyError, TypeError, EOFError)
"""What reading a store that is not whole ends with."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """A basin read from its store, and what was noted when it was built."""

    basin: Basin
    path: Path
    meta: dict[str, Any]


@dataclass(frozen=True)
class StoreEntry:
    """A store on disk; `created` in UTC; `is_partial`: left by a process that was stopped, or still being written."""

    path: Path
    bytes: int
    created: datetime
    is_partial: bool


def load(folder: Path, fingerprint: str) -> Stored | None:
    """The basin of a fingerprint; None where there is no whole and sound store of it."""
    path = folder / fingerprint
    if not path.is_dir():
        return None
    try:
        return _read(path)
    except DAMAGES as error:
        logger.warning("the store %s is broken (%s): building it anew", path, error)
        return None


def _read(path: Path) -> Stored:
    """The store in a folder of its name.

    Raises:
        DAMAGES: it is not whole.
    """
    meta = json.loads((path / _META).read_text(encoding="utf-8"))
    if (meta["format"], meta["fingerprint"]) != (FORMAT, path.name):
        raise ValueError("its description belongs to another store")
    _require_same(path, meta)
    return Stored(_basin(path, meta), path, meta)


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except DAMAGES:
        return False
    return True


@contextmanager
def building(folder: Path, fingerprint: str) -> Iterator[Path]:
    """A folder to write a store into; on leaving it becomes the store, on an exception it vanishes.

    Raises:
        InputError: when the disk refuses.
    """
    try:
        with atomic_folder(folder / fingerprint, lambda: _is_whole(folder / fingerprint)) as partial:
            yield partial
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise InputError(str(folder), what, "Free space there, or set `forcing.store` to another folder.") from error


def create_array(folder: Path, name: str, shape: tuple[int, ...]) -> Path:
    """An empty float32 `.npy` file of its final size, its space reserved: a full disk is an error here and now."""
    path = folder / f"{name}.npy"
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    del array
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, max(path.stat().st_size, 1))
    return path


def save(folder: Path, basin: Basin, coverage: dict[str, Any], notes: list[str]) -> None:
    """Write all of a basin but its forcing, which `create_array` made, and figures of its plausibility.

    `coverage` and `notes` go to its description.
    """
    plausibility.write_figures(folder, plausibility.measure(basin, coverage))
    for name in NETWORK:
        np.save(folder / f"network_{name}.npy", getattr(basin.network, name))
    for name in GAUGES:
        np.save(folder / f"gauges_{name}.npy", getattr(basin.gauges, name))
    np.save(folder / "discharge.npy", basin.discharge)
    if basin.discharge_until is not None:
        np.save(folder / "discharge_until.npy", basin.discharge_until)
    fields = [basin.descriptors[name] for name in basin.descriptors]
    np.save(folder / "descriptors.npy", np.array(fields).reshape(len(fields), len(basin.network)))
    grid = basin.network.grid
    meta = {
        "format": FORMAT,
        "fingerprint": basin.fingerprint,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "crs": grid.crs_wkt,
        "transform": grid.transform,
        "height": grid.height,
        "width": grid.width,
        "gauges": basin.gauges.code,
        "descriptors": list(basin.descriptors),
        "start": str(basin.start),
        "step": basin.step,
        "steps": len(basin.precipitation),
        "forcings": [name for name in FORCINGS if getattr(basin, name) is not None],
        "has_means": basin.discharge_until is not None,
        "coverage": coverage,
        "notes": notes,
        "checksums": {path.name: _checksums(path) for path in sorted(folder.iterdir())},
    }
    meta[_OWN] = _checksum_of(meta)
    (folder / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _checksum_of(meta: dict[str, Any]) -> int:
    others = {key: value for key, value in meta.items() if key != _OWN}
    return zlib.crc32(json.dumps(others, sort_keys=True).encode())


def _checksums(path: Path) -> list[int]:
    """CRC-32 of each block of a file."""
    starts = range(0, path.stat().st_size, _BLOCK)
    with path.open("rb") as file:
        handle = file.fileno()

        def checksum(start: int) -> int:
            return zlib.crc32(os.pread(handle, _BLOCK, start))

        if len(starts) < 2 * _READERS:
            return [checksum(start) for start in starts]
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(checksum, starts))


def _require_same(path: Path, meta: dict[str, Any]) -> None:
    """Compare the files of a store with its description.

    Raises:
        ValueError: a file differs.
        OSError: one is missing.
    """
    if _checksum_of(meta) != meta[_OWN]:
        raise ValueError(f"{_META} is damaged")
    files = [path / name for name in meta["checksums"]]
    state = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    if state in _compared:
        return
    if damaged := [file.name for file in files if _checksums(file) != meta["checksums"][file.name]]:
        raise ValueError(f"{', '.join(damaged)} differ from what was written")
    _compared.add(state)


_compared: set[tuple[tuple[str, int, int], ...]] = set()
"""Stores that this process has found as they were written."""


def list_stores(folder: Path) -> list[StoreEntry]:
    """All stores in a folder, oldest first."""
    if not folder.is_dir():
        return []
    entries = []
    for path in folder.iterdir():
        if _is_store(path):
            size = sum(file.stat().st_size for file in path.iterdir())
            created = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            entries.append(StoreEntry(path, size, created, is_partial(path.name)))
    return sorted(entries, key=lambda entry: entry.created)


def remove_store(path: Path) -> None:
    """Remove a store that `list_stores` found; a process that has it open keeps its data until it ends."""
    if not _is_store(path):
        raise InputError(str(path), "is not a store of hydrocli")
    shutil.rmtree(path)


def _is_store(path: Path) -> bool:
    known = _NAME.fullmatch(path.name) or (is_partial(path.name) and _NAME.search(path.name))
    return bool(known) and path.is_dir() and not path.is_symlink()


def _basin(path: Path, meta: dict[str, Any]) -> Basin:
    def array(name: str, mapped: bool = False) -> NDArray[Any]:
        return np.load(path / f"{name}.npy", mmap_mode="r" if mapped else None)

    grid = Grid(meta["crs"], tuple(meta["transform"]), meta["height"], meta["width"])
    network = DrainageNetwork(grid, **{name: array(f"network_{name}") for name in NETWORK})
    located: dict[str, Any] = {name: array(f"gauges_{name}") for name in GAUGES}
    gauges = Gauges(tuple(meta["gauges"]), **located)
    forcings = {name: array(name, mapped=True) for name in meta["forcings"]}
    discharge, descriptors = array("discharge"), array("descriptors")
    for name, forcing in forcings.items():
        if forcing.shape != (meta["steps"], len(network)):
            raise ValueError(f"{name} has the shape {forcing.shape}")
    if discharge.shape != (len(gauges.code), meta["steps"]):
        raise ValueError(f"discharge has the shape {discharge.shape}")
    return Basin(
        network=network,
        gauges=gauges,
        start=np.datetime64(meta["start"], "s"),
        step=meta["step"],
        discharge=discharge,
        descriptors=dict(zip(meta["descriptors"], descriptors, strict=True)),
        fingerprint=meta["fingerprint"],
        discharge_until=array("discharge_until") if meta["has_means"] else None,
        **forcings,
    )
