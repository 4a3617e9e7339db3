"""Several mappings side by side, each with rows of its own: one value for the routing, say, a network for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.mapping import Mapping

Array = NDArray[np.float64]


class Combined:
    """The controls of the parts, one after the other.

    Args:
        parts: mappings of the same p rows and n cells; each calibrates rows that no other does.
        rows: of every part, the indices of the rows that are its own.

    Attributes:
        parts: as given.
        names, lower, upper: of all parts.
    """

    def __init__(self, parts: Sequence[Mapping], rows: Sequence[NDArray[np.integer]]) -> None:
        self.parts, self._owned = parts, rows
        self._ends = np.cumsum([len(part.lower) for part in parts])
        self.lower = np.concatenate([part.lower for part in parts])
        self.upper = np.concatenate([part.upper for part in parts])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all parts."""
        return tuple(name for part in self.parts for name in part.names)

    def first_guess(self) -> Array:
        """The control, [m], of the rows' values."""
        return np.concatenate([part.first_guess() for part in self.parts])

    def going_on(self, first: Array) -> Array:
        """The control, [m], whose first part is given; the others are of the rows' values."""
        return np.concatenate([first, *(part.first_guess() for part in self.parts[1:])])

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n], of the control, [m]."""
        maps = [part.parameters(own) for part, own in zip(self.parts, self._split(control), strict=True)]
        theta = maps[0]
        for rows, map_ in zip(self._owned[1:], maps[1:], strict=True):
            theta[rows] = map_[rows]
        return theta

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """d cost / d control, [m], from d cost / d theta, [p, n]; a part takes what its own rows owe."""
        pairs = zip(self.parts, self._split(control), strict=True)
        return np.concatenate([part.transpose(own, parameters_bar) for part, own in pairs])

    def _split(self, control: Array) -> list[Array]:
        return np.split(control, self._ends[:-1])
