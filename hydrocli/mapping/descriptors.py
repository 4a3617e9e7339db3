"""Descriptors (catchment attributes), scaled for a mapping: D = (value - lowest) / (highest - lowest).

The range is that of all cells of the calibrated basin, so D is in [0, 1] there. A mapping that is transferred to
another basin keeps this range, and D may leave [0, 1] there. A calibration uses only cells that drain to its gauges;
their range, `lowest_seen` to `highest_seen`, is narrower. Outside it a mapping extrapolates, unless D is clamped to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.errors import ConfigurationError, Errors, HydrocliError, InputError


@dataclass(frozen=True, eq=False)
class Scaling:
    """Range of d descriptors.

    Attributes:
        names: of the descriptors.
        lowest: [d], in their units, over the basin.
        highest: [d], likewise.
        lowest_seen: [d], over the cells that the calibration saw.
        highest_seen: [d], likewise.
    """

    names: tuple[str, ...]
    lowest: Floats
    highest: Floats
    lowest_seen: Floats
    highest_seen: Floats

    @classmethod
    def over(cls, names: Sequence[str], fields: Mapping[str, Floats], seen: NDArray[np.bool_]) -> Scaling:
        """The ranges over all n cells of the fields [n], and over the calibrated cells, [n].

        Raises:
            ConfigurationError: a descriptor is missing.
            InputError: a descriptor is constant, or missing somewhere (all of them at once).
        """
        values = _stacked(names, fields)
        constant = [name for name, field in zip(names, values, strict=True) if np.ptp(field) == 0]
        _raise(
            [
                InputError(
                    f"descriptor {name}", "has the same value in all cells", "Remove it from mapping.descriptors."
                )
                for name in constant
            ]
        )
        ranges = [end for part in (values, values[:, seen]) for end in (part.min(axis=1), part.max(axis=1))]
        return cls(tuple(names), *ranges)

    def scaled(self, fields: Mapping[str, Floats], clamp: bool = False) -> Floats:
        """D [d, n] of fields [n] by name, possibly of another basin; clamped to the calibrated range on request.

        Raises:
            ConfigurationError: a descriptor is missing.
            InputError: a descriptor is missing somewhere.
        """
        values, width = _stacked(self.names, fields), (self.highest - self.lowest)[:, np.newaxis]
        if clamp:
            values = values.clip(self.lowest_seen[:, np.newaxis], self.highest_seen[:, np.newaxis])
        return (values - self.lowest[:, np.newaxis]) / width

    def unseen(self, fields: Mapping[str, Floats]) -> dict[str, NDArray[np.bool_]]:
        """By name, which of the cells [n] are outside the calibrated range."""
        values = zip(self.names, _stacked(self.names, fields), self.lowest_seen, self.highest_seen, strict=True)
        return {name: (field < lowest) | (field > highest) for name, field, lowest, highest in values}


def _stacked(names: Sequence[str], fields: Mapping[str, Floats]) -> Floats:
    """Fields [d, n] of the names."""
    _raise(
        [
            ConfigurationError("basin.descriptors", f"{name} is missing, and the mapping needs it", "Add its file.")
            for name in names
            if name not in fields
        ]
    )
    values = np.stack([np.asarray(fields[name], np.float64) for name in names])
    missing = np.isnan(values).sum(axis=1)
    remedy = "Fill the gaps, or remove it from mapping.descriptors."
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
