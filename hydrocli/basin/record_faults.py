"""Signs of misread data in one series of rain or discharge; no limit is set here, only figures are found.

Each function takes a series at a fixed step and gives a figure that is nan, or empty, where there are too few values to
find it from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hydrocli.arrays import Flags, Floats, Indices
from hydrocli.basin.basin import DAY

EARLIEST, LATEST = 2 * DAY, 10 * DAY
"""Lags that are tried: rain after the rise of the river, and before it [s]."""
SHORTEST_RECORD = 3 * DAY
"""Of rain and discharge together, for a lag [s]."""
SMALLEST_CHANGE = 0.005
"""mm: smaller changes of rain are noise of packing."""
FEWEST_CHANGES = 12
"""From which it shows that a series only grows."""
FEWEST_STEPS_OF_DAY = 4
FEWEST_WET, MOST_WET = 40, 100
"""Different wet values before and after a jump that are compared."""
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of these values, which a change of unit multiplies all by one factor."""
UNEVEN = 0.8
"""Decades between the largest and smallest of their factors, above which a change is one of the weather."""
LIGHT = (0.05, 0.5)
"""Quantiles of the lightest rain of a cell, which a change of unit multiplies as well."""
LIGHT_TOO = 0.7
"""Share of the change, in decades, that the lightest rain must have."""
UNITS, NEAR = (10.0, 35.3, 100.0, 1000.0), 0.08
"""Factors between units of discharge, and how near to them a jump must be, without the trend around it [decades]."""
SMOOTH, AROUND = 0.2, 3
"""Decades from step to step, and steps, before and after a change of unit; floods go on rising."""
UNDONE = 10 * DAY
"""Time within which a gate that was opened is closed again [s]; the record must go on for so long."""
BEFORE_RISE, MUCH = 3 * DAY, 1.0
"""Time before a rise [s], and the rain in it, by the mean rain of such a time, that may have caused it."""
RECESSION, SHORTEST_RECESSION, STAYS = 60 * DAY, 30 * DAY, 0.6
"""Time within which a flood recedes, and that must be known at least [s]; share of the jump, in decades, that stays."""
LOW_FLOW = 0.2
"""Share of the mean discharge; jumps below are of little water."""
RUN_OF_DISCHARGE, RUN_OF_RAIN = 10 * DAY, 5 * DAY
"""Shortest runs of one value that are no weather and no river [s]."""
FEWEST_IN_RUN = 10


class Lag(NamedTuple):
    """Delay of the rises of discharge behind the rain.

    Attributes:
        seconds: of the best correlation; nan where there is none.
        correlation: there.
        later: best correlation with the rain before the rise, or in its step.
    """

    seconds: float
    correlation: float
    later: float


class Jump(NamedTuple):
    """The largest change of all values by one factor; 1 where there is none.

    Attributes:
        factor: values after it by values before; nan where the series is too short.
        place: number of the first step after it; -1 where there is none.
    """

    factor: float
    place: int


class Run(NamedTuple):
    """Equal values that follow one another.

    Attributes:
        share: of the positive values, those in long runs; nan where there is no positive one.
        longest: steps of the longest run of a positive value.
        first: number of its first step; -1 where there is none.
    """

    share: float
    longest: int
    first: int


