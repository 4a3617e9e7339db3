"""What the land is like, and the parameters that follow from it: smooth functions of the descriptors, known exactly.

A parameter is lower + (upper - lower) * sigmoid(constant + sum of weight * D), each descriptor D scaled to [0, 1] over
the basin: the family of the multilinear mapping, so that a calibration with the same bounds can find the truth. Where
`options.truth` is uniform, it is UNIFORM everywhere.
"""

from __future__ import annotations

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.synthetic.options import HOUR, SampleOptions
from hydrocli.synthetic.terrain import CELL, Terrain, fractal

TRUTH: dict[str, tuple[float, float, float, dict[str, float]]] = {
    "cp": (100.0, 600.0, -3.0, {"available_water": 4.0, "forest": 2.0}),
    "ct": (50.0, 300.0, -1.5, {"forest": 3.0, "available_water": 2.0, "slope": -2.5}),
    "kexc": (-2.0, 1.0, -0.3, {"drainage_density": 3.0, "slope": -1.0}),
    "akw": (3.0, 8.0, 1.0, {"slope": -4.0, "forest": 2.0}),
    "bkw": (0.5, 0.8, 0.5, {"slope": -2.0, "drainage_density": 1.0}),
}
"""Lower, upper, constant and weights of each parameter, for steps of an hour."""
UNIFORM = {"cp": 250.0, "ct": 150.0, "kexc": -1.0, "akw": 5.0, "bkw": 0.6}
"""Likewise, one value for all cells."""


def make_descriptors(terrain: Terrain, options: SampleOptions) -> dict[str, Floats]:
    """Fields [height, width] that follow the terrain in part.

    slope [degrees], drainage_density [km/km2], forest [share of the cell], available_water [mm].
    """
    generator = options.generator("descriptors")

    def own() -> Floats:
        return fractal(generator, terrain.grid.shape, 2.8)

    slope = np.degrees(np.arctan(np.hypot(*np.gradient(terrain.elevation, CELL))))
    steep, high = _standardised(slope), _standardised(terrain.elevation)
    forest = 1.2 * (0.5 * high + 0.4 * steep + 0.8 * own())
    return {
        "slope": slope,
        "drainage_density": 2.2 * np.exp(0.3 * (0.6 * steep + 0.8 * own())),
        "forest": 1 / (1 + np.exp(-forest)),
        "available_water": 130.0 * np.exp(0.35 * (0.85 * own() - 0.5 * steep)),
    }


def true_parameters(terrain: Terrain, options: SampleOptions) -> dict[str, Floats]:
    """Fields [height, width] of cp, ct [mm], kexc [mm/step], akw, bkw on the terrain's grid.

    Where the step is not an hour, ct and kexc are those of the same soil: the outflow ct ht^5 / 4 of the transfer store
    and its exchange kexc ht^3.5, both per step, stay the same in mm per hour where ct follows step^(-1/4) and kexc
    step^(1/8).
    """
    longer = options.step / HOUR
    factor = {"ct": longer**-0.25, "kexc": longer**0.125}
    hourly = _of_descriptors(terrain, options) if options.truth == "descriptors" else _of_nothing(terrain)
    return {symbol: factor.get(symbol, 1.0) * field for symbol, field in hourly.items()}


def _of_descriptors(terrain: Terrain, options: SampleOptions) -> dict[str, Floats]:
    scaled = {name: _scaled(field, terrain) for name, field in make_descriptors(terrain, options).items()}
    truth = {}
    for symbol, (lower, upper, constant, weights) in TRUTH.items():
        exponent = constant + sum(weight * scaled[name] for name, weight in weights.items())
        truth[symbol] = lower + (upper - lower) / (1 + np.exp(-exponent))
    return truth


def _of_nothing(terrain: Terrain) -> dict[str, Floats]:
    return {symbol: np.full(terrain.grid.shape, value) for symbol, value in UNIFORM.items()}


def _standardised(field: Floats) -> Floats:
    return (field - field.mean()) / field.std()


def _scaled(field: Floats, terrain: Terrain) -> Floats:
    inside = field[terrain.basin]
    return (field - inside.min()) / (inside.max() - inside.min())
