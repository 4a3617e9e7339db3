"""The store: found again without reading, never half there, never in the way."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import rasterio

from hydrocli.basin import store
from hydrocli.basin.ingest import open_basin
from hydrocli.basin.source import BasinSource
from hydrocli.errors import InputError
from hydrocli.files import partial_of


def test_the_second_start_reads_no_raster(source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_basin(source, tmp_path / "store")

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("a raster was opened")

    monkeypatch.setattr(rasterio, "open", refuse)
    monkeypatch.setattr(rasterio.io, "DatasetReader", refuse)
    second = open_basin(source, tmp_path / "store")
    assert second.fingerprint == first.fingerprint
    assert second.network.grid == first.network.grid
    for name in store.NETWORK:
        array, again = getattr(first.network, name), getattr(second.network, name)
        np.testing.assert_array_equal(again, array)
        assert again.dtype == array.dtype
    for name in ("precipitation", "pet", "discharge", "times"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name))
    np.testing.assert_array_equal(second.descriptors["slope"], first.descriptors["slope"])
    with pytest.raises(AssertionError):
        open_basin(replace(source, precipitation=replace(source.precipitation, scale_factor=0.2)), tmp_path / "store")


@pytest.mark.parametrize("part", ["precipitation", "pet", "discharge", "gauges", "flow_directions"])
def test_a_touched_file_makes_another_fingerprint(source: BasinSource, tmp_path: Path, part: str) -> None:
    before = open_basin(source, tmp_path / "store").fingerprint
    path = getattr(source, part)
    path = getattr(path, "path", path)
    file = path if path.is_file() else sorted(path.rglob("*[0-9A-Z].*"))[0]
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert open_basin(source, tmp_path / "store").fingerprint != before


def test_options_make_another_fingerprint(source: BasinSource, tmp_path: Path) -> None:
    one = open_basin(source, tmp_path / "store")
    shorter = open_basin(replace(source, end=source.end - np.timedelta64(1, "h")), tmp_path / "store")
    assert shorter.fingerprint != one.fingerprint
    assert len(shorter.precipitation) == 35


def flipped(content: bytes) -> bytes:
    """One bit of the last third differs: in an array its values, in the description a note or a checksum."""
    changed = bytearray(content)
    changed[-len(changed) // 3] ^= 1
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "zeroed": lambda content: bytes(len(content)),
    "one bit flipped": flipped,
    "removed": lambda content: None,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damaged_file_of_a_store_is_ever_read(damage: str, source: BasinSource, tmp_path: Path) -> None:
    """Each file in turn: the store is found broken, and whole again when the file is."""
    fingerprint = open_basin(source, tmp_path).fingerprint
    files = sorted((tmp_path / fingerprint).iterdir())
    assert len(files) > len(store.NETWORK) + len(store.GAUGES)
    for file in files:
        content = file.read_bytes()
        if (damaged := DAMAGES[damage](content)) is None:
            file.unlink()
        else:
            file.write_bytes(damaged)
        assert store.load(tmp_path, fingerprint) is None, file.name
        file.write_bytes(content)
        assert store.load(tmp_path, fingerprint) is not None, file.name
    (tmp_path / fingerprint / "precipitation.f32").unlink()
    assert open_basin(source, tmp_path).fingerprint == fingerprint
    assert store.load(tmp_path, fingerprint) is not None


@pytest.mark.parametrize("damage", ["short", "json", "lost", "other"])
def test_a_broken_store_is_built_anew(
    source: BasinSource, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_basin(source, tmp_path / "store")
    expected = np.array(first.precipitation)
    folder = tmp_path / "store" / first.fingerprint
    if damage == "short":
        array = folder / "precipitation.f32"
        array.write_bytes(array.read_bytes()[:-100])
    elif damage == "json":
        (folder / "meta.json").write_text('{"format": 3, "finger')
    elif damage == "lost":
        (folder / "network_level.npy").unlink()
    else:
        np.save(folder / "discharge.npy", np.zeros((1, 1)))
    again = open_basin(source, tmp_path / "store")
    np.testing.assert_array_equal(again.precipitation, expected)
    assert any("is broken" in message and "building it anew" in message for message in caplog.messages)
    assert [path.name for path in (tmp_path / "store").iterdir()] == [first.fingerprint]


def test_what_a_killed_process_left_is_no_store(source: BasinSource, tmp_path: Path) -> None:
    first = open_basin(source, tmp_path / "store")
    whole = tmp_path / "store" / first.fingerprint
    with partial_of(whole) as name:
        living, dead = name, name.with_name(name.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
    for left in (living, dead):
        shutil.copytree(whole, left)
    shutil.rmtree(whole)
    open_basin(source, tmp_path / "store")
    entries = store.list_stores(tmp_path / "store")
    assert {(entry.path, entry.is_partial) for entry in entries} == {(whole, False), (living, True)}


def test_a_failure_leaves_nothing(source: BasinSource, tmp_path: Path) -> None:
    next(source.precipitation.path.rglob("*0100.tif")).write_bytes(b"broken")
    with pytest.raises(InputError):
        open_basin(source, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_full_disk_is_an_error_before_anything_is_read(
    source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)\n.*forcing\.store"):
        open_basin(source, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_two_builders_at_once(source: BasinSource, tmp_path: Path) -> None:
    """The later one takes the place of the earlier one, whose readers keep what they have mapped."""
    folder = tmp_path / "store"
    with store.building(folder, "a" * 32) as one, store.building(folder, "a" * 32) as two:
        assert one != two
        np.save(one / "x.npy", np.zeros(3))
        np.save(two / "x.npy", np.ones(3))
        one_path = one
    mapped = np.load(folder / ("a" * 32) / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(mapped, 0)
    assert not one_path.exists()
    with store.building(folder, "a" * 32) as three:
        np.save(three / "x.npy", np.full(3, 2.0))
    np.testing.assert_array_equal(mapped, 0)
    np.testing.assert_array_equal(np.load(folder / ("a" * 32) / "x.npy"), 2)
    assert [path.name for path in folder.iterdir()] == ["a" * 32]


def test_a_whole_store_stays_where_it_is(source: BasinSource, tmp_path: Path) -> None:
    """Of two processes that build the same one the first wins: others read it already."""
    folder, basin = tmp_path / "store", open_basin(source, tmp_path / "store")
    path = folder / basin.fingerprint
    before = path.stat().st_ino
    with store.building(folder, basin.fingerprint) as later:
        shutil.copytree(path, later, dirs_exist_ok=True)
    assert path.stat().st_ino == before
    (path / "meta.json").write_bytes(b"")
    with store.building(folder, basin.fingerprint) as later:
        shutil.copy(path / "network_row.npy", later)
    assert path.stat().st_ino != before


def test_stores_are_listed_and_removed(source: BasinSource, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert store.list_stores(folder) == []
    basin = open_basin(source, folder)
    (folder / "notes").mkdir()
    (folder / ("b" * 32)).symlink_to(tmp_path)
    (entry,) = store.list_stores(folder)
    assert entry.path == folder / basin.fingerprint
    assert entry.bytes > 2 * 36 * 11 * 4
    store.remove_store(entry.path)
    assert store.list_stores(folder) == []
    assert basin.precipitation[0, 0] > 0
    for innocent in (folder / "notes", folder / ("b" * 32)):
        with pytest.raises(InputError, match="is not a store"):
            store.remove_store(innocent)


def test_a_basin_in_its_store_is_opened_without_the_libraries_of_rasters(source: BasinSource, tmp_path: Path) -> None:
    """They take longer to import than all else that such a start does."""
    basin = open_basin(source, tmp_path / "store")
    script = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "from hydrocli.basin.ingest import open_basin\n"
        "source = pickle.loads(Path(sys.argv[1]).read_bytes())\n"
        "basin = open_basin(source, Path(sys.argv[2]))\n"
        "heavy = {'rasterio', 'pyflwdir', 'pyproj', 'pandas', 'geopandas', 'xarray', 'numba'}\n"
        "print(basin.fingerprint, *sorted(heavy & set(sys.modules)))\n"
    )
    (tmp_path / "source").write_bytes(pickle.dumps(source))
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "source", tmp_path / "store"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == [basin.fingerprint]
