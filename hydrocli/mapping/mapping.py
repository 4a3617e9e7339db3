"""The interface of mappings: theta = map(control), and its transpose.

The optimiser uses only the control vector and its bounds; the model uses only theta, one row per parameter and one
column per cell.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from hydrocli.arrays import Floats


class Mapping(Protocol):
    """A mapping with m controls, p parameters and n cells."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each control, `cp` or `cp[17]` (cell 17)."""
        ...

    @property
    def lower(self) -> Floats:
        """Lower bound of each control, [m]; -inf where it has none."""
        ...

    @property
    def upper(self) -> Floats:
        """Upper bound of each control, [m]; inf where it has none."""
        ...

    def first_guess(self) -> Floats:
        """The control, [m], nearest to the values of the parameter table."""
        ...

    def parameters(self, control: Floats) -> Floats:
        """The maps of the parameters, [p, n], in their units."""
        ...

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control, [m], from d cost / d parameters, [p, n]."""
        ...


class WeightIndex(NamedTuple):
    """Position of a control in a mapping of descriptors: `bias`, `weight` or `exponent` of a unit of a layer, from 1.

    The last layer gives the calibrated rows. A weight has the input that it belongs to, and in a convolution the
    neighbour, counted row by row from the north-west of its neighbourhood.
    """

    layer: int
    array: str
    unit: int
    input: int | None = None
    neighbour: int | None = None


class DescriptorMapping(Mapping, Protocol):
    """A mapping that is a function of descriptors, and can be carried to other cells."""

    @property
    def weight_indices(self) -> tuple[WeightIndex, ...]:
        """Of every control."""
        ...
