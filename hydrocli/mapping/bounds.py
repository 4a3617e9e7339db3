"""Two transformations between parameters theta and controls that keep theta inside [lower, upper].

Normalised: z = (theta - lower) / (upper - lower), in [0, 1], so that capacities and exponents have
the same scale; the optimiser keeps z in [0, 1].

Scaled sigmoid: S(x) = lower + (upper - lower) / (1 + exp(-x)), for functions of descriptors, which have
no bounds (Huynh et al. 2025, 2.2.3).
"""

from __future__ import annotations

import numpy as np

from hydrocli.arrays import Floats

INSIDE = 1e-3
"""Minimum distance of a first guess to its bounds, as a fraction of their distance: S reaches them only at infinity,
and its gradient vanishes close to them."""


def normalise(theta: Floats, lower: Floats, upper: Floats) -> Floats:
    """z of theta; all three broadcast together."""
    return (theta - lower) / (upper - lower)


def denormalise(z: Floats, lower: Floats, upper: Floats) -> Floats:
    """Theta of z, exact at both ends (lower + (upper - lower) z may pass `upper` by a rounding error)."""
    return (1 - z) * lower + z * upper


def denormalise_transpose(z: Floats, lower: Floats, upper: Floats, theta_bar: Floats) -> Floats:
    """d cost / d z from d cost / d theta; `denormalise` is linear, so z is not used."""
    return (upper - lower) * theta_bar


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(np.where(x.real < 0, x, -x))
    return np.where(x.real < 0, small, 1.0) / (1.0 + small)


def sigmoid_derivative(x: Floats) -> Floats:
    """exp(-x) / (1 + exp(-x))^2, without cancellation where it is small."""
    small = np.exp(-np.abs(x))
    return small / (1.0 + small) ** 2


def scaled_sigmoid(x: Floats, lower: Floats, upper: Floats) -> Floats:
    """S(x)."""
    return denormalise(sigmoid(x), lower, upper)


def scaled_sigmoid_transpose(x: Floats, lower: Floats, upper: Floats, theta_bar: Floats) -> Floats:
    """d cost / d x from d cost / d theta."""
    return sigmoid_derivative(x) * denormalise_transpose(x, lower, upper, theta_bar)


def scaled_logit(theta: Floats, lower: Floats, upper: Floats) -> Floats:
    """x of theta, which is moved inside its bounds where it is closer to them than `INSIDE`."""
    z = normalise(theta, lower, upper).clip(INSIDE, 1.0 - INSIDE)
    return np.log(z / (1.0 - z))
