"""What a routing declares, and the routings by name.

A routing is one file of this folder: a kernel of one routed cell and one step, its adjoint, and a `Routing` that names
its parameters. A headwater is not routed, its discharge is its lateral inflow. What a routing carries over from step to
step is the discharge of the cell and its lateral inflow, so a run that starts from them goes on to the bit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydrocli.names import Quantity


@dataclass(frozen=True, eq=False)
class Routing:
    """Declaration of a routing.

    Attributes:
        name: value of the option `routing`; also of its compiled code.
        title: what it is, in a few words, with its source.
        parameters: in the order of the rows of parameters, which follow those of the structure.
        prepare: rows by name that the kernels get, from rows of parameters by symbol, the step [s] and the width of the
            cells [m]: computed once for a simulation.
        routed: kernel routed(parameters, U, Qb, qlb, ql) of the prepared rows, the discharge from upstream, the
            discharge and the lateral inflow one step before, and the lateral inflow; gives the discharge [m3/s].
        routed_adjoint: kernel with the same arguments and the bar of the discharge; gives the bars of the declared
            parameters, U, Qb, qlb, ql.
        lowest_flow: to which flows are raised before they are routed [m3/s]; 0: they are not.
    """

    name: str
    title: str
    parameters: tuple[Quantity, ...]
    prepare: Callable[[dict[str, Any], int, Any], dict[str, Any]]
    routed: Any
    routed_adjoint: Any
    lowest_flow: float = 0.0

    @property
    def rows(self) -> int:
        """Number of rows that the kernels get."""
        return len(self.prepare({one.symbol: 1.0 for one in self.parameters}, 3600, 1.0))


_ROUTINGS: dict[str, Routing] = {}


def register_routing(routing: Routing) -> None:
    """Make a routing known; each file of this folder ends with this."""
    assert routing.name not in _ROUTINGS, routing.name
    _ROUTINGS[routing.name] = routing


@cache
def routings() -> dict[str, Routing]:
    """All routings by name: those of every file of this folder."""
    import hydrocli.structures.routings as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_ROUTINGS.items()))
