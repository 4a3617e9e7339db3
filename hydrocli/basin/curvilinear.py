"""Grids that are given by the latitudes and longitudes of their cells: each point has the value of the nearest one."""

from __future__ import annotations

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.sampling import CHECK_EXTENT, NO_CELL, Points, Sampling
from hydrocli.errors import InputError

WGS84 = "EPSG:4326"
BEYOND = 0.75
"""A point belongs to the nearest centre where it is not farther than this share of the cell's size (a half is the
middle of an edge, 0.71 a corner of a square cell)."""


def sampling_of_centres(latitude: Floats, longitude: Floats, points: Points, where: str) -> Sampling:
    """The sampling of a grid by the coordinates of its cells.

    Args:
        latitude: of the centres [height, width], degrees of WGS 84; NaN where a cell has none.
        longitude: likewise.
        points: centres of the cells of a model.
        where: names the file, for messages.

    Raises:
        InputError: it covers no point.
    """
    from scipy.spatial import cKDTree

    centres, width = _on_sphere(latitude, longitude), latitude.shape[1]
    east, north = points.grid.reproject(WGS84, points.x, points.y, where)
    wanted = _on_sphere(north, east)
    placed = np.asarray(np.isfinite(wanted).all(axis=1))
    size = _sizes(centres)
    # Only centres near the points: a tree of a whole continent takes seconds.
    middle = wanted[placed].mean(axis=0)
    reach = np.linalg.norm(wanted[placed] - middle, axis=1).max(initial=0.0) + 2 * np.nanmax(size)
    near = np.flatnonzero(np.linalg.norm(centres.reshape(-1, 3) - middle, axis=1) <= reach)  # NaN is not
    if not near.size:
        raise InputError(where, NO_CELL, CHECK_EXTENT)
    distance, nearest = cKDTree(centres.reshape(-1, 3)[near]).query(np.where(placed[:, None], wanted, 9.0))
    cell = near[nearest]
    covered = distance <= BEYOND * size.ravel()[cell]
    if not covered.any():
        raise InputError(where, NO_CELL, CHECK_EXTENT)
    row, column = cell[covered] // width, cell[covered] % width
    rows, columns = slice(int(row.min()), int(row.max()) + 1), slice(int(column.min()), int(column.max()) + 1)
    place = (row - rows.start) * (columns.stop - columns.start) + column - columns.start
    return Sampling(rows, columns, covered, "value of the nearest centre of a curvilinear grid", place)


def _on_sphere(latitude: Floats, longitude: Floats) -> Floats:
    """Points of the unit sphere, float64[..., 3]."""
    up, around = np.radians(np.asarray(latitude, np.float64)), np.radians(np.asarray(longitude, np.float64))
    with np.errstate(invalid="ignore"):  # points that could not be transformed are infinite
        return np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)


def _sizes(centres: Floats) -> Floats:
    """Larger of the distances to the next centres in both directions, of each cell [height, width]."""
    sizes = np.zeros(centres.shape[:2])
    for axis in (0, 1):
        steps = np.linalg.norm(np.diff(centres, axis=axis), axis=-1)
        first, last = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        first[axis], last[axis] = (1, 0), (0, 1)
        sizes = np.fmax(sizes, np.fmax(np.pad(steps, first), np.pad(steps, last)))
    return sizes
