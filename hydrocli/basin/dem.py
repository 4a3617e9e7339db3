"""Terrain from elevations: flow directions of the model, and descriptors.

pyflwdir does the hydrology. Depressions are filled and each pixel drains along the steepest way to the edge of the data
(Wang and Liu 2006). The directions are scaled up to the cells of the model by iterative hydrography upscaling (Eilander
et al. 2021), which keeps rivers connected and the areas of catchments.

Pixels stay as they are where a whole number of them makes a cell. Else the elevations are resampled to such pixels, of
about their own size, in the coordinate reference system of the model. Cells begin at multiples of their size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats
from hydrocli.basin.grid import Grid, crs_to_wkt
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.errors import InputError

NODATA = np.float32(-9999.0)
"""Of elevations here; pyflwdir knows no NaN."""
LOWEST, HIGHEST = -12_000.0, 9_000.0
"""Metres, beyond those of the earth."""
FILL_VALUES = (-999.0, -9999.0, -32767.0, -32768.0)
"""Numbers that are elevations of no land."""
WHOLE = 1e-3
"""Share of a pixel up to which numbers of pixels count as whole."""
TILES = (".tif", ".tiff", ".asc", ".img", ".hgt", ".bil", ".flt")
"""Suffixes of tiles in a folder."""
COARSER = 1.05
"""Size of a pixel in cells from which a model is finer than its elevations."""


@dataclass(frozen=True)
class DemSource:
    """Elevations and the grid of the model.

    Attributes:
        path: raster of one band [m], or folder of such rasters, tiles of one grid.
        resolution: of the cells of the model, in units of its CRS; None: only descriptors are made.
        grid_crs: of the model; None: that of the raster.
        crs: of the raster, whatever it names.
        nodata: further values that mean missing.
        stream_area: drained area from which a stream begins [km2].
    """

    path: Path
    resolution: float | None = None
    grid_crs: str | None = None
    crs: str | None = None
    nodata: tuple[float, ...] = ()
    stream_area: float = 1.0


@dataclass(frozen=True, eq=False)
class Terrain:
    """Elevations, and how water runs over them.

    Attributes:
        source: of the elevations.
        grid: of the pixels.
        elevation: float32[height, width] [m], `NODATA` where there is none.
        filled: likewise, without depressions.
        flow: directions of the pixels, a FlwdirRaster of pyflwdir.
        pixels: of them make a side of a cell of the model.
    """

    source: DemSource
    grid: Grid
    elevation: NDArray[np.float32]
    filled: NDArray[np.float32]
    flow: Any
    pixels: int

    @classmethod
    def read(cls, source: DemSource, default_crs: str | None = None) -> Terrain:
        """Read elevations, resample them where needed, and find the way of the water.

        Args:
            source: see there.
            default_crs: of a raster that names none.

        Raises:
            InputError: the raster cannot be read, has undeclared fill values, or does not fit the model's grid.
        """
        import pyflwdir
        from pyflwdir.dem import fill_depressions

        grid, elevation = _read(source, default_crs)
        pixels = 1
        if source.resolution is not None:
            grid, elevation, pixels = _on_grid(grid, elevation, source.resolution, source)
        _require_metres(grid, source)
        filled, codes = fill_depressions(elevation, nodata=NODATA)
        try:
            flow = pyflwdir.from_array(
                codes, ftype="d8", check_ftype=False, transform=grid.affine, latlon=grid.is_geographic
            )
        except ValueError as error:
            what = f"gives no flow directions ({error})"
            raise InputError(str(source.path), what, "Does it hold the elevations of a region?") from error
        return cls(source, grid, elevation, filled, flow, pixels)

    @cached_property
    def drained_area(self) -> Floats:
        """Of each pixel, itself included [km2], float64[height, width]; 0 where there is no elevation."""
        from pyflwdir.streams import accuflux

        area = np.where(self.elevation != NODATA, self.grid.cell_area_of_rows()[:, None] / 1e6, 0.0)
        return np.asarray(accuflux(self.flow.idxs_ds, self.flow.idxs_seq, area.ravel(), -1.0)).reshape(self.grid.shape)

    def drainage(self) -> Drainage:
        """The drainage of the cells of the model, scaled up."""
        from pyflwdir.core import idxs_seq

        flow, shape, fine_area = self.flow, self.grid.shape, None
        if self.pixels > 1:
            try:
                flow, outlets = self.flow.upscale(self.pixels, method="ihu", uparea=self.drained_area)
            except ValueError as error:
                what = f"cannot be scaled up to cells of {self.pixels} pixels ({error})"
                raise InputError(str(self.source.path), what, "Is the DEM larger than some cells?") from error
            shape = flow.shape
            fine_area = np.where(outlets >= 0, self.drained_area.ravel()[outlets], 0.0) * 1e6
        a, b, c, d, e, f = self.grid.transform
        cells = Grid(self.grid.crs_wkt, (a * self.pixels, b, c, d, e * self.pixels, f), *shape)
        below = np.asarray(flow.idxs_ds, np.int32).ravel()
        order = idxs_seq(below, np.flatnonzero(below == np.arange(below.size)).astype(np.int32))
        return replace(Drainage.of(below, order, cells, str(self.source.path)), fine_area=fine_area)

    @cached_property
    def _streams(self) -> Flags:
        return self.drained_area >= self.source.stream_area

    def derived(self, name: str) -> Floats:
        """A descriptor of the pixels float64[height, width], NaN where there is none; `DERIVED` has names and units."""
        values = {
            "elevation": lambda: self.elevation,
            "slope": self._slope,
            "drainage_density": self._drainage_density,
            "height_above_drainage": self._height_above_drainage,
        }[name]()
        return np.where(self.elevation == NODATA, np.nan, values.astype(np.float64))

    def _slope(self) -> NDArray[Any]:
        """Of the elevations as they are [m/m]."""
        from pyflwdir.dem import slope

        return np.asarray(slope(self.elevation, NODATA, self.grid.is_geographic, self.grid.transform))

    def _drainage_density(self) -> NDArray[Any]:
        """Length of the way from each pixel of a stream to the next, per area of the pixel [km/km2]."""
        streams, below = np.flatnonzero(self._streams), self.flow.idxs_ds
        length = np.zeros(below.size)
        length[streams] = _lengths(self.grid, streams, below[streams]) / 1e3
        return np.asarray(length.reshape(self.grid.shape) / (self.grid.cell_area_of_rows()[:, None] / 1e6))

    def _height_above_drainage(self) -> NDArray[Any]:
        """Height of each pixel above the one of a stream, or outlet, that its water reaches first [m].

        `hand` of pyflwdir is the same, and a loop of Python over all pixels.
        """
        from pyflwdir.core import fillnodata_upstream

        below, order, pixel = self.flow.idxs_ds, self.flow.idxs_seq, np.arange(self.flow.size, dtype=np.int32)
        drain = np.where(self._streams.ravel() | (below == pixel), pixel, np.int32(-1))
        reached = fillnodata_upstream(below, order, drain, np.int32(-1))
        height = self.filled.ravel().astype(np.float64)
        return np.asarray((height - height[reached]).reshape(self.grid.shape))


def _lengths(grid: Grid, start: NDArray[np.integer], end: NDArray[np.integer]) -> Floats:
    """Distances between the centres of pixels, by their flat indices [m]."""
    from pyflwdir.gis_utils import degree_metres_x, degree_metres_y

    (row, column), (row_end, column_end) = (np.divmod(at, grid.width) for at in (start, end))
    down, across = (np.abs(row_end - row) * grid.transform[4], np.abs(column_end - column) * grid.transform[0])
    if grid.is_geographic:
        latitude = grid.transform[5] + (row + row_end + 1) / 2 * grid.transform[4]
        down, across = down * degree_metres_y(latitude), across * degree_metres_x(latitude)
    return np.asarray(np.hypot(down, across))


def distance_to_outlet(drainage: Drainage, network: DrainageNetwork) -> Floats:
    """Distance along the flow from the centre of each of n cells to that of the outlet of its domain [km]."""
    from pyflwdir.streams import stream_distance

    whole = drainage.grid
    row, column = whole.cells_at(network.x, network.y)
    cells = row * whole.width + column
    below = drainage.below.copy()
    outlets = cells[network.downstream < 0]
    below[outlets] = outlets
    # Cells of a network come before those that they drain to; here after them.
    latlon = whole.is_geographic
    distance = stream_distance(below, cells[::-1], whole.width, None, True, latlon, whole.transform)
    return np.asarray(distance[cells], np.float64) * (1.0 if latlon else whole.metres) / 1e3


def _read(source: DemSource, default_crs: str | None) -> tuple[Grid, NDArray[np.float32]]:
    from hydrocli.basin.readers.geotiff import raster_grid, read_band

    where = str(source.path)
    grids = {path: raster_grid(path, default_crs, source.crs) for path in tiles_of(source.path)}
    for path, tile in grids.items():
        tile.check_north_up(str(path))
    grid = _common_grid(grids)
    values = np.full(grid.shape, np.nan, np.float32)
    for path, tile in grids.items():
        row, column = (int(at[0]) for at in grid.cells_at(*tile.centres(np.zeros(1, int), np.zeros(1, int))))
        part = values[row : row + tile.height, column : column + tile.width]
        np.copyto(part, read_band(path, 1, source.nodata), casting="same_kind", where=np.isnan(part))
    known = np.isfinite(values)
    if not known.any():
        raise InputError(where, "has no elevation", "Are `basin.dem.nodata` and the nodata value of the file right?")
    for limit in (values[known].min(), values[known].max()):
        if limit < LOWEST or limit > HIGHEST or limit in FILL_VALUES:
            count = int(np.count_nonzero(values == limit))
            what = f"has the value {limit:.9g} in {count} pixels, which is no elevation in m: a fill value?"
            raise InputError(where, what, f"Write `basin.dem.nodata: {limit:.9g}` if it means missing.")
    values[~known] = NODATA
    return grid, values


def tiles_of(path: Path) -> list[Path]:
    """The rasters of a DEM: the file, or all in a folder and below it.

    Raises:
        InputError: the folder has none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in TILES)
    if not found:
        raise InputError("basin.dem.path", f"{path} has no raster", f"Names of tiles end with {', '.join(TILES)}.")
    return found