def best_lag(rain: Floats, discharge: Floats, step: int) -> Lag:
    """Lag of the best correlation of rain with the rises of discharge, both as square roots.

    Rises follow the rain closely even where most water comes slowly, and roots keep one flood from deciding alone.

    Args:
        rain, discharge: [t] of one catchment, NaN where missing.
        step: [s].
    """
    rises = np.maximum(np.diff(discharge, prepend=np.nan), 0.0)
    x, x_known = _centred(np.sqrt(rain))
    y, y_known = _centred(np.sqrt(rises))
    before, after = EARLIEST // step, LATEST // step
    size = 1 << int(np.ceil(np.log2(len(x) + before + after)))
    if x_known @ y_known * step < SHORTEST_RECORD or not x.any() or not y.any():
        return Lag(np.nan, np.nan, np.nan)
    # By Fourier transforms: a direct sum takes a minute for a thousand gauges and ten years.
    product = _correlate(x, y, size, before, after)
    norm = _correlate(x**2, y_known, size, before, after) * _correlate(x_known, y**2, size, before, after)
    overlap = _correlate(x_known, y_known, size, before, after) * step >= SHORTEST_RECORD
    least = 1e-9 * float((x**2).sum() * (y**2).sum())
    enough = overlap & (norm > least)
    correlation = np.where(enough, product / np.sqrt(np.where(enough, norm, 1.0)), -1.0)
    best = int(correlation.argmax())
    return Lag(float((best - before) * step), float(correlation[best]), float(correlation[before:].max()))


def _centred(values: Floats) -> tuple[Floats, Floats]:
    """Deviations from the mean, 0 where missing; and 1 where known, else 0."""
    known = np.isfinite(values)
    mean = values[known].mean() if known.any() else 0.0
    return np.where(known, values - mean, 0.0), known.astype(np.float64)


def _correlate(x: Floats, y: Floats, size: int, before: int, after: int) -> Floats:
    """Sums over t of x[t] y[t + lag] for the lags -before ... after."""
    whole = np.fft.irfft(np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y, size), size)
    return np.concatenate([whole[size - before :], whole[: after + 1]])


def growing_share(values: Floats, step: int, first_of_day: int) -> float:
    """Share of rises among the changes within days, whenever days begin; 1 where amounts of a day are summed up.

    Args:
        values: [t], NaN where missing.
        step: [s].
        first_of_day: number of the step of the day that the first value is of.
    """
    per_day = DAY // step
    if per_day < FEWEST_STEPS_OF_DAY:
        return np.nan
    change = np.diff(values)
    hour = (first_of_day + 1 + np.arange(len(change))) % per_day
    falls = np.bincount(hour[change < -SMALLEST_CHANGE], minlength=per_day)
    within = hour != falls.argmax()
    rising = np.count_nonzero(change[within] > SMALLEST_CHANGE)
    falling = np.count_nonzero(change[within] < -SMALLEST_CHANGE)
    return rising / (rising + falling) if rising + falling >= FEWEST_CHANGES else np.nan


