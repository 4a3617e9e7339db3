"""Covariance of the controls at the end of a calibration, from sensitivities.

    H = J' C J + P                      Gauss-Newton, generalised to any cost of the output (Schraudolph 2002)
    S = sum over series of J' C (s^2 R) C J
    covariance = H^-1 S H^-1            the sandwich: right also where the weights of a cost are not those of the errors

J - derivative of the output by the controls; C - second derivative of the cost by the output; P - of a penalty by the
controls; s^2 - mean square of a series of residuals; R - their correlation, r^|lag| with r that at lag 1. Errors are
assumed stationary, homoscedastic and independent between series; the model linear within a standard error; its
structure correct. With autocorrelated residuals the effective sample size, n (1 - r)/(1 + r), is far below n.

Directions in which the cost is flat or concave (a cost need not be convex in the output) are reported and excluded from
the inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from hydrocli.arrays import Floats

FLAT = 1e-6
"""Eigenvalue of H (diagonal scaled to 1 or -1) below which a direction is flat; rounding errors of J are smaller."""
SHARE = 0.05
"""A control with a larger part in a flat direction is not determined."""
WITHOUT_EFFECT = 1e-12
"""A control with a smaller curvature, relative to the largest one, has no effect."""


@dataclass(frozen=True)
class Residuals:
    """Statistics of the residuals of one series: number, root mean square, correlation at lag 1."""

    number: int
    size: float
    correlation: float

    @property
    def effective_number(self) -> float:
        """Effective sample size."""
        return self.number * (1.0 - self.correlation) / (1.0 + self.correlation)

    @classmethod
    def of(cls, series: Floats) -> Residuals:
        """Of one series [t], NaN where there is none; a negative correlation counts as none."""
        known = series[np.isfinite(series)]
        if not known.size:
            return cls(0, 0.0, 0.0)
        square = float(np.mean(known**2))
        pairs = series[1:] * series[:-1]
        pairs = pairs[np.isfinite(pairs)]
        correlation = float(np.mean(pairs)) / square if pairs.size and square else 0.0
        return cls(known.size, float(np.sqrt(square)), min(max(correlation, 0.0), 1.0 - 1e-6))


@dataclass(frozen=True, eq=False)
class Covariance:
    """Covariance of the controls, and what is not determined.

    Attributes:
        matrix: [m, m]; NaN in rows and columns that are not determined.
        without_effect: flags [m] of controls that move no output.
        flat: [k, m] the flat directions, in controls scaled by the root of their curvature, of length 1.
    """

    matrix: Floats
    without_effect: NDArray[np.bool_]
    flat: Floats

    @property
    def undetermined(self) -> NDArray[np.bool_]:
        """Flags [m] of controls that have a share in a flat direction."""
        return (self.flat**2).sum(axis=0) > SHARE

    @property
    def standard_error(self) -> Floats:
        """[m]."""
        return np.sqrt(np.diag(self.matrix))

    @property
    def correlation(self) -> Floats:
        """[m, m]."""
        error = self.standard_error
        return self.matrix / np.outer(error, error)


def covariance(
    sensitivity: Floats,
    curved: Floats,
    residuals: list[Residuals],
    penalty: Floats | None = None,
    by_interval: list[Floats] | None = None,
) -> Covariance:
    """The covariance of the controls.

    Args:
        sensitivity: J, [series, t, m].
        curved: C J, [series, t, m]: 0 where an output is not compared with anything.
        residuals: of each series.
        penalty: second derivative [m, m] of a penalty on the controls. It reduces their variance; the bias that it
            causes is not part of the covariance.
        by_interval: C J of each series, [k, m], where residuals are of k intervals of several outputs; None: `curved`.
    """
    curvature = np.einsum("gtk,gtl->kl", sensitivity, curved)
    if penalty is not None:
        curvature += penalty
    curvature = (curvature + curvature.T) / 2.0
    size = len(curvature)
    number = sum(series.number for series in residuals)
    noise = np.zeros((size, size))
    for a, series in zip(curved if by_interval is None else by_interval, residuals, strict=True):
        noise += series.size**2 * (a.T @ _correlated(a, series.correlation))
    noise *= number / max(1, number - size)
    diagonal = np.diag(curvature)
    moving = np.abs(diagonal) > WITHOUT_EFFECT * np.abs(diagonal).max(initial=0.0)
    scale = np.where(moving, np.sqrt(np.abs(diagonal)), np.inf)
    values, vectors = np.linalg.eigh((curvature / np.outer(scale, scale))[np.ix_(moving, moving)])
    flat = np.zeros((int(np.sum(values < FLAT)), size))
    flat[:, moving] = vectors[:, values < FLAT].T
    steep = vectors[:, values >= FLAT]
    inverse = np.zeros((size, size))
    inverse[np.ix_(moving, moving)] = (steep / values[values >= FLAT]) @ steep.T
    inverse /= np.outer(scale, scale)
    found = Covariance(inverse @ noise @ inverse, ~moving, flat)
    unknown = ~moving | found.undetermined
    found.matrix[unknown] = found.matrix[:, unknown] = np.nan
    return found


def _correlated(columns: Floats, correlation: float) -> Floats:
    """R columns, [t, m], with R = correlation^|lag|: a recursion forwards and one backwards."""
    coefficients = [1.0, -correlation]
    forwards = lfilter([1.0], coefficients, columns, axis=0)
    backwards = lfilter([1.0], coefficients, columns[::-1], axis=0)[::-1]
    return forwards + backwards - columns
