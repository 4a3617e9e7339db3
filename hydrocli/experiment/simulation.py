"""The simulation that a run ends with, and the tables that it leaves: everything a later run or a reader needs.

What `outputs` asks for of its states and fluxes (which, where, when) is recorded on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.engine.net_forcing import intensity_of
from hydrocli.engine.objective import broken_run, split_maps
from hydrocli.engine.observers import (
    INTERCEPTED,
    CellBalance,
    Extrapolation,
    Observers,
    OutputRecorder,
    OutputRequest,
    Recorder,
    RoutingFloor,
)
from hydrocli.engine.response import response
from hydrocli.engine.simulator import Observer, Simulator, State
from hydrocli.engine.tiles import StateBuffer
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.networks import PHI1, PHI2, FluxNetwork, RegionalisationModel, flux_network_rows, unseen
from hydrocli.experiment.roles import stamp
from hydrocli.experiment.setup import CalibrationSetup, announce_compilation, catchment_means
from hydrocli.jit import mark_warm
from hydrocli.names import EXTRAPOLATED, INTERCEPTION_CAPACITY, NEWTON_ITERATIONS
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.write import write_maps, write_series, write_table
from hydrocli.score.intervals import ends_of, last_steps, mean_over, whole
from hydrocli.score.metrics import nse
from hydrocli.structures.structure import RAIN_INTENSITY, Structure, output_quantities

BALANCE_FLUXES = ("aet", "exchange", "qt", "storage")
"""What is simulated again without the network, to show what its corrections do to the water."""


def asked_of(setup: CalibrationSetup) -> OutputRequest:
    """What the outputs of an experiment want of a simulation of its whole period.

    Raises:
        ConfigurationError: more memory than the limit, a cell outside the domain, a time outside the period.
    """
    outputs, basin = setup.experiment.outputs, setup.basin
    mapped = outputs.maps.quantities if outputs.maps else ()
    asked = OutputRequest(
        tuple(dict.fromkeys((*outputs.symbols(setup.structure), *mapped))),
        setup.gauge_tree,
        basin.network.cell_area,
        np.array([_cell(setup, x, y) for x, y in outputs.cells], np.intp),
        _steps(setup),
        tuple(dict.fromkeys(mapped)),
        setup.inside(window) if (window := setup.experiment.period.calibration) else None,
    )
    needed = asked.bytes(len(basin.times))
    if needed > outputs.max_memory:
        what = f"needs {needed / 1e6:.0f} MB, and outputs.max_memory is {outputs.max_memory / 1e6:.0f} MB"
        raise ConfigurationError("outputs", what, "Reduce the outputs, or raise outputs.max_memory.")
    return asked


def _cell(setup: CalibrationSetup, x: float, y: float) -> int:
    """The active cell that holds a point."""
    network = setup.basin.network
    a, _, _, _, e, _ = network.grid.transform
    inside = np.flatnonzero((np.abs(network.x - x) <= abs(a) / 2) & (np.abs(network.y - y) <= abs(e) / 2))
    if not inside.size:
        remedy = "Give x, y in the CRS of the flow directions, inside a catchment."
        raise ConfigurationError("outputs.cells", f"no active cell at x {x:g}, y {y:g}", remedy)
    return int(inside[0])


def _steps(setup: CalibrationSetup) -> NDArray[np.intp]:
    """Steps of the maps, ascending."""
    maps, times = setup.experiment.outputs.maps, setup.basin.times
    if maps is None:
        return np.zeros(0, np.intp)
    wanted = [stamp(time) for time in maps.times]
    outside = [str(time) for time in wanted if time not in times]
    if outside:
        remedy = "Give the end of a time step inside the period."
        raise ConfigurationError("outputs.maps.times", f"{', '.join(outside)}: no time step ends at this time", remedy)
    chosen = np.isin(times, np.array(wanted, times.dtype))
    if maps.every is not None:
        seconds = (times - np.datetime64(0, "s")).astype(np.int64)
        chosen |= seconds % round(3600 * maps.every) == 0
    return np.flatnonzero(chosen)


class OutputWriter:
    """Records what `outputs` asks for of the final simulation, and writes it.

    Args:
        setup: experiment and basin.
        simulator: of the whole domain, in double precision.
        maps: [rows, n] that it simulates.
        weights: of the flux network.
    """

    def __init__(self, setup: CalibrationSetup, simulator: Simulator, maps: Floats, weights: Floats) -> None:
        self.setup, self.simulator, self.maps, self.weights = setup, simulator, maps, weights
        self.parameters = split_maps(simulator.structure, maps, setup.state)[0]
        self.recorder = OutputRecorder(simulator, asked_of(setup))

    @property
    def recorders(self) -> list[Recorder]:
        """For `Observers`; none where nothing is asked for."""
        return [self.recorder] if self.recorder.request.quantities else []

    @property
    def at_once(self) -> int | None:
        """Waves to be shown at once: one where iterations are wanted, which the simulator only sums."""
        return 1 if NEWTON_ITERATIONS.symbol in self.recorder.request.quantities else None

    def finish(self) -> dict[str, Floats]:
        """After the simulation: the series of the catchments [g, t]."""
        self._add_interception(self.recorder)
        return self.recorder.series

    def write(self, folder: RunFolder, start: State) -> None:
        """Means, cells and maps; for a hybrid what its network does (the simulation begins at `start`)."""
        basin, run, asked = self.setup.basin, folder.manifest.run, self.recorder.request
        if not asked.quantities:
            return
        network, known = basin.network, [output_quantities()[symbol] for symbol in asked.quantities]
        crs = network.grid.crs_wkt
        columns: dict[str, Any] = self.setup.place_columns | self.recorder.means
        write_table(folder.path, schemas.mean_maps(known), columns, run=run, crs_wkt=crs)
        grid = network.grid, network.row, network.column
        write_maps(folder.path, *grid, self.recorder.means, run=run, place="maps", prefix="mean_")
        if asked.cells.size:
            times = len(basin.times)
            place = {"cell": asked.cells, "x": network.x[asked.cells], "y": network.y[asked.cells]}
            columns = {name: np.repeat(values, times) for name, values in place.items()}
            columns |= {"time": np.tile(basin.times, asked.cells.size)}
            columns |= {name: values.ravel() for name, values in self.recorder.at_cells.items()}
            write_table(folder.path, schemas.cell_timeseries(known), columns, run=run, crs_wkt=crs)
        if asked.steps.size:
            bands = [f"{time}Z" for time in basin.times[asked.steps]]
            write_maps(folder.path, *grid, self.recorder.maps, run=run, place="maps", bands=bands)
        if self.simulator.structure.has_network:
            self._write_without_network(folder, start)
            self._write_response(folder)

    def _write_without_network(self, folder: RunFolder, start: State) -> None:
        basin, parameters = self.setup.basin, self.parameters
        simulator = self.simulator.of_structure(self.simulator.structure.without_network)
        none = np.zeros(simulator.structure.weights)
        fluxes = tuple(dict.fromkeys((*BALANCE_FLUXES, *self.simulator.structure.model.details)))
        wanted = tuple(one for one in fluxes if one in simulator.structure.quantities)
        asked = OutputRequest(wanted, self.recorder.request.tree, self.recorder.request.area)
        recorder = OutputRecorder(simulator, asked)
        observers = Observers(simulator, parameters, none, recorder)
        simulated, _ = simulator.simulate(parameters, start, none, observers)
        self._add_interception(recorder)
        table = schemas.no_correction([output_quantities()[symbol] for symbol in wanted])
        columns: dict[str, Any] = recorder.series | {"simulated": simulated}
        write_series(folder.path, table, basin.gauges.code, basin.times, columns, run=folder.manifest.run)
        if self.simulator.structure.core.without_network:
            table = schemas.no_correction_means([output_quantities()[symbol] for symbol in wanted])
            columns = self.setup.place_columns | recorder.means
            crs = basin.network.grid.crs_wkt
            write_table(folder.path, table, columns, run=folder.manifest.run, crs_wkt=crs)

    def _write_response(self, folder: RunFolder) -> None:
        here, structure = self.setup.calibrated_cells, self.simulator.structure
        means = self.recorder.means
        levels = {symbol: float(means[symbol][here].mean()) if symbol in means else 0.5 for symbol in structure.states}
        if structure.model.surfaces:
            rows = response(self.simulator, self.parameters[:, here].mean(axis=1), self.weights, levels)
            write_table(folder.path, schemas.RESPONSE_SURFACES, rows, run=folder.manifest.run)

    def _add_interception(self, recorder: OutputRecorder) -> None:
        basin = self.setup.basin
        recorder.add_interception(basin.precipitation, basin.pet, self.setup.ci, self.setup.hi)


logger = logging.getLogger(__name__)


def final_simulation(
    folder: RunFolder,
    setup: CalibrationSetup,
    maps: Floats,
    network: FluxNetwork,
    model: RegionalisationModel | None = None,
    accept: Callable[[Sequence[str], Floats], None] = lambda codes, simulated: None,
    first_guess: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, float]:
    """Run the whole period over the whole domain with the maps [rows, n] and a network, write all tables of it.

    Args:
        folder: of the run.
        setup: experiment and basin.
        maps: parameters and initial levels.
        network: the flux network.
        model: the mapping by descriptors that gave the maps, if there is one.
        accept: may refuse the discharge [g, t] of the gauges before anything is written.
        first_guess: uniform values of maps, by symbol, which are simulated beside if there are any.

    Returns:
        NSE of every calibration gauge over the calibration period; empty without observations or period.

    Raises:
        NumericalError: a state or discharge is not finite.
    """
    basin, run = setup.basin, folder.manifest.run
    compiled = f"simulation-{setup.experiment.structure.kind}-{setup.experiment.execution.precision}"
    announce_compilation(compiled)
    cells, gauges, steps = np.arange(len(basin.network)), np.arange(len(basin.gauges.code)), len(basin.times)
    simulator, hi_end, missing = setup.simulator(cells, gauges, steps)
    _count_missing(folder, setup, missing)
    parameters, start = split_maps(simulator.structure, maps, setup.state)
    exact = simulator if simulator.real is np.float64 else setup.simulator(cells, gauges, steps, "double")[0]
    outside = None
    if network.is_calibrated:
        outside = Extrapolation(exact, (network.lowest, network.highest), setup.gauge_tree)
    pieces = BalancePieces.of(setup)
    routed = RoutingFloor(exact, pieces.number[0])
    in_cells = CellBalance(exact, pieces.number)
    outputs = OutputWriter(setup, exact, maps, network.weights)
    recorders = [in_cells, *outputs.recorders, *([outside] if outside else [])]
    observe = _all([routed, Observers(exact, parameters, network.weights, *recorders)])
    if exact is simulator:
        simulated, end = simulator.simulate(parameters, start, network.weights, observe, outputs.at_once)
    else:
        simulated, end = simulator.simulate(parameters, start, network.weights)
        exact.simulate(parameters, start, network.weights, observe, outputs.at_once)
    if not all(np.isfinite(values).all() for values in (simulated, end.levels, end.discharge)):
        raise broken_run(simulator, parameters, start, network.weights, setup.place)
    mark_warm(compiled)
    accept(basin.gauges.code, simulated)
    folder.update(structure=_described(simulator.structure) | {"step": basin.step})
    _count_newton(folder, simulator)
    _write_maps(folder, setup, maps)
    _write_networks(folder, simulator, network, model)
    if model:
        counts, sentence = unseen(model, setup.experiment, basin)
        folder.update(counts=counts)
        if sentence:
            folder.warn(sentence)
            logger.warning(sentence)
    intensity = intensity_of(simulator, setup.intensity)
    _write_states(folder, setup, hi_end, end, {} if intensity is None else {RAIN_INTENSITY: intensity})
    write_domain(folder, setup, setup.ci)
    write_catchments(folder, setup)
    means = catchment_means(setup)
    if outside is not None:
        means[EXTRAPOLATED.symbol] = outside.cells / setup.gauge_tree.cells[:, np.newaxis]
    means |= outputs.finish()
    known = {EXTRAPOLATED.symbol: EXTRAPOLATED, **output_quantities()}
    quantities = [quantity for symbol, quantity in known.items() if symbol in means]
    outputs.write(folder, start)
    write_series(folder.path, schemas.catchment_timeseries(quantities), basin.gauges.code, basin.times, means, run=run)
    _write_balance(folder, setup, pieces, routed, in_cells)
    if first_guess:
        _write_uniform(folder, setup, exact, maps, first_guess)
    write_discharge(folder, setup, simulated)
    return calibration_nse(setup, simulated)


def write_discharge(folder: RunFolder, setup: CalibrationSetup, simulated: Floats) -> None:
    """discharge.parquet of simulated discharge [g, t], the last table: `validate` reads from it what was simulated."""
    basin = setup.basin
    series: dict[str, NDArray[Any]] = {"observed": basin.discharge, "simulated": simulated}
    until = basin.discharge_until
    if until is not None:
        series["interval_end"] = np.stack([ends_of(basin.times, one) for one in until])
    table = schemas.discharge(has_means=until is not None)
    write_series(folder.path, table, basin.gauges.code, basin.times, series, run=folder.manifest.run)


def calibration_nse(setup: CalibrationSetup, simulated: Floats) -> dict[str, float]:
    """NSE of every calibration gauge over the calibration period, of simulated discharge [g, t]; empty without one."""
    window, observed, until = setup.experiment.period.calibration, setup.basin.discharge, setup.basin.discharge_until
    if window is None:
        return {}
    inside, scores = setup.inside(window), dict[str, float]()
    for code, g in zip(setup.calibration, setup.gauges(setup.calibration), strict=True):
        one = None if until is None else until[g]
        scored = last_steps(one, inside.size)
        scored = scored[whole(inside, one)[scored]]
        scores[code] = nse(observed[g, scored], mean_over(simulated[g], one)[scored])
    return scores


def _write_uniform(
    folder: RunFolder, setup: CalibrationSetup, simulator: Simulator, maps: Floats, first_guess: Mapping[str, float]
) -> None:
    """Simulate with uniform values in the place of maps [rows, n], and without the network; keep the discharge."""
    uniform = maps.copy()
    for symbol, value in first_guess.items():
        uniform[setup.structure.maps.index(symbol)] = value
    parameters, start = split_maps(simulator.structure, uniform, setup.state)
    classical = simulator.of_structure(simulator.structure.without_network)
    simulated, _ = classical.simulate(parameters, start, np.zeros(classical.structure.weights))
    columns, run = {"simulated": simulated}, folder.manifest.run
    write_series(folder.path, schemas.UNIFORM, setup.basin.gauges.code, setup.basin.times, columns, run=run)
    folder.update(first_guess=dict(first_guess))


def _all(observers: Sequence[Observer]) -> Observer:
    """One observer of several."""

    def observe(rows: StateBuffer, start: int, count: int) -> None:
        for one in observers:
            one(rows, start, count)

    return observe


def _described(structure: Structure) -> dict[str, Any]:
    """What a reader of the run must know of its structure."""
    model = structure.model
    corrections = {
        symbol: {"flux": one.flux, "factor": one.factor}
        for symbol, one in zip(model.outputs_of_network, model.corrections, strict=True)
    }
    states = {
        one.quantity.symbol: {"long_name": one.quantity.long_name, "unit": one.quantity.unit}
        for one in structure.model.states
    }
    return {
        "kind": structure.kind,
        "snow": structure.snow,
        "impervious": structure.impervious,
        "routing": structure.routing,
        "title": structure.model.title,
        "states": states,
        "fluxes": list(structure.outputs),
        "corrections": corrections,
    }


def unsolved(folder: RunFolder) -> str:
    """A sentence for the result of a run in which Newton's method has failed; empty where it has not."""
    steps = int(folder.manifest.counts.get("newton_unsolved", 0))
    return f" Newton's method found no solution in {steps} cell-steps." if steps else ""


