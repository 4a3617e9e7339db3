"""From the pixels of a regular grid to the cells of the model: mean over the area of a cell, nearest, or bilinear.

By default a cell has the mean of the pixels that it covers where these are smaller than the cell, or as large and
shifted against it; else the value of the pixel that holds its centre. A mean weights each pixel by the share of the
cell that it covers; it is missing where less than half of the cell has values.

Pixels and cells may have different coordinate reference systems. Within a cell the transformation is taken as linear:
over 1 km its curvature is less than a metre. Where the axes of both grids are parallel, shares are exact; else they are
counted on a lattice of points, `LATTICE` to a pixel in each direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats, Integers
from hydrocli.basin.grid import Grid
from hydrocli.errors import InputError

FINER = 1.05
"""Pixels to a cell from which a grid counts as finer."""
SHIFTED = 0.05
"""Share of a cell from which a grid of the same resolution counts as shifted."""
LATTICE = 4
FINEST_LATTICE = 64
AT_ONCE = 5_000_000
"""Weights that are computed at a time."""
EXACT = 6
"""Decimals of a pixel: edges nearer than this to each other are one."""
ENOUGH = 0.5
"""Share of a cell with values from which it has a mean."""
NO_CELL, CHECK_EXTENT = "covers no active cell", "Are its coordinate reference system and extent right?"


@dataclass(frozen=True)
class Points:
    """Where fields are sampled: the active cells of a basin, or of many.

    Attributes:
        grid: of the cells; its CRS is that of x and y.
        x: float64[n], centres of the cells.
        y: float64[n], likewise.
        crs: of files that name none, or one that nothing can be transformed to; None refuses them.
    """

    grid: Grid
    x: Floats
    y: Floats
    crs: str | None = None

    def __len__(self) -> int:
        return len(self.x)


class _Cells(NamedTuple):
    """Cells in columns and rows of a raster: float64[n] each, counted from its upper left corner.

    Attributes:
        column, row: of the centre.
        right: change of (column, row) over the width of the cell.
        down: change over its height.
    """

    column: Floats
    row: Floats
    right: tuple[Floats, Floats]
    down: tuple[Floats, Floats]

    @property
    def is_parallel(self) -> bool:
        """Whether the axes of both grids have the same directions."""
        across = np.nanmax(np.abs([self.right[1], self.down[0]]))
        return bool(across < 10.0**-EXACT)

    @property
    def pixels(self) -> Floats:
        """Size of a cell in pixels."""
        return np.abs(self.right[0] * self.down[1] - self.right[1] * self.down[0])

    def part(self, low: int, high: int) -> _Cells:
        """Some of the cells."""
        pair = (tuple(values[low:high] for values in change) for change in (self.right, self.down))
        return _Cells(self.column[low:high], self.row[low:high], *pair)  # type: ignore[arg-type]


class _Weights(NamedTuple):
    """Shares of pixels in cells, one after the other: cell, row and column of the raster, weight."""

    cell: Integers
    row: Integers
    column: Integers
    weight: Floats


@dataclass(frozen=True)
class Sampling:
    """How the cells of a model get their values from a window of a raster.

    Attributes:
        rows, columns: the window, which just holds the pixels needed.
        covered: bool[n], which cells get values.
        label: what is done, in words.
        place: int64[k], position in the flattened window of the pixel of each covered cell, where each has one.
        weights: scipy CSR matrix [n, pixels of the window], where cells have several.
    """

    rows: slice
    columns: slice
    covered: Flags
    label: str
    place: Integers | None = None
    weights: Any = None

    @classmethod
    def of(cls, raster: Grid, points: Points, where: str, resampling: str | None = None) -> Sampling:
        """The sampling of a raster at the cells of a model.

        Args:
            raster: regular grid of the file, of any orientation.
            points: centres of the cells, and their grid.
            where: names the file, for messages.
            resampling: mean, nearest, bilinear; None for the default, see the module.

        Raises:
            InputError: it covers no cell, or there is no transformation between the two CRS.
        """
        if resampling == "nearest":
            return _nearest(raster, points, where)
        cells = _cells_in(raster, points, where)
        if resampling == "bilinear":
            return _weighted(raster, cells, _bilinear(cells), "bilinear between the centres of pixels", where)
        label = _label_of_mean(cells, is_asked=resampling == "mean")
        return _weighted(raster, cells, _mean(cells), label, where) if label else _nearest(raster, points, where)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the window."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def values(self, window: NDArray[Any], decode: Callable[[NDArray[Any]], Floats] = lambda values: values) -> Floats:
        """Values [..., n] of the cells from those of the window [..., rows, columns]; NaN where missing.

        Args:
            window: as read.
            decode: makes values with NaN of them, in an array of its own; of no more of them than are needed.
        """
        flat = window.reshape(*window.shape[:-2], -1)
        if self.place is not None:
            if len(self.place) == len(self.covered):
                return decode(flat.take(self.place, axis=-1))
            place = np.zeros(len(self.covered), np.int64)
            place[self.covered] = self.place
            result = decode(flat.take(place, axis=-1))
            result[..., ~self.covered] = np.nan
            return result
        flat = decode(flat)
        lines = flat.reshape(-1, flat.shape[-1]).T
        known = np.isfinite(lines)
        total = self.weights @ np.where(known, lines, 0.0)
        share = self.weights @ known.astype(np.float64)
        result = np.where(share >= ENOUGH - 1e-9, total / np.maximum(share, 1e-9), np.nan)
        return result.T.reshape(*flat.shape[:-1], len(self.covered))


def _cells_in(raster: Grid, points: Points, where: str) -> _Cells:
    """The cells in columns and rows of a raster, NaN where a cell has no place in its CRS."""
    width, height = points.grid.transform[0] / 2, points.grid.transform[4] / 2
    x = np.concatenate([points.x, points.x - width, points.x + width, points.x, points.x])
    y = np.concatenate([points.y, points.y, points.y, points.y - height, points.y + height])
    x, y = points.grid.reproject(raster.crs_wkt, x, y, where)
    if raster.is_geographic:  # edges of a cell on either side of Greenwich, or of the date line, stay with its centre
        centre, x = x[: len(points)], np.where(np.isfinite(x), x, np.nan).reshape(5, -1)
        x = (wrapped(raster, centre) + (x - x[0] + 180.0) % 360.0 - 180.0).ravel()
    column, row = _positions(raster, x, y)
    column[~np.isfinite(column)] = row[~np.isfinite(row)] = np.nan
    columns, rows = column.reshape(5, -1), row.reshape(5, -1)
    if not np.isfinite(columns.sum(axis=0) + rows.sum(axis=0)).any():
        raise InputError(where, NO_CELL, CHECK_EXTENT)
    return _Cells(columns[0], rows[0], *((columns[k + 1] - columns[k], rows[k + 1] - rows[k]) for k in (1, 3)))


def _positions(raster: Grid, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Column and row, with fractions, of points of a raster's CRS."""
    a, b, c, d, e, f = raster.transform
    across, down = x - c, y - f
    determinant = a * e - b * d
    with np.errstate(invalid="ignore"):  # points that could not be transformed are infinite
        return (e * across - b * down) / determinant, (a * down - d * across) / determinant


