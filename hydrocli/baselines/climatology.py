"""The lower floor: the mean of the calibration period by day of the year and time of the day.

    Q = max(0, day[d] + hour[h]) s A

| symbol | meaning | unit |
|---|---|---|
| day | mean of the observations within 15 days of a day of the year, in all years | s |
| hour | mean departure from it at a time of the day; 0 where a step is a day | s |
| d, h | day of the year and time of the day of the middle of a step | - |
| s | scale of the discharge per area | mm/step |
| A | area of the catchment, in the unit that gives m3/s | m3/s per mm/step |

A day of the year without observations in its neighbourhood has the mean of all. A regional climatology is that of the
discharge per area of all calibration gauges together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Indices
from hydrocli.baselines.baseline import Arrays, Baseline, Catchments, Observations, flow_scale

DAYS, HOURS = 366, 24
NEAR = 15
"""Days on either side over which a day of the year takes its mean."""
DAY = 86400


def places(times: NDArray[np.datetime64], step: int, hours: int) -> tuple[Indices, Indices]:
    """Day of the year from 0, and one of so many parts of the day, of the middle of each step [t]."""
    middle = times.astype("datetime64[s]") - np.timedelta64(step // 2, "s")
    day = middle.astype("datetime64[D]")
    of_year = (day - day.astype("datetime64[Y]")).astype(np.intp)
    seconds = (middle - day).astype(np.intp)
    return of_year, seconds * hours // DAY


def first(baseline: Baseline, seen: Observations, seed: int) -> tuple[dict[str, Floats], Floats]:
    """The means: the solution. See `baseline.Kind`."""
    catchments, scale = seen.catchments, flow_scale(baseline, seen)
    hours = max(1, min(HOURS, DAY // catchments.step))
    day, hour = places(catchments.times, catchments.step, hours)
    depth = seen.depth / scale[baseline.owners(catchments.codes, catchments.codes)][:, np.newaxis]
    groups = [depth] if baseline.is_regional else list(depth[:, np.newaxis])
    weights = [np.concatenate(_means(group, day, hour, hours)) for group in groups]
    return {"flow": scale, "hours": np.array([float(hours)])}, np.concatenate(weights)


def _means(depth: Floats, day: Indices, hour: Indices, hours: int) -> tuple[Floats, Floats]:
    """Means by day of the year, and departures by hour, of series [k, t]."""
    known = ~np.isnan(depth)
    values, number = np.where(known, depth, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64)
    total, count = (np.bincount(day, of, DAYS) for of in (values, number))
    near = np.arange(-NEAR, NEAR + 1)
    around = (np.arange(DAYS)[:, np.newaxis] + near) % DAYS
    total, count = total[around].sum(axis=1), count[around].sum(axis=1)
    overall = values.sum() / number.sum()
    by_day = np.divide(total, count, out=np.full(DAYS, overall), where=count > 0)
    if hours == 1:
        return by_day, np.zeros(1)
    departure = np.bincount(hour, values - number * by_day[day], hours)
    count = np.bincount(hour, number, hours)
    return by_day, np.divide(departure, count, out=np.zeros(hours), where=count > 0)


def blocks(baseline: Baseline, arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """See `baseline.Kind`."""
    return {"day": (DAYS,), "hour": (int(arrays["hours"][0]),)}


def model(baseline: Baseline, catchments: Catchments, arrays: Arrays, owners: Indices, threads: int = 1) -> Climatology:
    """See `baseline.Kind`."""
    return Climatology(catchments, arrays, owners)


class Climatology:
    """Means on some catchments; see `baseline.Model`."""

    def __init__(self, catchments: Catchments, arrays: Arrays, owners: Indices) -> None:
        self._hours = int(arrays["hours"][0])
        self._day, self._hour = places(catchments.times, catchments.step, self._hours)
        self._owners = owners
        self._scale = arrays["flow"][owners] * catchments.cubic_metres

    def run(self, weights: Floats) -> tuple[Floats, Floats]:
        """Discharge [g, t] [m3/s]; and the same before negative values became 0, without its scale."""
        sets = weights.reshape(-1, DAYS + self._hours)[self._owners]
        plain = sets[:, :DAYS][:, self._day] + sets[:, DAYS:][:, self._hour]
        plain[self._owners < 0] = np.nan
        return np.maximum(plain, 0.0) * self._scale[:, np.newaxis], plain

    def pull_back(self, weights: Floats, trace: Floats, discharge_bar: Floats) -> Floats:
        """See `baseline.Model`; where the sum of both means is below 0 the derivative is 0."""
        bars = np.zeros((weights.size // (DAYS + self._hours), DAYS + self._hours))
        plain_bar = np.where(trace > 0.0, discharge_bar * self._scale[:, np.newaxis], 0.0)
        for g, owner in enumerate(self._owners):
            if owner >= 0:
                bars[owner, :DAYS] += np.bincount(self._day, plain_bar[g], DAYS)
                bars[owner, DAYS:] += np.bincount(self._hour, plain_bar[g], self._hours)
        return bars.ravel()
