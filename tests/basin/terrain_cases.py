"""Elevations whose rivers are known: the base case of `field_cases` as a landscape of valleys."""

from __future__ import annotations

import numpy as np

PIXELS = 5
"""Pixels of 200 m to a side of a cell of 1 km."""
SIDE = 200.0
STEEP, FLAT = 1.0, 0.1
"""Fall of a slope and of a river from pixel to pixel [m]."""


def valleys() -> np.ndarray:
    """Elevations [30, 30] of 6 x 6 cells: a river runs east in the middle of each row, and south in the last column.

    They drain as `field_cases.DIRECTIONS`. From a slope beside a river water runs down diagonally, a pixel down the
    river for each pixel towards it.
    """
    row, column = np.mgrid[: 6 * PIXELS, : 6 * PIXELS]
    main = 5 * PIXELS + PIXELS // 2
    river = row // PIXELS * PIXELS + PIXELS // 2
    beside = FLAT * ((main - column) + (6 * PIXELS - river)) + STEEP * np.abs(row - river)
    along_main = FLAT * (6 * PIXELS - row) + STEEP * np.abs(column - main)
    return np.where(column < main, np.minimum(beside, along_main), along_main).astype(np.float32)