def wrapped(raster: Grid, x: Floats) -> Floats:
    """Longitudes within those of a geographic raster, which may run from 0 to 360; others as they are."""
    a, _, c = raster.transform[:3]
    if not raster.is_geographic:
        return x
    west, east = min(c, c + a * raster.width), max(c, c + a * raster.width)
    return np.where(np.isfinite(x) & ((x < west) | (x > east)), west + (x - west) % 360.0, x)


def _nearest(raster: Grid, points: Points, where: str) -> Sampling:
    x, y = points.grid.reproject(raster.crs_wkt, points.x, points.y, where)
    row, column = raster.cells_at(wrapped(raster, x), y)
    covered = raster.contains(row, column)
    rows, columns = _window(row[covered], column[covered], where)
    place = (row[covered] - rows.start) * (columns.stop - columns.start) + column[covered] - columns.start
    return Sampling(rows, columns, covered, "value at the centre of a cell", place)


def _window(row: Integers, column: Integers, where: str) -> tuple[slice, slice]:
    """The rows and columns that just hold some pixels; raises InputError where there is none."""
    if not len(row):
        raise InputError(where, NO_CELL, CHECK_EXTENT)
    return slice(int(row.min()), int(row.max()) + 1), slice(int(column.min()), int(column.max()) + 1)


def _label_of_mean(cells: _Cells, *, is_asked: bool) -> str:
    """Why cells have the mean of pixels; empty where they have the nearest."""
    pixels = float(np.nanmedian(cells.pixels))
    if pixels > FINER or is_asked:
        return f"mean over a cell ({pixels:.3g} pixels)"
    shift = [float(np.nanmedian(np.abs(at % 1.0 - 0.5))) for at in (cells.column, cells.row)]
    is_same = cells.is_parallel and pixels > 1 / FINER
    if is_same and max(shift) > SHIFTED:
        return f"mean over a cell (the grid is shifted by {shift[0]:.2g} x {shift[1]:.2g} of a cell)"
    return ""


