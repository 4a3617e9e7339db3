"""Forcing: from archives of fields to arrays [t, n], along the plan of `hydrocli.basin.planning`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin import store
from hydrocli.basin.basin import ROWS as STEPS
from hydrocli.basin.basin import missing_by_step
from hydrocli.basin.pet import extraterrestrial_radiation, oudin
from hydrocli.basin.planning import Piece
from hydrocli.basin.readers import Layer, Sampler, UnreadableError
from hydrocli.basin.units import Conversion, ImpossibleValueError
from hydrocli.basin.values import Counts, NearLimits, extremes, near_limits
from hydrocli.errors import Errors, HydrocliError, Stopped
from hydrocli.processes import ignore_stop_signals, signals_held_back

BATCH = 256
"""Pieces that a process takes at a time, at least: each time it decodes the georeferences again."""
WORTH_A_PROCESS = 2000
"""Fields: to start a process takes as long as reading some thousand small ones."""
WINDOW = 4_000_000
"""Values whose gaps are filled at a time."""
GROUP = 400_000
"""Values of fields that are worked on at a time: they stay in the caches of a processor."""
BLOCK = 2_000_000
"""Values that are put into the stores of all basins at a time."""
SHOWN_ERRORS = 20
"""Broken files that are named at once; reading ends there."""
NOISE = 0.01
"""mm: an amount above minus this is 0, as resampling and packing leave it."""


@dataclass(frozen=True)
class Target:
    """Where the arrays of one basin are: files float32[t, k] by name, which exist, for k of the n points."""

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
    found = Found([dict.fromkeys(making.arrays, Counts()) for _ in targets])
    fields = Fields(sampler, making.unreadable_as_missing)
    waiting = groups_of(pieces, len(sampler.points))[::-1]
    rows = Rows(making, len(sampler.points), max(map(steps_of, waiting)))
    while waiting and len(found.errors) < SHOWN_ERRORS:
        group = waiting.pop()
        try:
            values = fields.of(group)
            made = make(group, values, making)
        except Stopped:
            raise
        except HydrocliError as error:
            if len(group) > 1:  # which of them it is
                waiting += [[piece] for piece in group[::-1]]
                continue
            if isinstance(error, ImpossibleValueError):
                found.impossible = error
                break
            found.errors.append(error)
            continue
        if found.errors:
            continue  # nothing will come of it
        if not rows.takes(group):
            rows.write(targets, found.totals)
        rows.add(group, values, made)
    rows.write(targets, found.totals)
    found.unreadable += fields.unreadable
    return found


def groups_of(pieces: Sequence[Piece], points: int) -> list[list[Piece]]:
    """Adjacent pieces that are made alike, together: what is done for a group costs little more than for one of them.

    Args:
        pieces: of the plan.
        points: n, which says how many of them are worth their memory.
    """
    groups: list[list[Piece]] = []
    values, before = 0.0, None
    for piece in pieces:
        kind = len(piece.layers), piece.is_gap, piece.is_difference, piece.parts, piece.expected
        size = points * max(len(piece.layers), len(piece.shares))
        follows = bool(groups) and steps_of(groups[-1][-1:]) + groups[-1][-1].first == piece.first
        if follows and kind == before and values + size <= GROUP:
            groups[-1].append(piece)
            values += size
        else:
            groups.append([piece])
            values, before = size, kind
    return groups


def steps_of(pieces: Sequence[Piece]) -> int:
    """How many steps some pieces make."""
    return sum(len(piece.shares) for piece in pieces)


class Fields:
    """The fields of pieces, one group after the other; one that two neighbours share is read once.

    Args:
        sampler: opened.
        unreadable_as_missing: whether a broken file counts as a missing one.
    """

    def __init__(self, sampler: Sampler, unreadable_as_missing: bool = False) -> None:
        self.unreadable: list[str] = []
        self._sampler, self._may_be_missing = sampler, unreadable_as_missing
        self._last: dict[Layer, Floats] = {}

    def of(self, pieces: Sequence[Piece]) -> Floats:
        """The fields of p pieces of one kind as the files have them, float64[p, k, n]; NaN for absent ones.

        Raises:
            InputError: see `Sampler.read_many`; of unreadable files unless they count as missing.
        """
        wanted = [layer for piece in pieces for layer in piece.layers]
        layers = [layer for layer in dict.fromkeys(wanted) if layer is not None and layer not in self._last]
        read = self._read(layers)
        shape = len(pieces), len(pieces[0].layers), len(self._sampler.points)
        if layers != wanted:
            absent = np.full(shape[-1], np.nan)
            known = self._last | dict(zip(layers, read, strict=True))
            read = np.stack([absent if layer is None else known[layer] for layer in wanted])
        found = read.reshape(shape)
        last = pieces[-1].layers
        self._last = {layer: field for layer, field in zip(last, found[-1], strict=True) if layer is not None}
        return found

    def _read(self, layers: Sequence[Layer]) -> Floats:
        """Fields [k, n] of distinct layers."""
        if not layers:
            return np.empty((0, len(self._sampler.points)))
        try:
            return self._sampler.read_many(layers)
        except UnreadableError:
            if not self._may_be_missing:
                raise
        read = np.full((len(layers), len(self._sampler.points)), np.nan)
        for number, layer in enumerate(layers):
            try:
                read[number] = self._sampler.read(layer)
            except UnreadableError:
                self.unreadable.append(layer.path)
        return read


class Made(NamedTuple):
    """An array of the steps of p pieces.

    Attributes:
        values: [p * r, n], r rows of each piece: one for all of its steps, or one for each.
        shares: of a row for each of the t steps, where they are amounts [t, 1]; None: steps have the whole row.
        negative: [p, n] the negative amounts, which count as missing, 0 elsewhere; None where there are none.
    """

    values: Floats
    shares: Floats | None
    negative: Floats | None = None


class Rows:
    """Steps that are made, and wait to be written: of many basins, each gets many steps in one go.

    Args:
        making: says which arrays there are.
        points: n.
        steps: of the largest group.
    """

    def __init__(self, making: Making, points: int, steps: int) -> None:
        self._values = {name: np.empty((max(steps, BLOCK // points), points), np.float32) for name in making.arrays}
        self._negative: dict[str, tuple[Integers, Floats]] = {}
        self._limits: NearLimits | None = None
        self._making = making
        self.first, self.count = 0, 0

    def takes(self, pieces: Sequence[Piece]) -> bool:
        """Whether some pieces follow those that wait, and find space."""
        capacity = len(self._values[self._making.arrays[0]])
        return self.count + steps_of(pieces) <= capacity and self.count in (0, pieces[0].first - self.first)

    def add(self, pieces: Sequence[Piece], fields: Floats, made: Mapping[str, Made]) -> None:
        """Take the arrays of some pieces that `takes` accepts; their fields show what may be a fill value."""
        if not self.count:
            self.first = pieces[0].first
        count = steps_of(pieces)
        for name, one in made.items():
            _put(self._values[name][self.count : self.count + count], pieces, one)
            if one.negative is not None:
                repeats = np.array([len(piece.shares) for piece in pieces])
                number, below = self._negative.get(name, (0, 0.0))
                number = number + repeats @ (one.negative < 0)
                self._negative[name] = number, below + one.negative.sum(axis=0)
        if not self._making.conversion.is_temperature:
            found = near_limits(fields)
            self._limits = found + self._limits if found and self._limits else found or self._limits
        self.count += count

    def values(self, name: str) -> NDArray[np.float32]:
        """The steps of an array that wait [t, n]."""
        return self._values[name][: self.count]

    def counts(self, name: str, cells: Sequence[Integers | slice]) -> list[Counts]:
        """What each of some sets of cells has in the steps of an array that wait."""
        values = self.values(name)
        is_amount = name != "temperature"
        total = values.sum(axis=0, dtype=np.float64)
        missing = first = None
        if np.isnan(total).any():
            absent = np.isnan(values)
            missing = absent.sum(axis=0)
            first = np.where(missing > 0, absent.argmax(axis=0), len(values)) + self.first
            total = np.where(absent, np.float32(0.0), values).sum(axis=0, dtype=np.float64)
        total = total if is_amount else np.zeros(values.shape[1])
        number, below = self._negative.get(name, (None, None))
        limits = self._limits if name == self._making.arrays[0] else None
        found = []
        for here in cells:
            own = Counts(values=len(values) * total[here].size, total=float(total[here].sum()))
            if missing is not None and first is not None and (several := int(missing[here].sum())):
                own = replace(own, missing=several, first_missing=int(first[here].min()))
            if number is not None and below is not None:
                own = replace(own, negative=int(number[here].sum()), below=float(below[here].sum()))
            found.append(own if limits is None else own + limits.counts(here))
        return found

    def write(self, targets: Sequence[Target], totals: Totals) -> None:
        """Write what waits into the files of all targets, add what they have to their totals; then nothing waits."""
        if not self.count:
            return
        for name in self._making.arrays:
            values = self.values(name)
            for target in targets:
                cells = target.cells
                own = values[:, cells] if isinstance(cells, slice) else values.take(cells, axis=1)
                store.write_rows(target.paths[name], self.first, np.ascontiguousarray(own))
            for total, more in zip(totals, self.counts(name, [one.cells for one in targets]), strict=True):
                total[name] += more
        self.clear()

    def clear(self) -> None:
        """Forget what waits."""
        self._negative, self._limits, self.count = {}, None, 0


def _put(into: NDArray[np.float32], pieces: Sequence[Piece], made: Made) -> None:
    """Write an array of some pieces into rows of their steps [t, n]."""
    values, shares = made.values, made.shares
    if len(values) == len(into):
        if shares is None or (shares == 1.0).all():
            into[:] = values
        else:
            np.multiply(shares, values, out=into, casting="same_kind")
        return
    low = 0
    for piece, row in zip(pieces, values, strict=True):
        high = low + len(piece.shares)
        if shares is None:
            into[low:high] = row
        else:
            np.multiply(shares[low:high], row, out=into[low:high], casting="same_kind")
        low = high


def make(pieces: Sequence[Piece], fields: Floats, making: Making) -> dict[str, Made]:
    """Arrays of the steps of p pieces of one kind (see `groups_of`) from their fields [p, k, n], by name.

    Raises:
        ImpossibleValueError: a value is no rain, evapotranspiration or temperature.
    """
    made: dict[str, Made] = {}
    paths = [next((layer.path for layer in piece.layers if layer is not None), "") for piece in pieces]
    shares = np.concatenate([piece.shares for piece in pieces])[:, None]
    for name in making.arrays:
        if name == "temperature":
            made[name] = Made(_temperatures(pieces[0], fields, making, paths), None)
            continue
        if pieces[0].is_gap:
            made[name] = Made(np.full((len(pieces), fields.shape[-1]), np.nan), shares)
            continue
        values = making.conversion.apply(_amount(pieces[0], fields), paths)
        if making.latitude is not None:
            radiation = [extraterrestrial_radiation(making.latitude, piece.day) for piece in pieces]
            values = oudin(values, np.stack(radiation))
        negative = None
        if extremes(values)[0] < 0:
            values[(values < 0) & (values > -NOISE)] = 0.0
            negative = np.where(values < 0, values, 0.0)
            values[values < 0] = np.nan
        made[name] = Made(values, shares, negative)
    return made


def _amount(piece: Piece, fields: Floats) -> Floats:
    """Amounts [p, n]: of the field of each piece, the difference of its two, or the mean of several [p, k, n]."""
    if fields.shape[1] == 1:
        return fields[:, 0]
    return fields[:, 1] - fields[:, 0] if piece.is_difference else _mean(fields, fields.shape[1])


def _temperatures(piece: Piece, fields: Floats, making: Making, paths: list[str]) -> Floats:
    """Temperatures [p * r, n]; one row of each piece where all its steps have the same."""
    parts = piece.parts[:1] if len(set(piece.parts)) == 1 else piece.parts
    rows = [_mean(fields[:, list(part)], piece.expected) for part in parts]
    values = np.stack(rows, axis=1).reshape(-1, fields.shape[-1])
    return making.conversion.apply(values, [path for path in paths for _ in parts])


def _mean(fields: Floats, expected: int) -> Floats:
    """Mean [p, n] over the fields [p, k, n] where at least half of what is expected is there, else NaN."""
    count = np.count_nonzero(~np.isnan(fields), axis=1)
    total = np.nansum(fields, axis=1)
    return np.where(2 * count >= expected, total / np.maximum(count, 1), math.nan)


def fill_gaps(values: NDArray[np.float32], steps_per_day: int, limit: int, first: int = 0) -> int:
    """Fill gaps of potential evapotranspiration, in place, from the nearest days of the same cell.

    Args:
        values: [t, n], NaN where missing.
        steps_per_day: steps.
        limit: days between a gap and the value that fills it, at most.
        first: step before which nothing is missing, and nothing is written.

    Returns:
        Number of values that were filled.
    """
    reach, filled = limit * steps_per_day, 0
    missing = first + np.flatnonzero(missing_by_step(values[first:]))
    for run in np.split(missing, np.flatnonzero(np.diff(missing) > 2 * reach) + 1) if len(missing) else ():
        low, high = max(int(run[0]) - reach, 0), min(int(run[-1]) + reach + 1, len(values))
        start, cells = max(first - low, 0), max(1, WINDOW // (high - low))
        for left in range(0, values.shape[1], cells):
            known = np.array(values[low:high, left : left + cells])
            gaps = int(np.isnan(known).sum())
            if not gaps:
                continue
            result = known.copy()
            for shift in range(steps_per_day, min(reach, len(known) - 1) + 1, steps_per_day):
                for here, there in ((slice(shift, None), slice(-shift)), (slice(-shift), slice(shift, None))):
                    empty = np.isnan(result[here])
                    result[here][empty] = known[there][empty]
            values[low + start : high, left : left + cells] = result[start:]
            filled += gaps - int(np.isnan(result).sum())
    return filled


def fill_cells(values: NDArray[np.float32], x: Floats, y: Floats) -> int:
    """Give cells [n] that have no value at any time those of the nearest cell that has some, in place; their number."""
    from scipy.spatial import KDTree  # elsewhere it costs the start of every command

    has_some = np.zeros(values.shape[1], bool)
    for low in range(0, values.shape[0], STEPS):
        has_some |= ~np.isnan(values[low : low + STEPS]).all(axis=0)
    empty, known = np.flatnonzero(~has_some), np.flatnonzero(has_some)
    if not len(empty) or not len(known):
        return 0
    _, nearest = KDTree(np.column_stack([x[known], y[known]])).query(np.column_stack([x[empty], y[empty]]))
    values[:, empty] = values[:, known[nearest]]
    return len(empty)
