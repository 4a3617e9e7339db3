"""Multilayer perceptron (Huynh et al. 2025, 2.2.3): theta_k(x) = S_k(phi2_k(D(x))), S_k the scaled sigmoid.

phi2 sees the scaled descriptors D of the cell itself; the papers have hidden layers of 96, 48 and 16 units with ReLU.
Its last bias begins at S_k^-1 of the value of the row and its last weights at zero: the first guess is the uniform
mapping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.bounds import squashed, squashed_transpose
from hydrocli.mapping.layers import Layers
from hydrocli.mapping.rows import ParameterRow, Rows

Array = NDArray[np.float64]


class Mlp:
    """Controls are the weights and biases, layer after layer; none has bounds.

    Args:
        rows: the parameters, p of them.
        cells: of the n cells, those that the calibration sees.
        descriptors: scaled, [d, n].
        hidden: units of the hidden layers.
        activation: relu, silu or tanh.
        initialisation: glorot or he, see `hydrocli.mapping.layers`.
        seed: of the first weights.

    Raises:
        ConfigurationError: see `Rows.stack`.
    """

    def __init__(
        self,
        rows: Sequence[ParameterRow],
        cells: NDArray[np.bool_],
        descriptors: Array,
        hidden: Sequence[int] = (96, 48, 16),
        activation: str = "relu",
        initialisation: str = "glorot",
        seed: int = 1,
    ) -> None:
        self._rows, self._cells, self._descriptors = Rows.stack(rows, cells.size), cells, descriptors
        units = (len(descriptors), *hidden, self._rows.calibrated.size)
        self._layers = Layers(units, (None,) * (len(units) - 1), activation)
        self._scheme = initialisation, seed
        self.places = self._layers.places
        self.names = tuple(f"phi2[{number}]" for number in range(self._layers.number))
        self.upper = np.full(self._layers.number, np.inf)
        self.lower = -self.upper

    def first_guess(self) -> Array:
        """The control, [m], of the rows' values."""
        return self._layers.first_guess(*self._scheme, self._rows.unsquashed_values(self._cells))

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n], of the control, [m]."""
        rows, x = self._rows, self._layers.outputs(control, self._descriptors)
        return rows.with_free(squashed(x, rows.free_lower, rows.free_upper))

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        rows, x = self._rows, self._layers.outputs(control, self._descriptors)
        # theta = S(x)
        x_bar = squashed_transpose(x, rows.free_lower, rows.free_upper, parameters_bar[rows.calibrated])
        # x = phi2(D)
        return self._layers.transpose(control, self._descriptors, x_bar)
