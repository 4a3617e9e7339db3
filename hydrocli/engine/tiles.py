"""The loops over tiles: a chunk of cells by a block of waves. One forward, one reverse and one observer serve every
structure; `bind` gives them the compiled functions of its declaration (`hydrocli.structures.structure.CellModel`).

Row k of a buffer is the state after wave `wave + k - 1`, row 0 the state before the first.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine.order import window
from hydrocli.jit import bind, expression, loop, unrolled
from hydrocli.structures.rows import STRIP, SolverCounts, cut, cut_row, rows_of, set_at, values_at
from hydrocli.structures.structure import CellModel, Structure

Array = NDArray[np.floating]

# Parts of the templates below, which `bind` puts in their place.
advance: Any = None
advance_adjoint: Any = None
diagnose: Any = None
record: Any = None
storage_at: Any = None
cut_forcing: Any = None
cut_parameters: Any = None
cut_states: Any = None
cut_states_bar: Any = None
cut_parameters_bar: Any = None
states_at: Any = None
set_states: Any = None
state_rows: Any = None
WIDTH = STRIP
NET = True
FLUXES = 0
STATES = AET = STORAGE = 0
complete_values: Any = None
change_at: Any = None
aet_at: Any = None


class StateBuffer(NamedTuple):
    """Consecutive rows: levels[states, rows + 1, slots], lateral[rows + 1, routed], flow[rows + 1, slots] [m3/s]."""

    levels: Array
    lateral: Array
    flow: Array


class Cells(NamedTuple):
    """What the kernels need of the cells.

    parameters: [rows, slots] that the structure prepares. constants: its numbers. to_discharge: [slots], m3/s per
    mm/step.
    """

    parameters: Array
    constants: tuple[Any, ...]
    to_discharge: Array


class Bars(NamedTuple):
    """Sums and carries of a reverse.

    levels: [states, slots], carried, zero at inactive slots. first_levels: [states, slots], of slots whose first step
    is done. parameters: [declared, slots]. lateral: [block, slots], zero at inactive slots.
    """

    levels: Array
    first_levels: Array
    parameters: Array
    lateral: Array


class Tile(NamedTuple):
    """Rows begin..end of a buffer whose row 0 comes before `wave`, slots first..last of the two blocks."""

    wave: int
    begin: int
    end: int
    first: tuple[int, int]
    last: tuple[int, int]


@loop
def start_slots(buffer, order, block, tile, k, shift):
    """Give the slots of a chunk that start at row k > `tile.begin`, and those computed beside them, their first state.

    buffer: [rows, slots - shift] of one state. Until then, what stands there has no meaning.
    """
    if k == tile.begin:
        return
    wave, first, last = tile.wave + k, tile.first[block], tile.last[block]
    ended, started = window(order.active_low, order.active_high, block, wave - 1, first, last)
    a, b = window(order.low, order.high, block, wave, first, last)
    if min(max(order.active_high[block, wave], first), last) > started:
        for s in range(started if ended < started else a, b):  # no row before, where no slot was active
            buffer[k, s - shift] = buffer[tile.begin, s - shift]


@loop
def settle_slots(buffer, order, block, tile, shift):
    """Complete row `tile.end`: slots that have ended get their last state, those that have not started their first.

    Only rows `tile.begin` and `tile.end` are read as a whole.
    """
    wave, first, last = tile.wave + tile.end - 1, tile.first[block], tile.last[block]
    a, b = window(order.active_low, order.active_high, block, wave, first, last)
    for s in range(first, a):
        row = max(tile.begin, order.level[s] + order.steps - tile.wave)
        buffer[tile.end, s - shift] = buffer[row, s - shift]
    for s in range(b, last):
        buffer[tile.end, s - shift] = buffer[tile.begin, s - shift]


@loop
def _start_cells(order, tile, k, buffer):
    for block in range(2):
        for state in range(buffer.levels.shape[0]):
            start_slots(buffer.levels[state], order, block, tile, k, 0)
    start_slots(buffer.flow, order, 0, tile, k, 0)
    start_slots(buffer.lateral, order, 1, tile, k, order.n_headwater)


@loop
def _settle_cells(order, tile, buffer):
    for block in range(2):
        for state in range(buffer.levels.shape[0]):
            settle_slots(buffer.levels[state], order, block, tile, 0)
    settle_slots(buffer.flow, order, 0, tile, 0)
    settle_slots(buffer.lateral, order, 1, tile, order.n_headwater)


@loop
def _finish_cells(order, tile, k, bars):
    """In reverse: keep the bars of the first levels of slots that start after row k, and let the others be zero."""
    wave = tile.wave + k
    if wave + 1 == order.active_high.shape[1]:
        return
    for block in range(2):
        first, last = tile.first[block], tile.last[block]
        a = min(max(order.active_high[block, wave], first), last)
        b = min(max(order.active_high[block, wave + 1], first), last)
        for state in range(bars.levels.shape[0]):
            for s in range(a, b):
                bars.first_levels[state, s] = bars.levels[state, s]
                bars.levels[state, s] = 0


def forward(order, tile, forcing, cells, buffer, counts, workspace):
    """Cells of a tile. The lateral inflow goes to `flow` in headwaters, else to `lateral`.

    forcing: ragged arrays, see `WavefrontOrder.offset`. counts: [4, slots] of the solver.
    """
    for k in range(tile.begin, tile.end):
        _start_cells(order, tile, k, buffer)
        wave = tile.wave + k
        for block in range(2):
            first, last = tile.first[block], tile.last[block]
            a, b = window(order.low, order.high, block, wave, first, last)
            active_a, active_b = window(order.active_low, order.active_high, block, wave, first, last)
            f = order.offset[block, wave] - order.low[block, wave]
            out, shift = (buffer.lateral, order.n_headwater) if block else (buffer.flow, 0)
            for s in range(a, b, WIDTH):
                e = min(s + WIDTH, b)
                advance(
                    cut_forcing(forcing, f + s, f + e), cut_parameters(cells.parameters, s, e), cells.constants,
                    cut_states(buffer.levels, k, s, e), cut_states(buffer.levels, k + 1, s, e),
                    cells.to_discharge[s:e], out[k + 1, s - shift : e - shift],
                    SolverCounts(counts[:, s:e], max(active_a - s, 0), min(active_b - s, e - s)), workspace,
                )  # fmt: skip
    _settle_cells(order, tile, buffer)


def reverse(order, tile, forcing, cells, buffer, bars, workspace, weights_bar):
    """Transpose of `forward`: takes bars.lateral, carries bars.levels, sums bars.parameters and weights_bar."""
    for k in range(tile.end - 1, tile.begin - 1, -1):
        wave, lateral_bar = tile.wave + k, bars.lateral[k - tile.begin]
        _finish_cells(order, tile, k, bars)
        for block in range(2):
            a, b = window(order.low, order.high, block, wave, tile.first[block], tile.last[block])
            f = order.offset[block, wave] - order.low[block, wave]
            for s in range(a, b, WIDTH):
                e = min(s + WIDTH, b)
                advance_adjoint(
                    cut_forcing(forcing, f + s, f + e), cut_parameters(cells.parameters, s, e), cells.constants,
                    cut_states(buffer.levels, k, s, e), cut_states(buffer.levels, k + 1, s, e),
                    cells.to_discharge[s:e], lateral_bar[s:e], cut_states_bar(bars.levels, s, e),
                    cut_parameters_bar(bars.parameters, s, e), lateral_bar[:0], workspace, weights_bar,
                )  # fmt: skip


def observe(order, wave, count, forcing, cells, buffer, workspace, values, observer):
    """Show `count` waves from `wave`, which are rows 1 to `count` of a buffer, to an observer, strip after strip.

    values: [rows, STRIP], filled with `Structure.quantities`. observer: what `record` keeps; it gets it, the
    order, the buffer, the row k + 1 after the step, the wave, active slots s..e and their values.
    """
    for k in range(count):
        for block in range(2):
            a, b = order.low[block, wave + k], order.high[block, wave + k]
            f = order.offset[block, wave + k] - a
            active_a, active_b = order.active_low[block, wave + k], order.active_high[block, wave + k]
            out, shift = (buffer.lateral, order.n_headwater) if block else (buffer.flow, 0)
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                rows, p = cut_forcing(forcing, f + s, f + e), cut_parameters(cells.parameters, s, e)
                states, new_states = cut_states(buffer.levels, k, s, e), cut_states(buffer.levels, k + 1, s, e)
                diagnose(rows, p, cells.constants, states, new_states, workspace, values)
                runoff, to_discharge = out[k + 1, s - shift : e - shift], cells.to_discharge[s:e]
                complete_values(rows, p, states, new_states, runoff, to_discharge, values)
                first, last = max(s, active_a), min(e, active_b)
                if first < last:
                    record(observer, order, buffer, k, wave + k, first, last, values[:, first - s :])


def complete(forcing, p, states, new_states, runoff, to_discharge, values):
    """The rows of `Structure.quantities` that follow the fluxes."""
    after = state_rows(values[FLUXES:])
    qt, aet, storage, change = values[FLUXES + STATES], values[AET], values[STORAGE], values[STORAGE + 1]
    for c in range(runoff.size):
        set_states(after, c, states_at(new_states, c))
        qt[c] = runoff[c] / to_discharge[c]
    for c in range(runoff.size):
        storage[c] = storage_at(p, new_states, c)
        change[c] = change_at(p, states, new_states, c)
        aet[c] = aet_at(values, c)
    if NET:
        net = forcing[0]
        pn, en = values[STORAGE + 2], values[STORAGE + 3]
        for c in range(runoff.size):
            pn[c], en[c] = max(net[c], 0.0), max(-net[c], 0.0)


class Loops(NamedTuple):
    """The compiled loops of a structure."""

    forward: Any
    reverse: Any


def _cuts(model: CellModel) -> dict[str, Any]:
    return {
        "cut_forcing": unrolled("rows[{i}][a:b]", len(model.forcings), "rows, a, b"),
        "cut_parameters": cut(len(model.row_names)),
        "cut_states": cut_row(len(model.states)),
    }


@cache
def loops_of(model: CellModel) -> Loops:
    """Forward and reverse of a structure."""
    cuts = _cuts(model) | {"WIDTH": model.strip}
    bars = {"cut_states_bar": cut(len(model.states)), "cut_parameters_bar": cut(len(model.parameters))}
    return Loops(
        bind(forward, model.name, advance=model.advance, **cuts),
        bind(reverse, model.name, advance_adjoint=model.advance_adjoint, **cuts, **bars),
    )


@cache
def observer_of(structure: Structure, name: str, record: Any) -> Any:
    """The observer loop of a structure, for an observer whose `record` keeps what it wants.

    Args:
        structure: that is observed.
        name: of the observer, for its compiled code.
        record: compiled function of what it keeps, order, buffer, row k, wave, slots s, e and values.
    """
    model, names, states = structure.model, structure.quantities, len(structure.states)
    capacities = [state.capacity for state in model.states]
    stored = [
        f"p[{model.row_names.index(capacity)}][c] * {{level}}" if capacity else "{level}" for capacity in capacities
    ]
    after = " + ".join(one.format(level=f"new[{i}][c]") for i, one in enumerate(stored))
    change = " + ".join(one.format(level=f"(new[{i}][c] - old[{i}][c])") for i, one in enumerate(stored))
    aet = [names.index(flux) for flux in model.balance["evapotranspiration"]]
    completed = bind(
        complete, model.name, state_rows=rows_of(states), set_states=set_at(states), states_at=values_at(states),
        storage_at=expression(after, "p, new, c"), change_at=expression(change, "p, old, new, c"),
        aet_at=expression(" + ".join(f"values[{row}, c]" for row in aet), "values, c"),
        NET=model.takes_net, FLUXES=names.index(model.states[0].quantity.symbol), STATES=states,
        AET=names.index("aet"), STORAGE=names.index("storage"),
    )  # fmt: skip
    parts = _cuts(model) | {"diagnose": model.diagnose, "complete_values": completed, "record": record}
    return bind(observe, f"{model.name}_{name}", **parts)
