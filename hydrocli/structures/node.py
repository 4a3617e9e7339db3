"""The structure `node`: `ode` with corrections by a network (P2 eqs 3-6, 14).

* `lagged`: the network sees the levels before the step and is held over it (P2 eq. 3). The step is that of `ode` with
  other terms, and so is its transpose.
* `implicit`: the network sees the levels after the step (P2 eq. 4). Newton's method (`node_newton`) starts from the
  lagged solution. The transpose is one transposed 2x2 solve at the levels found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import kernel, loop
from hydrocli.names import FLUXES
from hydrocli.structures import ode
from hydrocli.structures.implicit_euler import (
    corrected_terms,
    corrected_terms_adjoint,
    lagged_adjoint,
    limits_of,
    runoff_of,
    solve_lagged,
)
from hydrocli.structures.network import network, network_adjoint, network_of
from hydrocli.structures.node_newton import NodeWorkspace, evaluate, jacobian, solve_implicit
from hydrocli.structures.ode import fluxes_at
from hydrocli.structures.rows import STRIP, ZERO_F32, split_net
from hydrocli.structures.structure import CellModel, Correction, Structure, register
from hydrocli.water.state_space import state_space_runoff_adjoint, transfer_residual_adjoint
from hydrocli.water.vector_math import minimum


def _workspace(structure: Structure, weights: NDArray[np.floating], real: type) -> NodeWorkspace:
    net = network_of(structure.widths, structure.activation, weights, real, tangents=True)
    rows: NDArray[np.floating] = np.zeros((2, 4, STRIP), real)
    system: NDArray[np.floating] = np.zeros((6, STRIP), real)
    guess: NDArray[np.floating] = np.zeros((2, STRIP), real)
    counts = np.zeros((4, STRIP), np.int64)
    limits = limits_of(structure.tolerance, structure.flux_limits, real)
    return NodeWorkspace(net, rows[0], rows[1], system, guess, counts, limits)


@loop
def fill_inputs(net, states, x):
    """Inputs of the network: hp, ht, pn, en."""
    hp, ht, v0, v1 = states[0], states[1], x[0], x[1]
    for c in range(net.size):
        v0[c], v1[c] = hp[c], ht[c]
    split_net(net, x[2], x[3])


@loop
def lagged_terms(net, states, kexc, workspace):
    """Corrections at given levels, and the terms that they make."""
    network_ = workspace.network
    x = network_.values[0]
    fill_inputs(net, states, x)
    network(network_, net.size)
    corrected_terms(x, network_.values[-1], kexc, workspace.terms)


@loop
def advance_lagged(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """See `explicit.advance`."""
    lagged_terms(forcing[0], states, p[4], workspace)
    solve_lagged(workspace.terms, p, states, new_states, workspace.scratch, counts, workspace.limits)
    runoff_of(workspace.terms, p[2], new_states, to_discharge, runoff)


@loop
def advance_lagged_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """See `explicit.advance_adjoint`."""
    net, terms, terms_bar, network_ = forcing[0], workspace.terms, workspace.scratch, workspace.network
    n, x, f, hp_bar, ht_bar = net.size, network_.values[0], network_.values[-1], states_bar[0], states_bar[1]
    lagged_terms(net, states, p[4], workspace)
    lagged_adjoint(
        terms, p, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, terms_bar, workspace.limits
    )
    corrected_terms_adjoint(x, f, p[4], terms_bar, network_.bars[-1], p_bar[2])
    network_adjoint(network_, weights_bar, n)
    bars = network_.bars[0]
    for c in range(n):
        hp_bar[c] += bars[0, c]
        ht_bar[c] += bars[1, c]
    _terms_to_net(net, terms_bar, network_, net_bar)


@loop
def _terms_to_net(net, terms_bar, network_, net_bar):
    """Bar of the forcing, where it is wanted: by the terms a = pn (1 + f1), b = en (1 + f2) and by the network."""
    f, bars = network_.values[-1], network_.bars[0]
    one = f.dtype.type(1)
    for c in range(net_bar.size):
        by_pn = terms_bar[0, c] * (one + f[0, c]) + bars[2, c]
        by_en = terms_bar[1, c] * (one + f[1, c]) + bars[3, c]
        net_bar[c] = by_pn if net[c] > ZERO_F32 else -by_en


@loop
def advance_implicit(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """See `explicit.advance`."""
    net = forcing[0]
    lagged_terms(net, states, p[4], workspace)
    first = workspace.first_counts[:, : net.size]
    solve_lagged(workspace.terms, p, states, new_states, workspace.scratch, first, workspace.limits)
    solve_implicit(workspace, p, states, new_states, counts)
    runoff_of(workspace.terms, p[2], new_states, to_discharge, runoff)


@kernel
def transposed_solve(j11, j12, j21, j22, hp_bar, ht_bar, hp_free, ht_free):
    """Bars of the residuals, sign turned; a level that is not free (factor 0) passes nothing on."""
    bar1, bar2 = hp_bar * hp_free, ht_bar * ht_free
    both_free = hp_free * ht_free
    inverse = 1.0 / (j11 * j22 - both_free * j12 * j21)
    return inverse * (j22 * bar1 - both_free * j21 * bar2), inverse * (j11 * bar2 - both_free * j12 * bar1)


@loop
def implicit_adjoint(workspace, p, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, terms_bar):
    """From the bars of the new levels and of the runoff to those of all that the step depends on.

    The rows of `terms_bar` become the bars of a and b, those of the network the bars of the corrections.
    """
    net, system = workspace.network, workspace.system
    x, f, df_dhp, df_dht, f_bar = net.values[0], net.values[-1], net.tangents[0, -1], net.tangents[1, -1], net.bars[-1]
    inverse_cp, ct, inverse_ct, kexc = p[1:]
    hp, ht, ht0 = new_states[0], new_states[1], states[1]
    hp_bar, ht_bar, cp_bar, ct_bar, kexc_bar = states_bar[0], states_bar[1], p_bar[0], p_bar[1], p_bar[2]
    pn, en, f1, f2, f3, f4 = x[2], x[3], f[0], f[1], f[2], f[3]
    p1, p3, p4 = df_dhp[0], df_dhp[2], df_dhp[3]
    t1, t3, t4 = df_dht[0], df_dht[2], df_dht[3]
    f1_bar, f2_bar, f3_bar, f4_bar = f_bar[0], f_bar[1], f_bar[2], f_bar[3]
    a_out, b_out = terms_bar[0], terms_bar[1]
    j11, j12, j21, j22 = system[2], system[3], system[4], system[5]
    lowest, highest = workspace.limits.lowest, workspace.limits.highest
    real = hp.dtype.type
    zero, one, two, share = real(0), real(1), real(2), real(0.9)
    for c in range(hp.size):
        h = hp[c]
        a, b = pn[c] * (one + f1[c]), en[c] * (one + f2[c])
        k, o = kexc[c] * (one + f3[c]), one + f4[c]
        # qt = state_space_runoff(a, k, o, ct, hp, ht), the corrections at the new levels too
        a_bar, k_bar, o_bar, ct_more, hp_more, ht_more = state_space_runoff_adjoint(
            a, k, o, ct[c], h, ht[c], runoff_bar[c] * to_discharge[c]
        )
        hp_total = hp_bar[c] + hp_more + a_bar * pn[c] * p1[c] + k_bar * kexc[c] * p3[c] + o_bar * p4[c]
        ht_total = ht_bar[c] + ht_more + a_bar * pn[c] * t1[c] + k_bar * kexc[c] * t3[c] + o_bar * t4[c]
        # both residuals are zero
        hp_free = one if lowest < h < minimum(highest, one) else zero
        ht_free = one if lowest < ht[c] < highest else zero
        first, second = transposed_solve(j11[c], j12[c], j21[c], j22[c], hp_total, ht_total, hp_free, ht_free)
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
        a_out[c], b_out[c] = a_bar, -moved_bar * dry
        f1_bar[c], f2_bar[c] = a_bar * pn[c], -moved_bar * dry * en[c]
        f3_bar[c], f4_bar[c] = k_bar * kexc[c], o_bar + o_more
        kexc_bar[c] += k_bar * (one + f3[c])


@loop
def advance_implicit_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """See `explicit.advance_adjoint`."""
    net, network_, terms_bar = forcing[0], workspace.network, workspace.scratch
    n, hp, ht = net.size, new_states[0], new_states[1]
    fill_inputs(net, new_states, network_.values[0])
    evaluate(network_, hp, ht, n)
    jacobian(network_, p, states, hp, ht, workspace.system, n)
    implicit_adjoint(workspace, p, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, terms_bar)
    network_adjoint(network_, weights_bar, n)
    _terms_to_net(net, terms_bar, network_, net_bar)


@loop
def _fluxes(net, p, states, new_states, workspace, fluxes):
    """Fluxes (see `FLUX_NAMES`) and corrections, with the terms that are there."""
    terms, x, f = workspace.terms, workspace.network.values[0], workspace.network.values[-1]
    limits = (workspace.limits.lowest, workspace.limits.highest)
    for c in range(net.size):
        (fluxes[0, c], fluxes[1, c], fluxes[2, c], fluxes[3, c], fluxes[4, c], fluxes[5, c], fluxes[6, c]) = fluxes_at(
            terms[0, c], terms[1, c], terms[2, c], terms[3, c], (p[0][c], p[1][c], p[2][c], p[3][c], p[4][c]),
            (states[0][c], states[1][c]), (new_states[0][c], new_states[1][c]), limits,
        )  # fmt: skip
        fluxes[7, c] = x[2, c] * f[0, c]
        for k in range(4):
            fluxes[8 + k, c] = f[k, c]


@loop
def diagnose_lagged(forcing, p, constants, states, new_states, workspace, fluxes):
    """See `explicit.diagnose`."""
    lagged_terms(forcing[0], states, p[4], workspace)
    _fluxes(forcing[0], p, states, new_states, workspace, fluxes)


@loop
def diagnose_implicit(forcing, p, constants, states, new_states, workspace, fluxes):
    """See `explicit.diagnose`."""
    lagged_terms(forcing[0], new_states, p[4], workspace)
    _fluxes(forcing[0], p, states, new_states, workspace, fluxes)


FLUX_NAMES = (*ode.FLUX_NAMES, "source")
DECLARED: dict[str, Any] = ode.DECLARED | {
    "fluxes": tuple(FLUXES[symbol] for symbol in FLUX_NAMES),
    "balance": ode.ODE.balance | {"correction_source": ("source",)},
    "corrections": tuple(map(Correction, ("rain", "evaporation", "exchange", "outflow"))),
    "workspace": _workspace,
    "options": ("network", "flux_limits", "network_coupling", "tolerance"),
    "iterates": True,
    "seconds": (165e-9, 54e-9),
}
NODE_LAGGED = CellModel(
    name="node_lagged",
    title="GR4 as differential equations, corrected by a network at the levels before the step (P2 eqs 3, 5, 6)",
    advance=advance_lagged,
    advance_adjoint=advance_lagged_adjoint,
    advance_adjoint_to_forcing=advance_lagged_adjoint,
    diagnose=diagnose_lagged,
    **DECLARED,
)
NODE_IMPLICIT = CellModel(
    name="node_implicit",
    title="GR4 as differential equations, corrected by a network at the levels after the step (P2 eqs 4-6, 14)",
    advance=advance_implicit,
    advance_adjoint=advance_implicit_adjoint,
    advance_adjoint_to_forcing=advance_implicit_adjoint,
    diagnose=diagnose_implicit,
    corrects_new_levels=True,
    **DECLARED | {"seconds": (290e-9, 160e-9)},
)
register("node", lambda options: NODE_IMPLICIT if options.network_coupling == "implicit" else NODE_LAGGED)