def _count_newton(folder: RunFolder, simulator: Simulator) -> None:
    """Iterations of the simulation and steps that did not converge at once, or not at all."""
    if not simulator.structure.model.iterates:
        return
    iterations, most, again, failed = simulator.newton[:, simulator.order.slot]
    steps = iterations.size * simulator.order.steps
    counts = {
        "newton_iterations_mean": float(iterations.sum() / steps),
        "newton_iterations_most": int(most.max()),
        "newton_solved_again": int(again.sum()),
        "newton_unsolved": int(failed.sum()),
    }
    folder.update(counts=counts)
    if counts["newton_unsolved"]:
        what = f"Newton's method found no solution in {counts['newton_unsolved']} of {steps} cell-steps"
        folder.warn(f"{what}, nor did the search in a bracket; its last levels were used")


def _count_missing(folder: RunFolder, setup: CalibrationSetup, missing: NDArray[np.int64]) -> None:
    total, values = int(missing.sum()), missing.size * len(setup.basin.times)
    folder.update(counts={"cells": missing.size, "steps": len(setup.basin.times), "forcing_missing": total})
    if total:
        sentence = f"forcing is missing in {total} of {values} cell-steps ({total / values:.3%}): taken as no water"
        folder.warn(sentence)


def _write_maps(folder: RunFolder, setup: CalibrationSetup, maps: Floats) -> None:
    """parameters.parquet and parameters/*.tif; initial levels are among them where they were calibrated."""
    calibrated = {row.symbol for row in setup.rows if row.calibrated}
    structure = setup.structure
    symbols = [symbol for symbol in structure.maps if symbol in structure.all_parameters or symbol in calibrated]
    values = {symbol: maps[structure.maps.index(symbol)] for symbol in symbols}
    network, run = setup.basin.network, folder.manifest.run
    table = schemas.parameters(symbols)
    write_table(folder.path, table, setup.place_columns | values, run=run, crs_wkt=network.grid.crs_wkt)
    write_maps(folder.path, network.grid, network.row, network.column, values, run=run)


