"""What a later run reads from an earlier one: maps of cells, weights of the flux network, and the mapping.

The mapping by descriptors makes the maps of a run where the run has none: on cells beyond its domain, or in another
basin. A run of another time step is converted: what is declared per step, by the ratio of the steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Basin
from hydrocli.config import Experiment, load
from hydrocli.config.mapping import BY_DESCRIPTORS
from hydrocli.engine.simulator import NO_WEIGHTS
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.experiment.mappings import descriptor_mapping
from hydrocli.mapping.descriptors import Scaling
from hydrocli.mapping.mapping import WeightIndex
from hydrocli.mapping.parameter_table import ParameterSpec
from hydrocli.results import read
from hydrocli.results.folder import CONFIG
from hydrocli.structures.structure import Structure, parameter_quantities, state_quantities


def step_of(folder: str | Path) -> int:
    """Time step of a run [s].

    Raises:
        InputError: it is no finished run.
    """
    return load(read(folder).folder / CONFIG).period.step


def step_notes(experiment: Experiment, sources: Iterable[str | Path | None]) -> list[str]:
    """A sentence for each run of another time step that an experiment takes something from."""
    notes, own, structure = list[str](), experiment.period.step, experiment.structure.declared
    for source in dict.fromkeys(str(source) for source in sources if source):
        theirs = step_of(source)
        if theirs == own:
            continue
        parts = _multiplied(structure, (*structure.all_parameters, *structure.states), own / theirs)
        if structure.has_network:
            scaled = _multiplied(structure, structure.network_inputs, theirs / own)
            parts += [f"inputs of its network: {', '.join(scaled)}"] if scaled else [UNSCALED]
        parts.append("interception capacity found anew")
        parts.append("all others kept")
        notes.append(f"{source} has a time step of {theirs} s, and this run one of {own} s: {'; '.join(parts)}")
    return notes


UNSCALED = "its network kept, although its gates belong to its step"


def _multiplied(structure: Structure, symbols: Iterable[str], ratio: float) -> list[str]:
    """What of a structure is multiplied by which factor at a step that is `ratio` times as long."""
    by_factor: dict[float, list[str]] = {}
    for symbol in symbols:
        by_factor.setdefault(structure.carried_by(symbol, ratio), []).append(symbol)
    return [f"{', '.join(them)} multiplied by {factor:g}" for factor, them in by_factor.items() if factor != 1.0]


class ParentRunFields:
    """A table of cells of another run, laid on the cells of this basin by their coordinates.

    Values per step are those for the step of this basin.

    Attributes:
        inside: which of the n cells of this basin the run has.
        lacking: a sentence about those that it does not have; empty where it has all.
    """

    def __init__(self, folder: str | Path, table: str, basin: Basin) -> None:
        run, network = read(folder), basin.network
        domain = run.arrays("domain")
        there = {place: number for number, place in enumerate(zip(*_places(domain["x"], domain["y"]), strict=True))}
        weight_indices = zip(*_places(network.x, network.y), strict=True)
        self._folder, self._cells = str(folder), np.array([there.get(place, -1) for place in weight_indices])
        self._columns, self.inside, self.lacking = run.arrays(table), self._cells >= 0, ""
        self._ratio, self._structure = basin.step / step_of(folder), load(run.folder / CONFIG).structure.declared
        if not self.inside.all():
            first, number = int(np.argmin(self.inside)), int((~self.inside).sum())
            self.lacking = (
                f"{number} of {self._cells.size} cells are not in this run, first x {network.x[first]:.0f}, "
                f"y {network.y[first]:.0f}"
            )

    def column(self, name: str) -> Floats:
        """Values [n] of a column at the cells of this basin; NaN where the run has none."""
        return np.where(self.inside, self.values(name)[self._cells], np.nan)

    def values(self, name: str) -> Floats:
        """Values of a column at the cells of the run."""
        values = np.asarray(self._columns[name], np.float64)
        return values if (factor := self._structure.carried_by(name, self._ratio)) == 1.0 else factor * values

    @property
    def columns(self) -> Iterable[str]:
        """Names of the columns."""
        return self._columns.keys()

    def whole(self, name: str) -> Floats:
        """The same.

        Raises:
            InputError: the run lacks some cells of this basin.
        """
        if self.lacking:
            raise InputError(self._folder, self.lacking, "Choose a run whose basin contains this one.")
        return self.column(name)


def _places(x: Floats, y: Floats) -> tuple[list[float], list[float]]:
    """Coordinates to compare; a thousandth of a metre, or a tenth of a millionth of a degree, is rounding."""
    digits = 3 if np.abs(x).max(initial=0.0) > 360 else 7
    return np.round(x, digits).tolist(), np.round(y, digits).tolist()


PHI1 = "phi1"


def _none() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class FluxNetwork:
    """Weights [w] in the order of `hydrocli.structures.network`; of each input its factor, lowest and highest value.

    The ranges are NaN where the weights were never calibrated. is_to_learn: whether the weights are those before
    pre-training.
    """

    weights: Floats = field(default_factory=lambda: NO_WEIGHTS)
    scale: Floats = field(default_factory=_none)
    lowest: Floats = field(default_factory=_none)
    highest: Floats = field(default_factory=_none)
    is_to_learn: bool = False

    @classmethod
    def untrained(cls, structure: Structure) -> FluxNetwork:
        """Without weights; inputs are not scaled."""
        inputs = len(structure.network_inputs)
        return cls(NO_WEIGHTS, np.ones(inputs), *np.full((2, inputs), np.nan))

    @property
    def is_calibrated(self) -> bool:
        """Whether the ranges are known."""
        return bool(self.lowest.size and np.isfinite(self.lowest).all())


def flux_network_rows(structure: Structure, network: FluxNetwork) -> list[tuple[Any, ...]]:
    """Of network_weights.parquet: layer, array, unit, input, neighbour, name, value; layer 0 is the inputs."""
    rows = list[tuple[Any, ...]]()
    for array, values in (
        ("scale", network.scale),
        ("lowest", network.lowest),
        ("highest", network.highest),
    ):
        rows += [
            (0, array, unit, None, None, structure.network_inputs[unit], value) for unit, value in enumerate(values)
        ]
    for layer, array, values in _layers(structure, network.weights):
        for place, value in np.ndenumerate(values):
            rows.append((layer, array, place[0], place[1] if values.ndim == 2 else None, None, None, value))
    return rows


def read_flux_network(folder: Path, experiment: Experiment) -> FluxNetwork:
    """The network of another run, which must be of the same form as the one asked for.

    Raises:
        InputError: the run has no network, or another one.
    """
    run = read(folder)
    asked, theirs = experiment.structure, load(folder / CONFIG).structure
    assert asked.network is not None
    assert theirs.network is not None or theirs.kind != asked.kind
    if theirs.kind != asked.kind:
        remedy = f"The corrections of {asked.kind} apply to other fluxes: choose a run of {asked.kind}."
        raise InputError(str(folder), f"is a run with the structure {theirs.kind}", remedy)
    for key in ("hidden", "activation"):
        found, wanted = getattr(theirs.network, key), getattr(asked.network, key)
        if found != wanted:
            values = [list(item) if isinstance(item, tuple) else item for item in (found, wanted)]
            what = f"its network has structure.network.{key} {values[0]}, and the configuration {values[1]}"
            raise InputError(str(folder), what, "Use the same options.")
    table = run.arrays("network_weights")
    here = table["network"] == PHI1
    inputs, layer, array, value = here & (table["layer"] == 0), table["layer"], table["array"], table["value"]
    scale, *ranges = [value[inputs & (array == name)] for name in ("scale", "lowest", "highest")]
    ratio = experiment.period.step / step_of(folder)
    factor = np.array([asked.declared.carried_by(symbol, ratio) for symbol in asked.declared.network_inputs])
    return FluxNetwork(value[here & (layer > 0)], scale / factor, *(factor * ends for ends in ranges))


def _layers(structure: Structure, weights: Floats) -> list[tuple[int, str, Floats]]:
    """Matrices [outputs, inputs] and biases of the layers, counted from 1, in their order."""
    parts, at = list[tuple[int, str, Floats]](), 0
    for layer, (inputs, outputs) in enumerate(zip(structure.widths[:-1], structure.widths[1:], strict=True), start=1):
        parts.append((layer, "weight", weights[at : at + inputs * outputs].reshape(outputs, inputs)))
        at += inputs * outputs
        parts.append((layer, "bias", weights[at : at + outputs]))
        at += outputs
    return parts


PHI2 = "phi2"
RANGES = ("lowest", "highest", "lowest_seen", "highest_seen")


@dataclass(frozen=True, eq=False)
class RegionalisationModel:
    """Ranges of the descriptors, and the controls [m] with their weight_indices."""

    scaling: Scaling
    weight_indices: Sequence[WeightIndex]
    values: Floats

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Of network_weights.parquet: layer, array, unit, input, neighbour, name, value; layer 0 is the descriptors."""
        names, ends = self.scaling.names, [(array, getattr(self.scaling, array)) for array in RANGES]
        return [
            *((0, array, d, None, None, name, end[d]) for array, end in ends for d, name in enumerate(names)),
            *((*place, None, value) for place, value in zip(self.weight_indices, self.values, strict=True)),
        ]


