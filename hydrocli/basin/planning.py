"""Which fields make which steps: plans of archives, made from times alone.

A plan is a list of pieces. A piece is a run of steps that share their fields: one step and its field of rain; the steps
of a day and the fields of that day. Gaps are pieces without fields. Pieces are independent, so that any number of
processes may work on them, each with no more than a few rows in memory.

Times. A value belongs to the step that ENDS at its stamp. The configuration may say that the times of the files are the
starts of their steps, are those of another zone, or are off by some minutes (`with_true_times`). A daily field belongs
to the day in its name: with steps shorter than a day it is split over the steps that lie in that day, with a daily step
it serves the stamp of that date, like a daily field of rain. A field whose interval is known, by CF bounds or because
the configuration states the `label`, belongs to the day of it.

Amounts. Fields of shorter intervals than a step are added up, where at least half of them are there; what is absent
counts like the mean of the others. Fields of longer intervals are split evenly over their steps. Fields that grow over
the day are differences of two.

Temperatures. A daily one holds for all steps of its day; of several per day, a step has the mean of those that lie in
it, or, where they are coarser than the step, the one whose interval holds it. Oudin's formula has the mean of the day.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import numpy as np

from hydrocli.basin.basin import DAY, Times, day_of_step
from hydrocli.basin.pet import shares_of_day
from hydrocli.basin.readers import Archive, ForcingSource, Layer, refuse_duplicates
from hydrocli.basin.time_zones import to_utc
from hydrocli.errors import InputError

OFTEN = 0.1
"""Share of the distances between fields that the spacing of an archive has at least: fewer are strays."""
DISTINCT = 3
"""Fields from which an archive has a spacing: two may happen to be left of a gap."""

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
        is_difference: whether the amount is the second field less the first, of values that grow over the day.
    """

    first: int
    layers: Layers
    shares: tuple[float, ...]
    day: np.datetime64
    parts: tuple[tuple[int, ...], ...] = ()
    expected: int = 1
    is_difference: bool = False

    @property
    def is_gap(self) -> bool:
        """Whether too few fields are there: less than half of them, or one of two whose difference is wanted."""
        if len(self.layers) == 1:
            return self.layers[0] is None
        present = sum(layer is not None for layer in self.layers)
        return present < 2 if self.is_difference else 2 * present < max(len(self.layers), 1)

    def of_steps(self, low: int, high: int) -> Piece:
        """The part of the piece that lies in steps low, low + 1 ... high - 1, at least one of which it has."""
        own = slice(max(low - self.first, 0), high - self.first)
        if own.start == 0 and own.stop >= len(self.shares):
            return self
        return self._replace(first=max(self.first, low), shares=self.shares[own], parts=self.parts[own])


def with_true_times(archive: Archive, source: ForcingSource, times: Times, step: int, where: str) -> Archive:
    """An archive whose times are UTC and, where the configuration states the label, ends of intervals.

    Args:
        archive: as the reader has found it.
        source: with timezone, offset, label and tolerance.
        times: stamps of the steps.
        step: [s].
        where: key of the path, for messages.

    Raises:
        InputError: the label or the zone contradicts the files; two fields come to the same time.
    """
    if (source.timezone, source.offset, source.label, source.tolerance) == ("UTC", 0, None, 0):
        return archive
    section = where.rpartition(".")[0]
    found = archive.times
    if source.timezone.upper() != "UTC":
        if archive.is_daily:
            what = "daily fields belong to calendar days, which begin at 0 h UTC here"
            raise InputError(f"{section}.timezone", what, "Remove the key.")
        found = _in_utc(found, source.timezone, section)
    found = found + np.timedelta64(source.offset, "s")
    if source.label is not None:
        if archive.has_bounds:
            what = "the files state the interval of each field themselves, by bounds of time"
            raise InputError(f"{section}.label", what, "Remove the key.")
        if source.label == "start":
            length = DAY if archive.is_daily else spacing_of(found, step)
            found = found + np.timedelta64(length, "s")
    if source.tolerance:
        found = _snapped(found, times, source.tolerance)
    named = sorted(zip(found.tolist(), archive.layers, strict=True))
    refuse_duplicates(named, where)
    in_order = np.array([time for time, _ in named], "datetime64[s]")
    layers = tuple(layer for _, layer in named)
    return replace(archive, times=in_order, layers=layers, has_bounds=archive.has_bounds or source.label is not None)


