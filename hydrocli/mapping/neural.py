"""Neural networks of descriptors: theta_k(x) = S_k(phi2_k(D)), S_k the scaled sigmoid, D the scaled descriptors.

Multilayer perceptron (Huynh et al. 2025, 2.2.3): phi2 reads the descriptors of the cell itself; the papers have hidden
layers of 96, 48 and 16 units with ReLU.

Convolutional network (Huynh et al. 2026): convolutions with an activation after each, then one layer that reads the
cell itself (1 x 1) and gives the parameters. Before every convolution, cells outside the basin are set to zero, and so
is everything outside the grid ("same" padding): a map has as many cells as its input, and values outside the basin have
no influence.

The last bias starts at S_k^-1 of the value in the parameter table and the last weights at zero: the first guess is the
uniform mapping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.mapping.bounds import scaled_sigmoid, scaled_sigmoid_transpose
from hydrocli.mapping.layers import Layers, Neighbourhood
from hydrocli.mapping.parameter_table import ParameterSpec, ParameterTable


class Mlp:
    """Controls are the weights and biases, layer after layer; none has bounds.

    Args:
        rows: the parameters, p of them.
        cells: flags of the n cells: those used in the calibration.
        descriptors: scaled, [d, n].
        hidden: units of the hidden layers.
        activation: relu, silu or tanh.
        initialisation: glorot or he, see `hydrocli.mapping.layers`.
        seed: of the first weights.

    Raises:
        ConfigurationError: see `ParameterTable.stack`.
    """

    def __init__(
        self,
        rows: Sequence[ParameterSpec],
        cells: NDArray[np.bool_],
        descriptors: Floats,
        hidden: Sequence[int] = (96, 48, 16),
        activation: str = "relu",
        initialisation: str = "glorot",
        seed: int = 1,
    ) -> None:
        self._rows, self._cells, self._descriptors = ParameterTable.stack(rows, cells.size), cells, descriptors
        units = (len(descriptors), *hidden, self._rows.calibrated.size)
        self._layers = Layers(units, (None,) * (len(units) - 1), activation)
        self._scheme = initialisation, seed
        self.weight_indices = self._layers.weight_indices
        self.names = tuple(f"phi2[{number}]" for number in range(self._layers.number))
        self.upper = np.full(self._layers.number, np.inf)
        self.lower = -self.upper

    def first_guess(self) -> Floats:
        """The control, [m], of the rows' values."""
        return self._layers.first_guess(*self._scheme, self._rows.logit_values(self._cells))

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n], of the control, [m]."""
        rows, x = self._rows, self._layers.outputs(control, self._descriptors)
        return rows.with_free(scaled_sigmoid(x, rows.free_lower, rows.free_upper))

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        rows, x = self._rows, self._layers.outputs(control, self._descriptors)
        # theta = S(x)
        x_bar = scaled_sigmoid_transpose(x, rows.free_lower, rows.free_upper, parameters_bar[rows.calibrated])
        # x = phi2(D)
        return self._layers.transpose(control, self._descriptors, x_bar)


class Cnn:
    """Controls are the weights and biases, layer after layer; none has bounds.

    Args:
        rows: the parameters, p of them.
        cells: flags of the n cells: those used in the calibration.
        descriptors: scaled, [d, n].
        place: row and column of every cell in the grid.
        channels: units of the convolutions.
        width: rows and columns that a convolution reads, an odd number.
        activation: relu, silu or tanh.
        initialisation: glorot or he, see `hydrocli.mapping.layers`.
        seed: of the first weights.

    Raises:
        ConfigurationError: see `ParameterTable.stack`.
    """

    def __init__(
        self,
        rows: Sequence[ParameterSpec],
        cells: NDArray[np.bool_],
        descriptors: Floats,
        place: tuple[NDArray[np.integer], NDArray[np.integer]],
        channels: Sequence[int] = (16, 8),
        width: int = 3,
        activation: str = "relu",
        initialisation: str = "glorot",
        seed: int = 1,
    ) -> None:
        self._rows, self._cells, self._descriptors = ParameterTable.stack(rows, cells.size), cells, descriptors
        units = (len(descriptors), *channels, self._rows.calibrated.size)
        self._layers = Layers(units, (*[Neighbourhood(*place, width)] * len(channels), None), activation)
        self._scheme = initialisation, seed
        self.weight_indices = self._layers.weight_indices
        self.names = tuple(f"phi2[{number}]" for number in range(self._layers.number))
        self.upper = np.full(self._layers.number, np.inf)
        self.lower = -self.upper

    def first_guess(self) -> Floats:
        """The control, [m], of the rows' values."""
        return self._layers.first_guess(*self._scheme, self._rows.logit_values(self._cells))

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n], of the control, [m]."""
        rows, x = self._rows, self._layers.outputs(control, self._descriptors)
        return rows.with_free(scaled_sigmoid(x, rows.free_lower, rows.free_upper))

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        rows, x = self._rows, self._layers.outputs(control, self._descriptors)
        # theta = S(x)
        x_bar = scaled_sigmoid_transpose(x, rows.free_lower, rows.free_upper, parameters_bar[rows.calibrated])
        # x = phi2(D)
        return self._layers.transpose(control, self._descriptors, x_bar)
