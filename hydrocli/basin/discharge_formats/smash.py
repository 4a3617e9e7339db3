"""`smash`: a folder of one CSV per gauge, of one column: the date of the first value, then a value per step.

The date has 8 digits, or 12 with the hour. A blank line is a step without observation; where a program has put a blank
line after each line of the whole file, they count as line ends.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.arrays import Integers
from hydrocli.basin.basin import DAY
from hydrocli.basin.clock import Stamps, to_utc
from hydrocli.basin.discharge_formats import (
    SECTION,
    WHERE,
    DischargeSource,
    Found,
    Numbers,
    Period,
    Records,
    read_each,
    require_folder,
)
from hydrocli.basin.tables import MISSING, files_by_code, read_text
from hydrocli.errors import InputError

_AROUND = " \t,;\"'"
_USUAL = (3600, DAY)
"""Intervals between values that files are likely to have [s]."""


class SmashFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`."""
        require_folder(source, "a folder of one CSV per gauge")
        return files_by_code(source.path, codes, (".csv",), WHERE)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`; gives the lines in and around the period only."""
        return read_each(paths, codes, lambda path, code: _read(path, source, period, notes))


FORMAT = SmashFormat()


def _read(path: Path, source: DischargeSource, period: Period, notes: list[str]) -> Records | None:
    lines = read_text(path).splitlines()
    header = next((i for i, line in enumerate(lines) if line.strip(_AROUND)), None)
    if header is None:
        return None
    begin, is_date = _date(str(path), header, lines[header].strip(_AROUND))
    if is_date and period.step < DAY and source.interval is None:
        what = f"begins with a date without an hour, and the step is {period.step} s: are these daily values?"
        remedy = f"State `{SECTION}.interval`, for example 1h or 1d, or write the date as {begin.item():%Y%m%d%H%M}."
        raise InputError(f"{path}:{header + 1}", what, remedy)
    first, stride = header + 1, 1
    if _has_blank_second_lines(lines[header:]):
        first, stride = header + 2, 2
        notes.append(f"{path}: every second line is blank, and counts as the end of the line before")
    rows = np.arange(first, len(lines), stride)
    interval = source.interval or period.step
    clock = np.array([begin], "datetime64[s]")
    start = to_utc(Stamps(clock, np.zeros(1, bool)), None if is_date else source.timezone, lambda row: f"{path}:1")[0]
    offset = int((period.times[0] - start).astype(int))
    if source.interval is None:
        if offset % interval:
            what = f"begins at {begin}, which is no stamp of a step of {interval} s"
            remedy = f"Does it have the step of the model? Else state `{SECTION}.interval`."
            raise InputError(f"{path}:{header + 1}", what, remedy)
        _refuse_other_interval(path, start, len(rows), period)
    # A value more on both sides, for means over irregular steps.
    margin = 2 * max(interval, period.step) // interval + 1
    low = max(offset // interval - margin, 0)
    high = max((offset + len(period.times) * period.step) // interval + margin, 0)
    times = start + np.arange(len(rows)) * np.timedelta64(interval, "s")
    rows, times = rows[low:high], times[low:high]
    values = _column([lines[row].strip(_AROUND) for row in rows.tolist()], rows, source)
    stamps = Stamps(times, np.ones(len(times), bool))
    layout = "one column below the date of its first value"
    return Records(stamps, values, lambda row: f"{path}:{row + 1}", layout=layout)


def _column(texts: list[str], rows: Integers, source: DischargeSource) -> Any:
    """Numbers where all texts are finite ones or nothing; else a series of pandas, for what is to be examined."""
    if not (source.missing or any("_" in text for text in texts)):
        with suppress(ValueError):
            numbers = [math.nan if text.lower() in MISSING else float(text) for text in texts]
            if not any(map(math.isinf, numbers)):
                return Numbers(rows, np.array(numbers, np.float64))
    import pandas as pd

    return pd.Series(texts, index=rows, dtype="object")


def _has_blank_second_lines(lines: list[str]) -> bool:
    """Whether lines from the header on are blank at every second place and nowhere else."""
    is_blank = [not line.strip(_AROUND) for line in lines]
    return len(lines) >= 8 and all(is_blank[1::2]) and not any(is_blank[:-1:2])


def _refuse_other_interval(path: Path, start: np.datetime64, count: int, period: Period) -> None:
    """Refuse a series that fills the period with another interval, and ends early with the step of the model."""
    end, step = period.times[-1], period.step
    if start + (count - 1) * np.timedelta64(step, "s") >= end or count < 10:
        return
    for interval in _USUAL:
        last = start + (count - 1) * np.timedelta64(interval, "s")
        if interval > step and last == end:
            what = f"has {count} values, which fill the period if they are {interval} s apart; the step is {step} s"
            raise InputError(str(path), what, f"State `{SECTION}.interval`: {interval}s, or {step}s if it ends early.")


def _date(path: str, line: int, text: str) -> tuple[np.datetime64, bool]:
    """The time that begins a file, and whether it is a day."""
    if re.fullmatch(r"\d{8}|\d{12}", text):
        digits = text.ljust(12, "0")
        try:
            iso = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:]}"
            return np.datetime64(iso, "s"), len(text) == 8
        except ValueError:
            pass
    what = f"{text!r} is not the date of the first value"
    raise InputError(f"{path}:{line + 1}", what, "Write it as 201409150100, or 20140915 for daily values.")
