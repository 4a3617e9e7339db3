"""The routing `lag0`: all runoff reaches the outlet within the step, Q = U + ql."""

from __future__ import annotations

from hydrocli.jit import kernel
from hydrocli.structures.routings.routing import Routing, register_routing


@kernel
def routed(parameters, U, Qb, qlb, ql):
    """Discharge [m3/s]; there are no parameters."""
    return U + ql


@kernel
def routed_adjoint(parameters, U, Qb, qlb, ql, Q_bar):
    """Bars of no parameters, U, Qb, qlb, ql."""
    return (), Q_bar, 0.0 * Q_bar, 0.0 * Q_bar, Q_bar


register_routing(
    Routing(
        name="lag0",
        title="sum of the runoff upstream, without delay",
        parameters=(),
        prepare=lambda p, step, width: {},
        routed=routed,
        routed_adjoint=routed_adjoint,
    )
)
