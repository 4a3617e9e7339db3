"""The hybrid structure `grnn`: GR whose fluxes the network phi1 corrects (P1 eqs 4-8).

    ps = min(pn, (1 + f1) ps)      es = min(en, (1 + f2) es)      both also within what the store takes or holds
    prr = 0.9 (1 - f3^2) (pr + perc) + F       prd = (0.1 + 0.9 f3^2) (pr + perc)       F = (1 + f4) kexc ht^(7/2)

f1..f4 = phi1(hp, ht, pn, en) at the levels before the step. `room` is the least that a store takes or gives: 0 where it
limits its fluxes (`flux_limits: conservative`), and so large that it never does for the equations as published, whose
levels can leave [0, 1].
"""

from hydrocli.engine.order import window
from hydrocli.engine.rows import carry_idle_cells, inputs_of
from hydrocli.jit import kernel, loop
from hydrocli.structures.network import STRIP, network, network_adjoint
from hydrocli.water.exchange import exchange, exchange_adjoint
from hydrocli.water.flux_correction import corrected_flux, corrected_flux_adjoint
from hydrocli.water.production import percolation, percolation_adjoint, production, production_adjoint
from hydrocli.water.transfer import direct_runoff, direct_runoff_adjoint, transfer, transfer_adjoint
from hydrocli.water.vector_math import maximum, where_positive

UNLIMITED = 1e30
"""A `room` with which no store limits a flux."""


@kernel
def grnn(pn, en, cp, inverse_cp, ct, inverse_ct, kexc, hp, ht, inverse_beta, f1, f2, f3, f4, room):
    """New levels hp, ht and runoff qt [mm/step]."""
    ps, es = production(pn, en, cp, inverse_cp, hp)
    ps = corrected_flux(ps, f1, pn, maximum(cp * (1.0 - hp), room))
    es = corrected_flux(es, f2, en, maximum(cp * hp, room))
    hp, perc = percolation(cp, hp + (ps - es) * inverse_cp, inverse_beta)
    F = (1.0 + f4) * exchange(kexc, ht)
    effective = pn - ps + perc
    delayed = 0.9 * (1.0 - f3 * f3)
    ht, qr = transfer(delayed * effective + F, ct, inverse_ct, ht)
    return hp, ht, qr + direct_runoff((1.0 - delayed) * effective, F)


@kernel
def grnn_adjoint(
    pn, en, cp, inverse_cp, ct, inverse_ct, kexc, hp, ht, inverse_beta, f1, f2, f3, f4, room, hp_bar, ht_bar, qt_bar
):
    """Bars of all arguments of `grnn`, in their order."""
    ps0, es0 = production(pn, en, cp, inverse_cp, hp)
    free, held = cp * (1.0 - hp), cp * hp
    ps_room, es_room = maximum(free, room), maximum(held, room)
    ps = corrected_flux(ps0, f1, pn, ps_room)
    es = corrected_flux(es0, f2, en, es_room)
    filled = hp + (ps - es) * inverse_cp
    _, perc = percolation(cp, filled, inverse_beta)
    F0 = exchange(kexc, ht)
    F = (1.0 + f4) * F0
    effective = pn - ps + perc
    delayed = 0.9 * (1.0 - f3 * f3)
    # qt = qr + qd,  qd = direct_runoff((1 - delayed) effective, F)
    prd_bar, F_bar = direct_runoff_adjoint((1.0 - delayed) * effective, F, qt_bar)
    # ht, qr = transfer(delayed effective + F)
    prr_bar, ct_bar, inverse_ct_bar, ht_bar = transfer_adjoint(
        delayed * effective + F, ct, inverse_ct, ht, ht_bar, qt_bar
    )
    F_bar = F_bar + prr_bar
    # delayed = 0.9 (1 - f3^2),  effective = pn - ps + perc
    f3_bar = -1.8 * f3 * effective * (prr_bar - prd_bar)
    effective_bar = prd_bar + delayed * (prr_bar - prd_bar)
    # F = (1 + f4) exchange(kexc, ht)
    f4_bar = F_bar * F0
    kexc_bar, ht_exchange_bar = exchange_adjoint(kexc, ht, (1.0 + f4) * F_bar)
    # hp, perc = percolation(filled)
    cp_bar, filled_bar, inverse_beta_bar = percolation_adjoint(cp, filled, inverse_beta, hp_bar, effective_bar)
    # filled = hp + (ps - es) / cp
    moved_bar = filled_bar * inverse_cp
    inverse_cp_bar = filled_bar * (ps - es)
    # es = min((1 + f2) es, en, max(cp hp, room))
    es0_bar, f2_bar, en_bar, es_room_bar = corrected_flux_adjoint(es0, f2, en, es_room, -moved_bar)
    # ps = min((1 + f1) ps, pn, max(cp (1 - hp), room))
    ps0_bar, f1_bar, pn_bar, ps_room_bar = corrected_flux_adjoint(ps0, f1, pn, ps_room, moved_bar - effective_bar)
    free_bar = where_positive(free - room, ps_room_bar, 0.0)
    held_bar = where_positive(held - room, es_room_bar, 0.0)
    # ps, es = production(pn, en, cp, hp)
    pn_more, en_more, cp_more, inverse_cp_more, hp_more = production_adjoint(
        pn, en, cp, inverse_cp, hp, ps0_bar, es0_bar
    )
    return (
        pn_bar + pn_more + effective_bar,
        en_bar + en_more,
        cp_bar + cp_more + free_bar * (1.0 - hp) + held_bar * hp,
        inverse_cp_bar + inverse_cp_more,
        ct_bar,
        inverse_ct_bar,
        kexc_bar,
        filled_bar + hp_more + cp * (held_bar - free_bar),
        ht_bar + ht_exchange_bar,
        inverse_beta_bar,
        f1_bar,
        f2_bar,
        f3_bar,
        f4_bar,
        ps_room_bar - free_bar + es_room_bar - held_bar,
    )


