"""Uniform mapping: one value per parameter for all cells, theta_k(x) = lower_k + (upper_k - lower_k) z_k."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.bounds import bounded, bounded_transpose, normalised
from hydrocli.mapping.rows import ParameterRow, Rows

Array = NDArray[np.float64]


class Uniform:
    """One control z in [0, 1] per calibrated row.

    Args:
        rows: the parameters, p of them.
        cells: of the n cells, those that the calibration sees. A calibrated row whose value is a field starts from its
            mean over them.

    Raises:
        ConfigurationError: see `Rows.stack`.
    """

    def __init__(self, rows: Sequence[ParameterRow], cells: NDArray[np.bool_]) -> None:
        self._rows = Rows.stack(rows, cells.size)
        self._cells = cells
        self.names = tuple(self._rows.symbols[k] for k in self._rows.calibrated)
        self.lower, self.upper = np.zeros(len(self.names)), np.ones(len(self.names))

    def first_guess(self) -> Array:
        """The control, [m], of the rows' values."""
        rows = self._rows
        mean = rows.values[rows.calibrated][:, self._cells].mean(axis=1, keepdims=True)
        return normalised(mean, rows.free_lower, rows.free_upper).ravel().clip(0.0, 1.0)

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n]: the controls, [m], in their rows, and the fixed rows."""
        rows = self._rows
        values = bounded(control[:, np.newaxis], rows.free_lower, rows.free_upper)
        return rows.with_free(np.broadcast_to(values, (len(values), self._cells.size)))

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """d cost / d control, [m]: the shares of all cells in d cost / d theta, [p, n], summed."""
        rows = self._rows
        shared_bar = parameters_bar[rows.calibrated].sum(axis=1, keepdims=True)
        return bounded_transpose(control, rows.free_lower, rows.free_upper, shared_bar).ravel()
