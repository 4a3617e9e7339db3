"""What a calibration knows of its controls when it has ended: standard errors and correlations, or gradient norms.

For few controls without weights of a network: central differences of the discharge by each control in double precision
(two runs each; the adjoint would need one per observation), the curvature of the cost by the discharge
along each of them (differences of its derivative), and from both the covariance (`calibration.covariance`, where the
assumptions stand). Controls at a bound stay there and are left out. For many controls: the norm of the gradient of each
group, which says what has not come to rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats
from hydrocli.calibration.covariance import Covariance, Residuals, covariance
from hydrocli.calibration.problem import StageResult
from hydrocli.engine.objective import Objective
from hydrocli.engine.sensitivities import STEP, penalty_curvature, sensitivities
from hydrocli.experiment.stages import NETWORKS, BasinCalibration, group
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.write import write_table
from hydrocli.score.intervals import last_steps, sum_over
from hydrocli.structures.structure import parameter_quantities, state_quantities

MOST = 60
"""So many controls are few."""
AT_BOUND = 1e-6
"""A control nearer than this to a bound lies on it."""
NORMAL_95 = 1.959964
ASSUMPTIONS = (
    "Gauss-Newton (linear over a standard error); the structure of the model is right; residuals of a gauge have one "
    "size at all flows and correlations r^lag; gauges are independent; controls at a bound are known exactly."
)
PENALISED = (
    " With the penalty: the scatter of the controls, not how far the penalty holds them from where the data lead."
)


def write_uncertainty(folder: RunFolder, calibration: BasinCalibration, results: Sequence[StageResult]) -> None:
    """uncertainty.parquet and correlations.parquet where controls are few; norms of the gradient in the manifest."""
    objective, last = calibration.final_objective(results), results[-1]
    names = objective.control.names
    groups = list(dict.fromkeys(map(group, names)))
    if np.isfinite(last.gradient).all():
        slope = _free_gradient(objective, last)
        norms = {name: float(np.linalg.norm(slope[[group(n) == name for n in names]])) for name in groups}
        folder.update(gradient_norms=norms)
    if not names or len(names) > MOST or set(groups) & set(NETWORKS):
        return
    inside = _inside(objective, last.x)
    setup = calibration.setup
    until = [None] * len(setup.series) if setup.until is None else list(setup.until)
    misfit = calibration.residuals(objective.simulate(last.x))
    residuals = [Residuals.of(series[last_steps(one, series.size)]) for series, one in zip(misfit, until, strict=True)]
    penalty = penalty_curvature(objective, last.x, inside) if objective.penalty else None
    jacobian, curved = sensitivities(objective, last.x, inside)
    by_interval = [sum_over(columns, one) for columns, one in zip(curved, until, strict=True)]
    found = covariance(jacobian, curved, residuals, penalty, by_interval)
    _write_tables(folder, objective, last.x, inside, found)
    gauges = {
        code: {
            "observations": series.number,
            "residual": series.size,
            "autocorrelation": series.correlation,
            "effective_observations": series.effective_number,
        }
        for code, series in zip(calibration.setup.series, residuals, strict=True)
    }
    flat = [_direction(direction, np.array(names)[inside]) for direction in found.flat]
    assumptions = ASSUMPTIONS + (PENALISED if objective.penalty else "")
    folder.update(uncertainty={"assumptions": assumptions, "gauges": gauges, "flat_directions": flat})


def _inside(objective: Objective, control: Floats) -> Flags:
    lower, upper = objective.control.lower, objective.control.upper
    return (control > lower + AT_BOUND) & (control < upper - AT_BOUND)


def _free_gradient(objective: Objective, result: StageResult) -> Floats:
    lower, upper = result.x - objective.control.upper, result.x - objective.control.lower
    return np.clip(result.gradient, lower, upper)


def _write_tables(folder: RunFolder, objective: Objective, control: Floats, inside: Flags, found: Covariance) -> None:
    names, unit, value, scale = _in_units(objective, control)
    state = np.full(len(names), "at a bound", object)
    state[inside] = np.where(
        found.without_effect, "without effect", np.where(found.undetermined, "not determined", "determined")
    )
    error = np.full(len(names), np.nan)
    error[inside] = found.standard_error * np.abs(scale[inside])
    bounds = value + scale * (np.stack([objective.control.lower, objective.control.upper]) - control)
    columns: dict[str, Any] = {
        "name": names,
        "value": value,
        "standard_error": error,
        "lower_95": np.maximum(value - NORMAL_95 * error, bounds.min(axis=0)),
        "upper_95": np.minimum(value + NORMAL_95 * error, bounds.max(axis=0)),
        "unit": unit,
        "state": state.tolist(),
    }
    write_table(folder.path, schemas.UNCERTAINTY, columns, run=folder.manifest.run)
    free = [name for name, free in zip(names, inside, strict=True) if free]
    sign = np.sign(scale[inside])
    pairs = {
        "name": np.repeat(free, len(free)).tolist(),
        "other": free * len(free),
        "correlation": (found.correlation * np.outer(sign, sign)).ravel(),
    }
    write_table(folder.path, schemas.CORRELATIONS, pairs, run=folder.manifest.run)


def _in_units(objective: Objective, control: Floats) -> tuple[list[str], list[str], Floats, Floats]:
    """Names, units, values and their derivatives by the controls; of a parameter, where one control is all of it."""
    names = list(objective.control.names)
    groups = list(map(group, names))
    units, value, scale = ["-"] * len(names), control.copy(), np.ones(len(names))
    cell, known = objective.cells[0], parameter_quantities() | state_quantities()
    symbols = objective.simulator.structure.maps
    maps = objective.control.split(control)[0]
    for number, name in enumerate(names):
        if name not in symbols or groups.count(name) > 1:
            continue
        moved = control.copy()
        moved[number] = control[number] + (STEP if control[number] < 0.5 else -STEP)
        row = symbols.index(name)
        value[number], units[number] = maps[row, cell], known[name].unit
        change = objective.control.split(moved)[0][row, cell] - maps[row, cell]
        scale[number] = change / (moved[number] - control[number])
    return names, units, value, scale


def _direction(direction: Floats, names: NDArray[Any]) -> str:
    """A flat direction in words: `+0.71 cp -0.70 ct`, in controls scaled by the root of their curvature."""
    largest = [n for n in np.argsort(-np.abs(direction), kind="stable")[:5] if abs(direction[n]) > 0.05]
    return " ".join(f"{direction[n]:+.2f} {names[n]}" for n in largest)
