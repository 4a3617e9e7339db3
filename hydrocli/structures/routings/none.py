"""The routing `none`: the discharge of a cell is its own runoff, Q = ql; nothing flows from cell to cell."""

from __future__ import annotations

from hydrocli.jit import kernel
from hydrocli.structures.routings.routing import Routing, register_routing


@kernel
def routed(parameters, U, Qb, qlb, ql):
    """Discharge [m3/s]; there are no parameters."""
    return ql


@kernel
def routed_adjoint(parameters, U, Qb, qlb, ql, Q_bar):
    """Bars of no parameters, U, Qb, qlb, ql."""
    return (), 0.0 * Q_bar, 0.0 * Q_bar, 0.0 * Q_bar, Q_bar


register_routing(
    Routing(
        name="none",
        title="no flow from cell to cell",
        parameters=(),
        prepare=lambda p, step, width: {},
        routed=routed,
        routed_adjoint=routed_adjoint,
    )
)
