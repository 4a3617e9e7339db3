"""GeoTIFF: folder trees with one raster per time, the date in its name; and single rasters.

Internal masks and masks beside the file count, as does its nodata value, also where only `.aux.xml` has it. Files may
be packed by gzip (`.tif.gz`), or be members of zip and tar archives. A file with many bands has a time for each.

A GeoTIFF of rain is small, and nine tenths of the time to open it go into decoding its coordinate reference system.
An archive repeats one and the same georeference thousands of times, so its bytes are compared first (the tags of TIFF
6.0 and GeoTIFF 1.1 that carry it), and GDAL decodes it once for each distinct one. A file whose bytes cannot be
compared (BigTIFF, world file) is opened in the slow way, with the same result.

Fields whose files are alike in all that says how pixels are stored are read together, as the bands of one virtual
raster of GDAL: Python has nothing to do for each of them. Where this fails, they are read one by one, and the error
names the file.
"""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.basin.containers import file_of, is_packed, read_bytes
from hydrocli.basin.file_names import dates_of, days_of, pattern_like, printable
from hydrocli.basin.grid import Grid, crs_of_file
from hydrocli.basin.listings import note_opened
from hydrocli.basin.readers import (
    Archive,
    FileFacts,
    ForcingSource,
    Layer,
    UnreadableError,
    Variable,
    find_files,
    is_missing,
    refuse_duplicates,
)
from hydrocli.basin.readers._bands import times_of_bands
from hydrocli.basin.readers._files import archive_of, fitting, iter_fitting
from hydrocli.basin.sampling import Points, Sampling
from hydrocli.errors import InputError

if TYPE_CHECKING:
    # Elsewhere within functions: the names of an archive are listed at every start, its files are seldom opened.
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

SUFFIXES = (".tif", ".tiff", ".gtif", ".gtiff")
COMPANIONS = (".aux.xml", ".msk")
"""Suffixes of files beside a raster, after its own."""
BANDS = "Name one with the key `band`, or write files of one."
VECTORS = {".shp": "a Shapefile", ".geojson": "GeoJSON", ".kml": "KML", ".gpkg": "a GeoPackage", ".parquet": "Parquet"}
"""Suffixes of files of points, lines and polygons."""
_OFFSETS, _COUNTS = (273, 324), (279, 325)
"""Tags of the places and sizes of strips and tiles."""
_BANDS = 277
"""Tag of the number of samples of a pixel."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 12: 8}
_IMAGE_SIZE, _GEOREFERENCE = {256, 257}, {33550, 33922, 34264, 34735, 34736, 34737}
_ENTRY = "HHI4s"
_LAYOUT = {254, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 338, 339, 42112, 42113}
"""Tags that say how pixels are stored, which of them are masked, and what their values mean."""
_METADATA = 42112
"""Tag of GDAL's metadata, of which scale and offset concern the values."""
_PACKING = re.compile(rb'<Item[^>]*role="(?:scale|offset)"[^>]*>[^<]*')
_TYPES = {
    "Byte": "uint8", "Int8": "int8", "UInt16": "uint16", "Int16": "int16", "UInt32": "uint32", "Int32": "int32",
    "UInt64": "uint64", "Int64": "int64", "Float32": "float32", "Float64": "float64",
}  # fmt: skip
"""GDAL's names of types of values."""
HEAD_BYTES = 4096
"""First bytes of a file, which hold its tags as a rule."""
WINDOW_BYTES = 3e7
"""Pixels of fields that are decoded at a time, unless one of them has more."""
_ALONE = b"1:"
_IN_MEMORY = re.compile(r"'?/vsimem/[^' ]*'?")
"""GDAL's names of files that were read before it saw them."""
_PLAIN = {"driver": "GTiff", "GEOREF_SOURCES": "NONE"}


