"""Mappings of five rows over seven cells, with every option, for their exams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hydrocli.mapping.composition import CompositeMapping, PartiallyFrozenMapping
from hydrocli.mapping.direct import Uniform
from hydrocli.mapping.neural import Cnn, Mlp
from hydrocli.mapping.parameter_table import ParameterSpec
from hydrocli.mapping.regression import Multilinear, Multipower

N_CELLS = 7
CELLS = np.array([True, True, False, True, True, False, True])
FIELD = np.linspace(0.2, 0.9, N_CELLS)


def rows() -> list[ParameterSpec]:
    return [
        ParameterSpec("cp", 1e-6, 1000.0, 200.0),
        ParameterSpec("ct", 1e-6, 1000.0, 500.0, calibrated=False),
        ParameterSpec("kexc", -50.0, 50.0, 0.0),
        ParameterSpec("bkw", 1e-3, 1.0, FIELD, calibrated=False),
        ParameterSpec("hp", 1e-6, 0.999999, FIELD),
    ]


# A descriptor that is 0 and 1 somewhere, one beyond [0, 1], as on a basin to which a mapping is carried.
DESCRIPTORS = np.array([np.linspace(0.0, 1.0, N_CELLS), np.linspace(-0.3, 1.2, N_CELLS) ** 2, FIELD])
NAMES = ("slope", "forest", "dd")
PLACE = np.array([2, 2, 3, 3, 3, 4, 6]), np.array([7, 8, 7, 8, 9, 8, 0])  # the last cell has no neighbour


def uniform_rows() -> list[ParameterSpec]:
    """The calibrated rows begin at one value, kexc at a bound."""
    return [replace(row, value={"kexc": -50.0, "hp": 0.3}.get(row.symbol, row.value)) for row in rows()]


def multilinear(**options: object) -> Multilinear:
    return Multilinear(uniform_rows(), CELLS, DESCRIPTORS, NAMES, **{"used": {}} | options)


def multipower(**options: object) -> Multipower:
    return Multipower(uniform_rows(), CELLS, DESCRIPTORS, NAMES, **{"used": {}} | options)


def mlp(**options: object) -> Mlp:
    return Mlp(uniform_rows(), CELLS, DESCRIPTORS, **{"hidden": (5, 4)} | options)


def cnn(**options: object) -> Cnn:
    return Cnn(uniform_rows(), CELLS, DESCRIPTORS, PLACE, **{"channels": (4, 3)} | options)


def combined() -> CompositeMapping:
    """A network for cp and hp, one value of kexc."""
    ours = [replace(row, calibrated=row.symbol in ("cp", "hp")) for row in uniform_rows()]
    others = [replace(row, calibrated=row.symbol == "kexc") for row in uniform_rows()]
    parts = Mlp(ours, CELLS, DESCRIPTORS, (5,)), Uniform(others, CELLS)
    return CompositeMapping(parts, [np.array([0, 4]), np.array([2])])


def started() -> PartiallyFrozenMapping:
    """Every second control of the two parts."""
    whole = combined()
    size = whole.lower.size
    return PartiallyFrozenMapping(whole, np.linspace(0.1, 0.9, size), np.arange(size) % 2 == 0)
