"""Multipower mapping: theta_k(x) = S_k(r_k0 + sum_d r_kd D_d(x)^e_kd), S_k the scaled sigmoid, D_d the scaled
descriptors cut to [0, 1], where a power has a value whatever its exponent.

The exponents are calibrated in [0.5, 2]. At D = 0 a power is 0 for all of them, and so is its derivative
D^e log(D), though the logarithm has none. The first guess has zero slopes and exponents 1: it is the uniform mapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.bounds import squashed, squashed_transpose
from hydrocli.mapping.mapping import Place
from hydrocli.mapping.rows import ParameterRow, Rows

Array = NDArray[np.float64]

EXPONENTS = 0.5, 2.0


class Multipower:
    """Controls r_k0 of the k calibrated rows, then their slopes, then their exponents, row after row.

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
        self._rows, self._cells = Rows.stack(rows, cells.size), cells
        self._number = self._rows.calibrated.size
        symbols = self._rows.free_symbols
        terms = np.nonzero([[name in used.get(symbol, names) for name in names] for symbol in symbols])
        self._row = terms[0]
        base = descriptors[terms[1]].clip(0.0, 1.0)
        self._positive = base > 0
        self._log = np.log(base, out=np.zeros_like(base), where=self._positive)
        words = [f"{symbols[k]}[{names[d]}" for k, d in zip(*terms, strict=True)]
        self.names = (*symbols, *(f"{word}]" for word in words), *(f"{word} exponent]" for word in words))
        self.places = (
            *(Place(1, "bias", k) for k in range(self._number)),
            *(Place(1, name, int(k), int(d)) for name in ("weight", "exponent") for k, d in zip(*terms, strict=True)),
        )
        endless, every = np.full(self._number + self._row.size, np.inf), np.ones(self._row.size)
        self.lower = np.concatenate([-endless, EXPONENTS[0] * every])
        self.upper = np.concatenate([endless, EXPONENTS[1] * every])

    def first_guess(self) -> Array:
        """The control, [m], of the rows' values."""
        every = np.ones(self._row.size)
        return np.concatenate([self._rows.unsquashed_values(self._cells), 0.0 * every, every])

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n], of the control, [m]."""
        rows = self._rows
        constants, slopes, exponents = self._split(control)
        x = self._summed(constants, slopes * self._powers(exponents))
        return rows.with_free(squashed(x, rows.free_lower, rows.free_upper))

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        rows = self._rows
        constants, slopes, exponents = self._split(control)
        powers = self._powers(exponents)
        # theta = S(x)
        x, theta_bar = self._summed(constants, slopes * powers), parameters_bar[rows.calibrated]
        x_bar = squashed_transpose(x, rows.free_lower, rows.free_upper, theta_bar)
        # x = constants + the sum of slopes * powers
        slopes_bar = (x_bar[self._row] * powers).sum(axis=1)
        powers_bar = slopes * x_bar[self._row]
        # powers = exp(exponents * log D)
        exponents_bar = (powers_bar * powers * self._log).sum(axis=1)
        return np.concatenate([x_bar.sum(axis=1), slopes_bar, exponents_bar])

    def _split(self, control: Array) -> tuple[Array, Array, Array]:
        """Constants, slopes and exponents, [k, 1], [t, 1], [t, 1]."""
        ends = [self._number, self._number + self._row.size]
        constants, slopes, exponents = np.split(control[:, np.newaxis], ends)
        return constants, slopes, exponents

    def _powers(self, exponents: Array) -> Array:
        """D^e, [t, n], of all t terms."""
        return np.where(self._positive, np.exp(exponents * self._log), 0.0)

    def _summed(self, constants: Array, terms: Array) -> Array:
        """The constant of every row and the sum of its terms, [k, n]."""
        return np.stack([constants[k] + terms[self._row == k].sum(axis=0) for k in range(self._number)])
