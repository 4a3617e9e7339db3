"""Every structure with every option that it declares, found in the registry: a new one is examined without an edit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hydrocli.structures.routings.routing import routings
from hydrocli.structures.structure import HYDROLOGICAL_FORCINGS, CellModel, Structure, kinds, variants

FRONTS = ("degree_day",)
"""Values of the option `snow` with a store."""
ALTERNATIVES: dict[str, dict[str, object]] = {
    "network": {"hidden": (10, 6), "activation": "leaky_relu"},
    "reservoir_network": {"hidden": (10, 6), "activation": "leaky_relu"},
    "start": {"start": "exact"},
    "rain_intensity": {"rain_intensity": 10800},
    "flux_limits": {"flux_limits": "as_published"},
    "network_coupling": {"network_coupling": "lagged"},
    "scheme": {"scheme": "explicit", "substeps": 8},
}
"""Another value of every option that changes the equations; `tolerance` and `substeps` do not."""
SIMPLE = ("gr5", "gr5nn", "gr6nn", "grc", "grcnn", "grd", "grdnn", "loieau", "loieaunn")
"""Kinds that are examined without options, without snow, without observers and in double precision: these are the code
of gr, grnn and gr6. Their kernels are examined in both precisions, and their balance is."""
BARE = (*SIMPLE, "gr6")
"""Kinds that are examined without snow in front."""
IMPERVIOUS = ("gr",)
"""Kinds that are examined with impervious surfaces in front, which are the same code in front of all."""
CLASSICAL = {"grnn": "gr", "node": "ode"}
"""Without corrections; of other structures the name ends with nn."""


def _scaled(structure: Structure) -> Structure:
    """With a factor of its own for every input of the network."""
    return replace(
        structure, input_scale=tuple(np.resize([2.0, 1.0, 0.1, 3.0], len(structure.network_inputs)).tolist())
    )


def enumerated() -> dict[str, Structure]:
    """Structures by a name: every kind, each option of it alone, all options together, snow in front of each core but
    the simple ones, and gr with each routing."""
    found: dict[str, Structure] = {}
    for kind in kinds():
        plain = Structure(kind)
        options = [name for name in plain.model.options if name in ALTERNATIVES and kind not in SIMPLE]
        found[kind] = plain
        for name in options:
            other = replace(plain, **ALTERNATIVES[name])
            found[f"{kind}, {name}"] = _scaled(other) if name.endswith("network") else other
        if len(options) > 1:
            alone = "rain_intensity" if "start" in options else ""  # the gates of GR do not depend on it
            together = {key: value for name in options if name != alone for key, value in ALTERNATIVES[name].items()}
            found[f"{kind}, all options"] = replace(plain, **together)
    found |= {f"gr, {routing}": Structure(routing=routing) for routing in routings() if routing != Structure().routing}
    found |= {f"{kind}, impervious": replace(found[kind], impervious="share") for kind in IMPERVIOUS}
    cores = set(BARE)
    for name, structure in list(found.items()):
        if structure.impervious:
            continue
        if structure.core.name not in cores and structure.core.forcings == HYDROLOGICAL_FORCINGS:
            cores.add(structure.core.name)
            found |= {f"{name}, {front}": replace(structure, snow=front) for front in FRONTS}
    return found


STRUCTURES = enumerated()
OBSERVED = {name: structure for name, structure in STRUCTURES.items() if structure.kind not in SIMPLE}
NETWORKS = {name: structure for name, structure in STRUCTURES.items() if structure.has_network}
CORRECTED = {name: structure for name, structure in NETWORKS.items() if structure.without_network is structure}
"""Networks that are a classical structure where their weights are 0."""
SOLVERS = {name: structure for name, structure in STRUCTURES.items() if structure.model.iterates}
DECLARATIONS: dict[str, CellModel] = {
    model.name: model
    for model in variants()
    if model.name not in {f"{kind}_snow" for kind in BARE}
    and (not model.name.endswith("_impervious") or model.name.split("_")[0] in IMPERVIOUS)
}


def classical_of(structure: Structure) -> Structure:
    """The structure without its network."""
    return replace(structure, kind=CLASSICAL.get(structure.kind) or structure.kind.removesuffix("nn"))


def weights_of(structure: Structure, deviation: float = 0.2) -> np.ndarray:
    """Random weights and biases, none for a structure without a network."""
    return np.random.default_rng(7).normal(0, deviation, structure.weights)
