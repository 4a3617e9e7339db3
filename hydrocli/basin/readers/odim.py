"""ODIM HDF5: radar composites of OPERA and of many weather services (EUMETNET OPERA, ODIM_H5 information model 2.x).

Read are objects COMP and IMAGE with the quantity ACRR (accumulated rain, mm) or RATE (rate of rain, mm/h). A value is
gain * raw + offset; `nodata` is missing, `undetect` is zero: the radar has looked and found nothing. A field is valid
from the start to the end that its dataset states. The grid is that of `where`: the projection, the coordinates of the
corners of the image, and the size of its pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hydrocli.basin.containers import is_packed, read_bytes
from hydrocli.basin.curvilinear import WGS84
from hydrocli.basin.grid import Grid, crs_of_file, crs_to_wkt, transform_points
from hydrocli.basin.readers import ForcingSource, is_missing
from hydrocli.basin.readers._files import needs
from hydrocli.basin.readers._images import Field, Image, ImageReader
from hydrocli.errors import InputError

QUANTITIES = {"ACRR": "mm", "RATE": "mm/h"}
"""Quantities that are rain, and their units."""
OBJECTS = ("COMP", "IMAGE")


def fields(path: str, source: ForcingSource) -> list[Field]:
    """The fields of the quantity wanted, or of the only one of `QUANTITIES`."""
    with _opened(path) as file:
        found = []
        for number, (dataset, data) in enumerate(_layers(file, path, source.variable)):
            first, last = (_time(file, dataset, data, which) for which in ("start", "end"))
            found.append(Field(first, last, number))
        return found


def image(path: str, source: ForcingSource, number: int) -> Image:
    """One of these fields."""
    with _opened(path) as file:
        dataset, data = _layers(file, path, source.variable)[number]
        raw = data["data"][...]
        gain, offset, nodata, undetect = (
            _attribute(file, dataset, data, "what", name, default)
            for name, default in (("gain", 1.0), ("offset", 0.0), ("nodata", np.nan), ("undetect", np.nan))
        )
        is_packed = (float(gain), float(offset)) != (1.0, 0.0)
        values = raw.astype(np.float64)
        if source.packing != "ignore":
            values = values * float(gain) + float(offset)
        values[raw == undetect] = 0.0
        values[is_missing(raw, (float(nodata), *source.nodata))] = np.nan
        names = ("projdef", "xscale", "yscale", "UL_lon", "UL_lat", "LL_lon", "LL_lat")
        found = {name: _attribute(file, dataset, data, "where", name, None) for name in names}
        quantity = _text(_attribute(file, dataset, data, "what", "quantity", ""))
    if absent := [name for name, value in found.items() if value is None and not name.startswith("LL")]:
        raise InputError(path, f"has no {', '.join(absent)} in its group `where`", "These say where the image lies.")
    corner = float(found["UL_lon"]), float(found["UL_lat"])
    wkt = crs_of_file(crs_to_wkt(path, _text(found["projdef"])), source.crs, None, path)
    grid = _grid(path, wkt, corner, float(found["xscale"]), float(found["yscale"]), raw.shape)
    return Image(values, grid, QUANTITIES[quantity], is_packed)


def _grid(
    path: str, wkt: str, corner: tuple[float, float], xscale: float, yscale: float, shape: tuple[int, int]
) -> Grid:
    x, y = transform_points(WGS84, wkt, np.array(corner[:1]), np.array(corner[1:]), 1e-9, path)
    return Grid(wkt, (xscale, 0.0, float(x[0]), 0.0, -yscale, float(y[0])), *shape)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise needs("odim", "netcdf", error) from error
    content = io.BytesIO(read_bytes(path)) if is_packed(path) else path
    with h5py.File(content, "r") as file:
        yield file


def _layers(file: Any, path: str, variable: str | None) -> list[tuple[Any, Any]]:
    """Groups dataset and data of the fields wanted.

    Raises:
        InputError: the file has none, or it is no image.
    """
    kind = _text(file["what"].attrs["object"]) if "what" in file else ""
    if kind not in OBJECTS:
        what = f"is no radar composite of ODIM HDF5 (object {kind!r})" if kind else "has no group `what` of ODIM HDF5"
        raise InputError(path, what, f"Objects {' and '.join(OBJECTS)} are read: make a composite of scans first.")
    found: dict[str, list[tuple[Any, Any]]] = {}
    for dataset in _numbered(file, "dataset"):
        for data in _numbered(dataset, "data"):
            quantity = _text(_attribute(file, dataset, data, "what", "quantity", ""))
            found.setdefault(quantity, []).append((dataset, data))
    wanted = [quantity for quantity in found if quantity in QUANTITIES and variable in (None, quantity)]
    if len(wanted) != 1:
        asked = f"the quantity {variable!r}" if variable else f"one quantity of {', '.join(QUANTITIES)}"
        remedy = "Name one with `variable`." if wanted else "Other quantities are no rain."
        raise InputError(path, f"has the quantities {', '.join(found)}: {asked} is expected", remedy)
    return found[wanted[0]]


def _numbered(group: Any, name: str) -> list[Any]:
    """Groups dataset1, dataset2 ... in their order."""
    numbers = (key.removeprefix(name) for key in group if key.startswith(name))
    return [group[f"{name}{number}"] for number in sorted((n for n in numbers if n.isdigit()), key=int)]


def _attribute(file: Any, dataset: Any, data: Any, group: str, name: str, default: Any) -> Any:
    """An attribute, from the innermost group that has it."""
    for level in (data, dataset, file):
        if group in level and name in level[group].attrs:
            return level[group].attrs[name]
    return default


def _time(file: Any, dataset: Any, data: Any, which: str) -> np.datetime64:
    """Start or end of a field; the nominal time of the file where it states none."""
    date, time = (_text(_attribute(file, dataset, data, "what", which + part, "")) for part in ("date", "time"))
    if not date:
        date, time = (_text(file["what"].attrs[part]) for part in ("date", "time"))
    return np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:8]}T{time[:2]}:{time[2:4]}:{time[4:6] or '00'}", "s")


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


READER = ImageReader(
    "ODIM HDF5",
    (".h5", ".hdf", ".hdf5"),
    "a field without an interval is valid at its time, the end of its step",
    fields,
    image,
)
