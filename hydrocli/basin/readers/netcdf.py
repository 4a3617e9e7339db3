"""NetCDF after the CF conventions: one file, or a folder tree of files that follow one another in time.

xarray decodes the time axis, packing and fill values. Fields are sampled at the centres of the active cells, nearest
neighbour, on regular grids of any orientation; longitudes may run from 0 to 360.

Time: where the time coordinate has bounds (CF 7.1), a field belongs to the interval between them; else its time is a
label like the date in the name of a GeoTIFF.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times, day_of_step
from hydrocli.basin.grid import Grid, crs_of_file, crs_to_wkt
from hydrocli.basin.readers import (
    Archive,
    FileFacts,
    ForcingSource,
    Layer,
    UnreadableError,
    find_files,
    refuse_duplicates,
)
from hydrocli.basin.sampling import Points, Sampling
from hydrocli.errors import InputError

SUFFIXES = (".nc", ".nc4", ".cdf")
BLOCK_BYTES = 64e6
"""Fields are read in blocks of the file's own chunks in time, up to this size, and kept until the next block."""
EVEN = 0.01
"""A coordinate is regular where no value is off by more than this share of a cell."""
AXES = {
    "X": ("projection_x_coordinate", "longitude", "grid_longitude"),
    "Y": ("projection_y_coordinate", "latitude", "grid_latitude"),
}
NAMES = {"X": ("x", "lon", "longitude", "easting"), "Y": ("y", "lat", "latitude", "northing")}


