"""Base flow of a hydrograph: the recursive digital filter of Lyne and Hollick (1979), in three passes.

They run forward, backward, forward, and each filters what the pass before left (the discharge at first):

    v[i] = a b[i-1] + (1 - a) / 2 (y[i] + y[i-1]),   b[i] = min(v[i], y[i])

b - base flow [m3/s]; y - discharge, then the base flow of the pass before [m3/s];
a = 0.925 (Nathan and McMahon 1990) [-].
The starts are those of the R package EcoHydRology: the first pass starts at the first discharge if that is below the
lower quartile, else at the mean discharge / 1.5; a later one at its first discharge / 1.2 if that is below the mean
base flow of the previous pass, else at that mean.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hydrocli.arrays import Floats
from hydrocli.jit import exact

RECESSION = 0.925
PASSES = 3
FIRST_DIVISOR, LATER_DIVISOR = 1.5, 1.2


def baseflow(discharge: ArrayLike) -> Floats:
    """Base flow [t] of `discharge[t]`, in its unit; never above it, so the quick flow is the difference.

    Missing values (NaN) stay missing; the filter passes from the value before such a gap straight to the one after it.
    """
    flow = np.asarray(discharge, dtype=np.float64)
    there = ~np.isnan(flow)
    base = np.full(flow.shape, np.nan)
    base[there] = _filtered(flow[there])
    return base


def baseflow_bar(discharge: Floats, base_bar: Floats) -> Floats:
    """d cost / d discharge [t] from d cost / d base flow [t], for a discharge without missing values.

    Where the filter has a kink (v = y, or a start that is compared), it is the derivative of one side.
    """
    if discharge.size == 0:
        return discharge
    size, flow, y = discharge.size, discharge, discharge
    first, starts_at_flow = _first_start(discharge)
    passes = []
    for _ in range(PASSES):
        base = _one_pass(y, first)
        passes.append((np.ascontiguousarray(y), base, starts_at_flow))
        y, flow = base[::-1], flow[::-1]
        first, starts_at_flow = _next_start(flow, y)
    y_bar, flow_bar = base_bar, np.zeros(size)
    for number in reversed(range(PASSES)):
        # base = _one_pass(y, first)
        y, base, starts_at_flow = passes[number]
        bar = y_bar[::-1] if number < PASSES - 1 else y_bar
        y_bar, first_bar = np.zeros(size), np.zeros(1)
        _one_pass_bar(y, base, np.array(bar), y_bar, first_bar)
        # first = flow[0] / divisor, or the mean of y (of the discharge / 1.5 in the first pass)
        end = -1 if number % 2 else 0
        if starts_at_flow:
            flow_bar[end] += first_bar[0] / (LATER_DIVISOR if number else 1.0)
        else:
            y_bar += first_bar[0] / (size * (1.0 if number else FIRST_DIVISOR))
    return y_bar + flow_bar


def _filtered(flow: Floats) -> Floats:
    if flow.size == 0:
        return flow
    base, (first, _) = flow, _first_start(flow)
    for _ in range(PASSES):
        base = _one_pass(base, first)
        base, flow = base[::-1], flow[::-1]
        first, _ = _next_start(flow, base)
    return base[::-1]


def _first_start(flow: Floats) -> tuple[float, bool]:
    """Start of the first pass, and whether it is the first discharge."""
    if flow[0] < np.quantile(flow, 0.25):
        return flow[0], True
    return flow.mean() / FIRST_DIVISOR, False


def _next_start(flow: Floats, base: Floats) -> tuple[float, bool]:
    """Start of a later pass, and whether it is from the discharge there."""
    mean = base.mean()
    return (flow[0] / LATER_DIVISOR, True) if flow[0] < mean else (mean, False)


def _one_pass(y: Floats, first: float) -> Floats:
    """One pass; compiled only where Numba is loaded anyway: to load it takes longer than most series.

    Both ways give the same bits: `exact` contracts no product and sum into one rounding.
    """
    if "numba" in sys.modules:
        return _compiled_pass(np.ascontiguousarray(y), first, np.empty(y.size))
    numbers = y.tolist()
    interpreted: Any = _compiled_pass
    return np.array(interpreted.py_func(numbers, first, numbers.copy()))


@exact
def _compiled_pass(y: Floats, first: float, b: Floats) -> Floats:
    b[0] = first
    for i in range(1, len(y)):
        b[i] = min(RECESSION * b[i - 1] + (1 - RECESSION) / 2 * (y[i] + y[i - 1]), y[i])
    return b


@exact
def _one_pass_bar(y: Floats, b: Floats, b_bar: Floats, y_bar: Floats, first_bar: Floats) -> None:
    """`b` is what `_one_pass` gave; `b_bar` is used up, `y_bar` and `first_bar` are added to."""
    for i in range(y.size - 1, 0, -1):
        if b[i] < y[i]:
            b_bar[i - 1] += RECESSION * b_bar[i]
            y_bar[i] += (1 - RECESSION) / 2 * b_bar[i]
            y_bar[i - 1] += (1 - RECESSION) / 2 * b_bar[i]
        else:
            y_bar[i] += b_bar[i]
    first_bar[0] += b_bar[0]
