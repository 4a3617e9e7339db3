"""Mappings made from another one, or from none: frozen maps, some of the controls, several mappings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.mapping.mapping import Mapping
from hydrocli.mapping.parameter_table import ParameterSpec


class FrozenMapping:
    """The values of the rows, and no control.

    Args:
        rows: the parameters, p of them.
        cells: [n], for their number alone.
    """

    def __init__(self, rows: Sequence[ParameterSpec], cells: NDArray[np.bool_]) -> None:
        self._values = np.stack([np.broadcast_to(np.asarray(row.value, np.float64), cells.size) for row in rows])
        self.names: tuple[str, ...] = ()
        self.lower = self.upper = np.zeros(0)

    def first_guess(self) -> Floats:
        """An empty control."""
        return np.zeros(0)

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n]."""
        return self._values

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """An empty gradient."""
        return np.zeros(0)


class PartiallyFrozenMapping:
    """A mapping of which only some controls are trained.

    Args:
        mapping: of M controls.
        control: where all of them are, [M].
        free: which of them are changed, m of the M.

    Attributes:
        mapping: as given.
        names, lower, upper: of the free controls.
    """

    def __init__(self, mapping: Mapping, control: Floats, free: NDArray[np.bool_]) -> None:
        self.mapping, self._control, self._free = mapping, control, free
        self.lower, self.upper = mapping.lower[free], mapping.upper[free]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the free controls."""
        return tuple(name for name, free in zip(self.mapping.names, self._free, strict=True) if free)

    def first_guess(self) -> Floats:
        """The free controls, [m], as given."""
        return self._control[self._free]

    def filled(self, control: Floats) -> Floats:
        """All controls, [M], with the free ones, [m], in their weight_indices."""
        filled = self._control.astype(control.dtype)
        filled[self._free] = control
        return filled

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n], of the free controls, [m]."""
        return self.mapping.parameters(self.filled(control))

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        return self.mapping.transpose(self.filled(control), parameters_bar)[self._free]


class CompositeMapping:
    """Several mappings, each for its own rows; the control vector is the concatenation of theirs.

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

    def first_guess(self) -> Floats:
        """The control, [m], of the rows' values."""
        return np.concatenate([part.first_guess() for part in self.parts])

    def going_on(self, first: Floats) -> Floats:
        """The control, [m], whose first part is given; the others are of the rows' values."""
        return np.concatenate([first, *(part.first_guess() for part in self.parts[1:])])

    def parameters(self, control: Floats) -> Floats:
        """Theta, [p, n], of the control, [m]."""
        maps = [part.parameters(own) for part, own in zip(self.parts, self._split(control), strict=True)]
        theta = maps[0]
        for rows, map_ in zip(self._owned[1:], maps[1:], strict=True):
            theta[rows] = map_[rows]
        return theta

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d theta, [p, n]; each part returns the gradient of its own rows."""
        pairs = zip(self.parts, self._split(control), strict=True)
        return np.concatenate([part.transpose(own, parameters_bar) for part, own in pairs])

    def _split(self, control: Floats) -> list[Floats]:
        return np.split(control, self._ends[:-1])
