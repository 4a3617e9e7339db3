"""Misread data give themselves away: each fault is found, named with gauge, figure, limit and remedy; sound data pass.

A basin of the base case with a record of its own: storms of a fixed seed, and the discharge of a linear reservoir. The
faults are made in its arrays, so that no archive is written for each.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import field_cases as field
import numpy as np
import pytest
from field_cases import HOURS, raster, stamp

from hydrocli.basin import catchment_means, plausibility
from hydrocli.basin.basin import Basin
from hydrocli.basin.catchment_means import CatchmentMeans
from hydrocli.basin.ingest import open_basin
from hydrocli.basin.plausibility import Figures, measure
from hydrocli.basin.plausibility_limits import Limits, findings
from hydrocli.basin.source import BasinSource
from hydrocli.cli.commands import _for_reading
from hydrocli.commands.check import check
from hydrocli.config import load
from hydrocli.errors import HydrocliError
from hydrocli.experiment.inputs import limits_of
from hydrocli.experiment.setup import ingested

NOTHING = {name: {"values": 1, "missing": 0, "negative": 0, "uncovered": 0.0} for name in ("precipitation", "pet")}
DAYS, DELAY, STORE = 120, 2, 60
"""Days of the record, hours until rain arrives, and hours of the reservoir."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> BasinSource:
    return field.base_case(tmp_path_factory.mktemp("plausible"))


@pytest.fixture(scope="module")
def base(source: BasinSource) -> Path:
    return source.flow_directions.parent


@pytest.fixture(scope="module")
def sound(source: BasinSource, base: Path) -> Basin:
    """The base case with a record of 120 days: hourly storms, in tenths of a millimetre, and their discharge."""
    basin = open_basin(source, base / "store")
    random = np.random.default_rng(5)
    steps, cells = 24 * DAYS, len(basin.network)
    rain = np.zeros((steps, cells))
    for start in random.choice(steps - 40, 60, replace=False):
        length, depth = random.integers(4, 24), random.gamma(1.5, 1.0)
        shape = random.gamma(1.0, 1.0, length)[:, None] * random.uniform(0.6, 1.4, (length, cells))
        rain[start : start + length] += depth * shape
    rain = np.round(rain, 1)
    pet = np.tile(np.clip(np.sin(np.linspace(-np.pi / 2, 1.5 * np.pi, 24)), 0, None) * 0.3, DAYS)
    inflow = 0.6 * np.roll(rain.mean(axis=1), DELAY)
    stored, runoff = 5.0, np.zeros(steps)
    for step in range(steps):
        stored += inflow[step]
        runoff[step] = stored / STORE
        stored -= runoff[step]
    discharge = runoff * basin.gauges.area_found[:, None] / 3600 / 1000
    return replace(
        basin,
        precipitation=rain.astype(np.float32),
        pet=np.repeat(pet[:, None], cells, axis=1).astype(np.float32),
        discharge=discharge,
    )


def judged(basin: Basin, limits: Limits = Limits(), coverage: Any = NOTHING) -> tuple[str, list[str]]:  # noqa: B008
    """All errors as one text, and the notes."""
    errors, notes = findings(measure(basin, coverage), limits)
    return "\n".join(map(str, errors)), notes


def test_sound_data_pass(sound: Basin) -> None:
    figures = measure(sound, NOTHING)
    assert findings(figures, Limits()) == ([], [])
    first, second = figures.gauges
    assert (first["lag"], second["lag"]) == (DELAY, DELAY)
    assert first["correlation"] > 0.8
    assert first["rain"] == pytest.approx(sound.precipitation.sum(axis=0).mean(), rel=1e-5)
    assert first["runoff"] == pytest.approx(sound.discharge[0].sum() * 3600 / 36e6 * 1000)
    assert first["runoff_ratio"] == pytest.approx(first["runoff"] / first["rain"])
    assert first["pet"] == pytest.approx(sound.pet[:, 0].sum(dtype=float), rel=1e-6)
    assert (first["rain_jump"], first["discharge_jump"]) == (1.0, 1.0)
    months = [row for row in figures.months if row["gauge"] == "G2"]
    assert [str(row["month"])[:7] for row in months] == ["2020-03", "2020-04", "2020-05", "2020-06"]
    assert sum(row["rain"] for row in months) == pytest.approx(second["rain"], rel=1e-5)
    assert sum(row["runoff"] for row in months) == pytest.approx(second["runoff"])


