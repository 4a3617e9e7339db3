"""The mapping of a stage: the options of the YAML, the descriptors of the basin, and rows that keep one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hydrocli.arrays import Flags
from hydrocli.basin.basin import Basin
from hydrocli.config import Experiment
from hydrocli.config.mapping import BY_DESCRIPTORS
from hydrocli.mapping.composition import CompositeMapping
from hydrocli.mapping.descriptors import Scaling
from hydrocli.mapping.direct import Distributed, Uniform
from hydrocli.mapping.mapping import DescriptorMapping, Mapping
from hydrocli.mapping.neural import Cnn, Mlp
from hydrocli.mapping.parameter_table import ParameterSpec
from hydrocli.mapping.regression import Multilinear, Multipower


def mapping_of(
    kind: str,
    rows: Sequence[ParameterSpec],
    cells: Flags,
    experiment: Experiment,
    basin: Basin,
    scaling: Scaling | None,
) -> Mapping:
    """A mapping of some kind, `uniform` or that of the configuration.

    Args:
        kind: which.
        rows: parameters and initial levels.
        cells: of the n cells of the basin, those that the calibration sees.
        experiment: has the options of its kind.
        basin: has the descriptors.
        scaling: of the descriptors, where the kind needs them.

    Raises:
        ConfigurationError: see `ParameterTable.stack`; a descriptor is not there.
        InputError: a descriptor is missing somewhere.
    """
    single = [symbol for symbol in _single(experiment) if kind != "uniform"]
    own, others = (
        [replace(row, calibrated=row.calibrated and (row.symbol in single) == alone) for row in rows]
        for alone in (False, True)
    )
    owned = [np.array([k for k, row in enumerate(part) if row.calibrated], np.intp) for part in (own, others)]
    first: Mapping
    if kind == "uniform" or (kind == "distributed" and not owned[0].size):
        return Uniform(rows, cells)
    if kind == "distributed":
        first = Distributed(own, cells)
    else:
        assert scaling is not None
        first = descriptor_mapping(own, cells, experiment, basin, scaling)
    return CompositeMapping([first, Uniform(others, cells)], owned) if owned[1].size else first


def descriptor_mapping(
    rows: Sequence[ParameterSpec], cells: Flags, experiment: Experiment, basin: Basin, scaling: Scaling
) -> DescriptorMapping:
    """The mapping of the configuration, of the calibrated rows; the others stay as they are."""
    asked = experiment.mapping
    descriptors = scaling.scaled(basin.descriptors, getattr(asked, "extrapolation", "") == "clamp")
    if asked.kind == "multilinear" or asked.kind == "multipower":
        kind = Multilinear if asked.kind == "multilinear" else Multipower
        seen = {row.symbol: asked.descriptors for row in rows if asked.descriptors} | asked.descriptors_by_parameter
        return kind(rows, cells, descriptors, scaling.names, seen)
    assert asked.kind == "mlp" or asked.kind == "cnn"
    options: dict[str, Any] = asked.model_dump(exclude={"kind", "uniform_parameters", "descriptors", "extrapolation"})
    if asked.kind == "mlp":
        return Mlp(rows, cells, descriptors, **options, seed=experiment.seed)
    place = basin.network.row, basin.network.column
    return Cnn(rows, cells, descriptors, place, **options, seed=experiment.seed)


def scaling_of(experiment: Experiment, basin: Basin, seen: Flags) -> Scaling | None:
    """Ranges of the descriptors of a mapping over a basin, and over the cells of it that are seen; None without any.

    Raises:
        InputError: a descriptor is constant, or missing somewhere.
    """
    names = descriptors_of(experiment, list(basin.descriptors))
    return Scaling.over(names, basin.descriptors, seen) if names else None


def descriptors_of(experiment: Experiment, known: Sequence[str]) -> tuple[str, ...]:
    """Names of the descriptors that a mapping sees: those that are asked for, else all that are known."""
    asked = experiment.mapping
    if asked.kind not in BY_DESCRIPTORS:
        return ()
    names = dict.fromkeys(getattr(asked, "descriptors", None) or known)
    for more in getattr(asked, "descriptors_by_parameter", {}).values():
        names |= dict.fromkeys(more)
    return tuple(names)


def _single(experiment: Experiment) -> tuple[str, ...]:
    return getattr(experiment.mapping, "uniform_parameters", ())
