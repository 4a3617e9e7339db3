"""The classical structure `gr`: production, percolation, exchange, transfer, direct runoff (P1 eqs 4-8, f1..f4 = 0).

One step of one cell and its transpose. States hp, ht; parameters cp, ct, kexc; result qt = qr + qd [mm/step].
"""

from hydrocli.engine.order import window
from hydrocli.engine.rows import ZERO_F32, carry_idle_cells
from hydrocli.jit import kernel, loop
from hydrocli.water.exchange import exchange, exchange_adjoint
from hydrocli.water.production import percolation, percolation_adjoint, production, production_adjoint
from hydrocli.water.transfer import direct_runoff, direct_runoff_adjoint, transfer, transfer_adjoint


@kernel
def gr(pn, en, cp, inverse_cp, ct, inverse_ct, kexc, hp, ht, inverse_beta):
    """New levels hp, ht and runoff qt [mm/step]."""
    ps, es = production(pn, en, cp, inverse_cp, hp)
    hp, perc = percolation(cp, hp + (ps - es) * inverse_cp, inverse_beta)
    F = exchange(kexc, ht)
    effective = pn - ps + perc
    ht, qr = transfer(0.9 * effective + F, ct, inverse_ct, ht)
    return hp, ht, qr + direct_runoff(0.1 * effective, F)


@kernel
def gr_adjoint(pn, en, cp, inverse_cp, ct, inverse_ct, kexc, hp, ht, inverse_beta, hp_bar, ht_bar, qt_bar):
    """Bars of all arguments of `gr`, in their order."""
    ps, es = production(pn, en, cp, inverse_cp, hp)
    filled = hp + (ps - es) * inverse_cp
    _, perc = percolation(cp, filled, inverse_beta)
    F = exchange(kexc, ht)
    effective = pn - ps + perc
    # qt = qr + qd,  qd = direct_runoff(0.1 effective, F)
    prd_bar, F_bar = direct_runoff_adjoint(0.1 * effective, F, qt_bar)
    # ht, qr = transfer(0.9 effective + F)
    prr_bar, ct_bar, inverse_ct_bar, ht_bar = transfer_adjoint(0.9 * effective + F, ct, inverse_ct, ht, ht_bar, qt_bar)
    F_bar = F_bar + prr_bar
    # effective = pn - ps + perc
    effective_bar = 0.1 * prd_bar + 0.9 * prr_bar
    # F = exchange(kexc, ht)
    kexc_bar, ht_exchange_bar = exchange_adjoint(kexc, ht, F_bar)
    # hp, perc = percolation(filled)
    cp_bar, filled_bar, inverse_beta_bar = percolation_adjoint(cp, filled, inverse_beta, hp_bar, effective_bar)
    # filled = hp + (ps - es) / cp
    moved_bar = filled_bar * inverse_cp
    inverse_cp_bar = filled_bar * (ps - es)
    # ps, es = production(pn, en, cp, hp)
    pn_bar, en_bar, cp_more, inverse_cp_more, hp_more = production_adjoint(
        pn, en, cp, inverse_cp, hp, moved_bar - effective_bar, -moved_bar
    )
    return (
        pn_bar + effective_bar,
        en_bar,
        cp_bar + cp_more,
        inverse_cp_bar + inverse_cp_more,
        ct_bar,
        inverse_ct_bar,
        kexc_bar,
        filled_bar + hp_more,
        ht_bar + ht_exchange_bar,
        inverse_beta_bar,
    )


@loop
def _row(net, cp, inverse_cp, ct, inverse_ct, kexc, to_discharge, hp, ht, hp_new, ht_new, lateral, inverse_beta):
    real = hp.dtype.type
    for c in range(hp.size):
        pn, en = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
        hp_new[c], ht_new[c], qt = gr(
            pn, en, cp[c], inverse_cp[c], ct[c], inverse_ct[c], kexc[c], hp[c], ht[c], inverse_beta
        )
        lateral[c] = qt * to_discharge[c]


@loop
def forward(
    wave, rows, first, last, low, high, offset, n_headwater, net, parameters, constants, levels, lateral, flow, _extra
):
    """Run waves `wave` + rows[0]..rows[1] in the cells of slots first[block]..last[block] of both blocks.

    net: ragged forcing, pn - en [mm/step]. parameters[5, slots]: cp, 1/cp, ct, 1/ct, kexc. constants:
    to_discharge[slots] (m3/s per mm/step), inverse_beta. levels[2, rows, slots]: hp, ht. The runoff goes to `flow` in
    headwaters, else `lateral`.
    """
    to_discharge, inverse_beta = constants
    cp, inverse_cp, ct, inverse_ct, kexc = parameters[0], parameters[1], parameters[2], parameters[3], parameters[4]
    for k in range(rows[0], rows[1]):
        carry_idle_cells(wave, k, rows, first, last, low, high, n_headwater, levels, lateral, flow)
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            out, shift = (lateral, n_headwater) if block else (flow, 0)
            _row(
                net[f + a : f + b], cp[a:b], inverse_cp[a:b], ct[a:b], inverse_ct[a:b], kexc[a:b], to_discharge[a:b],
                levels[0, k, a:b], levels[1, k, a:b], levels[0, k + 1, a:b], levels[1, k + 1, a:b],
                out[k + 1, a - shift : b - shift], inverse_beta,
            )  # fmt: skip


@loop
def _row_adjoint(
    net, cp, inverse_cp, ct, inverse_ct, kexc, to_discharge, hp, ht,
    lateral_bar, hp_bar, ht_bar, cp_bar, ct_bar, kexc_bar, inverse_beta,
):  # fmt: skip
    real = hp.dtype.type
    for c in range(hp.size):
        pn, en = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
        _, _, cp_more, inverse_cp_more, ct_more, inverse_ct_more, kexc_more, hp_bar[c], ht_bar[c], _ = gr_adjoint(
            pn, en, cp[c], inverse_cp[c], ct[c], inverse_ct[c], kexc[c], hp[c], ht[c], inverse_beta,
            hp_bar[c], ht_bar[c], lateral_bar[c] * to_discharge[c],
        )  # fmt: skip
        cp_bar[c] += cp_more - inverse_cp_more * inverse_cp[c] * inverse_cp[c]
        ct_bar[c] += ct_more - inverse_ct_more * inverse_ct[c] * inverse_ct[c]
        kexc_bar[c] += kexc_more


@loop
def reverse(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, _extra, _weights_bar,
):  # fmt: skip
    """Transpose of `forward`: takes lateral_bar[rows, slots], carries levels_bar, sums parameters_bar[3, slots]."""
    to_discharge, inverse_beta = constants
    cp, inverse_cp, ct, inverse_ct, kexc = parameters[0], parameters[1], parameters[2], parameters[3], parameters[4]
    for k in range(rows[1] - 1, rows[0] - 1, -1):
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            _row_adjoint(
                net[f + a : f + b], cp[a:b], inverse_cp[a:b], ct[a:b], inverse_ct[a:b], kexc[a:b], to_discharge[a:b],
                levels[0, k, a:b], levels[1, k, a:b],
                lateral_bar[k - rows[0], a:b], levels_bar[0, a:b], levels_bar[1, a:b],
                parameters_bar[0, a:b], parameters_bar[1, a:b], parameters_bar[2, a:b], inverse_beta,
            )  # fmt: skip
