"""Ranges of the inputs of phi1 (hp, ht, pn, en) in a calibration, and how often another period leaves them (P1 4.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.engine.simulator import Rows, Simulator
from hydrocli.jit import loop


class InputRange:
    """Watches a sweep: the smallest and the largest of each input over some of its steps.

    Args:
        sweep: the one that is watched.
        steps: bool[steps], those that count.

    Attributes:
        lowest, highest: [4] of hp, ht, pn, en.
    """

    def __init__(self, simulator: Simulator, steps: NDArray[np.bool_]) -> None:
        self.simulator, self.steps = simulator, steps
        self.lowest, self.highest = np.full(4, np.inf), np.full(4, -np.inf)
        self._idle = simulator.order.cell < 0

    def __call__(self, rows: Rows, start: int, count: int) -> None:
        """See `Sweep.simulate`."""
        order = self.simulator.order
        _widen(
            start, count, order.low, order.high, order.offset, order.level, self._idle, self.simulator.net,
            rows.levels[:, int(self.simulator.structure.sees_new_levels) :], self.steps, self.lowest, self.highest,
        )  # fmt: skip


class Extrapolation:
    """Watches a sweep: how many cells of each catchment have an input outside its range at each step.

    Args:
        sweep: the one that is watched.
        lowest, highest: [4] of hp, ht, pn, en.
        catchments: bool[g, n].

    Attributes:
        cells: int64[g, steps].
    """

    def __init__(self, simulator: Simulator, lowest: Floats, highest: Floats, catchments: NDArray[np.bool_]) -> None:
        self.simulator, self.lowest, self.highest = simulator, lowest, highest
        self._members = simulator.order.spread(catchments.astype(np.float64), 0.0).T > 0
        self.cells = np.zeros((len(catchments), simulator.order.steps), np.int64)

    def __call__(self, rows: Rows, start: int, count: int) -> None:
        """See `Sweep.simulate`."""
        order = self.simulator.order
        _count_outside(
            start, count, order.low, order.high, order.offset, order.level, self._members, self.simulator.net,
            rows.levels[:, int(self.simulator.structure.sees_new_levels) :], self.lowest, self.highest, self.cells,
        )  # fmt: skip


@loop
def _widen(start, count, low, high, offset, level, idle, net, levels, steps, lowest, highest):
    for k in range(count):
        for block in range(2):
            a, b = low[block, start + k], high[block, start + k]
            first = offset[block, start + k] - a
            for s in range(a, b):
                if idle[s] or not steps[start + k - level[s]]:
                    continue
                pn_en = np.float64(net[first + s])
                hp, ht = np.float64(levels[0, k, s]), np.float64(levels[1, k, s])
                inputs = (hp, ht, max(pn_en, 0.0), max(-pn_en, 0.0))
                for i in range(4):
                    lowest[i] = min(lowest[i], inputs[i])
                    highest[i] = max(highest[i], inputs[i])


@loop
def _count_outside(start, count, low, high, offset, level, members, net, levels, lowest, highest, cells):
    for k in range(count):
        for block in range(2):
            a, b = low[block, start + k], high[block, start + k]
            first = offset[block, start + k] - a
            for s in range(a, b):
                pn_en = np.float64(net[first + s])
                hp, ht = np.float64(levels[0, k, s]), np.float64(levels[1, k, s])
                inputs = (hp, ht, max(pn_en, 0.0), max(-pn_en, 0.0))
                outside = False
                for i in range(4):
                    outside |= inputs[i] < lowest[i] or inputs[i] > highest[i]
                if outside:
                    for g in range(cells.shape[0]):
                        cells[g, start + k - level[s]] += members[s, g]