def _write_networks(
    folder: RunFolder, simulator: Simulator, network: FluxNetwork, model: RegionalisationModel | None
) -> None:
    """network_weights.parquet, where there is any."""
    rows = (
        [(PHI1, *row) for row in flux_network_rows(simulator.structure, network)]
        if simulator.structure.has_network
        else []
    )
    rows += [(PHI2, *row) for row in model.rows] if model else []
    names = [column.name for column in schemas.NETWORK.columns if column.name != "run"]
    if rows:
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        write_table(folder.path, schemas.NETWORK, columns, run=folder.manifest.run)


def _write_states(
    folder: RunFolder, setup: CalibrationSetup, hi: Floats, state: State, further: Mapping[str, Floats]
) -> None:
    levels = dict(zip(setup.structure.states, state.levels, strict=True))
    values = ({} if "hi" in levels else {"hi": hi}) | levels
    values |= {**further, "discharge": state.discharge, "lateral_inflow": state.lateral_inflow}
    columns = {"cell": np.arange(len(state.discharge)), **values}
    write_table(folder.path, schemas.states(list(values)), columns, run=folder.manifest.run)


def write_domain(folder: RunFolder, setup: CalibrationSetup, ci: Floats) -> None:
    """domain.parquet, with the interception capacity [n]; NaN where the model has none."""
    basin = setup.basin
    network = basin.network
    columns = setup.place_columns | {
        "area": network.cell_area,
        "downstream": network.downstream,
        "level": network.level,
        "calibrated": setup.calibrated_cells,
        INTERCEPTION_CAPACITY.symbol: ci,
        "gauge": _codes_of_zones(setup)[setup.gauge_tree.zone],
        **basin.descriptors,
    }
    table = schemas.domain(list(basin.descriptors), basin.descriptor_units)
    write_table(folder.path, table, columns, run=folder.manifest.run, crs_wkt=network.grid.crs_wkt)


