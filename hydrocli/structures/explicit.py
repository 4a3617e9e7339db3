"""Structures whose step is explicit: a kernel of one cell becomes the compiled functions of a `CellModel`.

A classical kernel is `step(forcing, parameters, states)`; one with a network also gets `corrections` = (f1, f2 ...).
Both give the new states, the runoff qt [mm/step] and the fluxes [mm/step]. The adjoint has the same arguments and then
the bars of the new states and of qt; it gives those of forcing, parameters (as declared), states (and corrections).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import bind
from hydrocli.structures.network import Network, network, network_adjoint, network_of
from hydrocli.structures.rows import (
    STRIP,
    WHOLE_ROW,
    ZERO_F32,
    add_at,
    rows_of,
    set_at,
    split_net,
    values_at,
)
from hydrocli.structures.structure import Structure
from hydrocli.water.corrected_production import UNLIMITED

# Parts of the templates below, which `bind` puts in their place.
step: Any = None
step_adjoint: Any = None
p_at: Any = None
states_at: Any = None
set_states: Any = None
add_states: Any = None
state_rows: Any = None
add_parameters: Any = None
corrections_at: Any = None
set_corrections: Any = None
correction_rows: Any = None
flux_rows: Any = None
set_fluxes: Any = None
fill: Any = None
STATES = 0
WANTS_NET_BAR = False
corrected_step: Any = None
corrected_step_adjoint: Any = None
CORRECTIONS: tuple[float, ...] = ()


class Idle(NamedTuple):
    """The workspace of a structure that needs none."""

    unused: int


def advance(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """One step of a strip of n cells.

    Args:
        forcing: rows [n]; (net rain less net evapotranspiration,), float32 [mm/step].
        p: rows that the declaration prepares [n]. constants: its numbers.
        states, new_states: rows [n] before and after the step.
        to_discharge: [n], m3/s per mm/step. runoff: [n], filled with the lateral inflow [m3/s].
        counts: `SolverCounts`.
        workspace: of the structure.
    """
    net, real = forcing[0], runoff.dtype.type
    for c in range(runoff.size):
        pn, en = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
        new, qt, _ = step((pn, en), p_at(p, c) + constants, states_at(states, c))
        set_states(new_states, c, new)
        runoff[c] = qt * to_discharge[c]


def advance_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """Transpose of `advance`.

    Args:
        forcing, p, constants, states, new_states, to_discharge, workspace: as in `advance`.
        runoff_bar: [n].
        states_bar: rows [n], of the new states at first and of the old ones at last.
        p_bar: rows [n] of the declared parameters, summed.
        net_bar: [n], filled with the bar of the forcing; of length 0: not wanted.
        weights_bar: of the network, summed.
    """
    net, real = forcing[0], runoff_bar.dtype.type
    for c in range(runoff_bar.size):
        pn, en = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
        forcing_bar, parameters_bar, old_bar = step_adjoint(
            (pn, en), p_at(p, c) + constants, states_at(states, c),
            states_at(states_bar, c), runoff_bar[c] * to_discharge[c],
        )  # fmt: skip
        set_states(states_bar, c, old_bar)
        add_parameters(p_bar, c, parameters_bar)
        if WANTS_NET_BAR:
            net_bar[c] = forcing_bar[0] if net[c] > ZERO_F32 else -forcing_bar[1]


def diagnose(forcing, p, constants, states, new_states, workspace, fluxes):
    """Fluxes of a strip of n cells in the rows of fluxes [rows, n or more] [mm/step]; arguments as in `advance`."""
    net, real, out = forcing[0], fluxes.dtype.type, flux_rows(fluxes)
    for c in range(net.size):
        pn, en = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
        _, _, values = step((pn, en), p_at(p, c) + constants, states_at(states, c))
        set_fluxes(out, c, values)


def fill_inputs(net, states, x):
    """Inputs of the network in the rows x [inputs, n or more]: states, pn, en."""
    rows = state_rows(x)
    for c in range(net.size):
        set_states(rows, c, states_at(states, c))
    split_net(net, x[STATES], x[STATES + 1])


def advance_corrected(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """As `advance`, with a network."""
    net, n, x = forcing[0], runoff.size, workspace.values[0]
    fill(net, states, x)
    network(workspace, n, False)
    pn, en, f = x[STATES], x[STATES + 1], correction_rows(workspace.values[-1])
    before = state_rows(x)
    for c in range(n):
        new, qt, _ = step(
            (pn[c], en[c]), p_at(p, c) + constants, states_at(before, c), corrections_at(f, c)
        )  # fmt: skip
        set_states(new_states, c, new)
        runoff[c] = qt * to_discharge[c]


def advance_corrected_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """Transpose of `advance_corrected`."""
    net, n, x = forcing[0], runoff_bar.size, workspace.values[0]
    fill(net, states, x)
    network(workspace, n, True)
    pn, en, f = x[STATES], x[STATES + 1], correction_rows(workspace.values[-1])
    before, f_bar = state_rows(x), correction_rows(workspace.bars[-1])
    for c in range(n):
        forcing_bar, parameters_bar, old_bar, corrections_bar = step_adjoint(
            (pn[c], en[c]), p_at(p, c) + constants, states_at(before, c), corrections_at(f, c),
            states_at(states_bar, c), runoff_bar[c] * to_discharge[c],
        )  # fmt: skip
        set_states(states_bar, c, old_bar)
        add_parameters(p_bar, c, parameters_bar)
        set_corrections(f_bar, c, corrections_bar)
        if WANTS_NET_BAR:
            net_bar[c] = forcing_bar[0] if net[c] > ZERO_F32 else -forcing_bar[1]
    network_adjoint(workspace, weights_bar, n)
    inputs_bar = state_rows(workspace.bars[0])
    for c in range(n):
        add_states(states_bar, c, states_at(inputs_bar, c))
    if WANTS_NET_BAR:
        pn_bar, en_bar = workspace.bars[0, STATES], workspace.bars[0, STATES + 1]
        for c in range(n):
            net_bar[c] += pn_bar[c] if net[c] > ZERO_F32 else -en_bar[c]


def diagnose_corrected(forcing, p, constants, states, new_states, workspace, fluxes):
    """As `diagnose`; the corrections follow the fluxes."""
    net, x, out = forcing[0], workspace.values[0], flux_rows(fluxes)
    n = net.size
    fill(net, states, x)
    network(workspace, n, False)
    pn, en, f = x[STATES], x[STATES + 1], correction_rows(workspace.values[-1])
    before = state_rows(x)
    for c in range(n):
        corrections = corrections_at(f, c)
        _, _, values = step((pn[c], en[c]), p_at(p, c) + constants, states_at(before, c), corrections)
        set_fluxes(out, c, values + corrections)


def classical_step(forcing, parameters, states):
    """A corrected step without corrections, whose stores limit no flux: a template, as those above."""
    return corrected_step(forcing, parameters + (UNLIMITED,), states, CORRECTIONS)  # noqa: RUF005


def classical_step_adjoint(forcing, parameters, states, states_bar, qt_bar):
    """Bars of forcing, parameters (as declared) and states."""
    unlimited = parameters + (UNLIMITED,)  # noqa: RUF005
    forcing_bar, parameters_bar, old_bar, _ = corrected_step_adjoint(
        forcing, unlimited, states, CORRECTIONS, states_bar, qt_bar
    )
    return forcing_bar, parameters_bar, old_bar


def classical(
    name: str, step: Any, step_adjoint: Any, rows: int, parameters: int, states: int, fluxes: int
) -> dict[str, Any]:
    """The compiled functions of a `CellModel` and its workspace, for a kernel without a network.

    Args:
        name: of the compiled code.
        step, step_adjoint: kernels.
        rows: number of rows that the declaration prepares.
        parameters, states, fluxes: number of declared parameters, states and fluxes.
    """
    common = {"p_at": values_at(rows), "states_at": values_at(states)}
    adjoint = common | {
        "step_adjoint": step_adjoint,
        "set_states": set_at(states),
        "add_parameters": add_at(parameters),
    }

    def adjoint_of(suffix: str, wanted: bool) -> Any:
        return bind(advance_adjoint, name + suffix, WANTS_NET_BAR=wanted, **adjoint)

    return {
        "advance": bind(advance, name, step=step, set_states=set_at(states), **common),
        "advance_adjoint": adjoint_of("", False),
        "advance_adjoint_to_forcing": adjoint_of("_to_forcing", True),
        "diagnose": bind(diagnose, name, step=step, flux_rows=rows_of(fluxes), set_fluxes=set_at(fluxes), **common),
        "workspace": lambda structure, weights, real: Idle(0),
        "strip": WHOLE_ROW,
    }


def corrected(
    name: str, step: Any, step_adjoint: Any, rows: int, parameters: int, states: int, fluxes: int, corrections: int
) -> dict[str, Any]:
    """As `classical`, for a kernel whose fluxes a network corrects.

    Args:
        name, step, step_adjoint, rows, parameters, states, fluxes: as in `classical`.
        corrections: number of them.
    """
    set_states, states_at, state_rows = set_at(states), values_at(states), rows_of(states)
    fill = bind(fill_inputs, name, set_states=set_states, states_at=states_at, state_rows=state_rows, STATES=states)
    common = {
        "fill": fill, "p_at": values_at(rows), "states_at": states_at, "state_rows": state_rows, "STATES": states,
        "correction_rows": rows_of(corrections), "corrections_at": values_at(corrections),
    }  # fmt: skip
    adjoint = common | {
        "step_adjoint": step_adjoint, "set_states": set_states, "add_states": add_at(states),
        "add_parameters": add_at(parameters), "set_corrections": set_at(corrections),
    }  # fmt: skip

    def adjoint_of(suffix: str, wanted: bool) -> Any:
        return bind(advance_corrected_adjoint, name + suffix, WANTS_NET_BAR=wanted, **adjoint)

    total = fluxes + corrections
    rows_out = {"flux_rows": rows_of(total), "set_fluxes": set_at(total)}
    return {
        "advance": bind(advance_corrected, name, step=step, set_states=set_states, **common),
        "advance_adjoint": adjoint_of("", False),
        "advance_adjoint_to_forcing": adjoint_of("_to_forcing", True),
        "diagnose": bind(diagnose_corrected, name, step=step, **rows_out, **common),
        "workspace": network_workspace,
        "strip": STRIP,
    }


def network_workspace(structure: Structure, weights: NDArray[np.floating], real: type) -> Network:
    """The network of a structure with rows to work in."""
    return network_of(structure.widths, structure.activation, weights, real)
