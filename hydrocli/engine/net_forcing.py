"""Net forcing: what interception leaves of rain and evapotranspiration, computed once per basin.

The interception capacity comes from flux matching (Ficchi et al. 2019) and is not calibrated, so neither is its
outcome: every evaluation of a calibration starts from the same pn - en. Steps without rain or evapotranspiration data
feed no water. With a daily step there is no interception store: pn = max(0, p - e), en = max(0, e - p), and the level
hi keeps its initial value.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine.order import WavefrontOrder, order_forcing
from hydrocli.engine.simulator import Simulator
from hydrocli.jit import loop
from hydrocli.names import INTERCEPTION_CAPACITY
from hydrocli.structures.structure import Structure
from hydrocli.water.interception import interception
from hydrocli.water.snow import liquid_fraction

DAY = 86400
DAILY_CAPACITY = 1e-6
"""Where a step is a day, flux matching says nothing: up to this capacity [mm] there is no interception store. It is
also the capacity of structures without one."""
BLOCK_VALUES = 1_000_000
"""About so many values of cells and steps are taken at once: their memory stays the same in a basin of any size."""


def capacities() -> NDArray[np.float64]:
    """The capacities that flux matching chooses from: 0.1, 0.2 ... 2.9 mm."""
    lower, upper = INTERCEPTION_CAPACITY.lower, INTERCEPTION_CAPACITY.upper
    assert lower is not None
    assert upper is not None
    return np.arange(round(10 * lower), round(10 * upper) + 1) / 10.0


def interception_capacity(
    structure: Structure,
    precipitation: NDArray[np.float32],
    evapotranspiration: NDArray[np.float32],
    times: NDArray[np.datetime64],
    step: int,
) -> NDArray[np.float64]:
    """Interception capacity ci [n], mm, by flux matching; where the structure has no such store, next to nothing.

    Args:
        structure: that gets the net forcing.
        precipitation, evapotranspiration, times, step: as in `flux_matching`.
    """
    if not structure.model.has_interception:
        return np.full(precipitation.shape[1], DAILY_CAPACITY)
    return flux_matching(precipitation, evapotranspiration, times, step)


def flux_matching(
    precipitation: NDArray[np.float32],
    evapotranspiration: NDArray[np.float32],
    times: NDArray[np.datetime64],
    step: int,
) -> NDArray[np.float64]:
    """Interception capacity ci [n], mm: per cell the one whose interception sums to what the days would intercept.

    The sum of sub-daily ei is brought nearest to the sum over calendar days (of the stamps) of min(P, E) of the day,
    stores empty at the start; the smallest on ties.

    Args:
        precipitation, evapotranspiration: [t, n], mm/step, NaN where missing.
        times: [t] stamps.
        step: [s].
    """
    cells = precipitation.shape[1]
    if step >= DAY:
        return np.full(cells, DAILY_CAPACITY)
    days = times.astype("datetime64[D]").astype(np.int64)
    candidates, ci = capacities(), np.empty(cells)
    for here in _blocks(cells, len(times)):
        width = len(ci[here])
        intercepted, level = np.zeros((2, len(candidates), width))
        daily = np.zeros((3, width))
        rain, demand = (np.array(forcing[:, here]) for forcing in (precipitation, evapotranspiration))
        _match(rain, demand, days, candidates, level, intercepted, daily)
        ci[here] = candidates[np.argmin(np.abs(intercepted - daily[2]), axis=0)]
    return ci


@loop
def _match(precipitation, evapotranspiration, days, candidates, level, intercepted, daily):
    """Sum ei of every candidate [candidates, n], and min(P, E) of the days in daily[2] (daily[0], [1]: of this day)."""
    for t in range(days.size):
        if t > 0 and days[t] != days[t - 1]:
            _close_day(daily[0], daily[1], daily[2])
        _match_step(precipitation[t], evapotranspiration[t], candidates, level, intercepted, daily[0], daily[1])
    _close_day(daily[0], daily[1], daily[2])


@loop
def _close_day(rain, demand, total):
    for c in range(rain.size):
        total[c] += min(rain[c], demand[c])
        rain[c] = demand[c] = 0.0


@loop
def _match_step(precipitation, evapotranspiration, candidates, level, intercepted, rain, demand):
    for k in range(candidates.size):
        ci, hi, total = candidates[k], level[k], intercepted[k]
        for c in range(hi.size):
            known = (precipitation[c] >= 0.0) and (evapotranspiration[c] >= 0.0)
            p = np.float64(precipitation[c]) if known else 0.0
            e = np.float64(evapotranspiration[c]) if known else 0.0
            _, en, hi[c] = interception(p, e, ci, hi[c])
            total[c] += e - en
    for c in range(rain.size):
        if precipitation[c] >= 0.0 and evapotranspiration[c] >= 0.0:
            rain[c] += precipitation[c]
            demand[c] += evapotranspiration[c]


def net_forcing(
    order: WavefrontOrder,
    precipitation: NDArray[np.float32],
    pet: NDArray[np.float32],
    ci: NDArray[np.float64],
    hi: NDArray[np.float64],
    cells: NDArray[np.integer],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """Net rain less net evapotranspiration in the order of computation [steps * slots] [mm/step].

    Args:
        order: of n cells over the first steps of the forcing.
        precipitation, pet: [t, all cells], mm/step, NaN where missing.
        ci: [n], mm. hi: [n] at the start.
        cells: [n] which of all cells these are.

    Returns:
        The net forcing, the final levels hi [n], the number of steps without forcing [n].
    """
    hi, missing = hi.astype(np.float64), np.zeros(len(ci), np.int64)
    ordered = np.zeros(order.forcing_size, np.float32)
    unwanted = np.empty((0, len(ci)))
    for rows in _blocks(order.steps, len(ci)):
        rain, demand = (np.take(forcing[rows], cells, axis=1) for forcing in (precipitation, pet))
        net = np.empty(rain.shape, np.float32)
        _intercept(rain, demand, ci, hi, missing, net, unwanted, unwanted)
        order_forcing(net, rows.start, order, ordered)
    return ordered, hi, missing


def forcings_of(
    structure: Structure, order: WavefrontOrder, net: NDArray[np.float32], start: NDArray[np.float64], step: int
) -> tuple[NDArray[np.float32], ...]:
    """The forcing of a structure that begins below interception: the net one, and the intensity of the rain if it asks.

    Args:
        structure: that gets it.
        order: of n cells.
        net: net rain less net evapotranspiration in this order [mm/step].
        start: [n] running mean of the net rain before the first step [mm/step].
        step: [s].
    """
    if not structure.sees_intensity:
        return (net,)
    return net, rain_intensity(order, net, start, structure.rain_intensity / step)[0]


def intensity_of(simulator: Simulator, start: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Running mean of the net rain [n] after the last step of a simulator [mm/step]; None where it has none.

    Args:
        simulator: whose forcing it is.
        start: as in `forcings_of`.
    """
    structure = simulator.structure
    if not structure.sees_intensity:
        return None
    return rain_intensity(simulator.order, simulator.forcing[0], start, structure.rain_intensity / simulator.step)[1]


