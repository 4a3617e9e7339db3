"""Listings that are kept: nothing that changes the basin goes unnoticed, and what has not changed is not listed."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from field_cases import write_raster

from hydrocli.basin import listings
from hydrocli.basin.ingest import ingest_batch, open_basin
from hydrocli.basin.readers import ForcingSource, geotiff
from hydrocli.basin.source import BasinSource, fingerprint_of, make_plan


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archives of these tests are as fresh as can be."""
    monkeypatch.setattr(listings, "FRESH", 0.0)


@pytest.fixture
def packed(source: BasinSource) -> BasinSource:
    """The first day of rain in a zip archive, the second one in a folder."""
    day = source.precipitation.path / "20190228"
    with zipfile.ZipFile(day.with_suffix(".zip"), "w") as archive:
        for path in sorted(day.iterdir()):
            archive.write(path, path.name)
    shutil.rmtree(day)
    return source


def listed(source: BasinSource, folder: Path) -> str | None:
    """What the kept listing says, where it still holds."""
    plan = make_plan(source, folder)
    return fingerprint_of(source, plan) if plan.forcing._listing else None


def refuse(*args: object) -> NoReturn:
    raise AssertionError("an archive was listed")


def test_an_archive_that_has_not_changed_is_not_listed(
    source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    next(source.precipitation.path.rglob("*201902280500.tif")).unlink()
    (source.precipitation.path / "readme.tif").touch()
    first = open_basin(source, tmp_path / "store")
    told = list(caplog.messages)
    assert any("left out" in text for text in told)
    caplog.clear()
    monkeypatch.setattr(geotiff, "find_files", refuse)
    assert open_basin(source, tmp_path / "store").fingerprint == first.fingerprint
    assert caplog.messages == told
    assert ingest_batch([source], tmp_path / "store") == [first.fingerprint]


def first_of(source: BasinSource) -> Path:
    return min(path for path in source.precipitation.path.rglob("*") if path.is_file())


def rewritten(source: BasinSource) -> None:
    path = first_of(source)
    path.write_bytes(path.read_bytes() + b"\0")


def touched(source: BasinSource) -> None:
    os.utime(first_of(source), ns=(0, first_of(source).stat().st_mtime_ns + 1))


def removed(source: BasinSource) -> None:
    max(source.precipitation.path.rglob("*.tif")).unlink()


def renamed(source: BasinSource) -> None:
    last = max(source.precipitation.path.rglob("*.tif"))
    last.rename(last.with_name(f"RAIN{last.name[4:]}"))


def moved(source: BasinSource) -> None:
    folder = max(source.precipitation.path.rglob("*.tif")).parent
    folder.rename(folder.with_name("moved"))


def in_a_new_folder(source: BasinSource) -> None:
    path = max(source.precipitation.path.rglob("*.tif"))
    (source.precipitation.path / "late").mkdir()
    path.rename(source.precipitation.path / "late" / path.name)


def replaced_folder(source: BasinSource) -> None:
    folder = max(source.precipitation.path.rglob("*.tif")).parent
    shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def day_of_pet(source: BasinSource) -> None:
    assert source.pet is not None
    touched(replace(source, precipitation=source.pet))


CHANGES: list[Callable[[BasinSource], None]] = [
    rewritten, touched, removed, renamed, moved, in_a_new_folder, replaced_folder, day_of_pet
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change: Callable[[BasinSource], None], packed: BasinSource, tmp_path: Path) -> None:
    """With the kept listing the fingerprint is that of a start without it."""
    before = open_basin(packed, tmp_path / "store").fingerprint
    assert listed(packed, tmp_path / "store") == before
    change(packed)
    assert listed(packed, tmp_path / "store") is None
    now = fingerprint_of(packed, make_plan(packed, tmp_path / "store"))
    assert now == fingerprint_of(packed, make_plan(packed))
    assert now != before
    assert open_basin(packed, tmp_path / "store").fingerprint == now
    assert listed(packed, tmp_path / "store") == now


def test_a_file_that_only_might_hold_fields_is_noticed(source: BasinSource, tmp_path: Path) -> None:
    """An archive without a raster gets one, in place: its folder does not change."""
    archive = source.precipitation.path / "more.zip"
    inside = write_raster(tmp_path / "rain_201902280500.tif", np.ones((4, 4), np.float32))
    lost = next(source.precipitation.path.rglob("*201902280500.tif"))
    lost.unlink()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "nothing")
    open_basin(source, tmp_path / "store")
    assert listed(source, tmp_path / "store")
    with zipfile.ZipFile(archive, "a") as file:
        file.write(inside, inside.name)
    assert listed(source, tmp_path / "store") is None
    basin = open_basin(source, tmp_path / "store")
    assert np.isfinite(basin.precipitation).all()


