"""Both equations of an implicit step of `node`, the network inside them (P2 eqs 4, 5, 14), and their solution.

Newton's passes go over a strip of cells, with the derivatives of the network in the Jacobian. The few cells that do not
converge are solved again one by one, by a search in a bracket.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import kernel, loop
from hydrocli.structures.implicit_euler import Limits, count_iterations, leave_out, total
from hydrocli.structures.network import Network, network, network_tangent
from hydrocli.water.exchange import driving_level, exchange
from hydrocli.water.state_space import coupling, transfer_residual
from hydrocli.water.vector_math import maximum, minimum, where_positive

ITERATIONS = 20
BRACKETED = 200
GUESS_TOLERANCE = 1e-2
"""Of the lagged solution, from which Newton's method starts."""
HALVED = 3
"""Every so many guesses the bracket is halved, once both its ends were met: rounding can make Newton's method crawl."""


class NodeWorkspace(NamedTuple):
    """Rows for a strip of `node`, for one thread.

    network: with tangents by hp and ht. terms: [4, STRIP] a, b, k, o (see `implicit_euler`). scratch: [4, STRIP].
    system: [6, STRIP] residuals of both stores, Jacobian by rows. guess: [2, STRIP], levels of a cell that is solved
    alone. first_counts: [4, STRIP], of the first guess, which are no result. limits, guess_limits: of the solution, of
    the first guess.
    """

    network: Network
    terms: NDArray[np.floating]
    scratch: NDArray[np.floating]
    system: NDArray[np.floating]
    guess: NDArray[np.floating]
    first_counts: NDArray[np.floating]
    limits: Limits
    guess_limits: Limits


@loop
def evaluate(net, hp, ht, n):
    """Corrections (values[-1]) and their derivatives by hp and ht (tangents[0, -1], [1, -1]) at new levels."""
    v0, v1 = net.values[0, 0], net.values[0, 1]
    for c in range(n):
        v0[c], v1[c] = hp[c], ht[c]
    network(net, n, True)
    for level in range(2):
        network_tangent(net, level, n)


@loop
def jacobian(net, p, states, hp, ht, system, n):
    """Rows of system: residuals of both stores; Jacobian hp by hp, hp by ht, ht by hp, ht by ht."""
    x, f, df_dhp, df_dht = net.values[0], net.values[-1], net.tangents[0, -1], net.tangents[1, -1]
    inverse_cp, inverse_ct, kexc, hp0, ht0 = p[1], p[3], p[4], states[0], states[1]
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    p1, p2, p3, p4 = df_dhp[0], df_dhp[1], df_dhp[2], df_dhp[3]
    t1, t2, t3, t4 = df_dht[0], df_dht[1], df_dht[2], df_dht[3]
    r1, r2, j11, j12, j21, j22 = system[0], system[1], system[2], system[3], system[4], system[5]
    real = hp.dtype.type
    one, two, share = real(1), real(2), real(0.9)
    for c in range(n):
        h = hp[c]
        a, b = pn[c] * (one + f1[c]), en[c] * (one + f2[c])
        residual, slope = transfer_residual(
            share * h * h * a, kexc[c] * (one + f3[c]), one + f4[c], inverse_ct[c], ht0[c], ht[c]
        )
        exchanged = exchange(one, driving_level(kexc[c], ht[c]))
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
def _newton(net, kexc, system, terms, hp, ht, scratch, limits):
    """One Newton step of the cells that have not converged, and the terms a, b, k, o at the levels it leads to.

    The terms follow from the corrections by their derivatives along the step: where it is the last one, that is exact
    to the square of the tolerance, and a converged cell keeps terms that do not depend on what its neighbours still
    do. A level that a limit holds has converged only if its residual asks for a level beyond it.
    """
    x, f, df_dhp, df_dht = net.values[0], net.values[-1], net.tangents[0, -1], net.tangents[1, -1]
    going, iterations = scratch[1], scratch[2]
    tolerance, lowest, highest = limits.tolerance, limits.lowest, limits.highest
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    p1, p2, p3, p4 = df_dhp[0], df_dhp[1], df_dhp[2], df_dhp[3]
    t1, t2, t3, t4 = df_dht[0], df_dht[1], df_dht[2], df_dht[3]
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    r1, r2, j11, j12, j21, j22 = system[0], system[1], system[2], system[3], system[4], system[5]
    real = hp.dtype.type
    zero, one = real(0), real(1)
    highest_hp = minimum(highest, one)
    for c in range(hp.size):
        # every row is read once, and not under a condition: such reads would be masked
        old_hp, old_ht, old_a, old_b, old_k, old_o = hp[c], ht[c], a[c], b[c], k[c], o[c]
        first, second, active = r1[c], r2[c], going[c]
        new_hp, new_ht = newton_step(first, second, j11[c], j12[c], j21[c], j22[c], old_hp, old_ht, lowest, highest)
        d, e = new_hp - old_hp, new_ht - old_ht
        new_a, new_b = pn[c] * (one + f1[c] + p1[c] * d + t1[c] * e), en[c] * (one + f2[c] + p2[c] * d + t2[c] * e)
        new_k, new_o = kexc[c] * (one + f3[c] + p3[c] * d + t3[c] * e), one + f4[c] + p4[c] * d + t4[c] * e
        moves = (abs(d) > tolerance * new_hp) | (abs(e) > tolerance * new_ht)
        moves |= ((new_hp <= lowest) & (first < zero)) | ((new_hp >= highest_hp) & (first > tolerance))
        moves |= ((new_ht <= lowest) & (second < zero)) | ((new_ht >= highest) & (second > zero))
        iterations[c] += active
        a[c], b[c] = where_positive(active, new_a, old_a), where_positive(active, new_b, old_b)
        k[c], o[c] = where_positive(active, new_k, old_k), where_positive(active, new_o, old_o)
        hp[c], ht[c] = where_positive(active, new_hp, old_hp), where_positive(active, new_ht, old_ht)
        going[c] = one if (active > zero) & moves else zero


