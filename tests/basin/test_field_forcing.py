"""Forcing as institutes have it: each awkward input reads right, or ends with the file, the cause and the key to write.

The base case is `field_cases.base_case`; expected values are its own.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import field_cases as field
import numpy as np
import pytest
import rasterio
from field_cases import END, HOURS, RAIN, START, raster, stamp, write_rain

from hydrocli.basin.coverage import inspect
from hydrocli.basin.file_names import dates_of, days_of, patterns_of
from hydrocli.basin.ingest import open_basin
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import BasinSource, make_plan
from hydrocli.commands.check import check
from hydrocli.config import load
from hydrocli.errors import HydrocliError
from hydrocli.experiment.inputs import refuse_missing_rain, source_of

Case = Callable[..., BasinSource]
HOUR = np.timedelta64(1, "h")
WET = 10
"""Index of the second wet hour."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("field") / "base"
    field.base_case(folder)
    return folder


@pytest.fixture
def case(base: Path, tmp_path: Path) -> Case:
    """A copy of the base case, and its source with changes of the rain; `without` leaves the rain files out."""

    def make(without: bool = False, **rain: Any) -> BasinSource:
        folder = tmp_path / "case"
        ignored = shutil.ignore_patterns("rain") if without else None
        shutil.copytree(base, folder, ignore=ignored)
        source = BasinSource(
            start=START, end=END, step=3600, flow_directions=folder / "flwdir.tif", encoding="smash",
            gauges=folder / "gauges.csv", gauge_codes=("G1", "G2"), precipitation=ForcingSource(folder / "rain"),
            pet=ForcingSource(folder / "pet"), pet_kind="interannual",
        )  # fmt: skip
        return replace(source, precipitation=replace(source.precipitation, **rain))

    return make


def folder_of(source: BasinSource) -> Path:
    return source.precipitation.path


def rain_of(source: BasinSource) -> np.ndarray:
    basin = open_basin(source, source.flow_directions.parent / "store")
    return np.array(basin.precipitation)


def notes_of(source: BasinSource) -> str:
    coverage = inspect(source)
    assert not coverage.errors, coverage.errors
    return "\n".join(coverage.notes)


def refusal(source: BasinSource) -> str:
    """What ends ingestion; a look at the files finds it, too."""
    with pytest.raises(HydrocliError) as caught:
        open_basin(source, source.flow_directions.parent / "store")
    looked = "\n".join(map(str, inspect(source).errors))
    assert looked
    return str(caught.value)


def rewrite(
    source: BasinSource, make: Callable[[float], Any], hours: list[np.datetime64] = HOURS, **options: Any
) -> None:
    """Rain files of some hours with an array made from the rain of the hour."""
    amounts = dict(zip(HOURS, RAIN, strict=True))
    for hour in hours:
        raster(folder_of(source) / f"{stamp(hour)}.tif", make(amounts[hour]), **options)


def full(value: float, dtype: str = "float32") -> np.ndarray:
    return np.full((6, 6), value, dtype)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return np.repeat(RAIN[:, None], 36, axis=1)


# --- 1: names ------------------------------------------------------------------------------------------------------


def test_the_radar_archive_of_france(case: Case, expected: np.ndarray) -> None:
    """`.gtif`, ten digits, uint16 in tenths, 65535 that nobody declares, companions of the same hours (row 1)."""
    source = case(without=True, scale_factor=0.1)
    for number, hour in enumerate(HOURS):
        values = full(10 * RAIN[number], "uint16")
        values[:, 0] = 65535
        if number == 5:
            values[:] = 65535
        name = stamp(hour, "%Y%m%d%H")
        raster(folder_of(source) / f"{name}_RR.gtif", values)
        raster(folder_of(source) / f"{name}_ERR.gtif", full(7, "uint8"))
    text = refusal(source)
    assert "have the same date 2020-03-01 01:00:00" in text
    assert "pattern: %Y%m%d%H_ERR.gtif" in text
    source = replace(source, precipitation=replace(source.precipitation, pattern=("%Y%m%d%H_RR.gtif",)))
    assert "2020030101_RR.gtif: has 6553.5 mm in a step" in str(inspect(source).errors[0])
    assert "`nodata: 65535` if this value" in str(inspect(source).errors[0])
    rain = rain_of(replace(source, precipitation=replace(source.precipitation, nodata=(65535.0,))))
    missing = np.zeros((48, 36), bool)
    missing[5] = True
    np.testing.assert_array_equal(np.isnan(rain).sum(axis=1), np.where(missing[:, 0], 36, 6))
    np.testing.assert_allclose(rain[~np.isnan(rain)], expected[~np.isnan(rain)], rtol=1e-6)


