"""Observed discharge, in m3/s, at the stamps of a period; NaN where nothing was observed.

`smash`: a folder of one CSV per gauge, of one column: the date of the first value (8 digits, or 12 with the hour), then
a value per step, negative where missing. A file is that of a gauge when its name holds the code between characters
that are neither letters nor digits. A blank line is a step without observation.

`tidy`: one table for all gauges, CSV or Parquet, with the columns gauge, time, discharge; times without zone are UTC,
negative values are missing, other columns are left out. Formats as in `hydrocli.basin.tables`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times
from hydrocli.basin.tables import MISSING, Columns, number, read_columns, read_text
from hydrocli.errors import Errors, HydrocliError, InputError

if TYPE_CHECKING:
    import pandas as pd

WHERE = "gauges.discharge.path"
FORMATS = ("smash", "tidy")
COLUMNS = ("gauge", "time", "discharge")
_SEPARATORS = " \t,;\"'"


@dataclass(frozen=True)
class DischargeFiles:
    """What holds the observations: a file per gauge, '' for a gauge that has none (smash), or one for all (tidy)."""

    format: str
    paths: tuple[str, ...]


def find_discharge(path: Path | None, format: str, codes: Sequence[str]) -> DischargeFiles:  # noqa: A002
    """Find the files of the gauges.

    Raises:
        InputError: when `path` does not exist, or several files bear the code of one gauge.
    """
    if path is None:
        return DischargeFiles("smash", ("",) * len(codes))
    if not path.exists():
        raise InputError(WHERE, f"{path} does not exist")
    if format == "tidy":
        return DischargeFiles(format, (os.fspath(path),))
    if not path.is_dir():
        raise InputError(WHERE, f"{path} is not a folder", "The format smash has a folder of one CSV per gauge.")
    candidates = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() == ".csv")
    return DischargeFiles(format, tuple(_file_of(code, candidates) for code in codes))


def read_discharge(files: DischargeFiles, codes: Sequence[str], times: Times, step: int) -> tuple[Floats, list[str]]:
    """Observations of all gauges.

    Args:
        files: from `find_discharge`.
        codes: of the g gauges.
        times: t stamps, at a fixed step.
        step: of the stamps [s].

    Returns:
        float64[g, t] [m3/s], NaN where missing, and sentences worth a warning.

    Raises:
        Errors: for every broken file, together.
    """
    discharge = np.full((len(codes), len(times)), np.nan)
    notes = []
    if files.format == "tidy":
        notes = _read_tidy(Path(files.paths[0]), codes, times, discharge)
    else:
        errors: list[HydrocliError] = []
        for series, path in zip(discharge, files.paths, strict=True):
            try:
                if path:
                    _read_column(path, times, step, series)
            except InputError as error:
                errors.append(error)
        if errors:
            raise Errors(errors)
    if any(files.paths):
        empty = np.isnan(discharge).all(axis=1)
        notes += [f"gauge {code} has no observed discharge" for code, none in zip(codes, empty, strict=True) if none]
    return discharge, notes


def _file_of(code: str, candidates: list[str]) -> str:
    """The file whose name holds the code as a whole word, '' where there is none."""
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(code)}(?![A-Za-z0-9])")
    found = [path for path in candidates if word.search(Path(path).stem)]
    exact = [path for path in found if Path(path).stem == code]
    chosen = exact if len(exact) == 1 else found
    if len(chosen) > 1:
        raise InputError(WHERE, f"gauge {code} has several files: {', '.join(chosen)}", "Keep one of them there.")
    return chosen[0] if chosen else ""


def _read_column(path: str, times: Times, step: int, series: Floats) -> None:
    """Write into `series` [t] what a one-column file holds at `times`."""
    lines = read_text(Path(path)).splitlines()
    header = next((i for i, line in enumerate(lines) if line.strip(_SEPARATORS)), None)
    if header is None:
        return
    begin = _date(path, header, lines[header].strip(_SEPARATORS))
    offset = int((times[0] - begin).astype(int))
    if offset % step:
        what = f"begins at {begin}, which is no stamp of a step of {step} s"
        raise InputError(f"{path}:{header + 1}", what, "Does it have the step of the model?")
    skip = offset // step
    low, high = max(skip, 0), max(skip + len(times), 0)
    values = _numbers(path, lines[header + 1 :], header + 2)[low:high]
    series[low - skip : low - skip + len(values)] = values


def _numbers(path: str, lines: list[str], first_line: int) -> Floats:
    """A number per line; NaN for blank lines, marks of missing values, and negative numbers."""
    values = np.empty(len(lines))
    for i, line in enumerate(lines):
        try:
            values[i] = float(line)
        except ValueError:
            values[i] = _odd_number(path, line, first_line + i)
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise InputError(f"{path}:{first_line + infinite[0]}", "is infinite")
    values[values < 0] = np.nan
    return values


def _odd_number(path: str, line: str, line_number: int) -> float:
    """A line that is not simply a number: blank, a mark of a missing value, or with separators around it."""
    text = line.strip(_SEPARATORS)
    if text.lower() in MISSING:
        return math.nan
    value = number(text)
    if value is None:
        remedy = "Write one number per line; negative or blank where missing."
        raise InputError(f"{path}:{line_number}", f"{line.strip()!r} is not a discharge", remedy)
    return value


def _date(path: str, line: int, text: str) -> np.datetime64:
    if re.fullmatch(r"\d{8}|\d{12}", text):
        digits = text.ljust(12, "0")
        try:
            iso = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:]}"
            return np.datetime64(iso, "s")
        except ValueError:
            pass
    what = f"{text!r} is not the date of the first value"
    raise InputError(f"{path}:{line + 1}", what, "Write it as 201409150100, or 20140915 for daily values.")


def _read_tidy(path: Path, codes: Sequence[str], times: Times, discharge: Floats) -> list[str]:
    """Write into `discharge` [g, t] what a table holds of the gauges at `times`; gives sentences worth a warning.

    Raises:
        InputError: for what is no number or time, two values of a gauge at one time, times between the stamps.
    """
    table = read_columns(path, COLUMNS, "gauge,time,discharge")
    notes = [f"{path}: columns that are not read: {', '.join(table.others)}"] if table.others else []
    frame = table.frame
    frame["gauge"] = frame["gauge"].astype("string").str.strip()
    wanted = frame[frame["gauge"].isin(codes)]
    if wanted.empty:
        there = ", ".join(frame["gauge"].dropna().unique().tolist()[:5])
        return [*notes, f"{path} has none of the gauges; it has {there or 'no row'}"]
    when = _utc_times(table, wanted["time"])
    values = _discharges(table, wanted["discharge"])
    keys = wanted[["gauge"]].assign(time=when)
    repeated = keys[keys.duplicated().to_numpy()]
    if len(repeated):
        row = repeated.iloc[0]
        what = f"gauge {row['gauge']} has two values at {row['time']} ({len(repeated)} duplicates)"
        raise InputError(table.where(repeated.index[0]), what, "Keep one.")
    within = (when >= times[0]) & (when <= times[-1])
    place = np.searchsorted(times, when[within])
    stray = np.flatnonzero(times[place] != when[within])
    if stray.size:
        what = f"has a value at {when[within][stray[0]]}, which is no stamp of the step"
        where = table.where(wanted.index[within][stray[0]])
        raise InputError(where, what, "Bring the series to the step of the model first.")
    number_of = {code: g for g, code in enumerate(codes)}
    gauge = wanted["gauge"][within].map(number_of).to_numpy(np.int64)
    discharge[gauge, place] = np.where(values[within] < 0, np.nan, values[within])
    return notes


def _utc_times(table: Columns, column: pd.Series[str]) -> Times:
    """Times of a column in UTC, datetime64[s]."""
    import pandas as pd

    is_text = pd.api.types.is_string_dtype(column)
    text = column.str.strip() if is_text else column
    utc = pd.to_datetime(text, utc=True, format="ISO8601" if is_text else None, errors="coerce").dt.tz_localize(None)
    if utc.isna().any():
        row, found = column.index[utc.isna()][0], column[utc.isna()].iloc[0]
        is_empty = pd.isna(found) or not str(found).strip()
        what = "has no time" if is_empty else f"invalid time stamp {str(found)!r}"
        raise InputError(table.where(row), what, "Use ISO 8601, for example 2014-09-15T01:00Z.")
    return utc.to_numpy("datetime64[s]")


def _discharges(table: Columns, column: pd.Series[str]) -> Floats:
    """Numbers of a column, with decimal points or commas, NaN where missing."""
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    text = column.astype("string").str.strip().str.lower().fillna("")
    odd = np.flatnonzero((np.isnan(values) & ~text.isin(MISSING).to_numpy(bool)) | np.isinf(values))
    if odd.size:
        is_decimal_comma = text.iloc[odd].str.fullmatch(r"[+-]?\d*,\d+(?:e[+-]?\d+)?").to_numpy(bool)
        commas, odd = odd[is_decimal_comma], odd[~is_decimal_comma]
        values[commas] = text.iloc[commas].str.replace(",", ".", regex=False).astype(np.float64)
    if odd.size:
        remedy = "Write a number, or leave it empty where missing."
        raise InputError(table.where(column.index[odd[0]]), f"{str(column.iloc[odd[0]])!r} is not a discharge", remedy)
    return values
