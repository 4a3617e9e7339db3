"""Looks into a simulation: states and fluxes as means over catchments, at chosen cells, as maps at chosen steps.

    aet = ei + es               storage = hi ci + hp cp + ht ct               (interception included)

Everything else is read from the rows of the sweep (`hp`, `ht`, `qt`) or computed again from them (`fluxes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.engine.fluxes import FLUXES, cell_rows, equations_of, fluxes_of
from hydrocli.engine.net_forcing import intercept_row
from hydrocli.engine.simulator import Rows, Simulator
from hydrocli.jit import loop
from hydrocli.structures.network import STRIP

LOOKED_AT = (*FLUXES[:13], "hp", "ht", "qt", "aet", "storage", "newton_iterations")
"""What can be looked at, in the order of the rows that `_record` fills."""
ES, HP, HT, QT, AET, STORAGE, ITERATIONS = (
    LOOKED_AT.index(name) for name in ("es", "hp", "ht", "qt", "aet", "storage", "newton_iterations")
)
BLOCK = 512


@dataclass(frozen=True, eq=False)
class OutputRequest:
    """What to look at.

    Attributes:
        quantities: some of `LOOKED_AT`, q of them.
        catchments: bool[g, n] cells of each catchment.
        area: [n] of the cells, the weights of a mean over a catchment.
        cells: cells that are followed one by one.
        steps: ascending steps of which maps are kept.
        mapped: those of `quantities` of which maps are kept.
    """

    quantities: tuple[str, ...]
    catchments: NDArray[np.bool_]
    area: Floats
    cells: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    steps: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    mapped: tuple[str, ...] = ()

    def bytes(self, steps: int) -> int:
        """Memory of everything that is kept over so many steps."""
        series = steps * len(self.quantities) * (2 * len(self.catchments) + len(self.cells))
        return 8 * (series + self.area.size * (len(self.quantities) + len(self.mapped) * len(self.steps)))


class OutputRecorder:
    """Watches a sweep in double precision.

    Args:
        sweep: the one that is watched; one wave at a time where Newton's iterations are asked for.
        parameters: [5, n], as it simulates.
        weights: of phi1, as it simulates.
        asked: what to look at.
    """

    def __init__(self, simulator: Simulator, parameters: Floats, weights: Floats, asked: OutputRequest) -> None:
        assert simulator.real is np.float64
        order, n = simulator.order, asked.area.size
        self.simulator, self.asked = simulator, asked
        self._cells = cell_rows(order.spread(parameters, 1.0))
        self._equations = equations_of(simulator.structure, weights)
        # Cells of the same catchments are summed together: nested catchments cost no more than one.
        patterns, zone = np.unique(asked.catchments, axis=1, return_inverse=True)
        self._patterns, self._zone = patterns.astype(np.float64), zone.ravel()
        self._rows = np.array([LOOKED_AT.index(symbol) for symbol in asked.quantities], np.int64)
        self._mapped = np.array([asked.quantities.index(symbol) for symbol in asked.mapped], np.int64)
        self._told = np.zeros(order.slots, np.int64)
        self._zones = np.zeros((patterns.shape[1], order.steps, len(asked.quantities)))
        self._sums = np.zeros((len(asked.quantities), n))
        self._at_cells = np.zeros((len(asked.cells), order.steps, len(asked.quantities)))
        self._maps = np.zeros((len(asked.steps), len(asked.mapped), n))
        self._place = np.full(n, -1)
        self._place[asked.cells] = np.arange(len(asked.cells))
        self._page = np.full(order.steps, -1)
        self._page[asked.steps] = np.arange(len(asked.steps))

    def __call__(self, rows: Rows, start: int, count: int) -> None:
        """See `Sweep.simulate`."""
        simulator, order = self.simulator, self.simulator.order
        _record(
            start, count, order.low, order.high, order.offset, order.n_headwater, order.level, order.cell, simulator.net,
            self._cells, simulator.constants, rows.levels, rows.lateral, rows.flow, self._equations,
            np.empty((len(LOOKED_AT), STRIP)), simulator.newton[0], self._told, self._rows, self._mapped,
            self._zone, self.asked.area, self._place, self._page,
            self._zones, self._sums, self._at_cells, self._maps,
        )  # fmt: skip

    def add_interception(
        self, precipitation: NDArray[np.float32], evapotranspiration: NDArray[np.float32], ci: Floats, hi: Floats
    ) -> None:
        """Add to `aet` and `storage` what interception has of them.

        Args:
            precipitation, evapotranspiration: [t, n], mm/step, NaN where missing.
            ci, hi: [n] capacity [mm] and level at the start.
        """
        columns = [self.asked.quantities.index(name) for name in ("aet", "storage") if name in self.asked.quantities]
        if not columns:
            return
        member = (np.arange(self._zones.shape[0])[:, np.newaxis] == self._zone) * self.asked.area
        for first, both in _intercepted(precipitation, evapotranspiration, ci, hi):
            for q in columns:
                value = both[self.asked.quantities[q]]
                last = first + len(value)
                self._zones[:, first:last, q] += member @ value.T
                self._sums[q] += value.sum(axis=0)
                self._at_cells[:, first:last, q] += value.T[self.asked.cells]
                pages = (self.asked.steps >= first) & (self.asked.steps < last)
                if q in self._mapped:
                    self._maps[pages, self._mapped.tolist().index(q)] += value[self.asked.steps[pages] - first]

    @property
    def series(self) -> dict[str, Floats]:
        """Means over the catchments [g, steps]."""
        area = self.asked.catchments @ self.asked.area
        sums = np.einsum("gz,ztq->qgt", self._patterns, self._zones) / area[:, np.newaxis]
        return dict(zip(self.asked.quantities, sums, strict=True))

    @property
    def means(self) -> dict[str, Floats]:
        """Means in time [n]."""
        return dict(zip(self.asked.quantities, self._sums / self.simulator.order.steps, strict=True))

    @property
    def at_cells(self) -> dict[str, Floats]:
        """Values at the chosen cells [cells, steps]."""
        return dict(zip(self.asked.quantities, np.moveaxis(self._at_cells, -1, 0), strict=True))

    @property
    def maps(self) -> dict[str, Floats]:
        """Values at the chosen steps [steps, n]."""
        return dict(zip(self.asked.mapped, np.moveaxis(self._maps, 1, 0), strict=True))


@loop
def _record(
    start, count, low, high, offset, n_headwater, level, cell, net, cells, constants, levels, lateral, flow, equations,
    values, newton, told, rows, mapped, zone, area, place, page, zones, sums, at_cells, maps,
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
                fluxes_of(net[first + s : first + e], hp0, ht0, hp, ht, here, inverse_beta, equations, values)
                if block:
                    runoff = lateral[k + 1, s - n_headwater : e - n_headwater]
                else:
                    runoff = flow[k + 1, s:e]
                _complete(values, hp, ht, here, runoff, to_discharge[s:e], newton[s:e], told[s:e])
                for c in range(e - s):
                    number, t = cell[s + c], start + k - level[s + c]
                    if number >= 0 and (place[number] >= 0 or page[t] >= 0):
                        _keep(values[:, c], rows, mapped, number, place[number], t, page[t], at_cells, maps)
                for q in range(rows.size):
                    _sum(values[rows[q]], q, start + k, s, e, cell, level, zone, area, zones, sums)


@loop
def _complete(values, hp, ht, cells, runoff, to_discharge, newton, told):
    """The rows that the fluxes do not have."""
    n = hp.size
    for c in range(n):
        values[HP, c], values[HT, c], values[QT, c] = hp[c], ht[c], runoff[c] / to_discharge[c]
    for c in range(n):
        values[AET, c], values[STORAGE, c] = values[ES, c], cells[0][c] * hp[c] + cells[2][c] * ht[c]
    for c in range(n):
        values[ITERATIONS, c] = newton[c] - told[c]
        told[c] = newton[c]


@loop
def _sum(values, q, wave, s, e, cell, level, zone, area, zones, sums):
    """Add one quantity of a strip to the sums in time of the cells and to those of the zones."""
    for c in range(e - s):
        number = cell[s + c]
        if number >= 0:
            sums[q, number] += values[c]
            zones[zone[number], wave - level[s + c], q] += values[c] * area[number]


@loop
def _keep(values, rows, mapped, cell, place, t, page, at_cells, maps):
    """Values of one cell and step where it is followed or mapped."""
    if place >= 0:
        for q in range(rows.size):
            at_cells[place, t, q] = values[rows[q]]
    if page >= 0:
        for m in range(mapped.size):
            maps[page, m, cell] = values[rows[mapped[m]]]


def _intercepted(
    precipitation: NDArray[np.float32], evapotranspiration: NDArray[np.float32], ci: Floats, hi: Floats
) -> Iterator[tuple[int, dict[str, Floats]]]:
    """Evaporation from interception and what it holds, [t, n] mm, block after block with its first step."""
    hi, missing = hi.astype(np.float64), np.zeros(len(ci), np.int64)
    for first in range(0, len(precipitation), BLOCK):
        rain, demand = (np.array(forcing[first : first + BLOCK]) for forcing in (precipitation, evapotranspiration))
        evaporated, held = np.zeros((2, *rain.shape))
        _intercept(rain, demand, ci, hi, np.empty(len(ci), np.float32), missing, evaporated, held)
        yield first, {"aet": evaporated, "storage": held}


@loop
def _intercept(precipitation, evapotranspiration, ci, hi, net, missing, evaporated, held):
    for t in range(precipitation.shape[0]):
        intercept_row(precipitation[t], evapotranspiration[t], ci, hi, missing, net)
        for c in range(ci.size):
            if precipitation[t, c] >= 0.0 and evapotranspiration[t, c] >= 0.0:
                evaporated[t, c] = evapotranspiration[t, c]
            evaporated[t, c] -= max(-net[c], 0.0)
            held[t, c] = ci[c] * hi[c]
