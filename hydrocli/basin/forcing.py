"""Forcing: from archives of fields to arrays [t, n], along the plan of `hydrocli.basin.planning`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.pet import extraterrestrial_radiation, oudin
from hydrocli.basin.planning import Piece
from hydrocli.basin.readers import Layer, Sampler, UnreadableError
from hydrocli.basin.units import Conversion
from hydrocli.basin.values import Counts, may_have_limits
from hydrocli.errors import Errors, HydrocliError, Stopped
from hydrocli.processes import ignore_stop_signals, signals_held_back

BATCH = 256
"""Pieces that a process takes at a time, at least: each time it decodes the georeferences again."""
WORTH_A_PROCESS = 2000
"""Fields: to start a process takes as long as reading some thousand small ones."""
CELLS_AT_ONCE = 2000
"""Cells whose gaps are filled at a time."""
BLOCK = 2_000_000
"""Values that are put into the stores of all basins at a time."""
SHOWN_ERRORS = 20
"""Broken files that are named at once; reading ends there."""
NOISE = 0.01
"""mm: an amount above minus this is 0, as resampling and packing leave it."""


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


Totals = list[dict[str, Counts]]
"""Counts by array, for each target."""


@dataclass
class Found:
    """What reading some pieces has found.

    Attributes:
        totals: counts by array, for each target.
        unreadable: files that count as missing.
        errors: what was wrong with files, the first `SHOWN_ERRORS`.
        impossible: the first value that is no rain, evapotranspiration or temperature; others have the same cause.
    """

    totals: Totals
    unreadable: list[str] = field(default_factory=list)
    errors: list[HydrocliError] = field(default_factory=list)
    impossible: HydrocliError | None = None

    def add(self, other: Found) -> None:
        """Add what other pieces have."""
        self.totals = [
            {name: own[name] + more[name] for name in own} for own, more in zip(self.totals, other.totals, strict=True)
        ]
        self.unreadable += other.unreadable
        self.errors += other.errors
        self.impossible = self.impossible or other.impossible

    def raise_errors(self) -> None:
        """Raise what was wrong, each file once; no effect without errors."""
        distinct = list({str(error): error for error in self.errors}.values())[:SHOWN_ERRORS]
        distinct += [self.impossible] if self.impossible else []
        if distinct:
            raise distinct[0] if len(distinct) == 1 else Errors(distinct)


def fill(
    targets: Sequence[Target],
    pieces: Sequence[Piece],
    sampler: Sampler,
    making: Making,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Read the fields of all pieces once, into every target.

    Args:
        targets: basins.
        pieces: of the plan.
        sampler: at the n points of all basins.
        making: what is made of the fields.
        workers: processes.
        progress: called with the pieces done and all pieces.

    Returns:
        What was found for each target.

    Raises:
        InputError: for a file that cannot be read, or has impossible values.
        Errors: for several.
    """
    processes = min(workers, sum(len(piece.layers) for piece in pieces) // WORTH_A_PROCESS)
    # A file of many fields is opened and its chunks are decoded anew in every batch of another process.
    size = max(BATCH, len(pieces) // (16 * processes)) if processes > 1 else BATCH
    batches = [tuple(pieces[i : i + size]) for i in range(0, len(pieces), size)]
    task = partial(_open_and_fill if processes > 1 else _fill_batch, targets, sampler, making)
    found, done = Found([dict.fromkeys(making.arrays, Counts()) for _ in targets]), 0
    with nullcontext() if processes > 1 else sampler:
        for batch, more in zip(batches, run_in_processes(task, batches, processes), strict=True):
            found.add(more)
            if found.impossible or len(found.errors) >= SHOWN_ERRORS:
                break
            done += len(batch)
            if progress:
                progress(done, len(pieces))
    found.raise_errors()
    return found


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


def _open_and_fill(targets: Sequence[Target], sampler: Sampler, making: Making, pieces: tuple[Piece, ...]) -> Found:
    """A batch in a process of its own."""
    with sampler:
        return _fill_batch(targets, sampler, making, pieces)


def _fill_batch(targets: Sequence[Target], sampler: Sampler, making: Making, pieces: tuple[Piece, ...]) -> Found:
    rows = [{name: np.load(target.paths[name], mmap_mode="r+") for name in making.arrays} for target in targets]
    found = Found([dict.fromkeys(making.arrays, Counts()) for _ in targets])
    fields = Fields(sampler, making.unreadable_as_missing)
    block = list[tuple[Piece, Floats, dict[str, Made]]]()
    for piece in pieces:
        try:
            values = fields.of(piece)
        except Stopped:
            raise
        except HydrocliError as error:
            found.errors.append(error)
            if len(found.errors) >= SHOWN_ERRORS:
                break
            continue
        try:
            made = make(piece, values, making)
        except HydrocliError as error:
            found.impossible = error
            break
        if found.errors:
            continue  # nothing will come of it
        if block and (not _follows(block[-1][0], piece) or _is_full(block)):
            _store(block, targets, rows, found, making)
            block = []
        block.append((piece, values, made))
    if block:
        _store(block, targets, rows, found, making)
    found.unreadable += fields.unreadable
    return found


def _follows(before: Piece, piece: Piece) -> bool:
    return before.first + len(before.shares) == piece.first


def _is_full(block: list[tuple[Piece, Floats, dict[str, Made]]]) -> bool:
    """Whether the steps of some pieces make a block: of many targets, each has its values in one go."""
    (first, fields, _), (last, _, _) = block[0], block[-1]
    return fields.shape[1] * (last.first + len(last.shares) - first.first) >= BLOCK


def _store(
    block: list[tuple[Piece, Floats, dict[str, Made]]],
    targets: Sequence[Target],
    rows: list[dict[str, NDArray[np.float32]]],
    found: Found,
    making: Making,
) -> None:
    """Write adjacent pieces into all targets, and count what they have."""
    pieces = [piece for piece, _, _ in block]
    steps = slice(pieces[0].first, pieces[-1].first + len(pieces[-1].shares))
    for name in making.arrays:
        joined = Steps.of(pieces, [made[name] for _, _, made in block])
        for target, own, total in zip(targets, rows, found.totals, strict=True):
            own[name][steps] = joined.rows(target.cells)
            total[name] += joined.counts(target.cells)
    if making.conversion.is_temperature:
        return
    fields = np.concatenate([values for _, values, _ in block])
    if may_have_limits(fields):
        for target, total in zip(targets, found.totals, strict=True):
            total[making.arrays[0]] = total[making.arrays[0]].with_limits(fields[:, target.cells])


class Fields:
    """The fields of pieces, one after the other; one that two neighbours share is read once.

    Args:
        sampler: opened.
        unreadable_as_missing: whether a broken file counts as a missing one.
    """

    def __init__(self, sampler: Sampler, unreadable_as_missing: bool = False) -> None:
        self.unreadable: list[str] = []
        self._sampler, self._may_be_missing = sampler, unreadable_as_missing
        self._last: dict[Layer, Floats] = {}

    def of(self, piece: Piece) -> Floats:
        """The fields of a piece as the files have them, float64[k, n]; NaN for absent ones.

        Raises:
            InputError: see `Sampler.read`; of unreadable files unless they count as missing.
        """
        absent = np.full(len(self._sampler.points), np.nan)
        read = {
            layer: self._last[layer] if layer in self._last else self._read(layer) for layer in piece.layers if layer
        }
        self._last = {layer: values for layer, values in read.items() if values is not None}
        return np.stack([absent if layer is None else self._last.get(layer, absent) for layer in piece.layers])

    def _read(self, layer: Layer) -> Floats | None:
        try:
            return self._sampler.read(layer)
        except UnreadableError:
            if not self._may_be_missing:
                raise
            self.unreadable.append(layer.path)
            return None


class Made(NamedTuple):
    """An array of the steps of a piece.

    Attributes:
        values: [1 or steps, n].
        shares: of them [steps, 1] where they are amounts; None: they are the same for all steps.
        negative: the negative amounts [n], which count as missing; 0 elsewhere.
    """

    values: Floats
    shares: Floats | None
    negative: Floats


class Steps(NamedTuple):
    """An array of the steps of adjacent pieces.

    Attributes:
        values: [rows, n]; a row holds for one step or for several.
        row: int64[t], of each step.
        shares: of its row [t, 1] where they are amounts, else None.
        first: int64[rows], first step of each row.
        negative: see `Made`, [pieces, n].
        repeats: int64[pieces], steps of each of them that have one row.
    """

    values: Floats
    row: Integers
    shares: Floats | None
    first: Integers
    negative: Floats
    repeats: Integers

    @classmethod
    def of(cls, pieces: list[Piece], made: list[Made]) -> Steps:
        """The arrays of some pieces, one after the other."""
        rows = np.array([len(one.values) for one in made])
        steps = np.array([len(piece.shares) for piece in pieces])
        repeats = steps // rows
        row = np.repeat(np.arange(rows.sum()), np.repeat(repeats, rows))
        known = [one.shares for one in made if one.shares is not None]
        shares = np.concatenate(known) if known else None
        first = pieces[0].first + np.searchsorted(row, np.arange(rows.sum()))
        values = np.concatenate([one.values for one in made])
        return cls(values, row, shares, first, np.stack([one.negative for one in made]), repeats)

    def rows(self, cells: Integers | slice) -> Floats:
        """Values of some cells [t, k]."""
        here = self.values[:, cells]
        here = here if len(here) == len(self.row) else here[self.row]
        return here if self.shares is None else self.shares * here

    def counts(self, cells: Integers | slice) -> Counts:
        """What some of the cells have; of amounts also their sums over the steps."""
        here, below = self.values[:, cells], self.negative[:, cells]
        absent = np.isnan(here)
        by_row = absent.sum(axis=1)
        steps_of_row = np.bincount(self.row)
        missing = int(by_row @ steps_of_row)
        first = int(self.first[(by_row > 0).argmax()]) if missing else -1
        total = 0.0
        if self.shares is not None:
            total = float(np.where(absent, 0.0, here).sum(axis=1) @ np.bincount(self.row, self.shares[:, 0]))
        negative = int(np.count_nonzero(below, axis=1) @ self.repeats)
        return Counts(len(self.row) * here.shape[1], missing, negative, first, total, float(below.sum()))


def make(piece: Piece, fields: Floats, making: Making) -> dict[str, Made]:
    """Arrays of the steps of a piece from its fields [k, n], by name.

    Raises:
        InputError: a value is no rain, evapotranspiration or temperature.
    """
    made: dict[str, Made] = {}
    path = next((layer.path for layer in piece.layers if layer is not None), "")
    shares = np.array(piece.shares)[:, None]
    for name in making.arrays:
        if name == "temperature":
            values = _temperatures(piece, fields, making, path)
            made[name] = Made(values, None, np.zeros(values.shape[1]))
            continue
        if piece.is_gap:
            values = np.full(fields.shape[1], np.nan)
        else:
            values = making.conversion.apply(_amount(piece, fields), path)
            if making.latitude is not None:
                values = oudin(values, extraterrestrial_radiation(making.latitude, piece.day))
        values[(values < 0) & (values > -NOISE)] = 0.0
        below = np.where(values < 0, values, 0.0)
        values[values < 0] = np.nan
        made[name] = Made(values[None], shares, below)
    return made


def _amount(piece: Piece, fields: Floats) -> Floats:
    """Of the field of a piece, the difference of its two, or the mean of several."""
    if len(fields) == 1:
        return fields[0].copy()
    return fields[1] - fields[0] if piece.is_difference else _mean(fields, len(fields))


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


def fill_gaps(values: NDArray[np.float32], steps_per_day: int, limit: int) -> int:
    """Fill gaps of potential evapotranspiration, in place, from the nearest days of the same cell.

    Args:
        values: [t, n], NaN where missing.
        steps_per_day: steps.
        limit: days between a gap and the value that fills it, at most.

    Returns:
        Number of values that were filled.
    """
    filled = 0
    for low in range(0, values.shape[1], CELLS_AT_ONCE):
        known = np.array(values[:, low : low + CELLS_AT_ONCE])
        gaps = int(np.isnan(known).sum())
        if not gaps:
            continue
        result = known.copy()
        for shift in range(steps_per_day, min(limit * steps_per_day, len(known) - 1) + 1, steps_per_day):
            for here, there in ((slice(shift, None), slice(-shift)), (slice(-shift), slice(shift, None))):
                empty = np.isnan(result[here])
                result[here][empty] = known[there][empty]
        values[:, low : low + CELLS_AT_ONCE] = result
        filled += gaps - int(np.isnan(result).sum())
    return filled


def fill_cells(values: NDArray[np.float32], x: Floats, y: Floats) -> int:
    """Give cells [n] that have no value at any time those of the nearest cell that has some, in place; their number."""
    from scipy.spatial import KDTree  # elsewhere it costs the start of every command

    has_some = np.zeros(values.shape[1], bool)
    for low in range(0, values.shape[0], CELLS_AT_ONCE):
        has_some |= ~np.isnan(values[low : low + CELLS_AT_ONCE]).all(axis=0)
    empty, known = np.flatnonzero(~has_some), np.flatnonzero(has_some)
    if not len(empty) or not len(known):
        return 0
    _, nearest = KDTree(np.column_stack([x[known], y[known]])).query(np.column_stack([x[empty], y[empty]]))
    values[:, empty] = values[:, known[nearest]]
    return len(empty)
