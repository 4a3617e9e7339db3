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
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats
from hydrocli.basin.basin import Times, day_of_step
from hydrocli.basin.grid import Grid, crs_to_wkt
from hydrocli.basin.readers import Archive, ForcingSource, Layer, Points, refuse_duplicates
from hydrocli.basin.readers._images import reading
from hydrocli.basin.readers._places import WGS84, Place, Tile, place_on_centres, place_on_grid
from hydrocli.errors import InputError

BLOCK_BYTES = 64e6
"""Largest block of fields, and largest part of a file that is decoded at once, unless one chunk is larger."""
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
        find: paths of the files of a source; its second argument is the key that names them.
        open: the `xarray.Dataset` of a path, to be closed; its second argument is the variable wanted, or None.
    """

    name: str
    find: Callable[[ForcingSource, str], list[str]]
    open: Callable[[str, str | None], Any]


class CfReader:
    """Files with a variable that has a time and two dimensions of space, in any order; see `Reader`.

    Args:
        format: of the files.
        label: see `Reader`.
    """

    def __init__(self, format: CfFormat, label: str) -> None:  # noqa: A002
        self.format, self.label = format, label

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`; opens every file once."""
        named, has_bounds, units = list[tuple[np.datetime64, Layer]](), dict[bool, str](), dict[str, str]()
        notes: dict[str, str] = {}
        for path in self.format.find(source, where):
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
        named.sort()
        refuse_duplicates([(str(time), layer) for time, layer in named], where)
        stamps = np.array([time for time, _ in named], "datetime64[s]")
        told = tuple(f"{path} {note}" for note, path in notes.items() if note)
        return Archive(stamps, tuple(layer for _, layer in named), True in has_bounds, told)

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the year of the times does not count."""
        archive = self.find(source, where)
        days = day_of_step(archive.times) if archive.has_bounds else archive.times.astype("datetime64[D]")
        named = [(str(day)[5:7] + str(day)[8:10], layer) for day, layer in zip(days, archive.layers, strict=True)]
        refuse_duplicates(named, where)
        return dict(named)

    def sampler(self, source: ForcingSource, points: Points) -> CfSampler:
        """See `Reader`."""
        return CfSampler(self.format, source.variable, points)


@dataclass
class OpenFile:
    """The file that is read, and the last block of its fields.

    Attributes:
        path, dataset, variable: of the file.
        dims: names of its dimensions: those of time (one or two), y, x.
        place: of the points.
        tiles: parts of the grid that are read at once.
        length: fields of a block, along the first dimension of time.
        inner: fields along the second one; 1 where there is none.
        first: index of the block along the first dimension.
        block: [fields, k points that are covered].
    """

    path: str
    dataset: Any
    variable: Any
    dims: tuple[str, ...]
    place: Place
    tiles: list[Tile]
    length: int
    inner: int
    first: int = 0
    block: NDArray[np.floating[Any]] | None = None


@dataclass
class CfSampler:
    """Reads fields at n points; see `Sampler`.

    Attributes:
        format: of the files.
        variable: name in the files; None where they have one variable only.
        points: where.
    """

    format: CfFormat
    variable: str | None
    points: Points
    _file: OpenFile | None = None
    _curvilinear: dict[tuple[int, int], Place] = field(default_factory=dict)

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
        file = self._opened(layer.path)
        if file.block is None or not file.first * file.inner <= layer.number < file.first * file.inner + len(
            file.block
        ):
            file.block = None  # not two of them at a time
            file.first = layer.number // file.inner // file.length * file.length
            file.block = _read_block(file, self.format.name)
        result = np.full(len(self.points), np.nan)
        result[file.place.covered] = file.block[layer.number - file.first * file.inner]
        return result

    def covered(self, layer: Layer) -> Flags:
        """Which of the points the grid covers, bool[n]; raises as `read`."""
        return self._opened(layer.path).place.covered

    def unit(self, layer: Layer) -> str:
        """The attribute `units`, empty where there is none; raises as `read`."""
        return str(self._opened(layer.path).variable.attrs.get("units", ""))

    def _opened(self, path: str) -> OpenFile:
        if self._file is None or self._file.path != path:
            self._close()
            dataset = _open(self.format, path, self.variable)
            try:
                self._file = self._prepared(path, dataset)
            except BaseException:
                dataset.close()
                raise
        return self._file

    def _prepared(self, path: str, dataset: Any) -> OpenFile:
        variable = _variable(dataset, self.variable, path, path)
        outer, *inner = _time_coordinate(variable).dims
        space = [str(name) for name in variable.dims if name not in (outer, *inner)]
        place, axes = self._place(dataset, variable, space, path)
        for name in space:
            if name not in axes and variable.sizes[name] > 1:
                what = f"has a dimension {name!r} of {variable.sizes[name]} values besides time, y and x"
                raise InputError(path, what, "Write files with one of them.")
        sizes = {str(name): int(size) for name, size in variable.sizes.items()}
        chunks = dict(zip(sizes, _chunks(variable), strict=True))
        tiles = place.tiles(chunks[axes[0]], chunks[axes[1]])
        count = int(np.prod([sizes[name] for name in inner], dtype=np.int64))
        area = max((t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start) for t in tiles)
        fitting = int(BLOCK_BYTES / (8 * count * max(area, len(place.row))))
        length = fitting // chunks[outer] * chunks[outer] if fitting >= chunks[outer] else max(1, fitting)
        return OpenFile(path, dataset, variable, (outer, *inner, *axes), place, tiles, length, count)

    def _place(self, dataset: Any, variable: Any, space: list[str], path: str) -> tuple[Place, tuple[str, str]]:
        """Where the points lie in a file, and the names of the dimensions y and x.

        Raises:
            InputError: the grid is neither regular nor given by its centres, has no CRS, or covers no point.
        """
        x, y = (_axis(variable, axis, space) for axis in ("X", "Y"))
        centres = _centres(variable)
        has_crs = x is not None and (_mapping(dataset, variable) is not None or _is_longitude(x))
        if x is not None and y is not None and (has_crs or centres is None):
            (left, across), (top, down) = (_regular(coordinate, path) for coordinate in (x, y))
            wkt = _crs(dataset, variable, x, self.points.crs, path)
            grid = Grid(wkt, (across, 0.0, left, 0.0, down, top), len(y), len(x))
            return place_on_grid(grid, self.points, path), (str(y.name), str(x.name))
        if centres is None:
            what = f"has no coordinates x and y, nor latitude and longitude (dimensions: {', '.join(space)})"
            raise InputError(path, what, "Regrid the file to a regular grid, for example with cdo or xesmf.")
        latitude, longitude = (np.asarray(values, np.float64) for values in centres)
        key = zlib.crc32(latitude.tobytes()), zlib.crc32(longitude.tobytes())
        if key not in self._curvilinear:
            self._curvilinear[key] = place_on_centres(latitude, longitude, self.points, path)
        return self._curvilinear[key], (str(centres[0].dims[0]), str(centres[0].dims[1]))

    def _close(self) -> None:
        if self._file is not None:
            self._file.dataset.close()
            self._file = None


def _read_block(file: OpenFile, name: str) -> NDArray[np.floating[Any]]:
    """Values at the covered points of so many fields as a block has, [fields, k]."""
    outer, y, x = file.dims[0], *file.dims[-2:]
    count = min(file.length, file.variable.sizes[outer] - file.first)
    block: NDArray[np.floating[Any]] | None = None
    for tile in file.tiles:
        chosen = {outer: slice(file.first, file.first + count), y: tile.rows, x: tile.columns}
        others = {name: 0 for name in file.variable.dims if name not in file.dims}
        with reading(file.path, name):
            window = file.variable.isel(chosen | others).transpose(*file.dims).values
        values = window.reshape(count * file.inner, -1)[:, tile.place]
        if block is None:
            block = np.full((len(values), len(file.place.row)), np.nan, np.result_type(values, np.float32))
        block[:, tile.number] = values
    assert block is not None, "a place has points"
    return block


def _chunks(variable: Any) -> Sequence[int]:
    """Chunks of the file along each dimension; the whole where it has none."""
    found = variable.encoding.get("chunksizes") or variable.encoding.get("chunks")
    return found if found and len(found) == variable.ndim else variable.shape


def _open(format: CfFormat, path: str, variable: str | None) -> Any:  # noqa: A002
    """The `xarray.Dataset` of a file, to be closed.

    Raises:
        UnreadableError: it is absent or broken.
        InputError: a library is not installed, or its times cannot be decoded.
    """
    with reading(path, format.name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about attributes that say nothing about our variable
        try:
            return format.open(path, variable)
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


def _crs(dataset: Any, variable: Any, x: Any, crs: str | None, path: str) -> str:
    """WKT of the grid mapping; WGS 84 for longitudes without one; else the CRS that the configuration names."""
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
    if _is_longitude(x):
        return crs_to_wkt(path, WGS84)
    if crs is None:
        what = "does not name its coordinate reference system"
        raise InputError(path, what, "Name it in `basin.crs`, for example EPSG:2154.")
    return crs_to_wkt("basin.crs", crs)