def half(values: np.ndarray, factor: float, axis: int = 0) -> np.ndarray:
    """Values whose second half has another unit."""
    length = values.shape[axis]
    factors = np.where(np.arange(length) < length // 2, 1.0, factor)
    return (values * (factors[:, None] if axis == 0 else factors)).astype(values.dtype)


def grown(values: np.ndarray) -> np.ndarray:
    """Sums since the start of each day."""
    return np.cumsum(values.reshape(-1, 24, values.shape[1]), axis=1).reshape(values.shape)


def with_marks(values: np.ndarray, mark: float) -> np.ndarray:
    return np.where(np.arange(values.shape[-1]) % 50 == 3, mark, values).astype(values.dtype)


Change = Callable[[Basin], dict[str, Any]]
FAULTS: dict[str, tuple[Change, str, str]] = {
    "rain in tenths, factor left out": (
        lambda b: {"precipitation": 10 * b.precipitation}, "max_loss_ratio", "need scale_factor: 0.1"),
    "rain ten times too low": (lambda b: {"precipitation": b.precipitation / 10}, "max_runoff_ratio", "area of the"),
    "rain in metres": (lambda b: {"precipitation": b.precipitation / 1000}, "min_peak_rain", "m in place of mm?"),
    "discharge in litres": (lambda b: {"discharge": 1000 * b.discharge}, "max_runoff_ratio", "`gauges.discharge`"),
    "discharge in cubic feet": (lambda b: {"discharge": 35.3 * b.discharge}, "max_runoff_ratio", "of rain; gauge G2"),
    "discharge in 1000 m3/s": (lambda b: {"discharge": b.discharge / 1000}, "min_runoff_ratio", "0.002 times the rain"),
    "PET per day in each hour": (lambda b: {"pet": 24 * b.pet}, "max_pet", "`forcing.pet.unit`"),
    "PET in tenths": (lambda b: {"pet": 10 * b.pet}, "max_pet", "`forcing.pet.scale_factor`"),
    "rain a day late": (lambda b: {"precipitation": np.roll(b.precipitation, 24, 0)}, "min_lag", "gauge G1 lag -22 h"),
    "discharge six days late": (lambda b: {"discharge": np.roll(b.discharge, 144, 1)}, "max_lag", "lag +146 h"),
    "rain of an hour is a sum of the day": (
        lambda b: {"precipitation": grown(b.precipitation)}, "max_growing", "`forcing.precipitation.accumulated: day`"),
    "PET of an hour is a sum of the day": (
        lambda b: {"pet": grown(b.pet)}, "max_growing", "`forcing.pet.accumulated: day`"),
    "rain of the second half in tenths": (
        lambda b: {"precipitation": half(b.precipitation, 10)}, "max_jump", "all values of rain change by one factor"),
    "rain of the second half in metres": (
        lambda b: {"precipitation": half(b.precipitation, 1e-3)}, "max_jump", "Bring the files of `forcing.prec"),
    "discharge of the second half in 10 m3/s": (
        lambda b: {"discharge": half(b.discharge, 0.1, 1)}, "max_jump", "times at 2020-04-30T01:00:00"),
    "discharge of the first half in litres": (
        lambda b: {"discharge": half(1000 * b.discharge, 1e-3, 1)}, "max_jump", "times at 2020-04-30T01:00:00"),
    "discharge that was filled in": (
        lambda b: {"discharge": np.where(np.arange(2880) < 1800, 0.7, b.discharge)}, "max_constant", "longest 75 d"),
    "rain that was filled in": (
        lambda b: {"precipitation": np.where(np.arange(2880)[:, None] < 2400, 0.3, b.precipitation).astype("f4")},
        "max_constant", "rain has one value for days"),
    "a fill value of rain": (
        lambda b: {"precipitation": with_marks(b.precipitation.T, 65.535).T}, "fill_values", "in `forcing.precipit"),
    "a fill value of discharge": (
        lambda b: {"discharge": with_marks(b.discharge, 32.767)}, "fill_values", "gauges.discharge.missing`"),
    "rain of a part of the period": (
        lambda b: {"precipitation": np.where(np.arange(2880)[:, None] < 1800, np.nan, b.precipitation).astype("f4")},
        "max_missing", "gauge G1 62.5%"),
    "rain that covers one catchment only": (
        lambda b: {"precipitation": np.where(b.network.row < 3, np.nan, b.precipitation).astype("f4")},
        "max_missing", "gauge G2 100.0%, of it 100.0% in cells without any"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_with_its_remedy(sound: Basin, name: str) -> None:
    change, key, words = FAULTS[name]
    faulty = replace(sound, **change(sound))
    text, _ = judged(faulty)
    (error,) = [one for one in text.split("plausibility.") if one.startswith(f"{key}: ")][:1] or [text]
    assert words in text
    assert "2020-03-01T01:00:00 to 2020-06-29T00:00:00" in error
    assert f"change `plausibility.{key}`" in text.replace("\n", "")
    # Each limit can be set off.
    off = {"fill_values": False} if key == "fill_values" else {key: -inf if key.startswith("min_") else inf}
    text, _ = judged(faulty, Limits(**off))  # type: ignore[arg-type]
    assert f"plausibility.{key}:" not in text
    # Or gauges are exempt, but for what is true of the archive.
    if "gauge G" in error:
        text, _ = judged(faulty, Limits(exempt=("G1", "G2")))
        assert "gauge G" not in text


def test_what_rivers_do_is_no_fault(sound: Basin) -> None:
    """Dry rivers, frozen gauges, gates that open and close, floods that rise tenfold in a step, days without data."""
    discharge = sound.discharge.copy()
    discharge[0, 200:1500] = 0.0
    discharge[1, 300:330] *= 10.0  # a gate that is open for a day
    discharge[1, 900:1000] = np.nan
    text, _ = judged(replace(sound, discharge=discharge))
    assert not text
    text, _ = judged(replace(sound, discharge=np.zeros_like(discharge), precipitation=sound.precipitation / 10))
    assert not text
    text, notes = judged(replace(sound, discharge=np.full_like(discharge, np.nan)))
    assert not text
    assert not notes
    flood = sound.discharge.copy()
    start = int(np.argmax(sound.precipitation.mean(axis=1)))
    flood[:, start:] += 9 * flood[:, start - 1 : start] * np.exp(-np.arange(flood.shape[1] - start) / 200)
    text, _ = judged(replace(sound, discharge=flood))
    assert "max_jump" not in text


def test_rain_of_days_that_is_split_over_their_hours_does_not_grow(sound: Basin) -> None:
    days = sound.precipitation.reshape(DAYS, 24, -1).mean(axis=1)
    text, _ = judged(replace(sound, precipitation=np.repeat(days, 24, axis=0)))
    assert not text


def test_means_of_days_beside_hours(sound: Basin) -> None:
    """Series are looked at day by day; hours of one value are no sign of anything."""
    days = np.repeat(sound.discharge.reshape(2, DAYS, 24).mean(axis=2), 24, axis=1)
    days[:, 480:720] = np.nan
    places = np.arange(24 * DAYS, dtype=np.int32)
    until = np.broadcast_to(np.where(np.isnan(days[0]), places, places // 24 * 24 + 23), days.shape).astype(np.int32)
    basin = replace(sound, discharge=days, discharge_until=until)
    text, notes = judged(basin)
    assert (text, notes) == ("", [])
    row = measure(basin, NOTHING).gauges[0]
    assert (row["lag"] % 24, row["longest_constant"]) == (0, 1)
    assert row["correlation"] > 0.5
    daily = days[0, 23::24]
    change = np.abs(np.diff(np.log10(daily)))
    high = [day for day in range(40, 110) if daily[day] > np.nanmean(daily)]
    calm = min(high, key=lambda day: change[day - 4 : day + 4].max())
    tenth = days * np.where(places < 24 * calm, 1.0, 0.1)
    text, _ = judged(replace(basin, discharge=tenth))
    assert f"times at {basin.times[24 * calm + 23]}; gauge G2" in text


def test_a_few_per_cent_are_a_note(sound: Basin) -> None:
    rain, discharge = sound.precipitation.copy(), sound.discharge.copy()
    rain[:240] = np.nan
    discharge[1, 1000:1300] = 0.31
    text, notes = judged(replace(sound, precipitation=rain, discharge=discharge))
    assert not text
    assert notes == [
        "rain data are missing in some steps and cells of a catchment: gauge G1 8.3%; gauge G2 8.3%",
        "discharge has one value for 10 days or more in a part of the record: "
        "gauge G2 10%, longest 12.5 d from 2020-04-11T17:00:00",
    ]
    text, notes = judged(replace(sound, precipitation=np.roll(sound.precipitation, -30, 0)))
    assert not text
    assert notes[0].startswith("discharge rises later after the rain than rivers of this size do")


def test_negative_values_above_a_share(sound: Basin) -> None:
    counts = NOTHING | {"pet": NOTHING["pet"] | {"values": 100, "negative": 30}}
    text, _ = judged(sound, coverage=counts)
    assert "plausibility.max_negative: 30.0% of the values of pet are negative" in text
    assert "`forcing.pet.scale_factor` (-1 turns the sign)" in text
    assert not judged(sound, Limits(max_negative=0.3), counts)[0]


def test_means_do_not_depend_on_blocks(sound: Basin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against plain sums over the cells that drain to the gauge."""
    rain = sound.precipitation.copy()
    rain[100:130, ::2], rain[140] = np.nan, np.nan
    assert (rain == 0).all(axis=1).any()
    basin = replace(sound, precipitation=rain)
    whole = CatchmentMeans.of(basin)
    monkeypatch.setattr(catchment_means, "BLOCK", 36 * 7)
    parts = CatchmentMeans.of(basin)
    for name in ("rain", "rain_missing", "pet", "pet_of_domain", "cell_rain", "cell_missing", "lightest"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), rtol=1e-6, err_msg=name)
    assert whole.highest == parts.highest
    upper = basin.network.row < 3  # drains to G2
    with np.errstate(invalid="ignore"):
        mean = np.nansum(rain[:, upper], axis=1) / np.isfinite(rain[:, upper]).sum(axis=1)
    np.testing.assert_allclose(whole.rain[1], mean, rtol=1e-6)
    missing = np.isnan(rain[:, upper]).mean(axis=1)
    march = whole.month == 0
    assert whole.rain_missing[1, 0] == pytest.approx(missing[march].mean())
    value = np.nanmax(rain)
    assert (whole.highest.value, whole.highest.count) == (value, np.count_nonzero(rain == value))
    assert whole.highest.below == np.nanmax(np.where(rain == value, np.nan, rain))
    dry = np.zeros_like(rain)
    dry[3, 5] = np.nan
    found = CatchmentMeans.of(replace(sound, precipitation=dry)).highest
    assert (found.value, found.first, found.count) == (0.0, 0, dry.size - 1)


def test_memory_stays_flat(sound: Basin, tmp_path: Path) -> None:
    """The forcing is walked over in blocks: 120 MB of it take a tenth of that."""
    file = np.lib.format.open_memmap(tmp_path / "rain.npy", "w+", np.float32, (400_000, 36))
    basin = replace(sound, precipitation=file, pet=file, discharge=np.full((2, len(file)), np.nan))
    tracemalloc.start()
    means = CatchmentMeans.of(basin)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert means.rain.shape == (2, len(file))
    of_series = len(file) * 8 * 8
    assert peak < of_series + 2 * 6 * catchment_means.BLOCK * 8 < 2 * file.nbytes


def test_tables_beside_the_store(source: BasinSource, base: Path, sound: Basin, tmp_path: Path) -> None:
    """What is written is read again; columns say their units."""
    import pyarrow.parquet as pq

    figures = measure(sound, NOTHING)
    plausibility.write_figures(tmp_path, figures)
    assert plausibility.read_figures(tmp_path) == figures
    schema = pq.read_schema(tmp_path / "plausibility.parquet")
    assert schema.field("rain").metadata[b"unit"] == b"mm"
    assert schema.names == [column.name for column in plausibility.GAUGES.columns]
    store = base / "store" / sound.fingerprint
    stored = plausibility.read_figures(store)
    assert [row["gauge"] for row in stored.gauges] == ["G1", "G2"]
    chosen = [row for row in stored.candidates if row["chosen"]]
    assert [(row["gauge"], row["row"], row["column"], row["area"]) for row in chosen] == [
        ("G1", 5, 5, 36.0),
        ("G2", 2, 5, 18.0),
    ]
    assert {row["area"] for row in stored.candidates if row["gauge"] == "G2"} == {5.0, 12.0, 18.0, 24.0}
    # A damaged table makes the store be built anew.
    (store / "plausibility.parquet").write_bytes(b"damaged")
    open_basin(source, base / "store")
    assert [row["gauge"] for row in plausibility.read_figures(store).gauges] == ["G1", "G2"]


# --- through the commands ------------------------------------------------------------------------------------------


def test_the_base_case_is_plausible(base: Path) -> None:
    """Short records are not judged by volume: their rivers may live from what fell before."""
    file = field.write_yaml(base)
    report = check(file, [])
    assert not report["problems"]
    assert [row["gauge"] for row in report["plausibility"]] == ["G1", "G2"]
    assert report["assumptions"][-1] == (
        "discharge: m3/s (of the smash files); a time is the end of the interval of its value (not stated); "
        "times: UTC, 1h apart; one column below the date of its first value"
    )
    shown = _for_reading(report)
    assert set(shown["plausibility"][0]) == {
        "gauge", "rain_mm", "pet_mm", "runoff_mm", "runoff_ratio", "lag_h", "correlation", "rain_missing",
        "discharge_missing",
    }  # fmt: skip
    assert "gauge_candidates" not in shown


def test_rain_in_metres_ends_every_command(base: Path, tmp_path: Path) -> None:
    """B34; two faults are named at once; limits of the YAML count."""
    source = field.base_case(tmp_path)
    for hour, amount in zip(HOURS, field.RAIN, strict=True):
        raster(source.precipitation.path / f"{stamp(hour)}.tif", np.full((6, 6), amount / 1000, np.float32))
    for day in ("0301", "0302"):
        raster(tmp_path / "pet" / f"pet_{day}.tif", np.full((6, 6), 24.0, np.float32))
    file = field.write_yaml(tmp_path)
    assert not any("plausibility." in problem for problem in check(file, [], files_only=True)["problems"])
    problems = check(file, [])["problems"]
    assert [problem.partition(":")[0] for problem in problems] == ["plausibility.max_pet", "plausibility.min_peak_rain"]
    assert "no cell has more than 0.001 mm/h of rain, and the river rises by more than five times that" in problems[1]
    assert "gauge G1 0.47 mm/h; gauge G2 0.94 mm/h" in problems[1]
    with pytest.raises(HydrocliError, match=r"plausibility\.max_pet.*\n.*\n.*min_peak_rain") as caught:
        ingested(load(file, []))
    assert caught.value.exit_status == 3
    off = ["plausibility.min_peak_rain=off", "plausibility.max_pet=3"]
    assert not check(file, off)["problems"]
    ingested(load(file, off))
    assert not check(file, ["plausibility.exempt=[G1, G2]"])["problems"]


def test_limits_of_the_configuration(base: Path) -> None:
    """The defaults of the section are those of the module; off is what nothing is beyond."""
    file = field.write_yaml(base)
    assert limits_of(load(file, [])) == Limits()
    keys = [key for key in Limits.__dataclass_fields__ if key not in ("fill_values", "exempt", "storage")]
    off = limits_of(load(file, [f"plausibility.{key}=off" for key in (*keys, "fill_values")]))
    assert not off.fill_values
    assert [getattr(off, key) for key in keys] == [-inf if key.startswith("min_") else inf for key in keys]
    assert limits_of(load(file, ["plausibility.min_lag=-2h"])).min_lag == -7200
    with pytest.raises(HydrocliError, match="max_missing"):
        load(file, ["plausibility.max_missing=2"])


def test_figures_of_a_day(source: BasinSource, base: Path) -> None:
    """A table of one day has no lag, and fails nowhere."""
    source = replace(source, end=np.datetime64("2020-03-02T00:00"), discharge=None)
    basin = open_basin(source, base / "day")
    figures: Figures = plausibility.read_figures(base / "day" / basin.fingerprint)
    assert findings(figures, Limits()) == ([], [])
    assert figures.gauges[0]["lag"] is None
    assert figures.gauges[0]["runoff"] is None
