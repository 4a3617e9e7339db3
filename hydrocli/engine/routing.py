"""Rows of a routing over the routed cells of a chunk, and their transpose; shared by all structures. One forward and
one reverse serve every routing; `bind` gives them the kernels of its declaration (`hydrocli.structures.routings`).

Row k of a buffer is the state after wave `wave + k - 1`, row 0 the state before the first. `flow` is the discharge of
each slot [m3/s]; a headwater is not routed, its discharge is its lateral inflow. `lateral` is that of the routed
slots alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine.order import window
from hydrocli.engine.tiles import settle_slots, start_slots
from hydrocli.jit import bind, loop
from hydrocli.structures.routings.routing import Routing
from hydrocli.structures.rows import add_at, cut, values_at

# Parts of the templates below, which `bind` puts in their place.
routed: Any = None
routed_adjoint: Any = None
p_at: Any = None
add_parameters: Any = None
cut_rows: Any = None
cut_bars: Any = None
route_row: Any = None
route_row_adjoint: Any = None


@loop
def gather_upstream(flow, upstream, inflow, a, b):
    """Sum the discharge of the slots upstream of routed slots a..b (numbered from the first routed one)."""
    for r in range(a, b):
        inflow[r] = flow[upstream.first[r]]
    for p in range(upstream.further_start[a], upstream.further_start[b]):
        inflow[upstream.into[p]] += flow[upstream.further[p]]


def _route_row(p, inflow, flow_before, lateral_before, lateral, flow):
    for c in range(flow.size):
        flow[c] = routed(p_at(p, c), inflow[c], flow_before[c], lateral_before[c], lateral[c])


class RiverBars(NamedTuple):
    """Sums, carries and rows of the reverse of the routing.

    seed: [gauge, step] derivative of the cost by the discharge at the slots seed_slot. parameters: [declared, routed],
    summed. flow, lateral: [routed], of the step before. received: [routed] scratch. inflow: [ring, routed + 1], by
    wave, of the inflow into each routed slot; the last column belongs to outlets, which nothing lies downstream of.
    """

    seed: NDArray[np.floating]
    seed_slot: NDArray[np.int64]
    parameters: NDArray[np.floating]
    flow: NDArray[np.floating]
    lateral: NDArray[np.floating]
    received: NDArray[np.floating]
    inflow: NDArray[np.floating]


@loop
def _clear_inactive(order, block, tile, wave, a, out):
    """Let out[slot - a] be zero at slots that are not active, and give the range of those that are.

    What a gather finds for them is of no row of this run, and may not even be a number.
    """
    first, last = window(order.active_low, order.active_high, block, wave, tile.first[block], tile.last[block])
    out[: first - a] = 0
    out[last - a :] = 0
    return first, last


def route(order, tile, river, buffer, inflow):
    """Route the waves of a tile through its routed slots.

    river: [rows, routed] that the routing prepares, of the routed slots, numbered from the first of them. inflow:
    [routed] scratch.
    """
    first, last = tile.first[1], tile.last[1]
    lateral, flow = buffer.lateral, buffer.flow
    for k in range(tile.begin, tile.end):
        wave = tile.wave + k
        a, b = window(order.low, order.high, 1, wave, first, last)
        start_slots(flow, order, 1, tile, k, 0)
        i, j = a - order.n_headwater, b - order.n_headwater
        gather_upstream(flow[k], order.upstream, inflow, i, j)
        _clear_inactive(order, 1, tile, wave, a, inflow[i:j])
        route_row(
            cut_rows(river, i, j), inflow[i:j], flow[k, a:b], lateral[k, i:j], lateral[k + 1, i:j], flow[k + 1, a:b]
        )
    settle_slots(flow, order, 1, tile, 0)


def _route_row_adjoint(
    p, inflow, flow_before, lateral_before, lateral, p_bar, flow_bar, lateral_carry, downstream_bar, inflow_bar,
    lateral_bar,
):  # fmt: skip
    """Transpose of `_route_row` over the rows of a window."""
    for c in range(inflow.size):
        parameters_bar, U_bar, Qb_bar, qlb_bar, ql_bar = routed_adjoint(
            p_at(p, c), inflow[c], flow_before[c], lateral_before[c], lateral[c], flow_bar[c] + downstream_bar[c]
        )
        add_parameters(p_bar, c, parameters_bar)
        inflow_bar[c] = U_bar
        flow_bar[c] = Qb_bar
        lateral_bar[c] = lateral_carry[c] + ql_bar
        lateral_carry[c] = qlb_bar


@loop
def _gather_downstream(order, block, tile, wave, inflow_bar, seeds, out, a, b):
    """out[slot - a]: bar of the discharge of slots a..b, by the cell downstream and by a gauge; zero if inactive."""
    downstream = order.downstream_index[a:b]
    for c in range(out.size):
        out[c] = inflow_bar[downstream[c]]
    first, last = _clear_inactive(order, block, tile, wave, a, out)
    seed, seed_slot = seeds
    for g in range(seed_slot.size):
        s = seed_slot[g]
        if first <= s < last:
            out[s - a] += seed[g, wave - order.level[s]]


@loop
def _finish_slots(order, tile, k, bars):
    """No bar is carried on by slots that start after row k."""
    wave, shift = tile.wave + k, order.n_headwater
    if wave + 1 < order.active_high.shape[1]:
        for s in range(
            max(order.active_high[1, wave], tile.first[1]) - shift,
            min(order.active_high[1, wave + 1], tile.last[1]) - shift,
        ):
            bars.flow[s] = bars.lateral[s] = 0


def route_adjoint(order, tile, river, buffer, inflow, bars, lateral_bar):
    """Transpose of `route` and of the headwaters' pass-through; lateral_bar[rows, slots] is the result."""
    ring, seeds = bars.inflow.shape[0], (bars.seed, bars.seed_slot)
    lateral, flow = buffer.lateral, buffer.flow
    for k in range(tile.end - 1, tile.begin - 1, -1):
        w = tile.wave + k
        inflow_bar_next, inflow_bar_now = bars.inflow[(w + 1) % ring], bars.inflow[w % ring]
        result = lateral_bar[k - tile.begin]
        _finish_slots(order, tile, k, bars)
        a, b = window(order.low, order.high, 0, w, tile.first[0], tile.last[0])
        _gather_downstream(order, 0, tile, w, inflow_bar_next, seeds, result[a:b], a, b)
        a, b = window(order.low, order.high, 1, w, tile.first[1], tile.last[1])
        i, j = a - order.n_headwater, b - order.n_headwater
        _gather_downstream(order, 1, tile, w, inflow_bar_next, seeds, bars.received[i:j], a, b)
        gather_upstream(flow[k], order.upstream, inflow, i, j)
        _clear_inactive(order, 1, tile, w, a, inflow[i:j])
        route_row_adjoint(
            cut_rows(river, i, j), inflow[i:j], flow[k, a:b], lateral[k, i:j], lateral[k + 1, i:j],
            cut_bars(bars.parameters, i, j), bars.flow[i:j], bars.lateral[i:j], bars.received[i:j],
            inflow_bar_now[i:j], result[a:b],
        )  # fmt: skip


class Routes(NamedTuple):
    """The compiled loops of a routing."""

    route: Any
    route_adjoint: Any


@cache
def routes_of(routing: Routing) -> Routes:
    """Forward and reverse of a routing."""
    name, at, cut_rows = routing.name, {"p_at": values_at(routing.rows)}, cut(routing.rows)
    count = len(routing.parameters)
    row = bind(_route_row, name, routed=routing.routed, **at)
    row_adjoint = bind(
        _route_row_adjoint, name, routed_adjoint=routing.routed_adjoint, add_parameters=add_at(count), **at
    )
    return Routes(
        bind(route, name, route_row=row, cut_rows=cut_rows),
        bind(route_adjoint, name, route_row_adjoint=row_adjoint, cut_rows=cut_rows, cut_bars=cut(count)),
    )
