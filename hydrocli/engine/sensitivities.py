"""Sensitivities of the discharge to few controls, and the curvature of the cost that follows from them.

    H = J' C J + P                      Gauss-Newton, generalised to any cost of the output (Schraudolph 2002)

J - derivative of the discharge by the controls, from differences of whole runs; C - second derivative of the cost by
the discharge; P - of a penalty by the controls. A run per control costs less than the adjoint of every observation.
"""

from __future__ import annotations

import numpy as np

from hydrocli.arrays import Flags, Floats
from hydrocli.engine.objective import Objective

STEP = 1e-6
"""Of a control, in central differences. Against the adjoint, `gr` and `ode` on the Cance are off by up to 7e-4 at 1e-4,
1e-9 at 1e-6 and 4e-9 at 1e-7."""
ONE_SIDED_STEP = 1e-7
"""Of a control, where the run at the control serves all differences."""
SHARE = 1e-4
"""Step along a direction of the discharge, of its maximum: exact, rounding apart, where the cost is quadratic."""
LEAST_DISCHARGE = 1e-9
"""m3/s: the maximum of a river that is dry, for `SHARE`."""


def sensitivities(objective: Objective, control: Floats, inside: Flags) -> tuple[Floats, Floats]:
    """Derivatives [g, t, m] by the m controls `inside`, of the discharge, and of the derivative of the cost by it."""
    numbers = np.flatnonzero(inside)
    up, down = (np.tile(control, (len(numbers), 1)) for _ in range(2))
    columns = np.arange(len(numbers)), numbers
    up[columns] = np.minimum(control[numbers] + STEP, objective.control.upper[numbers])
    down[columns] = np.maximum(control[numbers] - STEP, objective.control.lower[numbers])
    centre, *runs = objective.discharges(np.concatenate([control[np.newaxis], up, down]))
    above, below = runs[: len(numbers)], runs[len(numbers) :]
    jacobian = np.empty((*centre.shape, len(numbers)))
    for column, length in enumerate((up - down)[columns]):
        jacobian[..., column] = (above[column] - below[column]) / length
    curved = [_curved(objective, centre, jacobian[..., column]) for column in range(len(numbers))]
    return jacobian, np.stack(curved, axis=-1) if curved else np.zeros_like(jacobian)


def gauss_newton(objective: Objective, control: Floats) -> tuple[float, Floats, Floats]:
    """Cost, its gradient [m] and its Hessian [m, m] at a control [m], the latter without second derivatives of the run.

    Both follow from one-sided differences: m + 1 runs. The gradient is right to about 1e-7 of the curvature.

    Raises:
        NumericalError: the discharge is not finite; says in which cell and when.
    """
    size = control.size
    step = np.where(control + ONE_SIDED_STEP <= objective.control.upper, ONE_SIDED_STEP, -ONE_SIDED_STEP)
    moved = control + np.diag(step)
    lengths = np.diag(moved) - control
    centre, *runs = objective.discharges(np.concatenate([control[np.newaxis], moved]))
    for point, discharge in zip([control, *moved], [centre, *runs], strict=True):
        if not np.isfinite(discharge).all():
            raise objective.broken(point)
    for run, length in zip(runs, lengths, strict=True):  # in place: a run of many gauges and steps is large
        run -= centre
        run /= length
    cost, derivative = objective.cost.value_and_derivative(centre)
    objective.scores = objective.cost.by_gauge(centre)
    gradient = np.array([np.vdot(derivative, column) for column in runs])
    hessian = np.empty((size, size))
    for k, direction in enumerate(runs):
        curved = _curved(objective, centre, direction)
        hessian[k] = [np.vdot(column, curved) for column in runs]
    if objective.penalty:
        cost += objective.penalty.value(objective.control.split(control)[0])
        gradient += _slope_of_penalty(objective, control)
        hessian += penalty_curvature(objective, control, np.ones(size, np.bool_))
    return cost, gradient, (hessian + hessian.T) / 2.0


def penalty_curvature(objective: Objective, control: Floats, inside: Flags) -> Floats:
    """Second derivative [m, m] of the penalty by the m controls `inside`."""
    columns = list[Floats]()
    for number in np.flatnonzero(inside):
        up, down = control.copy(), control.copy()
        up[number], down[number] = control[number] + STEP, control[number] - STEP
        difference = _slope_of_penalty(objective, up) - _slope_of_penalty(objective, down)
        columns.append(difference[inside] / (2.0 * STEP))
    return np.stack(columns, axis=-1) if columns else np.zeros((0, 0))


def _slope_of_penalty(objective: Objective, control: Floats) -> Floats:
    """Derivative [m] of the penalty by the controls."""
    assert objective.penalty is not None
    maps, weights = objective.control.split(control)
    return objective.control.transpose(control, objective.penalty.derivative(maps), np.zeros_like(weights))


def _curved(objective: Objective, discharge: Floats, direction: Floats) -> Floats:
    """Second derivative of the cost by the discharge [g, t], times a direction [g, t]: [g, t]."""
    largest = float(np.abs(direction).max())
    step = SHARE * max(float(discharge.max()), LEAST_DISCHARGE) / largest if largest else 0.0
    if not step:
        return np.zeros_like(direction)
    above, below = (objective.cost.value_and_derivative(discharge + s * direction)[1] for s in (step, -step))
    return (above - below) / (2.0 * step)
