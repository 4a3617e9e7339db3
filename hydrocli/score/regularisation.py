"""Regularisation: a penalty on parameter maps that deviate from the first guess, or that are rough.

    P = weight (a prior + b smoothing)
    prior = mean over maps and cells of (z - z0)^2
    smoothing = mean over maps and pairs of cells of (z_i - z_j)^2

z - map, normalised to [0, 1] between its bounds; z0 - the same of the first guess; a, b - shares [-]. So a capacity in
mm and an exponent weigh alike, and P does not grow with the number of cells. Where the controls are the maps (uniform,
distributed) the prior is the squared distance of the controls; where they are weights or slopes without bounds, whose
distance means nothing, it is that of the maps they make.

A term is a function of normalised maps z[k, c]; its derivative is the next function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hydrocli.arrays import Floats, Indices


def prior(z: Floats, first: Floats) -> float:
    """Mean squared distance of maps [k, c] to the first ones [k, c]."""
    return np.sum((z - first) ** 2) / z.size


def prior_bar(z: Floats, first: Floats, value_bar: float) -> Floats:
    """Derivative [k, c] of `value_bar * prior` by the maps."""
    return 2 * value_bar / z.size * (z - first)


def smoothing(z: Floats, pairs: Indices) -> float:
    """Mean squared difference of maps [k, c] between the two cells of each of the pairs [2, p]."""
    return np.sum((z[:, pairs[0]] - z[:, pairs[1]]) ** 2) / (len(z) * pairs.shape[1])


def smoothing_bar(z: Floats, pairs: Indices, value_bar: float) -> Floats:
    """Derivative [k, c] of `value_bar * smoothing` by the maps."""
    difference_bar = 2 * value_bar / (len(z) * pairs.shape[1]) * (z[:, pairs[0]] - z[:, pairs[1]])
    z_bar = np.zeros_like(z)
    for row, bar in zip(z_bar, difference_bar, strict=True):
        row += np.bincount(pairs[0], bar, row.size) - np.bincount(pairs[1], bar, row.size)
    return z_bar


@dataclass(frozen=True, eq=False)
class Penalty:
    """A penalty on maps in their units.

    Attributes:
        weight: of the sum of both terms.
        prior_share: factor of the prior.
        smoothing_share: factor of the smoothing.
        rows: int[k], which of the maps count.
        cells: int[c], which of their cells count.
        lower: float64[k], lower bounds of these maps.
        upper: float64[k], upper bounds of these maps.
        first: float64[r, n], all maps of the first guess.
        pairs: int[2, p], the cells that should be alike, as indices of `cells`; at least one pair if smoothing counts.
    """

    weight: float
    prior_share: float
    smoothing_share: float
    rows: Indices
    cells: Indices
    lower: Floats
    upper: Floats
    first: Floats
    pairs: Indices

    def value(self, maps: Floats) -> float:
        """Penalty of the maps [r, n]."""
        far, rough = self.parts(maps)
        return self.weight * (self.prior_share * far + self.smoothing_share * rough)

    def parts(self, maps: Floats) -> tuple[float, float]:
        """Prior and smoothing of the maps [r, n], without weight and shares; a term without share is 0."""
        z = self._normalised(maps)
        far = float(prior(z, self._normalised(self.first))) if self.prior_share else 0.0
        return far, float(smoothing(z, self.pairs)) if self.smoothing_share else 0.0

    def derivative(self, maps: Floats) -> Floats:
        """Derivative of the penalty by the maps [r, n]."""
        z = self._normalised(maps)
        z_bar = np.zeros_like(z)
        if self.prior_share:
            z_bar += prior_bar(z, self._normalised(self.first), self.weight * self.prior_share)
        if self.smoothing_share:
            z_bar += smoothing_bar(z, self.pairs, self.weight * self.smoothing_share)
        maps_bar = np.zeros_like(maps)
        maps_bar[np.ix_(self.rows, self.cells)] = z_bar / (self.upper - self.lower)[:, np.newaxis]
        return maps_bar

    def _normalised(self, maps: Floats) -> Floats:
        lower, upper = self.lower[:, np.newaxis], self.upper[:, np.newaxis]
        return (maps[np.ix_(self.rows, self.cells)] - lower) / (upper - lower)


def corner(misfit: Sequence[float], penalty: Sequence[float]) -> int:
    """Index of the corner of an L-curve: the point nearest to the least misfit and the least penalty at once.

    Both are scaled to [0, 1] over the curve; the first of equally near points counts.
    """
    scaled = [_scaled(np.asarray(values, np.float64)) for values in (misfit, penalty)]
    return int(np.argmin(np.hypot(*scaled)))


def _scaled(values: Floats) -> Floats:
    width = np.ptp(values)
    return (values - values.min()) / width if width > 0 else np.zeros_like(values)
