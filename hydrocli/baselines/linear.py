"""The floor that counts: linear in rain of the past, with weights that change with the wetness; closed form.

    x_k(t) = a_k x_k(t-1) + (1 - a_k) P(t)         a_k = exp(-step / tau_k), tau_k from 1 h to 90 d, k = 1 .. 12
    w(t) in {1, 2, 3}                              by the terciles of the rain of the past, tau = 30 d, in calibration
    Q(t) = max(0, b_w + sum_k beta_wk x_k(t)) s A

The weights (b, beta) solve a ridge regression of the observed discharge per area; each gauge has its weight in the
objective over the variance of its observations, so without a penalty and where no value is below 0 they minimise
1 - NSE. The penalty is on the coefficients of the predictors divided by their root mean square, not on b.

| symbol | meaning | unit |
|---|---|---|
| P | mean rain of the catchment | mm/step |
| x | rain of the past, an exponential kernel | mm/step |
| tau | time constant; none is below a step | s |
| w | class of antecedent wetness | - |
| s | scale of the discharge per area | mm/step |
| A | area of the catchment, in the unit that gives m3/s | m3/s per mm/step |
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from hydrocli.arrays import Floats, Indices
from hydrocli.baselines.baseline import Arrays, Baseline, Catchments, Observations, flow_scale

KERNELS, CLASSES = 12, 3
SHORTEST, LONGEST, WETNESS = 3600.0, 90 * 86400.0, 30 * 86400.0
"""Time constants [s]."""


def kernel(rain: Floats, step: int, constant: float) -> Floats:
    """Rain of the past [t] by an exponential kernel with a time constant [s], from nothing before the first step."""
    decay = np.exp(-step / constant)
    return np.asarray(lfilter([1.0 - decay], [1.0, -decay], rain))


def predictors(rain: Floats, step: int) -> Floats:
    """1 and the rain of the past [t, 13]."""
    constants = np.geomspace(max(SHORTEST, float(step)), LONGEST, KERNELS)
    return np.stack([np.ones(rain.size), *(kernel(rain, step, constant) for constant in constants)], axis=1)


def first(baseline: Baseline, seen: Observations, seed: int) -> tuple[dict[str, Floats], Floats]:
    """The solution. See `baseline.Kind`."""
    catchments, scale = seen.catchments, flow_scale(baseline, seen)
    owners = baseline.owners(catchments.codes, catchments.codes)
    depth = seen.depth / scale[owners][:, np.newaxis]
    wet = np.stack([kernel(rain, catchments.step, WETNESS) for rain in catchments.rain])
    limits = np.stack([np.quantile(wet[owners == o][:, seen.scored], [1 / 3, 2 / 3]) for o in range(scale.size)])
    width = 1 + KERNELS
    gram, right = np.zeros((scale.size, CLASSES, width, width)), np.zeros((scale.size, CLASSES, width))
    for g, owner in enumerate(owners):
        past, classes = predictors(catchments.rain[g], catchments.step), np.digitize(wet[g], limits[owner])
        known = ~np.isnan(depth[g])
        share = seen.weights[g] / (known.sum() * np.var(depth[g, known]))
        for w in range(CLASSES):
            here = known & (classes == w)
            gram[owner, w] += share * (past[here].T @ past[here])
            right[owner, w] += share * (past[here].T @ depth[g, here])
    arrays = {"flow": scale, "wetness": limits}
    return arrays, np.stack([_ridge(*pair, baseline.ridge) for pair in zip(gram, right, strict=True)]).ravel()


def _ridge(gram: Floats, right: Floats, ridge: float) -> Floats:
    """Solutions [w, 13] of normal equations; predictors are divided by their root mean square over all classes."""
    total = gram.sum(axis=0)
    size = np.sqrt(np.diag(total) / total[0, 0])
    size[size == 0.0] = 1.0
    penalty = ridge * total[0, 0] * np.diag(size**2)
    penalty[0, 0] = 0.0
    # A class without any observation gets what the least squares of nothing are: 0.
    return np.stack([np.linalg.lstsq(g + penalty, r, rcond=None)[0] for g, r in zip(gram, right, strict=True)])


def blocks(baseline: Baseline, arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """See `baseline.Kind`."""
    return {"coefficient": (CLASSES, 1 + KERNELS)}


def model(baseline: Baseline, catchments: Catchments, arrays: Arrays, owners: Indices, threads: int = 1) -> Linear:
    """See `baseline.Kind`."""
    return Linear(catchments, arrays, owners)


class Linear:
    """The regression on some catchments; see `baseline.Model`. Predictors are computed anew in each pass."""

    def __init__(self, catchments: Catchments, arrays: Arrays, owners: Indices) -> None:
        self._catchments, self._limits, self._owners = catchments, arrays["wetness"], owners
        self._scale = arrays["flow"][owners] * catchments.cubic_metres

    def run(self, weights: Floats) -> tuple[Floats, None]:
        """Discharge [g, t] [m3/s]."""
        sets = weights.reshape(-1, CLASSES, 1 + KERNELS)
        discharge = np.full(self._catchments.rain.shape, np.nan)
        for g, owner in enumerate(self._owners):
            if owner >= 0:
                past, classes = self._predictors(g)
                discharge[g] = np.maximum(_sum(sets[owner], past, classes), 0.0) * self._scale[g]
        return discharge, None

    def pull_back(self, weights: Floats, trace: None, discharge_bar: Floats) -> Floats:
        """See `baseline.Model`; where the sum is below 0 the derivative is 0."""
        sets = weights.reshape(-1, CLASSES, 1 + KERNELS)
        bars = np.zeros_like(sets)
        for g, owner in enumerate(self._owners):
            if owner >= 0:
                past, classes = self._predictors(g)
                positive = _sum(sets[owner], past, classes) > 0.0
                sum_bar = np.where(positive, discharge_bar[g] * self._scale[g], 0.0)
                for w in range(CLASSES):
                    bars[owner, w] += past[classes == w].T @ sum_bar[classes == w]
        return bars.ravel()

    def _predictors(self, g: int) -> tuple[Floats, Indices]:
        rain, step = self._catchments.rain[g], self._catchments.step
        return predictors(rain, step), np.digitize(kernel(rain, step, WETNESS), self._limits[self._owners[g]])


def _sum(weights: Floats, past: Floats, classes: Indices) -> Floats:
    """b_w + sum_k beta_wk x_k [t]."""
    return np.einsum("tk,tk->t", weights[classes], past)
