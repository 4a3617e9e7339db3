"""From a folder of files to a `Basin`: every value in its step and cell, or a sentence that says why not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydrocli.basin import forcing, ingest
from hydrocli.basin.basin import Basin
from hydrocli.basin.coverage import inspect
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.grid import latitudes
from hydrocli.basin.ingest import open_basin
from hydrocli.basin.pet import HOURLY_WEIGHTS, extraterrestrial_radiation, oudin
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import BasinSource, DescriptorSource, make_plan
from hydrocli.errors import Errors, InputError

Writer = Callable[..., Path]
DAYLIGHT = np.concatenate([np.zeros(6), HOURLY_WEIGHTS, np.zeros(6)])
SINGLE = 1e-6
"""Relative rounding of float32 is 6e-8; a factor and a share make it a few times that."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def number(basin: Basin) -> np.ndarray:
    """4 r + c of each active cell; the domain spans all rows and columns of the small archive."""
    return 4.0 * basin.network.row + basin.network.column


def rain_of_hour(source: BasinSource, hour: int) -> Path:
    stamp = str(source.start + np.timedelta64(hour, "h"))
    digits = "".join(filter(str.isdigit, stamp))[:12]
    return next(source.precipitation.path.rglob(f"*{digits}*"))


def test_every_part_of_a_basin(source: BasinSource, store: Path) -> None:
    basin = open_basin(source, store)
    assert len(basin.network) == 11
    assert basin.network.grid.shape == (4, 4)
    assert basin.gauges.code == ("A1", "B2")
    np.testing.assert_array_equal(basin.gauges.area_found, [11e6, 7e6])
    assert basin.times[0] == np.datetime64("2019-02-28T01:00")
    assert basin.times[-1] == source.end
    expected = np.arange(1, 37)[:, None] + number(basin) / 100
    np.testing.assert_allclose(basin.precipitation, expected, rtol=SINGLE)
    assert basin.precipitation.dtype == basin.pet.dtype == np.float32
    assert isinstance(basin.precipitation, np.memmap)
    np.testing.assert_array_equal(basin.discharge, [100.0 + np.arange(1, 37), 50.0 + np.arange(1, 37)])
    slope = number(basin)
    slope[slope == 1] = np.nan
    np.testing.assert_array_equal(basin.descriptors["slope"], slope)


def test_days_after_february_keep_their_own_files(source: BasinSource, store: Path) -> None:
    """2019 is no leap year: the peer reads 29 February (99 mm here) on 1 March, and every later day one too early."""
    basin = open_basin(source, store)
    daily = np.concatenate([2.0 * DAYLIGHT, 3.0 * DAYLIGHT[:12]])
    np.testing.assert_allclose(basin.pet, np.tile(daily[:, None], 11), rtol=SINGLE)


def days_of_pet(source: BasinSource) -> list[str]:
    """Names of the files for 28 February 2020 and the day after."""
    start = np.datetime64("2020-02-28T00:00")
    for path in source.precipitation.path.rglob("*.tif"):
        path.rename(path.with_name(path.name.replace("_2019", "_2020")))
    plan = make_plan(replace(source, start=start, end=start + np.timedelta64(36, "h")))
    return [Path(piece.layers[0].path).name[:4] for piece in plan.arrays["pet"].pieces if piece.layers[0]]


def test_a_leap_day_has_its_own_file(source: BasinSource) -> None:
    assert days_of_pet(source) == ["0228", "0229"]


def test_a_leap_day_without_a_file_has_that_of_the_day_before(source: BasinSource) -> None:
    (source.pet.path / "0229_PET.tif").unlink()
    assert days_of_pet(source) == ["0228", "0228"]


