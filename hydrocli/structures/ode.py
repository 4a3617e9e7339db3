"""The structure `ode`: GR as differential equations without corrections (P2 eqs 5, 6, 8-13).

By implicit Euler, or, to compare with, by explicit Euler in substeps:

    hp <- hp + dhp/dt / n        ht <- ht + dht/dt / n        qt = mean of the runoff at the n levels left

There a level that leaves its limits is held at them, which adds or loses water; it is counted as `clamped`. The
transpose goes through the substeps again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import loop
from hydrocli.names import FLUXES, PARAMETERS
from hydrocli.structures import gr
from hydrocli.structures.gr import LEVELS, prepare
from hydrocli.structures.implicit_euler import Limits, lagged_adjoint, limits_of, runoff_of, solve_lagged
from hydrocli.structures.rows import STRIP, ZERO_F32
from hydrocli.structures.structure import CellModel, Structure, register
from hydrocli.water.state_space import (
    state_space_fluxes,
    state_space_rates,
    state_space_rates_adjoint,
    state_space_runoff,
    state_space_runoff_adjoint,
)
from hydrocli.water.vector_math import maximum, minimum


class OdeWorkspace(NamedTuple):
    """Rows for a strip, for one thread: terms[4, STRIP] a, b, k, o (see `implicit_euler`), scratch[4, STRIP].

    path: [2, substeps + 1, STRIP], levels of the explicit scheme. share: length of its substeps.
    """

    terms: NDArray[np.floating]
    scratch: NDArray[np.floating]
    path: NDArray[np.floating]
    share: np.floating
    limits: Limits


def _workspace(structure: Structure, weights: NDArray[np.floating], real: type) -> OdeWorkspace:
    limits = limits_of(structure.tolerance, structure.flux_limits, real)
    path: NDArray[np.floating] = np.zeros((2, structure.substeps + 1, STRIP), real)
    rows: NDArray[np.floating] = np.zeros((2, 4, STRIP), real)
    return OdeWorkspace(rows[0], rows[1], path, real(1.0 / structure.substeps), limits)


@loop
def terms_of(net, kexc, terms):
    """a, b, k, o without corrections."""
    real = terms.dtype.type
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    for c in range(net.size):
        a[c], b[c] = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
        k[c], o[c] = kexc[c], real(1)


@loop
def advance(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """See `explicit.advance`."""
    terms = workspace.terms
    terms_of(forcing[0], p[4], terms)
    solve_lagged(terms, p, states, new_states, workspace.scratch, counts, workspace.limits)
    runoff_of(terms, p[2], new_states, to_discharge, runoff)


@loop
def advance_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """See `explicit.advance_adjoint`."""
    net, terms, terms_bar, kexc_bar = forcing[0], workspace.terms, workspace.scratch, p_bar[2]
    terms_of(net, p[4], terms)
    lagged_adjoint(
        terms, p, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, terms_bar, workspace.limits
    )
    for c in range(runoff_bar.size):
        kexc_bar[c] += terms_bar[2, c]
    for c in range(net_bar.size):
        net_bar[c] = terms_bar[0, c] if net[c] > ZERO_F32 else -terms_bar[1, c]


@loop
def fluxes_at(a, b, k, o, p, states, new_states, limits):
    """Fluxes (see `FLUX_NAMES`) of a step that ends at the new levels; the limits add what they do not explain."""
    cp, _, ct, _, _ = p
    (hp0, ht0), (hp, ht) = states, new_states
    lowest, highest = limits
    ps, es, pr, F, qr = state_space_fluxes(a, b, k, o, ct, hp, ht)
    by_hp = cp * (hp - hp0) - (ps - es) if hp <= lowest or hp >= minimum(highest, 1.0) else 0.0 * cp
    by_ht = ct * (ht - ht0) - (0.9 * pr + F - qr) if ht <= lowest or ht >= highest else 0.0 * ct
    return ps, es, pr, 2.0 * F, qr, 0.1 * pr + F, by_hp + by_ht


@loop
def diagnose(forcing, p, constants, states, new_states, workspace, fluxes):
    """See `explicit.diagnose`."""
    net, terms = forcing[0], workspace.terms
    limits = (workspace.limits.lowest, workspace.limits.highest)
    terms_of(net, p[4], terms)
    for c in range(net.size):
        (fluxes[0, c], fluxes[1, c], fluxes[2, c], fluxes[3, c], fluxes[4, c], fluxes[5, c], fluxes[6, c]) = fluxes_at(
            terms[0, c], terms[1, c], terms[2, c], terms[3, c], (p[0][c], p[1][c], p[2][c], p[3][c], p[4][c]),
            (states[0][c], states[1][c]), (new_states[0][c], new_states[1][c]), limits,
        )  # fmt: skip


FLUX_NAMES = ("ps", "es", "pr", "exchange", "qr", "qd", "clamped")
DECLARED: dict[str, Any] = {
    "parameters": tuple(PARAMETERS[symbol] for symbol in ("cp", "ct", "kexc")),
    "states": LEVELS,
    "prepare": prepare,
    "constants": lambda structure, step: (),
    "strip": STRIP,
    "surfaces": gr.DECLARED["surfaces"],
    "step_exponents": gr.STEP_EXPONENTS,
    "seconds": (46e-9, 14e-9),
}
"""What all structures of differential equations declare alike."""

ODE = CellModel(
    name="ode",
    title="GR4 as differential equations, implicit Euler (Santos et al. 2018; P2 eqs 5, 6, 8-13)",
    fluxes=tuple(FLUXES[symbol] for symbol in FLUX_NAMES),
    balance={"evapotranspiration": ("es",), "exchange": ("exchange",), "clamped": ("clamped",)},
    advance=advance,
    advance_adjoint=advance_adjoint,
    advance_adjoint_to_forcing=advance_adjoint,
    diagnose=diagnose,
    workspace=_workspace,
    options=("flux_limits", "tolerance", "scheme", "substeps"),
    iterates=True,
    **DECLARED,
)


@loop
def _substep(terms, p, before, after, runoff, to_discharge, share, limits):
    """Levels of a strip after a substep of length share; runoff is summed."""
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    inverse_cp, ct, inverse_ct = p[1], p[2], p[3]
    hp0, ht0, hp, ht = before[0], before[1], after[0], after[1]
    highest_hp = minimum(limits.highest, hp.dtype.type(1))
    for c in range(runoff.size):
        hp_rate, ht_rate = state_space_rates(a[c], b[c], k[c], o[c], inverse_cp[c], inverse_ct[c], hp0[c], ht0[c])
        runoff[c] += share * to_discharge[c] * state_space_runoff(a[c], k[c], o[c], ct[c], hp0[c], ht0[c])
        hp[c] = minimum(maximum(hp0[c] + share * hp_rate, limits.lowest), highest_hp)
        ht[c] = minimum(maximum(ht0[c] + share * ht_rate, limits.lowest), limits.highest)


@loop
def _substep_adjoint(terms, p, before, after, runoff_bar, to_discharge, share, limits, states_bar, p_bar, terms_bar):
    """Transpose of `_substep`: states_bar become those before it; p_bar and terms_bar (a, b) are summed; k is kexc."""
    a, b, k, o = terms[0], terms[1], terms[2], terms[3]
    inverse_cp, ct, inverse_ct = p[1], p[2], p[3]
    hp0, ht0, hp, ht, hp_bar, ht_bar = before[0], before[1], after[0], after[1], states_bar[0], states_bar[1]
    cp_bar, ct_bar, kexc_bar, a_bar, b_bar = p_bar[0], p_bar[1], p_bar[2], terms_bar[0], terms_bar[1]
    real = hp.dtype.type
    highest_hp = minimum(limits.highest, real(1))
    for c in range(runoff_bar.size):
        # hp = hp0 + share dhp/dt, ht = ht0 + share dht/dt, where no limit holds them
        hp_after, ht_after = hp_bar[c], ht_bar[c]  # read once, as in `lagged_adjoint`
        hp_free = hp_after if limits.lowest < hp[c] < highest_hp else real(0)
        ht_free = ht_after if limits.lowest < ht[c] < limits.highest else real(0)
        a_rate, b_rate, k_rate, _, inverse_cp_bar, inverse_ct_bar, hp_rate, ht_rate = state_space_rates_adjoint(
            a[c], b[c], k[c], o[c], inverse_cp[c], inverse_ct[c], hp0[c], ht0[c], share * hp_free, share * ht_free
        )
        # runoff += share to_discharge qt
        a_more, k_more, _, ct_more, hp_more, ht_more = state_space_runoff_adjoint(
            a[c], k[c], o[c], ct[c], hp0[c], ht0[c], share * to_discharge[c] * runoff_bar[c]
        )
        hp_bar[c], ht_bar[c] = hp_free + hp_rate + hp_more, ht_free + ht_rate + ht_more
        a_bar[c] += a_rate + a_more
        b_bar[c] += b_rate
        kexc_bar[c] += k_rate + k_more
        cp_bar[c] -= inverse_cp_bar * inverse_cp[c] * inverse_cp[c]
        ct_bar[c] += ct_more - inverse_ct_bar * inverse_ct[c] * inverse_ct[c]


@loop
def _walk(terms, path, share, limits, p, states, runoff, to_discharge):
    """Levels before each substep and after the last in the path, runoff of the step."""
    n = runoff.size
    for c in range(n):
        path[0, 0, c], path[1, 0, c], runoff[c] = states[0][c], states[1][c], 0
    for j in range(path.shape[1] - 1):
        before, after = (path[0, j, :n], path[1, j, :n]), (path[0, j + 1, :n], path[1, j + 1, :n])
        _substep(terms, p, before, after, runoff, to_discharge, share, limits)


@loop
def advance_explicit(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """See `explicit.advance`."""
    terms, path = workspace.terms, workspace.path
    terms_of(forcing[0], p[4], terms)
    _walk(terms, path, workspace.share, workspace.limits, p, states, runoff, to_discharge)
    for c in range(runoff.size):
        new_states[0][c], new_states[1][c] = path[0, -1, c], path[1, -1, c]


@loop
def advance_explicit_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """See `explicit.advance_adjoint`."""
    net, terms, path, n = forcing[0], workspace.terms, workspace.path, runoff_bar.size
    terms_bar, share, limits = workspace.scratch[1:], workspace.share, workspace.limits
    terms_of(net, p[4], terms)
    _walk(terms, path, share, limits, p, states, workspace.scratch[0, :n], to_discharge)
    terms_bar[:, :n] = 0
    for j in range(path.shape[1] - 2, -1, -1):
        before, after = (path[0, j, :n], path[1, j, :n]), (path[0, j + 1, :n], path[1, j + 1, :n])
        _substep_adjoint(
            terms, p, before, after, runoff_bar, to_discharge, share, limits, states_bar, p_bar, terms_bar,
        )  # fmt: skip
    for c in range(net_bar.size):
        net_bar[c] = terms_bar[0, c] if net[c] > ZERO_F32 else -terms_bar[1, c]


@loop
def diagnose_explicit(forcing, p, constants, states, new_states, workspace, fluxes):
    """See `explicit.diagnose`: means over the substeps."""
    net, terms, path, limits, share = forcing[0], workspace.terms, workspace.path, workspace.limits, workspace.share
    n = net.size
    highest_hp = minimum(limits.highest, terms.dtype.type(1))
    cp, inverse_cp, ct, inverse_ct = p[0], p[1], p[2], p[3]
    terms_of(net, p[4], terms)
    _walk(terms, path, share, limits, p, states, workspace.scratch[0, :n], workspace.scratch[1, :n])
    fluxes[: len(FLUX_NAMES), :n] = 0
    for j in range(path.shape[1] - 1):
        for c in range(n):
            a, b, k, o = terms[0, c], terms[1, c], terms[2, c], terms[3, c]
            hp, ht = path[0, j, c], path[1, j, c]
            ps, es, pr, F, qr = state_space_fluxes(a, b, k, o, ct[c], hp, ht)
            fluxes[0, c] += share * ps
            fluxes[1, c] += share * es
            fluxes[2, c] += share * pr
            fluxes[3, c] += share * 2.0 * F
            fluxes[4, c] += share * qr
            fluxes[5, c] += share * (0.1 * pr + F)
            hp_rate, ht_rate = state_space_rates(a, b, k, o, inverse_cp[c], inverse_ct[c], hp, ht)
            free_hp, free_ht = hp + share * hp_rate, ht + share * ht_rate
            held_hp = minimum(maximum(free_hp, limits.lowest), highest_hp)
            held_ht = minimum(maximum(free_ht, limits.lowest), limits.highest)
            fluxes[6, c] += cp[c] * (held_hp - free_hp) + ct[c] * (held_ht - free_ht)


ODE_EXPLICIT = CellModel(
    name="ode_explicit",
    title="GR4 as differential equations, explicit Euler in substeps",
    fluxes=ODE.fluxes,
    balance=ODE.balance,
    advance=advance_explicit,
    advance_adjoint=advance_explicit_adjoint,
    advance_adjoint_to_forcing=advance_explicit_adjoint,
    diagnose=diagnose_explicit,
    workspace=_workspace,
    options=ODE.options,
    **DECLARED,
)
register("ode", lambda options: ODE if options.scheme == "implicit" else ODE_EXPLICIT)
