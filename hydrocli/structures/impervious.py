"""Impervious surfaces in front of any structure: rain on them runs off at once, the rest reaches the structure.

    pn, en of the structure = (1 - share) pn, (1 - share) en        qi = share pn        qt <- qt + qi

The share of impervious surfaces of each cell is given and not calibrated. The stores behind stand for the whole cell,
so depths of fluxes and levels are those of the whole cell, too.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import bind, loop
from hydrocli.names import Quantity
from hydrocli.structures.rows import STRIP, ZERO_F32
from hydrocli.structures.structure import (
    HYDROLOGICAL_FORCINGS,
    IMPERVIOUS,
    CellModel,
    Structure,
    register_front,
)

QI = Quantity("qi", "runoff of impervious surfaces", "mm/step")

# Parts of the templates below, which `bind` puts in their place.
advance_behind: Any = None
advance_behind_adjoint: Any = None
diagnose_behind: Any = None


class ImperviousWorkspace(NamedTuple):
    """net: [STRIP], the forcing of the structure behind. behind: its workspace."""

    net: NDArray[np.floating]
    behind: Any


@loop
def keep_pervious(net, share, pervious):
    """What of the net forcing falls on and evaporates from the pervious surfaces."""
    real = pervious.dtype.type
    for c in range(net.size):
        pervious[c] = (real(1.0) - share[c]) * real(net[c])


@loop
def add_impervious(net, share, to_discharge, runoff):
    """Add the rain on the impervious surfaces to the runoff [m3/s]."""
    real = runoff.dtype.type
    for c in range(net.size):
        runoff[c] += share[c] * real(max(net[c], ZERO_F32)) * to_discharge[c]


def advance_with_impervious(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """See `explicit.advance`."""
    pervious = workspace.net[: runoff.size]
    keep_pervious(forcing[0], p[0], pervious)
    advance_behind(
        (pervious,), p[1:], constants, states, new_states, to_discharge, runoff, counts, workspace.behind
    )  # fmt: skip
    add_impervious(forcing[0], p[0], to_discharge, runoff)


def advance_with_impervious_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """See `explicit.advance_adjoint`; the runoff that is added depends on nothing that has a bar."""
    pervious = workspace.net[: runoff_bar.size]
    keep_pervious(forcing[0], p[0], pervious)
    advance_behind_adjoint(
        (pervious,), p[1:], constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
        workspace.behind, weights_bar,
    )  # fmt: skip


def diagnose_with_impervious(forcing, p, constants, states, new_states, workspace, fluxes):
    """See `explicit.diagnose`."""
    net, share, real = forcing[0], p[0], fluxes.dtype.type
    pervious = workspace.net[: net.size]
    keep_pervious(net, share, pervious)
    for c in range(net.size):
        fluxes[0, c] = share[c] * real(max(net[c], ZERO_F32))
    diagnose_behind((pervious,), p[1:], constants, states, new_states, workspace.behind, fluxes[1:])


@cache
def with_impervious(behind: CellModel) -> CellModel:
    """The structure `behind` with impervious surfaces in front of it."""
    name = f"{behind.name}_impervious"
    assert behind.forcings == HYDROLOGICAL_FORCINGS

    def workspace(structure: Structure, weights: NDArray[np.floating], real: type) -> ImperviousWorkspace:
        return ImperviousWorkspace(np.zeros(STRIP, real), behind.workspace(structure, weights, real))

    return replace(
        behind,
        name=name,
        title=f"{behind.title}; with impervious surfaces",
        fluxes=(QI, *behind.fluxes),
        details=("qi", *behind.details),
        advance=bind(advance_with_impervious, name, advance_behind=behind.advance),
        advance_adjoint=bind(advance_with_impervious_adjoint, name, advance_behind_adjoint=behind.advance_adjoint),
        advance_adjoint_to_forcing=None,
        diagnose=bind(diagnose_with_impervious, name, diagnose_behind=behind.diagnose),
        workspace=workspace,
        attributes=(IMPERVIOUS,),
        seconds=(behind.seconds[0] + 3e-9, behind.seconds[1] + 2e-9),
        strip=STRIP,
    )


register_front("impervious", with_impervious)
