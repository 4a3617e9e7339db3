"""Gridded fields after the CF conventions, as xarray opens them: what NetCDF, Zarr and GRIB have in common.

xarray decodes the time axis, packing and fill values. A field has a time (or a time of issue and a lead time) and two
dimensions of space: regular axes of any orientation, projected, geographic (longitudes may run from 0 to 360) or of a
rotated pole; or, where it has no such axes, the latitudes and longitudes of its cells (a curvilinear grid).

Time: where the time coordinate has bounds (CF 7.1), a field belongs to the interval between them; else its time is a
label like the date in the name of a GeoTIFF. Dates of the calendars `noleap` and `all_leap` are taken as they are: of
29 February there is no field, or one too many. Calendars with other months are refused.

Fields are read in blocks, along the chunks of the file, so that each chunk is decoded once and only the values at the
points stay in memory.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import Times
from hydrocli.basin.containers import file_of
from hydrocli.basin.curvilinear import WGS84, sampling_of_centres
from hydrocli.basin.grid import Grid, crs_of_file, crs_to_wkt
from hydrocli.basin.listings import note_opened
from hydrocli.basin.readers import Archive, FileFacts, ForcingSource, Layer, Variable, is_missing
from hydrocli.basin.readers._files import archive_of, days_of_archive, reading
from hydrocli.basin.sampling import Points, Sampling
from hydrocli.errors import InputError

BLOCK_BYTES = 64e6
"""Largest block of fields, and largest part of a file that is decoded at once, unless one chunk is larger."""
WASTE, TILE = 1.3, 4096
"""Chunks are read together where these are so many times the pixels of each for itself, and at most so many pixels."""
EVEN = 0.01
"""A coordinate is regular where no value is off by more than this share of a cell."""
AXES = {
    "X": ("projection_x_coordinate", "longitude", "grid_longitude"),
    "Y": ("projection_y_coordinate", "latitude", "grid_latitude"),
}
NAMES = {
    "X": ("x", "lon", "longitude", "rlon", "easting", "xc"),
    "Y": ("y", "lat", "latitude", "rlat", "northing", "yc"),
}
CENTRES = {"X": ("longitude", "lon", "xlong", "nav_lon"), "Y": ("latitude", "lat", "xlat", "nav_lat")}
"""Names of the coordinates of cells of a curvilinear grid, where they have no attribute standard_name."""


class CfFormat(NamedTuple):
    """A format of which xarray makes datasets.

    Attributes:
        name: for messages.
        suffixes: of the files, small letters.
        find: paths of the files of a source; its second argument is the key that names them.
        open: the `xarray.Dataset` of a path, to be closed; its second argument is the variable wanted, or None, its
            third one the name of a variable whose values are to be left as they are stored, or None.
    """

    name: str
    suffixes: tuple[str, ...]
    find: Callable[[ForcingSource, str], list[str]]
    open: Callable[[str, str | None, str | None], Any]


class CfReader:
    """Files with a variable that has a time and two dimensions of space, in any order; see `Reader`.

    Args:
        format: of the files.
        label: see `Reader`.
    """

    def __init__(self, format: CfFormat, label: str) -> None:  # noqa: A002
        self.format, self.label, self.suffixes = format, label, format.suffixes

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`; opens every file once."""
        named, has_bounds, units = list[tuple[np.datetime64, Layer]](), dict[bool, str](), dict[str, str]()
        notes: dict[str, str] = {}
        for path in self.format.find(source, where):
            note_opened(file_of(path))
            with _opened(self.format, path, source.variable) as dataset:
                variable = _variable(dataset, source.variable, path, where)
                times, bounded, note = _times(dataset, variable, path)
                has_bounds.setdefault(bounded, path)
                units.setdefault(str(variable.attrs.get("units", "")), path)
                notes.setdefault(note, path)
            named += [(time, Layer(path, index)) for index, time in enumerate(times) if not np.isnat(time)]
        for what, found in (("bounds of time", has_bounds), ("units", units)):
            if len(found) > 1:
                shown = " and ".join(f"{path} ({key})" for key, path in list(found.items())[:2])
                raise InputError(where, f"files differ in their {what}: {shown}", "Keep files of one kind below it.")
        told = tuple(f"{path} {note}" for note, path in notes.items() if note)
        return archive_of(named, where, has_bounds=True in has_bounds, notes=told, timezone=source.timezone)

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the year of the times does not count."""
        return days_of_archive(self.find(source, where), where)

    def variables(self, path: str) -> tuple[Variable, ...]:
        """See `Reader`: those with a time and two dimensions of space."""
        with _opened(self.format, path, None) as dataset:
            fields = [(str(name), one.attrs) for name, one in dataset.data_vars.items() if _is_field(one)]
        return tuple(
            Variable(name, f"{said.get('standard_name', '')} {said.get('long_name', '')}", str(said.get("units", "")))
            for name, said in fields
        )

    def sampler(self, source: ForcingSource, points: Points) -> CfSampler:
        """See `Reader`."""
        return CfSampler(self.format, source, points)


class Tile(NamedTuple):
    """A part of the grid that is read at once.

    Attributes:
        rows, columns: of the grid.
        place: int64[k], positions in the flattened part of the k pixels that are needed; None: these are all, in order.
        pixels: which of the pixels needed these are.
    """

    rows: slice
    columns: slice
    place: Integers | None
    pixels: slice


@dataclass
class OpenFile:
    """The file that is read, and the last block of its fields.

    Attributes:
        path, dataset, variable: of the file.
        is_raw: whether the values of the variable are as they are stored.
        dims: names of its dimensions: those of time (one or two), y, x.
        sampling: of the grid at the points.
        compact: the same, of the pixels that are needed, side by side.
        tiles: parts of the grid that hold them.
        length: fields of a block, along the first dimension of time.
        inner: fields along the second one; 1 where there is none.
        first: index of the block along the first dimension.
        block: [fields, n points].
    """

    path: str
    dataset: Any
    variable: Any
    is_raw: bool
    dims: tuple[str, ...]
    sampling: Sampling
    compact: Sampling
    tiles: list[Tile]
    length: int
    inner: int
    first: int = 0
    block: Floats | None = None


@dataclass
class CfSampler:
    """Reads fields at n points; see `Sampler`.

    Attributes:
        format: of the files.
        source: what the configuration says of them.
        points: where.
    """

    format: CfFormat
    source: ForcingSource
    points: Points
    _file: OpenFile | None = None
    _curvilinear: dict[tuple[int, int], Sampling] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def __enter__(self) -> Self:
        """Nothing to prepare: a file is opened when it is first read."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file that is open."""
        self._close()

    def read(self, layer: Layer) -> Floats:
        """Values float64[n], NaN where missing; raises as `Sampler.read`."""
        return np.array(self.read_many([layer])[0])

    def read_many(self, layers: Sequence[Layer]) -> Floats:
        """See `Sampler.read_many`; those that lie in one block come from it together."""
        parts, done = [], 0
        while done < len(layers):
            file, block = self._block_of(layers[done])
            start = file.first * file.inner
            places = []
            for layer in layers[done:]:
                if layer.path != file.path or not 0 <= layer.number - start < len(block):
                    break
                places.append(layer.number - start)
            follow = places[-1] - places[0] == len(places) - 1 and places == sorted(places)
            parts.append(block[places[0] : places[-1] + 1] if follow else block[places])
            done += len(places)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _block_of(self, layer: Layer) -> tuple[OpenFile, Floats]:
        """The file of a field, and the block of fields that holds it."""
        file = self._opened(layer.path)
        if file.block is None or not 0 <= layer.number - file.first * file.inner < len(file.block):
            file.block = None  # not two of them at a time
            file.first = layer.number // file.inner // file.length * file.length
            file.block = self._read_block(file)
        return file, file.block

    def facts(self, layer: Layer) -> FileFacts:
        """See `Sampler.facts`: the attribute `units`, and `scale_factor` and `add_offset`."""
        file = self._opened(layer.path)
        return FileFacts(
            str(file.variable.attrs.get("units", "")), _packing(file.variable) != (1.0, 0.0), file.sampling
        )

    def check(self, layer: Layer) -> None:
        """See `Sampler.check`."""
        self._opened(layer.path)

    def _opened(self, path: str) -> OpenFile:
        if self._file is None or self._file.path != path:
            self._close()
            self._file = self._open(path)
        return self._file

    def _open(self, path: str) -> OpenFile:
        is_raw = bool(self.source.nodata) or self.source.packing == "ignore"
        dataset = _open(self.format, path, self.source.variable)
        try:
            variable = _variable(dataset, self.source.variable, path, path)
            if is_raw:
                dataset.close()
                dataset = _open(self.format, path, self.source.variable, str(variable.name))
                variable = _variable(dataset, str(variable.name), path, path)
            outer, *inner = _time_coordinate(variable).dims
            space = [str(name) for name in variable.dims if name not in (outer, *inner)]
            sampling, axes = self._sampling(dataset, variable, space, path)
            for name in space:
                if name not in axes and variable.sizes[name] > 1:
                    what = f"has a dimension {name!r} of {variable.sizes[name]} values besides time, y and x"
                    raise InputError(path, what, "Write files with one of them.")
        except BaseException:
            dataset.close()
            raise
        chunks = dict(zip(variable.dims, _chunks(variable), strict=True))
        compact, tiles = _tiles(sampling, chunks[axes[0]], chunks[axes[1]])
        count = int(np.prod([variable.sizes[name] for name in inner], dtype=np.int64))
        largest = max((t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start) for t in tiles)
        fitting = int(BLOCK_BYTES / (8 * count * max(largest, compact.shape[1], len(self.points))))
        chunk = chunks[outer]
        length = fitting // chunk * chunk if fitting >= chunk else max(1, fitting)
        dims = (outer, *inner, *axes)
        return OpenFile(path, dataset, variable, is_raw, dims, sampling, compact, tiles, length, count)

    def _sampling(self, dataset: Any, variable: Any, space: list[str], path: str) -> tuple[Sampling, tuple[str, str]]:
        """How the points get their values from a file, and the names of the dimensions y and x.

        Raises:
            InputError: the grid is neither regular nor given by its centres, has no CRS, or covers no point.
        """
        x, y = (_axis(variable, axis, space) for axis in ("X", "Y"))
        centres = _centres(variable)
        is_known = x is not None and (_mapping(dataset, variable) is not None or _is_longitude(x) or self.source.crs)
        if x is not None and y is not None and (is_known or centres is None):
            (left, across), (top, down) = (_regular(coordinate, path) for coordinate in (x, y))
            wkt = crs_of_file(_crs(dataset, variable, x, path), self.source.crs, self.points.crs, path)
            grid = Grid(wkt, (across, 0.0, left, 0.0, down, top), len(y), len(x))
            return Sampling.of(grid, self.points, path, self.source.resampling), (str(y.name), str(x.name))
        if centres is None:
            what = f"has no coordinates x and y, nor latitude and longitude (dimensions: {', '.join(space)})"
            raise InputError(path, what, "Regrid the file to a regular grid, for example with cdo or xesmf.")
        if self.source.resampling not in (None, "nearest"):
            what = f"has a curvilinear grid, of which no {self.source.resampling!r} is computed"
            raise InputError(path, what, "Remove the key `resampling`: the nearest cell is taken.")
        latitude, longitude = (np.asarray(values, np.float64) for values in centres)
        key = zlib.crc32(latitude.tobytes()), zlib.crc32(longitude.tobytes())
        if key not in self._curvilinear:
            self._curvilinear[key] = sampling_of_centres(latitude, longitude, self.points, path)
        return self._curvilinear[key], (str(centres[0].dims[0]), str(centres[0].dims[1]))

    def _read_block(self, file: OpenFile) -> Floats:
        """Values at the points of so many fields as a block has, [fields, n]."""
        direct = _direct(file)
        if direct is not None:
            values = self._window(file, file.tiles[0]).take(direct, axis=1)
            return self._decoded(values, file.variable) if file.is_raw else values.astype(np.float64)
        pixels: Floats | None = None
        for tile in file.tiles:
            values = self._window(file, tile)
            values = values if tile.place is None else values.take(tile.place, axis=1)
            pixels = np.empty((len(values), 1, file.compact.shape[1])) if pixels is None else pixels
            pixels[:, 0, tile.pixels] = self._decoded(values, file.variable) if file.is_raw else values
        assert pixels is not None
        return file.compact.values(pixels)

    def _window(self, file: OpenFile, tile: Tile) -> NDArray[Any]:
        """The values of a block in a tile [fields, pixels of the tile], as xarray gives them."""
        outer, y, x = file.dims[0], *file.dims[-2:]
        count = min(file.length, file.variable.sizes[outer] - file.first)
        chosen = {outer: slice(file.first, file.first + count), y: tile.rows, x: tile.columns}
        others = {name: 0 for name in file.variable.dims if name not in file.dims}
        with reading(file.path, self.format.name):
            window: NDArray[Any] = file.variable.isel(chosen | others).transpose(*file.dims).values
            return window.reshape(count * file.inner, -1)

    def _decoded(self, raw: NDArray[Any], variable: Any) -> Floats:
        """Values of a variable from those that are stored."""
        if variable.attrs.get("_Unsigned") == "true":
            raw = raw.view(f"u{raw.dtype.itemsize}")
        declared = [variable.attrs[name] for name in ("_FillValue", "missing_value") if name in variable.attrs]
        values = raw.astype(np.float64)
        values[is_missing(raw, (*map(float, declared), *self.source.nodata))] = np.nan
        scale, offset = _packing(variable)
        return values if self.source.packing == "ignore" else values * scale + offset

    def _close(self) -> None:
        if self._file is not None:
            self._file.dataset.close()
            self._file = None


