"""Water balance of every cell by year, of the states that the sweep went through, in double precision.

    rain - evapotranspiration + exchange + network source + clamped - runoff - storage change = closure error

Storage and runoff are read from the rows of the sweep. The fluxes between them, which it does not keep, are computed
again from these rows by the same kernels and the same network, so the closure error shows what a step has not solved.

* exchange, as applied: F in the transfer branch, and in the direct branch what max(0, prd + F) lets through (`gr`,
  `grnn`); 2 F in `ode` and `node`, where nothing limits it.
* network source: pn f1, the rain that the network of `node` adds. The corrections of `grnn` move water, none adds any.
* clamped: what holding a level inside its limits adds (the lowest level everywhere; the highest with `limits: papers`).

`routing_added` is what the river's lowest flow adds to lateral inflow and inflow from upstream (kinematic wave); it
happens after the runoff and does not enter the closure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import loop
from hydrocli.model.grnn import UNLIMITED
from hydrocli.model.network import LEAKY_RELU, SILU, STRIP, network, workspace
from hydrocli.model.neutralise import neutralise_row
from hydrocli.model.routing import gather_upstream
from hydrocli.model.rows import inputs_of
from hydrocli.model.skew import Skew
from hydrocli.model.structures import HIGHEST_LEVEL
from hydrocli.model.sweep import NO_WEIGHTS, Rows, Sweep
from hydrocli.water.exchange import exchange
from hydrocli.water.flux_correction import corrected_flux
from hydrocli.water.kinematic_wave import LOWEST_FLOW
from hydrocli.water.production import percolation, production
from hydrocli.water.transfer import LOWEST_LEVEL, direct_runoff
from hydrocli.water.vector_math import maximum

Floats = NDArray[np.float64]

TERMS = ("evapotranspiration", "exchange", "network_source", "clamped", "runoff", "storage_change")
UNCORRECTED, BEFORE, AFTER = range(3)
"""Levels that phi1 sees: none, those before the step, those after it."""


@dataclass(frozen=True)
class Balance:
    """Terms by year and cell, [years, n], mm; `closure_error` is what they leave."""

    terms: dict[str, Floats]

    @property
    def closure_error(self) -> Floats:
        """[years, n], mm."""
        t = self.terms
        inward = t["rain"] - t["evapotranspiration"] + t["exchange"] + t["network_source"] + t["clamped"]
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
        neutralise_row(precipitation[t], evapotranspiration[t], ci, hi, missing, net)
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
        self, sweep: Sweep, parameters: Floats, years: NDArray[np.int64], weights: Floats = NO_WEIGHTS
    ) -> None:
        assert sweep.real is np.float64
        skew, structure = sweep.skew, sweep.structure
        self.sweep, self.years = sweep, years
        cp, ct, kexc, *_ = skew.spread(parameters, 1.0)
        self._cells = np.stack([cp, 1.0 / cp, ct, 1.0 / ct, kexc])
        self._sums = np.zeros((int(years[-1]) + 1, len(TERMS), skew.slots))
        self._held = np.zeros(skew.slots, np.int64)
        seen = AFTER if structure.sees_new_levels else BEFORE
        scaled = structure.scaled(weights) if structure.has_network else weights
        activation = {"silu": SILU, "leaky_relu": LEAKY_RELU}[structure.activation]
        work = workspace(structure.widths, np.float64, 2)
        self._network = seen if structure.has_network else UNCORRECTED, scaled, structure.widths, activation, work
        room = 0.0 if structure.kind == "grnn" and structure.limits == "physical" else UNLIMITED
        highest = float(HIGHEST_LEVEL[structure.limits])
        self._equations = structure.has_solver, room, LOWEST_LEVEL, highest

    def __call__(self, rows: Rows, start: int, count: int) -> None:
        """See `Sweep.simulate`."""
        sweep, skew = self.sweep, self.sweep.skew
        _book(
            start, count, skew.low, skew.high, skew.offset, skew.heads, skew.level, sweep.net, self.years,
            self._cells, sweep.constants, rows.levels, rows.lateral, rows.flow,
            self._network, self._equations, self._sums, self._held,
        )  # fmt: skip

    @property
    def clamped_steps(self) -> int:
        """See the class."""
        return int(self._held[self.sweep.skew.slot].sum())

    def balance(self, interception: dict[str, Floats]) -> Balance:
        """Together with what `interception_balance` gives."""
        sums = self._sums[:, :, self.sweep.skew.slot]
        terms = {name: sums[:, number] for number, name in enumerate(TERMS)}
        both = {name: terms[name] + interception[name] for name in ("evapotranspiration", "storage_change")}
        return Balance(terms | both | {"rain": interception["rain"]})


@loop
def _book(
    start, count, low, high, offset, heads, level, net, years, cells, constants, levels, lateral, flow,
    network_of, equations, sums, held,
):  # fmt: skip
    seen, weights, widths, kind, work = network_of
    to_discharge, inverse_beta = constants
    is_differential, room, lowest, highest = equations
    values, slopes = work[0], work[1]
    x, f = values[0], values[-1]
    for k in range(count):
        for block in range(2):
            a, b = low[block, start + k], high[block, start + k]
            first = offset[block, start + k] - a
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                after = k + (seen == AFTER)
                inputs_of(net[first + s : first + e], levels[0, after, s:e], levels[1, after, s:e], x)
                if seen != UNCORRECTED:
                    network(weights, widths, kind, values, slopes, e - s)
                for c in range(s, e):
                    pn, en = x[2, c - s], x[3, c - s]
                    cp, inverse_cp, ct, inverse_ct, kexc = (
                        cells[0, c],
                        cells[1, c],
                        cells[2, c],
                        cells[3, c],
                        cells[4, c],
                    )
                    f1, f2, f3, f4 = f[0, c - s], f[1, c - s], f[2, c - s], f[3, c - s]
                    hp0, ht0, hp, ht = levels[0, k, c], levels[1, k, c], levels[0, k + 1, c], levels[1, k + 1, c]
                    if is_differential:
                        es, exchanged, source, clamped = _differential(
                            pn, en, cp, ct, kexc, hp0, ht0, hp, ht, f1, f2, f3, f4, lowest, highest
                        )
                    else:
                        source = 0.0
                        es, exchanged, clamped = _algebraic(
                            pn, en, cp, inverse_cp, inverse_ct, ct, kexc, hp0, ht0, inverse_beta, f1, f2, f3, f4, room
                        )
                    lateral_inflow = lateral[k + 1, c - heads] if block else flow[k + 1, c]
                    total = sums[years[start + k - level[c]]]
                    total[0, c] += es
                    total[1, c] += exchanged
                    total[2, c] += source
                    total[3, c] += clamped
                    total[4, c] += lateral_inflow / to_discharge[c]
                    total[5, c] += cp * (hp - hp0) + ct * (ht - ht0)
                    held[c] += clamped != 0.0


@loop
def _algebraic(pn, en, cp, inverse_cp, inverse_ct, ct, kexc, hp, ht, inverse_beta, f1, f2, f3, f4, room):
    """Evaporation, exchange and what the lowest level adds in a step of `gr` or `grnn` from levels hp, ht [mm]."""
    ps, es = production(pn, en, cp, inverse_cp, hp)
    ps = corrected_flux(ps, f1, pn, maximum(cp * (1.0 - hp), room))
    es = corrected_flux(es, f2, en, maximum(cp * hp, room))
    _, perc = percolation(cp, hp + (ps - es) * inverse_cp, inverse_beta)
    F = (1.0 + f4) * exchange(kexc, ht)
    delayed = 0.9 * (1.0 - f3 * f3)
    effective = pn - ps + perc
    prr, prd = delayed * effective + F, (1.0 - delayed) * effective
    return es, F + direct_runoff(prd, F) - prd, ct * max(0.0, LOWEST_LEVEL - (ht + prr * inverse_ct))


@loop
def _differential(pn, en, cp, ct, kexc, hp0, ht0, hp, ht, f1, f2, f3, f4, lowest, highest):
    """Evaporation, exchange, rain of the network and what limits add in a step of `ode` or `node` to hp, ht [mm]."""
    a = pn * (1.0 + f1)
    es = hp * (2.0 - hp) * en * (1.0 + f2)
    F = (1.0 + f3) * exchange(kexc, ht)
    clamped = 0.0
    if hp <= lowest or hp >= min(highest, 1.0):
        clamped += cp * (hp - hp0) - ((1.0 - hp * hp) * a - es)
    if ht <= lowest or ht >= highest:
        h2 = ht * ht
        clamped += ct * (ht - ht0) - (0.9 * hp * hp * a + F - 0.25 * ct * (1.0 + f4) * h2 * h2 * ht)
    return es, 2.0 * F, pn * f1, clamped


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
