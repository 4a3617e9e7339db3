"""Multilinear mapping: theta_k(x) = S_k(r_k0 + sum_d r_kd D_d(x)), S_k the scaled sigmoid, D_d the scaled descriptors.

The first guess has zero slopes r_kd and r_k0 = S_k^-1 of the value of the row: it is the uniform mapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.bounds import squashed, squashed_transpose
from hydrocli.mapping.mapping import Place
from hydrocli.mapping.rows import ParameterRow, Rows

Array = NDArray[np.float64]


class Multilinear:
    """Controls r_k0 of the k calibrated rows, then their slopes, row after row; none has bounds.

    Args:
        rows: the parameters, p of them.
        cells: of the n cells, those that the calibration sees.
        descriptors: scaled, [d, n].
        names: of the descriptors.
        used: by symbol, which descriptors it depends on; left out: all.

    Raises:
        ConfigurationError: see `Rows.stack`.
    """

    def __init__(
        self,
        rows: Sequence[ParameterRow],
        cells: NDArray[np.bool_],
        descriptors: Array,
        names: Sequence[str],
        used: Mapping[str, Sequence[str]],
    ) -> None:
        self._rows, self._cells, self._descriptors = Rows.stack(rows, cells.size), cells, descriptors
        self._number = self._rows.calibrated.size
        symbols = self._rows.free_symbols
        self._terms = np.nonzero([[name in used.get(symbol, names) for name in names] for symbol in symbols])
        slopes = [(symbols[k], names[d]) for k, d in zip(*self._terms, strict=True)]
        self.names = (*symbols, *(f"{symbol}[{name}]" for symbol, name in slopes))
        self.places = (
            *(Place(1, "bias", k) for k in range(self._number)),
            *(Place(1, "weight", int(k), int(d)) for k, d in zip(*self._terms, strict=True)),
        )
        self.upper = np.full(len(self.names), np.inf)
        self.lower = -self.upper

    def first_guess(self) -> Array:
        """The control, [m], of the rows' values."""
        slopes = np.zeros(self._terms[0].size)
        return np.concatenate([self._rows.unsquashed_values(self._cells), slopes])

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n], of the control, [m]."""
        rows = self._rows
        return rows.with_free(squashed(self._exponent(control), rows.free_lower, rows.free_upper))

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        rows = self._rows
        # theta = S(x)
        x, theta_bar = self._exponent(control), parameters_bar[rows.calibrated]
        x_bar = squashed_transpose(x, rows.free_lower, rows.free_upper, theta_bar)
        # x = constants + slopes @ D
        return np.concatenate([x_bar.sum(axis=1), (x_bar @ self._descriptors.T)[self._terms]])

    def _exponent(self, control: Array) -> Array:
        """r_k0 + sum_d r_kd D_d, [k, n]."""
        slopes = np.zeros((self._number, len(self._descriptors)), control.dtype)
        slopes[self._terms] = control[self._number :]
        return control[: self._number, np.newaxis] + slopes @ self._descriptors
