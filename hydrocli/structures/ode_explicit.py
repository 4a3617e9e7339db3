"""The structure `ode` by explicit Euler in substeps: what the implicit step is held against.

    hp <- hp + dhp/dt / n        ht <- ht + dht/dt / n        qt = mean of the runoff at the n levels left

A level that leaves its limits is held there, which adds or loses water. The reverse walks through the substeps again.
"""

from __future__ import annotations

from hydrocli.engine.order import window
from hydrocli.engine.rows import carry_idle_cells
from hydrocli.jit import loop
from hydrocli.structures.network import STRIP
from hydrocli.structures.ode import terms_of
from hydrocli.water.state_space import (
    state_space_rates,
    state_space_rates_adjoint,
    state_space_runoff,
    state_space_runoff_adjoint,
)
from hydrocli.water.vector_math import maximum, minimum


@loop
def _substep(terms, inverse_cp, ct, inverse_ct, hp0, ht0, hp, ht, lateral, weight, share, lowest, highest):
    """New levels hp, ht of a strip after a substep of length share; lateral is summed."""
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    highest_hp = minimum(highest, hp.dtype.type(1))
    for c in range(lateral.size):
        hp_rate, ht_rate = state_space_rates(a[c], b[c], k[c], o[c], inverse_cp[c], inverse_ct[c], hp0[c], ht0[c])
        lateral[c] += share * weight[c] * state_space_runoff(a[c], k[c], o[c], ct[c], hp0[c], ht0[c])
        hp[c] = minimum(maximum(hp0[c] + share * hp_rate, lowest), highest_hp)
        ht[c] = minimum(maximum(ht0[c] + share * ht_rate, lowest), highest)


@loop
def _substep_adjoint(
    terms, inverse_cp, ct, inverse_ct, hp0, ht0, hp, ht, lateral_bar, weight, share, lowest, highest,
    hp_bar, ht_bar, cp_bar, ct_bar, kexc_bar,
):  # fmt: skip
    """Transpose of `_substep`: hp_bar, ht_bar become those of the levels before it; k is kexc here."""
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    real = hp.dtype.type
    highest_hp = minimum(highest, real(1))
    for c in range(lateral_bar.size):
        # hp = hp0 + share dhp/dt, ht = ht0 + share dht/dt, where no limit holds them
        hp_free = hp_bar[c] if lowest < hp[c] < highest_hp else real(0)
        ht_free = ht_bar[c] if lowest < ht[c] < highest else real(0)
        _, _, k_rate, _, inverse_cp_bar, inverse_ct_bar, hp_rate, ht_rate = state_space_rates_adjoint(
            a[c], b[c], k[c], o[c], inverse_cp[c], inverse_ct[c], hp0[c], ht0[c], share * hp_free, share * ht_free
        )
        # lateral += share weight qt
        _, k_more, _, ct_more, hp_more, ht_more = state_space_runoff_adjoint(
            a[c], k[c], o[c], ct[c], hp0[c], ht0[c], share * weight[c] * lateral_bar[c]
        )
        hp_bar[c], ht_bar[c] = hp_free + hp_rate + hp_more, ht_free + ht_rate + ht_more
        kexc_bar[c] += k_rate + k_more
        cp_bar[c] -= inverse_cp_bar * inverse_cp[c] * inverse_cp[c]
        ct_bar[c] += ct_more - inverse_ct_bar * inverse_ct[c] * inverse_ct[c]


@loop
def _walk(terms, p, hp0, ht0, path, lateral, weight, share, lowest, highest):
    """Levels before each substep and after the last in path[2, substeps + 1, STRIP], runoff of the step in lateral."""
    n = lateral.size
    for c in range(n):
        path[0, 0, c], path[1, 0, c], lateral[c] = hp0[c], ht0[c], 0
    for j in range(path.shape[1] - 1):
        _substep(
            terms, p[1], p[2], p[3], path[0, j, :n], path[1, j, :n], path[0, j + 1, :n], path[1, j + 1, :n], lateral,
            weight, share, lowest, highest,
        )  # fmt: skip


@loop
def forward(
    wave, rows, first, last, low, high, offset, n_headwater, net, parameters, constants, levels, lateral, flow, extra
):
    """As `gr.forward`; extra: terms[4, STRIP], path, room[STRIP], length of a substep, lowest and highest level."""
    to_discharge, _ = constants
    terms, path, _, share, lowest, highest = extra
    for k in range(rows[0], rows[1]):
        carry_idle_cells(wave, k, rows, first, last, low, high, n_headwater, levels, lateral, flow)
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            out, shift = (lateral, n_headwater) if block else (flow, 0)
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                terms_of(net[f + s : f + e], parameters[4, s:e], terms)
                _walk(
                    terms, parameters[:, s:e], levels[0, k, s:e], levels[1, k, s:e], path,
                    out[k + 1, s - shift : e - shift], to_discharge[s:e], share, lowest, highest,
                )  # fmt: skip
                for level in range(2):
                    for c in range(e - s):
                        levels[level, k + 1, s + c] = path[level, -1, c]


@loop
def reverse(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, extra, weights_bar,
):  # fmt: skip
    """Transpose of `forward`, as `gr.reverse`; there are no weights."""
    to_discharge, _ = constants
    terms, path, room, share, lowest, highest = extra
    p_bar = parameters_bar
    for k in range(rows[1] - 1, rows[0] - 1, -1):
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                n, p, weight = e - s, parameters[:, s:e], to_discharge[s:e]
                terms_of(net[f + s : f + e], p[4], terms)
                _walk(terms, p, levels[0, k, s:e], levels[1, k, s:e], path, room[:n], weight, share, lowest, highest)
                for j in range(path.shape[1] - 2, -1, -1):
                    _substep_adjoint(
                        terms, p[1], p[2], p[3], path[0, j, :n], path[1, j, :n], path[0, j + 1, :n],
                        path[1, j + 1, :n], lateral_bar[k - rows[0], s:e], weight, share, lowest, highest,
                        levels_bar[0, s:e], levels_bar[1, s:e], p_bar[0, s:e], p_bar[1, s:e], p_bar[2, s:e],
                    )  # fmt: skip
