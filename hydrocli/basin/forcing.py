"""Forcing: from archives of fields to arrays [t, n], with the fields that each step needs planned beforehand.

A plan is a list of pieces. A piece is a run of steps that share their fields: one step and its field of rain; the steps
of a day and the fields of that day. Gaps are pieces without fields. Pieces are independent, so that any number of
processes may work on them, each with no more than a few rows in memory.

Days and stamps. A value belongs to the step that ENDS at its stamp. A daily field belongs to the day in its name: with
steps shorter than a day it is split over the steps that lie in that day, with a daily step it serves the stamp of that
date, like a daily field of rain. A field whose file states its interval (CF bounds) belongs to the day of it.
Temperatures: a daily one holds for all steps of its day; of several per day, a step has the mean of those that lie in
it, or, where they are coarser than the step, the one whose interval holds it. Oudin's formula has the mean of the day.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import DAY, Times, day_of_step
from hydrocli.basin.pet import extraterrestrial_radiation, oudin, shares_of_day
from hydrocli.basin.readers import Archive, Layer, Sampler, UnreadableError
from hydrocli.basin.units import Conversion
from hydrocli.errors import InputError, Stopped
from hydrocli.processes import ignore_stop_signals, signals_held_back

BATCH = 256
"""Pieces that a process takes at a time, at least: each time it decodes the georeferences again."""
WORTH_A_PROCESS = 2000
"""Fields: to start a process takes as long as reading some thousand small ones."""

Layers = tuple[Layer | None, ...]


class Piece(NamedTuple):
    """Steps first, first + 1 ... that share their fields.

    Attributes:
        first: number of the first step.
        layers: fields of the piece, None in the place of each absent one.
        shares: of an amount of the piece, for each step.
        day: calendar day, or stamp of the step.
        parts: for each step, places in `layers` of the fields that make its temperature; empty for amounts.
        expected: number of fields that make a temperature where none is absent.
    """

    first: int
    layers: Layers
    shares: tuple[float, ...]
    day: np.datetime64
    parts: tuple[tuple[int, ...], ...] = ()
    expected: int = 1

    @property
    def is_gap(self) -> bool:
        """Whether too few fields are there: less than half of a day's."""
        return 2 * sum(layer is not None for layer in self.layers) < max(len(self.layers), 1)


def plan_by_step(archive: Archive, times: Times, step: int, where: str) -> list[Piece]:
    """One field per step: rain, or evapotranspiration of each step.

    Raises:
        InputError: when the archive has another step: a part of the rain would be lost, or most steps be missing.
    """
    present = _by_stamp(archive, times, step, where)
    return [Piece(i, (layer,), (1.0,), times[i]) for i, layer in enumerate(present)]


def plan_climatology(days: Mapping[str, Layer], times: Times, step: int) -> list[Piece]:
    """One field per day from those of the days of the year 'mmdd'; 28 February replaces an absent 29."""
    if "0229" not in days and "0228" in days:
        days = {**days, "0229": days["0228"]}
    labels = times.astype("datetime64[D]") if step == DAY else day_of_step(times)
    return [
        Piece(low, (days.get(str(day)[5:7] + str(day)[8:10]),), shares, day)
        for low, _, shares, day in _runs_of_days(labels, times, step)
    ]


def plan_by_day(archive: Archive, times: Times, step: int) -> list[Piece]:
    """The fields of each day: one that is split over its steps, or several that are averaged.

    Args:
        archive: of amounts per day, or of temperatures.
        times: stamps of the steps [t].
        step: [s].
    """
    if archive.is_daily:
        by_label = step == DAY and not archive.has_bounds
        labels = times.astype("datetime64[D]") if by_label else day_of_step(times)
        days = day_of_step(archive.times) if archive.has_bounds else archive.times.astype("datetime64[D]")
        layers = dict(zip(days.tolist(), archive.layers, strict=True))
        return [
            Piece(low, (layers.get(day.item()),), shares, day, ((0,),) * (end - low))
            for low, end, shares, day in _runs_of_days(labels, times, step)
        ]
    return _plan_means_of_days(archive, times, step)


def _runs_of_days(
    labels: Times, times: Times, step: int
) -> Iterator[tuple[int, int, tuple[float, ...], np.datetime64]]:
    """First step, one past the last, shares of a day's amount and day of each run of steps of one day."""
    shares = shares_of_day(times, step)
    first = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    for low, end in zip(first.tolist(), [*first[1:].tolist(), len(times)], strict=True):
        yield low, end, tuple(shares[low:end].tolist()), labels[low]