@pytest.mark.parametrize(
    ("form", "pattern", "rain"),
    [
        ("a_%Y%m%d%H_b.tif", "", {}),
        ("%Y%m%d_%H%M.tif", "", {}),
        ("%Y%m%d-%H%M%S.tif", "", {}),
        ("%Y-%m-%dT%H%M.tif", "", {}),
        ("rain_v20180101_%Y%m%d%H%M.tif", "", {}),
        ("%Y%m%d-S%H%M%S-E002959.tif", "%Y%m%d-S%H%M%S-E*.tif", {}),
        ("raa-10000-%y%m%d%H50-.tif", "raa-*-%y%m%d%H%M-.tif", {"offset": 600}),
        ("%Y/%j/%H.tif", "%Y/%j/%H.tif", {}),
        ("%Y%m%d%H%M.tif", "{valid:%Y%m%d%H%M}.tif", {}),
    ],
)
def test_names_of_many_archives(case: Case, form: str, pattern: str, rain: dict[str, Any]) -> None:
    """By the built-in rule, or with the pattern that its error proposes (rows 5, B40)."""
    source = case(without=True, **rain)
    write_rain(folder_of(source), form, shift=-1 if rain else 0)
    if pattern:
        if "%j" not in pattern and "{" not in pattern:
            assert f"pattern: {pattern}" in refusal(source)
        source = replace(source, precipitation=replace(source.precipitation, pattern=(pattern,)))
    plan = make_plan(source)
    (rain_pass, _) = plan.forcing.passes
    assert [piece.is_gap for piece in rain_pass.pieces] == [False] * 48
    with rasterio.open(rain_pass.pieces[WET].layers[0].path) as dataset:  # type: ignore[union-attr]
        assert dataset.read(1)[0, 0] == RAIN[WET]


A, B, C = "%Y%m%d_%H%M-*-*.tif", "*_%Y-%m-%d.tif", "r_*_%Y%m%d.tif"


@pytest.mark.parametrize(
    ("names", "times", "patterns"),
    [
        # The year of a date is no time of day of the date before it, where only the later date tells the files apart.
        (["20991231_2000-01-01_0000.tif", "20991231_2000-01-01_0100.tif"], ["2000-01-01T00", "2000-01-01T01"], []),
        (["20200301_2000-v2000-01-01.tif", "20200302_2000-v2000-01-01.tif"], ["2020-03-01T20", "2020-03-02T20"], []),
        (["20991231_2000-01-01.tif", "20991231_2001-01-01.tif"], [], [A, B]),
        (["20991231_2000-01-01.tif"], [], [A, B]),
        # Start and end of a step differ alike.
        (["r_20200301_20200302.tif", "r_20200302_20200303.tif"], [], ["r_%Y%m%d_*.tif", C]),
        (["r_20200301_20200301.tif", "r_20200302_20200302.tif"], ["2020-03-01T00", "2020-03-02T00"], []),
    ],
)
def test_names_with_two_possible_dates(names: list[str], times: list[str], patterns: list[str]) -> None:
    paths = [f"/rain/{name}" for name in names]
    where = "forcing.precipitation.path"
    if times:
        dated, _ = dates_of(paths, (), "/rain", where)
        assert [np.datetime64(time) for time, _ in dated] == [np.datetime64(time) for time in times]
        return
    with pytest.raises(HydrocliError) as caught:
        dates_of(paths, (), "/rain", where)
    assert f"the date in names such as {names[0]} may be" in str(caught.value)
    for pattern in patterns:
        assert f"`forcing.precipitation.pattern: {pattern}`" in str(caught.value)
        assert len(dates_of(paths, (pattern,), "/rain", where)[0]) == len(paths)
    assert patterns_of(paths) == [pattern for pattern in patterns_of(paths) if pattern in str(caught.value)]


