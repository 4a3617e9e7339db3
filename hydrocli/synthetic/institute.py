"""A synthetic basin as an institute archives it: nothing in the formats of a model, everything in those of its sources.

dem.tif                      elevation, 100 m, metres
rain/rain_2019-09.nc         NetCDF of each month: mm/h, 500 m, packed integers, bounds of time
temperature/tas_2019-09.nc   NetCDF of each month: K, 8 km, means of days
stations.gpkg                gauges as points of longitude and latitude: cdstationhydro, surface (m2)
discharge.csv                columns of each gauge and of its flags: semicolons, decimal commas, local time, Latin-1

The elevation has a channel along the way of the water from each cell of 1 km to the next, and hillslopes towards it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import Drainage
from hydrocli.errors import ConfigurationError
from hydrocli.synthetic.options import DAY, SampleOptions
from hydrocli.synthetic.rain import rain_fields
from hydrocli.synthetic.temperature import temperature_fields
from hydrocli.synthetic.terrain import NO_DATA, Terrain
from hydrocli.synthetic.writing import RasterWriter

ZONE = "Europe/Paris"
FINE, RAIN, COARSE = 10, 2, 8
"""Cells of the elevation and of the rain in one of 1 km, and cells of 1 km in one of the temperature, on a side."""
DROP, SLOPE = 4.0, 6.0
"""m: the least fall of a river in a cell, and of a hillslope in 100 m."""
RAIN_PACKING, RAIN_MISSING = 0.01, -1
"""mm/h in a unit of the rain files, and their fill value."""
DOUBTFUL = 0.05
"""Share of the values that are flagged as doubtful."""
FLAGS = ("Bonne", "Douteuse")


def require_libraries() -> None:
    """Refuse to begin where NetCDF cannot be written.

    Raises:
        ConfigurationError: a library is not installed.
    """
    try:
        import h5netcdf  # noqa: F401 - the engine
        import xarray  # noqa: F401
    except ImportError as error:
        what = f"institute needs the library {error.name}, which is not installed"
        raise ConfigurationError("--layout", what, "Install it with: pip install 'hydrocli[netcdf]'") from error


def write_institute(terrain: Terrain, options: SampleOptions, observed: Floats, folder: Path) -> None:
    """Write all files; `observed` float64[g, t] [m3/s], NaN where missing."""
    grid = _finer(terrain.grid, FINE)
    RasterWriter(grid).write(folder / "dem.tif", elevation(terrain).astype(np.float32), -9999)
    _write_rain(terrain, options, folder / "rain")
    _write_temperature(terrain, options, folder / "temperature")
    _write_stations(terrain, folder / "stations.gpkg")
    _write_discharge(terrain, options, observed, folder / "discharge.csv")


def elevation(terrain: Terrain) -> Floats:
    """Elevation float64[10 height, 10 width] [m] whose water takes the way of the flow directions."""
    drainage = Drainage.from_d8(terrain.directions, "esri", terrain.grid, NO_DATA)
    height, width = terrain.grid.shape
    river = terrain.elevation.ravel().copy()
    for cell in drainage.order.tolist():  # each after the one that it drains to
        below = int(drainage.below[cell])
        if below not in (cell, -1):
            river[cell] = max(river[cell], river[below] + DROP)
    fine = np.full((FINE * height, FINE * width), np.inf)
    channels: dict[int, list[tuple[int, int, float]]] = {}
    for cell in range(height * width):
        for row, column, z in _way(cell, int(drainage.below[cell]), width, river):
            if 0 <= row < fine.shape[0] and 0 <= column < fine.shape[1]:
                channels.setdefault(row // FINE * width + column // FINE, []).append((row, column, z))
    inside = np.indices((FINE, FINE)).reshape(2, -1).T
    for cell in range(height * width):
        places = inside + FINE * np.array(divmod(cell, width))
        own = np.array(channels[cell])
        distance = np.hypot(*(places[:, None, :] - own[None, :, :2]).transpose(2, 0, 1))
        nearest = distance.argmin(axis=1)
        fine[places[:, 0], places[:, 1]] = own[nearest, 2] + SLOPE * distance[np.arange(len(places)), nearest]
    return fine


def _way(cell: int, below: int, width: int, river: Floats) -> Iterator[tuple[int, int, float]]:
    """Fine cells of the channel from the middle of a cell to that of the next, with their elevation."""
    row, column = divmod(cell, width)
    down, across = (0, 0) if below in (cell, -1) else (below // width - row, below % width - column)
    fall = (river[cell] - river[below]) / FINE if (down, across) != (0, 0) else 0.0
    for step in range(FINE if fall else 1):
        middle = FINE // 2
        yield FINE * row + middle + step * down, FINE * column + middle + step * across, river[cell] - step * fall


def _finer(grid: Grid, times: int) -> Grid:
    """The grid with so many cells in place of one on a side."""
    a, b, c, d, e, f = grid.transform
    return Grid(grid.crs_wkt, (a / times, b, c, d, e / times, f), grid.height * times, grid.width * times)


def _coordinates(grid: Grid) -> tuple[Floats, Floats]:
    """x of the columns and y of the rows."""
    x, _ = grid.centres(np.zeros(grid.width, int), np.arange(grid.width))
    _, y = grid.centres(np.arange(grid.height), np.zeros(grid.height, int))
    return x, y


def _write_rain(terrain: Terrain, options: SampleOptions, folder: Path) -> None:
    grid = _finer(terrain.grid, RAIN)
    stamps, fields = list[Times](), list[NDArray[np.float32]]()
    for times, amounts in rain_fields(terrain, options):
        stamps.append(times)
        fields.append(amounts.repeat(RAIN, axis=1).repeat(RAIN, axis=2))
    rate = np.concatenate(fields) * (3600 / options.step)
    packing = {"dtype": "int16", "scale_factor": RAIN_PACKING, "_FillValue": RAIN_MISSING}
    said = {"units": "mm h-1", "standard_name": "rainfall_rate", "long_name": "rain rate", "cell_methods": "time: mean"}
    _write_months(folder, "rain", grid, np.concatenate(stamps), rate, options.step, said, packing)


def _write_temperature(terrain: Terrain, options: SampleOptions, folder: Path) -> None:
    """Means of blocks of 8 km, those at the edge of what they hold."""
    rows, columns = (max(2, -(-size // COARSE)) for size in terrain.grid.shape)
    a, b, c, d, e, f = terrain.grid.transform
    grid = Grid(terrain.grid.crs_wkt, (COARSE * a, b, c, d, COARSE * e, f), rows, columns)
    height, width = terrain.grid.shape
    missing = ((0, rows * COARSE - height), (0, columns * COARSE - width))
    stamps, fields = [], []
    for stamp, field in temperature_fields(terrain, options):
        padded = np.pad(field, missing, mode="edge").reshape(rows, COARSE, columns, COARSE)
        stamps.append(stamp + np.timedelta64(options.temperature_step if options.temperature_step == DAY else 0, "s"))
        fields.append(padded.mean(axis=(1, 3)) + 273.15)
    said = {
        "units": "K",
        "standard_name": "air_temperature",
        "long_name": "air temperature",
        "cell_methods": "time: mean",
    }
    _write_months(
        folder, "tas", grid, np.array(stamps, "datetime64[s]"), np.array(fields), options.temperature_step, said, {}
    )


def _write_months(
    folder: Path,
    name: str,
    grid: Grid,
    times: Times,
    values: NDArray[Any],
    step: int,
    said: dict[str, str],
    packing: dict[str, Any],
) -> None:
    """A file for each month, after CF: times are the ends of their bounds."""
    import pyproj
    import xarray

    folder.mkdir(parents=True)
    x, y = _coordinates(grid)
    months = (times - np.timedelta64(1, "s")).astype("datetime64[M]")
    for month in np.unique(months):
        here = months == month
        stamps = times[here].astype("datetime64[ns]")
        field = xarray.DataArray(values[here], dims=("time", "y", "x"), coords={"time": stamps, "y": y, "x": x})
        field.attrs |= said | {"grid_mapping": "crs"}
        field["x"].attrs |= {"standard_name": "projection_x_coordinate", "units": "m"}
        field["y"].attrs |= {"standard_name": "projection_y_coordinate", "units": "m"}
        made = field.to_dataset(name=name)
        made["time"].attrs["bounds"] = "time_bnds"
        made["time_bnds"] = (("time", "bnds"), np.stack([stamps - np.timedelta64(step, "s"), stamps], axis=1))
        made["crs"] = xarray.DataArray(0, attrs=pyproj.CRS.from_wkt(grid.crs_wkt).to_cf())
        encoding = {name: packing, "time": {"units": f"hours since {month}-01", "dtype": "float64"}}
        encoding["time_bnds"] = dict(encoding["time"])
        made.to_netcdf(folder / f"{name}_{month}.nc", engine="h5netcdf", encoding=encoding)


def _write_stations(terrain: Terrain, path: Path) -> None:
    import geopandas as gpd

    x, y, area = (np.array([getattr(site, key) for site in terrain.gauges]) for key in ("x", "y", "area"))
    columns = {"cdstationhydro": [site.code for site in terrain.gauges], "surface": area}
    points = gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(x, y), crs=terrain.grid.crs_wkt)
    points.to_crs("EPSG:4326").to_file(path, driver="GPKG")


def _write_discharge(terrain: Terrain, options: SampleOptions, observed: Floats, path: Path) -> None:
    """Rows of the clock of Paris: the hour at the end of summer time is there twice."""
    import pandas as pd

    local = pd.DatetimeIndex(options.times).tz_localize("UTC").tz_convert(ZONE).strftime("%d/%m/%Y %H:%M")
    doubtful = options.generator("gaps").random(observed.shape) < DOUBTFUL
    codes = [site.code for site in terrain.gauges]
    lines = [";".join(["Date", *(f"{code};{code} qualit\u00e9" for code in codes)])]
    lines.append(";".join(["heure locale", *("m3/s;" for _ in codes)]))
    columns: list[list[str]] = []
    for series, flags in zip(observed, doubtful, strict=True):
        columns.append(["" if np.isnan(value) else f"{value:.3f}".replace(".", ",") for value in series.tolist()])
        columns.append(
            [FLAGS[flag] if value else "" for flag, value in zip(flags.astype(int), columns[-1], strict=True)]
        )
    lines += [";".join(row) for row in zip(local, *columns, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
