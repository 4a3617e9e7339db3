"""The time axis of the forcing, for any step, spacing, start and gaps, against pandas on the same intervals."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrocli.basin.basin import DAY, stamps
from hydrocli.basin.file_names import dates_of
from hydrocli.basin.forcing import Making, make
from hydrocli.basin.pet import shares_of_day
from hydrocli.basin.planning import (
    Piece,
    gaps,
    plan_amounts,
    plan_by_day,
    plan_by_step,
    plan_climatology,
    with_true_times,
)
from hydrocli.basin.readers import Archive, ForcingSource, Layer
from hydrocli.basin.units import Conversion

STEPS = (900, 1800, 3600, 10800, 21600, 43200, DAY)
STARTS = st.datetimes(datetime(1999, 12, 30), datetime(2024, 3, 2)).map(
    lambda time: np.datetime64(time.replace(minute=0, second=0, microsecond=0), "s")
)
DAYS = st.integers(1, 4)


@st.composite
def archives(draw: st.DrawFn) -> tuple[np.ndarray, int, Archive]:
    """Stamps of some days in steps, the step, and an archive of one of STEPS over these days with gaps.

    Field k of the archive is named by its number and has that value.
    """
    step, spacing = draw(st.sampled_from(STEPS)), draw(st.sampled_from(STEPS))
    start = draw(STARTS).astype("datetime64[D]").astype("datetime64[s]")
    days = draw(DAYS)
    times = stamps(start, days * DAY // step, step)
    ends = stamps(start, days * DAY // spacing, spacing)
    kept = np.array(draw(st.lists(st.booleans(), min_size=len(ends), max_size=len(ends))))
    one = draw(st.integers(0, max(len(ends) - 2, 0)))
    kept[one : one + 2] = True  # the spacing of an archive is seen from two neighbours
    layers = tuple(Layer("file", number) for number in np.flatnonzero(kept).tolist())
    return times, step, Archive(ends[kept], layers, has_bounds=True)


def made(pieces: list[Piece], array: str, steps: int) -> np.ndarray:
    """An array [steps] of the pieces, where the field of a layer has the value of its number."""
    result = np.full(steps, -1.0)
    making = Making((array,), Conversion(is_temperature=array == "temperature"))
    for piece in pieces:
        fields = np.array([[[np.nan if layer is None else layer.number / 100] for layer in piece.layers]])
        values, shares, _ = make([piece], fields, making)[array]
        rows = np.broadcast_to(values if shares is None else shares * values, (len(piece.shares), 1))
        result[piece.first : piece.first + len(rows)] = rows[:, 0]
    return result


@settings(max_examples=75, deadline=None)
@given(archives())
def test_temperature_of_a_step_is_that_of_its_interval(drawn: tuple[np.ndarray, int, Archive]) -> None:
    """Mean of the fields within it, where half of them are there; else the field whose interval holds it.

    An archive of one field per day holds for the steps of its day.
    """
    times, step, archive = drawn
    values = pd.Series([layer.number / 100 for layer in archive.layers], pd.DatetimeIndex(archive.times))
    spacing = DAY if archive.is_daily else int(np.diff(archive.times).min().astype(int))
    expected = []
    for stamp in pd.DatetimeIndex(times):
        if archive.is_daily:
            second = pd.Timedelta(1, "s")
            found = values[(values.index - second).floor("D") == (stamp - second).floor("D")]
        elif spacing > step:
            found = values[(values.index >= stamp) & (values.index < stamp + pd.Timedelta(spacing, "s"))]
        else:
            found = values[(values.index > stamp - pd.Timedelta(step, "s")) & (values.index <= stamp)]
        enough = archive.is_daily or 2 * len(found) >= max(1, step // spacing)
        expected.append(found.mean() if len(found) and enough else np.nan)
    pieces = plan_by_day(archive, times, step)
    np.testing.assert_allclose(made(pieces, "temperature", len(times)), expected, rtol=1e-12)
    without = [step for low, high in gaps(pieces, of_temperature=True) for step in range(low, high)]
    assert set(without) <= set(np.flatnonzero(np.isnan(expected)).tolist())


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(STEPS), STARTS, DAYS, st.booleans())
def test_amounts_of_days_are_shared_out_without_loss(
    step: int, start: np.datetime64, days: int, has_bounds: bool
) -> None:
    """Also where the period begins within a day: then the first day has a part of its amount only."""
    start = start.astype("datetime64[s]")
    start = start - (start - start.astype("datetime64[D]")).astype(int) % step
    times = stamps(start, days * DAY // step, step)
    label = np.arange(start.astype("datetime64[D]"), times[-1].astype("datetime64[D]") + 2).astype("datetime64[s]")
    ends = label + np.timedelta64(DAY, "s") if has_bounds else label
    archive = Archive(ends, tuple(Layer("file", 100 * (k + 1)) for k in range(len(label))), has_bounds)
    pieces = plan_by_day(archive, times, step)
    assert [piece.first for piece in pieces] == np.cumsum([0, *(len(piece.shares) for piece in pieces[:-1])]).tolist()
    amounts = made(pieces, "pet", len(times))
    by_label = step == DAY and not has_bounds
    frame = pd.DataFrame({"amount": amounts, "share": shares_of_day(times, step)}, pd.DatetimeIndex(times))
    day = frame.index if by_label else frame.index - pd.Timedelta(1, "s")
    sums = frame.groupby(day.floor("D")).sum()
    number = (sums.index - pd.Timestamp(label[0])).days + 1
    np.testing.assert_allclose(sums["amount"], number * sums["share"], atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(archives())
def test_fields_of_steps_are_theirs_or_refused(drawn: tuple[np.ndarray, int, Archive]) -> None:
    from hydrocli.errors import InputError

    times, step, archive = drawn
    try:
        pieces = plan_by_step(archive, times, step, "where")
    except InputError:
        spacing = np.diff(archive.times).astype(int)
        assert not np.isin(archive.times, times).all() or spacing.min() > step
        return
    expected = pd.Series([layer.number / 100 for layer in archive.layers], pd.DatetimeIndex(archive.times))
    expected = expected.reindex(pd.DatetimeIndex(times)).to_numpy()
    np.testing.assert_array_equal(made(pieces, "precipitation", len(times)), expected)
    without = [step for low, high in gaps(pieces) for step in range(low, high)]
    assert without == np.flatnonzero(np.isnan(expected)).tolist()


SOURCE = ForcingSource(Path())


@settings(max_examples=80, deadline=None)
@given(archives())
def test_amounts_of_any_interval_come_to_their_steps(drawn: tuple[np.ndarray, int, Archive]) -> None:
    """Finer fields are added up where half of them are there; a coarser one is shared out evenly."""
    times, step, archive = drawn
    distances = np.diff(archive.times).astype(int)
    spacing = int(distances.min(initial=DAY))
    if len(distances) < 2 or 10 * (distances == spacing).sum() < len(distances):
        return  # an archive has a spacing where it is frequent
    pieces, interval, notes = plan_amounts(archive, times, step, SOURCE, "forcing.rain.path")
    assert (interval, bool(notes)) == (spacing, spacing != step)
    index = pd.DatetimeIndex(times)
    values = pd.Series([layer.number / 100 for layer in archive.layers], pd.DatetimeIndex(archive.times))
    if spacing <= step:
        groups = values.groupby(values.index.ceil(f"{step}s"))
        count = groups.count().reindex(index, fill_value=0)
        expected = groups.mean().reindex(index) * (step // spacing)
        expected[2 * count < step // spacing] = np.nan
    else:
        expected = values.reindex(index.ceil(f"{spacing}s")) / (spacing // step)
    np.testing.assert_allclose(made(pieces, "precipitation", len(times)), expected.to_numpy(), rtol=1e-12)
    missing = [step for low, high in gaps(pieces) for step in range(low, high)]
    assert missing == np.flatnonzero(np.isnan(expected)).tolist()


@settings(max_examples=50, deadline=None)
@given(archives(), st.integers(0, 4))
def test_growing_amounts_come_back_as_what_they_grew_by(drawn: tuple[np.ndarray, int, Archive], seed: int) -> None:
    times, step, archive = drawn
    spacing = int(np.diff(archive.times).astype(int).min(initial=DAY))
    ends = np.arange(times[0] - np.timedelta64(step, "s"), times[-1], np.timedelta64(spacing, "s")) + spacing
    if len(ends) < 3:
        return
    index = pd.DatetimeIndex(ends)
    grown = np.random.default_rng(seed).integers(0, 9, len(ends)).astype(float)
    day = (index - pd.Timedelta(1, "s")).floor("D")
    numbers = pd.Series(grown, index).groupby(day).cumsum().to_numpy()
    layers = tuple(Layer("file", round(100 * value)) for value in numbers)
    source = replace(SOURCE, accumulated="day")
    pieces, interval, _ = plan_amounts(Archive(ends, layers), times, step, source, "forcing.rain.path")
    assert interval == max(step, spacing)
    found = made(pieces, "precipitation", len(times))
    by_step = pd.Series(grown, index).groupby(index.ceil(f"{interval}s")).sum()
    np.testing.assert_allclose(pd.Series(found).groupby(np.arange(len(found)) * step // interval).sum(), by_step)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kathmandu", "+02:00", "UTC"]),
    STARTS,
    st.sampled_from([900, 3600]),
    st.sampled_from([-3600, 0, 600]),
    st.sampled_from(["start", "end", None]),
)
def test_times_of_clocks_are_those_of_pandas(
    zone: str, start: np.datetime64, spacing: int, offset: int, label: str | None
) -> None:
    """Two days of a local clock without the hour that occurs twice, or never."""
    local = pd.date_range(pd.Timestamp(start), periods=2 * DAY // spacing, freq=f"{spacing}s")
    name = zone if zone[0] not in "+-" else "Etc/GMT-2"
    aware = local.tz_localize(name, ambiguous="NaT", nonexistent="NaT")
    kept = ~aware.isna()
    archive = Archive(local[kept].to_numpy().astype("datetime64[s]"), tuple(Layer("f", k) for k in range(kept.sum())))
    source = replace(SOURCE, timezone=zone, offset=offset, label=label)
    found = with_true_times(archive, source, stamps(start, 48, 3600), 3600, "forcing.rain.path")
    shift = pd.Timedelta(offset + (spacing if label == "start" else 0), "s")
    expected = (aware[kept].tz_convert("UTC").tz_localize(None) + shift).to_numpy().astype("datetime64[s]")
    np.testing.assert_array_equal(found.times, expected)
    assert found.has_bounds == (label is not None)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(STEPS), st.integers(1896, 2104), st.integers(0, 5), st.booleans())
def test_days_of_the_year_are_those_of_pandas(step: int, year: int, before: int, has_leap_day: bool) -> None:
    """Around the end of February of any year: a day has its own field, an absent 29 February that of the 28th."""
    start = np.datetime64(f"{year}-03-01", "s") - np.timedelta64(before, "D")
    times = stamps(start.astype("datetime64[s]"), 8 * DAY // step, step)
    days = {f"{day:%m%d}": Layer("file", 100 * day.dayofyear) for day in pd.date_range("2000-01-01", "2000-12-31")}
    if not has_leap_day:
        del days["0229"]
    amounts = made(plan_climatology(days, times, step), "pet", len(times))
    index = pd.DatetimeIndex(times)
    own = index if step == DAY else index - pd.Timedelta(1, "s")
    names = pd.Series(own.strftime("%m%d"))
    names[(names == "0229") & (not has_leap_day)] = "0228"
    expected = names.map({name: layer.number / 100 for name, layer in days.items()}).to_numpy(float)
    np.testing.assert_allclose(amounts, expected * shares_of_day(times, step), rtol=1e-12)


NAMES = (
    "%Y%m%d%H%M",
    "%Y%m%d%H",
    "%Y-%m-%d_%H%M",
    "%Y%m%dT%H%M%S",
    "%Y.%m.%d",
    "%Y%j%H",
    "%y%m%d%H%M",
    "%Y%m%d-S%H%M%S",
)
BY_RULE = 5
"""Of these forms the first ones are read without a pattern."""


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, len(NAMES) - 1),
    st.lists(STARTS, min_size=2, max_size=5, unique=True),
    st.sampled_from(["rain_", "RR-v2.1_", "20991231-rain_"]),
)
def test_dates_in_names_come_back(form: int, times: list[np.datetime64], prefix: str) -> None:
    """Also behind the date of a version; in a form of years without centuries they are of this one."""
    index = pd.DatetimeIndex(times)
    index = index.floor("D").unique() if "%H" not in NAMES[form] else index
    index = index[index.year >= 2000] if "%y" in NAMES[form] else index
    if len(index) < 2:
        return
    paths = [f"/archive/{time.strftime(f'{prefix}{NAMES[form]}.tif')}" for time in index]
    patterns = () if form < BY_RULE else (f"{prefix}{NAMES[form]}.tif",)
    dated, left = dates_of(paths, patterns, "/archive", "forcing.rain.path")
    assert not left
    assert [(pd.Timestamp(time), path) for time, path in dated] == sorted(zip(index, paths, strict=True))
