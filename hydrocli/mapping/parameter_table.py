"""The table of parameters: bounds, values, and which of them are calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.errors import ConfigurationError, Errors
from hydrocli.mapping.bounds import scaled_logit

ROUNDING = 1e-9
"""Tolerance of a value outside its bounds, relative to their distance, for rounding errors."""


@dataclass(frozen=True, eq=False)
class ParameterSpec:
    """One parameter, or one initial level.

    Attributes:
        symbol: its name in `hydrocli.names`.
        lower: lower bound, in its unit.
        upper: upper bound, in its unit.
        value: first guess of a calibrated row, the value of a fixed one: one for all cells, or a field [n].
        calibrated: whether it depends on controls.
    """

    symbol: str
    lower: float
    upper: float
    value: float | Floats
    calibrated: bool = True


def with_values(rows: Sequence[ParameterSpec], parameters: Floats) -> list[ParameterSpec]:
    """The same rows with the maps, [p, n], of the previous stage as values.

    A uniform mapping of these rows starts from the means, a distributed one from the maps; cells and rows that it does
    not calibrate keep what the stage before has found.
    """
    return [replace(row, value=field) for row, field in zip(rows, parameters, strict=True)]


@dataclass(frozen=True, eq=False)
class ParameterTable:
    """All rows stacked; what all mappings share.

    Attributes:
        symbols: of every row, p.
        values: first guesses and fixed values, [p, n].
        lower: lower bounds, [p, 1].
        upper: upper bounds, [p, 1].
        calibrated: indices of the calibrated rows.
    """

    symbols: tuple[str, ...]
    values: Floats
    lower: Floats
    upper: Floats
    calibrated: NDArray[np.intp]

    @classmethod
    def stack(cls, rows: Sequence[ParameterSpec], n_cells: int) -> ParameterTable:
        """Check and stack the rows over `n_cells` cells.

        Raises:
            ConfigurationError: bounds that are no interval, a value outside them or missing (all of them at once).
        """
        problems = [problem for row in rows if (problem := _bounds_problem(row))]
        if not any(row.calibrated for row in rows):
            problems.append(
                ConfigurationError("mapping", "no parameter is calibrated", "Set `calibrated: true` for at least one.")
            )
        if problems:
            raise Errors([*problems])
        stacked = cls(
            tuple(row.symbol for row in rows),
            np.stack([np.broadcast_to(np.asarray(row.value, dtype=np.float64), n_cells) for row in rows]),
            np.array([[row.lower] for row in rows], dtype=np.float64),
            np.array([[row.upper] for row in rows], dtype=np.float64),
            np.array([k for k, row in enumerate(rows) if row.calibrated], dtype=np.intp),
        )
        stacked._check()
        return stacked

    @property
    def free_symbols(self) -> tuple[str, ...]:
        """Symbols of the calibrated rows."""
        return tuple(self.symbols[k] for k in self.calibrated)

    @property
    def free_lower(self) -> Floats:
        """Lower bounds of the calibrated rows, [k, 1]."""
        return self.lower[self.calibrated]

    @property
    def free_upper(self) -> Floats:
        """Upper bounds of the calibrated rows, [k, 1]."""
        return self.upper[self.calibrated]

    def with_free(self, values: Floats) -> Floats:
        """Theta, [p, n]: values, [k, n], in the calibrated rows, and the fixed ones."""
        theta = self.values.astype(values.dtype)
        theta[self.calibrated] = values
        return theta

    def logit_values(self, cells: NDArray[np.bool_]) -> Floats:
        """S^-1, [k], of the values of calibrated rows, which must be uniform over the calibrated cells.

        Raises:
            ConfigurationError: a map varies in space.
        """
        seen = self.values[self.calibrated][:, cells]
        varied = np.ptp(seen, axis=1, keepdims=True) > ROUNDING * (self.free_upper - self.free_lower)
        what = "the first guess varies in space, but a mapping of descriptors starts from uniform values"
        remedy = "Start from a uniform run, from a run with the same mapping, or with a stage `mapping: uniform`."
        problems = [
            ConfigurationError(f"parameter {symbol}", what, remedy)
            for symbol, varies in zip(self.free_symbols, varied[:, 0], strict=True)
            if varies
        ]
        if problems:
            raise Errors([*problems])
        return scaled_logit(seen.mean(axis=1, keepdims=True), self.free_lower, self.free_upper)[:, 0]

    def _check(self) -> None:
        margin = ROUNDING * (self.upper - self.lower)
        inside = (self.values >= self.lower - margin) & (self.values <= self.upper + margin)
        problems = [self._outside(k, self.values[k], inside[k]) for k in range(len(inside)) if not inside[k].all()]
        if problems:
            raise Errors([*problems])

    def _outside(self, k: int, field: Floats, inside: NDArray[np.bool_]) -> ConfigurationError:
        cell = int(np.argmin(inside))
        place = "" if np.ptp(field) == 0 else f" in cell {cell}"
        return ConfigurationError(
            f"parameter {self.symbols[k]}",
            f"the value {field[cell]:g}{place} is outside the bounds [{self.lower[k, 0]:g}, {self.upper[k, 0]:g}]",
            "Change the value or the bounds.",
        )


def _bounds_problem(row: ParameterSpec) -> ConfigurationError | None:
    if not row.calibrated or (np.isfinite([row.lower, row.upper]).all() and row.lower < row.upper):
        return None
    return ConfigurationError(
        f"parameter {row.symbol}",
        f"the bounds [{row.lower:g}, {row.upper:g}] are not an interval",
        "Set finite bounds, the lower below the upper, or set `calibrated: false`.",
    )
