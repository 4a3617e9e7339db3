"""Response surfaces: a flux over a level and a forcing, with and without the corrections of the network (P2 Fig. 10).

Of a cell with given parameters, in one step; the other levels are at their means, the other forcing is zero. In
structures whose network sees the new levels, the level is the new one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.engine.simulator import Simulator
from hydrocli.jit import bind, unrolled
from hydrocli.structures.rows import STRIP, cut

POINTS = 25
diagnose: Any = None
cut_parameters: Any = None
rows_to: Any = None


def fluxes_of_cells(net, parameters, constants, levels, workspace, fluxes):
    """Fluxes of up to STRIP cells whose levels [states, n] are those before and after the step."""
    n = net.size
    states = rows_to(levels, n)
    diagnose((net,), cut_parameters(parameters, 0, n), constants, states, states, workspace, fluxes)


def response(simulator: Simulator, parameters: Floats, weights: Floats, levels: dict[str, float]) -> dict[str, Any]:
    """Columns flux, level, level_value, forcing, forcing_value, classical, corrected of all surfaces.

    Args:
        simulator: gives the structure, the step and the largest forcings.
        parameters: [p] of the structure, then of the routing.
        weights: of the network.
        levels: of every state, where it does not vary.
    """
    structure, net = simulator.structure, simulator.forcing[0]
    largest = {1.0: float(net.max(initial=0.0)), -1.0: float(-net.min(initial=0.0))}
    columns: dict[str, list[Any]] = {
        name: [] for name in ("flux", "level", "level_value", "forcing", "forcing_value", "classical", "corrected")
    }
    for name, (flux, level, sign) in structure.model.surfaces.items():
        # Rain is seldom near its largest: points crowd at the small values.
        forcing = largest[sign] * np.linspace(0.0, 1.0, POINTS) ** 2
        values, amounts = (grid.ravel() for grid in np.meshgrid(np.linspace(0.0, 1.0, POINTS), forcing, indexing="ij"))
        here = {symbol: np.full(values.size, levels[symbol]) for symbol in structure.states}
        here |= {level: values.clip(1e-6)}
        both = [
            _flux(simulator, parameters, used, sign * amounts, np.stack(list(here.values())), flux)
            for used in (np.zeros_like(weights), weights)
        ]
        found: dict[str, Any] = {
            "flux": [name] * values.size,
            "level": [level] * values.size,
            "level_value": here[level],
            "forcing": ["pn" if sign > 0 else "en"] * values.size,
            "forcing_value": amounts,
            "classical": both[0],
            "corrected": both[1],
        }
        for column, items in found.items():
            columns[column].extend(items)
    return columns


def _flux(simulator: Simulator, parameters: Floats, weights: Floats, net: Floats, levels: Floats, flux: str) -> Floats:
    """A flux [n] of cells with the same parameters."""
    structure, model = simulator.structure, simulator.structure.model
    by_symbol = dict(zip(structure.parameters, parameters, strict=False))
    prepared = np.array([float(value) for value in model.prepare(by_symbol, simulator.step).values()])
    rows = np.repeat(prepared[:, np.newaxis], STRIP, axis=1)
    constants = tuple(float(number) for number in model.constants(structure, simulator.step))
    workspace = model.workspace(structure, structure.scaled(weights), np.float64)
    run = bind(
        fluxes_of_cells, model.name, diagnose=model.diagnose, cut_parameters=cut(len(model.row_names)),
        rows_to=unrolled("block[{i}, 0:n]", len(model.states), "block, n"),
    )  # fmt: skip
    found, out = np.empty(net.size), np.empty((len(structure.fluxes), STRIP))
    forcing = net.astype(np.float32)
    for first in range(0, net.size, STRIP):
        part = np.ascontiguousarray(levels[:, first : first + STRIP])
        run(forcing[first : first + STRIP], rows, constants, part, workspace, out)
        found[first : first + STRIP] = out[structure.fluxes.index(flux), : part.shape[1]]
    return found