def test_times_within_files_are_noticed(source: BasinSource, tmp_path: Path) -> None:
    """A NetCDF file after the period gets times within it, in place."""
    xarray = pytest.importorskip("xarray")
    folder = tmp_path / "netcdf"
    folder.mkdir()

    def write(name: str, first: np.datetime64) -> None:
        times = first + np.arange(1, 19) * np.timedelta64(1, "h")
        axis = 500.0 + 1000 * np.arange(4)
        grid = {"y": 6_450_000 - axis, "x": 800_000 + axis}
        fields = xarray.DataArray(np.ones((18, 4, 4), np.float32), {"time": times.astype("datetime64[ns]"), **grid})
        fields.to_dataset(name="rain").to_netcdf(folder / name)

    write("a.nc", source.start)
    write("b.nc", source.start + np.timedelta64(30, "D"))
    rain = ForcingSource(folder, "netcdf", crs="EPSG:2154")
    cf = replace(source, precipitation=rain, discharge=None)
    assert np.isnan(open_basin(cf, tmp_path / "store").precipitation[18:]).all()
    assert listed(cf, tmp_path / "store")
    write("b.nc", source.start + np.timedelta64(18, "h"))
    assert listed(cf, tmp_path / "store") is None
    assert np.isfinite(open_basin(cf, tmp_path / "store").precipitation).all()


def test_what_has_just_changed_is_not_kept(
    source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change might have the same time."""
    monkeypatch.setattr(listings, "FRESH", 60.0)
    open_basin(source, tmp_path / "store")
    assert listed(source, tmp_path / "store") is None
    for path in (source.precipitation.path, source.pet.path):  # type: ignore[union-attr]
        for inside in (path, *path.rglob("*")):
            os.utime(inside, (0, 0))
    open_basin(source, tmp_path / "store")
    assert listed(source, tmp_path / "store")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", None])
def test_a_broken_listing_is_made_again(damage: bytes | None, source: BasinSource, tmp_path: Path) -> None:
    before = open_basin(source, tmp_path / "store").fingerprint
    (path,) = (tmp_path / "store" / listings.FOLDER).iterdir()
    path.write_bytes(damage if damage is not None else path.read_bytes()[:-30])
    assert listed(source, tmp_path / "store") is None
    assert open_basin(source, tmp_path / "store").fingerprint == before
    assert listed(source, tmp_path / "store") == before


def test_a_folder_that_cannot_be_written_keeps_nothing(
    source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(listings, "atomic_write", full)
    open_basin(source, tmp_path / "store")
    assert listed(source, tmp_path / "store") is None


def test_old_listings_are_removed(source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "KEPT", 2)
    for hours in (10, 20, 30):
        open_basin(replace(source, end=source.start + np.timedelta64(hours, "h")), tmp_path / "store")
    assert len(list((tmp_path / "store" / listings.FOLDER).iterdir())) == 2


def test_what_is_absent_is_not_kept(source: BasinSource, tmp_path: Path) -> None:
    """A link to a file that is not there: it may come without a change of the folder."""
    path = first_of(source)
    path.unlink()
    path.symlink_to(tmp_path / "later.tif")
    lenient = replace(source, unreadable_as_missing=True)
    open_basin(lenient, tmp_path / "store")
    assert listed(lenient, tmp_path / "store") is None
    write_raster(tmp_path / "later.tif", np.ones((4, 4), np.float32))
    assert np.isfinite(open_basin(lenient, tmp_path / "store").precipitation).all()
