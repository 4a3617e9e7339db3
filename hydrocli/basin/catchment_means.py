"""Rain and PET of catchments from the forcing of a basin, in one walk over each array, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import Basin, Times, day_of_step
from hydrocli.basin.gauge_tree import GaugeTree

BLOCK = 500_000
"""Values that are looked at together."""


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

    def look_at(self, values: Floats, first: int) -> None:
        """Count the values [k, n] of the steps from `first` on in."""
        top = float(np.fmax.reduce(values, axis=None))
        if not top >= self.value and self.count:
            self.below = float(np.fmax(self.below, top))
            return
        if np.isnan(top):
            return
        is_top = values == top
        if top > self.value or not self.count:
            self.below, self.value, self.count = self.value, top, 0
            self.first = first + int(is_top.any(axis=1).argmax())
        self.count += int(np.count_nonzero(is_top))
        rest = values[~is_top]
        self.below = float(np.fmax(self.below, np.fmax.reduce(rest, axis=None))) if rest.size else self.below


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
        for rows, values in _blocks(basin.precipitation):
            highest.look_at(values, rows.start)
            lightest[rows] = np.where(values > 0, values, np.inf).min(axis=1)
            covered: Floats = area
            absent = np.isnan(values)
            if absent.any():
                values[absent] = 0.0
                known = np.where(absent, 0.0, weight)
                covered = tree.sums(known)
                cell_missing += absent.sum(axis=0)
                np.add.at(missing.T, month[rows], tree.sums(absent.astype(np.float64)))
            cell_rain += values.sum(axis=0)
            sums = tree.sums(values if is_even else values * weight)
            with np.errstate(invalid="ignore", divide="ignore"):
                rain[:, rows] = np.where(covered > 0, sums / covered, np.nan).T
        for rows, values in _blocks(basin.pet):
            pet_of_domain[rows] = values.mean(axis=1)
            np.add.at(pet.T, month[rows], tree.sums(values if is_even else values * weight) / area)
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


def _blocks(array: NDArray[np.float32]) -> Iterator[tuple[slice, Floats]]:
    """Rows of an array [t, n] some at a time, in double precision, with their numbers."""
    size = max(1, BLOCK // max(array.shape[1], 1))
    for low in range(0, len(array), size):
        rows = slice(low, min(low + size, len(array)))
        yield rows, array[rows].astype(np.float64)
