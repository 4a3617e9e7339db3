"""The control vector: what the mapping has, then the weights of the flux network where they are trained."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hydrocli.arrays import Floats


class ControlMap(Protocol):
    """What a control needs of a mapping."""

    @property
    def names(self) -> tuple[str, ...]:
        """What each control is called."""
        ...

    @property
    def lower(self) -> Floats:
        """Lower bounds [m]."""
        ...

    @property
    def upper(self) -> Floats:
        """Upper bounds [m]."""
        ...

    def first_guess(self) -> Floats:
        """Where a calibration starts [m]."""
        ...

    def parameters(self, control: Floats) -> Floats:
        """Maps [rows, n] of a control [m]."""
        ...

    def transpose(self, control: Floats, parameters_bar: Floats) -> Floats:
        """d cost / d control [m] from d cost / d maps [rows, n]."""
        ...


class Control:
    """A mapping and weights [w] as one vector [m].

    Args:
        mapping: has the first part of the vector.
        weights: of the flux network, empty without; the first guess where they are trained, else what they stay at.
        trained: whether they are the second part of the vector. They have no bounds.

    Attributes:
        names, lower, upper: of every control.
    """

    def __init__(self, mapping: ControlMap, weights: Floats, trained: bool) -> None:
        self._mapping, self._weights = mapping, weights
        self._trained = weights if trained else weights[:0]
        self._mapped = len(mapping.lower)
        endless = np.full(len(self._trained), np.inf)
        self.lower = np.concatenate([mapping.lower, -endless])
        self.upper = np.concatenate([mapping.upper, endless])

    @property
    def names(self) -> tuple[str, ...]:
        """Of the mapping's controls, then `phi1[3]`."""
        return (*self._mapping.names, *(f"phi1[{number}]" for number in range(len(self._trained))))

    def first_guess(self) -> Floats:
        """Where a calibration starts [m]."""
        return np.concatenate([self._mapping.first_guess(), self._trained])

    def mapped(self, control: Floats) -> Floats:
        """The mapping's part of a control [m]."""
        return control[: self._mapped]

    def split(self, control: Floats) -> tuple[Floats, Floats]:
        """Maps [rows, n] and weights [w] of a control [m]."""
        weights = control[self._mapped :] if len(self._trained) else self._weights
        return self._mapping.parameters(control[: self._mapped]), weights

    def transpose(self, control: Floats, maps_bar: Floats, weights_bar: Floats) -> Floats:
        """d cost / d control [m] from d cost / d maps [rows, n] and d cost / d weights [w]."""
        mapped = self._mapping.transpose(control[: self._mapped], maps_bar)
        return np.concatenate([mapped, weights_bar[: len(self._trained)]])
