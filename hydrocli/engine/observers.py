"""Observers of a simulation: water balance, outputs, inputs of the network. They see what the kernels themselves give.

An observer is called with a buffer, its first wave and the number of waves (`hydrocli.engine.simulator.Observer`). All
that need fluxes share the observer loop of `tiles` and only say, in a compiled `record`, what they keep of a strip.
They are for simulations in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.engine.net_forcing import interception_by_year, interception_steps
from hydrocli.engine.routing import gather_upstream
from hydrocli.engine.simulator import Simulator
from hydrocli.engine.tiles import StateBuffer, observer_of
from hydrocli.jit import loop
from hydrocli.names import NEWTON_ITERATIONS
from hydrocli.structures.rows import STRIP
from hydrocli.structures.structure import BALANCE_TERMS


class Recorder:
    """Keeps something of every strip; several of them share one pass, see `Observers`.

    Attributes:
        kept: what its compiled function fills.
    """

    kept: Any


class Observers:
    """Shows a simulation in double precision to recorders: an observer (`simulator.Observer`).

    Args:
        simulator: the one that is observed.
        parameters, weights: as it simulates.
        recorders: at most one of each kind.
    """

    def __init__(self, simulator: Simulator, parameters: Floats, weights: Floats, *recorders: Recorder) -> None:
        assert simulator.real is np.float64
        kept = {type(recorder.kept): recorder.kept for recorder in recorders}
        assert len(kept) == len(recorders)
        self._simulator = simulator
        self._kept = tuple(kept.get(kind, nothing) for kind, nothing in NOTHING.items())
        self._loop = observer_of(simulator.structure, "all", _record)
        self._cells, self._workspace = simulator.cells(parameters), simulator.workspace(weights)
        self._values = np.zeros((len(simulator.structure.quantities), STRIP))

    def __call__(self, buffer: StateBuffer, start: int, count: int) -> None:
        """See `simulator.Observer`."""
        simulator = self._simulator
        self._loop(
            simulator.order, start, count, simulator.forcing, self._cells, buffer, self._workspace, self._values,
            self._kept,
        )  # fmt: skip


# Water balance

INTERCEPTED = "interception_evaporation"
"""The part of the evapotranspiration that is not of the soil."""


@dataclass(frozen=True)
class Balance:
    """Terms by year and cell, [years, n], mm; `closure_error` is what they leave.

    rain - evapotranspiration + exchange + correction_source + clamped - runoff - storage_change = closure_error

    * exchange: as applied, in both branches.
    * correction_source: rain that the network adds (`node`); the corrections of other structures only move water.
    * clamped: what holding a level inside its limits adds.

    `interception_evaporation` is inside `evapotranspiration`.
    """

    terms: dict[str, Floats]

    @property
    def closure_error(self) -> Floats:
        """[years, n], mm."""
        t = self.terms
        inward = t["rain"] - t["evapotranspiration"] + t["exchange"] + t["correction_source"] + t["clamped"]
        return inward - t["runoff"] - t["storage_change"]


class _BalanceKept(NamedTuple):
    """Sums [numbers of years, terms, slots], counts [slots], years [divisions, steps]; rows of the values and the term
    that each is added to, one after the other.
    """

    sums: Floats
    clamped: NDArray[np.int64]
    years: NDArray[np.int64]
    rows: NDArray[np.int64]
    terms: NDArray[np.int64]
    clamped_rows: NDArray[np.int64]


@loop
def _record_balance(kept, order, wave, s, e, values):
    if kept.rows.size == 0:
        return
    for c in range(s, e):
        for row in kept.clamped_rows:
            kept.clamped[c] += values[row, c - s] != 0.0
        for division in range(kept.years.shape[0]):
            year = kept.years[division, wave - order.level[c]]
            for number in range(kept.rows.size):
                kept.sums[year, kept.terms[number], c] += values[kept.rows[number], c - s]


class CellBalance(Recorder):
    """Water balance of every cell by year, from the forcing of the structure to its runoff.

    Args:
        simulator: the one that is observed.
        years: [steps] number of the year of each step, ascending by one from 0. [divisions, steps]: of parts of the run
            by several divisions, none of which changes the sums of another; each goes on from the last number before.
    """

    def __init__(self, simulator: Simulator, years: NDArray[np.int64]) -> None:
        self._order, model = simulator.order, simulator.structure.model
        self.terms = ("rain", *BALANCE_TERMS, "runoff", "storage_change", INTERCEPTED, *model.details)
        names = simulator.structure.quantities
        of_term = dict(model.balance) | {
            "runoff": ("qt",),
            "storage_change": ("storage_change",),
            **{detail: (detail,) for detail in model.details},
        }
        self.has_interception = "precipitation" in names
        if self.has_interception:
            of_term |= {"rain": ("precipitation",), INTERCEPTED: ("ei",)}
        pairs = [(names.index(flux), self.terms.index(term)) for term, fluxes in of_term.items() for flux in fluxes]
        rows, terms = np.array(pairs, np.int64).T
        clamped = np.array([names.index(flux) for flux in model.balance.get("clamped", ())], np.int64)
        slots, years = simulator.order.slots, np.ascontiguousarray(np.atleast_2d(years))
        self.kept = _BalanceKept(
            np.zeros((int(years[-1, -1]) + 1, len(self.terms), slots)), np.zeros(slots, np.int64), years,
            np.ascontiguousarray(rows), np.ascontiguousarray(terms), clamped,
        )  # fmt: skip

    @property
    def clamped_steps(self) -> int:
        """Cell-steps in which a level was held at a limit."""
        return int(self.kept.clamped[self._order.slot].sum())

    def balance(self, precipitation: NDArray[np.float32], pet: NDArray[np.float32], ci: Floats, hi: Floats) -> Balance:
        """The balance with interception, which most structures leave to the net forcing.

        Args:
            precipitation, pet: [t, n], mm/step, NaN where missing (no water).
            ci, hi: [n] interception capacity [mm] and level at the start.
        """
        sums = self.kept.sums[:, :, self._order.slot]
        terms = {name: sums[:, number] for number, name in enumerate(self.terms)}
        if not self.has_interception:
            for name, values in interception_by_year(precipitation, pet, ci, hi, self.kept.years).items():
                terms[name] = terms[name] + values
                if name == "evapotranspiration":
                    terms[INTERCEPTED] = values
        return Balance(terms)


class RoutingFloor:
    """Sums what the lowest flow of the routing adds to lateral inflow and to inflow from upstream, [years, n] in m3.

    It happens after the runoff and does not enter the closure of the balance.

    Args:
        simulator: the one that is observed.
        years: [steps] number of the year of each step.
    """

    def __init__(self, simulator: Simulator, years: NDArray[np.int64]) -> None:
        self.order, self.years, self.step = simulator.order, years, simulator.step
        self._lowest = simulator.structure.river.lowest_flow
        self._sums = np.zeros((int(years[-1]) + 1, self.order.slots - self.order.n_headwater))

    def __call__(self, buffer: StateBuffer, start: int, count: int) -> None:
        """See `simulator.Observer`."""
        if self._lowest > 0.0:
            inflow = np.empty(self._sums.shape[1], buffer.flow.dtype)
            _add_raised(self.order, start, count, buffer, self.years, self._lowest, inflow, self._sums)

    @property
    def volume(self) -> Floats:
        """[years, n] m3."""
        heads = np.zeros((len(self._sums), self.order.n_headwater))
        return self.step * np.concatenate([heads, self._sums], axis=1)[:, self.order.slot]


@loop
def _add_raised(order, start, count, buffer, years, lowest, inflow, sums):
    shift, flow, lateral = order.n_headwater, buffer.flow, buffer.lateral
    for k in range(count):
        a, b = order.active_low[1, start + k] - shift, order.active_high[1, start + k] - shift
        gather_upstream(flow[k], order.upstream, inflow, a, b)
        for r in range(a, b):
            raised = max(lowest - inflow[r], 0.0)
            raised += 0.5 * (max(lowest - lateral[k, r], 0.0) + max(lowest - lateral[k + 1, r], 0.0))
            sums[years[start + k - order.level[shift + r]], r] += raised


# Outputs


@dataclass(frozen=True, eq=False)
class OutputRequest:
    """States and fluxes that are wanted of a simulation.

    Attributes:
        quantities: some of those of the structure (`Structure.quantities`), or newton_iterations; q of them.
        tree: which cells drain to which gauges.
        area: [n] of the cells, the weights of a mean over a catchment.
        cells: cells that are followed one by one.
        steps: ascending steps of which maps are kept.
        mapped: those of `quantities` of which maps are kept.
        calibration: bool[steps], over which factors of corrections are averaged; None: all steps.
    """

    quantities: tuple[str, ...]
    tree: GaugeTree
    area: Floats
    cells: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    steps: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    mapped: tuple[str, ...] = ()
    calibration: NDArray[np.bool_] | None = None

    def bytes(self, steps: int) -> int:
        """Memory of everything that is kept over so many steps."""
        series = steps * len(self.quantities) * (2 * len(self.tree.of_gauge) + len(self.cells))
        return 8 * (series + self.area.size * (len(self.quantities) + len(self.mapped) * len(self.steps)))


class _OutputKept(NamedTuple):
    """Where the values of a strip go.

    rows: [q] rows of the values, -1 for the iterations of Newton's method. forms: [q] what becomes of them, `FORMS`.
    factors: bool[q], averaged over the steps `calibration` only. mapped: [m] which of these q. zone, area, followed,
    page: of cells [n] and steps, -1 where nothing is kept. zones: [zones, steps, q], sums: [q, n], at_cells:
    [cells, steps, q], maps: [pages, m, n]. iterations, seen: [slots].
    """

    rows: NDArray[np.int64]
    forms: NDArray[np.int64]
    factors: NDArray[np.bool_]
    calibration: NDArray[np.bool_]
    mapped: NDArray[np.int64]
    zone: NDArray[np.int64]
    area: Floats
    followed: NDArray[np.int64]
    page: NDArray[np.int64]
    zones: Floats
    sums: Floats
    at_cells: Floats
    maps: Floats
    iterations: Floats
    seen: Floats
    work: Floats


FORMS = {"": 0, "g": 0, "1 + f": 1, "1 - f^2": 2}
"""What is kept of a value: itself, or the factor of a correction on its flux."""


@loop
def _record_output(kept, order, wave, s, e, values):
    if kept.rows.size == 0:
        return
    for q in range(kept.rows.size):
        row = kept.rows[q]
        for c in range(e - s):
            if row >= 0:
                kept.work[q, c] = values[row, c]
            else:
                kept.work[q, c] = kept.iterations[s + c] - kept.seen[s + c]
            if kept.forms[q] == 1:
                kept.work[q, c] += 1.0
            elif kept.forms[q] == 2:
                kept.work[q, c] = 1.0 - kept.work[q, c] * kept.work[q, c]
    for c in range(s, e):
        kept.seen[c] = kept.iterations[c]
    for c in range(e - s):
        number, t = order.cell[s + c], wave - order.level[s + c]
        if number < 0:
            continue
        followed, page, zone, area = kept.followed[number], kept.page[t], kept.zone[number], kept.area[number]
        for q in range(kept.rows.size):
            value = kept.work[q, c]
            if kept.calibration[t] or not kept.factors[q]:
                kept.sums[q, number] += value
            kept.zones[zone, t, q] += value * area
            if followed >= 0:
                kept.at_cells[followed, t, q] = value
        if page >= 0:
            for m in range(kept.mapped.size):
                kept.maps[page, m, number] = kept.work[kept.mapped[m], c]


class OutputRecorder(Recorder):
    """Keeps states and fluxes: means over catchments, values at cells, maps.

    Args:
        simulator: the one that is observed; one wave at a time where the iterations are wanted.
        request: what is wanted.
    """

    def __init__(self, simulator: Simulator, request: OutputRequest) -> None:
        order, n, q = simulator.order, request.area.size, len(request.quantities)
        names = simulator.structure.quantities
        self.request, self._structure, self._steps = request, simulator.structure, order.steps
        model = simulator.structure.model
        factors = dict(zip(simulator.structure.factors, model.corrections, strict=True))
        rows_of = dict(zip(simulator.structure.factors, model.outputs_of_network, strict=True))
        forms = [FORMS[factors[one].factor if one in factors else ""] for one in request.quantities]
        sources = [rows_of.get(one, one) for one in request.quantities]
        rows = [-1 if one == NEWTON_ITERATIONS.symbol else names.index(one) for one in sources]
        every = np.ones(order.steps, np.bool_)
        self._factors = np.array([one in factors for one in request.quantities], np.bool_)
        self._calibration = every if request.calibration is None else request.calibration
        followed, page = np.full(n, -1), np.full(order.steps, -1)
        followed[request.cells] = np.arange(len(request.cells))
        page[request.steps] = np.arange(len(request.steps))
        self.kept = _OutputKept(
            np.array(rows, np.int64), np.array(forms, np.int64), self._factors, self._calibration,
            np.array([request.quantities.index(one) for one in request.mapped], np.int64),
            request.tree.zone, request.area, followed, page,
            np.zeros((request.tree.zones + 1, order.steps, q)), np.zeros((q, n)),
            np.zeros((len(request.cells), order.steps, q)), np.zeros((len(request.steps), len(request.mapped), n)),
            simulator.newton[0], np.zeros(order.slots), np.empty((q, STRIP)),
        )  # fmt: skip

    def add_interception(
        self, precipitation: NDArray[np.float32], pet: NDArray[np.float32], ci: Floats, hi: Floats
    ) -> None:
        """Add to `aet` and `storage` what interception has of them, where the structure begins below it.

        Args:
            precipitation, pet: [t, n], mm/step, NaN where missing.
            ci, hi: [n] capacity [mm] and level at the start.
        """
        request, kept = self.request, self.kept
        columns = [request.quantities.index(name) for name in ("aet", "storage") if name in request.quantities]
        if not columns or "precipitation" in self._structure.quantities:
            return
        for first, both in interception_steps(precipitation, pet, ci, hi):
            for q in columns:
                value = both[request.quantities[q]]
                last = first + len(value)
                kept.zones[:-1, first:last, q] += request.tree.by_zone(value * request.area).T
                kept.sums[q] += value.sum(axis=0)
                kept.at_cells[:, first:last, q] += value.T[request.cells]
                pages = (request.steps >= first) & (request.steps < last)
                if q in kept.mapped:
                    kept.maps[pages, kept.mapped.tolist().index(q)] += value[request.steps[pages] - first]

    @property
    def series(self) -> dict[str, Floats]:
        """Means over the catchments [g, steps]."""
        tree = self.request.tree
        area = tree.sums(self.request.area)
        means = np.moveaxis(tree.accumulate(self.kept.zones), -1, 0) / area[:, np.newaxis]
        return dict(zip(self.request.quantities, means, strict=True))

    @property
    def means(self) -> dict[str, Floats]:
        """Means in time [n]; those of factors over the calibration only."""
        steps = np.where(self._factors, self._calibration.sum(), self._steps)
        return dict(zip(self.request.quantities, self.kept.sums / steps[:, np.newaxis], strict=True))

    @property
    def at_cells(self) -> dict[str, Floats]:
        """Values at the chosen cells [cells, steps]."""
        return dict(zip(self.request.quantities, np.moveaxis(self.kept.at_cells, -1, 0), strict=True))

    @property
    def maps(self) -> dict[str, Floats]:
        """Values at the chosen steps [steps, n]."""
        return dict(zip(self.request.mapped, np.moveaxis(self.kept.maps, 1, 0), strict=True))


# Inputs of the network


class _RangeKept(NamedTuple):
    """counted: bool[steps]. rows: [inputs] of the values. lowest, highest: [inputs]."""

    counted: NDArray[np.bool_]
    rows: NDArray[np.int64]
    lowest: Floats
    highest: Floats


@loop
def _input(order, buffer, k, slot, c, values, row):
    """An input: a state (row -1 - number of the state) before the step, or a row of the values."""
    return buffer.levels[-1 - row, k, slot] if row < 0 else values[row, c]


@loop
def _record_range(kept, order, buffer, k, wave, s, e, values):
    if kept.rows.size == 0:
        return
    for c in range(s, e):
        if order.cell[c] < 0 or not kept.counted[wave - order.level[c]]:
            continue
        for i in range(kept.rows.size):
            value = _input(order, buffer, k, c, c - s, values, kept.rows[i])
            kept.lowest[i] = min(kept.lowest[i], value)
            kept.highest[i] = max(kept.highest[i], value)


def _input_rows(simulator: Simulator) -> NDArray[np.int64]:
    """Where the inputs of the network are found, see `_input`."""
    structure = simulator.structure
    names, states = structure.quantities, structure.states
    before = not structure.model.corrects_new_levels
    return np.array(
        [-1 - states.index(one) if before and one in states else names.index(one) for one in structure.network_inputs],
        np.int64,
    )


class InputRange(Recorder):
    """The smallest and the largest of each input of the network over some steps (P1 4.3).

    Args:
        simulator: the one that is observed.
        steps: bool[steps], those that count.
    """

    def __init__(self, simulator: Simulator, steps: NDArray[np.bool_]) -> None:
        rows = _input_rows(simulator)
        self.kept = _RangeKept(steps, rows, np.full(rows.size, np.inf), np.full(rows.size, -np.inf))

    @property
    def lowest(self) -> Floats:
        """[inputs]."""
        return self.kept.lowest

    @property
    def highest(self) -> Floats:
        """[inputs]."""
        return self.kept.highest


class _ExtrapolationKept(NamedTuple):
    """rows, lowest, highest: [inputs]. zone: int64[n]. cells: int64[zones, steps]."""

    rows: NDArray[np.int64]
    lowest: Floats
    highest: Floats
    zone: NDArray[np.int64]
    cells: NDArray[np.int64]


@loop
def _record_extrapolation(kept, order, buffer, k, wave, s, e, values):
    if kept.rows.size == 0:
        return
    for c in range(s, e):
        number, outside = order.cell[c], False
        for i in range(kept.rows.size):
            value = _input(order, buffer, k, c, c - s, values, kept.rows[i])
            outside |= value < kept.lowest[i] or value > kept.highest[i]
        if outside and number >= 0:
            kept.cells[kept.zone[number], wave - order.level[c]] += 1


class Extrapolation(Recorder):
    """How many cells of each catchment have an input of the network outside its range at each step.

    Args:
        simulator: the one that is observed.
        ranges: lowest and highest [inputs].
        tree: which cells drain to which gauges.
    """

    def __init__(self, simulator: Simulator, ranges: tuple[Floats, Floats], tree: GaugeTree) -> None:
        self._tree, cells = tree, np.zeros((tree.zones + 1, simulator.order.steps), np.int64)
        self.kept = _ExtrapolationKept(_input_rows(simulator), *ranges, tree.zone, cells)

    @property
    def cells(self) -> NDArray[np.int64]:
        """[g, steps]."""
        return self._tree.accumulate(self.kept.cells)


@loop
def _record(kept, order, buffer, k, wave, s, e, values):
    balance, output, inputs, outside = kept
    _record_balance(balance, order, wave, s, e, values)
    _record_output(output, order, wave, s, e, values)
    _record_range(inputs, order, buffer, k, wave, s, e, values)
    _record_extrapolation(outside, order, buffer, k, wave, s, e, values)


_NO_ROWS = np.zeros(0, np.int64)
NOTHING: dict[type, Any] = {
    _BalanceKept: _BalanceKept(np.zeros((0, 0, 0)), _NO_ROWS, np.zeros((0, 0), np.int64), *[_NO_ROWS] * 3),
    _OutputKept: _OutputKept(
        _NO_ROWS, _NO_ROWS, np.zeros(0, np.bool_), np.zeros(0, np.bool_), _NO_ROWS, _NO_ROWS, np.zeros(0), _NO_ROWS,
        _NO_ROWS, np.zeros((0, 0, 0)), np.zeros((0, 0)),
        np.zeros((0, 0, 0)), np.zeros((0, 0, 0)), np.zeros(0), np.zeros(0), np.zeros((0, 0)),
    ),
    _RangeKept: _RangeKept(np.zeros(0, np.bool_), _NO_ROWS, np.zeros(0), np.zeros(0)),
    _ExtrapolationKept: _ExtrapolationKept(
        _NO_ROWS, np.zeros(0), np.zeros(0), _NO_ROWS, np.zeros((0, 0), np.int64)
    ),
}  # fmt: skip
"""What is kept where a recorder is not wanted, in the order of `_record`."""
