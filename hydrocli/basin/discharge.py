"""Observed discharge, in m3/s, at the stamps of a period; NaN where nothing was observed.

`smash`: a folder of one CSV per gauge, of one column: the date of the first value (8 digits, or 12 with the hour), then
a value per step, negative where missing. A file is that of a gauge when the code stands in its name between characters
that are neither letters nor digits. A blank line is a step without observation.

`tidy`: one table for all gauges, see `hydrocli.basin.tidy`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times
from hydrocli.errors import Errors, HydrocliError, InputError

WHERE = "gauges.discharge.path"
MISSING = {"", "na", "nan", "null"}
"""Marks of missing values, in small letters."""
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
        float64[g, t] [m3/s], and sentences about gauges that have no observation in the period.

    Raises:
        Errors: for every broken file, together.
    """
    discharge = np.full((len(codes), len(times)), np.nan)
    if files.format == "tidy":
        # Only this format needs pandas, which takes as long to import as all the rest of this room.
        from hydrocli.basin.tidy import read_tidy

        read_tidy(files.paths[0], codes, times, discharge)
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
    notes = []
    if any(files.paths):
        empty = np.isnan(discharge).all(axis=1)
        notes = [f"gauge {code} has no observed discharge" for code, none in zip(codes, empty, strict=True) if none]
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
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(path, "does not exist any more") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({error})") from error
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


def _odd_number(path: str, line: str, number: int) -> float:
    """A line that is not simply a number: blank, a mark of a missing value, or with separators around it."""
    text = line.strip(_SEPARATORS)
    if text.lower() in MISSING:
        return math.nan
    try:
        return float(text)
    except ValueError:
        remedy = "One number per line, with a decimal point; negative or blank where missing."
        raise InputError(f"{path}:{number}", f"{line.strip()!r} is not a discharge", remedy) from None


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
