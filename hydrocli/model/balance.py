"""Water balance of every cell by year, from the fluxes as the structure applied them, in double precision.

    rain - evapotranspiration + exchange + clamped - runoff - storage change = closure error

Exchange is counted as applied: in the transfer branch F, in the direct branch what max(0, prd + F) lets through.
`clamped` is what the transfer store's lowest level adds. `routing_added` is what the river's lowest flow adds to
lateral inflow and inflow from upstream (kinematic wave); it happens after the runoff and does not enter the closure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import loop
from hydrocli.model.neutralise import neutralise_row
from hydrocli.model.routing import gather_upstream
from hydrocli.model.skew import Skew
from hydrocli.model.sweep import Rows, State
from hydrocli.water.exchange import exchange
from hydrocli.water.kinematic_wave import LOWEST_FLOW
from hydrocli.water.production import percolation, production
from hydrocli.water.transfer import direct_runoff, transfer

Floats = NDArray[np.float64]

TERMS = ("rain", "evapotranspiration", "exchange", "clamped", "runoff", "storage_change")


@dataclass(frozen=True)
class Balance:
    """Terms by year and cell, [years, n], mm; `closure_error` is what they leave."""

    terms: dict[str, Floats]

    @property
    def closure_error(self) -> Floats:
        """[years, n], mm."""
        t = self.terms
        inward = t["rain"] - t["evapotranspiration"] + t["exchange"] + t["clamped"]
        return inward - t["runoff"] - t["storage_change"]


def water_balance(
    precipitation: NDArray[np.float32],
    evapotranspiration: NDArray[np.float32],
    ci: Floats,
    hi: Floats,
    parameters: Floats,
    state: State,
    years: NDArray[np.int64],
    step: int,
) -> Balance:
    """Balance of the structure `gr`.

    Args:
        precipitation, evapotranspiration: [t, n], mm/step, NaN where missing (no water).
        ci, hi: [n] interception capacity and level at the start.
        parameters: [5, n]; cp, ct, kexc are read.
        state: at the start.
        years: [t] number of the year of each step, ascending by one from 0.
        step: [s].
    """
    cells, count = len(ci), int(years[-1]) + 1
    sums = np.zeros((count, 5, cells))
    stored = np.empty((count + 1, cells))
    levels = np.stack([hi, *state.levels])
    capacity = np.stack([ci, parameters[0], parameters[1]])
    cp, ct, kexc = parameters[:3]
    net, missing = np.empty(cells, np.float32), np.zeros(cells, np.int64)
    inverse_beta = 4.0 / 9.0 * (step / 86400.0) ** 0.25
    stored[0] = (levels * capacity).sum(axis=0)
    for year in range(count):
        first, last = np.searchsorted(years, [year, year + 1])
        rain, demand = (np.array(forcing[first:last]) for forcing in (precipitation, evapotranspiration))
        _balance(rain, demand, ci, cp, ct, kexc, levels, net, missing, sums[year], inverse_beta)
        stored[year + 1] = (levels * capacity).sum(axis=0)
    terms = dict(zip(TERMS, [*sums.transpose(1, 0, 2), np.diff(stored, axis=0)], strict=True))
    return Balance(terms)


@loop
def _balance(precipitation, evapotranspiration, ci, cp, ct, kexc, levels, net, missing, sums, inverse_beta):
    for t in range(precipitation.shape[0]):
        neutralise_row(precipitation[t], evapotranspiration[t], ci, levels[0], missing, net)
        for c in range(ci.size):
            if precipitation[t, c] >= 0.0 and evapotranspiration[t, c] >= 0.0:
                sums[0, c] += precipitation[t, c]
                sums[1, c] += evapotranspiration[t, c]
        _balance_row(net, cp, ct, kexc, levels[1], levels[2], sums[1], sums[2], sums[3], sums[4], inverse_beta)


@loop
def _balance_row(net, cp, ct, kexc, hp, ht, evaporated, exchanged, clamped, runoff, inverse_beta):
    for c in range(net.size):
        pn, en = np.float64(max(net[c], 0.0)), np.float64(max(-net[c], 0.0))
        ps, es = production(pn, en, cp[c], 1.0 / cp[c], hp[c])
        hp[c], perc = percolation(cp[c], hp[c] + (ps - es) / cp[c], inverse_beta)
        F = exchange(kexc[c], ht[c])
        effective = pn - ps + perc
        prr, prd = 0.9 * effective + F, 0.1 * effective
        before = ht[c]
        ht[c], qr = transfer(prr, ct[c], 1.0 / ct[c], before)
        qd = direct_runoff(prd, F)
        evaporated[c] += es - en
        exchanged[c] += F + (qd - prd)
        clamped[c] += ct[c] * (ht[c] - before) + qr - prr
        runoff[c] += qr + qd


class RoutingAdded:
    """Watches a sweep and sums what the lowest flow of the routing adds, [years, n] in m3.

    Args:
        skew: order of the sweep.
        years: [steps] number of the year of each step.
        step: [s].
    """

    def __init__(self, skew: Skew, years: NDArray[np.int64], step: int) -> None:
        self.skew, self.years, self.step = skew, years, step
        self._sums = np.zeros((int(years[-1]) + 1, skew.slots - skew.heads))

    def __call__(self, rows: Rows, start: int, count: int) -> None:
        """See `Sweep.simulate`."""
        skew = self.skew
        _add_raised(
            start, count, skew.low, skew.high, skew.heads, skew.level, skew.upstream, rows.lateral,
            rows.flow, self.years, np.empty(skew.slots - skew.heads, rows.flow.dtype), self._sums,
        )  # fmt: skip

    @property
    def volume(self) -> Floats:
        """[years, n] m3."""
        heads = np.zeros((len(self._sums), self.skew.heads))
        return self.step * np.concatenate([heads, self._sums], axis=1)[:, self.skew.slot]


@loop
def _add_raised(start, count, low, high, heads, level, upstream, lateral, flow, years, inflow, sums):
    for k in range(count):
        a, b = low[1, start + k] - heads, high[1, start + k] - heads
        gather_upstream(flow[k], upstream, inflow, a, b)
        for r in range(a, b):
            raised = max(LOWEST_FLOW - inflow[r], 0.0)
            raised += 0.5 * (max(LOWEST_FLOW - lateral[k, r], 0.0) + max(LOWEST_FLOW - lateral[k + 1, r], 0.0))
            sums[years[start + k - level[heads + r]], r] += raised
