"""The simulation that a run ends with, and the tables that it leaves: everything a later run or a reader needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydrocli.errors import InputError
from hydrocli.model.balance import RoutingAdded, water_balance
from hydrocli.model.objective import ROWS, broken_run
from hydrocli.model.sweep import State
from hydrocli.names import FORCINGS, INITIAL_LEVELS, INTERCEPTION_CAPACITY, PARAMETERS, STATES
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.write import write_maps, write_series, write_table
from hydrocli.runs.build import Case
from hydrocli.score.metrics import nse

Floats = NDArray[np.float64]
BLOCK = 512


def write_outcome(folder: RunFolder, case: Case, maps: Floats) -> dict[str, float]:
    """Run the whole period over the whole domain with the maps [7, n], write all tables of it.

    Returns:
        NSE of every calibration gauge over the calibration period; empty without observations or period.

    Raises:
        NumericalError: a state or discharge is not finite.
    """
    basin, run = case.basin, folder.manifest.run
    cells = np.arange(len(basin.network))
    sweep, hi_end, missing = case.sweep(cells, np.arange(len(basin.gauges.code)), len(basin.times))
    _count_missing(folder, case, missing)
    parameters = maps[: len(PARAMETERS)]
    start = State(maps[len(PARAMETERS) :], case.state.discharge, case.state.lateral_inflow)
    years = (basin.times - np.timedelta64(1, "s")).astype("datetime64[Y]").astype(np.int64)
    added = RoutingAdded(sweep.skew, years - years[0], basin.step)
    simulated, end = sweep.simulate(parameters, start, watch=added)
    if not all(np.isfinite(values).all() for values in (simulated, end.levels, end.discharge)):
        raise broken_run(sweep, parameters, start, case.place)
    _write_maps(folder, case, maps)
    _write_states(folder, hi_end, end)
    _write_domain(folder, case)
    write_series(folder.path, schemas.catchments([]), basin.gauges.code, basin.times, catchment_means(case), run=run)
    _write_balance(folder, case, parameters, start, years, added)
    observed = basin.discharge
    series = {"observed": observed, "simulated": simulated}
    # The last table: what it holds tells `validate` what has been simulated.
    write_series(folder.path, schemas.DISCHARGE, basin.gauges.code, basin.times, series, run=run)
    window = case.experiment.period.calibration
    if window is None:
        return {}
    inside = case.inside(window)
    return {
        code: nse(observed[g, inside], simulated[g, inside])
        for code, g in zip(case.calibration, case.gauges(case.calibration), strict=True)
    }


def _count_missing(folder: RunFolder, case: Case, missing: NDArray[np.int64]) -> None:
    total, values = int(missing.sum()), missing.size * len(case.basin.times)
    folder.update(counts={"cells": missing.size, "steps": len(case.basin.times), "forcing_missing": total})
    if total:
        sentence = f"forcing is missing in {total} of {values} cell-steps ({total / values:.3%}): taken as no water"
        folder.warn(sentence)


def _place(case: Case) -> dict[str, NDArray[np.generic]]:
    network = case.basin.network
    return {
        "cell": np.arange(len(network)),
        "row": network.row,
        "column": network.column,
        "x": network.x,
        "y": network.y,
    }


def _write_maps(folder: RunFolder, case: Case, maps: Floats) -> None:
    """parameters.parquet and parameters/*.tif; initial levels are among them where they were calibrated."""
    calibrated = {row.symbol for row in case.rows if row.calibrated}
    symbols = [symbol for symbol in ROWS if symbol in PARAMETERS or symbol in calibrated & set(INITIAL_LEVELS)]
    values = {symbol: maps[ROWS.index(symbol)] for symbol in symbols}
    network, run = case.basin.network, folder.manifest.run
    table = schemas.parameters(symbols)
    write_table(folder.path, table, _place(case) | values, run=run, crs_wkt=network.grid.crs_wkt)
    write_maps(folder.path, network.grid, network.row, network.column, values, run=run)


def _write_states(folder: RunFolder, hi: Floats, state: State) -> None:
    values = dict(zip(STATES, (hi, *state.levels, state.discharge, state.lateral_inflow), strict=True))
    columns = {"cell": np.arange(len(hi)), **values}
    write_table(folder.path, schemas.STATES_TABLE, columns, run=folder.manifest.run)


def _write_domain(folder: RunFolder, case: Case) -> None:
    basin = case.basin
    network = basin.network
    columns = _place(case) | {
        "area": network.cell_area,
        "downstream": network.downstream,
        "level": network.level,
        "calibrated": case.calibrated_cells,
        INTERCEPTION_CAPACITY.symbol: case.ci,
        **{f"catchment_{code}": catchment for code, catchment in _catchments(case).items()},
        **basin.descriptors,
    }
    table = schemas.domain(list(basin.descriptors), basin.gauges.code)
    write_table(folder.path, table, columns, run=folder.manifest.run, crs_wkt=network.grid.crs_wkt)


def _catchments(case: Case) -> dict[str, NDArray[np.bool_]]:
    network, gauges = case.basin.network, case.basin.gauges
    return {code: network.catchment(cell) for code, cell in zip(gauges.code, gauges.cell, strict=True)}


def catchment_means(case: Case) -> dict[str, Floats]:
    """Mean of each forcing over the cells with data of each gauge's catchment [g, t]; NaN where none has any."""
    member = np.stack(list(_catchments(case).values())).T.astype(np.float64)
    means = {}
    for name in FORCINGS:
        forcing = getattr(case.basin, name)
        mean = np.full((member.shape[1], len(forcing)), np.nan)
        for first in range(0, len(forcing), BLOCK):
            values = np.array(forcing[first : first + BLOCK], np.float64)
            known = np.isfinite(values)
            count = known.astype(np.float64) @ member
            total = np.where(known, values, 0.0) @ member
            mean[:, first : first + BLOCK] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0).T
        means[name] = mean
    return means


def _write_balance(
    folder: RunFolder, case: Case, parameters: Floats, start: State, years: NDArray[np.int64], added: RoutingAdded
) -> None:
    basin = case.basin
    balance = water_balance(
        basin.precipitation, basin.evapotranspiration, case.ci, case.hi, parameters, start, years - years[0], basin.step
    )
    area, volume = basin.network.cell_area, added.volume
    rows: dict[str, list[object]] = {column.name: [] for column in schemas.BALANCE.columns if column.name != "run"}
    for code, catchment in _catchments(case).items():
        share = np.where(catchment, area, 0.0) / area[catchment].sum()
        for number, year in enumerate(range(int(years[0]), int(years[-1]) + 1)):
            values = {name: term[number] @ share for name, term in balance.terms.items()} | {
                "gauge": code,
                "year": 1970 + year,
                "network_source": 0.0,
                "routing_added": 1e3 * volume[number, catchment].sum() / area[catchment].sum(),
                "closure_error": balance.closure_error[number] @ share,
            }
            for name, value in values.items():
                rows[name].append(value)
    write_table(folder.path, schemas.BALANCE, rows, run=folder.manifest.run)  # type: ignore[arg-type]


def area_of(folder: Path, domain: dict[str, NDArray[np.generic]], code: str) -> float:
    """Area of a gauge's catchment [m2], from the domain of a run.

    Raises:
        InputError: the gauge is not in it.
    """
    if f"catchment_{code}" not in domain:
        raise InputError(str(folder), f"gauge {code} is not in this run", "Calibrate with it, or take it off the YAML.")
    return float(domain["area"][domain[f"catchment_{code}"].astype(bool)].sum())
