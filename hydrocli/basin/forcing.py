"""Forcing: from archives of rasters to arrays [t, n], with the files that each step needs planned beforehand.

A plan is a list of pieces. A piece is a run of steps that share their files: one step and its file of rain; the steps
of a day and the file of that day. Gaps are pieces without files. Pieces are independent, so that any number of
processes may work on them, each with no more than a few rows in memory.

Days and stamps. A value belongs to the step that ENDS at its stamp. A daily file belongs to the day in its name: with
steps shorter than a day it is split over the steps that lie in that day, with a daily step it serves the stamp of that
date, like a daily file of rain. Temperatures of each hour are averaged over the steps of a calendar day.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.archive import Archive
from hydrocli.basin.basin import Times
from hydrocli.basin.pet import day_of_step, extraterrestrial_radiation, oudin, shares_of_day
from hydrocli.basin.rasters import RasterReader, quick_opening
from hydrocli.errors import InputError

DayFiles = Callable[[np.datetime64], tuple[str, ...]]
"""The files of a calendar day, '' in the place of each absent one."""
BATCH = 256
"""Pieces that a process takes at a time: each time it decodes the georeferences anew."""
WORTH_A_PROCESS = 2000
"""Files: to start a process takes as long as reading some thousand small ones."""
WETTEST = 2000.0
"""mm: above it a value is no rain, nor evapotranspiration (the record of a day is 1825 mm, La Reunion 1966)."""
HOTTEST = 100.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Steps first, first + 1 ...: `shares` of one field that is the mean of `files` (absent: '') or its function."""

    first: int
    shares: tuple[float, ...]
    files: tuple[str, ...]
    day: np.datetime64

    @property
    def is_gap(self) -> bool:
        """Whether too few files are there: less than half of a day's."""
        return 2 * sum(map(bool, self.files)) < max(len(self.files), 1)


@dataclass(frozen=True)
class Conversion:
    """From the values of files to mm: factor * value + offset, then Oudin's formula where there are latitudes [n]."""

    factor: float = 1.0
    offset: float = 0.0
    latitude: Floats | None = None

    def apply(self, values: Floats, piece: Piece) -> Floats:
        """Millimetres per step or day of the piece, NaN where missing (negative amounts are missing)."""
        values = self.factor * values + self.offset
        if self.latitude is None:
            if np.any(values > WETTEST):
                what = f"has {np.nanmax(values):.6g} mm in a step, more than was ever measured in a day"
                raise InputError(piece.files[0], what, "Are the factor and the nodata value of the files right?")
            return values
        if np.any(values > HOTTEST):
            what = f"has a temperature of {np.nanmax(values):.6g}, degrees C are expected"
            raise InputError(piece.files[0], what, "Kelvin need `add_offset: -273.15`.")
        return oudin(values, extraterrestrial_radiation(self.latitude, piece.day))


@dataclass(frozen=True)
class Counts:
    """What was found while reading: values (steps times cells), missing ones, and negative ones among these."""

    values: int = 0
    missing: int = 0
    negative: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.values + other.values, self.missing + other.missing, self.negative + other.negative)

    def times(self, steps: int) -> Counts:
        """Of so many steps that are all alike."""
        return Counts(self.values * steps, self.missing * steps, self.negative * steps)


def plan_by_step(archive: Archive, times: Times, step: int, where: str) -> list[Piece]:
    """One file per step: rain, or evapotranspiration of each step.

    Raises:
        InputError: when the archive has another step: a part of the rain would be lost, or most steps be missing.
    """
    present = _by_stamp(archive, times, step, where)
    return [Piece(i, (1.0,), (path,), times[i]) for i, path in enumerate(present)]


def plan_by_day(files: DayFiles, days: Times, times: Times, step: int) -> list[Piece]:
    """One field per day, made from the files of that day, shared out over its steps; `days` holds the day of each."""
    shares = shares_of_day(times, step)
    first = np.flatnonzero(np.concatenate([[True], days[1:] != days[:-1]]))
    ends = [*first[1:].tolist(), len(times)]
    return [
        Piece(low, tuple(shares[low:high].tolist()), files(days[low]), days[low])
        for low, high in zip(first.tolist(), ends, strict=True)
    ]


def interannual_files(files: dict[str, str]) -> DayFiles:
    """Files of a day from those of the days of the year 'mmdd'; 28 February stands in for an absent 29."""
    if "0229" not in files and "0228" in files:
        files = {**files, "0229": files["0228"]}
    return lambda day: (files.get(str(day)[5:7] + str(day)[8:10], ""),)


def daily_files(archive: Archive) -> DayFiles:
    """Files of a day from an archive of one file per day."""
    by_day = dict(zip(archive.times.astype("datetime64[D]").tolist(), archive.paths, strict=True))
    return lambda day: (by_day.get(day.item(), ""),)


