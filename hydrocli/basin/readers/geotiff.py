"""GeoTIFF: folder trees with one raster per time, the date in its name; and single rasters.

Fields are sampled at the centres of the active cells, nearest neighbour.

A GeoTIFF of rain is small, and nine tenths of the time to open it go into decoding its coordinate reference system.
An archive repeats one and the same georeference thousands of times, so its bytes are compared first (the tags of TIFF
6.0 and GeoTIFF 1.1 that carry it), and GDAL decodes it once for each distinct one. A file whose bytes cannot be
compared (BigTIFF, world file) is opened in the slow way, with the same result.
"""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats, Integers
from hydrocli.basin.basin import Times
from hydrocli.basin.grid import Grid, crs_to_wkt
from hydrocli.basin.readers import (
    Archive,
    ForcingSource,
    Layer,
    Points,
    UnreadableError,
    find_files,
    refuse_duplicates,
)
from hydrocli.errors import InputError

if TYPE_CHECKING:
    # Elsewhere within functions: the names of an archive are listed at every start, its files are seldom opened.
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

SUFFIXES = (".tif", ".tiff")
VECTORS = {".shp": "a Shapefile", ".geojson": "GeoJSON", ".kml": "KML", ".gpkg": "a GeoPackage", ".parquet": "Parquet"}
"""Suffixes of files of points, lines and polygons."""
_STAMP = re.compile(r"(?<!\d)(\d{12}(?:\d{2})?|\d{8})(?!\d)")
_DAY_OF_YEAR = re.compile(r"(?<!\d)(\d{4})(?!\d)")
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 12: 8}
_IMAGE_SIZE, _GEOREFERENCE = {256, 257}, {33550, 33922, 34264, 34735, 34736, 34737}
_ENTRY = "HHI4s"
_PLAIN = {"driver": "GTiff", "GEOREF_SOURCES": "NONE"}


