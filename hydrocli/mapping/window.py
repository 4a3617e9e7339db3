"""What a convolution reads around a cell, for active cells only: no raster is laid out.

A window of size x size cells (size odd) around every cell, neighbours counted row by row from the north-west. Cells
outside the basin and outside the grid read as zero ("same" padding, and a mask before every convolution).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Window:
    """Neighbours of n cells.

    Args:
        row: of every cell in its grid, [n].
        column: likewise.
        width: rows and columns of the window, an odd number.

    Attributes:
        size: cells of the window.
    """

    def __init__(self, row: NDArray[np.integer], column: NDArray[np.integer], width: int) -> None:
        self.size, reach, n = width * width, width // 2, row.size
        row, column = row - row.min() + reach, column - column.min() + reach
        number = np.full((row.max() + reach + 1, column.max() + reach + 1), n)
        number[row, column] = np.arange(n)
        steps = range(-reach, reach + 1)
        # [size, n]: the neighbour, or n where there is none.
        self._neighbour = np.stack([number[row + down, column + right] for down in steps for right in steps])

    def gathered(self, x: Array) -> Array:
        """The units of the whole window, [units x size, n], of every cell's units, [units, n]."""
        return _and_nothing(x)[:, self._neighbour].reshape(-1, x.shape[1])

    def transpose(self, gathered_bar: Array) -> Array:
        """d cost / d x, [units, n], from d cost / d gathered, [units x size, n].

        A cell reads its neighbour at place t of its window, and is read by it at the opposite place: summing over the
        places in their order needs no scatter.
        """
        bars = gathered_bar.reshape(-1, self.size, gathered_bar.shape[1])
        x_bar = np.zeros((bars.shape[0], bars.shape[2]))
        for place, neighbour in enumerate(self._neighbour[::-1]):
            x_bar += _and_nothing(bars[:, place])[:, neighbour]
        return x_bar


def _and_nothing(x: Array) -> Array:
    """Values [units, n] with a zero behind them, for cells that are not there."""
    return np.concatenate([x, np.zeros((len(x), 1), x.dtype)], axis=1)
