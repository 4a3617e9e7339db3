"""The regular grid of a raster: where its cells are and how large.

On a projected CRS every cell has the size its transform says (in metres, whatever the unit of the CRS). On a geographic
CRS (degrees) the area of a cell is the exact area between two meridians and two parallels of the ellipsoid of the CRS
(Snyder 1987, Map projections: a working manual, eq. 3-12 with the radius of eq. 3-13). The width of a cell, which the
routing needs, is the side of the square of its area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.errors import InputError

if TYPE_CHECKING:
    import pyproj

SAME_PLACE = 0.01
"""Two CRS are taken for one where they put the cells within this share of a cell of each other."""


@dataclass(frozen=True)
class Grid:
    """Cells in rows from north to south: x = a * column + c, y = e * row + f at the upper left corner of a cell.

    Attributes:
        crs_wkt: coordinate reference system as WKT.
        transform: affine coefficients a, b, c, d, e, f as rasterio has them.
        height: number of rows.
        width: number of columns.
    """

    crs_wkt: str
    transform: tuple[float, float, float, float, float, float]
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.height, self.width

    @property
    def affine(self) -> Affine:
        """The transform: from (column, row), counted from the upper left corner, to (x, y)."""
        return Affine(*self.transform)

    @property
    def is_geographic(self) -> bool:
        """Whether the coordinates are degrees of longitude and latitude."""
        return bool(_crs(self.crs_wkt).is_geographic)

    @property
    def metres(self) -> float:
        """Length of a unit of the coordinates of a projected CRS [m]."""
        crs = _crs(self.crs_wkt)
        return float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0

    def check_north_up(self, where: str) -> None:
        """Refuse rotated rasters and rasters whose first row is the southern one.

        Raises:
            InputError: the grid is not north-up.
        """
        if not self.affine.is_rectilinear or self.affine.a <= 0 or self.affine.e >= 0:
            raise InputError(where, f"is not north-up (transform {self.transform})", "Warp it with gdalwarp first.")

    def centres(self, row: NDArray[np.integer], column: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Coordinates x, y of cell centres, float64 of the shape of `row`."""
        x, y = self.affine @ (np.asarray(column) + 0.5, np.asarray(row) + 0.5)  # type: ignore[operator]
        return np.asarray(x), np.asarray(y)

    def cells_at(self, x: Floats, y: Floats) -> tuple[Integers, Integers]:
        """Row, column of the cells that hold the points, int64 of their shape; may lie outside the grid."""
        # Not by the inverse of affine: it multiplies by rounded reciprocals, and a gauge on the edge of two cells
        # (x = 801000) would fall to either side.
        a, b, c, d, e, f = self.transform
        # Points that a transformation could not place are infinite: they lie outside, whatever the grid.
        placed = np.isfinite(x) & np.isfinite(y)
        across, down = np.where(placed, x, c) - c, np.where(placed, y, f) - f
        determinant, outside = a * e - b * d, -(2**31)
        column = np.where(placed, np.floor((e * across - b * down) / determinant), outside)
        row = np.where(placed, np.floor((a * down - d * across) / determinant), outside)
        return row.astype(np.int64), column.astype(np.int64)

    def contains(self, row: Integers, column: Integers) -> NDArray[np.bool_]:
        """Whether the cells lie in the grid."""
        return (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)

    def window(self, row: int, column: int, height: int, width: int) -> Grid:
        """The part of the grid whose upper left cell is (row, column)."""
        moved = self.affine @ Affine.translation(column, row)
        return Grid(self.crs_wkt, tuple(moved)[:6], height, width)

    def cell_area_of_rows(self) -> Floats:
        """Area in m2 of a cell of each row, float64[height]."""
        affine, crs = self.affine, _crs(self.crs_wkt)
        if not crs.is_geographic:
            return np.full(self.height, abs(affine.determinant) * self.metres**2)
        edges = np.radians(np.clip(affine.f + affine.e * np.arange(self.height + 1), -90.0, 90.0))
        return np.radians(abs(affine.a)) * np.abs(np.diff(_area_to_equator(edges, crs)))

    def reproject(self, crs: str, x: Floats, y: Floats, where: str) -> tuple[Floats, Floats]:
        """Points of this grid's CRS in the CRS of the file `where`; unchanged where the two are one."""
        return transform_points(self.crs_wkt, crs, x, y, self.transform[0], where)


def equal_area(latitude: float, longitude: float, name: str) -> str:
    """WKT of Lambert's azimuthal equal-area projection about a point on the ellipsoid of WGS 84, in metres."""
    from pyproj.crs import ProjectedCRS
    from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion

    return str(ProjectedCRS(LambertAzimuthalEqualAreaConversion(latitude, longitude), name).to_wkt())