class GeoTiffReader:
    """Folder trees of GeoTIFF; a date is the first run of 8, 12 or 14 digits of a name (%Y%m%d%H%M%S)."""

    label = "the date in a file name is the end of its step, or the day of a daily file"

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`."""
        _refuse_variable(source, where)
        dated, undated = list[tuple[str, Layer]](), list[str]()
        for path in find_files(source.path, SUFFIXES, where):
            match = _STAMP.search(os.path.basename(path))  # noqa: PTH119 - tens of thousands of names
            if match:
                dated.append((match[1].ljust(12, "0")[:12], Layer(path)))
            else:
                undated.append(path)
        if not dated:
            what = f"{source.path} has no GeoTIFF with a date (like 201409150100) in its name"
            raise InputError(where, what, _names_found(source.path))
        dated.sort()
        refuse_duplicates(dated, where)
        notes = (f"{len(undated)} files without a date are left out, first {undated[0]}",) if undated else ()
        return Archive(_times(dated, where), tuple(layer for _, layer in dated), notes=notes)

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the day is the first run of 4 digits (mmdd) of a name."""
        _refuse_variable(source, where)
        dated = []
        for path in find_files(source.path, SUFFIXES, where):
            match = _DAY_OF_YEAR.search(os.path.basename(path))  # noqa: PTH119 - as above
            if match:
                dated.append((match[1], Layer(path)))
        if not dated:
            what = f"{source.path} has no GeoTIFF with a day (mmdd, like 0915) in its name"
            raise InputError(where, what, _names_found(source.path))
        dated.sort()
        refuse_duplicates(dated, where)
        _times([("2000" + day + "0000", layer) for day, layer in dated], where)
        return dict(dated)

    def sampler(self, source: ForcingSource, points: Points) -> RasterSampler:
        """See `Reader`."""
        return RasterSampler(points)


READER = GeoTiffReader()


@dataclass(frozen=True)
class Sampling:
    """Which pixels of a raster hold the points: a window of it, and places in the window.

    Attributes:
        window: of the raster, that just holds the points.
        place: int64[k], position in the flattened window of the k points that the raster covers.
        covered: bool[n], which points these are.
    """

    window: Window
    place: Integers
    covered: Flags

    @classmethod
    def of(cls, raster: Grid, points: Points, where: str) -> Sampling:
        """Pixels of `raster` that hold the points.

        Raises:
            InputError: it holds none; `where` names the raster.
        """
        from rasterio.windows import Window

        row, column = raster.cells_at(*points.grid.reproject(raster.crs_wkt, points.x, points.y, where))
        covered = raster.contains(row, column)
        if not covered.any():
            raise InputError(where, "covers no active cell", "Are its coordinate reference system and extent right?")
        row, column = row[covered], column[covered]
        top, left, width = int(row.min()), int(column.min()), int(np.ptp(column)) + 1
        return cls(Window(left, top, width, int(np.ptp(row)) + 1), (row - top) * width + column - left, covered)


class RasterSampler:
    """Reads rasters at n points; see `Sampler`.

    Args:
        points: where.
    """

    def __init__(self, points: Points) -> None:
        self.points = points
        self._samplings: dict[bytes, Sampling] = {}
        self._session: ExitStack | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_session": None}

    def __enter__(self) -> Self:
        """Settings under which `read` is fast: no file looks for companions in its folder."""
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning

        self._session = ExitStack()
        self._session.enter_context(warnings.catch_warnings())
        self._session.enter_context(rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"))
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End of the settings."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def read(self, layer: Layer) -> Floats:
        """Values float64[n]: scale and offset of the band applied, NaN where missing; raises as `Sampler.read`."""
        with reading(layer.path):
            return self._read(layer.path)

    def covered(self, layer: Layer) -> Flags:
        """Which of the points the raster covers, bool[n]; raises as `read`."""
        return self._sampling(layer.path).covered

    def unit(self, layer: Layer) -> str:
        """Unit of the band, empty where it has none; raises as `read`."""
        import rasterio

        with reading(layer.path), rasterio.open(layer.path) as dataset:
            return dataset.units[0] or ""

    def _sampling(self, path: str) -> Sampling:
        return Sampling.of(raster_grid(path, self.points.crs), self.points, path)

    def _read(self, path: str) -> Floats:
        from rasterio.io import DatasetReader

        key = _georeference(path)
        sampling = self._samplings.get(key) if key else None
        if sampling is None:
            sampling = self._sampling(path)
            if key:
                self._samplings[key] = sampling
        with DatasetReader(path, sharing=False, **(_PLAIN if key else {})) as dataset:
            values = _values(dataset, sampling)
        if len(values) == len(self.points):
            return values
        result = np.full(len(self.points), np.nan)
        result[sampling.covered] = values
        return result


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Raise what goes wrong inside as `UnreadableError` of that path."""
    from rasterio.errors import RasterioIOError

    try:
        yield
    except (RasterioIOError, OSError, struct.error) as error:
        if not os.path.exists(path):  # noqa: PTH110 - as above
            raise UnreadableError(str(path), "does not exist, or not any more") from error
        if not os.access(path, os.R_OK):
            raise UnreadableError(str(path), "cannot be opened", "Change its permissions.") from error
        if kind := VECTORS.get(Path(path).suffix.lower()):
            what = f"is {kind}, which holds points, lines or polygons; a raster is needed here"
            raise UnreadableError(str(path), what, "Convert it, for example with gdal_rasterize.") from error
        remedy = "Replace it by a sound copy, or remove it."
        raise UnreadableError(str(path), f"cannot be read as a raster ({error})", remedy) from error


def raster_grid(path: str | Path, crs: str | None) -> Grid:
    """Grid of a raster; `crs` counts where the raster names none.

    Raises:
        InputError: for a missing or broken file, several bands, no georeference, or no CRS.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    try:
        with reading(path), warnings.catch_warnings():
            warnings.simplefilter("error", NotGeoreferencedWarning)
            # A world file beside the raster is found by its name, whatever the settings around.
            with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), rasterio.open(path) as dataset:
                wkt, transform, shape, bands = dataset.crs, dataset.transform, dataset.shape, dataset.count
    except NotGeoreferencedWarning as error:
        remedy = "Give it a transform, for example with gdal_edit."
        raise InputError(str(path), "is not georeferenced", remedy) from error
    if bands != 1:
        raise InputError(str(path), f"has {bands} bands, one is expected")
    if not wkt and crs is None:
        remedy = "Name it in `basin.crs`, for example EPSG:2154."
        raise InputError(str(path), "does not name its coordinate reference system", remedy)
    return Grid(wkt.to_wkt() if wkt else crs_to_wkt("basin.crs", str(crs)), tuple(transform)[:6], *shape)


def read_whole(path: str | Path) -> tuple[NDArray[np.generic], float | None]:
    """All values of the one band of a raster [height, width], and its nodata value; raises `UnreadableError`."""
    import rasterio

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


def _refuse_variable(source: ForcingSource, where: str) -> None:
    if source.variable is not None:
        section = where.rpartition(".")[0]
        raise InputError(f"{section}.variable", "a GeoTIFF has no variables", "Remove the key, or name another format.")


def _names_found(folder: Path) -> str:
    """Some names of files below a folder, and what they need."""
    found = (path.name for path in folder.rglob("*") if path.is_file())
    names = ", ".join(islice(found, 3))
    remedy = f"Names end with {' or '.join(SUFFIXES)} and hold the date in one run of digits."
    return f"It has files such as {names}. {remedy}" if names else "It is empty."


def _times(dated: list[tuple[str, Layer]], where: str) -> Times:
    try:
        return np.array([_iso(digits) for digits, _ in dated], "datetime64[s]")
    except ValueError:
        for digits, layer in dated:
            try:
                np.datetime64(_iso(digits), "s")
            except ValueError as error:
                raise InputError(where, f"the name of {layer.path} holds no date in {digits!r}") from error
        raise


def _iso(digits: str) -> str:
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}"


def _georeference(path: str) -> bytes:
    """The bytes that say where a TIFF lies and how large it is; empty where they cannot be read."""
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
