"""The structure `node` whose network sees the levels after the step: f = phi1 at the new levels (P2 eqs 4, 14).

Newton's method (`node_newton`) starts from the solution with the corrections held, which is that of `node_previous`.
The transpose is one transposed 2x2 solve at the levels found.
"""

from __future__ import annotations

from hydrocli.engine.order import window
from hydrocli.engine.rows import carry_idle_cells, inputs_of
from hydrocli.jit import kernel, loop
from hydrocli.structures.implicit_euler import corrected_terms, runoff, solve_lagged
from hydrocli.structures.network import STRIP, network, network_adjoint
from hydrocli.structures.node_newton import evaluate, jacobian, solve_implicit
from hydrocli.water.state_space import state_space_runoff_adjoint, transfer_residual_adjoint
from hydrocli.water.vector_math import minimum


@loop
def forward(
    wave, rows, first, last, low, high, offset, n_headwater, net, parameters, constants, levels, lateral, flow, extra
):
    """As `forward`."""
    to_discharge, _ = constants
    weights, widths, kind, work, room, spare, counts, tolerance, lowest, highest = extra
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
                    terms,
                    p[0, s:e],
                    p[3, s:e],
                    hp0,
                    ht0,
                    hp,
                    ht,
                    scratch,
                    spare[:, : e - s],
                    tolerance,
                    lowest,
                    highest,
                )
                solve_implicit(
                    weights, widths, kind, work, room, p[4, s:e], p[1, s:e], p[3, s:e], hp0, ht0, hp, ht,
                    counts[:, s:e], tolerance, lowest, highest,
                )  # fmt: skip
                runoff(terms, p[2, s:e], hp, ht, to_discharge[s:e], out[k + 1, s - shift : e - shift])


@kernel
def transposed_solve(j11, j12, j21, j22, hp_bar, ht_bar, hp_free, ht_free):
    """Bars of the residuals, sign turned; a level that is not free (factor 0) passes nothing on."""
    bar1, bar2 = hp_bar * hp_free, ht_bar * ht_free
    both = hp_free * ht_free
    inverse = 1.0 / (j11 * j22 - both * j12 * j21)
    return inverse * (j22 * bar1 - both * j21 * bar2), inverse * (j11 * bar2 - both * j12 * bar1)


@loop
def _row_adjoint(
    x, f, by_hp, by_ht, system, cp, inverse_cp, ct, inverse_ct, kexc, hp0, ht0, hp, ht, to_discharge, lateral_bar,
    hp_bar, ht_bar, cp_bar, ct_bar, kexc_bar, f_bar, lowest, highest,
):  # fmt: skip
    """From the bars of the new levels and of the runoff to those of all that the step depends on."""
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    p1, p3, p4 = by_hp[0], by_hp[2], by_hp[3]
    t1, t3, t4 = by_ht[0], by_ht[2], by_ht[3]
    f1_bar, f2_bar, f3_bar, f4_bar = f_bar[0], f_bar[1], f_bar[2], f_bar[3]
    j11, j12, j21, j22 = system[2], system[3], system[4], system[5]
    real = hp.dtype.type
    zero, one, two, share = real(0), real(1), real(2), real(0.9)
    for c in range(hp.size):
        h = hp[c]
        a, b = pn[c] * (one + f1[c]), en[c] * (one + f2[c])
        k, o = kexc[c] * (one + f3[c]), one + f4[c]
        # qt = state_space_runoff(a, k, o, ct, hp, ht), the corrections at the new levels too
        a_bar, k_bar, o_bar, ct_more, hp_more, ht_more = state_space_runoff_adjoint(
            a, k, o, ct[c], h, ht[c], lateral_bar[c] * to_discharge[c]
        )
        hp_all = hp_bar[c] + hp_more + a_bar * pn[c] * p1[c] + k_bar * kexc[c] * p3[c] + o_bar * p4[c]
        ht_all = ht_bar[c] + ht_more + a_bar * pn[c] * t1[c] + k_bar * kexc[c] * t3[c] + o_bar * t4[c]
        # both residuals are zero
        hp_free = one if lowest < h < minimum(highest, one) else zero
        ht_free = one if lowest < ht[c] < highest else zero
        first, second = transposed_solve(j11[c], j12[c], j21[c], j22[c], hp_all, ht_all, hp_free, ht_free)
        # residual of ht: transfer_residual(0.9 hp^2 a, k, o, 1/ct, ht0, ht)
        inflow_bar, k_more, o_more, inverse_ct_bar, ht_bar[c], _ = transfer_residual_adjoint(
            share * h * h * a, k, o, inverse_ct[c], ht0[c], ht[c], -second, zero
        )
        a_bar += share * h * h * inflow_bar
        # residual of hp: hp - hp0 - ((1 - hp^2) a - hp (2 - hp) b) / cp
        moved_bar = first * inverse_cp[c]
        wet, dry = one - h * h, h * (two - h)
        a_bar += moved_bar * wet
        cp_bar[c] -= moved_bar * inverse_cp[c] * (wet * a - dry * b)
        hp_bar[c] = first
        ct_bar[c] += ct_more - inverse_ct_bar * inverse_ct[c] * inverse_ct[c]
        k_bar += k_more
        # a = pn (1 + f1), b = en (1 + f2), k = kexc (1 + f3), o = 1 + f4
        f1_bar[c], f2_bar[c] = a_bar * pn[c], -moved_bar * dry * en[c]
        f3_bar[c], f4_bar[c] = k_bar * kexc[c], o_bar + o_more
        kexc_bar[c] += k_bar * (one + f3[c])


@loop
def reverse(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, extra, weights_bar,
):  # fmt: skip
    """Transpose of `forward`, as `grnn.reverse`."""
    to_discharge, _ = constants
    weights, widths, kind, work, room, _, _, _, lowest, highest = extra
    values, slopes, bars, system = work[0], work[1], work[2], room[2]
    p, p_bar = parameters, parameters_bar
    for k in range(rows[1] - 1, rows[0] - 1, -1):
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp0, ht0, hp, ht = levels[0, k, s:e], levels[1, k, s:e], levels[0, k + 1, s:e], levels[1, k + 1, s:e]
                inputs_of(net[f + s : f + e], hp, ht, values[0])
                evaluate(weights, widths, kind, work, hp, ht, e - s)
                jacobian(
                    values[0], values[-1], work[3, -1], work[4, -1], p[4, s:e], p[1, s:e], p[3, s:e], hp0, ht0, hp, ht,
                    system, e - s,
                )  # fmt: skip
                _row_adjoint(
                    values[0], values[-1], work[3, -1], work[4, -1], system, p[0, s:e], p[1, s:e], p[2, s:e], p[3, s:e],
                    p[4, s:e], hp0, ht0, hp, ht, to_discharge[s:e], lateral_bar[k - rows[0], s:e],
                    levels_bar[0, s:e], levels_bar[1, s:e], p_bar[0, s:e], p_bar[1, s:e], p_bar[2, s:e], bars[-1],
                    lowest, highest,
                )  # fmt: skip
                network_adjoint(weights, widths, values, slopes, bars, weights_bar, e - s)
