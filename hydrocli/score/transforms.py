"""Discharge as a term of the cost looks at it: as it is, its square root, its logarithm or its inverse.

    T(q) = f(max(q, 0) + e) + f'(e) min(q, 0)          f = sqrt, log or 1/x

q - discharge [m3/s]; e - offset [m3/s], by default a hundredth of the mean observation (Pushpalatha et al. 2012).
With the offset a dry river has a value and a finite derivative; below 0 (a small negative runoff of `ode` and `node`)
the function continues linearly, so that a negative discharge increases the cost and has the correct derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hydrocli.arrays import Floats

Function = Callable[[Any], Any]

FUNCTIONS: dict[str, tuple[Function, Function]] = {
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "log": (np.log, lambda x: 1 / x),
    "inverse": (lambda x: 1 / x, lambda x: -1 / x**2),
}
"""f and its derivative; `none` has neither."""

TRANSFORMS = ("none", *FUNCTIONS)


def transformed(discharge: Floats, transform: str, offset: float) -> Floats:
    """T of a discharge [m], in m3/s."""
    if transform == "none":
        return discharge
    function, derivative = FUNCTIONS[transform]
    flowing = np.where(discharge.real > 0, discharge, 0.0)
    return function(flowing + offset) + derivative(offset) * (discharge - flowing)


def transformed_bar(discharge: Floats, transform: str, offset: float, transformed_bar: Floats) -> Floats:
    """d cost / d discharge [m] from d cost / d T [m]: below 0 the slope is that at 0."""
    if transform == "none":
        return transformed_bar
    return FUNCTIONS[transform][1](np.maximum(discharge, 0.0) + offset) * transformed_bar
