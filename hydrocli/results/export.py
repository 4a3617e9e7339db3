"""A run for other programs: gauges and drainage network as GeoPackage, discharge as CF NetCDF.

GeoPackage (OGC 12-128) has the layers `gauges`, points at the centres of the gauges' cells with their scores as columns
`<metric>_<period>`, and `drainage_network`, a line from each cell to the next cell downstream. NetCDF follows the CF
conventions 1.11, discrete sampling geometries of the kind `timeSeries` (chapter 9): one station for each gauge.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

import hydrocli
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.files import (
    atomic_write,
    os_error_as_input_error,
    os_errors_as_input_errors,
    partial_of,
    sync_file,
    sync_folder,
)
from hydrocli.results.read import Run
from hydrocli.results.views import crs_of, gauges, rivers, rows_by_gauge

Kind = Literal["geopackage", "netcdf"]

FILES: dict[Kind, str] = {"geopackage": "map.gpkg", "netcdf": "discharge.nc"}
LAYERS = "gauges", "drainage_network"
ROOM = 2**20
"""Bytes without which a file system is full, for SQLite at least."""
FILL = 1e20
EXTRA = "pip install 'hydrocli[netcdf]', or from a clone: pip install -e '.[netcdf]'"


def export(run: Run, kind: Kind, output: Path | None = None) -> Path:
    """Write a run in the format of other programs; returns the path of the file.

    Args:
        run: the run.
        kind: `geopackage`: gauges and network; `netcdf`: discharge.
        output: file to write; None for map.gpkg or discharge.nc in the run folder.

    Raises:
        InputError: a table is missing, or the file cannot be written.
        ConfigurationError: the libraries for NetCDF are not installed.
    """
    path = output or run.folder / FILES[kind]
    writers: dict[Kind, Callable[[Run, Path], None]] = {"geopackage": _write_geopackage, "netcdf": _write_netcdf}
    with os_errors_as_input_errors(path):
        writers[kind](run, path)
    return path


def _write_geopackage(run: Run, path: Path) -> None:
    # The date of the last change would make two exports of one run differ.
    os.environ.setdefault("OGR_CURRENT_DATE", "2000-01-01T00:00:00.000Z")
    frames = gauges(run), rivers(run)
    with partial_of(path) as place:
        # In a folder of its own: SQLite writes other files beside its own.
        place.mkdir()
        made = place / path.name
        try:
            for layer, frame in zip(LAYERS, frames, strict=True):
                frame.to_file(made, layer=layer, driver="GPKG", engine="pyogrio")
            _require_whole(made)
        except (RuntimeError, sqlite3.DatabaseError) as error:  # all that the libraries say of a full disk
            raise _unwritten(path, error) from error
        sync_file(made)
        made.replace(path)
        sync_folder(path.parent)


def _require_whole(path: Path) -> None:
    """Read back what a library has written: of a full disk it may say nothing.

    Raises:
        RuntimeError, sqlite3.DatabaseError: the file is damaged.
    """
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as base:
        (found,) = base.execute("PRAGMA quick_check").fetchone()
        layers = {row[0] for row in base.execute("SELECT table_name FROM gpkg_contents")}
    if found != "ok" or not layers.issuperset(LAYERS):
        raise RuntimeError(f"the file is not whole ({found})")


def _unwritten(path: Path, error: Exception) -> InputError:
    """The error for the user: of a full disk the libraries name anything but the cause."""
    if shutil.disk_usage(path.parent).free < ROOM:
        return os_error_as_input_error(OSError(errno.ENOSPC, ""), path)
    remedy = "Look for a quota, a limit of file sizes (`ulimit -f`), and permissions."
    return InputError(str(path), f"cannot be written: {str(error).splitlines()[0]}", remedy)


def _write_netcdf(run: Run, path: Path) -> None:
    try:
        import h5netcdf
        import h5py  # noqa: F401 - which h5netcdf no longer requires
        import xarray as xr
    except ImportError as error:
        raise ConfigurationError("--to netcdf", f"needs the library {error.name}", EXTRA) from None

    discharge, catchments = run.arrays("discharge"), run.arrays("catchments")
    rows = rows_by_gauge(discharge["gauge"])
    codes, number = list(rows), {code: place for place, code in enumerate(catchments["gauge"].tolist())}
    where = np.array([number[code] for code in codes], np.intp)
    times = discharge["time"][rows[codes[0]]].astype("datetime64[s]")
    flow = {"units": "m3 s-1", "coordinates": "gauge x y", "grid_mapping": "crs"}
    series = {
        f"discharge_{kind}": (
            ("station", "time"),
            np.stack([discharge[kind][here] for here in rows.values()]),
            flow | {"long_name": f"{kind} discharge", "standard_name": "water_volume_transport_in_river_channel"},
        )
        for kind in ("observed", "simulated")
    }
    place = {
        "gauge": ("station", codes, {"long_name": "code of the gauge", "cf_role": "timeseries_id"}),
        "x": ("station", catchments["x"][where], {"long_name": "x of the gauge's cell in the CRS"}),
        "y": ("station", catchments["y"][where], {"long_name": "y of the gauge's cell in the CRS"}),
    }
    details = {"long_name": "end of the time step", "standard_name": "time"}
    dataset = xr.Dataset(
        series | {"crs": ((), np.int32(0), {"crs_wkt": crs_of(run)})},
        coords={"time": ("time", times, details), **place},
        attrs={
            "Conventions": "CF-1.11",
            "featureType": "timeSeries",
            "title": f"Discharge of the run {run.manifest.run}",
            "source": f"hydrocli {hydrocli.__version__}",
        },
    )
    encoding: dict[str, Any] = {name: {"_FillValue": FILL, "zlib": True, "complevel": 4} for name in series}
    encoding |= {"time": {"units": f"seconds since {times[0]}Z".replace("T", " "), "dtype": "int64"}}
    # Made in memory: HDF5 crashes on a full disk.
    made = io.BytesIO()
    with h5netcdf.File(made, "w") as stored:
        dataset.dump_to_store(xr.backends.H5NetCDFStore(stored), encoding=encoding)
    with atomic_write(path) as file:
        file.write(made.getbuffer())
