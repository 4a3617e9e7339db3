"""Rasters sampled at the centres of the active cells, nearest neighbour.

A GeoTIFF of rain is small, and nine tenths of the time to open it go into decoding its coordinate reference system.
An archive repeats one and the same georeference thousands of times, so its bytes are compared first (the tags of TIFF
6.0 and GeoTIFF 1.1 that carry it), and GDAL decodes it once for each distinct one. A file whose bytes cannot be
compared (BigTIFF, world file) is opened in the slow way, with the same result.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.grid import Grid, crs_to_wkt
from hydrocli.errors import InputError

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 12: 8}
_IMAGE_SIZE, _GEOREFERENCE = {256, 257}, {33550, 33922, 34264, 34735, 34736, 34737}
_ENTRY = "HHI4s"
_PLAIN = {"driver": "GTiff", "GEOREF_SOURCES": "NONE"}


@contextmanager
def quick_opening() -> Iterator[None]:
    """Settings under which `RasterReader.read` works, and fast: no file looks for companions in its folder."""
    with warnings.catch_warnings(), rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


class UnreadableError(InputError):
    """A raster that is not there, or cannot be decoded."""


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Raise what goes wrong inside as `UnreadableError` of that path."""
    try:
        yield
    except (RasterioIOError, OSError, struct.error) as error:
        if not Path(path).exists():
            raise UnreadableError(str(path), "does not exist, or not any more") from error
        remedy = "Replace it by a sound copy, or remove it."
        raise UnreadableError(str(path), f"cannot be read as a raster ({error})", remedy) from error


@dataclass(frozen=True)
class Sampling:
    """Which pixels of a raster hold the active cells: a window of it, and places in the window.

    Attributes:
        window: of the raster, that just holds the cells.
        place: int64[k], position in the flattened window of the k active cells that the raster covers.
        covered: bool[n], which active cells these are.
    """

    window: Window
    place: Integers
    covered: NDArray[np.bool_]

    @classmethod
    def of(cls, raster: Grid, grid: Grid, x: Floats, y: Floats, where: str) -> Sampling:
        """Pixels of `raster` that hold the points x, y of the CRS of `grid`."""
        row, column = raster.cells_at(*grid.reproject(raster.crs_wkt, x, y))
        covered = raster.contains(row, column)
        if not covered.any():
            raise InputError(where, "covers no active cell", "Are its coordinate reference system and extent right?")
        row, column = row[covered], column[covered]
        top, left, width = int(row.min()), int(column.min()), int(np.ptp(column)) + 1
        return cls(Window(left, top, width, int(np.ptp(row)) + 1), (row - top) * width + column - left, covered)


@dataclass(frozen=True)
class RasterReader:
    """Reads rasters at the n active cells.

    Attributes:
        grid: of the network.
        x: float64[n], centres of the active cells.
        y: float64[n], likewise.
        crs: of rasters that do not tell theirs; None refuses them.
        unreadable_as_missing: whether a broken file counts as a missing one instead of ending the work.
    """

    grid: Grid
    x: Floats
    y: Floats
    crs: str | None = None
    unreadable_as_missing: bool = False
    _samplings: dict[bytes, Sampling] = field(default_factory=dict, compare=False, repr=False)

    def read(self, path: str | Path) -> Floats:
        """Values at the active cells, float64[n]: scale and offset of the band applied, NaN where missing.

        To be called within `quick_opening()`.
        """
        try:
            with reading(path):
                return self._read(str(path))
        except UnreadableError:
            if not self.unreadable_as_missing:
                raise
            return np.full(len(self.x), np.nan)

    def sampling(self, path: str) -> Sampling:
        """Which pixels of a raster hold the active cells."""
        return Sampling.of(raster_grid(path, self.crs), self.grid, self.x, self.y, path)

    def _read(self, path: str) -> Floats:
        key = _georeference(path)
        sampling = self._samplings.get(key) if key else None
        if sampling is None:
            sampling = self.sampling(path)
            if key:
                self._samplings[key] = sampling
        with DatasetReader(path, sharing=False, **(_PLAIN if key else {})) as dataset:
            values = _values(dataset, sampling)
        if len(values) == len(self.x):
            return values
        result = np.full(len(self.x), np.nan)
        result[sampling.covered] = values
        return result


def raster_grid(path: str | Path, crs: str | None) -> Grid:
    """Grid of a raster; `crs` counts where the raster tells none.

    Raises:
        InputError: for a missing or broken file, several bands, no georeference, or no CRS.
    """
    try:
        with reading(path), warnings.catch_warnings():
            warnings.simplefilter("error", NotGeoreferencedWarning)
            # A world file beside the raster is found by its name, whatever the settings around.
            with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), rasterio.open(path) as dataset:
                wkt, transform, shape, bands = dataset.crs, dataset.transform, dataset.shape, dataset.count
    except NotGeoreferencedWarning as error:
        remedy = "Give it a transform, with gdal_edit for instance."
        raise InputError(str(path), "is not georeferenced", remedy) from error
    if bands != 1:
        raise InputError(str(path), f"has {bands} bands, one is expected")
    if not wkt and crs is None:
        remedy = "Tell it with `basin.crs`, for instance EPSG:2154."
        raise InputError(str(path), "does not tell its coordinate reference system", remedy)
    return Grid(wkt.to_wkt() if wkt else crs_to_wkt("basin.crs", str(crs)), tuple(transform)[:6], *shape)


def read_whole(path: str | Path) -> tuple[NDArray[np.generic], float | None]:
    """All values of the one band of a raster [height, width], and its nodata value."""
    with reading(path), rasterio.open(path) as dataset:
        return dataset.read(1), dataset.nodata


def _values(dataset: DatasetReader, sampling: Sampling) -> Floats:
    """The pixels wanted of the only band, in float64, NaN where it holds nodata."""
    if dataset.count != 1:
        raise InputError(dataset.name, f"has {dataset.count} bands, one is expected")
    raw = dataset.read(1, window=sampling.window).take(sampling.place)
    values = raw.astype(np.float64)
    nodata, scale, offset = dataset.nodata, dataset.scales[0], dataset.offsets[0]
    if nodata is not None:
        values[raw == nodata] = np.nan
    return values if (scale, offset) == (1.0, 0.0) else values * scale + offset


def _georeference(path: str) -> bytes:
    """The bytes that say where a TIFF lies and how large it is; empty where they cannot be told."""
    with open(path, "rb") as file:  # noqa: PTH123 - thousands of times
        head = file.read(8)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
        if order is None:
            return b""
        file.seek(struct.unpack(order + "4xI", head)[0])
        entries = file.read(12 * struct.unpack(order + "H", file.read(2))[0])
        parts, is_placed = [head[:4]], False
        for tag, kind, count, value in struct.iter_unpack(order + _ENTRY, entries):
            if tag in _GEOREFERENCE:
                is_placed = True
                file.seek(struct.unpack(order + "I", value)[0])
                value = file.read(count * _SIZES.get(kind, 1))
            elif tag not in _IMAGE_SIZE:
                continue
            parts.append(struct.pack("HHI", tag, kind, count) + value)
    return b"".join(parts) if is_placed else b""