def _in_utc(times: Times, zone: str, section: str) -> Times:
    is_second = np.append(False, times[1:] == times[:-1]).astype(int).tolist()
    try:
        moved: list[datetime] = [to_utc(time, zone, fold) for time, fold in zip(times.tolist(), is_second, strict=True)]
    except ValueError as error:
        raise InputError(
            f"{section}.timezone", f"{error}, but a field has this time", "Is it the right zone?"
        ) from error
    return np.array(moved, "datetime64[s]")


def _snapped(found: Times, times: Times, tolerance: int) -> Times:
    """Times of fields, those of steps where one is near enough."""
    place = np.searchsorted(times, found).clip(1, max(len(times) - 1, 1))
    before, after = times[place - 1], times[place.clip(max=len(times) - 1)]
    nearest = np.where(found - before <= after - found, before, after)
    return np.where(np.abs(nearest - found) <= np.timedelta64(tolerance, "s"), nearest, found)


def spacing_of(times: Times, default: int) -> int:
    """The shortest frequent distance between the times of an archive [s]; `default` where there are too few."""
    if len(times) < DISTINCT:
        return default
    distances, counts = np.unique(np.diff(times).astype(np.int64), return_counts=True)
    return int(distances[counts >= OFTEN * counts.sum()][0]) if (counts >= OFTEN * counts.sum()).any() else default


def plan_amounts(
    archive: Archive, times: Times, step: int, source: ForcingSource, where: str
) -> tuple[list[Piece], int, list[str]]:
    """Amounts of each step from fields of any interval: pieces, interval of a field [s], sentences worth a warning.

    Raises:
        InputError: fields do not fit the steps.
    """
    near = archive.between(times[0] - np.timedelta64(step + DAY, "s"), times[-1] + np.timedelta64(DAY, "s"))
    spacing = spacing_of(near.times, step)
    name, section = where.split(".")[-2] if "." in where else where, where.rpartition(".")[0]
    if source.accumulated:
        return _plan_differences(near, times, step, max(step, spacing), where), max(step, spacing), []
    if spacing == step:
        return plan_by_step(archive, times, step, where), step, []
    if spacing < step:
        _refuse_other_steps(step % spacing, spacing, step, where)
        pieces = _plan_sums(near, times, step, spacing, where)
        return pieces, spacing, [f"{name} has a field every {words(spacing)}: {step // spacing} are added up to a step"]
    _refuse_other_steps(spacing % step or max(spacing - DAY, 0), spacing, step, where)
    if spacing == DAY and not archive.has_bounds:
        what = f"has daily fields, which are split over steps of {words(step)}: does a date begin or end its day?"
        raise InputError(where, what, f"State `{section}.label`: start or end.")
    note = f"{name} has a field every {words(spacing)}: each is split evenly over {spacing // step} steps"
    return _plan_parts(near, times, step, spacing, where), spacing, [note]


def words(seconds: int) -> str:
    """A length of time as messages have it."""
    if seconds % 3600:
        return f"{seconds // 60} min"
    return "day" if seconds == DAY else "hour" if seconds == 3600 else f"{seconds // 3600} hours"


def _refuse_other_steps(rest: int, spacing: int, step: int, where: str) -> None:
    if rest:
        what = f"has a field every {words(spacing)}, which fits no steps of {words(step)}"
        raise InputError(where, what, "Set `period.step` to a multiple or a part of it that divides a day.")


