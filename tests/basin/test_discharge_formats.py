"""Discharge as archives have it: every format gives the same series, nothing is shifted or taken for something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from discharge_files import ARCHIVES

from hydrocli.basin.basin import stamps
from hydrocli.basin.discharge import find_discharge, read_discharge
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.errors import HydrocliError

NAN = np.nan
HOURS = stamps(np.datetime64("2020-03-01T00:00"), 48, 3600)
DAYS = stamps(np.datetime64("2020-03-01T00:00"), 4, 86400)
SERIES = np.round(1.0 + 0.1 * np.arange(48), 1)


def read(source: DischargeSource, codes: list[str], times: Any = HOURS, **facts: Any) -> tuple[np.ndarray, list[str]]:
    step = int((times[1] - times[0]).astype(int))
    return read_discharge(find_discharge(source, codes, **facts), codes, times, step)[:2]


def tidy(path: Path, rows: list[tuple[Any, ...]], header: str = "gauge,time,discharge") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def refused(source: DischargeSource, codes: list[str], times: Any = HOURS, **facts: Any) -> str:
    with pytest.raises(HydrocliError) as caught:
        read(source, codes, times, **facts)
    for foreign in ("pandas", "Arrow", "dayfirst", "codec", "Traceback"):
        assert foreign not in str(caught.value)
    return str(caught.value)


def test_daily_values_are_never_read_as_hours(tmp_path: Path) -> None:
    (tmp_path / "G1.csv").write_text("20200301\n" + "1\n" * 60)
    assert "State `gauges.discharge.interval`, for example 1h or 1d" in refused(DischargeSource(tmp_path), ["G1"])
    text = refused(DischargeSource(tmp_path, interval=86400), ["G1"])
    assert "G1.csv:2: the values of gauge G1 are 1d apart, the step is 1h" in text
    assert "state `gauges.discharge.label`, start or end" in text
    assert "`period.step: 1d`" in text
    table = tidy(tmp_path / "q.csv", [("G1", "2020-03-01", 4.0), ("G1", "2020-03-02", 6.0)])
    assert "are 1d apart, the step is 1h" in refused(DischargeSource(table, "tidy"), ["G1"])
    values, _ = read(DischargeSource(table, "tidy", label="instant"), ["G1"])
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(values[0])), [23])


@pytest.mark.parametrize(
    ("label", "zone", "first", "hours"),
    [
        ("start", None, 0, 24),
        ("end", None, -24, 24),
        ("start", "+02:00", -2, 24),
        ("start", "Europe/Paris", -2, 25),  # the last Sunday of October begins in summer time and has 25 hours
    ],
)
def test_daily_means_belong_to_the_days_that_are_stated(
    tmp_path: Path, label: str, zone: str | None, first: int, hours: int
) -> None:
    """Dates are days of the clock of the zone; both ends of a day respect its summer time."""
    day = np.datetime64("2020-10-25")
    rows = [("G1", f"{day + offset}", 5.0 + offset) for offset in (-1, 0, 1)]
    table = tidy(tmp_path / "q.csv", rows)
    times = stamps(np.datetime64("2020-10-22T00:00"), 24 * 8, 3600)
    source = DischargeSource(table, "tidy", label=label, timezone=zone)
    found = read_discharge(find_discharge(source, ["G1"]), ["G1"], times, 3600)
    low = 72 + first  # hours from the start of the run to that of the day of the value 5
    expected = np.full(len(times), np.nan)
    expected[low - 24 : low], expected[low : low + hours], expected[low + hours : low + hours + 24] = 4.0, 5.0, 6.0
    np.testing.assert_array_equal(found.discharge[0], expected)
    assert found.until is not None
    np.testing.assert_array_equal(np.unique(found.until[0, low : low + hours]), [low + hours - 1])
    np.testing.assert_array_equal(found.until[0, :10], np.arange(10))


def test_daily_means_at_an_hour_of_a_local_clock(tmp_path: Path) -> None:
    """From 8 h to 8 h in Paris: in UTC the hour changes with summer time, and the day has 25 hours."""
    rows = [("G1", f"2020-10-{day} 08:00", float(day)) for day in range(23, 29)]
    source = DischargeSource(tidy(tmp_path / "q.csv", rows), "tidy", label="end", timezone="Europe/Paris")
    times = stamps(np.datetime64("2020-10-22T00:00"), 24 * 8, 3600)
    found = read_discharge(find_discharge(source, ["G1"]), ["G1"], times, 3600)
    counts = {value: int((found.discharge[0] == value).sum()) for value in (24.0, 25.0, 26.0)}
    assert counts == {24.0: 24, 25.0: 25, 26.0: 24}
    # 25 October, 8 h in Paris, is 7 h UTC.
    assert times[found.discharge[0] == 25.0][-1] == np.datetime64("2020-10-25T07:00")


def test_daily_means_that_the_period_cuts_or_a_step_divides(tmp_path: Path) -> None:
    table = tidy(tmp_path / "q.csv", [("G1", f"2020-03-0{day}", 1.0 * day) for day in range(1, 6)])
    source = DischargeSource(table, "tidy", label="start")
    times = stamps(np.datetime64("2020-03-01T06:00"), 24 * 3, 3600)
    values = read_discharge(find_discharge(source, ["G1"]), ["G1"], times, 3600).discharge[0]
    assert np.isnan(values[:18]).all()
    np.testing.assert_array_equal(values[18:66], [2.0] * 24 + [3.0] * 24)
    assert np.isnan(values[66:]).all()
    odd = DischargeSource(table, "tidy", label="start", timezone="+05:30")
    assert "begins or ends within a step of 1h" in refused(odd, ["G1"], times)


def test_hourly_values_are_never_read_as_quarters_of_hours(tmp_path: Path) -> None:
    quarters = stamps(np.datetime64("2020-03-01T00:00"), 192, 900)
    (tmp_path / "G1.csv").write_text("202003010100\n" + "\n".join(map(str, SERIES)))
    text = refused(DischargeSource(tmp_path), ["G1"], quarters)
    assert "has 48 values, which fill the period if they are 3600 s apart; the step is 900 s" in text
    values, notes = read(DischargeSource(tmp_path, interval=3600), ["G1"], quarters)
    np.testing.assert_array_equal(values[0, 3::4], SERIES)
    assert "values are 1h apart" in notes[0]
    values, _ = read(DischargeSource(tmp_path, interval=900), ["G1"], quarters)
    np.testing.assert_array_equal(values[0, 3:51], SERIES)


def test_dates_are_days_or_their_ends(tmp_path: Path) -> None:
    table = tidy(tmp_path / "q.csv", [("A", f"2020-03-{day:02}", day) for day in range(1, 6)])
    values, notes = read(DischargeSource(table, "tidy"), ["A"], DAYS)
    np.testing.assert_array_equal(values, [[2, 3, 4, 5]])
    assert "dates are the ends of their days" in notes[0]
    values, notes = read(DischargeSource(table, "tidy", label="start"), ["A"], DAYS)
    np.testing.assert_array_equal(values, [[1, 2, 3, 4]])
    assert not notes


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_doubled_hour_of_a_local_clock_is_resolved_by_order(tmp_path: Path, newest_first: bool) -> None:
    utc = stamps(np.datetime64("2020-10-23T22:00"), 73, 3600)
    local = pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert("Europe/Paris").strftime("%Y-%m-%d %H:%M")
    rows = [("A", time, number) for number, time in enumerate(local)]
    table = tidy(tmp_path / "q.csv", rows[::-1] if newest_first else rows)
    values, notes = read(DischargeSource(table, "tidy", timezone="Europe/Paris"), ["A"], utc)
    np.testing.assert_array_equal(values[0], np.arange(73))
    assert not notes
    text = refused(DischargeSource(table, "tidy"), ["A"], utc)
    assert "two values at 2020-10-25 02:00:00" in text
    assert "state `gauges.discharge.timezone`" in text
    single = tidy(tmp_path / "q.csv", [row for row in rows if row[2] != 26])
    values, notes = read(DischargeSource(single, "tidy", timezone="Europe/Paris"), ["A"], utc)
    assert np.isnan(values[0, 25:27]).all()
    assert np.isfinite(values[0]).sum() == 71
    assert any("doubled hour" in note for note in notes)


def test_the_lost_hour_of_a_local_clock(tmp_path: Path) -> None:
    utc = stamps(np.datetime64("2020-03-27T23:00"), 71, 3600)
    local = pd.DatetimeIndex(utc).tz_localize("UTC").tz_convert("Europe/Paris").strftime("%Y-%m-%d %H:%M")
    table = tidy(tmp_path / "q.csv", [("A", time, number) for number, time in enumerate(local)])
    values, _ = read(DischargeSource(table, "tidy", timezone="Europe/Paris"), ["A"], utc)
    np.testing.assert_array_equal(values[0], np.arange(71))
    _, notes = read(DischargeSource(table, "tidy"), ["A"], utc)
    assert "summer time at 2020-03-29T02" in notes[0]
    table.write_text("gauge,time,discharge\nA,2020-03-29 02:30,1\n")
    text = refused(DischargeSource(table, "tidy", timezone="Europe/Paris"), ["A"], utc)
    assert "q.csv:2: 2020-03-29T02:30:00 does not exist in Europe/Paris" in text
    table.write_text("gauge,time,discharge\nA,2020-03-29 02:00,1\n")
    values, _ = read(DischargeSource(table, "tidy", timezone="+01:00"), ["A"], utc)
    assert values[0, np.searchsorted(utc, np.datetime64("2020-03-29T01:00"))] == 1


def test_marks_texts_and_sentinels(tmp_path: Path) -> None:
    file = tmp_path / "G1.csv"
    file.write_text("202003010100\n12.3\n-999999\nIce\n14.1\nEqp\n9999\n1\n2\n")
    text = refused(DischargeSource(tmp_path), ["G1"])
    assert "G1.csv:4: 'Ice' is not a discharge (2 such values: 'Ice', 'Eqp')" in text
    assert "`gauges.discharge.missing: [Ice]`" in text
    text = refused(DischargeSource(tmp_path, missing=("Ice", "eqp")), ["G1"])
    assert "G1.csv:7: 9999 is more than ten times any other discharge" in text
    values, notes = read(DischargeSource(tmp_path, missing=("Ice", "eqp", 9999.0)), ["G1"])
    np.testing.assert_array_equal(values[0, :8], [12.3, NAN, NAN, 14.1, NAN, NAN, 1, 2])
    assert "discharge of G1 (3): values with a mark of `missing`" in notes
    for odd in ("13.1 e", "1 234,5"):
        file.write_text(f"202003010100\n{odd}\n")
        assert f"G1.csv:2: {odd!r} is not a discharge" in refused(DischargeSource(tmp_path), ["G1"])


def test_lines_outside_of_the_period_are_not_examined(tmp_path: Path) -> None:
    (tmp_path / "G1.csv").write_text("201903010100\nIce\n" + "1\n" * 8783 + "\n".join(map(str, SERIES)))
    np.testing.assert_array_equal(read(DischargeSource(tmp_path), ["G1"])[0][0], SERIES)
    rows = [("A", "2019-03-01T01:00Z", "Ice"), ("A", "2020-03-01T01:00Z", 2)]
    table = tidy(tmp_path / "q.csv", rows)
    assert read(DischargeSource(table, "tidy"), ["A"])[0][0, 0] == 2


@pytest.mark.parametrize("end", [b"\r\r\n", b"\n\n", b"\r\n\r\n"])
def test_blank_second_lines_are_line_ends(tmp_path: Path, end: bytes) -> None:
    lines = [b"202003010100", *(b"%.1f" % value for value in SERIES)]
    (tmp_path / "G1.csv").write_bytes(end.join(lines) + end)
    np.testing.assert_array_equal(read(DischargeSource(tmp_path), ["G1"])[0][0], SERIES)


def test_codes_that_lost_their_zeros(tmp_path: Path) -> None:
    for dtype in ("int64", "float64"):
        frame = pd.DataFrame({"gauge": [1022500] * 48, "time": HOURS, "discharge": SERIES}).astype({"gauge": dtype})
        frame.to_parquet(tmp_path / "q.parquet")
        values, notes = read(DischargeSource(tmp_path / "q.parquet", "tidy"), ["01022500"])
        np.testing.assert_array_equal(values[0], SERIES)
        assert "1022500 is 01022500" in notes[0]
    table = tidy(tmp_path / "q.csv", [("1022500", "2020-03-01T01:00Z", 1)])
    assert "Did you mean 1022500?" in refused(DischargeSource(table, "tidy"), ["01022500"])


def test_the_order_of_day_and_month_is_found_or_asked_for(tmp_path: Path) -> None:
    text = pd.DatetimeIndex(HOURS).strftime("%d/%m/%Y %H:%M")
    table = tidy(tmp_path / "q.csv", [("A", time, value) for time, value in zip(text, SERIES, strict=True)])
    assert "q.csv:2: the day and the month of '01/03/2020 01:00' may be either" in refused(
        DischargeSource(table, "tidy"), ["A"]
    )
    values, _ = read(DischargeSource(table, "tidy", date_format="%d/%m/%Y %H:%M"), ["A"])
    np.testing.assert_array_equal(values[0], SERIES)
    tidy(table, [*[("A", time, value) for time, value in zip(text, SERIES, strict=True)], ("A", "31/03/2020 00:00", 1)])
    np.testing.assert_array_equal(read(DischargeSource(table, "tidy"), ["A"])[0][0], SERIES)
    tidy(table, [("A", time.replace("/", "."), value) for time, value in zip(text, SERIES, strict=True)])
    np.testing.assert_array_equal(read(DischargeSource(table, "tidy"), ["A"])[0][0], SERIES)


def test_irregular_times_are_averaged_over_the_step(tmp_path: Path) -> None:
    rows = [("A", f"2020-03-01T{minute // 60:02}:{minute % 60:02}Z", minute) for minute in (0, 25, 60, 100, 180, 400)]
    values, notes = read(DischargeSource(tidy(tmp_path / "q.csv", rows), "tidy"), ["A"])
    np.testing.assert_allclose(values[0, :3], [30, (80 * 40) / 40, NAN])
    values, _ = read(DischargeSource(tmp_path / "q.csv", "tidy", max_gap=80 * 60), ["A"])
    np.testing.assert_allclose(values[0, :4], [30, 90, 150, NAN])
    assert "irregular times" in notes[0]
    quarter = [("A", str(time) + "Z", float(number)) for number, time in enumerate(stamps(HOURS[0] - 3600, 8, 900))]
    values, notes = read(DischargeSource(tidy(tmp_path / "q.csv", quarter), "tidy"), ["A"])
    np.testing.assert_array_equal(values[0, :3], [1.5, 5.5, NAN])
    assert "15min apart" in notes[0]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("l/s", 1e-3), ("cfs", 0.028316846592), ("mm/step", 36e3 / 3600), ("mm/day", 36e3 / 86400), ("m3 s-1", 1.0)],
)
def test_units(tmp_path: Path, unit: str, factor: float) -> None:
    table = tidy(tmp_path / "q.csv", [("A", f"{time}Z", value) for time, value in zip(HOURS, SERIES, strict=True)])
    values, _ = read(DischargeSource(table, "tidy", unit=unit), ["A"], area=[36e6])
    np.testing.assert_allclose(values[0], SERIES * factor, rtol=1e-12)
    if unit.startswith("mm"):
        assert "gauge A has no area" in refused(DischargeSource(table, "tidy", unit=unit), ["A"])


def test_a_wide_table_of_an_institute(tmp_path: Path) -> None:
    """Two lines of headers, flags, decimal commas, Latin-1, local time."""
    local = pd.DatetimeIndex(HOURS).tz_localize("UTC").tz_convert("Europe/Paris").strftime("%d/%m/%Y %H:%M")
    lines = ["Date;Y1;Qualité Y1;Y2;Qualité Y2", "heure locale;m3/s;-;m3/s;-"]
    for number, (time, value) in enumerate(zip(local, SERIES, strict=True)):
        text = str(value).replace(".", ",")
        lines.append(f"{time};{text};{'Douteuse' if number == 5 else 'Bonne'};{text};Bonne")
    lines.append("31/03/2020 00:00;;;;")
    (tmp_path / "q.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    source = DischargeSource(tmp_path / "q.csv", "wide", timezone="Europe/Paris")
    values, notes = read(source, ["Y1", "Y2"])
    np.testing.assert_array_equal(values, [SERIES, SERIES])
    assert "flags are not read (Qualité Y1, Qualité Y2)" in notes[0]
    kept, notes = read(DischargeSource(source.path, "wide", timezone="Europe/Paris", flags=("Bonne",)), ["Y2", "Y1"])
    np.testing.assert_array_equal(kept[1], np.where(np.arange(48) == 5, NAN, SERIES))
    np.testing.assert_array_equal(kept[0], SERIES)
    assert notes == ["discharge of Y1 (1): values with other flags are missing"]
    assert "has a column for none of the gauges" in refused(source, ["Z"])


def test_a_wide_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"time": HOURS, "01": SERIES, "02": 2 * SERIES}).to_parquet(tmp_path / "q.parquet")
    values, _ = read(DischargeSource(tmp_path / "q.parquet", "wide"), ["02", "01"])
    np.testing.assert_array_equal(values, [2 * SERIES, SERIES])
    assert "Did you mean 01?" in refused(DischargeSource(tmp_path / "q.parquet", "wide"), ["1"])


@pytest.mark.parametrize(("format", "name", "text"), ARCHIVES)
def test_archives_of_daily_means(tmp_path: Path, format: str, name: str, text: str) -> None:  # noqa: A002
    """The date is the day: the first value is that of the step that ends on 2 March at 0 h."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(text.encode("cp1252"))
    values, notes = read(DischargeSource(tmp_path, format), ["012"], DAYS, area=[36e6])
    np.testing.assert_allclose(values, [[1, 2, 3, 4]], rtol=1e-6)
    assert not [note for note in notes if "no observed" in note]
    source = DischargeSource(tmp_path, format)
    files = find_discharge(source, ["012"], area=[36e6])
    hourly = read_discharge(files, ["012"], HOURS, 3600)
    np.testing.assert_allclose(hourly.discharge, [[1] * 24 + [2] * 24], rtol=1e-6)
    assert hourly.until is not None
    np.testing.assert_array_equal(hourly.until, [[23] * 24 + [47] * 24])
    assert any("means of 1d, from their times (UTC)" in note for note in hourly.notes)