def unseen(model: RegionalisationModel, experiment: Experiment, basin: Basin) -> tuple[dict[str, float], str]:
    """Counts of cells with descriptors that the calibration has not seen, and a sentence about them if there are any.

    `cells_unseen`: with a descriptor outside its range in the calibrated catchments; `descriptors_clipped`: values
    outside the range of their basin, which multipower cuts to it.
    """
    found = model.scaling.unseen(basin.descriptors)
    cells = int(np.any(list(found.values()), axis=0).sum())
    counts: dict[str, float] = {"cells_unseen": cells}
    if experiment.mapping.kind == "multipower":
        scaled = model.scaling.scaled(basin.descriptors)
        counts["descriptors_clipped"] = int(((scaled < 0) | (scaled > 1)).sum())
    if not cells:
        return counts, ""
    names = ", ".join(name for name, flags in found.items() if flags.any())
    held = getattr(experiment.mapping, "extrapolation", "") == "clamp"
    what = "sees the ends of that range" if held else "extrapolates (mapping.extrapolation: clamp does not)"
    where = f"outside their range in the calibrated catchments in {cells / len(basin.network):.0%} of the cells"
    return counts, f"{names} lie {where}: there the mapping {what}"


def read_regionalisation(folder: Path) -> RegionalisationModel | None:
    """The mapping of a run, if it is one by descriptors and was calibrated."""
    run = read(folder)
    if load(folder / CONFIG).mapping.kind not in BY_DESCRIPTORS or not run.has("network_weights"):
        return None
    table = run.arrays("network_weights")
    here = table["network"] == PHI2
    if not here.any():
        return None
    columns = {name: values[here] for name, values in table.items()}
    ranged, weights = columns["layer"] == 0, columns["layer"] > 0
    ends = [ranged & (columns["array"] == array) for array in RANGES]
    scaling = Scaling(tuple(columns["name"][ends[0]].tolist()), *(columns["value"][end] for end in ends))
    keys = [columns[name][weights].tolist() for name in WeightIndex._fields]
    weight_indices = [
        WeightIndex(*place[:3], *(None if np.isnan(n) else int(n) for n in place[3:]))
        for place in zip(*keys, strict=True)
    ]
    return RegionalisationModel(scaling, weight_indices, columns["value"][weights])