def test_names_with_two_possible_days() -> None:
    paths = [f"/pet/v0102_{day}.tif" for day in ("0301", "0302")]
    assert [day for day, _ in days_of(paths, (), "/pet", "forcing.pet.path")] == ["0301", "0302"]
    with pytest.raises(HydrocliError, match=r"may be 0102 or 0301\n.*`forcing.pet.pattern: "):
        days_of(paths[:1], (), "/pet", "forcing.pet.path")


def test_names_with_points_are_days(case: Case) -> None:
    source = case(without=True)
    for day in ("2020.03.01", "2020.03.02", "2020.03.03"):
        raster(folder_of(source) / f"{day}.tif", full(24.0))
    assert "State `forcing.precipitation.label`: start or end." in refusal(source)
    source = replace(source, precipitation=replace(source.precipitation, label="start"))
    np.testing.assert_allclose(rain_of(source), 1.0)


def test_an_archive_whose_naming_changed(case: Case, expected: np.ndarray) -> None:
    """An error that names both forms, unless both are stated (row 6)."""
    source = case(without=True)
    write_rain(folder_of(source), "%Y%m%d%H%M.tif", HOURS[:24])
    write_rain(folder_of(source), "%Y%m%d%H.tif", HOURS[24:])
    text = refusal(source)
    assert "dates in 2 forms: 24 like 202003010100.tif; 24 like 2020030201.tif" in text
    assert "pattern: [%Y%m%d%H%M.tif, %Y%m%d%H.tif]" in text
    both = replace(source, precipitation=replace(source.precipitation, pattern=("%Y%m%d%H%M.tif", "%Y%m%d%H.tif")))
    np.testing.assert_array_equal(rain_of(both), expected)
    for path in folder_of(source).glob("??????????.tif"):
        path.rename(path.with_name(f"rain{HOURS.index(np.datetime64('2020-03-02T01:00'))}_{path.stem[4:]}.tif"))
    text = refusal(source)
    assert "24 of 48 files have no date" in text


def test_stray_files_are_left_out(case: Case) -> None:
    source = case()
    raster(folder_of(source) / "backup_20201399.tif", full(99))
    assert "1 files without a date are left out, first" in notes_of(source)


def test_a_name_that_is_no_text(case: Case, expected: np.ndarray) -> None:
    """A byte of Latin-1 (B24a, B23d)."""
    source = case()
    for path in folder_of(source).glob("*.tif"):
        path.rename(path.parent / os.fsdecode(b"pluie_d\xe9_" + path.name.encode()))
    np.testing.assert_array_equal(rain_of(source), expected)
    assert not inspect(source).errors
    next(iter(folder_of(source).glob("*.tif"))).write_bytes(b"broken")
    assert "(its content not recognized as being in a supported file format.)" in refusal(source)
    assert "count as missing" in notes_of(replace(source, unreadable_as_missing=True))


# --- 2: time -------------------------------------------------------------------------------------------------------


def test_stamps_at_the_start_of_an_hour(case: Case, expected: np.ndarray) -> None:
    """Row 2: the same files, an hour apart."""
    source = case(without=True, label="start")
    write_rain(folder_of(source), shift=-1)
    np.testing.assert_array_equal(rain_of(source), expected)
    (rain, _) = inspect(source).forcings
    words = "the time of a field is the start of its step (stated by `label`)"
    assert rain.label == f"{words} (202003010000.tif is read as 2020-03-01T00:00:00)"