def subdaily_files(archive: Archive) -> DayFiles:
    """Files of a day from an archive of several per day: all steps that lie in the day, '' for each absent one."""
    days = day_of_step(archive.times)
    per_day = int(np.unique(days, return_counts=True)[1].max())

    def files(day: np.datetime64) -> tuple[str, ...]:
        low, high = np.searchsorted(days, day), np.searchsorted(days, day, side="right")
        return archive.paths[low:high] + ("",) * (per_day - int(high - low))

    return files


@dataclass(frozen=True)
class Target:
    """A `.npy` file float32[t, k], which must exist, for k of the n cells that are read."""

    path: Path
    cells: Integers | slice


def fill(
    targets: Sequence[Target],
    pieces: Sequence[Piece],
    reader: RasterReader,
    conversion: Conversion,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Counts]:
    """Read the files of all pieces once, into every target; gives what was found for each.

    Raises:
        InputError: for the first file that cannot be read.
    """
    batches = [tuple(pieces[i : i + BATCH]) for i in range(0, len(pieces), BATCH)]
    task = partial(_fill_batch, targets, reader, conversion)
    processes = min(workers, sum(len(piece.files) for piece in pieces) // WORTH_A_PROCESS)
    totals, done = [Counts() for _ in targets], 0
    for batch, counts in zip(batches, _run(task, batches, processes), strict=True):
        totals = [total + more for total, more in zip(totals, counts, strict=True)]
        done += len(batch)
        if progress:
            progress(done, len(pieces))
    return totals


def gaps(pieces: Iterable[Piece]) -> list[tuple[int, int]]:
    """Runs of steps without files: first, one past the last."""
    runs: list[tuple[int, int]] = []
    for piece in pieces:
        if piece.is_gap:
            first, end = piece.first, piece.first + len(piece.shares)
            if runs and runs[-1][1] == first:
                first = runs.pop()[0]
            runs.append((first, end))
    return runs


def _run(
    task: Callable[[tuple[Piece, ...]], list[Counts]], batches: list[tuple[Piece, ...]], processes: int
) -> Iterator[list[Counts]]:
    if processes < 2:
        yield from map(task, batches)
        return
    # Not fork: a parallel kernel may have run in this process before, and its threads do not survive a fork.
    with ProcessPoolExecutor(processes, get_context("forkserver"), initializer=_end_with_parent) as pool:
        try:
            yield from pool.map(task, batches)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it does: a killed one cannot tell its workers to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _fill_batch(
    targets: Sequence[Target], reader: RasterReader, conversion: Conversion, pieces: tuple[Piece, ...]
) -> list[Counts]:
    rows = [np.load(target.path, mmap_mode="r+") for target in targets]
    counts = [Counts() for _ in targets]
    with quick_opening():
        for piece in pieces:
            field, below = _field(piece, reader, conversion)
            end, shares = piece.first + len(piece.shares), np.array(piece.shares)[:, None]
            for number, target in enumerate(targets):
                here = field[target.cells]
                rows[number][piece.first : end] = shares * here
                missing, negative = np.isnan(here).sum(), below[target.cells].sum()
                counts[number] += Counts(here.size, int(missing), int(negative)).times(len(piece.shares))
    return counts


def _field(piece: Piece, reader: RasterReader, conversion: Conversion) -> tuple[Floats, NDArray[np.bool_]]:
    """The field of a piece [n], and where in it negative values became missing."""
    if piece.is_gap:
        return np.full(len(reader.x), np.nan), np.zeros(len(reader.x), bool)
    fields = [reader.read(path) for path in piece.files if path]
    if len(fields) > 1:
        values = _mean(np.stack(fields), len(piece.files))
    else:
        values = fields[0]
    values = conversion.apply(values, piece)
    below = values < 0
    values[below] = np.nan
    return values, below


def _mean(fields: Floats, expected: int) -> Floats:
    """Mean over the first axis where at least half of what is expected is there, else NaN."""
    count = np.count_nonzero(~np.isnan(fields), axis=0)
    total = np.nansum(fields, axis=0)
    return np.where(2 * count >= expected, total / np.maximum(count, 1), math.nan)


def _by_stamp(archive: Archive, times: Times, step: int, where: str) -> list[str]:
    """File of each stamp, '' where there is none."""
    paths = [""] * len(times)
    part = archive.between(times[0] - np.timedelta64(step - 1, "s"), times[-1])
    place = np.searchsorted(times, part.times)
    remedy = "Bring the archive to the step, or set `period.step` to that of the archive."
    stray = np.flatnonzero(times[place] != part.times)
    if stray.size:
        example = os.path.basename(part.paths[stray[0]])  # noqa: PTH119 - the name only
        raise InputError(where, f"{stray.size} files lie between the stamps of the steps, first {example}", remedy)
    # Three files tell a coarser archive from two that happen to be left of a gap.
    if len(place) > 2 and np.diff(place).min() > 1:
        raise InputError(where, f"has a file at every {np.diff(place).min()} steps at most", remedy)
    for i, path in zip(place, part.paths, strict=True):
        paths[i] = path
    return paths