def continued_regionalisation(folder: Path, experiment: Experiment) -> RegionalisationModel | None:
    """The mapping of a run where the configuration asks for the same one, with no value of its own for what it maps.

    Raises:
        ConfigurationError: the run has another time step, and bounds per step are not those of the run at this step.
    """
    theirs, symbols = load(folder / CONFIG), mapped_rows(experiment)
    if carried_mapping(theirs) != carried_mapping(experiment) or mapped_rows(theirs) != symbols:
        return None
    ratio, model = experiment.period.step / theirs.period.step, read_regionalisation(folder)
    for symbol in symbols:
        own, there = _setting(experiment, symbol), carried_bounds(theirs, symbol, ratio)
        if own.value is not None or (
            own.bounds != there and theirs.structure.declared.carried_by(symbol, ratio) == 1.0
        ):
            return None
        if model and not np.allclose(own.bounds, there, rtol=1e-12):
            what = f"{list(own.bounds)} per step of {experiment.period.step} s are not those of the mapping of {folder}"
            remedy = f"Set {list(there)}: [{', '.join(f'{b:g}' for b in _setting(theirs, symbol).bounds)}] at its step."
            raise ConfigurationError(f"parameters.{symbol}.bounds", what, remedy)
    return model


def carried_bounds(experiment: Experiment, symbol: str, ratio: float) -> tuple[float, float]:
    """Bounds of a quantity of a configuration, at a step that is `ratio` times as long."""
    lower, upper = _setting(experiment, symbol).bounds
    factor = experiment.structure.declared.carried_by(symbol, ratio)
    return (lower, upper) if factor == 1.0 else (factor * lower, factor * upper)