def test_gaps_are_missing_and_told(source: BasinSource, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    for hour in (3, 4, 9):
        rain_of_hour(source, hour).unlink()
    (source.pet.path / "0301_PET.tif").unlink()
    basin = open_basin(source, store)
    missing = np.isnan(basin.precipitation)
    np.testing.assert_array_equal(np.flatnonzero(missing.any(axis=1)), [2, 3, 8])
    np.testing.assert_array_equal(missing.any(axis=1), missing.all(axis=1))
    np.testing.assert_array_equal(basin.pet[24:], basin.pet[:12])
    assert "pet is filled from the nearest days in 33.333% of steps and cells" in caplog.messages
    told = "precipitation has no file at 3 of 36 steps: 2019-02-28T03:00:00 to 2019-02-28T04:00:00, 2019-02-28T09:00:00"
    assert told in caplog.messages
    caplog.clear()
    open_basin(source, store)
    assert told in caplog.messages


def test_negative_rain_is_missing_and_counted(
    source: BasinSource, store: Path, write_raster: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    values = np.ones((4, 4))
    values[1, 1] = -1
    write_raster(rain_of_hour(source, 5), values)
    basin = open_basin(source, store)
    (step, cell), *others = np.argwhere(np.isnan(basin.precipitation))
    assert (step, basin.network.row[cell], basin.network.column[cell]) == (4, 1, 1)
    assert not others
    assert "precipitation had 1 negative values, which count as missing" in caplog.messages


def test_part_of_the_domain_without_rain_data_is_told(
    source: BasinSource, store: Path, write_raster: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    for path in source.precipitation.path.rglob("*.tif"):
        write_raster(path, np.ones((4, 3)))
    basin = open_basin(source, store)
    np.testing.assert_array_equal(np.isnan(basin.precipitation[0]), basin.network.column == 3)
    assert "precipitation does not cover 18.2% of the active cells" in caplog.messages


def test_several_processes_give_the_same(source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = open_basin(source, tmp_path / "one")
    monkeypatch.setattr(forcing, "WORTH_A_PROCESS", 10)
    monkeypatch.setattr(forcing, "BATCH", 5)
    told: list[tuple[str, int, int]] = []
    together = open_basin(source, tmp_path / "two", 2, lambda *progress: told.append(progress))
    np.testing.assert_array_equal(together.precipitation, alone.precipitation)
    np.testing.assert_array_equal(together.pet, alone.pet)
    assert ("precipitation", 36, 36) in told
    assert told[-1][0] == "pet"
    rain_of_hour(source, 30).write_bytes(b"II*\0broken")
    with pytest.raises(InputError, match=r"201903010600\.tif: cannot be read"):
        open_basin(source, tmp_path / "three", 2)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_workers_end_with_a_killed_process(source: BasinSource, tmp_path: Path) -> None:
    script = tmp_path / "ingest.py"
    script.write_text(
        "import os, signal\n"
        "from multiprocessing import active_children\n"
        "from hydrocli.basin import forcing\n"
        "def report(done, total):\n"
        "    print(*[child.pid for child in active_children()], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    batches = [(i,) for i in range(1000)]\n"
        "    for done in forcing.run_in_processes(len, batches, 2):\n"
        "        report(done, 1000)\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in ended.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.05)


def test_broken_rasters_may_count_as_missing(source: BasinSource, store: Path) -> None:
    rain_of_hour(source, 1).write_bytes(b"")
    rain_of_hour(source, 7).write_bytes(b"II*\0broken")
    with pytest.raises(InputError, match="cannot be read as a raster"):
        open_basin(source, store)
    basin = open_basin(replace(source, unreadable_as_missing=True), store)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(basin.precipitation).all(axis=1)), [0, 6])


def test_a_file_that_vanishes_after_listing_is_named(
    source: BasinSource, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = rain_of_hour(source, 20)
    monkeypatch.setattr(ingest, "make_domain", lambda given, build=ingest.make_domain: (lost.unlink(), build(given))[1])
    with pytest.raises(InputError, match=rf"{lost.name}: does not exist, or not any more"):
        open_basin(source, store)
    assert not list(store.iterdir())


def test_given_pet_of_each_step(source: BasinSource, store: Path) -> None:
    given = replace(
        source,
        pet=replace(source.precipitation, scale_factor=0.001),
        pet_kind="raster",
    )
    basin = open_basin(given, store)
    np.testing.assert_allclose(basin.pet, basin.precipitation / 100, rtol=SINGLE)


def test_given_pet_of_days_is_split(source: BasinSource, store: Path, write_raster: Writer) -> None:
    folder = source.flow_directions.parent / "given"
    for day, amount in (("20190228", 4.0), ("20190301", 6.0)):
        write_raster(folder / f"{day}.tif", np.full((4, 4), amount))
    basin = open_basin(replace(source, pet=ForcingSource(folder), pet_kind="raster"), store)
    daily = np.concatenate([4.0 * DAYLIGHT, 6.0 * DAYLIGHT[:12]])
    np.testing.assert_allclose(basin.pet, np.tile(daily[:, None], 11), rtol=SINGLE)


def oudin_of(basin: Basin, temperature: float, day: str) -> np.ndarray:
    latitude = latitudes(basin.network.grid, basin.network.x, basin.network.y)
    return oudin(np.full(11, temperature), extraterrestrial_radiation(latitude, np.datetime64(day)))


def test_oudin_from_daily_temperature(source: BasinSource, store: Path, write_raster: Writer) -> None:
    folder = source.flow_directions.parent / "temperature"
    for day, kelvin in (("20190228", 283.15), ("20190301", 263.15)):
        write_raster(folder / f"{day}.tif", np.full((4, 4), kelvin))
    kelvin = replace(source, pet=None, temperature=ForcingSource(folder), pet_kind="oudin")
    with pytest.raises(InputError, match=r"temperature of 283.15, degrees C are expected\n.*unit: K"):
        open_basin(kelvin, store)
    basin = open_basin(replace(kelvin, temperature=ForcingSource(folder, add_offset=-273.15)), store)
    expected = np.outer(DAYLIGHT, oudin_of(basin, 10.0, "2019-02-28"))
    np.testing.assert_allclose(basin.pet[:24], expected, rtol=SINGLE)
    assert expected.sum(axis=0).min() > 1  # mm on a mild day of late winter
    np.testing.assert_array_equal(basin.pet[24:], 0)


def test_oudin_from_hourly_temperature_is_that_of_the_mean_of_the_day(
    source: BasinSource, store: Path, write_raster: Writer
) -> None:
    """The hour that ends at midnight belongs to the day before; half a day is enough for a mean, less is a gap."""
    folder = source.flow_directions.parent / "temperature"
    for hour in [*range(1, 25), *range(25, 36)]:
        stamp = "".join(filter(str.isdigit, str(source.start + np.timedelta64(hour, "h"))))
        write_raster(folder / f"T_{stamp}.tif", np.full((4, 4), 8.0 + (24.0 if hour == 24 else 0.0)))
    hourly = replace(source, pet=None, temperature=ForcingSource(folder), pet_kind="oudin")
    basin = open_basin(hourly, store)
    expected = np.outer(DAYLIGHT, oudin_of(basin, 9.0, "2019-02-28"))
    np.testing.assert_allclose(basin.pet[:24], expected, rtol=SINGLE)
    np.testing.assert_array_equal(basin.pet[24:], basin.pet[:12])
    with pytest.raises(Errors, match=r"forcing.temperature.path: has no field from .*03-01T01:00:00 .*0 days beside"):
        open_basin(replace(hourly, fill_pet=0), store)


def test_daily_steps_take_files_by_their_dates(source: BasinSource, store: Path, write_raster: Writer) -> None:
    folder = source.flow_directions.parent / "daily"
    for day in (1, 2, 3):
        write_raster(folder / f"2019030{day}.tif", np.full((4, 4), float(day)))
    daily = replace(
        source,
        start=np.datetime64("2019-02-28T00:00"),
        end=np.datetime64("2019-03-03T00:00"),
        step=86400,
        precipitation=ForcingSource(folder),
        pet=ForcingSource(folder),
        pet_kind="raster",
        discharge=None,
    )
    basin = open_basin(daily, store)
    np.testing.assert_array_equal(basin.precipitation[:, 0], [1, 2, 3])
    np.testing.assert_array_equal(basin.pet[:, 0], [1, 2, 3])
    assert np.isnan(basin.discharge).all()


def test_archives_of_another_step_are_added_up_or_split(
    source: BasinSource, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hourly = replace(source, discharge=None)
    rain = open_basin(hourly, store).precipitation
    basin = open_basin(replace(hourly, step=7200), store)
    np.testing.assert_allclose(basin.precipitation, rain[::2] + rain[1::2], rtol=SINGLE)
    assert "precipitation has a field every hour: 2 are added up to a step" in caplog.messages
    basin = open_basin(replace(hourly, step=900), store)
    np.testing.assert_allclose(basin.precipitation, np.repeat(rain, 4, axis=0) / 4, rtol=SINGLE)
    assert "precipitation has a field every hour: each is split evenly over 4 steps" in caplog.messages


def test_a_period_that_is_no_number_of_steps_is_refused(source: BasinSource, store: Path) -> None:
    for end in ("2019-02-28T00:00", "2019-02-28T10:30"):
        with pytest.raises(InputError, match="is not a number of steps of 3600 s"):
            open_basin(replace(source, end=np.datetime64(end)), store)


def test_all_that_is_missing_is_told_at_once(source: BasinSource, store: Path) -> None:
    nowhere = Path("/nowhere")
    broken = replace(
        source,
        flow_directions=nowhere / "flow.tif",
        precipitation=ForcingSource(nowhere),
        pet=ForcingSource(nowhere),
        discharge=DischargeSource(nowhere),
        descriptors={"dd": DescriptorSource(nowhere / "dd.tif")},
        gauge_codes=("A1", "Z9"),
    )
    with pytest.raises(Errors) as caught:
        open_basin(broken, store)
    for part in (
        "no gauge Z9",
        "gauges.discharge.path: /nowhere does not exist",
        "forcing.precipitation.path: /nowhere does not exist",
        "forcing.pet.path: /nowhere does not exist",
        "basin.flow_directions.path: /nowhere/flow.tif does not exist",
        "basin.descriptors.dd: /nowhere/dd.tif does not exist",
    ):
        assert part in str(caught.value)


def test_a_period_without_files_is_refused(source: BasinSource, store: Path) -> None:
    year = np.timedelta64(365, "D")
    with pytest.raises(Errors, match=r"forcing.precipitation.path: has no field in the period"):
        open_basin(replace(source, start=source.start + year, end=source.end + year), store)


def test_gauges_chosen_by_their_codes_make_the_domain(source: BasinSource, store: Path) -> None:
    basin = open_basin(replace(source, gauge_codes=("B2",)), store)
    assert len(basin.network) == 7
    assert basin.gauges.cell.tolist() == [6]
    assert basin.discharge[0, 0] == 51


def test_a_look_at_the_files_and_a_look_at_the_store_tell_the_same(source: BasinSource, store: Path) -> None:
    rain_of_hour(source, 3).unlink()
    assert source.discharge is not None
    (source.discharge.path / "B2.csv").unlink()
    before = inspect(source, store)
    basin = open_basin(source, store)
    after = inspect(source, store)
    assert before.store is None
    assert after.store == store / basin.fingerprint
    assert not before.errors
    for coverage in (before, after):
        assert coverage.network is not None
        assert coverage.gauges is not None
        assert len(coverage.network) == 11
        assert coverage.gauges.code == ("A1", "B2")
        assert coverage.observed_missing is not None
        assert coverage.observed_missing.tolist() == [0, 1]
        assert coverage.descriptors_missing == {"slope": pytest.approx(1 / 11)}
        rain, pet = coverage.forcings
        third = np.datetime64("2019-02-28T03:00")
        assert (rain.files, rain.steps, rain.steps_without_files, rain.gaps) == (35, 36, 1, ((third, third),))
        assert (pet.files, pet.gaps, pet.uncovered) == (2, (), 0)
        assert "gauge B2 has no file of discharge" in coverage.notes
    assert before.forcings[0].missing is None
    assert after.forcings[0].missing == pytest.approx(1 / 36)


def test_a_look_collects_all_problems(source: BasinSource, write_raster: Writer) -> None:
    source.gauges.write_text("code,x,y,area\nA1,801500,6446500,30\n")
    (source.pet.path / "0228_PET.tif").unlink()
    (source.pet.path / "0301_PET.tif").unlink()
    coverage = inspect(source)
    assert [str(error).splitlines()[0] for error in coverage.errors] == [
        "forcing.pet.path: has no field in the period",
        "gauges.table: drained areas differ by more than 20%: A1 30 km2 in the table, 11 found",
    ]


def test_no_temperature_without_a_source(source: BasinSource, store: Path) -> None:
    basin = open_basin(source, store)
    assert basin.temperature is None
    assert not list(store.rglob("temperature*"))


def test_daily_temperature_holds_for_all_steps_of_its_day(
    source: BasinSource, store: Path, write_raster: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """Also beside pet from elsewhere; a day without a file is missing, and said to be."""
    folder = source.flow_directions.parent / "temperature"
    write_raster(folder / "20190228.tif", 280.0 + np.arange(16.0).reshape(4, 4))
    with_temperature = replace(source, temperature=ForcingSource(folder, unit="K"))
    basin = open_basin(with_temperature, store)
    np.testing.assert_array_equal(basin.pet, open_basin(source, store).pet)
    assert basin.temperature is not None
    assert basin.temperature.dtype == np.float32
    expected = np.tile(280.0 - 273.15 + number(basin), (24, 1))
    np.testing.assert_allclose(basin.temperature[:24], expected, rtol=SINGLE)
    assert np.isnan(basin.temperature[24:]).all()
    assert "temperature has no file at 12 of 36 steps: 2019-03-01T01:00:00 to 2019-03-01T12:00:00" in caplog.messages
    missing = 12 / 36
    assert (
        f"temperature is missing in {missing:.3%} of steps and cells, first at 2019-03-01T01:00:00" in caplog.messages
    )


def hourly_temperature(source: BasinSource, write_raster: Writer, every: int = 1) -> ForcingSource:
    """At hour h of the archive h degrees; a file every so many hours."""
    folder = source.flow_directions.parent / "temperature"
    for hour in range(every, 49, every):
        stamp = "".join(filter(str.isdigit, str(source.start + np.timedelta64(hour, "h"))))
        write_raster(folder / f"T_{stamp}.tif", np.full((4, 4), float(hour)))
    return ForcingSource(folder)


def test_hourly_temperature_is_that_of_its_step(source: BasinSource, store: Path, write_raster: Writer) -> None:
    warm = replace(source, pet=None, pet_kind="oudin", temperature=hourly_temperature(source, write_raster))
    next(warm.temperature.path.glob("*201902280500*")).unlink()  # type: ignore[union-attr]
    basin = open_basin(warm, store)
    assert basin.temperature is not None
    expected = np.arange(1.0, 37.0)
    expected[4] = np.nan
    np.testing.assert_array_equal(basin.temperature[:, 3], expected)
    mean = np.nanmean(np.delete(np.arange(1.0, 25.0), 4))
    np.testing.assert_allclose(basin.pet[:24], np.outer(DAYLIGHT, oudin_of(basin, mean, "2019-02-28")), rtol=SINGLE)


@pytest.mark.parametrize(
    ("step", "every", "expected"),
    [
        (10800, 1, [2, 5, 8, 11]),  # mean of three hours
        (3600, 3, [3, 3, 3, 6]),  # the interval that holds the step
        (86400, 1, [12.5]),  # mean of the day
        (86400, 6, [15]),
    ],
)
def test_temperature_of_steps_finer_or_coarser_than_the_files(
    source: BasinSource, store: Path, write_raster: Writer, step: int, every: int, expected: list[float]
) -> None:
    folder = source.flow_directions.parent / "any"
    for hour in range(step // 3600, 49, step // 3600):
        stamp = "".join(filter(str.isdigit, str(source.start + np.timedelta64(hour, "h"))))
        write_raster(folder / f"{stamp}.tif", np.ones((4, 4)))
    changed = replace(
        source,
        step=step,
        end=source.start + np.timedelta64(24, "h"),
        precipitation=ForcingSource(folder),
        discharge=None,
        temperature=hourly_temperature(source, write_raster, every),
    )
    basin = open_basin(changed, store)
    assert basin.temperature is not None
    np.testing.assert_allclose(basin.temperature[: len(expected), 0], expected, rtol=SINGLE)
    assert not np.isnan(basin.temperature).any()


def test_a_look_recognises_kelvin_and_wrong_signs(source: BasinSource, store: Path, write_raster: Writer) -> None:
    """In a sample of the files, before anything is ingested."""
    folder = source.flow_directions.parent / "temperature"
    for day in ("20190228", "20190301"):
        write_raster(folder / f"{day}.tif", np.full((4, 4), 283.15))
    kelvin = inspect(replace(source, temperature=ForcingSource(folder)), store)
    (error,) = kelvin.errors
    assert "has a temperature of 283.15, degrees C are expected\n  Write `unit: K`" in str(error)
    sound = inspect(replace(source, temperature=ForcingSource(folder, unit="K")), store)
    rain, pet, temperature = sound.forcings
    assert temperature.lowest == temperature.highest == pytest.approx(10.0)
    assert temperature.unit == "K (stated by `unit`)"
    assert (rain.unit, pet.unit) == ("mm per hour (after scale_factor)", "mm per day (assumed)")
    assert "end of its step" in rain.label
    assert rain.lowest == pytest.approx(1.0)
    assert rain.highest == pytest.approx(36.13)
    for path in source.pet.path.glob("*.tif"):  # type: ignore[union-attr]
        write_raster(path, np.full((4, 4), -2.0))
    (negative,) = inspect(source, store).errors
    assert "100% of the values are negative" in str(negative)
    assert "Write `forcing.pet.scale_factor: -1`" in str(negative)


def test_a_vector_file_as_a_raster_is_explained(source: BasinSource, store: Path) -> None:
    shapefile = source.flow_directions.parent / "land.shp"
    shapefile.write_bytes(b"\0\0'\n" + bytes(100))
    with pytest.raises(InputError, match=r"land\.shp: is a Shapefile, which holds points.*\n.*gdal_rasterize"):
        open_basin(replace(source, flow_directions=shapefile), store)