def test_answers_of_hubeau_in_json(tmp_path: Path) -> None:
    rows = [
        {"code_station": "Y1", "date_obs": f"{time}Z", "grandeur_hydro": kind, "resultat_obs": value * 1e3}
        for time, value in zip(HOURS, SERIES, strict=True)
        for kind in ("Q", "H")
    ]
    (tmp_path / "page.json").write_text(json.dumps({"count": 96, "data": rows}))
    values, _ = read(DischargeSource(tmp_path, "hubeau"), ["Y1"])
    np.testing.assert_allclose(values[0], SERIES)
    (tmp_path / "page.json").write_text("<html>")
    assert "is not an answer of Hub'Eau" in refused(DischargeSource(tmp_path, "hubeau"), ["Y1"])


def test_netcdf(tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    values = np.stack([SERIES, 2 * SERIES]) * 1e3
    dataset = xr.Dataset(
        {"q": (("station", "time"), values, {"units": "l s-1"})},
        {"time": HOURS.astype("datetime64[ns]"), "station_id": ("station", ["A", "B"], {"cf_role": "timeseries_id"})},
    )
    dataset.to_netcdf(tmp_path / "q.nc", engine="h5netcdf")
    found, _ = read(DischargeSource(tmp_path / "q.nc", "netcdf"), ["B", "A"])
    np.testing.assert_allclose(found, [2 * SERIES, SERIES])
    text = refused(DischargeSource(tmp_path / "q.nc", "netcdf", unit="m3/s"), ["A"])
    assert "gauges.discharge.unit: is 'm3/s', but the files are in l s-1" in text


def test_equal_rows_are_one(tmp_path: Path) -> None:
    rows = [("A", "2020-03-01T01:00Z", 1.0)] * 2
    assert read(DischargeSource(tidy(tmp_path / "q.csv", rows), "tidy"), ["A"])[0][0, 0] == 1.0


def test_columns_and_flags_by_name(tmp_path: Path) -> None:
    rows = [("A", "2020-03-01T01:00Z", 1.0, "Good"), ("A", "2020-03-01T02:00Z", 2.0, "Bad")]
    table = tidy(tmp_path / "q.csv", rows, "station,quand,debit,etat")
    columns = {"gauge": "station", "time": "quand", "discharge": "debit", "flag": "etat"}
    values, _ = read(DischargeSource(table, "tidy", columns=columns, flags=("Good",)), ["A"])
    np.testing.assert_array_equal(values[0, :2], [1, NAN])
    text = refused(DischargeSource(table, "tidy", columns=columns | {"time": "when"}), ["A"])
    assert "gauges.discharge.columns.time" in text
    assert "It has station, quand, debit, etat" in text


def test_what_is_assumed_of_discharge_is_said(tmp_path: Path) -> None:
    """Unit, meaning and zone of times, layout; gauges are named where they differ."""
    path = tmp_path / "q.csv"
    rows = "".join(f"{code};2020-03-01 0{hour}:00;{hour},5\n" for code in ("G1", "G2") for hour in range(1, 5))
    path.write_text(f"station;date;debit\n{rows}")
    names = {"gauge": "station", "time": "date", "discharge": "debit"}
    source = DischargeSource(path, "tidy", columns=names, unit="l/s", label="start", timezone="Europe/Paris")
    codes = ["G1", "G2"]
    found = read_discharge(find_discharge(source, codes), codes, HOURS, 3600)
    assert found.assumptions == [
        "discharge: l/s (stated by `unit`); a time is the start of the interval of its value (stated by `label`); "
        "times: Europe/Paris (stated by `timezone`), 1h apart; text in UTF-8 with semicolons; gauge from station, "
        "time from date, discharge from debit"
    ]
    path.write_text(f"station;date;debit\n{rows}G1;2020-03-02;3\n")
    plain = DischargeSource(path, "tidy", columns=names)
    (first, *_) = read_discharge(find_discharge(plain, ["G1", "G3"]), ["G1", "G3"], HOURS, 3600).assumptions
    assert first.startswith(
        "discharge of G1: m3/s (of the tidy files); a time is the end of the interval of its value (not"
    )
    assert "times: UTC (not stated), 1h apart" in first
