"""Water balance of every cell by year, of the states that the sweep went through, in double precision.

    rain - evapotranspiration + exchange + network source + clamped - runoff - storage change = closure error

Storage and runoff are read from the rows of the sweep. The fluxes between them, which it does not keep, are computed
again from these rows (`fluxes`), so the closure error shows what a step has not solved.

* exchange, as applied: F in the transfer branch, and in the direct branch what max(0, prd + F) lets through (`gr`,
  `grnn`); 2 F in `ode` and `node`, where nothing limits it.
* network source: pn f1, the rain that the network of `node` adds. The corrections of `grnn` move water, none adds any.
* clamped: what clamping a level to its limits adds (the lowest level everywhere; the highest with `flux_limits:
  as_published`).

`routing_floor_volume` is what the lowest flow of the kinematic wave adds to lateral inflow and upstream inflow. It
is added after the runoff and does not enter the closure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.engine.fluxes import FLUXES, cell_rows, equations_of, fluxes_of
from hydrocli.engine.net_forcing import intercept_row
from hydrocli.engine.order import WavefrontOrder
from hydrocli.engine.routing import gather_upstream
from hydrocli.engine.simulator import NO_WEIGHTS, Rows, Simulator
from hydrocli.jit import loop
from hydrocli.structures.network import STRIP
from hydrocli.water.kinematic_wave import LOWEST_FLOW

TERMS = ("evapotranspiration", "exchange", "correction_source", "clamped", "runoff", "storage_change")
ES, EXCHANGE, SOURCE, CLAMPED = (FLUXES.index(name) for name in ("es", "exchange", "source", "clamped"))


@dataclass(frozen=True)
class Balance:
    """Terms by year and cell, [years, n], mm; `closure_error` is what they leave."""

    terms: dict[str, Floats]

    @property
    def closure_error(self) -> Floats:
        """[years, n], mm."""
        t = self.terms
        inward = t["rain"] - t["evapotranspiration"] + t["exchange"] + t["correction_source"] + t["clamped"]
        return inward - t["runoff"] - t["storage_change"]


def interception_balance(
    precipitation: NDArray[np.float32],
    evapotranspiration: NDArray[np.float32],
    ci: Floats,
    hi: Floats,
    years: NDArray[np.int64],
) -> dict[str, Floats]:
    """Rain, what evaporates from interception, and the change of its store: [years, n], mm.

    Args:
        precipitation, evapotranspiration: [t, n], mm/step, NaN where missing (no water).
        ci, hi: [n] interception capacity and level at the start.
        years: [t] number of the year of each step, ascending by one from 0.
    """
    count, cells, hi = int(years[-1]) + 1, len(ci), hi.astype(np.float64)
    sums, stored = np.zeros((count, 2, cells)), np.empty((count + 1, cells))
    stored[0] = ci * hi
    for year in range(count):
        first, last = np.searchsorted(years, [year, year + 1])
        rain, demand = (np.array(forcing[first:last]) for forcing in (precipitation, evapotranspiration))
        _intercept(rain, demand, ci, hi, np.empty(cells, np.float32), np.zeros(cells, np.int64), sums[year])
        stored[year + 1] = ci * hi
    return {"rain": sums[:, 0], "evapotranspiration": sums[:, 1], "storage_change": np.diff(stored, axis=0)}


@loop
def _intercept(precipitation, evapotranspiration, ci, hi, net, missing, sums):
    for t in range(precipitation.shape[0]):
        intercept_row(precipitation[t], evapotranspiration[t], ci, hi, missing, net)
        for c in range(ci.size):
            if precipitation[t, c] >= 0.0 and evapotranspiration[t, c] >= 0.0:
                sums[0, c] += precipitation[t, c]
                sums[1, c] += evapotranspiration[t, c]
            sums[1, c] -= max(-net[c], 0.0)


class CellBalance:
    """Watches a sweep in double precision and sums what its cells do, from the neutralised forcing to the runoff.

    Args:
        sweep: the one that is watched.
        parameters: [5, n], as it simulates.
        weights: of phi1, as it simulates.
        years: [steps] number of the year of each step.

    Attributes:
        clamped_steps: cell-steps in which a level was held.
    """

    def __init__(
        self, simulator: Simulator, parameters: Floats, years: NDArray[np.int64], weights: Floats = NO_WEIGHTS
    ) -> None:
        assert simulator.real is np.float64
        order = simulator.order
        self.simulator, self.years = simulator, years
        self._cells = cell_rows(order.spread(parameters, 1.0))
        self._sums = np.zeros((int(years[-1]) + 1, len(TERMS), order.slots))
        self._held = np.zeros(order.slots, np.int64)
        self._equations = equations_of(simulator.structure, weights)

    def __call__(self, rows: Rows, start: int, count: int) -> None:
        """See `Sweep.simulate`."""
        simulator, order = self.simulator, self.simulator.order
        _book(
            start, count, order.low, order.high, order.offset, order.n_headwater, order.level, simulator.net, self.years,
            self._cells, simulator.constants, rows.levels, rows.lateral, rows.flow,
            self._equations, np.empty((len(FLUXES), STRIP)), self._sums, self._held,
        )  # fmt: skip

    @property
    def clamped_steps(self) -> int:
        """See the class."""
        return int(self._held[self.simulator.order.slot].sum())

    def balance(self, interception: dict[str, Floats]) -> Balance:
        """Together with what `interception_balance` gives."""
        sums = self._sums[:, :, self.simulator.order.slot]
        terms = {name: sums[:, number] for number, name in enumerate(TERMS)}
        both = {name: terms[name] + interception[name] for name in ("evapotranspiration", "storage_change")}
        return Balance(terms | both | {"rain": interception["rain"]})


@loop
def _book(
    start, count, low, high, offset, n_headwater, level, net, years, cells, constants, levels, lateral, flow,
    equations, fluxes, sums, held,
):  # fmt: skip
    to_discharge, inverse_beta = constants
    for k in range(count):
        for block in range(2):
            a, b = low[block, start + k], high[block, start + k]
            first = offset[block, start + k] - a
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp0, ht0, hp, ht = levels[0, k, s:e], levels[1, k, s:e], levels[0, k + 1, s:e], levels[1, k + 1, s:e]
                here = (cells[0, s:e], cells[1, s:e], cells[2, s:e], cells[3, s:e], cells[4, s:e])
                fluxes_of(net[first + s : first + e], hp0, ht0, hp, ht, here, inverse_beta, equations, fluxes)
                if block:
                    runoff = lateral[k + 1, s - n_headwater : e - n_headwater]
                else:
                    runoff = flow[k + 1, s:e]
                for c in range(s, e):
                    held[c] += fluxes[CLAMPED, c - s] != 0.0
                for c in range(s, e):
                    total = sums[years[start + k - level[c]]]
                    total[0, c] += fluxes[ES, c - s]
                    total[1, c] += fluxes[EXCHANGE, c - s]
                    total[2, c] += fluxes[SOURCE, c - s]
                    total[3, c] += fluxes[CLAMPED, c - s]
                    total[4, c] += runoff[c - s] / to_discharge[c]
                    total[5, c] += here[0][c - s] * (hp[c - s] - hp0[c - s]) + here[2][c - s] * (ht[c - s] - ht0[c - s])


class RoutingAdded:
    """Watches a sweep and sums what the lowest flow of the routing adds, [years, n] in m3.

    Args:
        skew: order of the sweep.
        years: [steps] number of the year of each step.
        step: [s].
    """

    def __init__(self, order: WavefrontOrder, years: NDArray[np.int64], step: int) -> None:
        self.order, self.years, self.step = order, years, step
        self._sums = np.zeros((int(years[-1]) + 1, order.slots - order.n_headwater))

    def __call__(self, rows: Rows, start: int, count: int) -> None:
        """See `Sweep.simulate`."""
        order = self.order
        _add_raised(
            start, count, order.low, order.high, order.n_headwater, order.level, order.upstream, rows.lateral,
            rows.flow, self.years, np.empty(order.slots - order.n_headwater, rows.flow.dtype), self._sums,
        )  # fmt: skip

    @property
    def volume(self) -> Floats:
        """[years, n] m3."""
        n_headwater = np.zeros((len(self._sums), self.order.n_headwater))
        return self.step * np.concatenate([n_headwater, self._sums], axis=1)[:, self.order.slot]


@loop
def _add_raised(start, count, low, high, n_headwater, level, upstream, lateral, flow, years, inflow, sums):
    for k in range(count):
        a, b = low[1, start + k] - n_headwater, high[1, start + k] - n_headwater
        gather_upstream(flow[k], upstream, inflow, a, b)
        for r in range(a, b):
            raised = max(LOWEST_FLOW - inflow[r], 0.0)
            raised += 0.5 * (max(LOWEST_FLOW - lateral[k, r], 0.0) + max(LOWEST_FLOW - lateral[k + 1, r], 0.0))
            sums[years[start + k - level[n_headwater + r]], r] += raised