def jump_of_rain(values: Floats, lightest: Floats) -> Jump:
    """The largest factor between the wet values on both sides of a step.

    A change of unit multiplies light and heavy rain alike, and the resolution of the data. A change of the season does
    not: there is drizzle in both.

    Args:
        values: [t], mean of a catchment, NaN where missing.
        lightest: [t], lowest amount above 0 of any cell, NaN where there is none.
    """
    # Fields of days that are split over their hours repeat themselves.
    wet = np.flatnonzero((values > 0) & (np.diff(values, prepend=np.nan) != 0))
    size = min(MOST_WET, max(FEWEST_WET, len(wet) // 4))
    count = len(wet) - 2 * size
    if count < 0:
        return Jump(np.nan, -1)
    logs = np.log10(values[wet])
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    middle = sums[size : size + count + 1]
    shift = sums[2 * size :] - middle - (middle - sums[: count + 1])
    place = size + int(np.abs(shift).argmax())
    before, after = logs[place - size : place], logs[place : place + size]
    factors = np.quantile(after, SHARES) - np.quantile(before, SHARES)
    change = float(np.median(factors))
    light = np.log10(lightest[wet[place - size : place + size]]).reshape(2, size)
    of_light = np.diff(np.nanquantile(light, LIGHT, axis=1), axis=1).ravel()
    if float(np.ptp(factors)) > UNEVEN or (np.sign(change) * of_light < LIGHT_TOO * abs(change)).any():
        return Jump(1.0, -1)
    return Jump(float(10**change), int(wet[place]))


def jump_of_discharge(values: Floats, rain: Floats, step: int) -> Jump:
    """The largest factor from one step to the next between two smooth stretches, that no other one undoes.

    Only factors between units count: gates of dams have others. A rise after rain may be a flood. It counts only if the
    river does not recede for two months.

    Args:
        values: [t], NaN where missing.
        rain: [t] of the catchment [mm], NaN where missing.
        step: [s].
    """
    flowing = np.flatnonzero(values > 0)
    if len(flowing) < 2 * (AROUND + 1):
        return Jump(np.nan, -1)
    logs = np.log10(values[flowing])
    change = np.diff(logs)
    is_wet, mean = _after_rain(rain, step), np.nanmean(values)
    isolated = dict[int, float]()
    for place in np.flatnonzero(_distance(change) <= NEAR + SMOOTH).tolist():
        near = np.concatenate([change[max(place - AROUND, 0) : place], change[place + 1 : place + 1 + AROUND]])
        if len(near) == 2 * AROUND and np.abs(near).max() <= SMOOTH:
            isolated[place] = float(change[place] - np.median(near))
    found = Jump(1.0, -1)
    for place, size in isolated.items():
        here = int(flowing[place + 1])
        near_in_time = (other for at, other in isolated.items() if abs(flowing[at + 1] - here) * step <= UNDONE)
        if (
            _distance(np.array([size]))[0] > NEAR
            or any(other * size < 0 for other in near_in_time)
            or (len(values) - here) * step < UNDONE
            or 10 ** max(logs[place], logs[place + 1]) < LOW_FLOW * mean
        ):
            continue
        if size > 0 and is_wet[here]:
            if (len(values) - here) * step < SHORTEST_RECESSION:
                continue
            lowest = logs[place + 1 : place + 1 + RECESSION // step].min()
            if lowest - logs[place] < STAYS * size:
                continue
        if abs(size) > abs(np.log10(found.factor)):
            found = Jump(float(10**size), here)
    return found


def _distance(change: Floats) -> Floats:
    """How far changes are from the nearest factor between units [decades]."""
    return np.asarray(np.abs(np.abs(change)[:, None] - np.log10(UNITS)).min(axis=1))


def _after_rain(rain: Floats, step: int) -> Flags:
    """Steps [t] with much rain in the days before them, or in them, or with missing data there."""
    steps = min(BEFORE_RISE // step, len(rain))
    known = np.isfinite(rain)
    mean = rain[known].mean() if known.any() else 0.0
    much = MUCH * mean * steps
    fallen = np.concatenate([np.zeros(steps), np.cumsum(np.where(known, rain, much))])
    return np.asarray(fallen[steps:] - fallen[: len(rain)] >= much)


def largest_rise(values: Floats) -> float:
    """Largest difference of a value from a lower one before it; nan where there is none.

    Args:
        values: [t], NaN where missing.
    """
    known = values[np.isfinite(values)]
    return float((known - np.minimum.accumulate(known)).max()) if known.size else np.nan


def constant_run(values: Floats, step: int, shortest: int) -> Run:
    """Runs of one positive value.

    Args:
        values: [t], NaN where missing.
        step: [s].
        shortest: length from which a run counts [s].
    """
    firsts, lengths = _runs(values)
    is_positive = values[firsts] > 0
    firsts, lengths = firsts[is_positive], lengths[is_positive]
    if not len(lengths):
        return Run(np.nan, 0, -1)
    is_long = lengths >= max(shortest // step, FEWEST_IN_RUN)
    longest = int(lengths.argmax())
    return Run(float(lengths[is_long].sum() / lengths.sum()), int(lengths[longest]), int(firsts[longest]))


def _runs(values: Floats) -> tuple[Indices, Indices]:
    """First step and length of each run of equal values."""
    starts: Flags = np.concatenate([[True], values[1:] != values[:-1]])
    firsts = np.flatnonzero(starts)
    return firsts, np.diff(np.append(firsts, len(values)))