def write_catchments(folder: RunFolder, setup: CalibrationSetup) -> None:
    """catchments.parquet."""
    network, gauges, tree = setup.basin.network, setup.basin.gauges, setup.gauge_tree
    columns: dict[str, Any] = {
        "gauge": list(gauges.code),
        "cell": gauges.cell,
        "x": network.x[gauges.cell],
        "y": network.y[gauges.cell],
        "cells": tree.cells,
        "area": tree.sums(network.cell_area),
        "downstream_gauge": _codes_of_zones(setup)[tree.below[tree.of_gauge]],
    }
    crs = network.grid.crs_wkt
    write_table(folder.path, schemas.CATCHMENTS, columns, run=folder.manifest.run, crs_wkt=crs)


def _codes_of_zones(setup: CalibrationSetup) -> NDArray[np.object_]:
    """Code of the first gauge of each zone [zones + 1], None for the cells that drain to no gauge."""
    codes = np.full(setup.gauge_tree.zones + 1, None, object)
    codes[setup.gauge_tree.of_gauge[::-1]] = setup.basin.gauges.code[::-1]
    return codes


class BalancePieces(NamedTuple):
    """Divisions of a run: into calendar years, and into pieces that lie inside or outside each period.

    Each is summed by itself, so that the balance of a year does not depend on the periods.

    number: [2, steps], as `CellBalance` has them. years: of the first division. days: of each piece. periods: which
    pieces each period has, by name.
    """

    number: NDArray[np.int64]
    years: NDArray[np.int64]
    days: Floats
    periods: dict[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, setup: CalibrationSetup) -> BalancePieces:
        """Those of the periods of an experiment; one without any has a period `all`."""
        times, period = setup.basin.times, setup.experiment.period
        windows = ({"calibration": period.calibration} if period.calibration else {}) | period.validation
        inside = {name: setup.inside(window) for name, window in windows.items()}
        inside = {name: steps for name, steps in inside.items() if steps.any()} or {
            "all": np.ones(len(times), np.bool_)
        }
        year = (times - np.timedelta64(1, "s")).astype("datetime64[Y]").astype(np.int64) + 1970
        years = np.arange(year[0], year[-1] + 1)
        keys = np.stack(list(inside.values()))
        piece = np.cumsum(np.r_[0, np.any(keys[:, 1:] != keys[:, :-1], axis=0)])
        first = np.searchsorted(piece, np.arange(piece[-1] + 1))
        days = np.bincount(piece) * setup.basin.step / 86400.0
        number = np.stack([year - year[0], len(years) + piece])
        return cls(number, years, days, {name: steps[first] for name, steps in inside.items()})


