"""Descriptors of the land, scaled to what a mapping reads: D = (value - lowest) / (highest - lowest).

The range is that of all cells of the basin that is calibrated, so D lies in [0, 1] there; a mapping that is carried to
another basin takes its range along, and D may leave [0, 1] there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.errors import ConfigurationError, Errors, HydrocliError, InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Range of d descriptors.

    Attributes:
        names: of the descriptors.
        lowest: [d], in their units.
        highest: [d], likewise.
    """

    names: tuple[str, ...]
    lowest: Array
    highest: Array

    @classmethod
    def over(cls, names: Sequence[str], fields: Mapping[str, Array]) -> Scaling:
        """The range over all n cells of the fields [n].

        Raises:
            ConfigurationError: a descriptor is not there.
            InputError: a descriptor is constant, or missing somewhere (all of them at once).
        """
        values = _stacked(names, fields)
        constant = [name for name, field in zip(names, values, strict=True) if np.ptp(field) == 0]
        _raise([InputError(f"descriptor {name}", "is the same in all cells", "Leave it out.") for name in constant])
        return cls(tuple(names), values.min(axis=1), values.max(axis=1))

    def scaled(self, fields: Mapping[str, Array]) -> Array:
        """D [d, n] of fields [n] by name, which may be those of another basin.

        Raises:
            ConfigurationError: a descriptor is not there.
            InputError: a descriptor is missing somewhere.
        """
        width = (self.highest - self.lowest)[:, np.newaxis]
        return (_stacked(self.names, fields) - self.lowest[:, np.newaxis]) / width


def _stacked(names: Sequence[str], fields: Mapping[str, Array]) -> Array:
    """Fields [d, n] of the names."""
    _raise(
        [
            ConfigurationError("basin.descriptors", f"{name} is not there, and the mapping needs it", "Name its file.")
            for name in names
            if name not in fields
        ]
    )
    values = np.stack([np.asarray(fields[name], np.float64) for name in names])
    missing = np.isnan(values).sum(axis=1)
    remedy = "Fill its gaps, or leave it out of mapping.descriptors."
    _raise(
        [
            InputError(f"descriptor {name}", f"is missing in {count} of {values.shape[1]} cells", remedy)
            for name, count in zip(names, missing, strict=True)
            if count
        ]
    )
    return values


def _raise(errors: Sequence[HydrocliError]) -> None:
    if errors:
        raise Errors([*errors])