def rain_intensity(
    order: WavefrontOrder, net: NDArray[np.float32], start: NDArray[np.float64], memory: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Running mean r of the net rain, r <- r + (pn - r) (1 - e^(-1/memory)), and its last values [n] [mm/step].

    Args:
        order: of n cells.
        net: net rain less net evapotranspiration in this order [mm/step].
        start: [n] before the first step [mm/step].
        memory: time constant [steps].
    """
    ordered: NDArray[np.float32] = np.zeros(order.forcing_size, np.float32)
    level = order.spread(start, 0.0).astype(np.float64)
    _running_mean(order, net, -np.expm1(-1.0 / memory), level, ordered)
    return ordered, level[order.slot]


@loop
def _running_mean(order, net, share, level, ordered):
    """The mean of each slot goes on in its own steps only."""
    for wave in range(order.low.shape[1]):
        for block in range(2):
            f = order.offset[block, wave] - order.low[block, wave]
            for s in range(order.active_low[block, wave], order.active_high[block, wave]):
                level[s] += share * (max(np.float64(net[f + s]), 0.0) - level[s])
                ordered[f + s] = level[s]


def rainfall(precipitation: NDArray[np.float32], temperature: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of precipitation [t, n] that falls as rain at a temperature [t, n]; NaN where either is missing."""
    rain = np.empty(precipitation.shape, np.float32)
    for rows in _blocks(*precipitation.shape):
        rain[rows] = liquid_fraction.py_func(np.asarray(temperature[rows], np.float64)) * precipitation[rows]  # type: ignore[attr-defined]
    return rain


def meteorological_forcing(
    order: WavefrontOrder, forcing: tuple[NDArray[np.float32], ...], cells: NDArray[np.integer]
) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.int64]]:
    """Precipitation, PET and temperature in the order of computation, for structures that begin above interception.

    Args:
        order: of n cells over the first steps of the forcing.
        forcing: three arrays [t, all cells], mm/step, mm/step, degC; NaN where missing.
        cells: [n] which of all cells these are.

    Returns:
        Arrays [steps * slots], where a step that misses any of them has neither water nor warmth; the number of such
        steps [n].
    """
    missing = np.zeros(len(cells), np.int64)
    ordered = tuple(np.zeros(order.forcing_size, np.float32) for _ in forcing)
    for rows in _blocks(order.steps, len(cells)):
        here = [np.array(values[rows][:, cells], np.float32) for values in forcing]
        unknown = ~(
            np.isfinite(here[0]) & (here[0] >= 0) & np.isfinite(here[1]) & (here[1] >= 0) & np.isfinite(here[2])
        )
        missing += unknown.sum(axis=0)
        for values, out in zip(here, ordered, strict=True):
            values[unknown] = 0.0
            order_forcing(values, rows.start, order, out)
    return ordered, missing


