"""One implicit Euler step of a strip of cells (P2 eqs 8-14), and its transpose by the implicit function theorem.

Rows p of the cells are cp, 1/cp, ct, 1/ct, kexc; states are hp, ht.

`terms[4, STRIP]` holds what the corrections make of rain, evapotranspiration, exchange and outflow: a, b, k, o
(legend in `water.state_space`). Newton's passes go over the whole strip; a cell that has converged keeps its value,
so its bits do not depend on its neighbours. The few that do not converge are solved again one by one, by Newton's
method inside a bracket, and counted: the residual changes sign between the limits, so there is a root to find, that of
the very equation that the transpose takes. Substeps would solve another equation, and leave the transpose a chain of
them. `limits`: lowest and highest level; a level that is held there passes no derivative on.

Iterations, and steps that are solved again, are counted (`rows.SolverCounts`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hydrocli.jit import kernel, loop, reduction
from hydrocli.water.state_space import (
    production_root,
    production_root_adjoint,
    state_space_runoff,
    state_space_runoff_adjoint,
    transfer_residual,
    transfer_residual_adjoint,
)
from hydrocli.water.transfer import LOWEST_LEVEL
from hydrocli.water.vector_math import inverse_fourth_root, maximum, minimum, where_positive

ITERATIONS = 12
BRACKETED = 200
LEAST_OUTFLOW = 1e-6
"""For the first guess alone: 1 + f4 may vanish."""
HIGHEST_LEVEL = {"conservative": 1e6, "as_published": 1.0 - 1e-6}
"""Of both stores, by `flux_limits`; hp stays below 1 by its equation. No flood comes near 1e6: it bounds a store whose
outflow a network has closed to the last bit, before its powers overflow in single precision."""


class Limits(NamedTuple):
    """Of the solver: relative step at which it has converged, lowest and highest level; numbers of one precision."""

    tolerance: np.floating
    lowest: np.floating
    highest: np.floating


def limits_of(tolerance: float, flux_limits: str, real: type) -> Limits:
    """The limits of the levels of a structure."""
    return Limits(real(tolerance), real(LOWEST_LEVEL), real(HIGHEST_LEVEL[flux_limits]))


@loop
def corrected_terms(x, f, kexc, terms):
    """a = pn (1 + f1), b = en (1 + f2), k = kexc (1 + f3), o = 1 + f4."""
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    one = terms.dtype.type(1)
    for c in range(kexc.size):
        a[c], b[c] = pn[c] * (one + f1[c]), en[c] * (one + f2[c])
        k[c], o[c] = kexc[c] * (one + f3[c]), one + f4[c]


@loop
def corrected_terms_adjoint(x, f, kexc, terms_bar, f_bar, kexc_bar):
    """Transpose of `corrected_terms`; kexc_bar is summed."""
    pn, en, f3 = x[2], x[3], f[2]
    a_bar, b_bar, k_bar, o_bar = terms_bar[0], terms_bar[1], terms_bar[2], terms_bar[3]
    f1_bar, f2_bar, f3_bar, f4_bar = f_bar[0], f_bar[1], f_bar[2], f_bar[3]
    one = terms_bar.dtype.type(1)
    for c in range(kexc.size):
        f1_bar[c], f2_bar[c] = a_bar[c] * pn[c], b_bar[c] * en[c]
        f3_bar[c], f4_bar[c] = k_bar[c] * kexc[c], o_bar[c]
        kexc_bar[c] += k_bar[c] * (one + f3[c])


@kernel
def first_level(inflow, o, inverse_ct, ht0):
    """A level not below the root where exchange takes water; outflow alone bounds it by (4 reach / o)^(1/4)."""
    reach = ht0 + inflow * inverse_ct
    most = 4.0 * reach / maximum(o, LEAST_OUTFLOW)
    inverse = inverse_fourth_root(most)
    return minimum(reach, maximum(most * (inverse * inverse * inverse), 1.0))


@loop
def _start(terms, p, states, new_states, scratch, limits):
    a, b, o = terms[0], terms[1], terms[3]
    cp, inverse_ct, hp0, ht0, hp, ht = p[0], p[3], states[0], states[1], new_states[0], new_states[1]
    inflow, going, iterations = scratch[0], scratch[1], scratch[2]
    lowest, highest = limits.lowest, limits.highest
    one, nine_tenths = inflow.dtype.type(1), inflow.dtype.type(0.9)
    for c in range(hp.size):
        hp[c] = minimum(maximum(production_root(a[c], b[c], cp[c], hp0[c]), lowest), highest)
        inflow[c] = nine_tenths * hp[c] * hp[c] * a[c]
        ht[c] = first_level(inflow[c], o[c], inverse_ct[c], ht0[c])
        going[c] = one
        iterations[c] = inflow.dtype.type(0)


@loop
def _improve(terms, inverse_ct, ht0, ht, scratch, limits):
    k, o, inflow, going, iterations = terms[2], terms[3], scratch[0], scratch[1], scratch[2]
    tolerance, lowest, highest = limits.tolerance, limits.lowest, limits.highest
    zero, one = inflow.dtype.type(0), inflow.dtype.type(1)
    for c in range(ht.size):
        level, active = ht[c], going[c]  # read once, as in `lagged_adjoint`
        residual, slope = transfer_residual(inflow[c], k[c], o[c], inverse_ct[c], ht0[c], level)
        better = minimum(maximum(level - residual / slope, lowest), highest)
        moves = abs(better - level) > tolerance * better
        # at a limit, only where the residual asks for a level beyond it
        moves |= ((better <= lowest) & (residual < zero)) | ((better >= highest) & (residual > zero))
        iterations[c] += active
        ht[c] = where_positive(active, better, level)
        going[c] = one if (active > zero) & moves else zero


@reduction
def total(values, n):
    """Sum of the first n values."""
    found = values.dtype.type(0)
    for c in range(n):
        found += values[c]
    return found


@loop
def _bracketed(inflow, k, o, inverse_ct, ht0, limits):
    """Root by Newton's method in a bracket that halves where Newton leaves it: the level, and whether it was found.

    The gain by exchange is limited, so a store above 1 never rises by more than that and the inflow.
    """
    real = type(inflow)
    tolerance, lowest, highest = limits.tolerance, limits.lowest, limits.highest
    most = ht0 + (inflow + maximum(k, real(0))) * inverse_ct
    low, high = lowest, minimum(maximum(most, real(1)), highest)
    if transfer_residual(inflow, k, o, inverse_ct, ht0, high)[0] <= 0:
        return high, True
    if transfer_residual(inflow, k, o, inverse_ct, ht0, low)[0] >= 0:
        return low, True
    level = minimum(maximum(first_level(inflow, o, inverse_ct, ht0), low), high)
    for _ in range(BRACKETED):
        residual, slope = transfer_residual(inflow, k, o, inverse_ct, ht0, level)
        if residual > 0:
            high = level
        else:
            low = level
        better = level - residual / slope
        if not (low <= better <= high):
            better = real(0.5) * (low + high)
        step = abs(better - level)
        level = better
        if step <= tolerance * level:
            return level, True
    return level, high - low <= tolerance * level


@loop
def solve_lagged(terms, p, states, new_states, scratch, counts, limits):
    """New levels of a strip, with the corrections of the levels before the step."""
    ht0, ht, inverse_ct = states[1], new_states[1], p[3]
    n = ht.size
    inflow, going = scratch[0], scratch[1]
    _start(terms, p, states, new_states, scratch, limits)
    leave_out(going, counts)
    for _ in range(ITERATIONS):
        _improve(terms, inverse_ct, ht0, ht, scratch, limits)
        if total(going, n) == 0:
            break
    if total(going, n) > 0:
        for c in range(n):
            if going[c] > 0:
                ht[c], found = _bracketed(inflow[c], terms[2, c], terms[3, c], inverse_ct[c], ht0[c], limits)
                counts.numbers[2, c] += 1
                counts.numbers[3, c] += not found
    count_iterations(scratch[2, :n], counts)


@loop
def leave_out(going, counts):
    """Cells beside first..last of the counts are not iterated: they have no step to do."""
    going[: counts.first] = 0
    going[counts.last :] = 0


@loop
def count_iterations(iterations, counts):
    """Add the iterations of a step to the counts of its cells."""
    summed, most = counts.numbers[0], counts.numbers[1]
    for c in range(iterations.size):
        summed[c] += iterations[c]
        most[c] = maximum(most[c], iterations[c])


@loop
def runoff_of(terms, ct, new_states, to_discharge, runoff):
    """Lateral inflow [m3/s] of a strip at the new levels."""
    a, k, o, hp, ht = terms[0], terms[2], terms[3], new_states[0], new_states[1]
    for c in range(runoff.size):
        runoff[c] = state_space_runoff(a[c], k[c], o[c], ct[c], hp[c], ht[c]) * to_discharge[c]


@loop
def lagged_adjoint(
    terms, p, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, terms_bar, limits
):  # fmt: skip
    """Transpose of `solve_lagged` and `runoff_of`; states_bar become those before it, p_bar (cp, ct) is summed."""
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    a_bar, b_bar, k_bar, o_bar = terms_bar[0], terms_bar[1], terms_bar[2], terms_bar[3]
    cp, ct, inverse_ct, cp_bar, ct_bar = p[0], p[2], p[3], p_bar[0], p_bar[1]
    hp0, ht0, hp, ht, hp_bar, ht_bar = states[0], states[1], new_states[0], new_states[1], states_bar[0], states_bar[1]
    lowest, highest = limits.lowest, limits.highest
    real = hp.dtype.type
    zero, nine_tenths = real(0), real(0.9)
    for c in range(hp.size):
        ht_after = ht_bar[c]  # read once: LLVM would take a second read, on one way of a branch, for another row
        # qt = state_space_runoff(a, k, o, ct, hp, ht)
        a_more, k_more, o_more, ct_more, hp_more, ht_more = state_space_runoff_adjoint(
            a[c], k[c], o[c], ct[c], hp[c], ht[c], runoff_bar[c] * to_discharge[c]
        )
        # ht: transfer_residual(inflow, k, o, 1/ct, ht0, ht) = 0
        inflow = nine_tenths * hp[c] * hp[c] * a[c]
        _, slope = transfer_residual(inflow, k[c], o[c], inverse_ct[c], ht0[c], ht[c])
        free = lowest < ht[c] < highest
        residual_bar = -(ht_after + ht_more) / slope if free else zero
        inflow_bar, k_root, o_root, inverse_ct_bar, ht_bar[c], _ = transfer_residual_adjoint(
            inflow, k[c], o[c], inverse_ct[c], ht0[c], ht[c], residual_bar, zero
        )
        # inflow = 0.9 hp^2 a
        a_more += nine_tenths * hp[c] * hp[c] * inflow_bar
        hp_all = hp_bar[c] + hp_more + real(2) * nine_tenths * hp[c] * a[c] * inflow_bar
        # hp = production_root(a, b, cp, hp0)
        hp_all = hp_all if lowest < hp[c] < highest else zero
        a_root, b_bar[c], cp_more, hp_bar[c] = production_root_adjoint(a[c], b[c], cp[c], hp0[c], hp_all)
        a_bar[c], k_bar[c], o_bar[c] = a_more + a_root, k_more + k_root, o_more + o_root
        cp_bar[c] += cp_more
        ct_bar[c] += ct_more - inverse_ct_bar * inverse_ct[c] * inverse_ct[c]
