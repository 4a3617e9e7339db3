"""The structure `node`: the neural differential equations (P2 eqs 3, 4, 8-14), in both readings of its network.

* previous (P2 eq. 3): f = phi1 at the levels before the step, held over it: the step of `ode` with other terms.
* implicit (P2 eqs 4, 14): f = phi1 at the new levels. Newton's method on both levels, with the derivatives of the
  network in the Jacobian, starts from the solution of `previous`. The transpose is one transposed 2x2 solve at the
  levels found.
"""

from __future__ import annotations

import numpy as np

from hydrocli.jit import kernel, loop
from hydrocli.model.implicit_euler import count_iterations, held_adjoint, runoff, solve_held, total
from hydrocli.model.network import STRIP, network, network_adjoint, network_tangent
from hydrocli.model.rows import hold_idle, inputs_of
from hydrocli.model.skew import window
from hydrocli.water.exchange import exchange
from hydrocli.water.state_space import (
    state_space_runoff_adjoint,
    transfer_residual,
    transfer_residual_adjoint,
)
from hydrocli.water.vector_math import maximum, minimum

ITERATIONS = 20
BRACKETED = 100


@loop
def _terms(x, f, kexc, terms):
    """a = pn (1 + f1), b = en (1 + f2), k = kexc (1 + f3), o = 1 + f4."""
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    one = terms.dtype.type(1)
    for c in range(kexc.size):
        a[c], b[c] = pn[c] * (one + f1[c]), en[c] * (one + f2[c])
        k[c], o[c] = kexc[c] * (one + f3[c]), one + f4[c]


@loop
def _terms_adjoint(x, f, kexc, terms_bar, f_bar, kexc_bar):
    """Transpose of `_terms`; kexc_bar is summed."""
    pn, en, f3 = x[2], x[3], f[2]
    a_bar, b_bar, k_bar, o_bar = terms_bar[0], terms_bar[1], terms_bar[2], terms_bar[3]
    f1_bar, f2_bar, f3_bar, f4_bar = f_bar[0], f_bar[1], f_bar[2], f_bar[3]
    one = terms_bar.dtype.type(1)
    for c in range(kexc.size):
        f1_bar[c], f2_bar[c] = a_bar[c] * pn[c], b_bar[c] * en[c]
        f3_bar[c], f4_bar[c] = k_bar[c] * kexc[c], o_bar[c]
        kexc_bar[c] += k_bar[c] * (one + f3[c])


@loop
def forward_previous(
    wave, rows, first, last, low, high, offset, heads, net, parameters, constants, levels, lateral, flow, extra
):
    """As `gr.forward`; extra: weights, widths, activation, work[5, ...], room[4, 6, STRIP], spare, then as `ode`."""
    to_discharge, _ = constants
    weights, widths, kind, work, room, _, counts, tolerance, lowest, highest = extra
    values, slopes, terms, scratch = work[0], work[1], room[0], room[1]
    p = parameters
    for k in range(rows[0], rows[1]):
        hold_idle(wave, k, rows, first, last, low, high, heads, levels, lateral, flow)
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            out, shift = (lateral, heads) if block else (flow, 0)
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp0, ht0 = levels[0, k, s:e], levels[1, k, s:e]
                hp, ht = levels[0, k + 1, s:e], levels[1, k + 1, s:e]
                inputs_of(net[f + s : f + e], hp0, ht0, values[0])
                network(weights, widths, kind, values, slopes, e - s)
                _terms(values[0], values[-1], p[4, s:e], terms)
                solve_held(
                    terms, p[0, s:e], p[3, s:e], hp0, ht0, hp, ht, scratch, counts[:, s:e], tolerance, lowest, highest
                )
                runoff(terms, p[2, s:e], hp, ht, to_discharge[s:e], out[k + 1, s - shift : e - shift])