def _write_balance(
    folder: RunFolder, setup: CalibrationSetup, pieces: BalancePieces, routed: RoutingFloor, in_cells: CellBalance
) -> None:
    """balance.parquet by calendar year, and annual_fluxes.parquet by period."""
    basin, run = setup.basin, folder.manifest.run
    balance = in_cells.balance(basin.precipitation, basin.pet, setup.ci, setup.hi)
    if in_cells.clamped_steps:
        folder.update(counts={"clamped_steps": in_cells.clamped_steps})
    tree, cell_area, codes = setup.gauge_tree, basin.network.cell_area, basin.gauges.code
    area = tree.sums(cell_area)
    terms = balance.terms | {"closure_error": balance.closure_error}
    sums = {name: tree.sums(term * cell_area) / area for name, term in terms.items()}  # [years and pieces, g]
    sums["soil_evaporation"] = sums["evapotranspiration"] - sums[INTERCEPTED]
    by_year = {name: values[: len(pieces.years)] for name, values in sums.items()}
    by_year["routing_floor_volume"] = 1e3 * tree.sums(routed.volume) / area
    by_piece = {name: values[len(pieces.years) :] for name, values in sums.items()}
    table = schemas.balance([output_quantities()[symbol] for symbol in setup.structure.model.details])
    names = [column.name for column in table.columns if column.name in by_year]
    columns: dict[str, Any] = {name: by_year[name].T.ravel() for name in names}
    columns |= {"gauge": np.repeat(codes, len(pieces.years)), "year": np.tile(pieces.years, len(codes))}
    write_table(folder.path, table, columns, run=run)
    days = np.array([pieces.days[inside].sum() for inside in pieces.periods.values()])
    names = [column.name for column in schemas.ANNUAL_FLUXES.columns if column.name in by_piece]
    columns = {
        name: (
            schemas.DAYS_OF_YEAR / days * np.stack([by_piece[name][i].sum(axis=0) for i in pieces.periods.values()]).T
        )
        for name in names
    }
    columns = {name: values.ravel() for name, values in columns.items()}
    columns |= {"gauge": np.repeat(codes, len(days)), "days": np.tile(days, len(codes))}
    columns["period"] = list(pieces.periods) * len(codes)
    write_table(folder.path, schemas.ANNUAL_FLUXES, columns, run=run)
