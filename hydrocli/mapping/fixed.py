"""No mapping: the maps stay as they are, while something else is calibrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.rows import ParameterRow

Array = NDArray[np.float64]


class Fixed:
    """The values of the rows, and no control.

    Args:
        rows: the parameters, p of them.
        cells: [n], for their number alone.
    """

    def __init__(self, rows: Sequence[ParameterRow], cells: NDArray[np.bool_]) -> None:
        self._values = np.stack([np.broadcast_to(np.asarray(row.value, np.float64), cells.size) for row in rows])
        self.names: tuple[str, ...] = ()
        self.lower = self.upper = np.zeros(0)

    def first_guess(self) -> Array:
        """An empty control."""
        return np.zeros(0)

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n]."""
        return self._values

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """Nothing is owed."""
        return np.zeros(0)