@pytest.mark.parametrize(
    ("minutes", "key"), [(-10, {"offset": 600}), (-10, {"tolerance": 900}), (4, {"tolerance": 300})]
)
def test_stamps_beside_the_hour(case: Case, expected: np.ndarray, minutes: int, key: dict[str, int]) -> None:
    source = case(without=True)
    write_rain(folder_of(source))
    for path in list(folder_of(source).glob("*.tif")):
        time = np.datetime64(f"{path.stem[:4]}-{path.stem[4:6]}-{path.stem[6:8]}T{path.stem[8:10]}:00")
        path.rename(path.with_name(f"r{stamp(time + np.timedelta64(minutes, 'm'))}.tif"))
    text = refusal(source)
    assert "fields lie between the stamps of the steps" in text
    assert "`forcing.precipitation.offset` or `forcing.precipitation.tolerance`" in text
    source = replace(source, precipitation=replace(source.precipitation, **key))
    np.testing.assert_array_equal(rain_of(source), expected)


@pytest.mark.parametrize(("zone", "shift"), [("Europe/Paris", 1), ("+05:30", 0), ("-03:00", -3), ("UTC", 0)])
def test_stamps_of_local_clocks(case: Case, expected: np.ndarray, zone: str, shift: int) -> None:
    source = case(without=True, timezone=zone)
    write_rain(folder_of(source), shift=shift)
    if zone == "+05:30":
        assert "between the stamps" in refusal(source)
        return
    np.testing.assert_array_equal(rain_of(source), expected)


def test_what_files_say_of_their_times_is_not_overruled() -> None:
    """Bounds of time, and calendar days, leave nothing to state."""
    from hydrocli.basin.planning import with_true_times
    from hydrocli.basin.readers import Archive, Layer

    times = np.array(HOURS[:4], "datetime64[s]")
    layers = tuple(Layer("f", number) for number in range(4))
    bounded = Archive(times, layers, has_bounds=True)
    with pytest.raises(HydrocliError, match=r"forcing.rain.label: the files state the interval"):
        with_true_times(bounded, ForcingSource(Path(), label="end"), times, 3600, "forcing.rain.path")
    days = Archive(np.arange("2020-03-01", "2020-03-05", dtype="datetime64[D]").astype("datetime64[s]"), layers)
    with pytest.raises(HydrocliError, match=r"forcing.rain.timezone: daily fields belong to calendar days"):
        with_true_times(days, ForcingSource(Path(), timezone="+01:00"), times, 3600, "forcing.rain.path")
    clocks = Archive(np.array(["2020-03-29T02:30"], "datetime64[s]"), layers[:1])
    paris = ForcingSource(Path(), timezone="Europe/Paris")
    with pytest.raises(HydrocliError, match="does not exist in Europe/Paris, but a field has this time"):
        with_true_times(replace(bounded, has_bounds=False, times=clocks.times.repeat(4)), paris, times, 900, "f.r.path")


def test_finer_fields_are_added_up(case: Case) -> None:
    """Rates of 15 minutes by the unit of the band (row 14); one absent quarter counts like the mean of the others."""
    source = case(without=True)
    quarter = np.timedelta64(15, "m")
    for number in range(1, 4 * 48 + 1):
        path = raster(folder_of(source) / f"{stamp(START + number * quarter)}.tif", full(4.0))
        with rasterio.open(path, "r+") as dataset:
            dataset.units = ("mm/h",)
    np.testing.assert_allclose(rain_of(replace(source, step=900)), 1.0)
    (folder_of(source) / "202003010115.tif").unlink()
    for minute in ("1015", "1030", "1045"):
        (folder_of(source) / f"20200301{minute}.tif").unlink()
    rain = rain_of(source)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(rain).all(axis=1)), [10])
    np.testing.assert_allclose(np.delete(rain, 10, axis=0), 4.0)
    assert "precipitation has a field every 15 min: 4 are added up to a step" in notes_of(source)


