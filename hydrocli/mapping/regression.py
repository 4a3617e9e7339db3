"""Regressions on descriptors: the scaled sigmoid S_k of a weighted sum of scaled descriptors D_d.

    multilinear    theta_k(x) = S_k(r_k0 + sum_d r_kd D_d(x))
    multipower     theta_k(x) = S_k(r_k0 + sum_d r_kd D_d(x)^e_kd)         D_d clipped to [0, 1]

The first guess has zero slopes r_kd, r_k0 = S_k^-1 of the value in the parameter table, and exponents 1: it is the
uniform mapping. Exponents are calibrated in [0.5, 2]. At D = 0 a power is 0 for all of them, and so is its derivative
D^e log(D), though the logarithm is not defined there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.mapping.bounds import scaled_sigmoid, scaled_sigmoid_transpose
from hydrocli.mapping.mapping import WeightIndex
from hydrocli.mapping.parameter_table import ParameterSpec, ParameterTable


class Multilinear:
    """Controls r_k0 of the k calibrated rows, then their slopes, row after row; none has bounds.

    Args:
        rows: the parameters, p of them.
        cells: flags of the n cells: those used in the calibration.
        descriptors: scaled, [d, n].
        names: of the descriptors.
        used: by symbol, which descriptors it depends on; left out: all.

    Raises:
        ConfigurationError: see `ParameterTable.stack`.
    """

    def __init__(
        self,
        rows: Sequence[ParameterSpec],
        cells: NDArray[np.bool_],
        descriptors: Floats,
        names: Sequence[str],
        used: Mapping[str, Sequence[str]],
    ) -> None:
        self._rows, self._cells, self._descriptors = ParameterTable.stack(rows, cells.size), cells, descriptors
        self._number = self._rows.calibrated.size
        symbols = self._rows.free_symbols
        self._terms = np.nonzero([[name in used.get(symbol, names) for name in names] for symbol in symbols])
        slopes = [(symbols[k], names[d]) for k, d in zip(*self._terms, strict=True)]
        self.names = (*symbols, *(f"{symbol}[{name}]" for symbol, name in slopes))
        self.weight_indices = (
            *(WeightIndex(1, "bias", k) for k in range(self._number)),
            *(WeightIndex(1, "weight", int(k), int(d)) for k, d in zip(*self._terms, strict=True)),
        )
        self.upper = np.full(len(self.names), np.inf)
        self.lower = -self.upper

    def first_guess(self) -> Floats:
        """The control, [m], of the rows' values."""
        slopes = np.zeros(self._terms[0].size)
        return np.concatenate([self._rows.logit_values(self._cells), slopes])

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n], of the control, [m]."""
        rows = self._rows
        return rows.with_free(scaled_sigmoid(self._exponent(control), rows.free_lower, rows.free_upper))

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        rows = self._rows
        # theta = S(x)
        x, theta_bar = self._exponent(control), parameters_bar[rows.calibrated]
        x_bar = scaled_sigmoid_transpose(x, rows.free_lower, rows.free_upper, theta_bar)
        # x = constants + slopes @ D
        return np.concatenate([x_bar.sum(axis=1), (x_bar @ self._descriptors.T)[self._terms]])

    def _exponent(self, control: Floats) -> Floats:
        """r_k0 + sum_d r_kd D_d, [k, n]."""
        slopes = np.zeros((self._number, len(self._descriptors)), control.dtype)
        slopes[self._terms] = control[self._number :]
        return control[: self._number, np.newaxis] + slopes @ self._descriptors


EXPONENTS = 0.5, 2.0


class Multipower:
    """Controls r_k0 of the k calibrated rows, then their slopes, then their exponents, row after row.

    Args:
        rows: the parameters, p of them.
        cells: flags of the n cells: those used in the calibration.
        descriptors: scaled, [d, n].
        names: of the descriptors.
        used: by symbol, which descriptors it depends on; left out: all.

    Raises:
        ConfigurationError: see `ParameterTable.stack`.
    """

    def __init__(
        self,
        rows: Sequence[ParameterSpec],
        cells: NDArray[np.bool_],
        descriptors: Floats,
        names: Sequence[str],
        used: Mapping[str, Sequence[str]],
    ) -> None:
        self._rows, self._cells = ParameterTable.stack(rows, cells.size), cells
        self._number = self._rows.calibrated.size
        symbols = self._rows.free_symbols
        terms = np.nonzero([[name in used.get(symbol, names) for name in names] for symbol in symbols])
        self._row = terms[0]
        base = descriptors[terms[1]].clip(0.0, 1.0)
        self._positive = base > 0
        self._log = np.log(base, out=np.zeros_like(base), where=self._positive)
        words = [f"{symbols[k]}[{names[d]}" for k, d in zip(*terms, strict=True)]
        self.names = (*symbols, *(f"{word}]" for word in words), *(f"{word} exponent]" for word in words))
        self.weight_indices = (
            *(WeightIndex(1, "bias", k) for k in range(self._number)),
            *(
                WeightIndex(1, name, int(k), int(d))
                for name in ("weight", "exponent")
                for k, d in zip(*terms, strict=True)
            ),
        )
        endless, every = np.full(self._number + self._row.size, np.inf), np.ones(self._row.size)
        self.lower = np.concatenate([-endless, EXPONENTS[0] * every])
        self.upper = np.concatenate([endless, EXPONENTS[1] * every])

    def first_guess(self) -> Floats:
        """The control, [m], of the rows' values."""
        every = np.ones(self._row.size)
        return np.concatenate([self._rows.logit_values(self._cells), 0.0 * every, every])

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n], of the control, [m]."""
        rows = self._rows
        constants, slopes, exponents = self._split(control)
        x = self._summed(constants, slopes * self._powers(exponents))
        return rows.with_free(scaled_sigmoid(x, rows.free_lower, rows.free_upper))

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        rows = self._rows
        constants, slopes, exponents = self._split(control)
        powers = self._powers(exponents)
        # theta = S(x)
        x, theta_bar = self._summed(constants, slopes * powers), parameters_bar[rows.calibrated]
        x_bar = scaled_sigmoid_transpose(x, rows.free_lower, rows.free_upper, theta_bar)
        # x = constants + the sum of slopes * powers
        slopes_bar = (x_bar[self._row] * powers).sum(axis=1)
        powers_bar = slopes * x_bar[self._row]
        # powers = exp(exponents * log D)
        exponents_bar = (powers_bar * powers * self._log).sum(axis=1)
        return np.concatenate([x_bar.sum(axis=1), slopes_bar, exponents_bar])

    def _split(self, control: Floats) -> tuple[Floats, Floats, Floats]:
        """Constants, slopes and exponents, [k, 1], [t, 1], [t, 1]."""
        ends = [self._number, self._number + self._row.size]
        constants, slopes, exponents = np.split(control[:, np.newaxis], ends)
        return constants, slopes, exponents

    def _powers(self, exponents: Floats) -> Floats:
        """D^e, [t, n], of all t terms."""
        return np.where(self._positive, np.exp(exponents * self._log), 0.0)

    def _summed(self, constants: Floats, terms: Floats) -> Floats:
        """The constant of every row and the sum of its terms, [k, n]."""
        return np.stack([constants[k] + terms[self._row == k].sum(axis=0) for k in range(self._number)])