@loop
def reverse_previous(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, extra, weights_bar,
):  # fmt: skip
    """Transpose of `forward_previous`, as `grnn.reverse`."""
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
                _terms(values[0], values[-1], p[4, s:e], terms)
                held_adjoint(
                    terms, p[0, s:e], p[2, s:e], p[3, s:e], hp0, ht0, levels[0, k + 1, s:e], levels[1, k + 1, s:e],
                    to_discharge[s:e], lateral_bar[k - rows[0], s:e], hp_bar, ht_bar, p_bar[0, s:e], p_bar[1, s:e],
                    terms_bar, lowest, highest,
                )  # fmt: skip
                _terms_adjoint(values[0], values[-1], p[4, s:e], terms_bar, bars[-1], p_bar[2, s:e])
                network_adjoint(weights, widths, values, slopes, bars, weights_bar, e - s)
                for c in range(e - s):
                    hp_bar[c] += bars[0, 0, c]
                    ht_bar[c] += bars[0, 1, c]


@kernel
def coupling(pn, en, kexc, inverse_cp, inverse_ct, hp, ht, exchanged, f1h, f2h, f3h, f4h):
    """What the derivative (f1h..f4h) of the corrections by one level adds to the derivatives of both residuals.

    The residuals are those of production and transfer divided by their capacities; exchanged is ht^(7/2).
    """
    h4 = ht * ht * ht * ht
    return (
        -inverse_cp * ((1.0 - hp * hp) * pn * f1h - hp * (2.0 - hp) * en * f2h),
        -inverse_ct * (0.9 * hp * hp * pn * f1h + kexc * exchanged * f3h) + 0.25 * h4 * ht * f4h,
    )


@kernel
def coupling_adjoint(
    pn, en, kexc, inverse_cp, inverse_ct, hp, ht, exchanged, f1h, f2h, f3h, f4h, production_bar, transfer_bar
):
    """Bars of the arguments of `coupling`, in their order."""
    h4 = ht * ht * ht * ht
    wet, dry = 1.0 - hp * hp, hp * (2.0 - hp)
    moved_bar = -inverse_cp * production_bar
    filled_bar = -inverse_ct * transfer_bar
    return (
        (moved_bar * wet + 0.9 * filled_bar * hp * hp) * f1h,
        -moved_bar * dry * f2h,
        filled_bar * exchanged * f3h,
        -production_bar * (wet * pn * f1h - dry * en * f2h),
        -transfer_bar * (0.9 * hp * hp * pn * f1h + kexc * exchanged * f3h),
        -2.0 * moved_bar * (hp * pn * f1h + (1.0 - hp) * en * f2h) + 1.8 * filled_bar * hp * pn * f1h,
        1.25 * transfer_bar * h4 * f4h,
        filled_bar * kexc * f3h,
        (moved_bar * wet + 0.9 * filled_bar * hp * hp) * pn,
        -moved_bar * dry * en,
        filled_bar * kexc * exchanged,
        0.25 * transfer_bar * h4 * ht,
    )


@loop
def _evaluate(weights, widths, kind, work, hp, ht, n):
    """Corrections (work[0, -1]) and their derivatives by hp (work[3, -1]) and ht (work[4, -1]) at new levels."""
    values, slopes = work[0], work[1]
    v0, v1 = values[0, 0], values[0, 1]
    for c in range(n):
        v0[c], v1[c] = hp[c], ht[c]
    network(weights, widths, kind, values, slopes, n)
    for level in range(2):
        tangents = work[3 + level]
        for i in range(4):
            tangents[0, i, :n] = 1 if i == level else 0
        network_tangent(weights, widths, slopes, tangents, n)


