"""Response surfaces: a flux over a level and a forcing, with and without the corrections of the network (P1 Fig. 12).

Of a cell with given parameters, in one step; the other levels are at their means, the other forcing is zero. In
structures whose network sees the new levels, the level is the new one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.engine.observers import Observers, OutputRecorder, OutputRequest
from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.engine.simulator import Simulator, empty_buffer

POINTS = 25


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
    """A flux [n] of n cells with the same parameters: one step that begins and ends at the levels [states, n]."""
    cells, structure = net.size, simulator.structure
    order = wavefront_order(np.full(cells, -1), np.zeros(cells, np.int64), 1)
    forcing = np.zeros(order.forcing_size, np.float32)
    order_forcing(net[np.newaxis].astype(np.float32), 0, order, forcing)
    side = np.ones(cells)
    alone = Simulator(order, (forcing,), side, side, np.zeros(0, np.intp), simulator.step, structure=structure)
    tree = GaugeTree.of(np.full(cells, -1), np.zeros(1, np.intp))
    recorder = OutputRecorder(alone, OutputRequest((flux,), tree, side, np.arange(cells)))
    buffer = empty_buffer(1, order, structure, np.float64)
    buffer.levels[:] = order.spread(levels, 0.5)[:, np.newaxis]
    everywhere = np.repeat(parameters[:, np.newaxis], cells, axis=1)
    Observers(alone, everywhere, weights, recorder)(buffer, 0, 1)
    return recorder.at_cells[flux][:, 0]