def test_coarser_fields_are_split(case: Case) -> None:
    source = case(without=True)
    for number, end in enumerate(HOURS[2::3]):
        raster(folder_of(source) / f"{stamp(end)}.tif", full(3.0 * number))
    np.testing.assert_allclose(rain_of(source)[:, 0], np.repeat(np.arange(16.0), 3))
    assert "precipitation has a field every 3 hours: each is split evenly over 3 steps" in notes_of(source)


def test_amounts_that_grow_over_the_day(case: Case, expected: np.ndarray) -> None:
    source = case(without=True, accumulated="day")
    grown = np.concatenate([np.cumsum(day) for day in (RAIN[:24], RAIN[24:])])
    for hour, amount in zip(HOURS, grown, strict=True):
        raster(folder_of(source) / f"{stamp(hour)}.tif", full(amount))
    np.testing.assert_allclose(rain_of(source), expected)
    (folder_of(source) / f"{stamp(HOURS[30])}.tif").unlink()
    gap = replace(source, precipitation=replace(source.precipitation, scale_factor=1.0))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(rain_of(gap)[:, 0])), [30, 31])


# --- 3: values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "fill", "where"), [("uint8", 255, (slice(None), slice(0, 2))), ("int16", 9999, (3, 3))]
)
def test_a_limit_of_a_type_that_nobody_declares(case: Case, dtype: str, fill: int, where: Any) -> None:
    """255 outside of the radar, or 9999 in one cell (row 9)."""
    source = case(without=True, scale_factor=0.1)

    def values(amount: float) -> np.ndarray:
        made = full(10 * amount, dtype)
        made[where] = fill
        return made

    rewrite(source, values)
    with pytest.raises(HydrocliError, match=rf"Write `forcing.precipitation.nodata: {fill}`"):
        rain_of(source)
    rain = rain_of(replace(source, precipitation=replace(source.precipitation, nodata=(float(fill), -1.0))))
    assert np.isnan(rain).sum() == 48 * full(1.0)[where].size
    np.testing.assert_allclose(np.nanmax(rain, axis=1), RAIN)


def test_a_storm_may_reach_a_limit(case: Case) -> None:
    """255 among its neighbours is a measured value."""
    source = case(without=True, scale_factor=0.1)
    for number, hour in enumerate(HOURS):
        raster(folder_of(source) / f"{stamp(hour)}.tif", (full(240) + (np.arange(36).reshape(6, 6) + number) % 20))
    assert rain_of(source).max() == pytest.approx(25.9)


def test_fill_values_of_temperature(case: Case) -> None:
    """-9999 in one column (row 10), tenths of a degree (B43b)."""
    source = case()
    folder = source.flow_directions.parent / "t"
    for day in ("20200301", "20200302"):
        values = full(10.0)
        values[:, 0] = -9999
        raster(folder / f"{day}.tif", values)
    oudin = replace(source, pet=None, pet_kind="oudin", temperature=ForcingSource(folder))
    text = refusal(oudin)
    assert "has a temperature of -9999" in text
    assert "`nodata: -9999`" in text
    for day in ("20200301", "20200302"):
        raster(folder / f"{day}.tif", full(85.0))
    assert "`scale_factor: 0.1` for tenths" in refusal(oudin)


def test_evapotranspiration_that_counts_downward(case: Case) -> None:
    """Row 12: most values are negative; the remedy is the sign."""
    source = case()
    folder = source.flow_directions.parent / "pet_hourly"
    for hour in HOURS:
        raster(folder / f"{stamp(hour)}.tif", full(-0.1))
    source = replace(source, pet_kind="raster", pet=ForcingSource(folder))
    assert "Write `forcing.pet.scale_factor: -1`" in refusal(source)
    source = replace(source, pet=ForcingSource(folder, scale_factor=-1.0))
    np.testing.assert_allclose(open_basin(source, folder.parent / "store").pet, 0.1)


