"""Rain and PET of catchments from the forcing of a basin, in one walk over each array, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import Basin, Times, day_of_step
from hydrocli.basin.gauge_tree import GaugeTree

BLOCK = 250_000
"""Values that are looked at together: in double precision they stay in the caches of a processor."""


@dataclass
class Highest:
    """The highest values of an array.

    Attributes:
        value: the highest one; nan where there is none.
        first: number of the first step that has it; -1 where there is none.
        count: how often it is there.
        below: the next lower one; nan where there is none.
    """

    value: float = np.nan
    first: int = -1
    count: int = 0
    below: float = np.nan

    def look_at(self, values: NDArray[np.float32], steps: Integers, tops: NDArray[np.float32]) -> None:
        """Count the values [k, n] of k steps, by their numbers; `tops` [k] of each, NaN where a value is missing."""
        top = float(tops.max())
        top = float(np.fmax.reduce(values, axis=None)) if np.isnan(top) else top
        if np.isnan(top) or (self.count and top < self.value):
            self.below = float(np.fmax(self.below, top))
            return
        is_top = values == top
        rest = values[~is_top]
        below = float(np.fmax.reduce(rest, axis=None)) if rest.size else np.nan
        self.add(top, int(steps[is_top.any(axis=1).argmax()]), int(np.count_nonzero(is_top)), below)

    def add(self, value: float, first: int, count: int, below: float = np.nan) -> None:
        """Count a value that is there so often, first in a step, and the next lower one beside it."""
        if not self.count or value > self.value:
            self.below = float(np.fmax(below, self.value))
            self.value, self.first, self.count = value, first, count
            return
        self.below = float(np.fmax(self.below, below if value == self.value else value))
        if value == self.value:
            self.first, self.count = min(self.first, first), self.count + count


@dataclass(frozen=True, eq=False)
class CatchmentMeans:
    """Means over the catchments of g gauges and the n cells, of t steps in m months.

    Attributes:
        months: datetime64[M][m].
        month: int64[t], number of the month of each step.
        rain: float32[g, t], mean over the cells that have a value [mm]; NaN where none has.
        rain_missing: float64[g, m], share of steps and cells without a value.
        pet: float64[g, m], sums [mm].
        pet_of_domain: float64[t], mean over all cells [mm].
        cell_rain: float64[n], sums [mm].
        cell_missing: int64[n], steps without rain.
        highest: of the rain of cells.
        lightest: float64[t], lowest rain above 0 of any cell [mm]; NaN where there is none.
        rain_uncovered: float64[g], share of the cells without rain in all steps.
    """

    months: NDArray[np.datetime64]
    month: Integers
    rain: NDArray[np.float32]
    rain_missing: Floats
    pet: Floats
    pet_of_domain: Floats
    cell_rain: Floats
    cell_missing: Integers
    highest: Highest
    lightest: Floats
    rain_uncovered: Floats

    @classmethod
    def of(cls, basin: Basin) -> CatchmentMeans:
        """Walk over rain and PET of a basin."""
        times, count = basin.times, len(basin.gauges.code)
        tree = GaugeTree.of(basin.network.downstream, basin.gauges.cell)
        weight = basin.network.cell_area / basin.network.cell_area.mean()
        is_even = bool(np.allclose(weight, 1.0))
        months, month = months_of(times)
        area = tree.sums(weight)
        rain = np.full((count, len(times)), np.nan, np.float32)
        missing = np.zeros((count, len(months)))
        pet = np.zeros((count, len(months)))
        pet_of_domain = np.full(len(times), np.nan)
        cell_rain, cell_missing = np.zeros(len(weight)), np.zeros(len(weight), np.int64)
        highest, lightest = Highest(), np.full(len(times), np.nan)
        for rows, single in _blocks(basin.precipitation):
            place, top = _not_zero(single)
            wet, dry = rows.start + place, len(single) - len(place)
            if dry:
                rain[:, rows] = 0.0
                highest.add(0.0, _first_without(wet, rows.start), dry * single.shape[1])
            if not len(wet):
                continue
            single = single[place] if dry else single
            highest.look_at(single, wet, top)
            lightest[wet] = np.where(single > 0, single, np.float32(np.inf)).min(axis=1)
            values = single.astype(np.float64)
            covered: Floats = area
            if np.isnan(top).any():
                absent = np.isnan(values)
                values[absent] = 0.0
                known = np.where(absent, 0.0, weight)
                covered = tree.sums(known)
                cell_missing += absent.sum(axis=0)
                np.add.at(missing.T, month[wet], tree.sums(absent.astype(np.float64)))
            cell_rain += values.sum(axis=0)
            sums = tree.sums(values if is_even else values * weight)
            with np.errstate(invalid="ignore", divide="ignore"):
                rain[:, wet] = np.where(covered > 0, sums / covered, np.nan).T
        for rows, single in _blocks(basin.pet):
            place, _ = _not_zero(single)
            pet_of_domain[rows] = 0.0
            if not len(place):
                continue
            values = single[place].astype(np.float64)
            pet_of_domain[rows.start + place] = values.mean(axis=1)
            own = month[rows.start + place]
            for number in np.unique(own).tolist():  # sums of cells first: there are fewer months than steps
                low, high = np.searchsorted(own, [number, number + 1])
                pet[:, number] += tree.sums(weight * values[low:high].sum(axis=0)) / area
        steps = np.bincount(month, minlength=len(months))
        return cls(
            months=months,
            month=month,
            rain=rain,
            rain_missing=missing / (tree.cells[:, None] * steps),
            pet=pet,
            pet_of_domain=pet_of_domain,
            cell_rain=cell_rain,
            cell_missing=cell_missing,
            highest=highest,
            lightest=np.where(np.isinf(lightest), np.nan, lightest),
            rain_uncovered=tree.sums((cell_missing == len(times)).astype(np.float64)) / tree.cells,
        )


def months_of(times: Times) -> tuple[NDArray[np.datetime64], Integers]:
    """Months of the steps that end at some stamps, and the number of the month of each step."""
    months, month = np.unique(day_of_step(times).astype("datetime64[M]"), return_inverse=True)
    return months, month.ravel().astype(np.int64)


def _not_zero(values: NDArray[np.float32]) -> tuple[Integers, NDArray[np.float32]]:
    """Rows of values [k, n] that are not 0 in all cells, and the highest value of each; NaN where one is missing.

    Most steps are dry in a catchment, and half of them are nights: they cost one look, in the precision of the store.
    """
    top = values.max(axis=1)
    rows = np.flatnonzero(top != 0)
    return rows, top[rows]


def _first_without(numbers: Integers, start: int) -> int:
    """The first number from a start on that is none of some sorted ones, which are not less."""
    gaps = np.flatnonzero(numbers != start + np.arange(len(numbers)))
    return start + (int(gaps[0]) if len(gaps) else len(numbers))


def _blocks(array: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of an array [t, n] some at a time, with their numbers."""
    size = max(1, BLOCK // max(array.shape[1], 1))
    for low in range(0, len(array), size):
        rows = slice(low, min(low + size, len(array)))
        yield rows, np.asarray(array[rows])
