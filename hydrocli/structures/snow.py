"""Snow and interception in front of any structure: what a parameter of the snow changes cannot be computed once.

    rain, snowfall <- P, T        melt <- snow store        pn, en <- interception of rain + melt, PET

The composition is a structure like any other: its states are hs, hi and those of the structure behind it, its
parameter kmlt comes before the others.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import bind, kernel, loop
from hydrocli.names import FLUXES, INTERCEPTION_CAPACITY, STATES, Quantity
from hydrocli.structures.rows import STRIP
from hydrocli.structures.structure import (
    HYDROLOGICAL_FORCINGS,
    METEOROLOGICAL_FORCINGS,
    CellModel,
    State,
    Structure,
    register_front,
)
from hydrocli.water.interception import interception, interception_adjoint
from hydrocli.water.snow import degree_day, degree_day_adjoint, liquid_fraction

KMLT = Quantity("kmlt", "melt coefficient of snow", "mm/degC/step", 1.0, 1e-6, 10.0, "Garavaglia et al. 2017")
HS = Quantity("hs", "water in the snow store", "mm", 1e-6, 0.0, 1000.0, "Garavaglia et al. 2017")
FRONT = (
    Quantity("precipitation", "precipitation, rain and snow", "mm/step"),
    Quantity("snowfall", "precipitation that falls as snow", "mm/step", source="Garavaglia et al. 2017"),
    Quantity("melt", "snow melt", "mm/step"),
    Quantity("ei", "evaporation from interception", "mm/step", source="P1 2.2.1"),
    FLUXES["pn"],
    FLUXES["en"],
)

# Parts of the templates below, which `bind` puts in their place.
advance_behind: Any = None
advance_behind_adjoint: Any = None
diagnose_behind: Any = None


class SnowWorkspace(NamedTuple):
    """Rows for a strip, and what the structure behind needs.

    net, net_bar: [STRIP], the forcing of that structure, and its bar. hs, hi: [STRIP], states that are computed again
    and not needed. behind: its workspace.
    """

    net: NDArray[np.floating]
    net_bar: NDArray[np.floating]
    hs: NDArray[np.floating]
    hi: NDArray[np.floating]
    behind: Any


@kernel
def front(forcing, ci, kmlt, states):
    """New (hs, hi), net forcing pn - en [mm/step] and fluxes (see `FRONT`) [mm/step]."""
    P, E, T = forcing
    hs, hi = states
    rain = liquid_fraction(T) * P
    snowfall = P - rain
    hs, melt = degree_day(snowfall, T, kmlt, hs)
    pn, en, hi = interception(rain + melt, E, ci, hi)
    return (hs, hi), pn - en, (P, snowfall, melt, E - en, pn, en)


@kernel
def front_adjoint(forcing, ci, kmlt, states, states_bar, net_bar):
    """Bars of kmlt and of the states; the forcing and the capacity of interception are given."""
    P, E, T = forcing
    hs, hi = states
    hs_bar, hi_bar = states_bar
    rain = liquid_fraction(T) * P
    snowfall = P - rain
    _, melt = degree_day(snowfall, T, kmlt, hs)
    # pn, en, hi = interception(rain + melt, E, ci, hi)
    water_bar, _, _, hi_bar = interception_adjoint(rain + melt, E, ci, hi, net_bar, -net_bar, hi_bar)
    # hs, melt = degree_day(snowfall, T, kmlt, hs)
    _, _, kmlt_bar, hs_bar = degree_day_adjoint(snowfall, T, kmlt, hs, hs_bar, water_bar)
    return kmlt_bar, (hs_bar, hi_bar)


@loop
def run_front(forcing, p, states, new_states, net):
    """The front of a strip: new states hs, hi, and the net forcing."""
    P, E, T, ci, kmlt, hs, hi = forcing[0], forcing[1], forcing[2], p[0], p[1], states[0], states[1]
    new_hs, new_hi, real = new_states[0], new_states[1], net.dtype.type
    for c in range(P.size):
        (new_hs[c], new_hi[c]), net[c], _ = front((real(P[c]), real(E[c]), real(T[c])), ci[c], kmlt[c], (hs[c], hi[c]))


@loop
def run_front_adjoint(forcing, p, states, net_bar, states_bar, kmlt_bar):
    """Transpose of `run_front`; kmlt_bar is summed."""
    P, E, T, ci, kmlt, hs, hi = forcing[0], forcing[1], forcing[2], p[0], p[1], states[0], states[1]
    hs_bar, hi_bar, real = states_bar[0], states_bar[1], net_bar.dtype.type
    for c in range(P.size):
        more, (hs_bar[c], hi_bar[c]) = front_adjoint(
            (real(P[c]), real(E[c]), real(T[c])), ci[c], kmlt[c], (hs[c], hi[c]), (hs_bar[c], hi_bar[c]), net_bar[c]
        )
        kmlt_bar[c] += more


def advance_with_snow(forcing, p, constants, states, new_states, to_discharge, runoff, counts, workspace):
    """See `explicit.advance`."""
    net = workspace.net[: runoff.size]
    run_front(forcing, p, states, new_states, net)
    advance_behind((net,), p[2:], constants, states[2:], new_states[2:], to_discharge, runoff, counts, workspace.behind)


def advance_with_snow_adjoint(
    forcing, p, constants, states, new_states, to_discharge, runoff_bar, states_bar, p_bar, net_bar,
    workspace, weights_bar,
):  # fmt: skip
    """See `explicit.advance_adjoint`."""
    n = runoff_bar.size
    net, behind_bar = workspace.net[:n], workspace.net_bar[:n]
    run_front(forcing, p, states, (workspace.hs, workspace.hi), net)
    advance_behind_adjoint(
        (net,), p[2:], constants, states[2:], new_states[2:], to_discharge, runoff_bar, states_bar[2:], p_bar[1:],
        behind_bar, workspace.behind, weights_bar,
    )  # fmt: skip
    run_front_adjoint(forcing, p, states, behind_bar, states_bar, p_bar[0])


def diagnose_with_snow(forcing, p, constants, states, new_states, workspace, fluxes):
    """See `explicit.diagnose`."""
    P, E, T, ci, kmlt, hs, hi = forcing[0], forcing[1], forcing[2], p[0], p[1], states[0], states[1]
    net, real = workspace.net[: P.size], workspace.net.dtype.type
    for c in range(P.size):
        _, net[c], (
            fluxes[0, c], fluxes[1, c], fluxes[2, c], fluxes[3, c], fluxes[4, c], fluxes[5, c]
        ) = front((real(P[c]), real(E[c]), real(T[c])), ci[c], kmlt[c], (hs[c], hi[c]))  # fmt: skip
    diagnose_behind((net,), p[2:], constants, states[2:], new_states[2:], workspace.behind, fluxes[6:])


@cache
def with_snow(behind: CellModel) -> CellModel:
    """The structure `behind` with a snow store and interception in front of it."""
    name = f"{behind.name}_snow"
    assert behind.forcings == HYDROLOGICAL_FORCINGS

    def prepare(p: dict[str, Any], step: int) -> dict[str, Any]:
        rest = {symbol: values for symbol, values in p.items() if symbol != "kmlt"}
        return {"kmlt": p["kmlt"], **behind.prepare(rest, step)}

    def workspace(structure: Structure, weights: NDArray[np.floating], real: type) -> SnowWorkspace:
        rows: NDArray[np.floating] = np.zeros((4, STRIP), real)
        return SnowWorkspace(rows[0], rows[1], rows[2], rows[3], behind.workspace(structure, weights, real))

    adjoint = bind(advance_with_snow_adjoint, name, advance_behind_adjoint=behind.advance_adjoint_to_forcing)
    return CellModel(
        name=name,
        title=f"{behind.title}; with a degree-day snow store",
        parameters=(KMLT, *behind.parameters),
        states=(State(HS, calibrated=False), State(STATES["hi"], "ci", calibrated=False), *behind.states),
        fluxes=(*FRONT, *behind.fluxes),
        balance=behind.balance | {"evapotranspiration": ("ei", *behind.balance["evapotranspiration"])},
        details=("snowfall", "melt", *behind.details),
        prepare=prepare,
        constants=behind.constants,
        advance=bind(advance_with_snow, name, advance_behind=behind.advance),
        advance_adjoint=adjoint,
        advance_adjoint_to_forcing=None,
        diagnose=bind(diagnose_with_snow, name, diagnose_behind=behind.diagnose),
        workspace=workspace,
        corrections=behind.corrections,
        inputs=behind.inputs,
        diagnostics=behind.diagnostics,
        without_network=behind.without_network,
        forcings=METEOROLOGICAL_FORCINGS,
        has_interception=behind.has_interception,
        attributes=(INTERCEPTION_CAPACITY,),
        options=behind.options,
        surfaces={},
        step_exponents=behind.step_exponents,
        seconds=(behind.seconds[0] + 15e-9, behind.seconds[1] + 8e-9),
        strip=STRIP,
        iterates=behind.iterates,
        corrects_new_levels=behind.corrects_new_levels,
    )


register_front("degree_day", with_snow)