@loop
def solve_implicit(workspace, p, states, new_states, counts):
    """New levels of a strip from those in new_states; the inputs of the network hold pn and en."""
    net, terms, scratch, system = workspace.network, workspace.terms, workspace.scratch, workspace.system
    hp, ht, kexc = new_states[0], new_states[1], p[4]
    n = hp.size
    going, iterations = scratch[1, :n], scratch[2, :n]
    for c in range(n):
        going[c], iterations[c] = 1, 0
    leave_out(going, counts)
    for _ in range(ITERATIONS):
        evaluate(net, hp, ht, n)
        jacobian(net, p, states, hp, ht, system, n)
        _newton(net, kexc, system, terms, hp, ht, scratch, workspace.limits)
        if total(going, n) == 0:
            break
    for c in range(n):
        if going[c] > 0:
            counts.numbers[2, c] += 1
            counts.numbers[3, c] += not _solve_alone(workspace, c, p, states, new_states)
    count_iterations(iterations, counts)


@loop
def next_level(guess, level, residual, slope, low, high, lowest, highest):
    """Newton's next level if it lies in the bracket; else the limit beyond, if that was not tried, or the middle.

    guess is their number. low is 0 and high infinite until a residual of their sign was met. Never more than four times
    as high: from far above, Newton's method comes down by a fifth at a time.
    """
    real = type(level)
    better = level - residual / slope
    if guess % HALVED == HALVED - 1 and low > 0 and high < np.inf:
        better = real(0.5) * (low + high)
    if not (maximum(low, lowest) <= better <= minimum(high, highest)):
        if residual > 0:
            better = real(0.5) * (low + high) if low > 0 else lowest
        else:
            better = real(0.5) * (low + high) if high < np.inf else highest
    return minimum(better, real(4) * level)


@loop
def _solve_alone(workspace, c, p, states, new_states):
    """Cell c alone: a bracketed search for ht, at each of whose guesses hp is found in a bracket of its own.

    Both residuals change sign between the limits, however the network bends them, so there is a root. The search
    starts from the old levels and keeps to the side to which the equation drives them. The cell is worked on in the
    first column of the strip's rows, which are free by then but for pn and en of another cell. Says whether it ended.
    """
    net, terms, guess = workspace.network, workspace.terms, workspace.guess
    tolerance, lowest, highest = workspace.limits.tolerance, workspace.limits.lowest, workspace.limits.highest
    real, x, kexc = terms.dtype.type, net.values[0], p[4]
    cell = (p[0][c:], p[1][c:], p[2][c:], p[3][c:], p[4][c:])
    before = (states[0][c:], states[1][c:])
    kept_pn, kept_en = x[2, 0], x[3, 0]
    pn, en = x[2, c], x[3, c]
    x[2, 0], x[3, 0] = pn, en
    guess[0, 0], guess[1, 0] = before[0][0], before[1][0]
    low, high, found = real(0), real(np.inf), False
    for number in range(BRACKETED):
        residual, slope = _production_alone(workspace, cell, before)
        level = guess[1, 0]
        if residual > 0:
            high = level
        else:
            low = level
        better = next_level(number, level, residual, slope, low, high, lowest, highest)
        guess[1, 0] = better
        if abs(better - level) <= tolerance * better or high - low <= tolerance * level:
            found = True
            break
    f = net.values[-1]
    _production_alone(workspace, cell, before)
    terms[0, c], terms[1, c] = pn * (real(1) + f[0, 0]), en * (real(1) + f[1, 0])
    terms[2, c], terms[3, c] = kexc[c] * (real(1) + f[2, 0]), real(1) + f[3, 0]
    x[2, 0], x[3, 0] = kept_pn, kept_en
    new_states[0][c], new_states[1][c] = guess[0, 0], guess[1, 0]
    return found


@loop
def _production_alone(workspace, p, states):
    """hp of the first cell for its ht; the residual of ht there, and its derivative along that hp."""
    net, system = workspace.network, workspace.system
    tolerance, lowest, highest = workspace.limits.tolerance, workspace.limits.lowest, workspace.limits.highest
    real = system.dtype.type
    hp, ht = workspace.guess[0, :1], workspace.guess[1, :1]
    low, high, highest_hp = real(0), real(np.inf), minimum(highest, real(1))
    for number in range(BRACKETED):
        evaluate(net, hp, ht, 1)
        jacobian(net, p, states, hp, ht, system, 1)
        level, residual, slope = hp[0], system[0, 0], system[2, 0]
        if residual > 0:
            high = level
        else:
            low = level
        better = next_level(number, level, residual, slope, low, high, lowest, highest_hp)
        if abs(better - level) <= tolerance * better or high - low <= tolerance * level:
            break
        hp[0] = better
    total_slope = system[5, 0] - system[4, 0] * system[3, 0] / slope
    return system[1, 0], total_slope
