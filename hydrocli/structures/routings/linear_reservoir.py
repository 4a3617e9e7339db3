"""The routing `linear_reservoir`: the water from upstream through one linear reservoir per cell, with the lag llr.

    r = 1 - exp(-dt / llr)        Q = ql + r U + (1 - r) (Qb - qlb)

Lateral inflow passes at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hydrocli.jit import kernel
from hydrocli.names import Quantity
from hydrocli.structures.routings.routing import Routing, register_routing
from hydrocli.water.linear_reservoir import linear_reservoir, linear_reservoir_adjoint

LLR = Quantity("llr", "lag of the linear reservoir of the routing", "min", 5.0, 1e-6, 1000.0, "smash 1.3")


@kernel
def routed(parameters, U, Qb, qlb, ql):
    """Discharge [m3/s]; parameters: r, its derivative by llr [1/min]."""
    return linear_reservoir(parameters[0], U, Qb, qlb, ql)


@kernel
def routed_adjoint(parameters, U, Qb, qlb, ql, Q_bar):
    """Bars of llr, U, Qb, qlb, ql."""
    r_bar, U_bar, Qb_bar, qlb_bar, ql_bar = linear_reservoir_adjoint(parameters[0], U, Qb, qlb, ql, Q_bar)
    return (r_bar * parameters[1],), U_bar, Qb_bar, qlb_bar, ql_bar


def prepare(p: dict[str, Any], step: int, width: Any) -> dict[str, Any]:
    """Rows of the release."""
    lags = step / 60.0 / p["llr"]
    return {"r": -np.expm1(-lags), "dr/dllr": -lags / p["llr"] * np.exp(-lags)}


register_routing(
    Routing(
        name="linear_reservoir",
        title="one linear reservoir per cell for the water from upstream",
        parameters=(LLR,),
        prepare=prepare,
        routed=routed,
        routed_adjoint=routed_adjoint,
    )
)
