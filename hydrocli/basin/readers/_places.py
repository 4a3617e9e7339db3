"""Which values of a gridded field hold the points: of a regular grid, or one given by the centres of its cells.

Shared by the formats whose fields are arrays; the value of a point is that of the cell that holds it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats, Integers
from hydrocli.basin.grid import Grid
from hydrocli.basin.readers import Points
from hydrocli.errors import InputError

WGS84 = "EPSG:4326"
BEYOND = 0.75
"""A point belongs to the nearest centre where it is not farther than this share of the cell's size (a half is the
middle of an edge, 0.71 a corner of a square cell)."""


class Tile(NamedTuple):
    """A part of a window that is read at once.

    Attributes:
        rows, columns: of the field.
        place: int64[m], positions in the flattened part of the m points that lie in it.
        number: int64[m], which of the covered points these are.
    """

    rows: slice
    columns: slice
    place: Integers
    number: Integers


class Place(NamedTuple):
    """The cells of a field that hold the points.

    Attributes:
        row, column: int64[k], of the k points that the field covers.
        covered: bool[n], which of the n points these are.
    """

    row: Integers
    column: Integers
    covered: Flags

    def tiles(self, height: int, width: int) -> list[Tile]:
        """Parts aligned with blocks of `height` x `width` cells, each no larger than its points need."""
        key = self.row // height * (int(self.column.max()) // width + 1) + self.column // width
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        tiles = []
        for number in np.split(order, starts[1:]):
            row, column = self.row[number], self.column[number]
            top, left = int(row.min()), int(column.min())
            rows, columns = slice(top, int(row.max()) + 1), slice(left, int(column.max()) + 1)
            place = (row - top) * (columns.stop - left) + column - left
            tiles.append(Tile(rows, columns, place, number))
        return tiles


def place_on_grid(grid: Grid, points: Points, path: str) -> Place:
    """Cells of a regular grid of any orientation; longitudes may run from 0 to 360.

    Raises:
        InputError: it covers no point, or its CRS is not understood; `path` names the file.
    """
    east, north = points.grid.reproject(grid.crs_wkt, points.x, points.y, path)
    if grid.is_geographic:
        across, left = grid.transform[0], grid.transform[2]
        west = min(left, left + across * grid.width)
        east = west + (east - west) % 360.0
    row, column = grid.cells_at(east, north)
    return _covering(row, column, grid.contains(row, column), path)


def place_on_centres(latitude: Floats, longitude: Floats, points: Points, path: str) -> Place:
    """Cells of a curvilinear grid [height, width] by the coordinates of their centres, in degrees of WGS 84.

    Raises:
        InputError: it covers no point; `path` names the file.
    """
    from scipy.spatial import cKDTree

    width = latitude.shape[1]
    centres = _on_sphere(latitude, longitude)
    east, north = points.grid.reproject(WGS84, points.x, points.y, path)
    wanted = _on_sphere(north, east)
    known = np.isfinite(centres).all(axis=-1).ravel()
    # Only centres near the points: a tree of a whole continent takes seconds.
    middle = wanted[np.isfinite(wanted).all(axis=1)].mean(axis=0)
    size = _sizes(centres)
    reach = np.nanmax(np.linalg.norm(wanted - middle, axis=1)) + 2 * np.nanmax(size)
    near = np.flatnonzero(known & (np.linalg.norm(centres.reshape(-1, 3) - middle, axis=1) <= reach))
    if not near.size:
        return _covering(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(len(points), bool), path)
    finite = np.where(np.isfinite(wanted), wanted, 9.0)  # far from the unit sphere
    distance, nearest = cKDTree(centres.reshape(-1, 3)[near]).query(finite)
    cell = near[nearest]
    return _covering(cell // width, cell % width, distance <= BEYOND * size.ravel()[cell], path)


def _covering(row: Integers, column: Integers, covered: Flags, path: str) -> Place:
    if not covered.any():
        raise InputError(path, "covers no active cell", "Are its coordinate reference system and extent right?")
    return Place(row[covered], column[covered], covered)


def _on_sphere(latitude: Floats, longitude: Floats) -> Floats:
    """Points of the unit sphere, float64[..., 3]."""
    up, round_ = np.radians(np.asarray(latitude, np.float64)), np.radians(np.asarray(longitude, np.float64))
    return np.stack([np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_), np.sin(up)], axis=-1)


def _sizes(centres: Floats) -> NDArray[np.float64]:
    """Larger of the distances to the next centre in both directions, of each cell [height, width]."""
    sizes = np.zeros(centres.shape[:2])
    for axis in (0, 1):
        steps = np.linalg.norm(np.diff(centres, axis=axis), axis=-1)
        first, last = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        first[axis], last[axis] = (1, 0), (0, 1)
        sizes = np.fmax(sizes, np.fmax(np.pad(steps, first), np.pad(steps, last)))
    return sizes