def _plan_sums(archive: Archive, times: Times, step: int, spacing: int, where: str) -> list[Piece]:
    """Several fields to a step."""
    count = step // spacing
    part = archive.between(times[0] - np.timedelta64(step - 1, "s"), times[-1])
    passed = (part.times - (times[0] - np.timedelta64(step, "s"))).astype(np.int64)  # end of the field, in seconds
    _refuse_strays(part, passed % spacing != 0, where)
    layers: list[list[Layer | None]] = [[None] * count for _ in times]
    for number, layer in zip((passed // spacing - 1).tolist(), part.layers, strict=True):
        layers[number // count][number % count] = layer
    return [Piece(i, tuple(own), (float(count),), times[i]) for i, own in enumerate(layers)]


def _plan_parts(archive: Archive, times: Times, step: int, spacing: int, where: str) -> list[Piece]:
    """Several steps to a field."""
    seconds = archive.times.astype(np.int64)
    phases, counts = np.unique(seconds % spacing, return_counts=True)
    phase = int(phases[counts.argmax()])
    _refuse_strays(archive, seconds % spacing != phase, where)
    layers = dict(zip(archive.times.tolist(), archive.layers, strict=True))
    ends = _ends_of_blocks(times, spacing, phase)
    share = step / spacing
    return [
        Piece(low, (layers.get(end.item()),), (share,) * (high - low), times[low]) for low, high, end in _runs(ends)
    ]


def _plan_differences(archive: Archive, times: Times, step: int, length: int, where: str) -> list[Piece]:
    """Blocks of so many seconds: the value at the end of each less that at its start, which is 0 where a day starts."""
    if length % step or DAY % length:
        _refuse_other_steps(1, length, step, where)
    layers = dict(zip(archive.times.tolist(), archive.layers, strict=True))
    ends = _ends_of_blocks(times, length, 0)
    pieces = []
    for low, high, end in _runs(ends):
        start = end - np.timedelta64(length, "s")
        own: Layers = (layers.get(end.item()),)
        is_first = start == start.astype("datetime64[D]")
        own = own if is_first else (layers.get(start.item()), *own)
        shares = (step / length,) * (high - low)
        pieces.append(Piece(low, own, shares, times[low], is_difference=not is_first))
    return pieces


def _ends_of_blocks(times: Times, length: int, phase: int) -> Times:
    """For each stamp the end of the block of so many seconds that holds its step."""
    seconds = times.astype("datetime64[s]").astype(np.int64) - phase
    return np.asarray((-(-seconds // length) * length + phase).astype("datetime64[s]"))


def _runs(labels: Times) -> Iterator[tuple[int, int, np.datetime64]]:
    """First, one past the last and label of each run of equal labels."""
    first = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    for low, end in zip(first.tolist(), [*first[1:].tolist(), len(labels)], strict=True):
        yield low, end, labels[low]


def _refuse_strays(archive: Archive, is_stray: np.ndarray, where: str) -> None:
    """Refuse fields whose times are none of steps."""
    stray = np.flatnonzero(is_stray)
    if stray.size:
        number = int(stray[0])
        example = f"{os.path.basename(archive.layers[number].path)} ({archive.times[number]})"  # noqa: PTH119 - the name only
        what = f"{stray.size} fields lie between the stamps of the steps, first {example}"
        section = where.rpartition(".")[0]
        remedy = (
            f"Shift them with `{section}.offset` or `{section}.tolerance`, or set `period.step` to that of the archive."
        )
        raise InputError(where, what, remedy)


def plan_by_step(archive: Archive, times: Times, step: int, where: str) -> list[Piece]:
    """One field per step: rain, or evapotranspiration of each step.

    Raises:
        InputError: a field lies between the stamps of the steps.
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
    for low, end, day in _runs(labels):
        yield low, end, tuple(shares[low:end].tolist()), day


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


def _by_stamp(archive: Archive, times: Times, step: int, where: str) -> list[Layer | None]:
    """Field of each stamp, None where there is none."""
    layers: list[Layer | None] = [None] * len(times)
    part = archive.between(times[0] - np.timedelta64(step - 1, "s"), times[-1])
    place = np.searchsorted(times, part.times)
    _refuse_strays(part, times[place] != part.times, where)
    for i, layer in zip(place, part.layers, strict=True):
        layers[i] = layer
    return layers
