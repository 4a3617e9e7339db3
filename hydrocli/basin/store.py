"""The ingested basins on disk: one folder each, named by the fingerprint of its inputs, read by memory map.

A store is written in a sibling folder and renamed when it is whole, so that a reader sees all of it or nothing. Of two
processes that build the same one, the first to rename wins: a whole store is never moved, for others read it. Only
fixed names are written. Figures of plausibility stand beside the arrays as Parquet.

Its description holds checksums of all arrays and of itself. They are compared when the store is opened, once in a
process; of a large store when it is first opened, when a file of it has another size, number or time of change than
then, and after `TRUSTED` seconds. A damaged store is built anew.

Forcing has no header, so that a store with more steps may share the file of a store with fewer (`extend_array`): both
folders have a name of it, and each reads as many rows as its description says. Rows are added only to a file that ends
with those of the store, and by one process at a time. A file to which a killed process has added something is not added
to again: the next store copies its rows.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin import plausibility
from hydrocli.basin.basin import Basin, Gauges
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import DrainageNetwork
from hydrocli.errors import InputError
from hydrocli.files import atomic_folder, atomic_write, is_partial

FORMAT = 7
"""Of the files below; a change makes all older stores be built anew."""
NETWORK = ("row", "column", "x", "y", "downstream", "level", "cell_width", "cell_area", "drained_area")
GAUGES = ("cell", "x", "y", "area_asked", "area_found")
FORCINGS = ("precipitation", "pet", "temperature")
"""Arrays of a basin; the last one only where its configuration gives temperatures."""
ROWS = ".f32"
"""Suffix of files of forcing: values float32 in the order of the machine, step after step, without a header."""
META = "meta.json"
"""Name of the description."""
_OWN = "checksum"
"""Key of the description with the checksum of all its other keys."""
_BLOCK, _READERS = 2**23, 4
"""Bytes that have a checksum of their own, and threads that read them."""
COMPARED, TRUSTED, LARGE = "compared", 7 * 86400.0, 2**25
"""Folder beside large stores that says when their checksums were compared; for how long that counts [s]; bytes."""
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
    """A store on disk.

    Attributes:
        path: its folder.
        bytes: of its files; stores that share one have equal parts of it.
        created: in UTC.
        is_partial: whether it was left by a process that was stopped, or is still being written.
    """

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
    meta = json.loads((path / META).read_text(encoding="utf-8"))
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


def create_array(folder: Path, name: str, shape: tuple[int, int]) -> Path:
    """An empty file of an array float32[t, n], its space reserved: a full disk is an error here and now."""
    path = folder / f"{name}{ROWS}"
    with path.open("xb") as file:
        os.posix_fallocate(file.fileno(), 0, max(_bytes_of(shape), 1))
    return path


@contextmanager
def extend_array(store: Path, folder: Path, name: str, steps: int, shape: tuple[int, int]) -> Iterator[Path]:
    """A file of an array float32[t, n] whose first rows are those of another store; it may be written to in the block.

    The file of the other store gets a second name and more rows. Where that cannot be (a longer store has it already,
    another process is adding to it, the file system has no locks or no second names), its rows are copied.

    Args:
        store: folder of the other store.
        folder: of the new one.
        name: of the array.
        steps: of the other store.
        shape: of the new array.

    Raises:
        OSError: the disk is full, or refuses.
    """
    path, size = folder / f"{name}{ROWS}", _bytes_of((steps, shape[1]))
    with (store / path.name).open("r+b") as old:
        is_shared = _may_grow(old.fileno(), size) and _linked(store / path.name, path)
        if not is_shared:
            with path.open("xb") as new:
                _copy(old, new, size)
        try:
            with path.open("r+b") as new:
                os.posix_fallocate(new.fileno(), size, _bytes_of(shape) - size)
            yield path
        except BaseException:
            if is_shared:
                os.ftruncate(old.fileno(), size)
            raise


def _may_grow(file: int, size: int) -> bool:
    """Whether an open file ends after so many bytes; if so, it is locked until it is closed."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file).st_size == size
    return False


def _linked(old: Path, new: Path) -> bool:
    with suppress(OSError):
        os.link(old, new)
        return True
    return False


def _copy(old: BinaryIO, new: BinaryIO, size: int) -> None:
    done = 0
    while done < size:
        copied = os.sendfile(new.fileno(), old.fileno(), done, min(size - done, 2**30))
        if not copied:
            raise OSError(errno.EIO, "a file of another store has become shorter")
        done += copied


def write_rows(path: Path, first: int, values: NDArray[np.float32]) -> None:
    """Write rows [k, n] of an array into its file, at the place of row `first`."""
    with path.open("r+b") as file:
        file.seek(_bytes_of((first, values.shape[1])))
        file.write(values.data)


def open_rows(path: Path, shape: tuple[int, int], *, may_write: bool = False) -> NDArray[np.float32]:
    """The memory-mapped rows [t, n] of a file, which may hold more of them.

    Raises:
        ValueError: it holds fewer.
    """
    if path.stat().st_size < _bytes_of(shape):
        raise ValueError(f"{path.name} has fewer rows than {shape[0]}")
    return np.memmap(path, np.float32, "r+" if may_write else "r", shape=shape)


def _bytes_of(shape: tuple[int, int]) -> int:
    return 4 * shape[0] * shape[1]