def _blocks(count: int, width: int) -> Iterator[slice]:
    """Parts of `count` rows of `width` values each, of about `BLOCK_VALUES` values."""
    size = max(1, BLOCK_VALUES // max(1, width))
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


@loop
def _intercept(precipitation, evapotranspiration, ci, hi, missing, net, evaporated, stored):
    """Net forcing [t, n] of some steps; what evaporates and what is stored, where their arrays have rows."""
    for t in range(net.shape[0]):
        intercept_row(precipitation[t], evapotranspiration[t], ci, hi, missing, net[t])
        for c in range(ci.size if t < evaporated.shape[0] else 0):
            known = precipitation[t, c] >= 0.0 and evapotranspiration[t, c] >= 0.0
            p, e = (precipitation[t, c], evapotranspiration[t, c]) if known else (np.float32(0.0), np.float32(0.0))
            evaporated[t, c] = _evaporated(p, e, ci[c], net[t, c])
            stored[t, c] = ci[c] * hi[c]


@loop
def intercept_row(precipitation, evapotranspiration, ci, hi, missing, net):
    """One step of all cells: net = pn - en; hi goes on, missing counts what is not known.

    Without a store (`DAILY_CAPACITY`) rain meets evapotranspiration within the step, net = p - e, and hi stays.
    """
    for c in range(net.size):
        known = (precipitation[c] >= 0.0) and (evapotranspiration[c] >= 0.0)
        p = np.float64(precipitation[c]) if known else 0.0
        e = np.float64(evapotranspiration[c]) if known else 0.0
        pn, en, _ = interception(p, e, ci[c], hi[c])
        net[c] = pn - en if ci[c] > DAILY_CAPACITY else p - e
        if ci[c] > DAILY_CAPACITY:
            hi[c] += (p - e - net[c]) / ci[c]  # what rounding pn - en to single precision takes stays in the store
        missing[c] += not known


@loop
def _evaporated(p, e, ci, net):
    """What evaporates from interception; without a store what rain leaves behind, rounding of the net rain included."""
    return e - max(-np.float64(net), 0.0) if ci > DAILY_CAPACITY else p - max(np.float64(net), 0.0)


def interception_by_year(
    precipitation: NDArray[np.float32],
    pet: NDArray[np.float32],
    ci: NDArray[np.float64],
    hi: NDArray[np.float64],
    years: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """Rain, what evaporates from interception, and the change of its store: [years, n], mm.

    Args:
        precipitation, pet: [t, n], mm/step, NaN where missing (no water).
        ci, hi: [n] interception capacity [mm] and level at the start.
        years: as `CellBalance` has them.
    """
    years = np.atleast_2d(years)
    count = int(years[-1, -1]) + 1
    sums, ended = np.zeros((count, 2, len(ci))), np.empty((count, len(ci)))
    for first, values in interception_steps(precipitation, pet, ci, hi):
        block = slice(first, first + len(values["aet"]))
        known = (precipitation[block] >= 0.0) & (pet[block] >= 0.0)
        rain = np.where(known, precipitation[block], np.float32(0.0))
        for numbers in years[:, block]:
            for year in np.unique(numbers):
                here = numbers == year
                sums[year, 0] += rain[here].sum(axis=0, dtype=np.float64)
                sums[year, 1] += values["aet"][here].sum(axis=0)
                ended[year] = values["storage"][np.flatnonzero(here)[-1]]
    began = np.concatenate([ended[:1], ended[:-1]])
    began[years[:, 0]] = ci * hi
    return {"rain": sums[:, 0], "evapotranspiration": sums[:, 1], "storage_change": ended - began}


def interception_steps(
    precipitation: NDArray[np.float32], pet: NDArray[np.float32], ci: NDArray[np.float64], hi: NDArray[np.float64]
) -> Iterator[tuple[int, dict[str, NDArray[np.float64]]]]:
    """Evaporation from interception (`aet`) and what it stores (`storage`), [t, n] mm, block after block.

    Args:
        precipitation, pet, ci, hi: as in `interception_by_year`.

    Yields:
        The first step of a block, and its values.
    """
    hi, missing = hi.astype(np.float64), np.zeros(len(ci), np.int64)
    for rows in _blocks(*precipitation.shape):
        rain, demand = np.array(precipitation[rows]), np.array(pet[rows])
        evaporated, stored = np.empty((2, *rain.shape))
        _intercept(rain, demand, ci, hi, missing, np.empty(rain.shape, np.float32), evaporated, stored)
        yield rows.start, {"aet": evaporated, "storage": stored}
