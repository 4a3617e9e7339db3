"""A basin in memory: drainage network, gauges, forcing, observations, descriptors; and its time axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin.network import DrainageNetwork

Times = NDArray[np.datetime64]

DAY = 86400
"""Seconds."""
ROWS = 256
"""Steps that are looked at together."""


class Candidate(NamedTuple):
    """A cell that may be that of a gauge.

    Attributes:
        row, column: in the raster of flow directions.
        area: that it drains [m2].
        distance: from the cell of the coordinates [m].
        is_chosen: whether the gauge was given this cell.
    """

    row: int
    column: int
    area: float
    distance: float
    is_chosen: bool = False


@dataclass(frozen=True)
class Gauges:
    """Where discharge is measured.

    Attributes:
        code: name of each gauge.
        cell: int32[g], index of the active cell of each gauge.
        x: float64[g], coordinates of the centre of that cell, in the CRS of the network's grid.
        y: float64[g], likewise.
        area_asked: float64[g], drained area that the gauge table states [m2].
        area_found: float64[g], drained area of the cell [m2].
        candidates: cells that were near to the coordinates and area of each gauge, by code; empty where a basin comes
            from its store, which has them in a table of its own.
    """

    code: tuple[str, ...]
    cell: NDArray[np.int32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area_asked: NDArray[np.float64]
    area_found: NDArray[np.float64]
    candidates: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Basin:
    """A domain of n active cells, g gauges and t steps; a value belongs to the step that ENDS at its stamp.

    Attributes:
        network: the active cells and how they drain.
        gauges: the gauges on them.
        start: beginning of the first step (UTC, seconds).
        step: length of a step [s].
        precipitation: float32[t, n] [mm/step], NaN where missing; memory-mapped.
        pet: float32[t, n], potential evapotranspiration [mm/step], NaN where missing; memory-mapped.
        temperature: float32[t, n], of the air, mean of the step [degC], NaN where missing; memory-mapped. None where
            the configuration gives none.
        discharge: float64[g, t], observed [m3/s], NaN where missing; a mean over several steps stands at each of them.
        descriptors: float64[n] by name, NaN where their files have none.
        fingerprint: hash of all inputs.
        discharge_until: int32[g, t], the last of the steps of which an observation is the mean; None where all
            observations are of single steps.
        descriptor_units: by name, empty where nothing states it.
    """

    network: DrainageNetwork
    gauges: Gauges
    start: np.datetime64
    step: int
    precipitation: NDArray[np.float32]
    pet: NDArray[np.float32]
    discharge: NDArray[np.float64]
    descriptors: dict[str, NDArray[np.float64]]
    fingerprint: str
    temperature: NDArray[np.float32] | None = None
    discharge_until: NDArray[np.int32] | None = None
    descriptor_units: Mapping[str, str] = field(default_factory=dict)

    @property
    def times(self) -> Times:
        """Stamps datetime64[s][t]: start + step, start + 2 step, ..., end."""
        return stamps(self.start, len(self.precipitation), self.step)


def stamps(start: np.datetime64, count: int, step: int) -> Times:
    """Ends of `count` steps of `step` seconds after `start`, datetime64[s]."""
    return start.astype("datetime64[s]") + np.arange(1, count + 1) * np.timedelta64(step, "s")


def day_of_step(times: Times) -> Times:
    """Calendar day, datetime64[D], in which the steps that end at the stamps lie: midnight ends the day before."""
    return (times - np.timedelta64(1, "s")).astype("datetime64[D]")


def missing_by_step(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of missing values in each row of an array [t, n], which may be memory-mapped."""
    return np.concatenate([np.isnan(values[low : low + ROWS]).mean(axis=1) for low in range(0, len(values), ROWS)])
