"""Metrics of a simulated hydrograph: NSE, KGE, RMSE, MAE, PBIAS, peak ratio, and variants; and their losses.

Sources: Nash and Sutcliffe (1970); Gupta et al. (2009) for KGE, with r, alpha and beta from population moments; Nossent
and Bauwens (2012) for NNSE; Pushpalatha et al. (2012) for what is added before a logarithm.

Every metric takes `observed[t]` and `simulated[t]` [m3/s] and looks only at the pairs with an observation (not NaN).
A metric that such pairs leave undefined is NaN, without a warning: all of them without any pair; the efficiencies where
the observations do not vary (so with a single pair); KGE also where the simulation does not vary or the mean
observation is 0; PBIAS where the observations sum to 0; the peak ratio where the largest is 0. `n_valid` is the number
of pairs. A NaN in `simulated` is not checked and gives NaN.

Terms of the cost that compare two series: 1 - NSE, 1 - NNSE, 1 - KGE, MSE and RMSE, each 0 where both are the same.

A term is a function of a reference and of the simulated discharge of its pairs; its derivative is the next function.

    NSE = 1 - sum (s - o)^2 / sum (o - mean o)^2                     Nash and Sutcliffe (1970)
    NNSE = 1 / (2 - NSE)                                             in ]0, 1]: no gauge can outweigh all others
    KGE = 1 - sqrt((r - 1)^2 + (alpha - 1)^2 + (beta - 1)^2)         Gupta et al. (2009), population moments

s - simulated, o - observed [m3/s, or what a transform makes of it]; r - correlation; alpha - ratio of the standard
deviations; beta - ratio of the means. MSE is divided by the squared mean of the observations and RMSE by their mean,
so that gauges of small and large rivers weigh alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hydrocli.arrays import Floats
from hydrocli.score.transforms import transformed

LOG_OFFSET = 0.01
"""Share of the mean observation."""


def n_valid(observed: ArrayLike) -> int:
    """Count the observations that are there, which is the number of pairs the metrics look at."""
    return int(np.count_nonzero(~np.isnan(np.asarray(observed, dtype=np.float64))))


def varies(series: Floats) -> bool:
    """Tell whether a series without NaN has two different values; a variance may be tiny but not 0 where it has not."""
    return series.size > 0 and bool(series.min() != series.max())


def nse(observed: ArrayLike, simulated: ArrayLike) -> float:
    """Nash-Sutcliffe efficiency [-]: 1 is perfect, 0 no better than the mean observation."""
    q, s = _pairs(observed, simulated)
    if not varies(q):
        return math.nan
    return float(1 - np.sum((s - q) ** 2) / np.sum((q - q.mean()) ** 2))


def nnse(observed: ArrayLike, simulated: ArrayLike) -> float:
    """Normalised NSE, 1 / (2 - NSE) [-]: 1 is perfect, 0.5 no better than the mean observation, 0 the worst."""
    return 1 / (2 - nse(observed, simulated))


def log_nse(observed: ArrayLike, simulated: ArrayLike) -> float:
    """NSE of the logarithms [-], for low flows; a hundredth of the mean observation is added, see `transforms`."""
    q, s = _pairs(observed, simulated)
    if not varies(q):
        return math.nan
    offset = LOG_OFFSET * float(q.mean())
    return nse(*(transformed(series, "log", offset) for series in (q, s)))


def kge(observed: ArrayLike, simulated: ArrayLike) -> float:
    """Kling-Gupta efficiency of 2009 [-]: 1 is perfect, 1 - sqrt(2) = -0.41 no better than the mean observation."""
    q, s = _pairs(observed, simulated)
    if not (varies(q) and varies(s)) or q.mean() == 0:
        return math.nan
    r = np.mean((q - q.mean()) * (s - s.mean())) / (q.std() * s.std())
    alpha = s.std() / q.std()
    beta = s.mean() / q.mean()
    return float(1 - math.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2))


def rmse(observed: ArrayLike, simulated: ArrayLike) -> float:
    """Root of the mean squared error [m3/s]."""
    q, s = _pairs(observed, simulated)
    return float(np.sqrt(np.mean((s - q) ** 2))) if q.size else math.nan


def mae(observed: ArrayLike, simulated: ArrayLike) -> float:
    """Mean absolute error [m3/s]."""
    q, s = _pairs(observed, simulated)
    return float(np.mean(np.abs(s - q))) if q.size else math.nan


def pbias(observed: ArrayLike, simulated: ArrayLike) -> float:
    """Bias of the volume in percent of the observed one, positive where the simulation has too much water.

    (Gupta et al. 1999 count the other way round; this is the sign of most tools since.)
    """
    q, s = _pairs(observed, simulated)
    volume = np.sum(q)
    return float(100 * np.sum(s - q) / volume) if volume != 0 else math.nan


def peak_ratio(observed: ArrayLike, simulated: ArrayLike) -> float:
    """Largest simulated over largest observed discharge of the pairs [-]; the two may lie at different times."""
    q, s = _pairs(observed, simulated)
    return float(s.max() / q.max()) if q.size and q.max() != 0 else math.nan


METRICS: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "nse": nse,
    "nnse": nnse,
    "log_nse": log_nse,
    "kge": kge,
    "rmse": rmse,
    "mae": mae,
    "pbias": pbias,
    "peak_ratio": peak_ratio,
}
"""The metrics of the table of scores, in its order."""


def _pairs(observed: ArrayLike, simulated: ArrayLike) -> tuple[Floats, Floats]:
    q = np.asarray(observed, dtype=np.float64)
    s = np.asarray(simulated, dtype=np.float64)
    there = ~np.isnan(q)
    return q[there], s[there]


@dataclass(frozen=True, eq=False)
class Reference:
    """Reference series and its statistics; created by `Reference.of`.

    Attributes:
        observed: float64[m], not all the same.
        mean: of `observed`.
        spread: sum of the squared deviations of `observed` from its mean.
    """

    observed: Floats
    mean: float
    spread: float

    @classmethod
    def of(cls, observed: Floats) -> Reference:
        """The reference of the observations [m]."""
        mean = float(observed.mean())
        return cls(observed, mean, float(np.sum((observed - mean) ** 2)))


def one_minus_nse(reference: Reference, simulated: Floats) -> float:
    """1 - NSE of the simulated series [m]."""
    return np.sum((simulated - reference.observed) ** 2) / reference.spread


def one_minus_nse_bar(reference: Reference, simulated: Floats, value_bar: float) -> Floats:
    """Derivative [m] of `value_bar * one_minus_nse` by the simulated series."""
    return 2 * value_bar / reference.spread * (simulated - reference.observed)


def one_minus_nnse(reference: Reference, simulated: Floats) -> float:
    """1 - NNSE of the simulated series [m]: e / (1 + e) with e = 1 - NSE."""
    error = one_minus_nse(reference, simulated)
    return error / (1 + error)


def one_minus_nnse_bar(reference: Reference, simulated: Floats, value_bar: float) -> Floats:
    """Derivative [m] of `value_bar * one_minus_nnse` by the simulated series."""
    error = one_minus_nse(reference, simulated)
    return one_minus_nse_bar(reference, simulated, value_bar / (1 + error) ** 2)


def one_minus_kge(reference: Reference, simulated: Floats) -> float:
    """1 - KGE of the simulated series [m]; the correlation of one that does not vary counts as 0."""
    return np.sqrt(sum(part**2 for part in _kge_parts(reference, simulated)))


def one_minus_kge_bar(reference: Reference, simulated: Floats, value_bar: float) -> Floats:
    """Derivative [m] of `value_bar * one_minus_kge` by the simulated series; 0 at the cusp of a perfect one."""
    value = one_minus_kge(reference, simulated)
    if value == 0:
        return np.zeros_like(simulated)
    r, alpha, beta = _kge_parts(reference, simulated)
    # beta = mean s / mean o
    simulated_bar = np.full_like(simulated, beta / (simulated.size * reference.mean))
    centred, deviation = simulated - simulated.mean(), reference.observed - reference.mean
    spread = np.sum(centred**2)
    if spread > 0:
        size = np.sqrt(spread * reference.spread)
        # alpha = sqrt(spread s / spread o)
        simulated_bar += alpha / size * centred
        # r = sum (s - mean s) (o - mean o) / size
        simulated_bar += r * (deviation / size - (1 + r) / spread * centred)
    return value_bar / value * simulated_bar


def _kge_parts(reference: Reference, simulated: Floats) -> tuple[Any, Any, Any]:
    """r - 1, alpha - 1 and beta - 1."""
    mean = simulated.mean()
    centred, deviation = simulated - mean, reference.observed - reference.mean
    spread = np.sum(centred**2)
    r = np.sum(centred * deviation) / np.sqrt(spread * reference.spread) if spread != 0 else 0.0
    return r - 1, np.sqrt(spread / reference.spread) - 1, mean / reference.mean - 1


def relative_mse(reference: Reference, simulated: Floats) -> float:
    """Mean squared error of the simulated series [m], in squared means of the observations."""
    return np.sum((simulated - reference.observed) ** 2) / (simulated.size * reference.mean**2)


def relative_mse_bar(reference: Reference, simulated: Floats, value_bar: float) -> Floats:
    """Derivative [m] of `value_bar * relative_mse` by the simulated series."""
    return 2 * value_bar / (simulated.size * reference.mean**2) * (simulated - reference.observed)


def relative_rmse(reference: Reference, simulated: Floats) -> float:
    """Root of the mean squared error of the simulated series [m], in means of the observations."""
    return np.sqrt(relative_mse(reference, simulated))


def relative_rmse_bar(reference: Reference, simulated: Floats, value_bar: float) -> Floats:
    """Derivative [m] of `value_bar * relative_rmse` by the simulated series; 0 at the cusp of a perfect one."""
    value = relative_rmse(reference, simulated)
    return relative_mse_bar(reference, simulated, value_bar / (2 * value) if value > 0 else 0.0)


Forward = Callable[[Reference, Floats], float]
Backward = Callable[[Reference, Floats, float], Floats]

METRIC_TERMS: dict[str, tuple[Forward, Backward]] = {
    "nse": (one_minus_nse, one_minus_nse_bar),
    "nnse": (one_minus_nnse, one_minus_nnse_bar),
    "kge": (one_minus_kge, one_minus_kge_bar),
    "mse": (relative_mse, relative_mse_bar),
    "rmse": (relative_rmse, relative_rmse_bar),
}
"""Each term and its derivative."""
