"""The network of a structure as a run has it: weights, scale of the inputs, ranges of the inputs in its calibration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.config import Experiment, load
from hydrocli.engine.simulator import NO_WEIGHTS
from hydrocli.errors import InputError
from hydrocli.names import NETWORK_INPUTS
from hydrocli.results import read
from hydrocli.structures.structure import Structure

Floats = NDArray[np.float64]
INPUTS = len(NETWORK_INPUTS)
NAME = "phi1"


def _unknown() -> Floats:
    return np.full(INPUTS, np.nan)


@dataclass(frozen=True, eq=False)
class Phi1:
    """Weights [w] in the order of `hydrocli.structures.network`; of each input its factor, lowest and highest value.

    The ranges are NaN where the weights were never calibrated.
    """

    weights: Floats = field(default_factory=lambda: NO_WEIGHTS)
    scale: Floats = field(default_factory=lambda: np.ones(INPUTS))
    lowest: Floats = field(default_factory=_unknown)
    highest: Floats = field(default_factory=_unknown)

    @property
    def is_calibrated(self) -> bool:
        """Whether the ranges are known."""
        return bool(np.isfinite(self.lowest).all())


def structure_of(experiment: Experiment, scale: Floats) -> Structure:
    """The structure of a configuration with the factors of the inputs of its network."""
    asked = experiment.structure
    options = asked.model_dump(exclude={"network"})
    if asked.kind == "grnn" or asked.kind == "node":
        options |= {"hidden": asked.network.hidden, "activation": asked.network.activation}
    return Structure(input_scale=tuple(scale.tolist()), **options)


def phi1_rows(structure: Structure, phi1: Phi1) -> list[tuple[Any, ...]]:
    """Of network_weights.parquet: layer, array, unit, input, neighbour, name, value; layer 0 is the inputs."""
    rows = list[tuple[Any, ...]]()
    for array, values in (("scale", phi1.scale), ("lowest", phi1.lowest), ("highest", phi1.highest)):
        rows += [(0, array, unit, None, None, NETWORK_INPUTS[unit], value) for unit, value in enumerate(values)]
    for layer, array, values in _layers(structure, phi1.weights):
        for place, value in np.ndenumerate(values):
            rows.append((layer, array, place[0], place[1] if values.ndim == 2 else None, None, None, value))
    return rows


def read_phi1(folder: Path, experiment: Experiment) -> Phi1:
    """The network of another run, which must be of the same form as the one asked for.

    Raises:
        InputError: the run has no network, or another one.
    """
    run = read(folder)
    asked, theirs = experiment.structure, load(folder / "config.yaml").structure
    assert asked.kind == "grnn" or asked.kind == "node"
    if theirs.kind != asked.kind:
        remedy = f"The corrections of {asked.kind} mean other fluxes: name a run of {asked.kind}."
        raise InputError(str(folder), f"is a run of the structure {theirs.kind}", remedy)
    for key in ("hidden", "activation"):
        found, wanted = getattr(theirs.network, key), getattr(asked.network, key)
        if found != wanted:
            told = [list(item) if isinstance(item, tuple) else item for item in (found, wanted)]
            what = f"its network has structure.network.{key} {told[0]}, asked for is {told[1]}"
            raise InputError(str(folder), what, "Ask for the same.")
    table = run.arrays("network_weights")
    here = table["network"] == NAME
    inputs, layer, array, value = here & (table["layer"] == 0), table["layer"], table["array"], table["value"]
    of_inputs = [value[inputs & (array == name)] for name in ("scale", "lowest", "highest")]
    return Phi1(value[here & (layer > 0)], *of_inputs)


def _layers(structure: Structure, weights: Floats) -> list[tuple[int, str, Floats]]:
    """Matrices [outputs, inputs] and biases of the layers, counted from 1, in their order."""
    parts, at = list[tuple[int, str, Floats]](), 0
    for layer, (inputs, outputs) in enumerate(zip(structure.widths[:-1], structure.widths[1:], strict=True), start=1):
        parts.append((layer, "weight", weights[at : at + inputs * outputs].reshape(outputs, inputs)))
        at += inputs * outputs
        parts.append((layer, "bias", weights[at : at + outputs]))
        at += outputs
    return parts