def _plan_means_of_days(archive: Archive, times: Times, step: int) -> list[Piece]:
    """Days of an archive of several fields per day."""
    days = day_of_step(archive.times)
    per_day = int(np.unique(days, return_counts=True)[1].max())
    spacing = int(np.diff(archive.times).min().astype(int))
    pieces = []
    for low, end, shares, day in _runs_of_days(day_of_step(times), times, step):
        first, last = np.searchsorted(days, day), np.searchsorted(days, day, side="right")
        absent = (None,) * (per_day - int(last - first))
        parts = _parts(archive.times[first:last], times[low:end], step, spacing)
        pieces.append(Piece(low, archive.layers[first:last] + absent, shares, day, parts, max(1, step // spacing)))
    return pieces


def _parts(found: Times, stamps: Times, step: int, spacing: int) -> tuple[tuple[int, ...], ...]:
    """For each step, which of the fields of its day make its temperature; see the module."""
    offsets = (found - stamps[:, None]).astype(np.int64)  # [step, field] in seconds
    inside = (offsets > -step) & (offsets <= 0)
    if spacing > step:
        inside = (offsets >= 0) & (offsets < spacing)
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in inside)


def gaps(pieces: Iterable[Piece], *, of_temperature: bool = False) -> list[tuple[int, int]]:
    """Runs of steps without fields: first, one past the last."""
    runs: list[tuple[int, int]] = []
    for piece in pieces:
        for first, end in _gaps_of(piece, of_temperature):
            start = runs.pop()[0] if runs and runs[-1][1] == first else first
            runs.append((start, end))
    return runs


def _gaps_of(piece: Piece, of_temperature: bool) -> Iterator[tuple[int, int]]:
    if not of_temperature:
        if piece.is_gap:
            yield piece.first, piece.first + len(piece.shares)
        return
    for step, part in enumerate(piece.parts, start=piece.first):
        if not any(piece.layers[number] is not None for number in part):
            yield step, step + 1


@dataclass(frozen=True)
class Target:
    """Where the arrays of one basin are: `.npy` files float32[t, k] by name, which exist, for k of the n points."""

    paths: Mapping[str, Path]
    cells: Integers | slice


@dataclass(frozen=True)
class Making:
    """What is made of the fields of a piece: arrays by name.

    Attributes:
        arrays: of `precipitation`, `pet`, `temperature`: which are wanted.
        conversion: from the values of the files.
        latitude: [n] degrees, for pet by Oudin's formula from temperatures; None where the fields are amounts.
        unreadable_as_missing: whether a broken file counts as a missing one instead of ending the work.
    """

    arrays: tuple[str, ...]
    conversion: Conversion
    latitude: Floats | None = None
    unreadable_as_missing: bool = False


@dataclass(frozen=True)
class Counts:
    """What was found while reading.

    Attributes:
        values: steps times cells.
        missing: among these.
        negative: among the missing.
        first_missing: number of the first step with a missing value; -1 where there is none.
    """

    values: int = 0
    missing: int = 0
    negative: int = 0
    first_missing: int = -1

    def __add__(self, other: Counts) -> Counts:
        first = self.first_missing if self.first_missing >= 0 else other.first_missing
        return Counts(self.values + other.values, self.missing + other.missing, self.negative + other.negative, first)


Totals = list[dict[str, Counts]]
"""Counts by array, for each target."""


def fill(
    targets: Sequence[Target],
    pieces: Sequence[Piece],
    sampler: Sampler,
    making: Making,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Totals:
    """Read the fields of all pieces once, into every target.

    Args:
        targets: basins.
        pieces: of the plan.
        sampler: at the n points of all basins.
        making: what is made of the fields.
        workers: processes.
        progress: called with the pieces done and all pieces.

    Returns:
        For each target what was found, by array.

    Raises:
        InputError: for the first file that cannot be read.
    """
    processes = min(workers, sum(len(piece.layers) for piece in pieces) // WORTH_A_PROCESS)
    # A file of many fields is opened and its chunks are decoded anew in every batch of another process.
    size = max(BATCH, len(pieces) // (16 * processes)) if processes > 1 else BATCH
    batches = [tuple(pieces[i : i + size]) for i in range(0, len(pieces), size)]
    task = partial(_open_and_fill if processes > 1 else _fill_batch, targets, sampler, making)
    totals, done = [dict.fromkeys(making.arrays, Counts()) for _ in targets], 0
    with nullcontext() if processes > 1 else sampler:
        for batch, counts in zip(batches, run_in_processes(task, batches, processes), strict=True):
            totals = [
                {name: total[name] + more[name] for name in total} for total, more in zip(totals, counts, strict=True)
            ]
            done += len(batch)
            if progress:
                progress(done, len(pieces))
    return totals


def run_in_processes(task: Callable[[Any], Any], parts: Sequence[Any], processes: int) -> Iterator[Any]:
    """Results of a task for each part, in order, from so many processes; with less than two, from this one.

    Raises:
        Stopped: a process was killed.
    """
    if processes < 2:
        yield from map(task, parts)
        return
    _start_server()
    # Not fork: a parallel kernel may have run in this process before, and its threads do not survive a fork.
    with ProcessPoolExecutor(processes, get_context("forkserver"), initializer=_end_with_parent) as pool:
        try:
            yield from pool.map(task, parts)
        except BrokenProcessPool:
            what = "a process that reads the data ended without an error message: killed, or out of memory?"
            raise Stopped("forcing", what, "Run again, with fewer threads.") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_server() -> None:
    """Start what multiprocessing starts processes with; signals that come to all processes are for this one alone."""
    with signals_held_back():
        resource_tracker.ensure_running()  # which lets them through again
    with signals_held_back():
        forkserver.ensure_running()


def _end_with_parent() -> None:
    """Leave signals to the parent, and end when it does: a killed one cannot end its workers."""
    ignore_stop_signals()
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _open_and_fill(targets: Sequence[Target], sampler: Sampler, making: Making, pieces: tuple[Piece, ...]) -> Totals:
    """A batch in a process of its own."""
    with sampler:
        return _fill_batch(targets, sampler, making, pieces)


def _fill_batch(targets: Sequence[Target], sampler: Sampler, making: Making, pieces: tuple[Piece, ...]) -> Totals:
    rows = [{name: np.load(target.paths[name], mmap_mode="r+") for name in making.arrays} for target in targets]
    totals = [dict.fromkeys(making.arrays, Counts()) for _ in targets]
    for piece in pieces:
        made = make(piece, read_fields(piece, sampler, making.unreadable_as_missing), making)
        end = piece.first + len(piece.shares)
        for target, own, total in zip(targets, rows, totals, strict=True):
            for name, (values, shares, below) in made.items():
                here = values[:, target.cells]
                own[name][piece.first : end] = here if shares is None else shares * here
                repeats = len(piece.shares) // len(here)
                absent, negative = np.isnan(here), int(below[target.cells].sum())
                missing = int(absent.sum())
                first = piece.first + int(absent.any(axis=1).argmax()) if missing else -1
                total[name] += Counts(here.size * repeats, missing * repeats, negative * repeats, first)
    return totals


def read_fields(piece: Piece, sampler: Sampler, unreadable_as_missing: bool = False) -> Floats:
    """The fields of a piece as the files have them, float64[k, n]; NaN for absent ones.

    Raises:
        InputError: see `Sampler.read`; of unreadable files unless they count as missing.
    """
    fields: list[Floats | None] = []
    for layer in piece.layers:
        try:
            fields.append(sampler.read(layer) if layer is not None else None)
        except UnreadableError:
            if not unreadable_as_missing:
                raise
            fields.append(None)
    absent = np.full(len(sampler.points), np.nan)
    return np.stack([absent if field is None else field for field in fields])


Made = dict[str, tuple[Floats, Floats | None, NDArray[np.bool_]]]
"""By array: values [1 or steps, n], shares of them [steps, 1] where they are amounts, where they were negative [n]."""


def make(piece: Piece, fields: Floats, making: Making) -> Made:
    """Arrays of the steps of a piece from its fields [k, n].

    Raises:
        InputError: a value is no rain, evapotranspiration or temperature.
    """
    made: Made = {}
    path = next((layer.path for layer in piece.layers if layer is not None), "")
    shares = np.array(piece.shares)[:, None]
    for name in making.arrays:
        if name == "temperature":
            values = _temperatures(piece, fields, making, path)
            made[name] = values, None, np.zeros(values.shape[1], bool)
            continue
        if piece.is_gap:
            values = np.full(fields.shape[1], np.nan)
        else:
            values = making.conversion.apply(fields[0] if len(fields) == 1 else _mean(fields, len(fields)), path)
            if making.latitude is not None:
                values = oudin(values, extraterrestrial_radiation(making.latitude, piece.day))
        below = values < 0
        values[below] = np.nan
        made[name] = values[None], shares, below
    return made


def _temperatures(piece: Piece, fields: Floats, making: Making, path: str) -> Floats:
    """Temperatures [1 or steps, n]; one row where all steps have the same."""
    parts = piece.parts[:1] if len(set(piece.parts)) == 1 else piece.parts
    rows = [_mean(fields[list(part)], piece.expected) for part in parts]
    return making.conversion.apply(np.stack(rows), path)


def _mean(fields: Floats, expected: int) -> Floats:
    """Mean over the first axis where at least half of what is expected is there, else NaN."""
    count = np.count_nonzero(~np.isnan(fields), axis=0)
    total = np.nansum(fields, axis=0)
    return np.where(2 * count >= expected, total / np.maximum(count, 1), math.nan)


def _by_stamp(archive: Archive, times: Times, step: int, where: str) -> list[Layer | None]:
    """Field of each stamp, None where there is none."""
    layers: list[Layer | None] = [None] * len(times)
    part = archive.between(times[0] - np.timedelta64(step - 1, "s"), times[-1])
    place = np.searchsorted(times, part.times)
    remedy = "Bring the archive to the step, or set `period.step` to that of the archive."
    stray = np.flatnonzero(times[place] != part.times)
    if stray.size:
        number = int(stray[0])
        example = f"{os.path.basename(part.layers[number].path)} ({part.times[number]})"  # noqa: PTH119 - the name only
        raise InputError(where, f"{stray.size} fields lie between the stamps of the steps, first {example}", remedy)
    # Three fields distinguish a coarser archive from two that happen to be left of a gap.
    if len(place) > 2 and np.diff(place).min() > 1:
        raise InputError(where, f"has a field at every {np.diff(place).min()} steps at most", remedy)
    for i, layer in zip(place, part.layers, strict=True):
        layers[i] = layer
    return layers
