"""Neutralised forcing: what interception leaves of rain and evapotranspiration, computed once per basin.

The interception capacity comes from flux matching (Ficchi et al. 2019) and is not calibrated, so neither is its
outcome: every evaluation of a calibration starts from the same pn - en. Steps without rain or evapotranspiration data
feed no water.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine.order import WavefrontOrder, order_forcing
from hydrocli.jit import loop
from hydrocli.names import INTERCEPTION_CAPACITY
from hydrocli.water.interception import interception

DAY = 86400
DAILY_CAPACITY = 1e-6
"""Where a step is a day, flux matching says nothing: no interception [mm]."""
_BLOCK = 256


def capacities() -> NDArray[np.float64]:
    """The capacities that flux matching chooses from: 0.1, 0.2 ... 2.9 mm."""
    lower, upper = INTERCEPTION_CAPACITY.lower, INTERCEPTION_CAPACITY.upper
    assert lower is not None
    assert upper is not None
    return np.arange(round(10 * lower), round(10 * upper) + 1) / 10.0


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
    for first in range(0, cells, _BLOCK):
        here = slice(first, first + _BLOCK)
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


def intercept(
    order: WavefrontOrder,
    precipitation: NDArray[np.float32],
    evapotranspiration: NDArray[np.float32],
    ci: NDArray[np.float64],
    hi: NDArray[np.float64],
    cells: NDArray[np.integer],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """Neutralised forcing in the order of the sweep [steps * slots], final levels hi [n], missing steps [n].

    Args:
        skew: order of the sweep of n cells over the first steps of the forcing.
        precipitation, evapotranspiration: [t, all cells], mm/step, NaN where missing.
        ci: [n], mm. hi: [n] at the start.
        cells: [n] which of all cells these are.
    """
    hi, missing = hi.astype(np.float64), np.zeros(len(ci), np.int64)
    ordered = np.zeros(order.forcing_size, np.float32)
    for first in range(0, order.steps, _BLOCK):
        rows = slice(first, min(first + _BLOCK, order.steps))
        rain, demand = precipitation[rows][:, cells], evapotranspiration[rows][:, cells]
        net = np.empty(rain.shape, np.float32)
        _intercept(rain, demand, ci, hi, missing, net)
        order_forcing(net, first, order.level, order.cell, order.n_headwater, order.low, order.offset, ordered)
    return ordered, hi, missing


@loop
def _intercept(precipitation, evapotranspiration, ci, hi, missing, net):
    for t in range(net.shape[0]):
        intercept_row(precipitation[t], evapotranspiration[t], ci, hi, missing, net[t])


@loop
def intercept_row(precipitation, evapotranspiration, ci, hi, missing, net):
    """One step of all cells: net = pn - en; hi goes on, missing counts what is not known."""
    for c in range(net.size):
        known = (precipitation[c] >= 0.0) and (evapotranspiration[c] >= 0.0)
        p = np.float64(precipitation[c]) if known else 0.0
        e = np.float64(evapotranspiration[c]) if known else 0.0
        pn, en, _ = interception(p, e, ci[c], hi[c])
        net[c] = pn - en
        hi[c] += (p - e - net[c]) / ci[c]  # what rounding pn - en to single precision takes stays in the store
        missing[c] += not known
