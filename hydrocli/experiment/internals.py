"""States and fluxes of a simulation, as `outputs` asks for them: which, where, when; and their tables and maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine.recorder import OutputRecorder, OutputRequest
from hydrocli.engine.response import response
from hydrocli.engine.simulator import Observer, Simulator, State
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.build import Case, stamp
from hydrocli.names import LOOKED_AT, NEWTON_ITERATIONS, PARAMETERS
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.write import write_maps, write_series, write_table

Floats = NDArray[np.float64]

BOOKED = ("aet", "exchange", "qt", "storage")
"""What is simulated again without the network, to show what its corrections do to the water."""


def asked_of(case: Case) -> OutputRequest:
    """What the outputs of an experiment want of a simulation of its whole period.

    Raises:
        ConfigurationError: more memory than the limit, a cell outside the domain, a time outside the period.
    """
    outputs, basin = case.experiment.outputs, case.basin
    structure = case.experiment.structure.kind
    mapped = outputs.maps.quantities if outputs.maps else ()
    asked = OutputRequest(
        tuple(dict.fromkeys((*outputs.symbols(structure), *mapped))),
        np.stack(list(case.catchments.values())),
        basin.network.cell_area,
        np.array([_cell(case, x, y) for x, y in outputs.cells], np.intp),
        _steps(case),
        tuple(dict.fromkeys(mapped)),
    )
    needed = asked.bytes(len(basin.times))
    if needed > outputs.max_memory:
        what = f"{needed / 1e6:.0f} MB would be kept, and outputs.max_memory is {outputs.max_memory / 1e6:.0f} MB"
        raise ConfigurationError("outputs", what, "Ask for less, or raise the limit.")
    return asked


def _cell(case: Case, x: float, y: float) -> int:
    """The active cell that holds a point."""
    network = case.basin.network
    a, _, _, _, e, _ = network.grid.transform
    inside = np.flatnonzero((np.abs(network.x - x) <= abs(a) / 2) & (np.abs(network.y - y) <= abs(e) / 2))
    if not inside.size:
        remedy = "Give x, y in the CRS of the flow directions, inside a catchment."
        raise ConfigurationError("outputs.cells", f"no active cell at x {x:g}, y {y:g}", remedy)
    return int(inside[0])


def _steps(case: Case) -> NDArray[np.intp]:
    """Steps of the maps, ascending."""
    maps, times = case.experiment.outputs.maps, case.basin.times
    if maps is None:
        return np.zeros(0, np.intp)
    wanted = [stamp(time) for time in maps.times]
    outside = [str(time) for time in wanted if time not in times]
    if outside:
        remedy = "A stamp is the end of a step inside the period."
        raise ConfigurationError("outputs.maps.times", f"{', '.join(outside)}: no step ends then", remedy)
    chosen = np.isin(times, np.array(wanted, times.dtype))
    if maps.every is not None:
        seconds = (times - np.datetime64(0, "s")).astype(np.int64)
        chosen |= seconds % round(3600 * maps.every) == 0
    return np.flatnonzero(chosen)


class Internals:
    """Looks into the final simulation of a run and writes what it saw.

    Args:
        case: experiment and basin.
        sweep: over the whole domain, in double precision.
        maps: [7, n] that it simulates.
        weights: of phi1.
    """

    def __init__(self, case: Case, simulator: Simulator, maps: Floats, weights: Floats) -> None:
        self.case, self.simulator, self.maps, self.weights = case, simulator, maps, weights
        self.observe = OutputRecorder(simulator, maps[: len(PARAMETERS)], weights, asked_of(case))

    @property
    def watches(self) -> list[Observer]:
        """For `Sweep.simulate`; none where nothing is asked for."""
        return [self.observe] if self.observe.asked.quantities else []

    @property
    def at_once(self) -> int | None:
        """Waves to be shown at once: one where iterations, which the sweep only sums, are told step by step."""
        return 1 if NEWTON_ITERATIONS.symbol in self.observe.asked.quantities else None

    def finish(self) -> dict[str, Floats]:
        """After the simulation: the series of the catchments [g, t]."""
        self._add_interception(self.observe)
        return self.observe.series

    def write(self, folder: RunFolder, start: State) -> None:
        """Means, cells and maps; for a hybrid what its network does (the simulation begins at `start`)."""
        basin, run, asked = self.case.basin, folder.manifest.run, self.observe.asked
        if not asked.quantities:
            return
        network, known = basin.network, [LOOKED_AT[symbol] for symbol in asked.quantities]
        crs = network.grid.crs_wkt
        columns: dict[str, Any] = self.case.place_columns | self.observe.means
        write_table(folder.path, schemas.mean_maps(known), columns, run=run, crs_wkt=crs)
        grid = network.grid, network.row, network.column
        write_maps(folder.path, *grid, self.observe.means, run=run, place="maps", prefix="mean_")
        if asked.cells.size:
            times = len(basin.times)
            place = {"cell": asked.cells, "x": network.x[asked.cells], "y": network.y[asked.cells]}
            columns = {name: np.repeat(values, times) for name, values in place.items()}
            columns |= {"time": np.tile(basin.times, asked.cells.size)}
            columns |= {name: values.ravel() for name, values in self.observe.at_cells.items()}
            write_table(folder.path, schemas.cell_timeseries(known), columns, run=run, crs_wkt=crs)
        if asked.steps.size:
            bands = [f"{time}Z" for time in basin.times[asked.steps]]
            write_maps(folder.path, *grid, self.observe.maps, run=run, place="maps", bands=bands)
        if self.simulator.structure.has_network:
            self._write_without_network(folder, start)
            self._write_response(folder)

    def _write_without_network(self, folder: RunFolder, start: State) -> None:
        basin, parameters, none = self.case.basin, self.maps[: len(PARAMETERS)], np.zeros_like(self.weights)
        asked = OutputRequest(BOOKED, self.observe.asked.catchments, self.observe.asked.area)
        observe = OutputRecorder(self.simulator, parameters, none, asked)
        simulated, _ = self.simulator.simulate(parameters, start, none, observe)
        self._add_interception(observe)
        table = schemas.no_correction([LOOKED_AT[symbol] for symbol in BOOKED])
        columns = observe.series | {"simulated": simulated}
        write_series(folder.path, table, basin.gauges.code, basin.times, columns, run=folder.manifest.run)

    def _write_response(self, folder: RunFolder) -> None:
        here = self.case.calibrated_cells
        means = self.observe.means
        levels = {symbol: float(means[symbol][here].mean()) if symbol in means else 0.5 for symbol in ("hp", "ht")}
        rows = response(self.simulator, self.maps[: len(PARAMETERS), here].mean(axis=1), self.weights, levels)
        write_table(folder.path, schemas.RESPONSE_SURFACES, rows, run=folder.manifest.run)

    def _add_interception(self, observe: OutputRecorder) -> None:
        basin = self.case.basin
        observe.add_interception(basin.precipitation, basin.evapotranspiration, self.case.ci, self.case.hi)
