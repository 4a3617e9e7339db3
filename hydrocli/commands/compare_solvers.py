"""`hydrocli compare-solvers`: a cell of a run integrated by several schemes in time, errors beside costs."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.config import load
from hydrocli.engine import reference_integrators as schemes
from hydrocli.errors import ConfigurationError
from hydrocli.execution.progress import track
from hydrocli.experiment.evaluation import maps_of_run
from hydrocli.experiment.setup import CalibrationSetup, announce_compilation, ingested
from hydrocli.results import read, schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.write import write_table

logger = logging.getLogger(__name__)

Row = dict[str, Any]

REFERENCE = "reference"
EXPLICIT = {"explicit Euler": (schemes.EULER, (1, 2, 4, 16)), "Runge-Kutta 4": (schemes.RK4, (1, 4))}


def compare_solvers(target: Path, overrides: list[str], cell: int | None, gauge: str | None) -> list[Row]:
    """Write solvers.parquet and solver_series.parquet in a run folder; the rows of the first come back.

    Args:
        target: run folder, or YAML of a run.
        overrides: `section.key=value` texts; structure.kind=ode compares the equations of a run of gr.
        cell: number of the cell; left out, that of the gauge.
        gauge: code; left out, the first that calibrates.

    Raises:
        InputError: the run is missing or not finished.
        ConfigurationError: there is no such cell or gauge.
    """
    experiment = load(target, overrides)
    path = Path(experiment.folder)
    read(path).require_whole(later=False)  # refuses what is no finished run
    if experiment.baseline is not None:
        what = f"{experiment.structure.kind} has no differential equations to compare with"
        raise ConfigurationError("structure.kind", what, "Name a run of a structure with stores.")
    announce_compilation()
    setup = CalibrationSetup(experiment, ingested(experiment), path, path)
    number = _chosen(setup, cell, gauge)
    followed = _cell_of(setup, path, number)
    with track("reference", len(followed.net)) as task:
        paths = {REFERENCE: schemes.reference(followed, task.update)}
    paths["implicit Euler"] = schemes.implicit(followed)
    paths["implicit Euler, single"] = schemes.implicit(followed, "single")
    for name, (tableau, counts) in EXPLICIT.items():
        paths |= {f"{name} x {count}": schemes.explicit(followed, tableau, count) for count in counts}
    if not followed.structure.has_network:
        paths["gr, algebraic"] = schemes.algebraic(followed)
    rows = [_compared(name, path, paths[REFERENCE]) for name, path in paths.items()]
    _write(path, setup, number, paths, rows)
    logger.info(f"{setup.place(number, 0).rsplit(' at ', 1)[0]}, {followed.structure.kind}: tables are in {path}")
    return rows


def _chosen(setup: CalibrationSetup, cell: int | None, gauge: str | None) -> int:
    gauges, cells = setup.basin.gauges, len(setup.basin.network)
    if cell is not None and not 0 <= cell < cells:
        raise ConfigurationError("--cell", f"{cell} is not one of 0 to {cells - 1}")
    if gauge is not None and gauge not in gauges.code:
        raise ConfigurationError("--gauge", f"unknown gauge {gauge} (available: {', '.join(gauges.code)})")
    if cell is not None:
        return cell
    return int(gauges.cell[gauges.code.index(gauge or (*setup.calibration, *gauges.code)[0])])


def _cell_of(setup: CalibrationSetup, path: Path, number: int) -> schemes.Cell:
    """A cell with the parameters of the run; a run without a solver is looked at as `ode`.

    Raises:
        ConfigurationError: the structure has other parameters than the differential equations.
    """
    maps = maps_of_run(path, setup)[:, number]
    structure, weights = setup.structure, setup.flux_network.weights
    equations, structure = replace(schemes.DIFFERENTIAL, routing=structure.routing), replace(structure, impervious="")
    if structure.parameters != equations.parameters:
        what = f"the structure {structure.kind} has no differential equations to compare with"
        remedy = "Name a run whose parameters are " + ", ".join(equations.parameters) + ", without snow."
        raise ConfigurationError("structure.kind", what, remedy)
    if not structure.model.iterates:
        structure, weights = equations, weights[:0]
    simulator, _, _ = setup.simulator(np.array([number]), np.zeros(0, np.intp), len(setup.basin.times))
    order = simulator.order
    block = int(order.slot[0] >= order.n_headwater)
    net = simulator.forcing[0][order.offset[block] + order.slot[0] - order.low[block]]
    count = len(structure.all_parameters)
    return schemes.Cell(net, maps[:count], maps[count:], structure, weights, setup.basin.step)


def _compared(name: str, path: schemes.Path, truth: schemes.Path) -> Row:
    """Errors of a scheme and its price; those of a scheme that left the finite numbers are missing."""

    def rmse(error: NDArray[np.float64]) -> float:
        return float(np.sqrt(np.mean(error**2)))

    hp, ht = np.abs(path.levels - truth.levels).max(axis=0)
    error = path.runoff - truth.runoff
    return {
        "scheme": name,
        "evaluations": path.evaluations,
        "microseconds": 1e6 * path.seconds / len(error),
        "hp_error": float(hp),
        "ht_error": float(ht),
        "runoff_rmse": rmse(error),
        "runoff_error": float(np.abs(error).max()),
        "peak_error": float(path.runoff.max() / truth.runoff.max() - 1.0),
        "volume_error": float(error.sum() / truth.runoff.sum()),
        "clamped_steps": path.held,
    }


def _write(folder: Path, setup: CalibrationSetup, cell: int, paths: dict[str, schemes.Path], rows: list[Row]) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]} | {"cell": [cell] * len(rows)}
    times, count = setup.basin.times, len(paths)
    series: dict[str, Any] = {
        "scheme": np.repeat(list(paths), len(times)).tolist(),
        "time": np.tile(times, count),
        "hp": np.concatenate([path.levels[:, 0] for path in paths.values()]),
        "ht": np.concatenate([path.levels[:, 1] for path in paths.values()]),
        "qt": np.concatenate([path.runoff for path in paths.values()]),
    }
    files = schemas.SOLVERS.file, schemas.SOLVER_SERIES.file
    with RunFolder.open(folder, setup.experiment.name) as run, run.rewriting(*files):
        write_table(run.path, schemas.SOLVERS, columns, run=run.manifest.run)
        write_table(run.path, schemas.SOLVER_SERIES, series, run=run.manifest.run)