def test_evapotranspiration_per_day_in_hourly_files(case: Case) -> None:
    """B67: the sum of a year is none."""
    source = case()
    folder = source.flow_directions.parent / "pet_hourly"
    for hour in HOURS:
        raster(folder / f"{stamp(hour)}.tif", full(2.4))
    source = replace(source, pet_kind="raster", pet=ForcingSource(folder))
    text = refusal(source)
    assert "the values make 57.6 mm a day, 21 m a year" in text
    assert "Write `forcing.pet.unit: mm/day`" in text
    source = replace(source, pet=ForcingSource(folder, unit="mm/day"))
    np.testing.assert_allclose(open_basin(source, folder.parent / "store").pet, 0.1, rtol=1e-6)


def test_a_hair_below_nothing_is_nothing(case: Case, expected: np.ndarray) -> None:
    """B8b."""
    source = case(without=True)
    rewrite(source, lambda amount: full(amount or -1e-7))
    np.testing.assert_array_equal(rain_of(source), expected)


def test_units_of_bands(case: Case) -> None:
    source = case()
    for path in folder_of(source).glob("*.tif"):
        with rasterio.open(path, "r+") as dataset:
            dataset.units = ("m",)
    assert rain_of(source)[WET, 0] == 1000
    stated = replace(source, precipitation=replace(source.precipitation, unit="mm"))
    assert "forcing.precipitation.unit: is 'mm', but the files state 'm'" in refusal(stated)


def test_scales_of_files_and_configuration_are_not_both_applied(case: Case) -> None:
    source = case()
    for path in folder_of(source).glob("*.tif"):
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (0.5,)
    assert rain_of(source)[WET, 0] == 0.5
    for packing, amount in ((None, None), ("apply", 0.05), ("ignore", 0.1)):
        twice = replace(source, precipitation=replace(source.precipitation, scale_factor=0.1, packing=packing))
        if amount is None:
            assert "state `forcing.precipitation.packing`: apply (both) or ignore" in refusal(twice)
        else:
            assert rain_of(twice)[WET, 0] == pytest.approx(amount)


def test_masks_and_companions(case: Case) -> None:
    """An internal mask with rain beneath (B33a); a nodata value that only `.aux.xml` has."""
    source = case()
    for path in folder_of(source).glob("*.tif"):
        path.unlink()
    for number, hour in enumerate(HOURS):
        values = full(RAIN[number])
        values[:, 0] = 50
        path = raster(folder_of(source) / f"{stamp(hour)}.tif", values)
        if number % 2:
            mask = np.full((6, 6), 255, np.uint8)
            mask[:, 0] = 0
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
                dataset.write_mask(mask)
        else:
            text = "<PAMDataset><PAMRasterBand band='1'><NoDataValue>50</NoDataValue></PAMRasterBand></PAMDataset>"
            (path.parent / f"{path.name}.aux.xml").write_text(text)
    rain = rain_of(source)
    assert np.isnan(rain).sum() == 48 * 6
    assert np.nanmax(rain) == 1


# --- 4: rain and PET -----------------------------------------------------------------------------------------------


def test_a_day_without_evapotranspiration_keeps_its_rain(case: Case, expected: np.ndarray) -> None:
    """B47a."""
    source = case()
    (source.pet.path / "pet_0301.tif").unlink()  # type: ignore[union-attr]
    basin = open_basin(source, source.flow_directions.parent / "store")
    np.testing.assert_array_equal(basin.precipitation, expected)
    np.testing.assert_array_equal(basin.pet[:24], basin.pet[24:])
    text = refusal(replace(source, fill_pet=0))
    assert "has no field from 2020-03-01T01:00:00 to 2020-03-02T00:00:00, a gap that" in text
    assert "`forcing.fill_pet`" in text


