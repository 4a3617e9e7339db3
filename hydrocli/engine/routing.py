"""Rows of the kinematic wave over the routed cells of a chunk, and their transpose; shared by all structures.

Row k of a buffer is the state after wave `wave + k - 1`, row 0 the state before the first. `flow` is the discharge of
each slot [m3/s]; a headwater is not routed, its discharge is its lateral inflow. `lateral` is that of the routed
slots alone.
"""

from __future__ import annotations

from hydrocli.engine.order import carry, window
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


@loop
def route(wave, rows, first, last, low, high, n_headwater, akw, bkw, d1, upstream, lateral, flow, inflow):
    """Route waves `wave` + rows[0]..rows[1] through the routed slots first..last.

    akw, bkw, d1, inflow (scratch) and lateral[rows, :] count from the first routed slot, flow[rows, :] from slot 0.
    """
    for k in range(rows[0], rows[1]):
        a, b = window(low, high, 1, wave + k, first, last)
        carry(flow, rows, k, window(low, high, 1, max(wave + k - 1, 0), first, last), (a, b), first, last)
        i, j = a - n_headwater, b - n_headwater
        gather_upstream(flow[k], upstream, inflow, i, j)
        _route_row(
            akw[i:j],
            bkw[i:j],
            d1[i:j],
            inflow[i:j],
            flow[k, a:b],
            lateral[k, i:j],
            lateral[k + 1, i:j],
            flow[k + 1, a:b],
        )


@loop
def _route_row_adjoint(
    akw, bkw, d1, inflow, flow_before, lateral_before, lateral,
    downstream_bar, flow_bar, lateral_carry, akw_bar, bkw_bar, inflow_bar, lateral_bar,
):  # fmt: skip
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
def _gather_downstream(inflow_bar, downstream_index, seed, seed_slot, wave, level, out, a, b):
    """out[slot - a]: what the discharge of slots a..b is owed by the cell downstream (owed_by) and by a gauge in it."""
    for c in range(out.size):
        out[c] = inflow_bar[downstream_index[c]]
    for g in range(seed_slot.size):
        s = seed_slot[g]
        if a <= s < b:
            out[s - a] += seed[g, wave - level[s]]


@loop
def route_adjoint(
    wave, rows, first, last, low, high, n_headwater, akw, bkw, d1, upstream, lateral, flow, inflow,
    received, downstream_index, level, seed, seed_slot, flow_bar, lateral_carry, akw_bar, bkw_bar, inflow_bar, lateral_bar,
):  # fmt: skip
    """Transpose of `route` and of the headwaters' pass-through, for slots first[block]..last[block] of both blocks.

    seed[gauge, step] is the derivative of the cost by the discharge at seed_slot. flow_bar, lateral_carry (of routed
    slots) carry what the step before is owed; akw_bar, bkw_bar are summed. inflow_bar[ring, routed + 1] holds, by
    wave, what the cells upstream are owed (last column: nothing lies downstream). lateral_bar[rows, slots] is the
    result.
    """
    ring = inflow_bar.shape[0]
    for k in range(rows[1] - 1, rows[0] - 1, -1):
        w = wave + k
        inflow_bar_next, inflow_bar_now, result = (
            inflow_bar[(w + 1) % ring],
            inflow_bar[w % ring],
            lateral_bar[k - rows[0]],
        )
        a, b = window(low, high, 0, w, first[0], last[0])
        _gather_downstream(inflow_bar_next, downstream_index[a:b], seed, seed_slot, w, level, result[a:b], a, b)
        a, b = window(low, high, 1, w, first[1], last[1])
        i, j = a - n_headwater, b - n_headwater
        _gather_downstream(inflow_bar_next, downstream_index[a:b], seed, seed_slot, w, level, received[i:j], a, b)
        gather_upstream(flow[k], upstream, inflow, i, j)
        _route_row_adjoint(
            akw[i:j], bkw[i:j], d1[i:j], inflow[i:j], flow[k, a:b], lateral[k, i:j], lateral[k + 1, i:j],
            received[i:j], flow_bar[i:j], lateral_carry[i:j], akw_bar[i:j], bkw_bar[i:j], inflow_bar_now[i:j], result[a:b],
        )  # fmt: skip
