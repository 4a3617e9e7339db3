"""What the values of a forcing look like: counts while reading, and what they prove to be wrong.

Fill values that nobody has declared give themselves away: one number that repeats, far from all others. Potential
evapotranspiration that is negative upward, in mm per day where it should be per hour, is found by its sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.sampling import Points
from hydrocli.errors import InputError

LIMITS = (255.0, 999.0, 9999.0, 32767.0, 65535.0, 99999.0, -99.0, -999.0, -9999.0, -32768.0, -99999.0)
"""Numbers that stand for missing values in many archives."""
_SMALLEST, _NEGATIVE = 255.0, -99.0
REPEATED = 4
"""Occurrences from which a number is suspected; one storm may hit it once."""
NEIGHBOURHOOD = 0.1
"""Other values count as near to a number within this share of it."""
ISOLATED = 0.25
"""Share of near values, among them and the number itself, up to which the number stands alone."""
LARGEST = 1e30
"""Beyond it a number describes nothing on earth: rounded, the largest number of a type."""
UNLIKE = 100.0
"""A number that is no usual fill value stands apart when it is so many ranges of all others away from them."""
WETTEST_YEAR = 10_000.0
"""mm: no potential evapotranspiration of a year (deserts have up to 4 m)."""
YEAR = 365.25 * 86400


@dataclass(frozen=True)
class Counts:
    """What was found while reading.

    Attributes:
        values: steps times cells.
        missing: among these.
        negative: among the missing.
        first_missing: number of the first step with a missing value; -1 where there is none.
        total: sum of the amounts that are not missing [mm].
        below: sum of the negative ones [mm].
        limits: occurrences of each of `LIMITS` in the files.
        near: of other values near them.
    """

    values: int = 0
    missing: int = 0
    negative: int = 0
    first_missing: int = -1
    total: float = 0.0
    below: float = 0.0
    limits: tuple[int, ...] = (0,) * len(LIMITS)
    near: tuple[int, ...] = (0,) * len(LIMITS)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.values + other.values,
            self.missing + other.missing,
            self.negative + other.negative,
            self.first_missing if self.first_missing >= 0 else other.first_missing,
            self.total + other.total,
            self.below + other.below,
            tuple(a + b for a, b in zip(self.limits, other.limits, strict=True)),
            tuple(a + b for a, b in zip(self.near, other.near, strict=True)),
        )

    def facts(self) -> dict[str, int]:
        """Counts that a store keeps, by name."""
        return {name: getattr(self, name) for name in ("values", "missing", "negative", "first_missing")}


class NearLimits(NamedTuple):
    """Numbers of `LIMITS` in some fields, by column.

    Attributes:
        found: int64[limits, n], occurrences.
        near: likewise, of other values near them.
    """

    found: Integers
    near: Integers

    def __add__(self, other: NearLimits) -> NearLimits:  # type: ignore[override]
        return NearLimits(self.found + other.found, self.near + other.near)

    def counts(self, cells: Integers | slice) -> Counts:
        """Those of some of the columns."""
        found, near = (tuple(counts[:, cells].sum(axis=1).tolist()) for counts in self)
        return Counts(limits=found, near=near)


def extremes(values: Floats) -> tuple[float, float]:
    """Lowest and highest of some values, NaN where none is a number.

    The reductions that pass over NaN are several times slower than those that keep it.
    """
    lowest, highest = float(values.min()), float(values.max())
    if np.isnan(lowest):
        lowest, highest = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
    return lowest, highest


def near_limits(fields: Floats) -> NearLimits | None:
    """Numbers of `LIMITS` in fields [..., n] as the files have them, and others near, by column; None where none is."""
    highest, lowest = _SMALLEST * (1 - NEIGHBOURHOOD), _NEGATIVE * (1 - NEIGHBOURHOOD)
    least, most = extremes(fields)
    if not (most >= highest or least <= lowest):
        return None
    points = fields.shape[-1]
    flat = fields.reshape(-1, points)
    far = np.flatnonzero((flat >= highest) | (flat <= lowest))
    values, columns = flat.ravel()[far], far % points
    found, near = (np.zeros((len(LIMITS), points), np.int64) for _ in range(2))
    for number, limit in enumerate(LIMITS):
        around = np.abs(values - limit) <= NEIGHBOURHOOD * abs(limit)
        if around.any():
            is_limit = values == limit
            found[number] = np.bincount(columns[is_limit], minlength=points)
            near[number] = np.bincount(columns[around & ~is_limit], minlength=points)
    return NearLimits(found, near)


def refuse_fill_values(counts: Counts, section: str) -> None:
    """Refuse a number that stands for missing values, which neither the files nor the configuration declare.

    Raises:
        InputError: names the number, and the key that declares it.
    """
    for limit, count, near in zip(LIMITS, counts.limits, counts.near, strict=True):
        if count >= REPEATED and near <= ISOLATED * (count + near):
            what = f"the files have the value {limit:.0f} {count} times, and hardly one near it: a fill value?"
            remedy = (
                f"Write `{section}.nodata: {limit:.0f}` if it means missing; the files do not declare it. "
                "If it is measured, correct the files."
            )
            raise InputError(f"{section}.nodata", what, remedy)


def refuse_fill_values_of_descriptor(values: Floats, points: Points, path: str) -> None:
    """Refuse a descriptor in which one number, far from all others, stands for missing values.

    Args:
        values: float64[n] of the cells, NaN where missing.
        points: the cells.
        path: of the raster.

    Raises:
        InputError: names the number and the first of its cells.
    """
    known = values[np.isfinite(values)]
    for limit in np.unique([known.min(), known.max()]) if known.size else ():
        others = known[known != limit]
        if not others.size:
            continue
        low, high = float(others.min()), float(others.max())
        gap = max(low - limit, limit - high)
        is_fill_value = abs(limit) > LARGEST or (limit in LIMITS and (limit < 0.0 or low < high))
        if not is_fill_value and (abs(limit) < -_NEGATIVE or low == high):  # two classes may have any numbers
            continue
        if gap <= (high - low) * (1.0 if is_fill_value else UNLIKE):
            continue
        cell = int(np.flatnonzero(values == limit)[0])
        count = int(np.count_nonzero(values == limit))
        what = (
            f"has the value {limit:.9g} in {count} cells, first at "
            f"x = {points.x[cell]:.10g}, y = {points.y[cell]:.10g}; "
            f"all others are from {low:.6g} to {high:.6g}: a fill value?"
        )
        remedy = f"Declare it in the file (`gdal_edit.py -a_nodata {limit:.9g}`), or correct the value."
        raise InputError(path, what, remedy)


def refuse_wrong_sign(counts: Counts, section: str) -> None:
    """Refuse amounts that are negative for the greater part.

    Raises:
        InputError: names the key that turns the sign.
    """
    if counts.negative and -counts.below > counts.total:
        share = counts.negative / max(counts.values - counts.missing + counts.negative, 1)
        what = f"{share:.0%} of the values are negative, with a sum of {counts.below:.4g} mm"
        remedy = f"Write `{section}.scale_factor: -1` if the files count upward fluxes as negative."
        raise InputError(f"{section}.scale_factor", what, remedy)


def refuse_wrong_sum(counts: Counts, section: str, step: int) -> None:
    """Refuse potential evapotranspiration that no year has.

    Args:
        counts: of the steps.
        section: key of the forcing.
        step: [s].

    Raises:
        InputError: names the keys that may be wrong.
    """
    known = counts.values - counts.missing
    year = counts.total / known * YEAR / step if known else 0.0
    if year > WETTEST_YEAR:
        what = f"the values make {year / 365.25:.4g} mm a day, {year / 1000:.3g} m a year"
        remedy = f"Write `{section}.unit: mm/day` if each file holds a rate per day, or correct `scale_factor`."
        raise InputError(f"{section}.unit", what, remedy)