def _common_grid(grids: Mapping[Path, Grid]) -> Grid:
    """The smallest grid that holds all tiles.

    Raises:
        InputError: one has pixels of another size, at other places, or in another coordinate reference system.
    """
    first, *_ = grids.values()
    a, _, c, _, e, f = first.transform
    corners = []
    for path, tile in grids.items():
        column, row = (tile.transform[2] - c) / a, (tile.transform[5] - f) / e
        is_same = np.allclose(np.take(tile.transform, (0, 4)), (a, e), rtol=WHOLE / max(tile.shape))
        is_same &= abs(column - round(column)) < 0.1 and abs(row - round(row)) < 0.1
        if not is_same or not _is_same(tile.crs_wkt, first.crs_wkt):
            what = f"is of another grid or coordinate reference system than {next(iter(grids)).name}"
            raise InputError(str(path), what, "Merge the tiles to one raster, for example with gdalwarp.")
        corners.append((round(row), round(column), round(row) + tile.height, round(column) + tile.width))
    (top, left), (bottom, right) = np.min(corners, axis=0)[:2].tolist(), np.max(corners, axis=0)[2:].tolist()
    return first.window(top, left, bottom - top, right - left)


def _on_grid(
    grid: Grid, elevation: NDArray[np.float32], resolution: float, source: DemSource
) -> tuple[Grid, NDArray[np.float32], int]:
    """Pixels of which a whole number makes a cell: their grid, elevations, and that number."""
    where = str(source.path)
    target = crs_to_wkt("basin.dem.grid_crs", source.grid_crs) if source.grid_crs else grid.crs_wkt
    if _is_same(target, grid.crs_wkt):
        a, e = grid.transform[0], grid.transform[4]
        if resolution > max(a * grid.width, -e * grid.height):
            unit = "degrees" if grid.is_geographic else "units"
            what = f"{resolution:g} is larger than all of {where}, {a * grid.width:g} x {-e * grid.height:g} {unit}"
            remedy = "It counts in units of the model's coordinate reference system; `basin.dem.grid_crs` chooses it."
            raise InputError("basin.dem.resolution", what, remedy)
        pixels = round(resolution / a)
        is_whole = pixels > 0 and abs(resolution - pixels * a) < WHOLE * a and abs(a + e) < WHOLE * a
        if is_whole:
            return *_padded(grid, elevation, resolution), pixels
    return _warped(grid, elevation, target, resolution, where)


