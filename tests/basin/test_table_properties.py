"""Tables of discharge in any writing, against pandas: separators, decimal commas, clocks, orders of rows, gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrocli.basin.basin import stamps
from hydrocli.basin.discharge import find_discharge, read_discharge
from hydrocli.basin.discharge_formats import DischargeSource

CODES = ("007", "A-1", "b 2")
STARTS = ("2020-02-28T12:00", "2020-03-28T12:00", "2020-10-24T12:00", "2019-12-31T06:00")
"""Beside a leap day, both changes of the clock in Europe, and a new year."""
ZONES = (None, "Europe/Paris", "America/New_York", "+05:30")
FORMS = {
    "%Y-%m-%dT%H:%M": False,
    "%Y-%m-%d %H:%M:%S": False,
    "%Y/%m/%d %H:%M": False,
    "%Y%m%d%H%M": False,
    "%d.%m.%Y %H:%M": False,
    "%d/%m/%Y %H:%M": True,
}
"""Forms of times, and whether they have to be stated."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def local(utc: pd.DatetimeIndex, zone: str | None) -> pd.DatetimeIndex:
    name = {"+05:30": "Asia/Kolkata", None: "UTC"}.get(zone, zone)
    return utc.tz_localize("UTC").tz_convert(name).tz_localize(None)


def doubtful(clock: pd.DatetimeIndex, zone: str | None) -> np.ndarray:
    """Which times of a clock it shows twice, and only one of them is there."""
    if zone is None or zone.startswith("+"):
        return np.zeros(len(clock), bool)
    once = ~clock.duplicated(keep=False)
    return np.asarray(clock.tz_localize(zone, ambiguous="NaT").isna()) & once


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_discharge_in_any_writing_is_that_of_pandas(folder: Path, data: st.DataObject) -> None:
    draw = data.draw
    steps, zone = draw(st.integers(3, 40)), draw(st.sampled_from(ZONES))
    times = stamps(np.datetime64(draw(st.sampled_from(STARTS))), steps, 3600)
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    gaps = draw(st.sampled_from([0.0, 0.3]))
    separator, is_wide = draw(st.sampled_from(",;\t|")), draw(st.booleans())
    comma = separator != "," and draw(st.booleans())
    form = draw(st.sampled_from(list(FORMS)))
    mark = draw(st.sampled_from(["", "NaN", "-999", "M"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    end, quotes = draw(st.sampled_from(["\n", "\r\n", "\r\r\n"])), draw(st.booleans())

    def cell(value: float) -> str:
        text = mark if np.isnan(value) else repr(float(value))
        text = text.replace(".", ",") if comma else text
        return f'"{text}"' if quotes else text

    expected, rows, columns = [], [], dict[str, Any]()
    clock = local(pd.DatetimeIndex(times), zone)
    for code in CODES:
        values = np.round(generator.uniform(0, 50, steps), 3)
        values[generator.random(steps) < gaps] = np.nan
        kept = np.ones(steps, bool) if is_wide else generator.random(steps) >= gaps
        kept[0] = True
        true = np.where(kept, values, np.nan)
        true[np.flatnonzero(kept)[doubtful(clock[kept], zone)]] = np.nan
        expected.append(true)
        columns[code] = values
        rows += [(code, clock[k].strftime(form), cell(values[k])) for k in np.flatnonzero(kept)]
    if is_wide:
        lines = [["when", *CODES]]
        lines += [[clock[k].strftime(form), *(cell(columns[code][k]) for code in CODES)] for k in range(steps)]
    else:
        lines = [["gauge", "note", "time", "discharge"], *([a, "x", b, c] for a, b, c in rows)]
    text = end.join(separator.join(line) for line in lines) + end
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    source = DischargeSource(
        path,
        "wide" if is_wide else "tidy",
        timezone=zone,
        missing=(mark,) if mark == "M" else (),
        date_format=form if FORMS[form] else None,
    )
    found = read_discharge(find_discharge(source, CODES), CODES, times, 3600)[0]
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.sampled_from([900, 3600, 10800, 86400]), st.booleans())
def test_rows_in_any_order_and_parquet_give_the_same(folder: Path, seed: int, step: int, is_aware: bool) -> None:
    """Values a quarter of an hour apart are averaged over the steps where at least half of them are there."""
    generator = np.random.default_rng(seed)
    times = stamps(np.datetime64("2020-02-28T00:00"), 2 * 86400 // step, step)
    fine = pd.DatetimeIndex(stamps(np.datetime64("2020-02-28T00:00"), 192, 900))
    values = generator.integers(1, 60, (2, 192)).astype(float)
    values[generator.random(values.shape) < 0.3] = np.nan
    frame = pd.DataFrame({"gauge": np.repeat(CODES[:2], 192), "time": np.tile(fine, 2), "discharge": values.ravel()})
    frame["time"] = frame["time"].dt.tz_localize("UTC").dt.tz_convert("Asia/Kathmandu") if is_aware else frame["time"]
    path = folder / "table.parquet"
    frame.sample(frac=1, random_state=seed).to_parquet(path)
    found = read_discharge(find_discharge(DischargeSource(path, "tidy"), CODES[:2]), CODES[:2], times, step)[0]
    series = pd.DataFrame(values.T, index=fine)
    groups = series.groupby(fine.ceil(f"{step}s"))
    expected = groups.mean().where(2 * groups.count() >= step // 900)
    np.testing.assert_allclose(found, expected.to_numpy().T, rtol=1e-12)
