"""Distributed mapping: one value per parameter and cell, theta_k(x) = lower_k + (upper_k - lower_k) z_k(x)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.bounds import bounded, bounded_transpose, normalised
from hydrocli.mapping.rows import ParameterRow, Rows

Array = NDArray[np.float64]


class Distributed:
    """One control z in [0, 1] per calibrated row and cell of the calibration, row after row.

    Args:
        rows: the parameters, p of them.
        cells: of the n cells, those that have controls: all that can move the cost. The others stay at the values of
            the rows.

    Raises:
        ConfigurationError: see `Rows.stack`.
    """

    def __init__(self, rows: Sequence[ParameterRow], cells: NDArray[np.bool_]) -> None:
        self._rows = Rows.stack(rows, cells.size)
        self._cells = np.flatnonzero(cells)
        self._at = np.ix_(self._rows.calibrated, self._cells)
        size = self._rows.calibrated.size * self._cells.size
        self.lower, self.upper = np.zeros(size), np.ones(size)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`cp[17]` is the row `cp` in cell 17 of all n."""
        return tuple(f"{self._rows.symbols[k]}[{cell}]" for k in self._rows.calibrated for cell in self._cells)

    def first_guess(self) -> Array:
        """The control, [m], of the rows' values."""
        rows = self._rows
        return normalised(rows.values[self._at], rows.free_lower, rows.free_upper).ravel().clip(0.0, 1.0)

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n]: the controls, [m], in their rows and cells, and the rows' values elsewhere."""
        rows = self._rows
        theta = rows.values.astype(control.dtype)
        theta[self._at] = bounded(control.reshape(-1, self._cells.size), rows.free_lower, rows.free_upper)
        return theta

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """d cost / d control, [m]: d cost / d theta, [p, n], of the rows and cells that have controls."""
        rows = self._rows
        z = control.reshape(-1, self._cells.size)
        return bounded_transpose(z, rows.free_lower, rows.free_upper, parameters_bar[self._at]).ravel()
