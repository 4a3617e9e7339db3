"""Potential evapotranspiration: by the formula of Oudin, and from days to the steps of a day.

Oudin et al. (2005), Which potential evapotranspiration input for a lumped rainfall-runoff model? Part 2, J. Hydrol.
303, eq. 3:  PET = Ra / (lambda rho) * (T + 5) / 100  where T > -5 degrees C, else 0, in mm per day.
Variant `fao56`: the extraterrestrial radiation Ra [MJ m-2 d-1] and the latent heat lambda [MJ kg-1] of Allen et al.
(1998), FAO Irrigation and drainage paper 56, eq. 21 to 25 and 3-1; rho is 1000 kg m-3. airGR has another radiation
and a constant latent heat, which differs by 2 to 4 % at French latitudes.
"""

from __future__ import annotations

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times, day_of_step

SOLAR_CONSTANT = 0.0820
"""MJ m-2 min-1 (FAO-56)."""
HOURLY_WEIGHTS = (.035, .062, .079, .097, .110, .117, .117, .110, .097, .079, .062, .035)  # fmt: skip
"""Shares of the day's evapotranspiration in the hours that end at 07:00 to 18:00, as in airGR and smash."""
_SHARE_BEFORE = np.concatenate([np.zeros(7), np.cumsum(HOURLY_WEIGHTS).round(12), np.ones(6)])
"""Share of the day's evapotranspiration before 00:00, 01:00 ... 24:00."""


def oudin(temperature: Floats, radiation: Floats) -> Floats:
    """Potential evapotranspiration [mm/day] from mean temperature [degrees C] and radiation [MJ m-2 d-1] of the day."""
    latent_heat = 2.501 - 0.002361 * temperature
    return np.maximum(radiation / latent_heat * (temperature + 5.0) / 100.0, 0.0)


def extraterrestrial_radiation(latitude: Floats, day: np.datetime64) -> Floats:
    """Radiation above the atmosphere [MJ m-2 d-1] at latitudes [degrees] on a day (FAO-56 eq. 21 to 25)."""
    phi = np.radians(latitude)
    day = day.astype("datetime64[D]")
    number = int((day - day.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)) + 1
    angle = 2 * np.pi / 365 * number
    distance, declination = 1 + 0.033 * np.cos(angle), 0.409 * np.sin(angle - 1.39)
    # Beyond the polar circles the sun may not set (angle pi) or not rise (0).
    sunset = np.arccos(np.clip(-np.tan(phi) * np.tan(declination), -1.0, 1.0))
    high = sunset * np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.sin(sunset)
    return 24 * 60 / np.pi * SOLAR_CONSTANT * distance * high


def shares_of_day(times: Times, step: int) -> Floats:
    """Share of its day's evapotranspiration that falls in the step of `step` seconds before each stamp.

    Within an hour it is spread evenly; a step of a day has all of it.
    """
    ends = (times - day_of_step(times)).astype("timedelta64[s]").astype(np.int64)
    hours = (ends - np.array([step, 0])[:, None]) / 3600
    before, after = np.interp(hours, np.arange(-24, 25), np.concatenate([_SHARE_BEFORE[:-1] - 1, _SHARE_BEFORE]))
    return np.asarray(after - before)
