"""Air temperature: season, weather that lasts some days, the hour of the day, and the fall with elevation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times, stamps
from hydrocli.synthetic.options import DAY, HOUR, SampleOptions
from hydrocli.synthetic.terrain import Terrain, fractal

MEAN, SEASON, WARMEST_DAY = 13.5, 8.0, 202.0  # degrees C at sea level; day of the year
WEATHER, MEMORY = 3.2, 0.8  # standard deviation of a day, correlation of one day with the next
DAY_CYCLE, WARMEST_HOUR = 4.5, 14.0  # half the mean range of a day; UTC
LAPSE, LAPSE_SEASON = 6.0, 1.0  # degrees C per 1000 m, more in summer
LOCAL = 0.4  # standard deviation of what sites have of their own


def temperature_fields(terrain: Terrain, options: SampleOptions) -> Iterator[tuple[np.datetime64, NDArray[np.float32]]]:
    """Stamps and mean temperature float32[height, width] in degrees C of every step of `options.temperature_step`.

    Steps of a day are calendar days, from that of the start to that of the end, and their stamp is the midnight they
    BEGIN with: the day that is in the name of a daily file. Steps of an hour are stamped at their end.
    """
    steps, sea_level, lapse = _series(options)
    own = LOCAL * fractal(options.generator("places"), terrain.grid.shape, 2.5)
    for stamp, warmth, fall in zip(steps, sea_level, lapse, strict=True):
        yield stamp, (warmth - fall * terrain.elevation / 1000 + own).astype(np.float32)


def _series(options: SampleOptions) -> tuple[Times, Floats, Floats]:
    """Stamps, temperature at sea level and lapse rate per 1000 m of every step."""
    midnight = options.start.astype("datetime64[D]").astype("datetime64[s]")
    days = int((options.end - midnight).astype(int)) // DAY + 1
    hour = np.arange(24 * days) + 0.5
    weather, clearness = _weather(options.generator("temperature"), days)
    knots = 24 * np.arange(days) + 12.0
    day_of_year = (midnight - midnight.astype("datetime64[Y]")).astype("timedelta64[s]").astype(int) / DAY + hour / 24
    season = np.cos(2 * np.pi * (day_of_year - WARMEST_DAY) / 365.25)
    cycle = DAY_CYCLE * (1 + 0.3 * season) * np.interp(hour, knots, clearness)
    air = MEAN + SEASON * season + np.interp(hour, knots, weather)
    air += cycle * np.cos(2 * np.pi * (hour - WARMEST_HOUR) / 24)
    lapse = LAPSE + LAPSE_SEASON * season
    if options.temperature_step == DAY:
        return midnight + np.arange(days) * np.timedelta64(DAY, "s"), _daily(air), _daily(lapse)
    ends = stamps(midnight, len(hour), HOUR)
    inside = (ends > options.start) & (ends < options.end + np.timedelta64(HOUR, "s"))
    return ends[inside], air[inside], lapse[inside]


def _daily(hourly: Floats) -> Floats:
    return hourly.reshape(-1, 24).mean(axis=1)


def _weather(generator: np.random.Generator, days: int) -> tuple[Floats, Floats]:
    """Of each day: departure from the season, autoregressive; and how far the day's cycle is larger than usual."""
    shocks = generator.standard_normal((days, 2))
    departure = shocks[:, 0] * WEATHER
    for day in range(1, days):
        departure[day] = MEMORY * departure[day - 1] + np.sqrt(1 - MEMORY**2) * departure[day]
    return departure, np.exp(0.3 * shocks[:, 1])