def carried_mapping(experiment: Experiment) -> Any:
    """Section `mapping` that means the same in another basin: it names its descriptors."""
    asked = experiment.mapping
    if asked.kind not in BY_DESCRIPTORS or getattr(asked, "descriptors", None):
        return asked
    return asked.model_copy(update={"descriptors": tuple(experiment.basin.descriptors)})


def mapped_rows(experiment: Experiment) -> list[str]:
    """Symbols of the rows of theta that the mapping of a configuration gives, beside those of one value."""
    single = getattr(experiment.mapping, "uniform_parameters", ())
    return [
        symbol
        for symbol in experiment.structure.declared.maps
        if symbol not in single and _setting(experiment, symbol).calibrated
    ]


def maps_from(folder: Path, basin: Basin) -> dict[str, Floats]:
    """All maps [n] of a run by symbol, on the cells of a basin.

    Cells that the run has keep its values. On others, a map of one value has that value, and a map that a function of
    descriptors gives follows the descriptors of this basin.

    Raises:
        InputError: cells that the run does not have, and a map that varies; a descriptor is missing.
        ConfigurationError: a descriptor is missing.
    """
    maps = ParentRunFields(folder, "parameters", basin)
    symbols = [symbol for symbol in parameter_quantities() | state_quantities() if symbol in maps.columns]
    if not maps.lacking:
        return {symbol: maps.column(symbol) for symbol in symbols}
    beyond = _beyond(folder, basin)
    found = {}
    for symbol in symbols:
        values = maps.values(symbol)
        if np.ptp(values) == 0:
            found[symbol] = np.full(len(basin.network), values[0], np.float64)
        elif symbol in beyond:
            found[symbol] = np.where(maps.inside, maps.column(symbol), beyond[symbol])
        else:
            remedy = "Choose a run whose basin contains this one, or with a uniform mapping or one of descriptors."
            raise InputError(str(folder), f"{maps.lacking}, and its map of {symbol} varies", remedy)
    return found


def _beyond(folder: Path, basin: Basin) -> dict[str, Floats]:
    """Maps [n] by symbol that the mapping of a run gives in another basin; none where it does not see descriptors."""
    model = read_regionalisation(folder)
    if model is None:
        return {}
    experiment, cells = load(folder / CONFIG), np.ones(len(basin.network), np.bool_)
    symbols = mapped_rows(experiment)
    rows = []
    for symbol in symbols:
        lower, upper = carried_bounds(experiment, symbol, basin.step / experiment.period.step)
        rows.append(ParameterSpec(symbol, lower, upper, lower))
    maps = descriptor_mapping(rows, cells, experiment, basin, model.scaling).parameters(model.values)
    return dict(zip(symbols, maps, strict=True))


def _setting(experiment: Experiment, symbol: str) -> Any:
    return experiment.parameters[symbol] if symbol in parameter_quantities() else experiment.initial[symbol]
