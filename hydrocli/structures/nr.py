"""The structure `nr`: GR's stores as neural reservoirs, whose fluxes a network opens within their bounds (P3).

    h(t) = h(t-1) + sum of omega (*) phi        omega: bounds of the fluxes, phi: the network; see `water.reservoirs`

The network sees the levels before the step and the forcing of the step, both relative to the stores:

    hp, ht, a(pn/cp), a(en/cp), a(pn/ct)        a(x) = ln(1 + 1e3 x) / ln(1 + 1e3)

Every law of GR, divided by its bound, is a function of these, so one network can be GR for every capacity. With
`rain_intensity` it sees a(r/cp), too: r is the running mean of pn.

* `start: pretrained`: the gates are sigmoids of the network, which learns the fluxes of GR before the calibration.
* `start: exact`: the network shifts the logits of the gates of GR, from which it starts: it corrects GR, and sees no
  intensity.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.jit import bind, expression, kernel, loop
from hydrocli.names import FLUXES, PARAMETERS
from hydrocli.structures import gr
from hydrocli.structures import network as networks
from hydrocli.structures.gr import inverse_beta, prepare
from hydrocli.structures.network import Network, network_adjoint, network_of
from hydrocli.structures.rows import STRIP, ZERO_F32, add_at, rows_of, set_at, split_net, values_at
from hydrocli.structures.structure import (
    HYDROLOGICAL_FORCINGS,
    RAIN_INTENSITY,
    CellModel,
    Correction,
    Structure,
    bound_of,
    register,
)
from hydrocli.water.reservoirs import (
    gate,
    gate_adjoint,
    gr_gates,
    gr_gates_adjoint,
    production_reservoir,
    production_reservoir_adjoint,
    relative_depth,
    relative_depth_adjoint,
    settled,
    shifted_gate,
    shifted_gate_adjoint,
    transfer_reservoir,
    transfer_reservoir_adjoint,
)
from hydrocli.water.vector_math import minimum, where_positive

GATED = ("infiltration", "evaporation", "percolation", "delayed branch", "exchange", "outflow")
GATES = len(GATED)
FLUX_NAMES = ("ps", "es", "pr", "perc", "exchange", "qr", "qd")
AFTER_FLUXES, PERC, QR = len(FLUX_NAMES), FLUX_NAMES.index("perc"), FLUX_NAMES.index("qr")
BOUNDED = ("ps", "es", "perc", "exchange", "qr")
"""Fluxes whose bounds are rows, too: of qr with gates of 1, of the exchange without stores that run dry."""
INPUTS = ("a(pn/cp)", "a(en/cp)", "a(pn/ct)")
INTENSITY = "a(r/cp)"


@kernel
def step(forcing, parameters, states, gates):
    """New levels (hp, ht), runoff qt [mm/step] and fluxes (see `FLUX_NAMES`) [mm/step].

    parameters: cp, 1/cp, ct, 1/ct, kexc. gates: g1..g6.
    """
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct, kexc = parameters
    hp, ht = states
    g1, g2, g3, g4, g5, g6 = gates
    hp, ps, es, perc = production_reservoir(pn, en, cp, inverse_cp, hp, g1, g2, g3)
    ht, qr, qd, exchange = transfer_reservoir(pn - ps + perc, ct, inverse_ct, kexc, ht, g4, g5, g6)
    return (hp, ht), qr + qd, (ps, es, pn - ps, perc, exchange, qr, qd)


@kernel
def step_adjoint(forcing, parameters, states, gates, states_bar, qt_bar):
    """Bars of forcing, parameters (cp, ct, kexc), states and gates."""
    pn, en = forcing
    cp, inverse_cp, ct, inverse_ct, kexc = parameters
    hp, ht = states
    g1, g2, g3, g4, g5, g6 = gates
    hp_bar, ht_bar = states_bar
    _, ps, _, perc = production_reservoir(pn, en, cp, inverse_cp, hp, g1, g2, g3)
    # ht, qr, qd = transfer_reservoir(pn - ps + perc),  qt = qr + qd
    pe_bar, ct_bar, inverse_ct_bar, kexc_bar, ht_bar, g4_bar, g5_bar, g6_bar = transfer_reservoir_adjoint(
        pn - ps + perc, ct, inverse_ct, kexc, ht, g4, g5, g6, ht_bar, qt_bar, qt_bar, 0.0 * qt_bar
    )
    # hp, ps, es, perc = production_reservoir(pn, en)
    pn_bar, en_bar, cp_bar, inverse_cp_bar, hp_bar, g1_bar, g2_bar, g3_bar = production_reservoir_adjoint(
        pn, en, cp, inverse_cp, hp, g1, g2, g3, hp_bar, -pe_bar, 0.0 * qt_bar, pe_bar
    )
    cp_bar = cp_bar - inverse_cp_bar * inverse_cp * inverse_cp
    ct_bar = ct_bar - inverse_ct_bar * inverse_ct * inverse_ct
    # Where gates empty the stores fast, bars fade away in dry weather; numbers that are no longer normal are slow.
    return (
        (pn_bar + pe_bar, en_bar),
        (cp_bar, ct_bar, kexc_bar),
        (settled(hp_bar), settled(ht_bar)),
        (settled(g1_bar), settled(g2_bar), settled(g3_bar), settled(g4_bar), settled(g5_bar), settled(g6_bar)),
    )


@kernel
def shifted_gates(forcing, parameters, states, shifts):
    """Gates g1..g6 of GR with their logits shifted by z1..z6; parameters: cp, 1/cp, ct, 1/ct, kexc, 1/beta."""
    (g1, g2, g3), (g4, g5, g6) = gr_gates(forcing, parameters, states)
    z1, z2, z3, z4, z5, z6 = shifts
    return (
        shifted_gate(g1, z1), shifted_gate(g2, z2), shifted_gate(g3, z3),
        shifted_gate(g4, z4), shifted_gate(g5, z5), shifted_gate(g6, z6),
    )  # fmt: skip


@kernel
def shifted_gates_adjoint(forcing, parameters, states, shifts, g1_bar, g2_bar, g3_bar, g4_bar, g5_bar, g6_bar):
    """Bars of forcing, parameters, states, shifts."""
    (g1, g2, g3), (g4, g5, g6) = gr_gates(forcing, parameters, states)
    z1, z2, z3, z4, z5, z6 = shifts
    g1_bar, z1_bar = shifted_gate_adjoint(g1, z1, g1_bar)
    g2_bar, z2_bar = shifted_gate_adjoint(g2, z2, g2_bar)
    g3_bar, z3_bar = shifted_gate_adjoint(g3, z3, g3_bar)
    g4_bar, z4_bar = shifted_gate_adjoint(g4, z4, g4_bar)
    g5_bar, z5_bar = shifted_gate_adjoint(g5, z5, g5_bar)
    g6_bar, z6_bar = shifted_gate_adjoint(g6, z6, g6_bar)
    forcing_bar, parameters_bar, states_bar = gr_gates_adjoint(
        forcing, parameters, states, (g1_bar, g2_bar, g3_bar), (g4_bar, g5_bar, g6_bar)
    )
    return forcing_bar, parameters_bar, states_bar, (z1_bar, z2_bar, z3_bar, z4_bar, z5_bar, z6_bar)


@kernel
def shifted_step(forcing, parameters, states, shifts):
    """As `step`, with the gates of GR shifted; parameters: 1/beta follows the others."""
    return step(forcing, parameters[:5], states, shifted_gates(forcing, parameters, states, shifts))


@kernel
def shifted_step_adjoint(forcing, parameters, states, shifts, states_bar, qt_bar):
    """Bars of forcing, parameters (cp, ct, kexc), states and shifts."""
    _, inverse_cp, _, inverse_ct, _, _ = parameters
    gates = shifted_gates(forcing, parameters, states, shifts)
    (pn_bar, en_bar), (cp_bar, ct_bar, kexc_bar), (hp_bar, ht_bar), gates_bar = step_adjoint(
        forcing, parameters[:5], states, gates, states_bar, qt_bar
    )
    g1_bar, g2_bar, g3_bar, g4_bar, g5_bar, g6_bar = gates_bar
    (pn_more, en_more), of_parameters, (hp_more, ht_more), shifts_bar = shifted_gates_adjoint(
        forcing, parameters, states, shifts, g1_bar, g2_bar, g3_bar, g4_bar, g5_bar, g6_bar
    )
    cp_more, inverse_cp_bar, ct_more, inverse_ct_bar, kexc_more, _ = of_parameters
    return (
        (pn_bar + pn_more, en_bar + en_more),
        (
            cp_bar + cp_more - inverse_cp_bar * inverse_cp * inverse_cp,
            ct_bar + ct_more - inverse_ct_bar * inverse_ct * inverse_ct,
            kexc_bar + kexc_more,
        ),
        (hp_bar + hp_more, ht_bar + ht_more),
        shifts_bar,
    )


@loop
def open_gates(z, n):
    """The last layer of the network: gates."""
    for c in range(n):
        z[c] = gate(z[c])


@loop
def open_gates_with_slopes(z, slope, n):
    """The same, with their derivatives."""
    one = z.dtype.type(1)
    for c in range(n):
        slope[c], z[c] = gate_adjoint(z[c], one), gate(z[c])


@loop
def keep(z, n):
    """The last layer where it gives shifts of logits."""


@loop
def keep_with_slopes(z, slope, n):
    """The same, with their derivatives."""
    one = z.dtype.type(1)
    for c in range(n):
        slope[c] = one


class ReservoirWorkspace(NamedTuple):
    """Rows for a strip, for one thread: the network, and water[2, STRIP] pn, en."""

    network: Network
    water: NDArray[np.floating]


def _workspace(structure: Structure, weights: NDArray[np.floating], real: type) -> ReservoirWorkspace:
    network_ = network_of(structure.widths, structure.activation, weights, real)
    return ReservoirWorkspace(network_, np.zeros((2, STRIP), real))


# Parts of the templates below, which `bind` puts in their place.
run_network: Any = None
fill_inputs: Any = None
fill_inputs_adjoint: Any = None
effective_gates: Any = None
INPUTS_BESIDE = 0
WITH_INTENSITY = False
WANTS_NET_BAR = False
p_at: Any = values_at(5)
states_at: Any = values_at(2)
set_states: Any = set_at(2)
add_parameters: Any = add_at(3)
gates_at: Any = values_at(GATES)
gate_rows: Any = rows_of(GATES)
set_gates: Any = set_at(GATES)
flux_rows: Any = rows_of(AFTER_FLUXES)
set_fluxes: Any = set_at(AFTER_FLUXES)
bound_rows: Any = rows_of(len(BOUNDED))
set_bounds: Any = set_at(len(BOUNDED))
THEMSELVES = expression("gates", "forcing, parameters, states, gates")


def fill(forcing, p, states, workspace):
    """Inputs of the network, see the module, and pn, en."""
    net, x, water = forcing[0], workspace.network.values[0], workspace.water
    hp, ht, v0, v1, v2, v3, v4 = states[0], states[1], x[0], x[1], x[2], x[3], x[4]
    inverse_cp, inverse_ct, pn, en = p[1], p[3], water[0], water[1]
    zero = pn.dtype.type(0)
    split_net(net, pn, en)
    for c in range(net.size):
        v0[c], v1[c] = hp[c], ht[c]
        depth = relative_depth(pn[c] + en[c], inverse_cp[c])
        v2[c] = where_positive(pn[c], depth, zero)
        v3[c] = depth - v2[c]
        v4[c] = relative_depth(pn[c], inverse_ct[c])
    if WITH_INTENSITY:
        r, v5, real = forcing[1], x[5], pn.dtype.type
        for c in range(net.size):
            v5[c] = relative_depth(real(r[c]), inverse_cp[c])


def fill_adjoint(forcing, p, bars, water, states_bar, p_bar, net_bar):
    """Transpose of `fill`: bars[inputs, n] of the inputs go to those of states, cp, ct and the forcing; all summed.

    The intensity of the rain is given: its bar goes to cp only.
    """
    net = forcing[0]
    hp_bar, ht_bar, cp_bar, ct_bar = states_bar[0], states_bar[1], p_bar[0], p_bar[1]
    inverse_cp, inverse_ct, pn, en = p[1], p[3], water[0], water[1]
    v0, v1, v2, v3, v4 = bars[0], bars[1], bars[2], bars[3], bars[4]
    for c in range(net.size):
        hp_bar[c] += v0[c]
        ht_bar[c] += v1[c]
        depth_bar, inverse_cp_bar = relative_depth_adjoint(
            pn[c] + en[c], inverse_cp[c], where_positive(pn[c], v2[c], v3[c])
        )
        pn_bar, inverse_ct_bar = relative_depth_adjoint(pn[c], inverse_ct[c], v4[c])
        cp_bar[c] -= inverse_cp_bar * inverse_cp[c] * inverse_cp[c]
        ct_bar[c] -= inverse_ct_bar * inverse_ct[c] * inverse_ct[c]
        if WANTS_NET_BAR:
            net_bar[c] += depth_bar + pn_bar if net[c] > ZERO_F32 else -depth_bar
    if WITH_INTENSITY:
        r, v5, real = forcing[1], bars[5], pn.dtype.type
        for c in range(net.size):
            _, inverse_cp_bar = relative_depth_adjoint(real(r[c]), inverse_cp[c], v5[c])
            cp_bar[c] -= inverse_cp_bar * inverse_cp[c] * inverse_cp[c]


def advance(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """See `explicit.advance`."""
    n, water = runoff.size, workspace.water
    fill_inputs(forcing, p, states, workspace)
    run_network(workspace.network, n, False)
    pn, en, g = water[0], water[1], gate_rows(workspace.network.values[-1])
    for c in range(n):
        new, qt, _ = step((pn[c], en[c]), p_at(p, c) + constants, states_at(states, c), gates_at(g, c))
        set_states(new_states, c, new)
        runoff[c] = qt * to_discharge[c]


def advance_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """See `explicit.advance_adjoint`."""
    net, n, network_, water = forcing[0], runoff_bar.size, workspace.network, workspace.water
    fill_inputs(forcing, p, states, workspace)
    run_network(network_, n, True)
    pn, en, g, g_bar = water[0], water[1], gate_rows(network_.values[-1]), gate_rows(network_.bars[-1])
    for c in range(n):
        forcing_bar, parameters_bar, old_bar, gates_bar = step_adjoint(
            (pn[c], en[c]), p_at(p, c) + constants, states_at(states, c), gates_at(g, c),
            states_at(states_bar, c), runoff_bar[c] * to_discharge[c],
        )  # fmt: skip
        set_states(states_bar, c, old_bar)
        add_parameters(p_bar, c, parameters_bar)
        set_gates(g_bar, c, gates_bar)
        if WANTS_NET_BAR:
            net_bar[c] = forcing_bar[0] if net[c] > ZERO_F32 else -forcing_bar[1]
    network_adjoint(network_, weights_bar, n)
    fill_inputs_adjoint(forcing, p, network_.bars[0], water, states_bar, p_bar, net_bar)


def diagnose(forcing, p, constants, states, new_states, workspace, fluxes):
    """See `explicit.diagnose`; gates, inputs beside the levels, and bounds (see `BOUNDED`) follow the fluxes."""
    n, network_, water = forcing[0].size, workspace.network, workspace.water
    fill_inputs(forcing, p, states, workspace)
    run_network(network_, n, False)
    pn, en, z, x = water[0], water[1], gate_rows(network_.values[-1]), network_.values[0]
    out, gates, inputs = flux_rows(fluxes), gate_rows(fluxes[AFTER_FLUXES:]), fluxes[AFTER_FLUXES + GATES :]
    bounds = bound_rows(inputs[INPUTS_BESIDE:])
    cp, ct, kexc, hp = p[0], p[2], p[4], states[0]
    for c in range(n):
        water_here, rows, levels = (pn[c], en[c]), p_at(p, c) + constants, states_at(states, c)
        (new_hp, new_ht), _, values = step(water_here, rows, levels, gates_at(z, c))
        set_fluxes(out, c, values)
        set_gates(gates, c, effective_gates(water_here, rows, levels, gates_at(z, c)))
        free, stored = minimum(pn[c], cp[c] * (1.0 - hp[c])), minimum(en[c], cp[c] * hp[c])
        left = cp[c] * new_hp + values[PERC], ct[c] * new_ht + values[QR]
        set_bounds(bounds, c, (free, stored, left[0], 2.0 * kexc[c], left[1]))
    for i in range(INPUTS_BESIDE):
        for c in range(n):
            inputs[i, c] = x[2 + i, c]


def fit_gates(network_, x, gates, importance, weights_bar):
    """Sum of importance (g - gates)^2 over samples, and its derivative by the weights, which is summed.

    Args:
        network_: of one thread.
        x: [inputs, samples] of the network.
        gates, importance: [6, samples].
        weights_bar: of the network.
    """
    total, two = 0.0, 2.0
    for first in range(0, x.shape[1], STRIP):
        n = min(STRIP, x.shape[1] - first)
        for i in range(x.shape[0]):
            for c in range(n):
                network_.values[0, i, c] = x[i, first + c]
        run_network(network_, n, True)
        for k in range(GATES):
            found, bar = network_.values[-1, k], network_.bars[-1, k]
            for c in range(n):
                weight, error = importance[k, first + c], found[c] - gates[k, first + c]
                total += weight * error * error
                bar[c] = two * weight * error
        network_adjoint(network_, weights_bar, n)
    return total


def find_gates(network_, x, gates):
    """Gates [6, samples] of the network at inputs [inputs, samples]."""
    for first in range(0, x.shape[1], STRIP):
        n = min(STRIP, x.shape[1] - first)
        for i in range(x.shape[0]):
            for c in range(n):
                network_.values[0, i, c] = x[i, first + c]
        run_network(network_, n, False)
        for k in range(GATES):
            for c in range(n):
                gates[k, first + c] = network_.values[-1, k, c]


@loop
def gr_targets(water, parameters, levels, inverse_beta, gates, bounds, fluxes):
    """Gates of GR, the bounds that they open, and the fluxes that they give, [6, samples] each.

    The bound of the last gate is what it can take from the store, which spills by itself above 1; that of the exchange
    is 1, for its coefficient does not matter to the gate.

    Args:
        water: [2, samples] pn, en. parameters: [3, samples] cp, ct, kexc. levels: [2, samples] hp, ht.
        inverse_beta: 1/beta of the percolation.
        gates, bounds, fluxes: filled.
    """
    for c in range(water.shape[1]):
        (cp, ct, kexc), forcing, states = parameters[:, c], (water[0, c], water[1, c]), (levels[0, c], levels[1, c])
        rows = (cp, 1.0 / cp, ct, 1.0 / ct, kexc)
        (g1, g2, g3), (g4, g5, g6) = gr_gates(forcing, (cp, 1.0 / cp, ct, 1.0 / ct, kexc, inverse_beta), states)
        (hp, ht), _, (_ps, _es, pr, perc, _, _, _) = step(forcing, rows, states, (g1, g2, g3, g4, g5, g6))
        gates[0, c], gates[1, c], gates[2, c], gates[3, c], gates[4, c], gates[5, c] = g1, g2, g3, g4, g5, g6
        bounds[0, c] = minimum(forcing[0], cp * (1.0 - states[0]))
        bounds[1, c] = minimum(forcing[1], cp * states[0])
        bounds[2, c], bounds[3, c], bounds[4, c], bounds[5, c] = cp * hp + perc, pr + perc, 1.0, ct * ht / (1.0 - g6)
        for k in range(GATES):
            fluxes[k, c] = gates[k, c] * bounds[k, c]


@loop
def inputs_of(water, parameters, levels, intensity, x):
    """Inputs [inputs, samples] of the network for samples as in `gr_targets`; intensity: [samples], or of length 0."""
    for c in range(water.shape[1]):
        inverse_cp, inverse_ct = 1.0 / parameters[0, c], 1.0 / parameters[1, c]
        x[0, c], x[1, c] = levels[0, c], levels[1, c]
        x[2, c], x[3, c] = relative_depth(water[0, c], inverse_cp), relative_depth(water[1, c], inverse_cp)
        x[4, c] = relative_depth(water[0, c], inverse_ct)
        if intensity.size:
            x[5, c] = relative_depth(intensity[c], inverse_cp)


def declared(name: str, *, is_exact: bool, with_intensity: bool) -> CellModel:
    """The structure with one of the starts, and with or without the intensity of the rain."""
    inputs = (*INPUTS, *((INTENSITY,) if with_intensity else ()))
    common = {
        "fill_inputs": bind(fill, name, WITH_INTENSITY=with_intensity),
        "run_network": SHIFTS_NETWORK if is_exact else GATES_NETWORK,
    }
    chosen, adjoint = (shifted_step, shifted_step_adjoint) if is_exact else (step, step_adjoint)
    back = {
        wanted: bind(fill_adjoint, f"{name}{suffix}", WITH_INTENSITY=with_intensity, WANTS_NET_BAR=wanted)
        for wanted, suffix in ((False, ""), (True, "_to_forcing"))
    }

    def adjoint_of(suffix: str, wanted: bool) -> Any:
        return bind(
            advance_adjoint, name + suffix, step_adjoint=adjoint, fill_inputs_adjoint=back[wanted],
            WANTS_NET_BAR=wanted, **common,
        )  # fmt: skip

    return CellModel(
        name=name,
        title="GR4's stores as neural reservoirs: a network opens their fluxes within bounds (P3)",
        parameters=tuple(PARAMETERS[symbol] for symbol in ("cp", "ct", "kexc")),
        states=gr.LEVELS,
        fluxes=tuple(FLUXES[symbol] for symbol in FLUX_NAMES),
        balance={"evapotranspiration": ("es",), "exchange": ("exchange",)},
        details=("ps",),
        corrections=tuple(Correction(flux, "g") for flux in GATED),
        inputs=inputs,
        diagnostics=(*inputs, *(bound_of(flux) for flux in BOUNDED)),
        without_network="gr",
        prepare=prepare,
        constants=(lambda structure, step: (inverse_beta(step),)) if is_exact else (lambda structure, step: ()),
        advance=bind(advance, name, step=chosen, **common),
        advance_adjoint=adjoint_of("", False),
        advance_adjoint_to_forcing=adjoint_of("_to_forcing", True),
        diagnose=bind(
            diagnose,
            name,
            step=chosen,
            effective_gates=shifted_gates if is_exact else THEMSELVES,
            INPUTS_BESIDE=len(inputs),
            **common,
        ),
        workspace=_workspace,
        forcings=("net", RAIN_INTENSITY) if with_intensity else HYDROLOGICAL_FORCINGS,
        options=("reservoir_network", "start", "rain_intensity"),
        surfaces={
            "infiltration": ("ps", "hp", 1.0),
            "evaporation": ("es", "hp", -1.0),
            "percolation": ("perc", "hp", 1.0),
            "exchange": ("exchange", "ht", 1.0),
            "outflow": ("qr", "ht", 1.0),
        },
        seconds=(165e-9, 52e-9),
        strip=STRIP,
    )


GATES_NETWORK = bind(networks.network, "gates", _correct=open_gates, _correct_with_slopes=open_gates_with_slopes)
SHIFTS_NETWORK = bind(networks.network, "shifts", _correct=keep, _correct_with_slopes=keep_with_slopes)
gate_misfit = bind(fit_gates, "gates", run_network=GATES_NETWORK)
gates_at_inputs = bind(find_gates, "gates", run_network=GATES_NETWORK)


def initial_weights(structure: Structure, seed: int) -> Floats:
    """Random weights of variance 1 / inputs; biases are 0, and so is the last layer where it shifts the gates of GR."""
    random, parts = np.random.default_rng(seed), list[Floats]()
    for inputs, outputs in zip(structure.widths[:-1], structure.widths[1:], strict=True):
        parts += [random.normal(0.0, inputs**-0.5, inputs * outputs), np.zeros(outputs)]
    if structure.start == "exact":
        parts[-2] = np.zeros_like(parts[-2])
    return np.concatenate(parts)


@cache
def _declaration(is_exact: bool, with_intensity: bool) -> CellModel:
    name = "nr" + "_exact" * is_exact + "_intensity" * with_intensity
    return declared(name, is_exact=is_exact, with_intensity=with_intensity)


def _chosen(options: Structure) -> CellModel:
    is_exact = options.start == "exact"
    return _declaration(is_exact, options.rain_intensity > 0 and not is_exact and options.snow == "none")


register("nr", _chosen)
