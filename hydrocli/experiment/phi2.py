"""The mapping by descriptors of a run: its weights and the scaling of its descriptors, in network_weights.parquet.

It makes the maps of a run where the run has none: on cells beyond its domain, or in another basin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin.basin import Basin
from hydrocli.config import Experiment, load
from hydrocli.config.mapping import BY_DESCRIPTORS
from hydrocli.engine.objective import ROWS
from hydrocli.errors import InputError
from hydrocli.experiment.mappings import descriptor_mapping
from hydrocli.experiment.maps import Maps
from hydrocli.mapping.descriptors import Scaling
from hydrocli.mapping.mapping import Place
from hydrocli.mapping.rows import ParameterRow
from hydrocli.names import PARAMETERS
from hydrocli.results import read

Floats = NDArray[np.float64]
NAME = "phi2"
RANGES = ("lowest", "highest", "lowest_seen", "highest_seen")


@dataclass(frozen=True, eq=False)
class Phi2:
    """Ranges of the descriptors, and the controls [m] with their places."""

    scaling: Scaling
    places: Sequence[Place]
    values: Floats

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Of network_weights.parquet: layer, array, unit, input, neighbour, name, value; layer 0 is the descriptors."""
        names, ends = self.scaling.names, [(array, getattr(self.scaling, array)) for array in RANGES]
        return [
            *((0, array, d, None, None, name, end[d]) for array, end in ends for d, name in enumerate(names)),
            *((*place, None, value) for place, value in zip(self.places, self.values, strict=True)),
        ]


def unseen(phi2: Phi2, experiment: Experiment, basin: Basin) -> tuple[dict[str, float], str]:
    """Counts of cells with descriptors that the calibration has not seen, and a sentence about them if there are any.

    `cells_unseen`: with a descriptor outside its range in the calibrated catchments; `descriptors_clipped`: values
    outside the range of their basin, which multipower cuts to it.
    """
    found = phi2.scaling.unseen(basin.descriptors)
    cells = int(np.any(list(found.values()), axis=0).sum())
    counts: dict[str, float] = {"cells_unseen": cells}
    if experiment.mapping.kind == "multipower":
        scaled = phi2.scaling.scaled(basin.descriptors)
        counts["descriptors_clipped"] = int(((scaled < 0) | (scaled > 1)).sum())
    if not cells:
        return counts, ""
    names = ", ".join(name for name, flags in found.items() if flags.any())
    held = getattr(experiment.mapping, "extrapolation", "") == "clamp"
    told = "sees the ends of that range" if held else "extrapolates (mapping.extrapolation: clamp does not)"
    where = f"outside their range in the calibrated catchments in {cells / len(basin.network):.0%} of the cells"
    return counts, f"{names} lie {where}: there the mapping {told}"


def read_phi2(folder: Path) -> Phi2 | None:
    """The mapping of a run, if it is one by descriptors and was calibrated."""
    if (
        load(folder / "config.yaml").mapping.kind not in BY_DESCRIPTORS
        or not (folder / "network_weights.parquet").exists()
    ):
        return None
    table = read(folder).arrays("network_weights")
    here = table["network"] == NAME
    if not here.any():
        return None
    columns = {name: values[here] for name, values in table.items()}
    ranged, weights = columns["layer"] == 0, columns["layer"] > 0
    ends = [ranged & (columns["array"] == array) for array in RANGES]
    scaling = Scaling(tuple(columns["name"][ends[0]].tolist()), *(columns["value"][end] for end in ends))
    keys = [columns[name][weights].tolist() for name in Place._fields]
    places = [
        Place(*place[:3], *(None if np.isnan(n) else int(n) for n in place[3:])) for place in zip(*keys, strict=True)
    ]
    return Phi2(scaling, places, columns["value"][weights])


def continued_phi2(folder: Path, experiment: Experiment) -> Phi2 | None:
    """The mapping of a run where the configuration asks for the same one, with no value of its own for what it maps."""
    theirs, symbols = load(folder / "config.yaml"), mapped_rows(experiment)
    same = carried_mapping(theirs) == carried_mapping(experiment) and mapped_rows(theirs) == symbols
    settings = [(_setting(theirs, symbol), _setting(experiment, symbol)) for symbol in symbols]
    if not same or any(one.bounds != other.bounds or other.value is not None for one, other in settings):
        return None
    return read_phi2(folder)


def carried_mapping(experiment: Experiment) -> Any:
    """Section `mapping` that means the same in another basin: it names its descriptors."""
    asked = experiment.mapping
    if asked.kind not in BY_DESCRIPTORS or getattr(asked, "descriptors", None):
        return asked
    return asked.model_copy(update={"descriptors": tuple(experiment.basin.descriptors)})


def mapped_rows(experiment: Experiment) -> list[str]:
    """Symbols of the rows of theta that the mapping of a configuration gives, beside those of one value."""
    single = getattr(experiment.mapping, "uniform_parameters", ())
    return [symbol for symbol in ROWS if symbol not in single and _setting(experiment, symbol).calibrated]


def maps_from(folder: Path, basin: Basin) -> dict[str, Floats]:
    """All maps [n] of a run by symbol, on the cells of a basin.

    Cells that the run has keep its values. On others, a map of one value has that value, and a map that a function of
    descriptors gives follows the descriptors of this basin.

    Raises:
        InputError: cells that the run does not have, and a map that varies; a descriptor is missing.
        ConfigurationError: a descriptor is not there.
    """
    maps, table = Maps(folder, "parameters", basin), read(folder).arrays("parameters")
    symbols = [symbol for symbol in ROWS if symbol in table]
    if not maps.lacking:
        return {symbol: maps.column(symbol) for symbol in symbols}
    beyond = _beyond(folder, basin)
    found = {}
    for symbol in symbols:
        if np.ptp(table[symbol]) == 0:
            found[symbol] = np.full(len(basin.network), table[symbol][0], np.float64)
        elif symbol in beyond:
            found[symbol] = np.where(maps.inside, maps.column(symbol), beyond[symbol])
        else:
            remedy = "Name a run whose basin holds this one, or whose mapping is uniform or by descriptors."
            raise InputError(str(folder), f"{maps.lacking}, and its map of {symbol} varies", remedy)
    return found


def _beyond(folder: Path, basin: Basin) -> dict[str, Floats]:
    """Maps [n] by symbol that the mapping of a run gives in another basin; none where it does not see descriptors."""
    phi2 = read_phi2(folder)
    if phi2 is None:
        return {}
    experiment, cells = load(folder / "config.yaml"), np.ones(len(basin.network), np.bool_)
    symbols = mapped_rows(experiment)
    rows = []
    for symbol in symbols:
        lower, upper = _setting(experiment, symbol).bounds
        rows.append(ParameterRow(symbol, lower, upper, lower))
    maps = descriptor_mapping(rows, cells, experiment, basin, phi2.scaling).parameters(phi2.values)
    return dict(zip(symbols, maps, strict=True))


def _setting(experiment: Experiment, symbol: str) -> Any:
    return experiment.parameters[symbol] if symbol in PARAMETERS else experiment.initial[symbol]