def save(
    folder: Path,
    basin: Basin,
    coverage: dict[str, Any],
    notes: list[str],
    reading: dict[str, Any] | None = None,
    base: Stored | None = None,
) -> None:
    """Write all of a basin but its forcing, which `create_array` or `extend_array` made, and figures of plausibility.

    Args:
        folder: of the new store.
        basin: what it holds.
        coverage, notes: for its description.
        reading: likewise; what a longer store needs to know of how this one was read.
        base: the store whose rows it shares.
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
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    grid = basin.network.grid
    meta = {
        "format": FORMAT,
        "fingerprint": basin.fingerprint,
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
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
        "reading": reading or {},
        "sizes": sizes,
        "checksums": {
            name: _checksums(folder / name, size, _known(base, folder / name)) for name, size in sizes.items()
        },
    }
    meta[_OWN] = _checksum_of(meta)
    (folder / META).write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _checksum_of(meta: dict[str, Any]) -> int:
    others = {key: value for key, value in meta.items() if key != _OWN}
    return zlib.crc32(json.dumps(others, sort_keys=True).encode())


def _known(base: Stored | None, path: Path) -> list[int]:
    """Checksums of the whole blocks that a file has from another store, with which it shares its bytes."""
    if base is None or not (base.path / path.name).is_file() or not (base.path / path.name).samefile(path):
        return []
    found: list[int] = base.meta["checksums"][path.name][: base.meta["sizes"][path.name] // _BLOCK]
    return found


def _checksums(path: Path, size: int, known: Sequence[int] = ()) -> list[int]:
    """CRC-32 of each block of the first bytes of a file, of which the first ones may be known."""
    starts = range(len(known) * _BLOCK, size, _BLOCK)
    with path.open("rb") as file:
        handle = file.fileno()

        def checksum(start: int) -> int:
            return zlib.crc32(os.pread(handle, min(_BLOCK, size - start), start))

        if len(starts) < 2 * _READERS:
            return [*known, *map(checksum, starts)]
        with ThreadPoolExecutor(_READERS) as pool:
            return [*known, *pool.map(checksum, starts)]


def _require_same(path: Path, meta: dict[str, Any]) -> None:
    """Compare the files of a store with its description.

    Raises:
        ValueError: a file differs.
        OSError: one is missing.
    """
    if _checksum_of(meta) != meta[_OWN]:
        raise ValueError(f"{META} is damaged")
    sizes, state = meta["sizes"], []
    for name, size in sizes.items():
        found = (path / name).stat()
        if found.st_size < size:
            raise ValueError(f"{name} is too short")
        state.append([name, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns])
    if _is_compared(path, state):
        return
    damaged = [name for name, size in sizes.items() if _checksums(path / name, size) != meta["checksums"][name]]
    if damaged:
        raise ValueError(f"{', '.join(damaged)} differ from what was written")
    _compared[path] = state
    if sum(sizes.values()) < LARGE:
        return
    with suppress(OSError, InputError):  # a folder that others own
        note = path.parent / COMPARED / f"{path.name}.json"
        note.parent.mkdir(exist_ok=True)
        with atomic_write(note) as file:
            file.write(json.dumps([time.time(), state]).encode())


def _is_compared(path: Path, state: list[list[Any]]) -> bool:
    """Whether the checksums of a store were compared when its files were as they are now, and not long ago."""
    if path not in _compared and sum(size for _, size, *_ in state) >= LARGE:
        with suppress(OSError, ValueError, TypeError):
            when, then = json.loads((path.parent / COMPARED / f"{path.name}.json").read_text(encoding="utf-8"))
            if 0 <= time.time() - when < TRUSTED:
                _compared[path] = then
    return _compared.get(path) == state


_compared: dict[Path, list[list[Any]]] = {}
"""Stores that were found as they were written: names, sizes, numbers and times of change of their files."""


def list_stores(folder: Path) -> list[StoreEntry]:
    """All stores in a folder, oldest first."""
    if not folder.is_dir():
        return []
    entries = []
    for path in folder.iterdir():
        if _is_store(path):
            size = sum(file.stat().st_size // file.stat().st_nlink for file in path.iterdir())
            created = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            entries.append(StoreEntry(path, size, created, is_partial(path.name)))
    return sorted(entries, key=lambda entry: entry.created)


def remove_store(path: Path) -> None:
    """Remove a store that `list_stores` found; a process that has it open keeps its data until it ends."""
    if not _is_store(path):
        raise InputError(str(path), "is not a store of hydrocli")
    shutil.rmtree(path)
    (path.parent / COMPARED / f"{path.name}.json").unlink(missing_ok=True)


def _is_store(path: Path) -> bool:
    known = _NAME.fullmatch(path.name) or (is_partial(path.name) and _NAME.search(path.name))
    return bool(known) and path.is_dir() and not path.is_symlink()


def _basin(path: Path, meta: dict[str, Any]) -> Basin:
    def array(name: str) -> NDArray[Any]:
        return np.load(path / f"{name}.npy")

    grid = Grid(meta["crs"], tuple(meta["transform"]), meta["height"], meta["width"])
    network = DrainageNetwork(grid, **{name: array(f"network_{name}") for name in NETWORK})
    located: dict[str, Any] = {name: array(f"gauges_{name}") for name in GAUGES}
    gauges = Gauges(tuple(meta["gauges"]), **located)
    shape = meta["steps"], len(network)
    forcings = {name: open_rows(path / f"{name}{ROWS}", shape) for name in meta["forcings"]}
    discharge, descriptors = array("discharge"), array("descriptors")
    if discharge.shape != (len(gauges.code), meta["steps"]):
        raise ValueError(f"discharge has the shape {discharge.shape}")
    return Basin(
        network=network,
        gauges=gauges,
        start=np.datetime64(meta["start"], "s"),
        step=meta["step"],
        discharge=discharge,
        descriptors=dict(zip(meta["descriptors"], descriptors, strict=True)),
        descriptor_units={name: facts["unit"] for name, facts in meta["coverage"]["descriptors"].items()},
        fingerprint=meta["fingerprint"],
        discharge_until=array("discharge_until") if meta["has_means"] else None,
        **forcings,
    )