class GeoTiffReader:
    """Folder trees of GeoTIFF with a date in every name, see `hydrocli.basin.file_names`."""

    label = "the date in a file name is the end of its step, or the day of a daily file"
    suffixes = SUFFIXES

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`; files of many bands, of which none is named, have one for each time."""
        paths, root = self._paths(source, where)
        first = next(iter_fitting(paths, source), None)
        if first is not None:
            note_opened(file_of(first))
        if source.band is None and first is not None and has_many_bands(first):
            return _bands(fitting(paths, source, where), source, where)
        dated, notes = dates_of(paths, source.pattern, root, where)
        layers = tuple(Layer(path) for _, path in dated)
        example = pattern_like(os.path.basename(dated[0][1])) or "rain_%Y%m%d%H.tif"  # noqa: PTH119 - the name only
        remedy = f", or say which belong to the archive: `{where.rpartition('.')[0]}.pattern: {example}`"
        refuse_duplicates(zip((time for time, _ in dated), layers, strict=True), where, remedy)
        times = np.array([time for time, _ in dated], "datetime64[s]")
        read = f"{printable(os.path.basename(layers[0].path))} is read as {times[0]}"  # noqa: PTH119 - as above
        return Archive(times, layers, notes=tuple(notes), names=read)

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the day is the first run of 4 digits (mmdd) of a name."""
        paths, root = self._paths(source, where)
        named = [(day, Layer(path)) for day, path in days_of(paths, source.pattern, root, where)]
        refuse_duplicates(named, where)
        return dict(named)

    def variables(self, path: str) -> tuple[Variable, ...]:
        """See `Reader`: one, whose words are the descriptions of the bands."""
        with reading(path), opened(path) as dataset:
            return (Variable("", " ".join(filter(None, dataset.descriptions)), dataset.units[0] or ""),)

    def sampler(self, source: ForcingSource, points: Points) -> RasterSampler:
        """See `Reader`."""
        return RasterSampler(points, source)

    def _paths(self, source: ForcingSource, where: str) -> tuple[list[str], str]:
        """All GeoTIFF below the path of a source, and the path."""
        _refuse_variable(source, where)
        paths = find_files(source.path, SUFFIXES, where)
        if not paths:
            raise InputError(where, f"{source.path} has no GeoTIFF", _names_found(source.path))
        return paths, os.fspath(source.path)


READER = GeoTiffReader()


class Raster(NamedTuple):
    """What is read of all rasters of one georeference.

    Attributes:
        sampling: of its pixels.
        window: of the band.
    """

    sampling: Sampling
    window: Window


class Header(NamedTuple):
    """Bytes of a TIFF before its pixels; both are empty where they cannot be read.

    Attributes:
        georeference: that say where it lies and how large it is; they begin with `_ALONE` where the file holds one
            image, and so no mask.
        layout: that say how its pixels are stored, and what they mean.
    """

    georeference: bytes
    layout: bytes


class Band(NamedTuple):
    """What all bands of one layout have in common.

    Attributes:
        number: of the band, from 1.
        size: height and width.
        type: of its values, as GDAL names it.
        nodata, scale, offset: of the band.
    """

    number: int
    size: tuple[int, int]
    type: str
    nodata: float | None
    scale: float
    offset: float


class RasterSampler:
    """Reads rasters at n points; see `Sampler`.

    Args:
        points: where.
        source: what the configuration says of the files.
    """

    def __init__(self, points: Points, source: ForcingSource | None = None) -> None:
        self.points, self.source = points, source or ForcingSource(Path())
        self._rasters: dict[bytes, Raster] = {}
        self._bands: dict[tuple[Header, int], Band | None] = {}
        self._beside: dict[str, frozenset[str]] = {}
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
        from rasterio.io import DatasetReader, MemoryFile

        with reading(layer.path):
            if is_packed(layer.path):
                content = read_bytes(layer.path)
                key = _header(io.BytesIO(content)).georeference
                raster = self._raster(layer, key)
                with MemoryFile(content) as memory, memory.open(**(_PLAIN if key else {})) as dataset:
                    return self._values(dataset, raster, layer)
            key = _header_of(layer.path).georeference
            raster = self._raster(layer, key)
            if not key or not self._is_plain(layer.path):
                with opened(layer.path) as dataset:
                    return self._values(dataset, raster, layer)
            with DatasetReader(layer.path, sharing=False, **_PLAIN) as dataset:
                return self._values(dataset, raster, layer, may_have_mask=not key.startswith(_ALONE))

    def read_many(self, layers: Sequence[Layer]) -> Floats:
        """See `Sampler.read_many`."""
        if len(layers) == 1:
            return self.read(layers[0])[None]
        found = np.empty((len(layers), len(self.points)))
        low = 0
        for header, several in groupby(layers, self._header):
            alike = list(several)
            for layer, values in zip(alike, self._read_alike(header, alike), strict=True):
                found[low] = self.read(layer) if values is None else values
                low += 1
        return found

    def _header(self, layer: Layer) -> tuple[Header, int]:
        """What a file says before its pixels, empty where it has to be read alone; and the number of the layer."""
        with reading(layer.path):
            if is_packed(layer.path) or not self._is_plain(layer.path):
                return Header(b"", b""), layer.number
            return _header_of(layer.path), layer.number

    def _read_alike(self, header: tuple[Header, int], layers: Sequence[Layer]) -> Iterator[Floats | None]:
        """Values of fields of one header, one after the other; None for those that have to be read alone."""
        from rasterio.errors import RasterioIOError

        band = self._band(header, layers[0]) if len(layers) > 1 else None
        if band is None:
            yield from (None for _ in layers)
            return
        raster = self._raster(layers[0], header[0].georeference)
        height, width = raster.sampling.shape
        size = max(1, int(WINDOW_BYTES / (height * width * np.dtype(_TYPES[band.type]).itemsize)))
        decode = partial(self._decoded, nodata=band.nodata, scale=band.scale, offset=band.offset)
        for first in range(0, len(layers), size):
            part = layers[first : first + size]
            found: Iterable[Floats | None] = [None] * len(part)
            with suppress(RasterioIOError), opened_together([layer.path for layer in part], band) as dataset:
                found = raster.sampling.values(dataset.read(window=raster.window), decode)
            yield from found

    def _band(self, header: tuple[Header, int], layer: Layer) -> Band | None:
        """What is common to files of a header; None where they have to be read one by one."""
        from rasterio.io import DatasetReader

        key = header[0]
        if not key.layout or not key.georeference.startswith(_ALONE):
            return None
        if header not in self._bands:
            band = None
            with reading(layer.path), DatasetReader(layer.path, sharing=False, **_PLAIN) as dataset:
                number = layer.number or self.source.band or 1
                is_known = (dataset.count == 1 or layer.number or self.source.band) and number <= dataset.count
                types = [name for name, dtype in _TYPES.items() if is_known and dtype == dataset.dtypes[number - 1]]
                if types and not has_mask(dataset, number):
                    scale, offset = dataset.scales[number - 1], dataset.offsets[number - 1]
                    band = Band(number, dataset.shape, types[0], dataset.nodata, scale, offset)
            self._bands[header] = band
        return self._bands[header]

    def facts(self, layer: Layer) -> FileFacts:
        """See `Sampler.facts`."""
        with reading(layer.path):
            with _bytes_of(layer.path) as file:
                raster = self._raster(layer, _header(file).georeference)
            with opened(layer.path) as dataset:
                number = self._number(dataset, layer) - 1
                packing = dataset.scales[number], dataset.offsets[number]
                return FileFacts(dataset.units[number] or "", packing != (1.0, 0.0), raster.sampling)

    def check(self, layer: Layer) -> None:
        """See `Sampler.check`: the tags of the file, and that it is as long as they say."""
        with reading(layer.path), _bytes_of(layer.path) as file:
            _refuse_short(file)
            file.seek(0)
            self._raster(layer, _header(file).georeference)

    def _raster(self, layer: Layer, key: bytes) -> Raster:
        """How a raster is read; `key` is its georeference, empty where it has to be decoded."""
        from rasterio.windows import Window

        found = self._rasters.get(key) if key else None
        if found is None:
            grid = raster_grid(layer.path, self.points.crs, self.source.crs, layer.number or self.source.band)
            sampling = Sampling.of(grid, self.points, layer.path, self.source.resampling)
            height, width = sampling.shape
            found = Raster(sampling, Window(sampling.columns.start, sampling.rows.start, width, height))
            if key:
                self._rasters[key] = found
        return found

    def _is_plain(self, path: str) -> bool:
        """Whether GDAL takes the path as it is, and no file beside it may hold its nodata value or its mask.

        A folder is listed once.
        """
        folder, name = os.path.split(path)
        if folder not in self._beside:
            self._beside[folder] = _companions(folder)
        beside = self._beside[folder]
        has_companions = bool(beside) and any(name + suffix in beside for suffix in COMPANIONS)
        return not has_companions and _name_for_gdal(path) == path == path.strip()

    def _values(self, dataset: DatasetReader, raster: Raster, layer: Layer, *, may_have_mask: bool = True) -> Floats:
        """Values [n] at the points, NaN where they are masked or nodata."""
        number = self._number(dataset, layer)
        raw = dataset.read(number, window=raster.window)
        scale, offset = dataset.scales[number - 1], dataset.offsets[number - 1]
        decode = partial(self._decoded, nodata=dataset.nodata, scale=scale, offset=offset)
        if may_have_mask and has_mask(dataset, number):
            values = decode(raw)
            values[dataset.read_masks(number, window=raster.window) == 0] = np.nan
            return raster.sampling.values(values)
        return raster.sampling.values(raw, decode)

    def _decoded(self, raw: NDArray[Any], nodata: float | None, scale: float, offset: float) -> Floats:
        """Values in float64 of those of a band, NaN where they are nodata."""
        values = raw.astype(np.float64)
        missing = is_missing(raw, (nodata, *self.source.nodata))
        if missing.any():
            values[missing] = np.nan
        if (scale, offset) != (1.0, 0.0) and self.source.packing != "ignore":
            values *= scale
            values += offset
        return values

    def _number(self, dataset: DatasetReader, layer: Layer) -> int:
        """Of the band that is read, from 1."""
        if layer.number:
            return layer.number
        if self.source.band is None and dataset.count != 1:
            raise InputError(dataset.name, f"has {dataset.count} bands, one is expected", BANDS)
        return self.source.band or 1


def _companions(folder: str) -> frozenset[str]:
    """Names of the files in a folder that may hold the nodata value or the mask of a raster."""
    try:
        return frozenset(name for name in os.listdir(folder or ".") if name.endswith(COMPANIONS))  # noqa: PTH208
    except OSError:
        return frozenset()


def has_mask(dataset: DatasetReader, number: int) -> bool:
    """Whether a band has a mask besides its nodata value."""
    return any(flag.name == "per_dataset" for flag in dataset.mask_flag_enums[number - 1])


def has_many_bands(path: str) -> bool:
    """Whether a raster has several bands; one that cannot be read has not: whoever reads it says why."""
    try:
        with _bytes_of(path) as file:
            order, entries = _entries(file)
        if order:
            return any(tag == _BANDS and struct.unpack_from(order + "H", value)[0] > 1 for tag, *_, value in entries)
        with reading(path), opened(path) as dataset:
            return bool(dataset.count > 1)
    except (OSError, struct.error, UnreadableError):
        return False


def _bands(paths: list[str], source: ForcingSource, where: str) -> Archive:
    """The bands of some files as fields: times are those that the bands state, or start with that of the name.

    Raises:
        InputError: they have no times.
    """
    section = where.rpartition(".")[0]
    named, untimed = list[tuple[np.datetime64, Layer]](), list[tuple[str, int]]()
    for path in paths:
        note_opened(file_of(path))
        with reading(path), opened(path) as dataset:
            times, count = times_of_bands(dataset), dataset.count
        named += [(time, Layer(path, number)) for number, time in enumerate(times, start=1)]
        untimed += [(path, count)] if not times else []
    if untimed and not source.band_step:
        what = f"{untimed[0][0]} has {untimed[0][1]} bands without times in their descriptions or tags"
        remedy = (
            f"Say how far apart they are: `{section}.band_step: 1h`, the first at the date of the name; "
            f"or which of them is read: `{section}.band`."
        )
        raise InputError(where, what, remedy)
    if untimed:
        dated, _ = dates_of([path for path, _ in untimed], source.pattern, os.fspath(source.path), where)
        step, counts = np.timedelta64(source.band_step, "s"), dict(untimed)
        for first, path in dated:
            start = np.datetime64(first, "s")
            named += [(start + k * step, Layer(path, k + 1)) for k in range(counts[path])]
    return archive_of(named, where, has_bounds=False, timezone=source.timezone)


def _name_for_gdal(path: str) -> str | None:
    """A path as GDAL takes it, for UTF-8 whatever the locale; None where its bytes are no UTF-8."""
    if path.isascii():
        return path
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return None


@contextmanager
def opened_together(paths: Sequence[str], band: Band) -> Iterator[DatasetReader]:
    """A raster whose bands are one band of each of some files that are alike."""
    import rasterio

    height, width = band.size
    lines = [f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">']
    for number, path in enumerate(paths, start=1):
        lines.append(
            f'<VRTRasterBand dataType="{band.type}" band="{number}"><SimpleSource>'
            f'<SourceFilename relativeToVRT="0" shared="0">{escape(path)}</SourceFilename>'
            '<OpenOptions><OOI key="GEOREF_SOURCES">NONE</OOI></OpenOptions>'
            f"<SourceBand>{band.number}</SourceBand>"
            f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}" DataType="{band.type}"/>'
            "</SimpleSource></VRTRasterBand>"
        )
    with rasterio.open("".join([*lines, "</VRTDataset>"])) as dataset:
        yield dataset


@contextmanager
def opened(path: str | Path) -> Iterator[DatasetReader]:
    """A raster opened in the slow way: with its companions, packed, or with a name that is no text."""
    import rasterio
    from rasterio.io import MemoryFile

    name = _name_for_gdal(os.fspath(path))
    if name is None or is_packed(name):
        with MemoryFile(read_bytes(os.fspath(path))) as memory, memory.open() as dataset:
            yield dataset
        return
    # A world file beside the raster is found by its name, whatever the settings around.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), rasterio.open(name) as dataset:
        yield dataset


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Raise what goes wrong inside as `UnreadableError` of that path."""
    from rasterio.errors import RasterioIOError

    try:
        yield
    except (RasterioIOError, OSError, struct.error) as error:
        file = file_of(str(path))
        if not Path(file).exists():
            raise UnreadableError(str(path), "does not exist, or not any more") from error
        if isinstance(error, PermissionError) or not os.access(file, os.R_OK):
            what = "cannot be opened (permission denied)"
            raise UnreadableError(str(path), what, "Change its permissions.") from error
        if kind := VECTORS.get(Path(path).suffix.lower()):
            what = f"is {kind}, which holds points, lines or polygons; a raster is needed here"
            raise UnreadableError(str(path), what, "Convert it, for example with gdal_rasterize.") from error
        remedy = "Replace it by a sound copy, or remove it."
        text = _IN_MEMORY.sub("its content", str(error))
        raise UnreadableError(str(path), f"cannot be read as a raster ({text})", remedy) from error


def raster_grid(path: str | Path, default: str | None, stated: str | None = None, band: int | None = None) -> Grid:
    """Grid of a raster.

    Args:
        path: of the raster.
        default: CRS where the raster has none, or one that is of no use.
        stated: CRS, whatever the raster has.
        band: the one that is read; None where one is expected.

    Raises:
        InputError: for a missing or broken file, several bands, no georeference, or no CRS.
    """
    from rasterio.errors import CRSError, NotGeoreferencedWarning

    try:
        with reading(path), warnings.catch_warnings():
            warnings.simplefilter("error", NotGeoreferencedWarning)
            with opened(path) as dataset:
                wkt = dataset.crs.to_wkt() if dataset.crs else ""
                transform, shape, bands = dataset.transform, dataset.shape, dataset.count
                if not wkt:
                    _refuse_cut(dataset)
    except NotGeoreferencedWarning as error:
        remedy = "Give it a transform, for example with gdal_edit."
        raise InputError(str(path), "is not georeferenced", remedy) from error
    except CRSError as error:
        what = f"has a coordinate reference system that is not understood ({error})"
        raise InputError(str(path), what, "State it with `crs`, for example EPSG:2154.") from error
    if band is None and bands != 1:
        raise InputError(str(path), f"has {bands} bands, one is expected", BANDS)
    if band is not None and band > bands:
        raise InputError(str(path), f"has no band {band}: it has {bands}", "Correct the key `band`.")
    return Grid(crs_of_file(wkt, stated, default, str(path)), tuple(transform)[:6], *shape)


def _refuse_cut(dataset: DatasetReader) -> None:
    """Refuse a file whose tags have lost their CRS because its end is missing; reading its last pixels fails then.

    Raises:
        RasterioIOError: of the pixels.
    """
    from rasterio.windows import Window

    dataset.read(1, window=Window(dataset.width - 1, dataset.height - 1, 1, 1))


def read_band(path: str | Path, number: int, nodata: Iterable[float] = (), window: Window | None = None) -> Floats:
    """Values of a band float64[height, width], scale and offset applied, NaN where they are masked or missing.

    Args:
        path: of the raster.
        number: of the band, from 1.
        nodata: values that mean missing besides that of the file.
        window: part of the raster; None: all of it.

    Raises:
        UnreadableError: the file cannot be read.
    """
    with reading(path), opened(path) as dataset:
        raw = dataset.read(number, window=window)
        values = raw.astype(np.float64) * dataset.scales[number - 1] + dataset.offsets[number - 1]
        values[is_missing(raw, (dataset.nodata, *nodata))] = np.nan
        if has_mask(dataset, number):
            values[dataset.read_masks(number, window=window) == 0] = np.nan
        return values


def read_whole(path: str | Path, number: int = 1) -> tuple[NDArray[np.generic], float | None]:
    """All values of a band of a raster [height, width], and its nodata value; raises `UnreadableError`."""
    with reading(path), opened(path) as dataset:
        return dataset.read(number), dataset.nodata


class BandFacts(NamedTuple):
    """What a raster says of a band: the unit, empty where it states none, and whether its values have colours."""

    unit: str
    has_colours: bool


def facts_of_band(path: str | Path, number: int) -> BandFacts:
    """See `BandFacts`; raises `UnreadableError`."""
    from rasterio.enums import ColorInterp

    with reading(path), opened(path) as dataset:
        return BandFacts(dataset.units[number - 1] or "", dataset.colorinterp[number - 1] == ColorInterp.palette)


def bands_of(path: str | Path) -> int:
    """Number of bands of a raster; raises `UnreadableError`."""
    with reading(path), opened(path) as dataset:
        return int(dataset.count)


def _refuse_variable(source: ForcingSource, where: str) -> None:
    if source.variable is not None:
        section = where.rpartition(".")[0]
        raise InputError(f"{section}.variable", "a GeoTIFF has no variables", "Remove the key, or name another format.")


def _names_found(folder: Path) -> str:
    """Some names of files below a folder, and what they need."""
    found = (printable(path.name) for path in folder.rglob("*") if path.is_file())
    names = ", ".join(islice(found, 3))
    return (
        f"It has files such as {names}. Names of GeoTIFF end with {', '.join(SUFFIXES)}." if names else "It is empty."
    )


def _bytes_of(path: str) -> BinaryIO:
    """A raster as a file of bytes, to be closed, also where it is packed."""
    return io.BytesIO(read_bytes(path)) if is_packed(path) else open(path, "rb")  # noqa: PTH123 - as above


def _entries(file: BinaryIO) -> tuple[str, list[tuple[int, int, int, bytes]]]:
    """Order of bytes of a TIFF, and tag, type, count and value of its entries; empty where it has another layout."""
    head = file.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None:
        return "", []
    file.seek(struct.unpack(order + "4xI", head)[0])
    entries = file.read(12 * struct.unpack(order + "H", file.read(2))[0])
    return order, list(struct.iter_unpack(order + _ENTRY, entries))


def _header_of(path: str) -> Header:
    """See `_header`; the first bytes of a file have all of it, as a rule."""
    with open(path, "rb", buffering=HEAD_BYTES) as file:  # noqa: PTH123 - thousands of times
        return _header(file)


def _header(file: BinaryIO) -> Header:
    """What a TIFF says of its place and its pixels."""
    order, entries = _entries(file)
    is_alone = file.read(4) == b"\0\0\0\0"  # place of the next image, after the entries
    place, layout, is_placed = [_ALONE if is_alone else b"", order.encode()], list[bytes](), False
    for tag, kind, count, value in entries:
        if tag in _GEOREFERENCE:
            is_placed, parts = True, place
        elif tag in _IMAGE_SIZE:
            place.append(struct.pack("HHI", tag, kind, count) + value)
            continue
        elif tag in _LAYOUT:
            parts = layout
        else:
            continue
        length = count * _SIZES.get(kind, 1)
        if length > 4:
            file.seek(struct.unpack(order + "I", value)[0])
            value = file.read(length)
        if tag == _METADATA:
            value = b"".join(_PACKING.findall(value))
        parts.append(struct.pack("HHI", tag, kind, count if tag != _METADATA else 0) + value)
    return Header(b"".join(place), b"".join(layout)) if is_placed else Header(b"", b"")


def _refuse_short(file: BinaryIO) -> None:
    """Refuse a TIFF that ends before the last of its pixels; one of another layout is left to GDAL.

    Raises:
        OSError: it is too short.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    order, entries = _entries(file)
    numbers: dict[int, NDArray[Any]] = {}
    for tag, kind, count, value in entries:
        length = count * _SIZES.get(kind, 1)
        if length > 4:
            place = struct.unpack(order + "I", value)[0]
            if place + length > size:
                raise OSError("it ends within its tags")
            file.seek(place)
            value = file.read(length)
        if tag in _OFFSETS or tag in _COUNTS:
            numbers[tag] = np.frombuffer(value[:length], f"{order}u{_SIZES[kind]}").astype(np.int64)
    for first, counts in zip(_OFFSETS, _COUNTS, strict=True):
        if first in numbers and counts in numbers and (numbers[first] + numbers[counts]).max() > size:
            raise OSError("it ends before its last pixels")
