"""Rows of the kinematic wave over the routed cells of a chunk, and their transpose; shared by all structures.

Row k of a buffer is the state after wave `wave + k - 1`, row 0 the state before the first. `flow` is the discharge of
each slot [m3/s]; a headwater is not routed, its discharge is its lateral inflow. `lateral` is that of the routed
slots alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine.order import window
from hydrocli.engine.tiles import settle_slots, start_slots
from hydrocli.jit import loop
from hydrocli.water.kinematic_wave import kinematic_wave, kinematic_wave_adjoint


@loop
def gather_upstream(flow, upstream, inflow, a, b):
    """Sum the discharge of the slots upstream of routed slots a..b (numbered from the first routed one)."""
    for r in range(a, b):
        inflow[r] = flow[upstream.first[r]]
    for p in range(upstream.further_start[a], upstream.further_start[b]):
        inflow[upstream.into[p]] += flow[upstream.further[p]]


@loop
def _route_row(akw, bkw, d1, inflow, flow_before, lateral_before, lateral, flow):
    for c in range(akw.size):
        flow[c] = kinematic_wave(akw[c], bkw[c], inflow[c], flow_before[c], lateral_before[c], lateral[c], d1[c])


class River(NamedTuple):
    """Parameters of the routed slots, numbered from the first of them: akw, bkw and d1 = dt/dx, [routed] each."""

    akw: NDArray[np.floating]
    bkw: NDArray[np.floating]
    d1: NDArray[np.floating]


class RiverBars(NamedTuple):
    """Sums, carries and rows of the reverse of the routing.

    seed: [gauge, step] derivative of the cost by the discharge at the slots seed_slot. akw, bkw: [routed], summed.
    flow, lateral: [routed], of the step before. received: [routed] scratch. inflow: [ring, routed + 1], by wave, of the
    inflow into each routed slot; the last column belongs to outlets, which nothing lies downstream of.
    """

    seed: NDArray[np.floating]
    seed_slot: NDArray[np.int64]
    akw: NDArray[np.floating]
    bkw: NDArray[np.floating]
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


@loop
def route(order, tile, river, buffer, inflow):
    """Route the waves of a tile through its routed slots; inflow [routed] is scratch."""
    first, last = tile.first[1], tile.last[1]
    lateral, flow = buffer.lateral, buffer.flow
    for k in range(tile.begin, tile.end):
        wave = tile.wave + k
        a, b = window(order.low, order.high, 1, wave, first, last)
        start_slots(flow, order, 1, tile, k, 0)
        i, j = a - order.n_headwater, b - order.n_headwater
        gather_upstream(flow[k], order.upstream, inflow, i, j)
        _clear_inactive(order, 1, tile, wave, a, inflow[i:j])
        _route_row(
            river.akw[i:j], river.bkw[i:j], river.d1[i:j], inflow[i:j], flow[k, a:b], lateral[k, i:j],
            lateral[k + 1, i:j], flow[k + 1, a:b],
        )  # fmt: skip
    settle_slots(flow, order, 1, tile, 0)


@loop
def _route_row_adjoint(river, inflow, flow_before, lateral_before, lateral, bars, inflow_bar, lateral_bar):
    """Transpose of `_route_row` over the rows of a window; `river` and `bars` are cut to it."""
    akw, bkw, d1 = river.akw, river.bkw, river.d1
    flow_bar, lateral_carry, downstream_bar = bars.flow, bars.lateral, bars.received
    akw_bar, bkw_bar = bars.akw, bars.bkw
    for c in range(akw.size):
        akw_more, bkw_more, U_bar, Qb_bar, qlb_bar, ql_bar, _ = kinematic_wave_adjoint(
            akw[c], bkw[c], inflow[c], flow_before[c], lateral_before[c], lateral[c], d1[c],
            flow_bar[c] + downstream_bar[c],
        )  # fmt: skip
        akw_bar[c] += akw_more
        bkw_bar[c] += bkw_more
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


@loop
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
        here = River(river.akw[i:j], river.bkw[i:j], river.d1[i:j])
        bars_here = RiverBars(
            bars.seed, bars.seed_slot, bars.akw[i:j], bars.bkw[i:j], bars.flow[i:j], bars.lateral[i:j],
            bars.received[i:j], bars.inflow[:0],
        )  # fmt: skip
        _route_row_adjoint(
            here, inflow[i:j], flow[k, a:b], lateral[k, i:j], lateral[k + 1, i:j], bars_here, inflow_bar_now[i:j],
            result[a:b],
        )  # fmt: skip
