"""Basins read together get the stores that each would have got alone; what is wrong with one stays with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.ingest import ingest_batch, open_basin
from hydrocli.basin.readers import Layer
from hydrocli.basin.readers.geotiff import RasterSampler
from hydrocli.basin.source import BasinSource, inputs_read_once, make_plan
from hydrocli.basin.tables import LargeTable
from hydrocli.errors import InputError, Stopped
from hydrocli.experiment.inputs import observed

Writer = Callable[..., Path]


@pytest.fixture
def catchments(source: BasinSource) -> list[BasinSource]:
    """The two gauges of the small archive, each with its catchment only; one lies within the other."""
    return [replace(source, gauge_codes=(code,)) for code in ("A1", "B2")]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "meta.json"}


def test_stores_are_those_of_each_alone(catchments: list[BasinSource], tmp_path: Path) -> None:
    found = ingest_batch(catchments, tmp_path / "together")
    for source, fingerprint in zip(catchments, found, strict=True):
        alone = open_basin(source, tmp_path / "alone")
        assert alone.fingerprint == fingerprint
        assert files(tmp_path / "together" / alone.fingerprint) == files(tmp_path / "alone" / alone.fingerprint)
        both = [open_basin(source, tmp_path / name) for name in ("together", "alone")]
        np.testing.assert_array_equal(both[0].precipitation, both[1].precipitation)
    assert len(set(found)) == 2
    assert ingest_batch(catchments, tmp_path / "together") == found


def test_every_raster_is_read_once(
    catchments: list[BasinSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    read = RasterSampler.read_many

    def counting(self: RasterSampler, layers: list[Layer]) -> np.ndarray:
        counted.extend(layer.path for layer in layers)
        return read(self, layers)

    monkeypatch.setattr(RasterSampler, "read_many", counting)
    ingest_batch([*catchments, catchments[0]], tmp_path)
    assert len(counted) == len(set(counted)) == 36 + 2


def test_what_is_wrong_with_one_stays_with_it(
    catchments: list[BasinSource], source: BasinSource, write_raster: Writer, tmp_path: Path
) -> None:
    """Rain of 9 m outside the inner catchment, a gauge that is not there, and a sound one."""
    values = np.ones((4, 4))
    values[2, 1] = 1e5
    write_raster(next(source.precipitation.path.rglob("*201902280500*")), values)
    outer, inner, unknown = ingest_batch([*catchments, replace(source, gauge_codes=("C3",))], tmp_path)
    assert isinstance(outer, InputError)
    assert "more than was ever measured" in outer.what
    assert isinstance(inner, str)
    assert isinstance(unknown, InputError)
    assert [path.name for path in tmp_path.iterdir() if path.name != "archive"] == [inner]


def test_a_stop_is_no_fault_of_a_basin(catchments: list[BasinSource], tmp_path: Path) -> None:
    def stopping(*_: object) -> None:
        raise Stopped("here", "stopped by SIGINT")

    with pytest.raises(Stopped):
        ingest_batch(catchments, tmp_path / "store", progress=stopping)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_broken_raster_is_told_for_all(catchments: list[BasinSource], source: BasinSource, tmp_path: Path) -> None:
    broken = next(source.precipitation.path.rglob("*201902280500*"))
    broken.write_bytes(b"II*\0")
    found = ingest_batch(catchments, tmp_path / "store")
    assert [error.where for error in found if isinstance(error, InputError)] == [str(broken)] * 2
    assert not list((tmp_path / "store").iterdir())


def test_an_archive_is_listed_once_within_the_block_only(source: BasinSource) -> None:
    with inputs_read_once():
        first = make_plan(source).forcing
        assert make_plan(replace(source, gauge_codes=("B2",))).forcing is first
        assert (
            make_plan(replace(source, precipitation=replace(source.precipitation, scale_factor=1.0))).forcing
            is not first
        )
    assert make_plan(source).forcing is not make_plan(source).forcing


def test_a_tidy_table_is_read_once(
    catchments: list[BasinSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all basins that are ingested together; a run whose store is there does not read it again."""
    hours = np.arange(1, 37)
    times = [str(catchments[0].start + hour * np.timedelta64(1, "h")) for hour in hours]
    bases = {"B2": 50, "A1": 100}
    rows = [f"{code},{time}Z,{base + hour}" for code, base in bases.items() for hour, time in enumerate(times)]
    table = tmp_path / "tidy.csv"
    table.write_text("\n".join(["gauge,time,discharge", *rows]) + "\n")
    tidy = [replace(source, discharge=DischargeSource(table, "tidy")) for source in catchments]
    counted: list[Path] = []
    read = LargeTable.read
    monkeypatch.setattr(LargeTable, "read", lambda self, columns: (counted.append(self.path), read(self, columns))[1])
    ingest_batch(tidy, tmp_path / "store")
    assert counted == [table]
    for source, base in zip(tidy, (100, 50), strict=True):
        plan = make_plan(source)
        np.testing.assert_array_equal(observed(source, plan, tmp_path / "store").discharge, [base + hours - 1])
        assert counted == [table]
        np.testing.assert_array_equal(observed(source, plan, tmp_path / "other").discharge, [base + hours - 1])
        assert counted.pop() == table
    table.write_text(table.read_text().replace("B2,2019-02-28T01:00Z,50", "B2,2019-02-28T01:00Z,51.5"))
    assert observed(tidy[1], make_plan(tidy[1]), tmp_path / "store").discharge[0, 0] == 51.5