def _direct(file: OpenFile) -> Integers | None:
    """Where the value of each point is in the only tile of a file; None where points have several pixels, or none."""
    place, (first, *others) = file.compact.place, file.tiles
    if others or place is None or len(place) < len(file.compact.covered):
        return None
    return place if first.place is None else first.place[place]


def _packing(variable: Any) -> tuple[float, float]:
    """The scale and the offset that a file declares, whether they are applied or not."""
    declared = {**variable.encoding, **variable.attrs}
    return float(declared.get("scale_factor", 1.0)), float(declared.get("add_offset", 0.0))


def _tiles(sampling: Sampling, height: int, width: int) -> tuple[Sampling, list[Tile]]:
    """The pixels that a sampling needs, side by side, and the parts of the grid that hold them.

    Args:
        sampling: of the grid.
        height: rows of a chunk of the file.
        width: columns likewise.
    """
    used: Any = sampling.weights.indices if sampling.weights is not None else sampling.place
    pixels, place = np.unique(used, return_inverse=True)
    row, column = pixels // sampling.shape[1] + sampling.rows.start, pixels % sampling.shape[1] + sampling.columns.start
    order, tiles = _cut(row, column, height, width)
    weights = sampling.weights[:, pixels[order]] if sampling.weights is not None else None
    compact = replace(
        sampling,
        rows=slice(0, 1),
        columns=slice(0, len(pixels)),
        place=np.argsort(order)[place] if weights is None else None,
        weights=weights,
    )
    return compact, tiles


