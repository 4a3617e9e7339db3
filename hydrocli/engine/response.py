"""What phi1 makes of a flux: the flux over a level and a forcing, with and without corrections (P2, response surfaces).

Of a cell with given parameters, in one step; the other level is at its mean, the other forcing is zero. In structures
whose network sees the new levels, the level is the new one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.engine.fluxes import FLUXES, cell_rows, equations_of, fluxes_of
from hydrocli.engine.simulator import Simulator
from hydrocli.structures.network import STRIP

SURFACES = {
    "infiltration": ("ps", "hp", 1.0),
    "evaporation": ("es", "hp", -1.0),
    "exchange": ("exchange", "ht", 1.0),
    "outflow": ("qr", "ht", 1.0),
}
"""Flux, the level that varies, and the sign of pn - en that varies with it."""
POINTS = 25


def response(simulator: Simulator, parameters: Floats, weights: Floats, levels: dict[str, float]) -> dict[str, Any]:
    """Columns flux, level, level_value, forcing, forcing_value, classical, corrected of all surfaces.

    Args:
        sweep: gives the structure, the step and the largest forcings.
        parameters: [5] cp, ct, kexc, akw, bkw.
        weights: of phi1.
        levels: hp and ht where they do not vary.
    """
    largest = {1.0: float(simulator.net.max(initial=0.0)), -1.0: float(-simulator.net.min(initial=0.0))}
    columns: dict[str, list[Any]] = {
        name: [] for name in ("flux", "level", "level_value", "forcing", "forcing_value", "classical", "corrected")
    }
    for name, (flux, level, sign) in SURFACES.items():
        # Rain is seldom near its largest: points crowd at the small values.
        forcing = largest[sign] * np.linspace(0.0, 1.0, POINTS) ** 2
        values, amounts = (grid.ravel() for grid in np.meshgrid(np.linspace(0.0, 1.0, POINTS), forcing, indexing="ij"))
        here = {symbol: np.full(values.size, mean) for symbol, mean in levels.items()} | {level: values.clip(1e-6)}
        both = [
            _flux(simulator, parameters, of, sign * amounts, here["hp"], here["ht"], FLUXES.index(flux))
            for of in (np.zeros_like(weights), weights)
        ]
        told: dict[str, Any] = {
            "flux": [name] * values.size,
            "level": [level] * values.size,
            "level_value": here[level],
            "forcing": ["pn" if sign > 0 else "en"] * values.size,
            "forcing_value": amounts,
            "classical": both[0],
            "corrected": both[1],
        }
        for column, items in told.items():
            columns[column].extend(items)
    return columns


def _flux(
    simulator: Simulator, parameters: Floats, weights: Floats, net: Floats, hp: Floats, ht: Floats, flux: int
) -> Floats:
    """A flux [n] of cells with the same parameters."""
    equations, (_, inverse_beta) = equations_of(simulator.structure, weights), simulator.constants
    found, out = np.empty(net.size), np.empty((len(FLUXES), STRIP))
    forcing = net.astype(np.float32)
    for first in range(0, net.size, STRIP):
        here = slice(first, first + STRIP)
        count = net[here].size
        cells = cell_rows(np.repeat(parameters[:, np.newaxis], count, axis=1))
        levels = hp[here], ht[here]
        fluxes_of(forcing[here], *levels, *levels, tuple(cells), inverse_beta, equations, out)
        found[here] = out[flux, :count]
    return found
