"""Observed discharge in both formats: nothing shifted, nothing lost, nobody else's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hydrocli.basin.basin import stamps
from hydrocli.basin.discharge import find_discharge, read_discharge
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.errors import Errors, InputError

TIMES = stamps(np.datetime64("2020-01-01T00:00"), 4, 3600)
NAN = np.nan


def column(folder: Path, text: str, code: str = "A") -> np.ndarray:
    """What the one-column file of a gauge gives at TIMES."""
    (folder / f"{code}.csv").write_text(text, newline="")
    files = find_discharge(DischargeSource(folder, "smash"), [code])
    return read_discharge(files, [code], TIMES, 3600)[0][0]


def tidy(path: Path, text: str, codes: tuple[str, ...] = ("A", "B")) -> np.ndarray:
    path.write_text(text)
    return read_discharge(find_discharge(DischargeSource(path, "tidy"), codes), codes, TIMES, 3600)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("202001010100\n1\n2\n3\n4\n", [1, 2, 3, 4]),
        ("202001010100\n1\n2\n3\n4", [1, 2, 3, 4]),
        ("201912312300\n8\n9\n1\n2\n3\n4\n5\n6\n", [1, 2, 3, 4]),
        ("202001010300\n3\n4\n5\n", [NAN, NAN, 3, 4]),
        ("202001010100\n1\n2\n", [1, 2, NAN, NAN]),
        ("202001010100\r\n1.5\r\n-99.000\r\n3\r\n-0.1\r\n", [1.5, NAN, 3, NAN]),
        ("\ufeff202001010100\n 1 \n2,\n3;\n4\t\n", [1, 2, 3, 4]),
        ('"202001010100";\n"1";\nNA\nnan\n"4"\n', [1, NAN, NAN, 4]),
        ("\n\n202001010100\n1\n2\n3\n4\n", [1, 2, 3, 4]),
        ("202001020000\n1\n2\n", [NAN] * 4),
        ("201901010100\n1\n2\n", [NAN] * 4),
        ("", [NAN] * 4),
    ],
)
def test_one_column_files(tmp_path: Path, text: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(column(tmp_path, text), expected)


def test_the_observation_at_the_end_of_the_period_is_kept(tmp_path: Path) -> None:
    """The peer drops it where the file ends there too."""
    assert column(tmp_path, "202001010100\n1\n2\n3\n4\n")[-1] == 4


def test_a_blank_line_is_a_missing_value_and_shifts_nothing(tmp_path: Path) -> None:
    """The peer moves all that follows one step forward."""
    np.testing.assert_array_equal(column(tmp_path, "202001010100\n1\n\n3\n   \n"), [1, NAN, 3, NAN])


def test_a_code_within_a_longer_code_is_another_gauge(tmp_path: Path) -> None:
    """The peer reads V35240101.csv for V3524010."""
    for name in ("V35240101.csv", "XV3524010.csv", "qobs_V35240102_2020.csv"):
        (tmp_path / name).write_text("202001010100\n7\n7\n7\n7\n")
    assert find_discharge(DischargeSource(tmp_path, "smash"), ["V3524010"]).paths == ("",)
    (tmp_path / "deep").mkdir()
    own = tmp_path / "deep" / "qobs_V3524010_hourly.csv"
    own.write_text("202001010100\n1\n2\n3\n4\n")
    assert find_discharge(DischargeSource(tmp_path, "smash"), ["V3524010"]).paths == (str(own),)


def test_two_files_of_one_gauge(tmp_path: Path) -> None:
    for name in ("A.csv", "A_old.csv"):
        (tmp_path / name).write_text("202001010100\n1\n")
    assert find_discharge(DischargeSource(tmp_path, "smash"), ["A"]).paths == (str(tmp_path / "A.csv"),)
    (tmp_path / "A.csv").rename(tmp_path / "A_new.csv")
    with pytest.raises(InputError, match=r"gauge A has several files: .*A_new.csv, .*A_old.csv"):
        find_discharge(DischargeSource(tmp_path, "smash"), ["A"])


def test_a_gauge_without_file_or_data_leaves_the_others_alone(tmp_path: Path) -> None:
    """The peer aborts all of them."""
    (tmp_path / "A.csv").write_text("202001010100\n1\n2\n3\n4\n")
    (tmp_path / "B.csv").write_text("199001010100\n1\n2\n")
    codes = ["B", "A", "C"]
    discharge, notes, *_ = read_discharge(find_discharge(DischargeSource(tmp_path, "smash"), codes), codes, TIMES, 3600)
    np.testing.assert_array_equal(discharge, [[NAN] * 4, [1, 2, 3, 4], [NAN] * 4])
    assert notes == ["gauge B has no observed discharge", "gauge C has no observed discharge"]


def test_no_observations_at_all() -> None:
    discharge, notes, *_ = read_discharge(find_discharge(None, ["A", "B"]), ["A", "B"], TIMES, 3600)
    assert np.isnan(discharge).all()
    assert discharge.shape == (2, 4)
    assert notes == []


def test_broken_files_are_told_together_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("202001010100\n1\n2\nabc\n")
    (tmp_path / "B.csv").write_text("gauge B\n1\n")
    (tmp_path / "C.csv").write_text("202001010130\n1\n")
    (tmp_path / "D.csv").write_text("202001010100\n1 234,5\n")
    (tmp_path / "E.csv").write_text("202001010100\ninf\n")
    codes = ["A", "B", "C", "D", "E"]
    with pytest.raises(Errors) as caught:
        read_discharge(find_discharge(DischargeSource(tmp_path, "smash"), codes), codes, TIMES, 3600)
    message = str(caught.value)
    for part in (
        "A.csv:4: 'abc' is not a discharge",
        "B.csv:1: 'gauge B' is not the date",
        "C.csv:1: begins at 2020-01-01T01:30:00, which is no stamp",
        "D.csv:2: '1 234,5' is not a discharge",
        "E.csv:2: is infinite",
    ):
        assert part in message


def test_daily_files(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("20200101\n1\n2\n3\n4\n")
    days = stamps(np.datetime64("2020-01-01T00:00"), 3, 86400)
    discharge = read_discharge(find_discharge(DischargeSource(tmp_path, "smash"), ["A"]), ["A"], days, 86400).discharge
    np.testing.assert_array_equal(discharge[0], [2, 3, 4])


def test_tidy_csv(tmp_path: Path) -> None:
    text = (
        "time,gauge,note,discharge\n2020-01-01T02:00+01:00,A,x,1\n2020-01-01 03:00,A,y,-1\n"
        "2020-01-01T04:00Z,A,,4\n\n2020-01-01T02:00Z,B,,\n2020-01-01T01:00Z,ZZ,,junk of others\n"
        "2019-12-31T23:00Z,A,,9\n2020-01-02T00:00Z,A,,9\n"
    )
    np.testing.assert_array_equal(tidy(tmp_path / "q.csv", text), [[1, NAN, NAN, 4], [NAN] * 4])


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris"])
def test_tidy_parquet(tmp_path: Path, zone: str | None) -> None:
    times = pd.DatetimeIndex(TIMES).tz_localize("UTC").tz_convert(zone)
    pd.DataFrame({"gauge": 12, "time": times, "discharge": [1, 2, 3, 4]}).to_parquet(tmp_path / "q.parquet")
    files = find_discharge(DischargeSource(tmp_path / "q.parquet", "tidy"), ["12"])
    np.testing.assert_array_equal(read_discharge(files, ["12"], TIMES, 3600)[0], [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("A,2020-01-01T01:00Z,1\nA,2020-01-01T02:00+01:00,2\n", r"gauge A has two values at .* \(1 duplicates\)"),
        ("A,2020-01-01T01:00Z,1\nA,2020-01-01T02:00Z,junk\n", "q.csv:3: 'junk' is not a discharge"),
        ("A,yesterday,1\n", "q.csv:2: invalid time stamp 'yesterday'\n  Use ISO 8601"),
        ("A,,1\n", "q.csv:2: has no time"),
    ],
)
def test_broken_tidy_tables_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tidy(tmp_path / "q.csv", "gauge,time,discharge\n" + rows)


def test_missing_tables_and_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"q.csv: has no column discharge\n  It has gauge, time\."):
        tidy(tmp_path / "q.csv", "gauge,time\nA,2020\n")
    with pytest.raises(InputError, match="does not exist"):
        find_discharge(DischargeSource(tmp_path / "none", "tidy"), ["A"])
    with pytest.raises(InputError, match="is not a folder"):
        find_discharge(DischargeSource(tmp_path / "q.csv", "smash"), ["A"])