def transform_points(
    source: str, target: str, x: Floats, y: Floats, cell: float, where: str = "coordinate reference systems"
) -> tuple[Floats, Floats]:
    """Points of one CRS in another.

    Archives often describe one projection in several ways (with or without a name, an authority code, a datum), so
    that no comparison of texts finds equal CRS: points that hardly move in a transformation stay where they are.

    Args:
        source: CRS of the points, anything pyproj understands.
        target: CRS wanted.
        x: coordinates, east.
        y: coordinates, north.
        cell: size of a cell in units of the source.
        where: key or file that names a CRS, for messages.

    Raises:
        InputError: no transformation between the two is known.
    """
    if source == target:
        return x, y
    import pyproj

    try:
        transformer = _transformer(source, target)
    except pyproj.exceptions.ProjError as error:
        names = " and ".join(repr(_name_of(crs)) for crs in (source, target))
        remedy = "Assign a known one to the file, for example with gdal_edit -a_srs EPSG:2154."
        raise InputError(where, f"no transformation is known between {names}", remedy) from error
    moved_x, moved_y = (np.asarray(moved) for moved in transformer.transform(x, y))
    stays = (np.abs(moved_x - x) < SAME_PLACE * abs(cell)) & (np.abs(moved_y - y) < SAME_PLACE * abs(cell))
    return (x, y) if stays.all() else (moved_x, moved_y)


def latitudes(grid: Grid, x: Floats, y: Floats) -> Floats:
    """Geographic latitude in degrees of points of the grid's CRS."""
    if grid.is_geographic:
        return np.asarray(y, float)
    return np.asarray(_transformer(grid.crs_wkt, "EPSG:4326").transform(x, y)[1])


def crs_to_wkt(where: str, crs: str) -> str:
    """WKT of a CRS given as EPSG code, PROJ string or WKT.

    Raises:
        InputError: pyproj does not know it; `where` names the key or file.
    """
    import pyproj

    try:
        return str(pyproj.CRS.from_user_input(crs).to_wkt())
    except pyproj.exceptions.CRSError as error:
        raise InputError(where, f"unknown coordinate reference system {crs!r}", "Write it like EPSG:2154.") from error


def crs_of_file(found: str, stated: str | None, default: str | None, where: str) -> str:
    """WKT of the CRS of a file.

    Args:
        found: WKT that the file has; empty where it has none.
        stated: what the configuration says of this file, whatever it has; None: nothing.
        default: of files that have none, or one that nothing can be transformed to.
        where: the file.

    Raises:
        InputError: none of them is usable.
    """
    import pyproj

    if stated is not None:
        return crs_to_wkt("crs", stated)
    try:
        if found and not _crs(found).is_engineering:
            return found
        why = "is a local (engineering) system, which cannot be transformed"
    except pyproj.exceptions.CRSError:
        why = "is not known to PROJ"
    if default is not None:
        return crs_to_wkt("basin.crs", default)
    remedy = "State it with `crs` beside its path, or with `basin.crs`, for example EPSG:2154."
    if not found:
        raise InputError(where, "does not name its coordinate reference system", remedy)
    raise InputError(where, f"has a coordinate reference system {_name_of(found)!r} that {why}", remedy)


def describe(points: Sequence[tuple[int, int]], grid: Grid, limit: int = 10) -> str:
    """Cells in words for messages: row, column, x, y; at most `limit` of them."""
    rows, columns = (np.array(values) for values in zip(*points[:limit], strict=True))
    x, y = grid.centres(rows, columns)
    cells = "; ".join(
        f"row {r} column {c} (x {px:.10g}, y {py:.10g})" for r, c, px, py in zip(rows, columns, x, y, strict=True)
    )
    return cells + (f"; and {len(points) - limit} more" if len(points) > limit else "")


def _area_to_equator(latitude: Floats, crs: pyproj.CRS) -> Floats:
    """Area in m2 between the equator and parallels, for one radian of longitude."""
    geod = crs.get_geod()
    assert geod is not None, "every geographic CRS has an ellipsoid"
    sine, eccentricity = np.sin(latitude), float(np.sqrt(geod.es))
    curved = np.arctanh(eccentricity * sine) / eccentricity if eccentricity else sine
    return geod.a**2 * (1 - geod.es) / 2 * (sine / (1 - geod.es * sine**2) + curved)


def _name_of(crs: str) -> str:
    """Of a CRS, as its text has it."""
    quoted = crs.split('"')
    return quoted[1] if len(quoted) > 1 else crs


@lru_cache(maxsize=64)
def _crs(wkt: str) -> pyproj.CRS:
    # Not at the top: a basin that is found in its store seldom needs pyproj.
    import pyproj

    return pyproj.CRS.from_user_input(wkt)


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    import pyproj

    return pyproj.Transformer.from_crs(_crs(source), _crs(target), always_xy=True)