def test_cells_without_evapotranspiration_have_that_of_the_nearest(case: Case) -> None:
    source = case()
    for path in source.pet.path.glob("*.tif"):  # type: ignore[union-attr]
        values = np.broadcast_to(np.arange(6.0, dtype=np.float32), (6, 6)).copy()
        values[:, 0] = -99
        raster(path, values, nodata=-99.0)
    basin = open_basin(source, source.flow_directions.parent / "store")
    assert not np.isnan(basin.pet).any()
    day = basin.pet[:24].sum(axis=0)
    np.testing.assert_allclose(day, np.maximum(basin.network.column, 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("calibration: [2020-03-01T12:00Z", "calibration: [2020-03-02T00:00Z")], ""),
        ([("end: 2020-03-03T00:00Z", "end: 2020-03-05T00:00Z"), ("Z, 2020-03-03T00:00Z]", "Z, 2020-03-05T00:00Z]")],
         "rain is missing in 57.1% of the calibration period, first at 2020-03-03T01:00:00; the limit is 20%"),
        ([("start: 2020-03-01T00:00Z", "start: 2020-02-25T00:00Z")],
         "rain is missing in 90.9% of the spin-up before the calibration, first at 2020-02-25T01:00:00"),
    ],
)  # fmt: skip
def test_rain_that_is_missing_for_most_of_the_calibration(
    case: Case, changes: list[tuple[str, str]], words: str
) -> None:
    """B28, B31a, B31b: by a check before and after ingestion, and by the calibration."""
    folder = case().flow_directions.parent
    file = field.write_yaml(folder, *changes, ("path: pet}", "path: pet}\n  fill_pet: 20d"))
    experiment = load(file)
    problems = check(file, [])["problems"]
    basin = open_basin(source_of(experiment), Path(experiment.forcing.store))
    stored = check(file, [])
    assert stored["store"] != "not ingested yet"
    assert problems == stored["problems"]
    if not words:
        assert not problems
        refuse_missing_rain(experiment, basin)
        return
    (problem,) = problems
    assert words in problem
    with pytest.raises(HydrocliError, match=re.escape(words)):
        refuse_missing_rain(experiment, basin)


# --- 5: space ------------------------------------------------------------------------------------------------------


def test_a_finer_grid_gives_its_mean(case: Case) -> None:
    """Row 30: 100 m, 100 mm in one pixel of a hundred."""
    source = case(without=True)
    fine = np.zeros((60, 60), np.float32)
    fine[5::10, 5::10] = 100
    for hour in HOURS:
        raster(folder_of(source) / f"{stamp(hour)}.tif", fine, cell=100.0)
    np.testing.assert_allclose(rain_of(source), 1.0)
    (rain, _) = inspect(source).forcings
    assert rain.resampling == "mean over a cell (100 pixels)"
    nearest = replace(source, precipitation=replace(source.precipitation, resampling="nearest"))
    np.testing.assert_allclose(rain_of(nearest), 100.0)


def test_a_grid_shifted_by_half_a_cell(case: Case) -> None:
    """Row 29: each cell has the mean of the four pixels that it lies on, and the shift is told."""
    source = case(without=True)
    values = (10.0 * np.arange(8)[:, None] + np.arange(8)).astype(np.float32)
    for hour in HOURS:
        raster(folder_of(source) / f"{stamp(hour)}.tif", values, corner=(799_500.0, 6_500_500.0))
    basin = open_basin(source, source.flow_directions.parent / "store")
    row, column = basin.network.row, basin.network.column
    np.testing.assert_allclose(basin.precipitation[0], 10 * row + column + 5.5, rtol=1e-6)
    (rain, _) = inspect(source).forcings
    assert rain.resampling == "mean over a cell (the grid is shifted by 0.5 x 0.5 of a cell)"


