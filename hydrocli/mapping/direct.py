"""Mappings whose controls are the parameters themselves, normalised: z in [0, 1] between the bounds.

Uniform: one value for all cells, theta_k(x) = lower_k + (upper_k - lower_k) z_k.
Distributed: one value per cell, theta_k(x) = lower_k + (upper_k - lower_k) z_k(x).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.mapping.bounds import denormalise, denormalise_transpose, normalise
from hydrocli.mapping.parameter_table import ParameterSpec, ParameterTable


class Uniform:
    """One control z in [0, 1] per calibrated row.

    Args:
        rows: the parameters, p of them.
        cells: flags of the n cells: those used in the calibration. A calibrated row whose value is a field starts
            from its mean over them.

    Raises:
        ConfigurationError: see `ParameterTable.stack`.
    """

    def __init__(self, rows: Sequence[ParameterSpec], cells: NDArray[np.bool_]) -> None:
        self._rows = ParameterTable.stack(rows, cells.size)
        self._cells = cells
        self.names = tuple(self._rows.symbols[k] for k in self._rows.calibrated)
        self.lower, self.upper = np.zeros(len(self.names)), np.ones(len(self.names))

    def first_guess(self) -> Floats:
        """The control, [m], of the rows' values."""
        rows = self._rows
        mean = rows.values[rows.calibrated][:, self._cells].mean(axis=1, keepdims=True)
        return normalise(mean, rows.free_lower, rows.free_upper).ravel().clip(0.0, 1.0)

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n]: the controls, [m], in their rows, and the fixed rows."""
        rows = self._rows
        values = denormalise(control[:, np.newaxis], rows.free_lower, rows.free_upper)
        return rows.with_free(np.broadcast_to(values, (len(values), self._cells.size)))

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m]: the shares of all cells in d cost / d theta, [p, n], summed."""
        rows = self._rows
        shared_bar = parameters_bar[rows.calibrated].sum(axis=1, keepdims=True)
        return denormalise_transpose(control, rows.free_lower, rows.free_upper, shared_bar).ravel()


class Distributed:
    """One control z in [0, 1] per calibrated row and cell of the calibration, row after row.

    Args:
        rows: the parameters, p of them.
        cells: of the n cells, those that have controls: all that can move the cost. The others stay at the values of
            the rows.

    Raises:
        ConfigurationError: see `ParameterTable.stack`.
    """

    def __init__(self, rows: Sequence[ParameterSpec], cells: NDArray[np.bool_]) -> None:
        self._rows = ParameterTable.stack(rows, cells.size)
        self._cells = np.flatnonzero(cells)
        self._at = np.ix_(self._rows.calibrated, self._cells)
        size = self._rows.calibrated.size * self._cells.size
        self.lower, self.upper = np.zeros(size), np.ones(size)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`cp[17]` is the row `cp` in cell 17 of all n."""
        return tuple(f"{self._rows.symbols[k]}[{cell}]" for k in self._rows.calibrated for cell in self._cells)

    def first_guess(self) -> Floats:
        """The control, [m], of the rows' values."""
        rows = self._rows
        return normalise(rows.values[self._at], rows.free_lower, rows.free_upper).ravel().clip(0.0, 1.0)

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n]: the controls, [m], in their rows and cells, and the rows' values elsewhere."""
        rows = self._rows
        theta = rows.values.astype(control.dtype)
        theta[self._at] = denormalise(control.reshape(-1, self._cells.size), rows.free_lower, rows.free_upper)
        return theta

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m]: d cost / d theta, [p, n], of the rows and cells that have controls."""
        rows = self._rows
        z = control.reshape(-1, self._cells.size)
        return denormalise_transpose(z, rows.free_lower, rows.free_upper, parameters_bar[self._at]).ravel()