def _is_same(one: str, other: str) -> bool:
    from pyproj import CRS

    return one == other or CRS.from_user_input(one) == CRS.from_user_input(other)


def _padded(grid: Grid, elevation: NDArray[np.float32], resolution: float) -> tuple[Grid, NDArray[np.float32]]:
    """Columns and rows without elevation before the first ones, so that cells begin at multiples of their size."""
    a, b, c, d, e, f = grid.transform
    left = (c - np.floor(c / resolution + WHOLE) * resolution) / a
    above = (np.ceil(f / resolution - WHOLE) * resolution - f) / a
    if abs(left - round(left)) > WHOLE or abs(above - round(above)) > WHOLE:  # their edges are at no such place
        return grid, elevation
    left, above = max(round(left), 0), max(round(above), 0)
    padded = np.pad(elevation, ((above, 0), (left, 0)), constant_values=NODATA)
    return Grid(grid.crs_wkt, (a, b, c - left * a, d, e, f - above * e), *padded.shape), padded


def _warped(
    grid: Grid, elevation: NDArray[np.float32], target: str, resolution: float, where: str
) -> tuple[Grid, NDArray[np.float32], int]:
    """The elevations in another coordinate reference system, or in pixels of another size."""
    from rasterio.crs import CRS
    from rasterio.errors import RasterioError
    from rasterio.warp import Resampling, reproject, transform_bounds

    source_crs, target_crs = CRS.from_wkt(grid.crs_wkt), CRS.from_wkt(target)
    a, _, c, _, e, f = grid.transform
    bounds = c, f + e * grid.height, c + a * grid.width, f
    try:
        west, south, east, north = transform_bounds(source_crs, target_crs, *bounds)
    except RasterioError as error:
        what = f"cannot be transformed to the coordinate reference system of the model ({error})"
        raise InputError(where, what, "Check `basin.dem.grid_crs` and `basin.dem.crs`.") from error
    native = _size_of_pixel(grid, target, where)
    if native > COARSER * resolution:
        what = f"{resolution:g} is finer than the elevations of {where} ({native:.6g})"
        raise InputError("basin.dem.resolution", what, "Choose cells of at least this size.")
    pixels = max(round(resolution / native), 1)
    size = resolution / pixels
    left, top = np.floor(west / resolution) * resolution, np.ceil(north / resolution) * resolution
    width, height = (int(np.ceil(span / resolution - WHOLE)) * pixels for span in (east - left, top - south))
    found = Grid(target, (size, 0.0, float(left), 0.0, -size, float(top)), height, width)
    values = np.full(found.shape, NODATA)
    reproject(
        elevation,
        values,
        src_transform=grid.affine,
        src_crs=source_crs,
        src_nodata=NODATA,
        dst_transform=found.affine,
        dst_crs=target_crs,
        dst_nodata=NODATA,
        resampling=Resampling.average if size > 1.5 * native else Resampling.bilinear,
    )
    return found, values, pixels


def _size_of_pixel(grid: Grid, target: str, where: str) -> float:
    """Side of the square of the area of the pixel in the middle, in units of another coordinate reference system."""
    row, column = np.array([0, 0, 1]) + grid.height // 2, np.array([0, 1, 0]) + grid.width // 2
    x, y = grid.reproject(target, *grid.centres(row, column), where)
    return float(np.sqrt(abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))))


def _require_metres(grid: Grid, source: DemSource) -> None:
    if not grid.is_geographic and abs(grid.metres - 1.0) > WHOLE:
        what = f"has a coordinate reference system in units of {grid.metres:g} m"
        remedy = "Choose one in metres with `basin.dem.grid_crs`, or warp it with gdalwarp."
        raise InputError(str(source.path), what, remedy)