def _cut(row: Integers, column: Integers, height: int, width: int) -> tuple[Integers, list[Tile]]:
    """Tiles that hold pixels in rows and columns [k] of a grid, and the order of the pixels in them.

    Each chunk that holds some is a tile; chunks beside each other are one tile, or all are, where that reads hardly
    more than is needed: each reading of a file has a price of its own.
    """
    chunk = row // height * (int(column.max()) // width + 1) + column // width
    best: tuple[Integers, list[Tile]] | None = None
    least = 0
    for label in (chunk, row // height, np.zeros_like(chunk)):
        order = np.argsort(label, kind="stable")
        tiles, start, area, largest = [], 0, 0, 0
        for number in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
            top, left = int(row[number].min()), int(column[number].min())
            rows, columns = slice(top, int(row[number].max()) + 1), slice(left, int(column[number].max()) + 1)
            size = (rows.stop - top) * (columns.stop - left)
            place = (row[number] - top) * (columns.stop - left) + column[number] - left
            is_whole = len(place) == size and bool((np.diff(place) == 1).all())
            tiles.append(Tile(rows, columns, None if is_whole else place, slice(start, start + len(number))))
            start, area, largest = start + len(number), area + size, max(largest, size)
        if best is None or (area <= WASTE * least and largest <= TILE):
            best, least = (order, tiles), least or area
    assert best is not None
    return best


def _chunks(variable: Any) -> Sequence[int]:
    """Chunks of the file along each dimension; the whole where it has none."""
    found = variable.encoding.get("chunksizes") or variable.encoding.get("chunks")
    return found if found and len(found) == variable.ndim else variable.shape


def _open(format: CfFormat, path: str, variable: str | None, raw: str | None = None) -> Any:  # noqa: A002
    """The `xarray.Dataset` of a file, to be closed; see `CfFormat.open`.

    Raises:
        UnreadableError: it is absent or broken.
        InputError: a library is not installed, or its times cannot be decoded.
    """
    with reading(path, format.name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about attributes that say nothing about our variable
        try:
            return format.open(path, variable, raw)
        except (ValueError, OverflowError, TypeError, ImportError) as error:
            text = " ".join(str(error).split())
            if not ("calendar" in text or "cftime" in text or "decode" in text):
                raise
            remedy = "Times are needed with units like `hours since 2000-01-01` and a calendar that CF names."
            raise InputError(path, f"has a time axis that cannot be decoded ({text[:120]})", remedy) from error


@contextmanager
def _opened(format: CfFormat, path: str, variable: str | None) -> Iterator[Any]:  # noqa: A002
    dataset = _open(format, path, variable)
    try:
        yield dataset
    finally:
        dataset.close()


def _variable(dataset: Any, name: str | None, path: str, where: str) -> Any:
    """The variable of that name, or the only one that has a time and two more dimensions.

    A field whose time is no dimension, as in files with one field each, gets one of it.
    """
    fields = [str(key) for key, values in dataset.data_vars.items() if _is_field(values)]
    section = where.rpartition(".")[0] or "forcing.<name>"
    if name is None:
        if len(fields) != 1:
            found = ", ".join(fields) or "none"
            what = f"has {len(fields)} variables with time and space ({found}), one is expected"
            raise InputError(path, what, f"Name one with `{section}.variable`." if fields else "")
        name = fields[0]
    if name not in fields:
        what = f"has no variable {name!r} with a time and two dimensions of space"
        raise InputError(path, what, f"It has {', '.join(fields)}." if fields else "It has none.")
    variable = dataset[name]
    coordinate = _time_coordinate(variable)
    if coordinate.ndim == 0:
        return variable.expand_dims("time" if coordinate.name not in variable.dims else coordinate.name).assign_coords(
            {"time": ("time", np.atleast_1d(coordinate.values), coordinate.attrs)}
        )
    return variable


def _is_field(variable: Any) -> bool:
    coordinate = _time_coordinate(variable)
    return coordinate is not None and variable.ndim - coordinate.ndim >= 2


def _time_coordinate(variable: Any) -> Any:
    """The coordinate that says when the fields of a variable are valid; None where there is none."""
    found = [
        coordinate
        for coordinate in variable.coords.values()
        if _holds_dates(coordinate) and set(coordinate.dims) <= set(variable.dims) and coordinate.ndim <= 2
    ]
    by_meaning = [one for one in found if one.name == "valid_time" or one.attrs.get("standard_name") == "time"]
    others = [one for one in found if one.attrs.get("standard_name") != "forecast_reference_time"]
    candidates = by_meaning or others
    return max(candidates, key=lambda one: (one.ndim, one.name in one.dims, one.name == "valid_time"), default=None)


def _holds_dates(coordinate: Any) -> bool:
    if np.issubdtype(coordinate.dtype, np.datetime64):
        return True
    return bool(coordinate.dtype == object and coordinate.size and hasattr(coordinate.values.flat[0], "calendar"))


def _times(dataset: Any, variable: Any, path: str) -> tuple[Times, bool, str]:
    """Valid times datetime64[s][fields] of a variable: ends of the intervals where there are bounds.

    Fields without a time, NaT, are those that a file of forecasts does not have.

    Returns:
        The times; whether there are bounds; what is to be said of them, empty for nothing.

    Raises:
        InputError: a time is missing, or lies outside its bounds.
    """
    coordinate = _time_coordinate(variable)
    times, note = _dates(coordinate, path)
    bounds = dataset.get(coordinate.attrs.get("bounds") or coordinate.encoding.get("bounds") or "")
    if coordinate.ndim > 1:
        return times.ravel(), False, note
    if np.isnat(times).any() and not note:
        raise InputError(path, "has a time that is missing")
    if bounds is None:
        return times, False, note
    if not _holds_dates(bounds) or bounds.shape != (len(times), 2):
        raise InputError(path, f"has bounds of time {bounds.name!r} that cannot be decoded")
    first, last = _dates(bounds, path)[0].T
    valid = ~np.isnat(times)
    if not ((first < last) & (first <= times) & (times <= last))[valid].all():
        raise InputError(path, "has times outside their bounds", "Correct the coordinate time or its bounds.")
    return np.where(valid, last, times), True, note


def _dates(coordinate: Any, path: str) -> tuple[Times, str]:
    """Times of a coordinate to the nearest second, of its shape, and what is to be said of them.

    Raises:
        InputError: its calendar has months of other lengths.
    """
    values = coordinate.values
    if coordinate.dtype != object:
        # Fractions of days are seldom exact.
        return (values.astype("datetime64[ms]") + np.timedelta64(500, "ms")).astype("datetime64[s]"), ""
    calendar = values.flat[0].calendar
    if calendar not in ("noleap", "365_day", "all_leap", "366_day", "standard", "gregorian", "proleptic_gregorian"):
        what = f"has times of the calendar {calendar!r}, whose days are not those of the observations"
        remedy = "Convert it, for example with `convert_calendar('standard', align_on='year')` of xarray."
        raise InputError(path, what, remedy)
    dates = np.full(values.shape, np.datetime64("NaT"), "datetime64[s]")
    for number, value in enumerate(values.flat):
        text = f"{value.year:04}-{value.month:02}-{value.day:02}T{value.hour:02}:{value.minute:02}:{value.second:02}"
        second = np.timedelta64(int(value.microsecond >= 500_000), "s")
        try:
            dates.flat[number] = np.datetime64(text, "s") + second
        except ValueError:  # 29 February of a year that has none
            continue
    lacking = np.isnat(dates).any()
    what = "fields of a 29 February that does not exist are left out" if lacking else "29 February has no field"
    return dates, f"has the calendar {calendar!r}: {what}" if calendar.endswith(("leap", "_day")) else ""


def _axis(variable: Any, axis: str, space: list[str]) -> Any:
    """The coordinate of one dimension of space: by the attributes of CF, else by its name; None where there is none."""
    known = [variable.coords[name] for name in space if name in variable.coords]
    for coordinate in known:
        attributes = coordinate.attrs
        if attributes.get("axis") == axis or attributes.get("standard_name") in AXES[axis]:
            return coordinate
    return next((coordinate for coordinate in known if str(coordinate.name).lower() in NAMES[axis]), None)


def _centres(variable: Any) -> tuple[Any, Any] | None:
    """Coordinates latitude and longitude of two dimensions, of cells; None where there are none."""
    found = {}
    for axis, meaning in (("Y", "latitude"), ("X", "longitude")):
        for coordinate in variable.coords.values():
            is_meant = coordinate.attrs.get("standard_name") == meaning or str(coordinate.name).lower() in CENTRES[axis]
            if coordinate.ndim == 2 and is_meant:
                found[axis] = coordinate
    if len(found) < 2 or found["X"].dims != found["Y"].dims:
        return None
    return found["Y"], found["X"]


def _regular(coordinate: Any, path: str) -> tuple[float, float]:
    """Edge of the first cell, and the signed width of the cells of a coordinate."""
    values = np.asarray(coordinate.values, np.float64)
    if len(values) < 2:
        raise InputError(path, f"has one value of {coordinate.name!r}, from which no size of cells follows")
    width = float(values[-1] - values[0]) / (len(values) - 1)
    even = values[0] + width * np.arange(len(values))
    if not np.all(np.abs(values - even) <= EVEN * abs(width)) or width == 0:
        what = f"has an uneven coordinate {coordinate.name!r}"
        raise InputError(path, what, "Regrid the file to cells of one size, for example with cdo.")
    return float(values[0]) - width / 2, width


def _mapping(dataset: Any, variable: Any) -> Any:
    """The variable that describes the projection; None where there is none."""
    name = variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping") or ""
    name = str(name).split(":")[0].split(" ")[0]
    return dataset[name] if name in dataset.variables else None


def _is_longitude(x: Any) -> bool:
    units = str(x.attrs.get("units", ""))
    is_rotated = x.attrs.get("standard_name") == "grid_longitude"
    return (units.startswith("degree") or x.attrs.get("standard_name") == "longitude") and not is_rotated


def _crs(dataset: Any, variable: Any, x: Any, path: str) -> str:
    """WKT of the grid mapping; WGS 84 for longitudes without one; empty where there is none."""
    mapping = _mapping(dataset, variable)
    if mapping is not None:
        import pyproj

        text = mapping.attrs.get("crs_wkt") or mapping.attrs.get("spatial_ref")
        try:
            found = pyproj.CRS.from_user_input(text) if text else pyproj.CRS.from_cf(dict(mapping.attrs))
            return str(found.to_wkt())
        except (pyproj.exceptions.CRSError, KeyError, ValueError) as error:
            what = f"has a grid mapping {mapping.name!r} that is not understood ({error})"
            raise InputError(path, what, "Correct its attributes after the CF conventions.") from error
    return crs_to_wkt(path, WGS84) if _is_longitude(x) else ""