@loop
def _jacobian(x, f, by_hp, by_ht, kexc, inverse_cp, inverse_ct, hp0, ht0, hp, ht, system, n):
    """Rows of system: residuals of both stores; Jacobian hp by hp, hp by ht, ht by hp, ht by ht."""
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    p1, p2, p3, p4 = by_hp[0], by_hp[1], by_hp[2], by_hp[3]
    t1, t2, t3, t4 = by_ht[0], by_ht[1], by_ht[2], by_ht[3]
    r1, r2, j11, j12, j21, j22 = system[0], system[1], system[2], system[3], system[4], system[5]
    real = hp.dtype.type
    one, two, share = real(1), real(2), real(0.9)
    for c in range(n):
        h = hp[c]
        a, b = pn[c] * (one + f1[c]), en[c] * (one + f2[c])
        residual, slope = transfer_residual(
            share * h * h * a, kexc[c] * (one + f3[c]), one + f4[c], inverse_ct[c], ht0[c], ht[c]
        )
        exchanged = exchange(one, ht[c])
        more11, more21 = coupling(
            pn[c], en[c], kexc[c], inverse_cp[c], inverse_ct[c], h, ht[c], exchanged, p1[c], p2[c], p3[c], p4[c]
        )
        more12, more22 = coupling(
            pn[c], en[c], kexc[c], inverse_cp[c], inverse_ct[c], h, ht[c], exchanged, t1[c], t2[c], t3[c], t4[c]
        )
        r1[c] = h - hp0[c] - inverse_cp[c] * ((one - h * h) * a - h * (two - h) * b)
        r2[c] = residual
        j11[c] = one + two * inverse_cp[c] * (h * a + (one - h) * b) + more11
        j12[c] = more12
        j21[c] = more21 - two * share * inverse_ct[c] * h * a
        j22[c] = slope + more22


@kernel
def newton_step(r1, r2, j11, j12, j21, j22, hp, ht, lowest, highest):
    """Better levels; where one meets its limit, the other is solved for alone. hp is never above 1."""
    inverse = 1.0 / (j11 * j22 - j12 * j21)
    free_hp = hp - inverse * (j22 * r1 - j12 * r2)
    free_ht = ht - inverse * (j11 * r2 - j21 * r1)
    new_hp = minimum(maximum(free_hp, lowest), minimum(highest, 1.0))
    new_ht = minimum(maximum(free_ht, lowest), highest)
    alone_ht = minimum(maximum(ht - r2 / j22, lowest), highest)
    alone_hp = minimum(maximum(hp - r1 / j11, lowest), minimum(highest, 1.0))
    return new_hp if new_ht == free_ht else alone_hp, new_ht if new_hp == free_hp else alone_ht


@loop
def _newton(x, f, by_hp, by_ht, kexc, system, terms, hp, ht, going, iterations, tolerance, lowest, highest):
    """One Newton step of the cells that have not converged, and the terms a, b, k, o at the levels it leads to.

    The terms follow from the corrections by their derivatives along the step: where it is the last one, that is exact
    to the square of the tolerance, and a converged cell keeps terms that do not depend on what its neighbours still
    do. A level that a limit holds has converged only if its residual asks for a level beyond it.
    """
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    p1, p2, p3, p4 = by_hp[0], by_hp[1], by_hp[2], by_hp[3]
    t1, t2, t3, t4 = by_ht[0], by_ht[1], by_ht[2], by_ht[3]
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    r1, r2, j11, j12, j21, j22 = system[0], system[1], system[2], system[3], system[4], system[5]
    real = hp.dtype.type
    zero, one = real(0), real(1)
    highest_hp = minimum(highest, one)
    for c in range(hp.size):
        new_hp, new_ht = newton_step(r1[c], r2[c], j11[c], j12[c], j21[c], j22[c], hp[c], ht[c], lowest, highest)
        d, e = new_hp - hp[c], new_ht - ht[c]
        moves = (abs(d) > tolerance * new_hp) | (abs(e) > tolerance * new_ht)
        moves |= ((new_hp <= lowest) & (r1[c] < zero)) | ((new_hp >= highest_hp) & (r1[c] > tolerance))
        moves |= ((new_ht <= lowest) & (r2[c] < zero)) | ((new_ht >= highest) & (r2[c] > zero))
        still = going[c] > zero
        iterations[c] += going[c]
        a[c] = pn[c] * (one + f1[c] + p1[c] * d + t1[c] * e) if still else a[c]
        b[c] = en[c] * (one + f2[c] + p2[c] * d + t2[c] * e) if still else b[c]
        k[c] = kexc[c] * (one + f3[c] + p3[c] * d + t3[c] * e) if still else k[c]
        o[c] = one + f4[c] + p4[c] * d + t4[c] * e if still else o[c]
        hp[c] = new_hp if still else hp[c]
        ht[c] = new_ht if still else ht[c]
        going[c] = one if still & moves else zero


