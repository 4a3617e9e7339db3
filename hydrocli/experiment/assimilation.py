"""Data assimilation over a short window: the state and the rain before an issue time that fit what was observed.

    J(v) = 1/2 sum_gt ((q_gt - o_gt) / sigma_gt)^2 + 1/2 sum_k v_k^2                strong-constraint 4D-Var
    level = level_b + sd v      discharge in the river = that of the background times exp(sd v)      rain P exp(sd v)

q - simulated, o - observed discharge [m3/s]; sigma - standard deviation of the error of an observation; v - controls,
in standard deviations of the error of the background. Each zone, the cells whose next gauge downstream is the same, has
one control of every store, one of the river, and one of the rain of the window. Parameters stay as calibrated.

The controls are few, so the minimum is found by Gauss-Newton steps with differences of whole runs over the window
(Levenberg's damping where a step does not descend); every structure can be corrected so. At the minimum the inverse of
the Hessian J'J + 1 gives the standard errors (Laplace's approximation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hydrocli.arrays import Floats

Residuals = Callable[[Floats], Floats]
"""(q - o) / sigma [m] of controls [k]."""

STEP = 1e-3
"""Of a control, in differences: runs in double precision are exact to about 1e-12, so rounding and curvature are both
small."""
SINGLE_STEP = 3e-2
"""The same for single precision."""
ITERATIONS = 8
CONVERGED = 0.01
"""Largest change of a control in the last iteration."""
LARGEST = 5.0
"""Standard deviations beyond which the model, not its state, is wrong."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the assimilation has found.

    Attributes:
        controls: v [k]; 0 where the analysis is refused.
        errors: standard errors of v [k], from the Hessian of the last step; 1 where it is refused.
        cost_before, cost: J at 0 and at the minimum that was found.
        observations: values that were compared.
        refusal: why the background is kept; empty where it is not.
    """

    controls: Floats
    errors: Floats
    cost_before: float
    cost: float
    observations: int
    refusal: str = ""


def analyse(residuals: Residuals, controls: int, step: float = STEP) -> Analysis:
    """Minimise J.

    Args:
        residuals: of controls [k]; all finite.
        controls: k, their number.
        step: of a control, in differences.
    """
    v, r = np.zeros(controls), residuals(np.zeros(controls))
    before = cost = _cost(r, v)
    hessian, damping = np.eye(controls), 0.0
    if not r.size or not controls:
        why = "no observation in the window" if controls else "no error of the background is assumed"
        return Analysis(v, np.ones(controls), before, cost, r.size, why)
    for _ in range(ITERATIONS):
        jacobian = np.stack([(residuals(v + step * one) - r) / step for one in np.eye(controls)], axis=1)
        hessian, slope = jacobian.T @ jacobian + np.eye(controls), jacobian.T @ r + v
        while damping < 1e6:
            change = -np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), slope)
            change = np.clip(v + change, -2.0 * LARGEST, 2.0 * LARGEST) - v  # beyond it is refused anyway
            new = residuals(v + change)
            if (found := _cost(new, v + change)) < cost:
                break
            damping = max(10.0 * damping, 1e-2)
        else:
            break  # no descent within rounding: it is a minimum
        v, r, cost, damping = v + change, new, found, damping / 10.0 if damping > 1e-2 else 0.0
        if np.abs(change).max() < CONVERGED:
            break
    errors, refusal = np.sqrt(np.diag(np.linalg.inv(hessian))), ""
    if not np.isfinite(cost):
        refusal = "the simulation is not finite"
    elif not cost < before:
        refusal = "the cost does not fall"
    elif np.abs(v).max() > LARGEST:
        refusal = f"a correction is larger than {LARGEST:g} standard deviations"
    if refusal:
        return Analysis(np.zeros(controls), np.ones(controls), before, cost, r.size, refusal)
    return Analysis(v, errors, before, cost, r.size)


def _cost(residuals: Floats, v: Floats) -> float:
    return 0.5 * float(residuals @ residuals + v @ v)
