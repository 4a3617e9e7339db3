"""Which cells drain to which gauges, without a row of all cells for each gauge.

Catchments are nested. Here each cell belongs to one zone, that of the nearest gauge downstream of it. What is summed
over a catchment is summed over zones, and the sums are handed down the tree of zones: the work grows with the cells and
with the gauges, but not with their product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Integers

Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True, eq=False)
class GaugeTree:
    """Zones of n cells and their tree, for g gauges on z different cells.

    Attributes:
        zone: int64[n], zone of each cell; z where no gauge lies downstream.
        of_gauge: int64[g], zone of each gauge; gauges on one cell share it.
        below: int64[z], the next zone downstream of each zone; z where there is none.
    """

    zone: Integers
    of_gauge: Integers
    below: Integers

    @classmethod
    def of(cls, downstream: NDArray[np.integer], cells: NDArray[np.integer]) -> GaugeTree:
        """The tree of gauges on a network.

        Args:
            downstream: [n], cell downstream of each, -1 at an outlet.
            cells: [g], cell of each gauge.
        """
        outside, (places, of_gauge) = len(downstream), np.unique(cells, return_inverse=True)
        # From every cell as far as the first gauge, in strides that double.
        at = np.append(downstream, outside).astype(np.int64)
        at[at < 0] = outside
        next_cell = at[places]
        at[places] = places
        while not np.array_equal(further := at[at], at):
            at = further
        number = np.full(outside + 1, len(places), np.int64)
        number[places] = np.arange(len(places))
        zone = number[at]
        return cls(zone[:outside], of_gauge.ravel().astype(np.int64), zone[next_cell])

    @property
    def zones(self) -> int:
        """Number of zones, without that of the cells that drain to no gauge."""
        return len(self.below)

    @cached_property
    def _upstream_first(self) -> list[int]:
        """Zones that drain into others, each before the one that it drains into."""
        depth, at = np.zeros(self.zones, np.int64), self.below
        after = np.append(self.below, self.zones)
        while (inside := at < self.zones).any():
            depth, at = depth + inside, after[at]
        order: list[int] = np.argsort(-depth, kind="stable")[: np.count_nonzero(depth)].tolist()
        return order

    @cached_property
    def _sorted(self) -> tuple[Integers, Integers]:
        """Cells that drain to a gauge, those of one zone together, and where each zone begins."""
        order = np.argsort(self.zone, kind="stable")
        starts = np.searchsorted(self.zone[order], np.arange(self.zones + 1))
        return order[: starts[-1]], starts[:-1]

    def accumulate(self, by_zone: NDArray[Number]) -> NDArray[Number]:
        """Sums over the catchments [g, ...] from those over the zones [z, ...]; what comes after row z is left out."""
        total = by_zone[: self.zones].copy()
        for zone in self._upstream_first:
            total[self.below[zone]] += total[zone]
        return total[self.of_gauge]

    def by_zone(self, values: NDArray[Number]) -> NDArray[Number]:
        """Sums over the zones [..., z] of values [..., n]."""
        cells, starts = self._sorted
        return np.asarray(np.add.reduceat(values.take(cells, axis=-1), starts, axis=-1))

    def sums(self, values: NDArray[Number]) -> NDArray[Number]:
        """Sums over the catchments [..., g] of values [..., n]."""
        return np.moveaxis(self.accumulate(np.moveaxis(self.by_zone(values), -1, 0)), 0, -1)

    @cached_property
    def cells(self) -> Integers:
        """Number of cells of each catchment [g]."""
        return self.sums(np.ones(len(self.zone), np.int64))

    def draining_to(self, gauges: NDArray[np.integer] | list[int]) -> Flags:
        """Cells [n] that drain through at least one of some gauges, by their numbers."""
        inside = np.zeros(self.zones + 1, np.bool_)
        inside[self.of_gauge[gauges]] = True
        for zone in reversed(self._upstream_first):
            inside[zone] |= inside[self.below[zone]]
        return inside[self.zone]

    def catchment(self, gauge: int) -> Flags:
        """Cells [n] that drain through a gauge."""
        return self.draining_to([gauge])

    def with_role(self, role: str) -> Flags:
        """Which gauges [g] have a role, see `hydrocli.basin.network`."""
        head, mouth = np.ones(self.zones + 1, np.bool_), self.below == self.zones
        head[self.below] = False
        head = head[:-1]
        chosen = {"all": head | True, "upstream": head, "downstream": mouth, "independent": head & mouth}[role]
        return chosen[self.of_gauge]
