"""The routing `kinematic_wave`: a wave whose speed grows with the discharge (P1 eq. 9; Chow et al. 1988)."""

from __future__ import annotations

from typing import Any

from hydrocli.jit import kernel
from hydrocli.names import ROUTING_PARAMETERS
from hydrocli.structures.routings.routing import Routing, register_routing
from hydrocli.water.kinematic_wave import LOWEST_FLOW, kinematic_wave, kinematic_wave_adjoint


@kernel
def routed(parameters, U, Qb, qlb, ql):
    """Discharge [m3/s]; parameters: akw, bkw, step over cell width [s/m]."""
    akw, bkw, d1 = parameters
    return kinematic_wave(akw, bkw, U, Qb, qlb, ql, d1)


@kernel
def routed_adjoint(parameters, U, Qb, qlb, ql, Q_bar):
    """Bars of akw and bkw, U, Qb, qlb, ql."""
    akw, bkw, d1 = parameters
    akw_bar, bkw_bar, U_bar, Qb_bar, qlb_bar, ql_bar, _ = kinematic_wave_adjoint(akw, bkw, U, Qb, qlb, ql, d1, Q_bar)
    return (akw_bar, bkw_bar), U_bar, Qb_bar, qlb_bar, ql_bar


def prepare(p: dict[str, Any], step: int, width: Any) -> dict[str, Any]:
    """Rows of the wave."""
    return {"akw": p["akw"], "bkw": p["bkw"], "d1": step / width}


register_routing(
    Routing(
        name="kinematic_wave",
        title="kinematic wave, linearised implicit scheme (P1 eq. 9; Chow et al. 1988)",
        parameters=tuple(ROUTING_PARAMETERS.values()),
        prepare=prepare,
        routed=routed,
        routed_adjoint=routed_adjoint,
        lowest_flow=LOWEST_FLOW,
    )
)