def _mean(cells: _Cells) -> Iterator[_Weights]:
    """Shares of the cells that pixels cover."""
    size = 1 + int(AT_ONCE / (np.nanmax(cells.pixels) + 10))
    for low in range(0, len(cells.column), size):
        part = cells.part(low, low + size)
        yield from _overlaps(part, low) if cells.is_parallel else _counts(part, low)


def _overlaps(cells: _Cells, first: int) -> Iterator[_Weights]:
    """Exact shares, where the axes are parallel."""
    parts = []
    for centre, change in ((cells.row, cells.down[1]), (cells.column, cells.right[0])):
        low, high = (np.round(centre + side * np.abs(change) / 2, EXACT) for side in (-1, 1))
        start = np.floor(low)
        count = int(np.max(np.ceil(high) - start, initial=1, where=np.isfinite(high)))
        pixel = start[:, None] + np.arange(count)
        share = np.minimum(high[:, None], pixel + 1) - np.maximum(low[:, None], pixel)
        parts.append((pixel, np.clip(share, 0.0, None) / (high - low)[:, None]))
    (row, down), (column, across) = parts
    weight = down[:, :, None] * across[:, None, :]
    cell, k, j = np.nonzero(weight > 0)  # NaN, of cells that could not be transformed, is not
    yield _Weights(cell + first, row[cell, k].astype(np.int64), column[cell, j].astype(np.int64), weight[cell, k, j])


def _counts(cells: _Cells, first: int) -> Iterator[_Weights]:
    """Shares counted on a lattice of points in each cell, as fine as its pixels need."""
    span = np.maximum(*(np.abs(right) + np.abs(down) for right, down in zip(cells.right, cells.down, strict=True)))
    span = np.where(np.isfinite(span), span, 1.0)
    sides = np.clip(LATTICE * 2.0 ** np.ceil(np.log2(np.maximum(span, 1e-9))), LATTICE, FINEST_LATTICE).astype(int)
    for side in np.unique(sides).tolist():
        members = np.flatnonzero((sides == side) & np.isfinite(cells.column) & np.isfinite(cells.row))
        u = (np.arange(side) + 0.5) / side - 0.5
        u, v = (axis.ravel() for axis in np.meshgrid(u, u))
        for group in np.array_split(members, 1 + len(members) * side**2 // AT_ONCE):
            column, row = (
                np.floor(centre[group, None] + right[group, None] * u + down[group, None] * v).astype(np.int64).ravel()
                for centre, right, down in zip((cells.column, cells.row), cells.right, cells.down, strict=True)
            )
            yield _Weights(np.repeat(group + first, side**2), row, column, np.full(len(row), 1.0 / side**2))


def _bilinear(cells: _Cells) -> Iterator[_Weights]:
    """Of the four pixels whose centres surround that of a cell."""
    placed = np.flatnonzero(np.isfinite(cells.column) & np.isfinite(cells.row))
    column, row = (at[placed] - 0.5 for at in (cells.column, cells.row))
    left, top = np.floor(column), np.floor(row)
    for k in (0, 1):
        for j in (0, 1):
            weight = np.abs(1 - k - (row - top)) * np.abs(1 - j - (column - left))
            yield _Weights(placed, (top + k).astype(np.int64), (left + j).astype(np.int64), weight)


def _weighted(raster: Grid, cells: _Cells, parts: Iterator[_Weights], label: str, where: str) -> Sampling:
    # Not at the top: a basin that is found in its store samples nothing.
    from scipy.sparse import csr_matrix

    kept = []
    goes_around = raster.is_geographic and abs(raster.transform[0]) * (raster.width + 0.5) > 360.0
    for part in parts:
        at = part.column % raster.width if goes_around else part.column
        inside = raster.contains(part.row, at) & (part.weight > 0)
        kept.append((part.cell[inside], part.row[inside], at[inside], part.weight[inside]))
    cell, row, column, weight = (np.concatenate(values) for values in zip(*kept, strict=True))
    rows, columns = _window(row, column, where)
    width, size = columns.stop - columns.start, (rows.stop - rows.start) * (columns.stop - columns.start)
    place = (row - rows.start) * width + column - columns.start
    weights = csr_matrix((weight, (cell, place)), shape=(len(cells.column), size))  # adds what is there twice
    covered = np.asarray(weights.sum(axis=1)).ravel() >= ENOUGH - 1e-9
    if not covered.any():
        raise InputError(where, NO_CELL, CHECK_EXTENT)
    return Sampling(rows, columns, covered, label, None, weights)
