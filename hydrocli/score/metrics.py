"""How near a simulated hydrograph is to an observed one: NSE, KGE, RMSE, MAE, PBIAS, ratio of the peaks, and variants.

Sources: Nash and Sutcliffe (1970); Gupta et al. (2009) for KGE, with r, alpha and beta from population moments; Nossent
and Bauwens (2012) for NNSE; Pushpalatha et al. (2012) for what is added before a logarithm.

Every metric takes `observed[t]` and `simulated[t]` [m3/s] and looks only at the pairs with an observation (not NaN).
A metric that such pairs leave undefined is NaN, without a warning: all of them without any pair; the efficiencies where
the observations do not vary (so with a single pair); KGE also where the simulation does not vary or the mean
observation is 0; PBIAS where the observations sum to 0; the peak ratio where the largest is 0. `n_valid` tells how many
pairs there were. A NaN in `simulated` is not looked for here and comes out as NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydrocli.score.transforms import transformed

Series = NDArray[np.float64]

LOG_OFFSET = 0.01
"""Share of the mean observation."""


def n_valid(observed: ArrayLike) -> int:
    """Count the observations that are there, which is the number of pairs the metrics look at."""
    return int(np.count_nonzero(~np.isnan(np.asarray(observed, dtype=np.float64))))


def varies(series: Series) -> bool:
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


def _pairs(observed: ArrayLike, simulated: ArrayLike) -> tuple[Series, Series]:
    q = np.asarray(observed, dtype=np.float64)
    s = np.asarray(simulated, dtype=np.float64)
    there = ~np.isnan(q)
    return q[there], s[there]
