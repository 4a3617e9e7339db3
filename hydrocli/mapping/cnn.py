"""Convolutional network (Huynh et al. 2026): theta_k(x) = S_k(phi2_k(D around x)), S_k the scaled sigmoid.

phi2 lays the scaled descriptors D on the grid: convolutions of some width with an activation after each, then one layer
that reads the cell itself (1 x 1) and gives the parameters. Before every convolution, cells outside the basin are set
to zero, and so is what lies beyond the edge of the grid ("same" padding): a map has as many cells as its input, and
what is not the basin's does not matter. The last bias begins at S_k^-1 of the value of the row and the last weights at
zero: the first guess is the uniform mapping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.bounds import squashed, squashed_transpose
from hydrocli.mapping.layers import Layers
from hydrocli.mapping.rows import ParameterRow, Rows
from hydrocli.mapping.window import Window

Array = NDArray[np.float64]


class Cnn:
    """Controls are the weights and biases, layer after layer; none has bounds.

    Args:
        rows: the parameters, p of them.
        cells: of the n cells, those that the calibration sees.
        descriptors: scaled, [d, n].
        place: row and column of every cell in the grid.
        channels: units of the convolutions.
        width: rows and columns that a convolution reads, an odd number.
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
        place: tuple[NDArray[np.integer], NDArray[np.integer]],
        channels: Sequence[int] = (16, 8),
        width: int = 3,
        activation: str = "relu",
        initialisation: str = "glorot",
        seed: int = 1,
    ) -> None:
        self._rows, self._cells, self._descriptors = Rows.stack(rows, cells.size), cells, descriptors
        units = (len(descriptors), *channels, self._rows.calibrated.size)
        self._layers = Layers(units, (*[Window(*place, width)] * len(channels), None), activation)
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