@loop
def _row(x, f, cp, inverse_cp, ct, inverse_ct, kexc, to_discharge, hp_new, ht_new, lateral, inverse_beta, room):
    hp, ht, pn, en, f1, f2, f3, f4 = x[0], x[1], x[2], x[3], f[0], f[1], f[2], f[3]
    for c in range(hp_new.size):
        hp_new[c], ht_new[c], qt = grnn(
            pn[c], en[c], cp[c], inverse_cp[c], ct[c], inverse_ct[c], kexc[c], hp[c], ht[c], inverse_beta,
            f1[c], f2[c], f3[c], f4[c], room,
        )  # fmt: skip
        lateral[c] = qt * to_discharge[c]


@loop
def forward(
    wave, rows, first, last, low, high, offset, n_headwater, net, parameters, constants, levels, lateral, flow, extra
):
    """As `gr.forward`; extra: weights, widths, kind of activation, work[3, layers + 1, widest, STRIP], room."""
    to_discharge, inverse_beta = constants
    weights, widths, kind, work, room = extra
    values, slopes = work[0], work[1]
    p = parameters
    for k in range(rows[0], rows[1]):
        carry_idle_cells(wave, k, rows, first, last, low, high, n_headwater, levels, lateral, flow)
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            out, shift = (lateral, n_headwater) if block else (flow, 0)
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                inputs_of(net[f + s : f + e], levels[0, k, s:e], levels[1, k, s:e], values[0])
                network(weights, widths, kind, values, slopes, e - s)
                _row(
                    values[0], values[-1], p[0, s:e], p[1, s:e], p[2, s:e], p[3, s:e], p[4, s:e], to_discharge[s:e],
                    levels[0, k + 1, s:e], levels[1, k + 1, s:e], out[k + 1, s - shift : e - shift], inverse_beta, room,
                )  # fmt: skip


@loop
def _row_adjoint(
    x, f, cp, inverse_cp, ct, inverse_ct, kexc, to_discharge,
    lateral_bar, hp_bar, ht_bar, cp_bar, ct_bar, kexc_bar, f_bar, inverse_beta, room,
):  # fmt: skip
    hp, ht, pn, en, f1, f2, f3, f4 = x[0], x[1], x[2], x[3], f[0], f[1], f[2], f[3]
    f1_bar, f2_bar, f3_bar, f4_bar = f_bar[0], f_bar[1], f_bar[2], f_bar[3]
    for c in range(hp_bar.size):
        (_, _, cp_more, inverse_cp_more, ct_more, inverse_ct_more, kexc_more, hp_bar[c], ht_bar[c], _,
         f1_bar[c], f2_bar[c], f3_bar[c], f4_bar[c], _) = grnn_adjoint(
            pn[c], en[c], cp[c], inverse_cp[c], ct[c], inverse_ct[c], kexc[c], hp[c], ht[c], inverse_beta,
            f1[c], f2[c], f3[c], f4[c], room, hp_bar[c], ht_bar[c], lateral_bar[c] * to_discharge[c],
        )  # fmt: skip
        cp_bar[c] += cp_more - inverse_cp_more * inverse_cp[c] * inverse_cp[c]
        ct_bar[c] += ct_more - inverse_ct_more * inverse_ct[c] * inverse_ct[c]
        kexc_bar[c] += kexc_more


@loop
def reverse(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, extra, weights_bar,
):  # fmt: skip
    """Transpose of `forward`, as `gr.reverse`; weights_bar is summed."""
    to_discharge, inverse_beta = constants
    weights, widths, kind, work, room = extra
    values, slopes, bars = work[0], work[1], work[2]
    p, p_bar = parameters, parameters_bar
    for k in range(rows[1] - 1, rows[0] - 1, -1):
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp_bar, ht_bar = levels_bar[0, s:e], levels_bar[1, s:e]
                inputs_of(net[f + s : f + e], levels[0, k, s:e], levels[1, k, s:e], values[0])
                network(weights, widths, kind, values, slopes, e - s)
                _row_adjoint(
                    values[0], values[-1], p[0, s:e], p[1, s:e], p[2, s:e], p[3, s:e], p[4, s:e], to_discharge[s:e],
                    lateral_bar[k - rows[0], s:e], hp_bar, ht_bar, p_bar[0, s:e], p_bar[1, s:e], p_bar[2, s:e],
                    bars[-1], inverse_beta, room,
                )  # fmt: skip
                network_adjoint(weights, widths, values, slopes, bars, weights_bar, e - s)
                for c in range(e - s):
                    hp_bar[c] += bars[0, 0, c]
                    ht_bar[c] += bars[0, 1, c]