def test_a_local_crs_is_named_and_overruled(case: Case, expected: np.ndarray) -> None:
    """Row 28, of forcing."""
    source = case(without=True)
    local = 'LOCAL_CS["RGF93 v1 / Lambert-93",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    rewrite(source, lambda amount: full(amount), crs=local)
    text = refusal(source)
    assert "'RGF93 v1 / Lambert-93' that is a local (engineering) system" in text
    stated = replace(source, precipitation=replace(source.precipitation, crs="EPSG:2154"))
    np.testing.assert_array_equal(rain_of(stated), expected)
    np.testing.assert_array_equal(rain_of(replace(source, crs="EPSG:2154")), expected)


# --- 6: files ------------------------------------------------------------------------------------------------------


def broken(source: BasinSource) -> list[str]:
    """Five broken files (B5a) and one cut within its tags (B5c); their names."""
    files = [folder_of(source) / f"{stamp(hour)}.tif" for hour in HOURS[3:9]]
    whole = files[0].read_bytes()
    raster(files[4], full(0)[:1, :1], corner=(0.0, 0.0))
    for path, content in zip(files, (b"", b"<html>no</html>", whole[: len(whole) * 6 // 10], b"text"), strict=False):
        path.write_bytes(content)
    files[5].write_bytes(whole[:300])
    return [path.name for path in files]


def test_all_broken_files_are_named_at_once(case: Case) -> None:
    """Also by a look at the files; a cut file is none that lacks its CRS."""
    source = case()
    names = broken(source)
    for text in (refusal(source), "\n".join(map(str, inspect(source).errors))):
        for name in names:
            assert text.count(f"{name}: ") == 1
        assert "does not name its coordinate reference system" not in text


def test_broken_files_may_count_as_missing(case: Case) -> None:
    """B3d: also those that cannot be opened, or are not there."""
    source = replace(case(), unreadable_as_missing=True)
    *names, far, cut = broken(source)
    (folder_of(source) / far).unlink()
    (folder_of(source) / far).symlink_to("nowhere.tif")
    assert len(names) == 4
    assert cut
    note = "precipitation: 6 files cannot be read and count as missing, first"
    before = inspect(source)
    assert any(text.startswith(note) for text in before.notes)
    lost = [3, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(np.flatnonzero(before.forcings[0].missing_by_step), lost)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(rain_of(source)).all(axis=1)), lost)
    after = inspect(source, source.flow_directions.parent / "store")
    assert any(text.startswith(note) for text in after.notes)
    np.testing.assert_array_equal(after.forcings[0].missing_by_step, before.forcings[0].missing_by_step)


def test_rights_damage_and_absence_are_told_apart(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """B20d: a sound file that may not be read is not to be replaced."""
    from hydrocli.basin.readers import geotiff

    source = case()

    def refuse(file: Any) -> geotiff.Header:
        if file.name.endswith("202003011100.tif"):
            raise PermissionError(13, "Permission denied")
        return header(file)

    header = geotiff._header
    monkeypatch.setattr(geotiff, "_header", refuse)
    text = refusal(source)
    assert "202003011100.tif: cannot be opened (permission denied)" in text
    assert "Change its permissions." in text


def test_files_packed_by_gzip(case: Case, expected: np.ndarray) -> None:
    """B45."""
    source = case()
    for path in list(folder_of(source).glob("*.tif")):
        with gzip.open(f"{path}.gz", "wb") as file:
            file.write(path.read_bytes())
        path.unlink()
    np.testing.assert_array_equal(rain_of(source), expected)


def test_one_band_of_several(case: Case, expected: np.ndarray) -> None:
    source = case(without=True)
    rewrite(source, lambda amount: np.stack([full(9), full(amount)]))
    assert "has 2 bands without times" in (text := refusal(source))
    assert "or which of them is read: `forcing.precipitation.band`" in text
    np.testing.assert_array_equal(
        rain_of(replace(source, precipitation=replace(source.precipitation, band=2))), expected
    )
