"""A run for other programs: gauges and drainage network as GeoPackage, discharge as CF NetCDF.

GeoPackage (OGC 12-128) has the layers `gauges`, points at the centres of the gauges' cells with their scores as columns
`<metric>_<period>`, and `drainage_network`, a line from each cell to the next cell downstream. NetCDF follows the CF
conventions 1.11, discrete sampling geometries of the kind `timeSeries` (chapter 9): one station for each gauge.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

import hydrocli
from hydrocli.errors import ConfigurationError
from hydrocli.results.read import Run
from hydrocli.results.views import crs_of, gauges, rivers, rows_by_gauge
from hydrocli.results.write import atomic_write, os_errors_as_input_errors

Kind = Literal["geopackage", "netcdf"]

FILES: dict[Kind, str] = {"geopackage": "map.gpkg", "netcdf": "discharge.nc"}
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
    with os_errors_as_input_errors(path), tempfile.TemporaryDirectory(dir=path.parent, prefix=".export.") as place:
        # Written whole elsewhere and then put in its place: SQLite and HDF5 write a file here and there.
        made = Path(place) / f"made{path.suffix}"
        writers[kind](run, made)
        with atomic_write(path) as file:
            file.write(made.read_bytes())
    return path


def _write_geopackage(run: Run, path: Path) -> None:
    # The date of the last change would make two exports of one run differ.
    os.environ.setdefault("OGR_CURRENT_DATE", "2000-01-01T00:00:00.000Z")
    gauges(run).to_file(path, layer="gauges", driver="GPKG", engine="pyogrio")
    rivers(run).to_file(path, layer="drainage_network", driver="GPKG", engine="pyogrio")


def _write_netcdf(run: Run, path: Path) -> None:
    try:
        import h5netcdf  # noqa: F401
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
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)
