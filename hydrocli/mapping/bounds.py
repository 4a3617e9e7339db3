"""Normalisation of bounded parameters: z = (theta - lower) / (upper - lower), in [0, 1].

The optimiser works on z, so that a millimetre of capacity and a unit of exponent weigh alike, and its own bounds
[0, 1] keep every parameter inside [lower, upper].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def normalised(theta: Array, lower: Array, upper: Array) -> Array:
    """z of theta; all three broadcast together."""
    return (theta - lower) / (upper - lower)


def bounded(z: Array, lower: Array, upper: Array) -> Array:
    """Theta of z, exact at both ends (lower + (upper - lower) z may pass `upper` by a rounding error)."""
    return (1 - z) * lower + z * upper


def bounded_transpose(z: Array, lower: Array, upper: Array, theta_bar: Array) -> Array:
    """d cost / d z from d cost / d theta; `bounded` is linear, so z does not enter."""
    return (upper - lower) * theta_bar
