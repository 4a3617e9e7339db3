"""The structure `node` whose network sees the levels before the step: f = phi1 is held over it (P2 eq. 3).

The step is that of `ode` with other terms, and so is its transpose.
"""

from __future__ import annotations

from hydrocli.engine.order import window
from hydrocli.engine.rows import carry_idle_cells, inputs_of
from hydrocli.jit import loop
from hydrocli.structures.implicit_euler import (
    corrected_terms,
    corrected_terms_adjoint,
    lagged_adjoint,
    runoff,
    solve_lagged,
)
from hydrocli.structures.network import STRIP, network, network_adjoint


@loop
def forward(
    wave, rows, first, last, low, high, offset, n_headwater, net, parameters, constants, levels, lateral, flow, extra
):
    """As `gr.forward`; extra: weights, widths, activation, work[5, ...], room[4, 6, STRIP], spare, then as `ode`."""
    to_discharge, _ = constants
    weights, widths, kind, work, room, _, counts, tolerance, lowest, highest = extra
    values, slopes, terms, scratch = work[0], work[1], room[0], room[1]
    p = parameters
    for k in range(rows[0], rows[1]):
        carry_idle_cells(wave, k, rows, first, last, low, high, n_headwater, levels, lateral, flow)
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            out, shift = (lateral, n_headwater) if block else (flow, 0)
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp0, ht0 = levels[0, k, s:e], levels[1, k, s:e]
                hp, ht = levels[0, k + 1, s:e], levels[1, k + 1, s:e]
                inputs_of(net[f + s : f + e], hp0, ht0, values[0])
                network(weights, widths, kind, values, slopes, e - s)
                corrected_terms(values[0], values[-1], p[4, s:e], terms)
                solve_lagged(
                    terms, p[0, s:e], p[3, s:e], hp0, ht0, hp, ht, scratch, counts[:, s:e], tolerance, lowest, highest
                )
                runoff(terms, p[2, s:e], hp, ht, to_discharge[s:e], out[k + 1, s - shift : e - shift])


@loop
def reverse(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, extra, weights_bar,
):  # fmt: skip
    """Transpose of `forward`, as `grnn.reverse`."""
    to_discharge, _ = constants
    weights, widths, kind, work, room, _, _, _, lowest, highest = extra
    values, slopes, bars, terms, terms_bar = work[0], work[1], work[2], room[0], room[1]
    p, p_bar = parameters, parameters_bar
    for k in range(rows[1] - 1, rows[0] - 1, -1):
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp0, ht0, hp_bar, ht_bar = levels[0, k, s:e], levels[1, k, s:e], levels_bar[0, s:e], levels_bar[1, s:e]
                inputs_of(net[f + s : f + e], hp0, ht0, values[0])
                network(weights, widths, kind, values, slopes, e - s)
                corrected_terms(values[0], values[-1], p[4, s:e], terms)
                lagged_adjoint(
                    terms, p[0, s:e], p[2, s:e], p[3, s:e], hp0, ht0, levels[0, k + 1, s:e], levels[1, k + 1, s:e],
                    to_discharge[s:e], lateral_bar[k - rows[0], s:e], hp_bar, ht_bar, p_bar[0, s:e], p_bar[1, s:e],
                    terms_bar, lowest, highest,
                )  # fmt: skip
                corrected_terms_adjoint(values[0], values[-1], p[4, s:e], terms_bar, bars[-1], p_bar[2, s:e])
                network_adjoint(weights, widths, values, slopes, bars, weights_bar, e - s)
                for c in range(e - s):
                    hp_bar[c] += bars[0, 0, c]
                    ht_bar[c] += bars[0, 1, c]