class NetcdfReader:
    """NetCDF files with a variable of the dimensions time, y and x, in any order."""

    label = "a time without bounds is the end of its step, or the day of a daily field"

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`; opens every file once."""
        if source.path.is_file():
            paths = [os.fspath(source.path)]
        else:
            paths = find_files(source.path, SUFFIXES, where)
        if not paths:
            raise InputError(where, f"{source.path} has no file that ends with {', '.join(SUFFIXES)}")
        named, has_bounds, units = list[tuple[np.datetime64, Layer]](), dict[bool, str](), dict[str, str]()
        for path in paths:
            with _opened(path) as dataset:
                variable = _variable(dataset, source.variable, path, where)
                times, bounded = _times(dataset, variable, path)
                has_bounds.setdefault(bounded, path)
                units.setdefault(str(variable.attrs.get("units", "")), path)
            named += [(time, Layer(path, index)) for index, time in enumerate(times)]
        for what, found in (("bounds of time", has_bounds), ("units", units)):
            if len(found) > 1:
                shown = " and ".join(f"{path} ({key})" for key, path in list(found.items())[:2])
                raise InputError(where, f"files differ in their {what}: {shown}", "Keep files of one kind below it.")
        named.sort()
        refuse_duplicates([(str(time), layer) for time, layer in named], where)
        times = np.array([time for time, _ in named], "datetime64[s]")
        return Archive(times, tuple(layer for _, layer in named), True in has_bounds)

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the year of the times does not count."""
        archive = self.find(source, where)
        days = day_of_step(archive.times) if archive.has_bounds else archive.times.astype("datetime64[D]")
        named = [(str(day)[5:7] + str(day)[8:10], layer) for day, layer in zip(days, archive.layers, strict=True)]
        refuse_duplicates(named, where)
        return dict(named)

    def sampler(self, source: ForcingSource, points: Points) -> NetcdfSampler:
        """See `Reader`."""
        return NetcdfSampler(source, points)


READER = NetcdfReader()


@dataclass(frozen=True)
class Place:
    """Which values of a file hold the points.

    Attributes:
        dimensions: names of the dimensions of time, y and x.
        sampling: of the grid at the points.
    """

    dimensions: tuple[str, str, str]
    sampling: Sampling


@dataclass
class OpenFile:
    """The file that is read, and the last block of its fields: float64[t, n] from the index `first`."""

    path: str
    dataset: Any
    variable: Any
    place: Place
    length: int
    first: int = 0
    block: NDArray[np.floating[Any]] | None = None


class NetcdfSampler:
    """Reads fields at n points; see `Sampler`.

    Args:
        source: what the configuration says of the files.
        points: where.
    """

    def __init__(self, source: ForcingSource, points: Points) -> None:
        self.variable, self.points, self.source = source.variable, points, source
        self._file: OpenFile | None = None

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
        if file.block is None or not file.first <= layer.number < file.first + len(file.block):
            file.first = layer.number // file.length * file.length
            file.block = self._read_block(file)
        return np.array(file.block[layer.number - file.first], np.float64)

    def facts(self, layer: Layer) -> FileFacts:
        """See `Sampler.facts`: the attribute `units`, and `scale_factor` and `add_offset`."""
        file = self._opened(layer.path)
        packing = [file.variable.encoding.get(key, plain) for key, plain in (("scale_factor", 1), ("add_offset", 0))]
        unit = str(file.variable.attrs.get("units", ""))
        return FileFacts(unit, packing != [1, 0], file.place.sampling)

    def check(self, layer: Layer) -> None:
        """See `Sampler.check`."""
        self._opened(layer.path)

    def _opened(self, path: str) -> OpenFile:
        if self._file is None or self._file.path != path:
            self._close()
            dataset = _open(path)
            try:
                variable = _variable(dataset, self.variable, path, path)
                place = _place(dataset, variable, self.points, self.source, path)
            except BaseException:
                dataset.close()
                raise
            height, width = place.sampling.shape
            chunks = dict(zip(variable.dims, variable.encoding.get("chunksizes") or variable.shape, strict=True))
            length = max(1, min(int(chunks[place.dimensions[0]]), int(BLOCK_BYTES / (8 * height * width))))
            self._file = OpenFile(path, dataset, variable, place, length)
        return self._file

    def _read_block(self, file: OpenFile) -> NDArray[np.floating[Any]]:
        time, y, x = file.place.dimensions
        rows, columns = file.place.sampling.rows, file.place.sampling.columns
        chosen = {time: slice(file.first, file.first + file.length), y: rows, x: columns}
        others = {name: 0 for name in file.variable.dims if name not in chosen}
        with _reading(file.path):
            window = file.variable.isel(chosen | others).transpose(time, y, x).values
        return file.place.sampling.values(window)

    def _close(self) -> None:
        if self._file is not None:
            self._file.dataset.close()
            self._file = None


def _open(path: str) -> Any:
    """The `xarray.Dataset` of a file, to be closed."""
    try:
        import h5netcdf  # noqa: F401 - the engine
        import xarray
    except ImportError as error:
        what = f"needs the library {error.name}, which is not installed"
        raise InputError("format: netcdf", what, "Install it with: pip install 'hydrocli[netcdf]'") from error
    with _reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about attributes that say nothing about our variable
        with open(path, "rb") as file:  # noqa: PTH123 - a path of any bytes
            is_classic = file.read(3) == b"CDF"  # NetCDF 3
        return xarray.open_dataset(path, engine="scipy" if is_classic else "h5netcdf")


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    dataset = _open(path)
    try:
        yield dataset
    finally:
        dataset.close()


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Raise what goes wrong inside as `UnreadableError` of that path."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableError(path, "does not exist, or not any more") from error
    except PermissionError as error:
        raise UnreadableError(path, "cannot be opened", "Change its permissions.") from error
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError, OverflowError) as error:
        text = " ".join(str(error).split())
        if "calendar" in text or "cftime" in text or "decode" in text:
            remedy = "Times of the standard calendar are needed, with units like `hours since 2000-01-01`."
            raise InputError(path, "has a time axis that cannot be decoded", remedy) from error
        remedy = "Replace it by a sound copy, or remove it."
        raise UnreadableError(path, f"cannot be read as NetCDF ({text[:200]})", remedy) from error


def _variable(dataset: Any, name: str | None, path: str, where: str) -> Any:
    """The variable of that name, or the only one that has a time and two more dimensions."""
    fields = [str(key) for key, values in dataset.data_vars.items() if values.ndim >= 3 and _time_of(values)]
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
    return dataset[name]


def _time_of(variable: Any) -> str:
    """The dimension of a variable whose coordinate holds times, empty where there is none."""
    for name in variable.dims:
        if name in variable.coords and np.issubdtype(variable.coords[name].dtype, np.datetime64):
            return str(name)
    return ""


def _times(dataset: Any, variable: Any, path: str) -> tuple[Times, bool]:
    """Valid times datetime64[s][t] of a variable: ends of the intervals where there are bounds, and whether there are.

    Raises:
        InputError: a time is missing, or lies outside its bounds.
    """
    coordinate = variable.coords[_time_of(variable)]
    times = _seconds(coordinate.values)
    bounds = dataset.get(coordinate.attrs.get("bounds") or coordinate.encoding.get("bounds") or "")
    if np.isnat(times).any():
        raise InputError(path, "has a time that is missing")
    if bounds is None:
        return times, False
    if not np.issubdtype(bounds.dtype, np.datetime64) or bounds.shape != (len(times), 2):
        raise InputError(path, f"has bounds of time {bounds.name!r} that cannot be decoded")
    first, last = _seconds(bounds.values).T
    if not ((first < last) & (first <= times) & (times <= last)).all():
        raise InputError(path, "has times outside their bounds", "Correct the coordinate time or its bounds.")
    return last, True


def _seconds(times: NDArray[np.datetime64]) -> Times:
    """Times to the nearest second: fractions of days are seldom exact."""
    half = np.timedelta64(500, "ms")
    return (times.astype("datetime64[ms]") + half).astype("datetime64[s]")


def _place(dataset: Any, variable: Any, points: Points, source: ForcingSource, path: str) -> Place:
    """Where the points lie in a file.

    Raises:
        InputError: the grid is not regular, has no CRS, or covers no point.
    """
    time = _time_of(variable)
    x, y = (_axis(variable, axis, time, path) for axis in ("X", "Y"))
    for name, size in zip(variable.dims, variable.shape, strict=True):
        if name not in (time, x.name, y.name) and size > 1:
            what = f"has a dimension {name!r} of {size} values besides time, y and x"
            raise InputError(path, what, "Write files with one of them.")
    (left, across), (top, down) = (_regular(coordinate, path) for coordinate in (x, y))
    wkt = crs_of_file(_crs(dataset, variable, x, path), source.crs, points.crs, path)
    grid = Grid(wkt, (across, 0.0, left, 0.0, down, top), len(y), len(x))
    sampling = Sampling.of(grid, points, path, source.resampling)
    return Place((time, str(y.name), str(x.name)), sampling)


def _axis(variable: Any, axis: str, time: str, path: str) -> Any:
    """The coordinate of one dimension of space: by the attributes of CF, else by its name."""
    known = [variable.coords[name] for name in variable.dims if name in variable.coords and name != time]
    for coordinate in known:
        attributes = coordinate.attrs
        if attributes.get("axis") == axis or attributes.get("standard_name") in AXES[axis]:
            return coordinate
    for coordinate in known:
        if str(coordinate.name).lower() in NAMES[axis]:
            return coordinate
    what = f"has no coordinate {axis.lower()} of one dimension (dimensions: {', '.join(map(str, variable.dims))})"
    raise InputError(path, what, "Curvilinear grids are not read: regrid the file, for example with cdo or xesmf.")


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


def _crs(dataset: Any, variable: Any, x: Any, path: str) -> str:
    """WKT of the grid mapping; WGS 84 for longitudes without one; empty where there is none."""
    name = variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping") or ""
    mapping = dataset.get(str(name).split(":")[0].split(" ")[0])
    if mapping is not None:
        import pyproj

        text = mapping.attrs.get("crs_wkt") or mapping.attrs.get("spatial_ref")
        try:
            found = pyproj.CRS.from_user_input(text) if text else pyproj.CRS.from_cf(dict(mapping.attrs))
            return str(found.to_wkt())
        except (pyproj.exceptions.CRSError, KeyError, ValueError) as error:
            what = f"has a grid mapping {mapping.name!r} that is not understood ({error})"
            raise InputError(path, what, "Correct its attributes after the CF conventions.") from error
    if str(x.attrs.get("units", "")).startswith("degree") or x.attrs.get("standard_name") == "longitude":
        return crs_to_wkt(path, "EPSG:4326")
    return ""
