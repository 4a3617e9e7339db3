"""Folder trees of rasters with dates in their names: which file holds which stamp."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydrocli.basin.basin import Times
from hydrocli.errors import InputError

SUFFIXES = (".tif", ".tiff")
_STAMP = re.compile(r"(?<!\d)(\d{12}(?:\d{2})?|\d{8})(?!\d)")
_DAY_OF_YEAR = re.compile(r"(?<!\d)(\d{4})(?!\d)")


@dataclass(frozen=True)
class Archive:
    """Rasters of one variable, by time.

    Attributes:
        folder: where they were found.
        times: datetime64[s][k], sorted, distinct.
        paths: k files.
        undated: files without a date in their names, which are left out.
    """

    folder: Path
    times: Times
    paths: tuple[str, ...]
    undated: tuple[str, ...]

    @property
    def is_daily(self) -> bool:
        """Whether no calendar day has more than one file, and every file stands for the same hour."""
        days = self.times.astype("datetime64[D]")
        return len(np.unique(days)) == len(days) and len(np.unique(self.times - days)) <= 1

    def between(self, first: np.datetime64, last: np.datetime64) -> Archive:
        """The part with first <= time <= last."""
        low, high = np.searchsorted(self.times, first), np.searchsorted(self.times, last, side="right")
        return Archive(self.folder, self.times[low:high], self.paths[low:high], self.undated)


def open_archive(folder: Path, where: str) -> Archive:
    """List the dated rasters below a folder; the date is the first run of 8, 12 or 14 digits of a name (%Y%m%d%H%M)."""
    dated, undated = [], []
    for path in find_rasters(folder, where):
        match = _STAMP.search(os.path.basename(path))  # noqa: PTH119 - tens of thousands of names
        if match:
            dated.append((match[1].ljust(12, "0")[:12], path))
        else:
            undated.append(path)
    if not dated:
        raise InputError(where, f"{folder} has no GeoTIFF with a date (like 201409150100) in its name")
    dated.sort()
    _refuse_duplicates(dated, where)
    return Archive(folder, _times(dated, where), tuple(path for _, path in dated), tuple(sorted(undated)))


def open_interannual(folder: Path, where: str) -> dict[str, str]:
    """Files of the days of the year: 'mmdd' -> path; the day is the first run of 4 digits of a name."""
    dated = []
    for path in find_rasters(folder, where):
        match = _DAY_OF_YEAR.search(os.path.basename(path))  # noqa: PTH119 - as above
        if match:
            dated.append((match[1], path))
    if not dated:
        raise InputError(where, f"{folder} has no GeoTIFF with a day (mmdd, like 0915) in its name")
    dated.sort()
    _refuse_duplicates(dated, where)
    _times([("2000" + day + "0000", path) for day, path in dated], where)
    return dict(dated)


def find_rasters(folder: Path, where: str) -> Iterator[str]:
    """Paths of all GeoTIFF files below a folder, links followed."""
    if not folder.is_dir():
        raise InputError(where, f"{folder} is not a folder" if folder.exists() else f"{folder} does not exist")
    waiting, seen = [os.fspath(folder)], set()
    while waiting:
        here = waiting.pop()
        identity = os.stat(here)  # noqa: PTH116 - as above
        if (identity.st_dev, identity.st_ino) in seen:
            continue
        seen.add((identity.st_dev, identity.st_ino))
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.lower().endswith(SUFFIXES):
                    yield entry.path
                elif entry.is_dir():
                    waiting.append(entry.path)


def _times(dated: list[tuple[str, str]], where: str) -> Times:
    try:
        return np.array([_iso(digits) for digits, _ in dated], "datetime64[s]")
    except ValueError:
        for digits, path in dated:
            try:
                np.datetime64(_iso(digits), "s")
            except ValueError as error:
                raise InputError(where, f"the name of {path} holds no date in {digits!r}") from error
        raise


def _iso(digits: str) -> str:
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}"


def _refuse_duplicates(dated: Iterable[tuple[str, str]], where: str) -> None:
    seen: dict[str, str] = {}
    for digits, path in dated:
        if digits in seen:
            remedy = "Keep one of them below this folder."
            raise InputError(where, f"{seen[digits]} and {path} have the same date {digits}", remedy)
        seen[digits] = path