@loop
def _solve_implicit(
    weights,
    widths,
    kind,
    work,
    room,
    kexc,
    inverse_cp,
    inverse_ct,
    hp0,
    ht0,
    hp,
    ht,
    counts,
    tolerance,
    lowest,
    highest,
):
    """New levels of a strip from those in hp, ht; work[0, 0] holds pn and en."""
    n = hp.size
    terms, scratch, system = room[0], room[1], room[2]
    going, iterations = scratch[1, :n], scratch[2, :n]
    for c in range(n):
        going[c], iterations[c] = 1, 0
    for _ in range(ITERATIONS):
        _evaluate(weights, widths, kind, work, hp, ht, n)
        x, f, by_hp, by_ht = work[0, 0], work[0, -1], work[3, -1], work[4, -1]
        _jacobian(x, f, by_hp, by_ht, kexc, inverse_cp, inverse_ct, hp0, ht0, hp, ht, system, n)
        _newton(x, f, by_hp, by_ht, kexc, system, terms, hp, ht, going, iterations, tolerance, lowest, highest)
        if total(going, n) == 0:
            break
    for c in range(n):
        if going[c] > 0:
            counts[2, c] += 1
            counts[3, c] += not _solve_alone(
                weights, widths, kind, work, room, c, kexc, inverse_cp, inverse_ct, hp0, ht0, hp, ht, tolerance,
                lowest, highest,
            )  # fmt: skip
    count_iterations(iterations, counts)


@loop
def next_level(level, residual, slope, low, high, lowest, highest):
    """Newton's next level if it lies in the bracket; else the limit beyond, if that was not tried, or the middle.

    low is 0 and high infinite until a residual of their sign was met. Never more than four times as high: from far
    above, Newton's method comes down by a fifth at a time.
    """
    real = type(level)
    better = level - residual / slope
    if not (maximum(low, lowest) <= better <= minimum(high, highest)):
        if residual > 0:
            better = real(0.5) * (low + high) if low > 0 else lowest
        else:
            better = real(0.5) * (low + high) if high < np.inf else highest
    return minimum(better, real(4) * level)


@loop
def _solve_alone(
    weights, widths, kind, work, room, c, kexc, inverse_cp, inverse_ct, hp0, ht0, hp, ht, tolerance, lowest, highest
):
    """Cell c alone: a bracketed search for ht, at each of whose guesses hp is found in a bracket of its own.

    Both residuals change sign between the limits, however the network bends them, so there is a root. The search
    starts from the old levels and keeps to the side to which the equation drives them. The cell is worked on in the
    first column of the strip's rows, which are free by then but for pn and en of another cell. Says whether it ended.
    """
    real = hp.dtype.type
    terms, alone = room[0], room[3]
    kept_pn, kept_en = work[0, 0, 2, 0], work[0, 0, 3, 0]
    pn, en = work[0, 0, 2, c], work[0, 0, 3, c]
    work[0, 0, 2, 0], work[0, 0, 3, 0] = pn, en
    guess_hp, guess_ht = alone[0, :1], alone[1, :1]
    guess_hp[0], guess_ht[0] = hp0[c], ht0[c]
    low, high, found = real(0), real(np.inf), False
    for _ in range(BRACKETED):
        residual, slope = _production_alone(
            weights, widths, kind, work, room, kexc[c:], inverse_cp[c:], inverse_ct[c:], hp0[c:], ht0[c:], tolerance,
            lowest, highest,
        )  # fmt: skip
        level = guess_ht[0]
        if residual > 0:
            high = level
        else:
            low = level
        better = next_level(level, residual, slope, low, high, lowest, highest)
        guess_ht[0] = better
        if abs(better - level) <= tolerance * better or high - low <= tolerance * level:
            found = True
            break
    f = work[0, -1]
    _production_alone(
        weights, widths, kind, work, room, kexc[c:], inverse_cp[c:], inverse_ct[c:], hp0[c:], ht0[c:], tolerance,
        lowest, highest,
    )  # fmt: skip
    terms[0, c], terms[1, c] = pn * (real(1) + f[0, 0]), en * (real(1) + f[1, 0])
    terms[2, c], terms[3, c] = kexc[c] * (real(1) + f[2, 0]), real(1) + f[3, 0]
    work[0, 0, 2, 0], work[0, 0, 3, 0] = kept_pn, kept_en
    hp[c], ht[c] = guess_hp[0], guess_ht[0]
    return found


