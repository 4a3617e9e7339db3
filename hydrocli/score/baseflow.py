"""Base flow of a hydrograph: the recursive digital filter of Lyne and Hollick (1979), in three passes.

They run forward, backward, forward, and each filters what the pass before left (the discharge at first):

    v[i] = a b[i-1] + (1 - a) / 2 (y[i] + y[i-1]),   b[i] = min(v[i], y[i])

b - base flow [m3/s]; y - discharge, then the base flow of the pass before [m3/s];
a = 0.925 (Nathan and McMahon 1990) [-].
The starts are those of the R package EcoHydRology: the first pass begins at the first discharge if that lies under the
lower quartile, else at the mean discharge / 1.5; a later one at the discharge there / 1.2 if that lies under the mean
base flow of the pass before, else at that mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydrocli.jit import loop

RECESSION = 0.925
PASSES = 3

Series = NDArray[np.float64]


def baseflow(discharge: ArrayLike) -> Series:
    """Base flow [t] of `discharge[t]`, in its unit; never above it, so the quick flow is the difference.

    Missing values (NaN) stay missing; the filter passes from the value before such a gap straight to the one after it.
    """
    flow = np.asarray(discharge, dtype=np.float64)
    there = ~np.isnan(flow)
    base = np.full(flow.shape, np.nan)
    base[there] = _filtered(flow[there])
    return base


def _filtered(flow: Series) -> Series:
    if flow.size == 0:
        return flow
    base = flow
    first = flow[0] if flow[0] < np.quantile(flow, 0.25) else flow.mean() / 1.5
    for _ in range(PASSES):
        base = _one_pass(np.ascontiguousarray(base), first, np.empty(base.size))
        base, flow = base[::-1], flow[::-1]
        first = flow[0] / 1.2 if flow[0] < base.mean() else base.mean()
    return base[::-1]


@loop
def _one_pass(y: Series, first: float, b: Series) -> Series:
    b[0] = first
    for i in range(1, y.size):
        b[i] = min(RECESSION * b[i - 1] + (1 - RECESSION) / 2 * (y[i] + y[i - 1]), y[i])
    return b
