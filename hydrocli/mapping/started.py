"""A mapping that starts from controls instead of values, with some of its controls free and the others at rest.

What a network has learned cannot be read back from its maps: a stage that goes on from another of the same mapping
takes its controls over.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hydrocli.mapping.mapping import Mapping

Array = NDArray[np.float64]


class Started:
    """The free ones of the controls of a mapping.

    Args:
        mapping: of M controls.
        control: where all of them are, [M].
        free: which of them are changed, m of the M.

    Attributes:
        mapping: as given.
        names, lower, upper: of the free controls.
    """

    def __init__(self, mapping: Mapping, control: Array, free: NDArray[np.bool_]) -> None:
        self.mapping, self._control, self._free = mapping, control, free
        self.lower, self.upper = mapping.lower[free], mapping.upper[free]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the free controls."""
        return tuple(name for name, free in zip(self.mapping.names, self._free, strict=True) if free)

    def first_guess(self) -> Array:
        """The free controls, [m], as given."""
        return self._control[self._free]

    def filled(self, control: Array) -> Array:
        """All controls, [M], with the free ones, [m], in their places."""
        filled = self._control.astype(control.dtype)
        filled[self._free] = control
        return filled

    def parameters(self, control: Array) -> Array:
        """Theta, [p, n], of the free controls, [m]."""
        return self.mapping.parameters(self.filled(control))

    def transpose(self, control: Array, parameters_bar: Array) -> Array:
        """d cost / d control, [m], from d cost / d theta, [p, n]."""
        return self.mapping.transpose(self.filled(control), parameters_bar)[self._free]
