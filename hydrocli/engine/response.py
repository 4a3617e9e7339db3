"""Response surfaces: a flux over a level and a forcing, with and without the network (P1 Fig. 12).

Of a cell with given parameters, in one step; the other levels are at their means, the other forcing is zero. In
structures whose network sees the new levels, the level is the new one. Neural reservoirs also have the bound of the
flux; with the intensity of the rain, which is that of steady rain elsewhere, infiltration over rain and intensity at
three levels (P3).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.engine.observers import Observers, OutputRecorder, OutputRequest
from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.engine.simulator import Simulator, empty_buffer
from hydrocli.structures.structure import RAIN_INTENSITY, Structure, bound_of

POINTS = 25
SHOWN_LEVELS = (0.2, 0.5, 0.8)
"""Dry, intermediate and wet production store."""


def response(simulator: Simulator, parameters: Floats, weights: Floats, levels: dict[str, float]) -> dict[str, Any]:
    """Columns flux, level, level_value, forcing, forcing_value, classical, corrected, bound of all surfaces.

    Args:
        simulator: gives the structure, the step and the largest forcings.
        parameters: [p] of the structure, then of the routing.
        weights: of the network.
        levels: of every state, where it does not vary.
    """
    structure, net = replace(simulator.structure, impervious=""), simulator.forcing[0]
    largest = {1.0: float(net.max(initial=0.0)), -1.0: float(-net.min(initial=0.0))}
    probe, columns = _Probe(simulator, parameters, weights), dict[str, list[Any]]()

    def add(found: dict[str, Any]) -> None:
        for column, items in found.items():
            columns.setdefault(column, []).extend(items)

    def levels_at(count: int) -> dict[str, Floats]:
        return {symbol: np.full(count, levels[symbol]) for symbol in structure.states}

    for name, (flux, level, sign) in structure.model.surfaces.items():
        # Rain is seldom near its largest: points crowd at the small values.
        forcing = largest[sign] * np.linspace(0.0, 1.0, POINTS) ** 2
        values, amounts = (grid.ravel() for grid in np.meshgrid(np.linspace(0.0, 1.0, POINTS), forcing, indexing="ij"))
        here = levels_at(values.size) | {level: values.clip(1e-6)}
        found: dict[str, Any] = {
            "flux": [name] * values.size,
            "level": [level] * values.size,
            "level_value": here[level],
            "forcing": ["pn" if sign > 0 else "en"] * values.size,
            "forcing_value": amounts,
        }
        add(found | probe.fluxes(sign * amounts, np.maximum(sign * amounts, 0.0), here, flux))
    if structure.sees_intensity:
        amounts = largest[1.0] * np.linspace(0.0, 1.0, POINTS) ** 2
        intensity, rain = (grid.ravel() for grid in np.meshgrid(amounts, amounts, indexing="ij"))
        for level_value in SHOWN_LEVELS:
            found = {
                "flux": [f"infiltration, hp {level_value:g}"] * rain.size,
                "level": [RAIN_INTENSITY] * rain.size,
                "level_value": intensity,
                "forcing": ["pn"] * rain.size,
                "forcing_value": rain,
            }
            add(
                found
                | probe.fluxes(rain, intensity, levels_at(rain.size) | {"hp": np.full(rain.size, level_value)}, "ps")
            )
    return columns


class _Probe:
    """Fluxes of many cells with the same parameters in one step, with and without the network.

    Args:
        simulator, parameters, weights: as in `response`.
    """

    def __init__(self, simulator: Simulator, parameters: Floats, weights: Floats) -> None:
        self._step, self._structure = simulator.step, replace(simulator.structure, impervious="")
        self._parameters, self._weights = parameters, weights

    def fluxes(self, net: Floats, intensity: Floats, levels: dict[str, Floats], flux: str) -> dict[str, Floats]:
        """Columns classical, corrected and bound [n] of a flux; the step begins and ends at the levels [n].

        Args:
            net: [n] pn - en [mm/step].
            intensity: [n] of the rain, where the network sees it [mm/step].
            levels: of every state by its symbol.
            flux: its symbol.
        """
        structure, classical = self._structure, self._structure.without_network
        nothing = np.zeros(classical.weights)
        found = {"classical": self._of(classical, nothing, net, intensity, levels, (flux,))[flux]}
        bound = bound_of(flux)
        wanted = (flux, bound) if bound in structure.quantities else (flux,)
        rows = self._of(structure, self._weights, net, intensity, levels, wanted)
        return found | {"corrected": rows[flux], "bound": rows.get(bound, np.full(net.size, np.nan))}

    def _of(
        self, structure: Structure, weights: Floats, net: Floats, intensity: Floats, levels: dict[str, Floats],
        wanted: tuple[str, ...],
    ) -> dict[str, Floats]:  # fmt: skip
        cells = net.size
        order = wavefront_order(np.full(cells, -1), np.zeros(cells, np.int64), 1)
        given = (net, intensity)[: len(structure.model.forcings)]
        forcing = tuple(np.zeros(order.forcing_size, np.float32) for _ in given)
        for values, ordered in zip(given, forcing, strict=True):
            order_forcing(values[np.newaxis].astype(np.float32), 0, order, ordered)
        side = np.ones(cells)
        alone = Simulator(order, forcing, side, side, np.zeros(0, np.intp), self._step, structure=structure)
        tree = GaugeTree.of(np.full(cells, -1), np.zeros(1, np.intp))
        recorder = OutputRecorder(alone, OutputRequest(wanted, tree, side, np.arange(cells)))
        buffer = empty_buffer(1, order, structure, np.float64)
        buffer.levels[:] = order.spread(np.stack(list(levels.values())), 0.5)[:, np.newaxis]
        everywhere = np.repeat(self._parameters[:, np.newaxis], cells, axis=1)
        Observers(alone, everywhere, weights, recorder)(buffer, 0, 1)
        return {name: values[:, 0] for name, values in recorder.at_cells.items()}