@loop
def _production_alone(
    weights, widths, kind, work, room, kexc, inverse_cp, inverse_ct, hp0, ht0, tolerance, lowest, highest
):
    """hp of the first cell for its ht; the residual of ht there, and its derivative along that hp."""
    real = hp0.dtype.type
    system, hp, ht, n = room[2], room[3, 0, :1], room[3, 1, :1], hp0[:1].size
    low, high, highest_hp = real(0), real(np.inf), minimum(highest, real(1))
    for _ in range(BRACKETED):
        _evaluate(weights, widths, kind, work, hp, ht, n)
        _jacobian(
            work[0, 0], work[0, -1], work[3, -1], work[4, -1], kexc, inverse_cp, inverse_ct, hp0, ht0, hp, ht, system,
            n,
        )  # fmt: skip
        level, residual, slope = hp[0], system[0, 0], system[2, 0]
        if residual > 0:
            high = level
        else:
            low = level
        better = next_level(level, residual, slope, low, high, lowest, highest_hp)
        if abs(better - level) <= tolerance * better or high - low <= tolerance * level:
            break
        hp[0] = better
    total_slope = system[5, 0] - system[4, 0] * system[3, 0] / slope
    return system[1, 0], total_slope


@loop
def forward_implicit(
    wave, rows, first, last, low, high, offset, heads, net, parameters, constants, levels, lateral, flow, extra
):
    """As `forward_previous`."""
    to_discharge, _ = constants
    weights, widths, kind, work, room, spare, counts, tolerance, lowest, highest = extra
    values, slopes, terms, scratch = work[0], work[1], room[0], room[1]
    p = parameters
    for k in range(rows[0], rows[1]):
        hold_idle(wave, k, rows, first, last, low, high, heads, levels, lateral, flow)
        for block in range(2):
            a, b = window(low, high, block, wave + k, first[block], last[block])
            f = offset[block, wave + k] - low[block, wave + k]
            out, shift = (lateral, heads) if block else (flow, 0)
            for s in range(a, b, STRIP):
                e = min(s + STRIP, b)
                hp0, ht0 = levels[0, k, s:e], levels[1, k, s:e]
                hp, ht = levels[0, k + 1, s:e], levels[1, k + 1, s:e]
                inputs_of(net[f + s : f + e], hp0, ht0, values[0])
                network(weights, widths, kind, values, slopes, e - s)
                _terms(values[0], values[-1], p[4, s:e], terms)
                solve_held(
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
                _solve_implicit(
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
def _implicit_row_adjoint(
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
def reverse_implicit(
    wave, rows, first, last, low, high, offset, net, parameters, constants, levels,
    lateral_bar, levels_bar, parameters_bar, extra, weights_bar,
):  # fmt: skip
    """Transpose of `forward_implicit`, as `grnn.reverse`."""
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
                _evaluate(weights, widths, kind, work, hp, ht, e - s)
                _jacobian(
                    values[0], values[-1], work[3, -1], work[4, -1], p[4, s:e], p[1, s:e], p[3, s:e], hp0, ht0, hp, ht,
                    system, e - s,
                )  # fmt: skip
                _implicit_row_adjoint(
                    values[0], values[-1], work[3, -1], work[4, -1], system, p[0, s:e], p[1, s:e], p[2, s:e], p[3, s:e],
                    p[4, s:e], hp0, ht0, hp, ht, to_discharge[s:e], lateral_bar[k - rows[0], s:e],
                    levels_bar[0, s:e], levels_bar[1, s:e], p_bar[0, s:e], p_bar[1, s:e], p_bar[2, s:e], bars[-1],
                    lowest, highest,
                )  # fmt: skip
                network_adjoint(weights, widths, values, slopes, bars, weights_bar, e - s)
