"""NetCDF as institutes have it: packed, in several files, turned over, with bounds, in other units; and refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest

from hydrocli.basin.formats import FORMATS
from hydrocli.basin.ingest import open_basin
from hydrocli.basin.planning import with_true_times
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.readers.netcdf import READER
from hydrocli.basin.source import BasinSource
from hydrocli.errors import Errors, InputError

xarray = pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")
pytest.importorskip("h5py")

Writer = Callable[..., Path]
HOURS = np.datetime64("2019-02-28T00:00", "ns") + np.arange(1, 37) * np.timedelta64(1, "h")
X, Y = 800_500.0 + 1000 * np.arange(4), 6_449_500.0 - 1000 * np.arange(4)
RAIN = np.arange(1, 37)[:, None, None] + np.arange(16.0).reshape(4, 4) / 100
"""That of the small archive: hour h at the cell (r, c) has h + (4 r + c) / 100 mm."""
SINGLE = 1e-6


def dataset(
    values: Any = RAIN,
    times: Any = HOURS,
    x: Any = X,
    y: Any = Y,
    units: str | None = "mm",
    name: str = "rain",
    crs: str | None = "EPSG:2154",
) -> Any:
    """Precipitation after CF on a grid of Lambert-93."""
    field = xarray.DataArray(
        np.asarray(values, np.float64), dims=("time", "y", "x"), coords={"time": times, "y": y, "x": x}, name=name
    )
    if units is not None:
        field.attrs["units"] = units
    made = field.to_dataset()
    made["x"].attrs["standard_name"] = "projection_x_coordinate"
    made["y"].attrs["standard_name"] = "projection_y_coordinate"
    if crs is not None:
        made[name].attrs["grid_mapping"] = "crs"
        made["crs"] = xarray.DataArray(0, attrs=pyproj.CRS(crs).to_cf())
    return made


def write(path: Path, made: Any, **encoding: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = next(str(key) for key, values in made.data_vars.items() if values.ndim == 3)
    made.to_netcdf(path, engine="h5netcdf", encoding={name: encoding} if encoding else {})
    return path


def ingested(source: BasinSource, path: Path, store: Path, **options: Any) -> np.ndarray:
    rain = ForcingSource(path, "netcdf", **options)
    return np.array(open_basin(replace(source, precipitation=rain), store).precipitation)


@pytest.fixture
def expected(source: BasinSource, tmp_path: Path) -> np.ndarray:
    """What the same rain gives as GeoTIFF."""
    return np.array(open_basin(source, tmp_path / "geotiff").precipitation)


def test_formats_are_the_modules_of_the_readers() -> None:
    assert FORMATS == ("caravan", "geotiff", "grib", "netcdf", "odim", "radolan", "table", "zarr")


@pytest.mark.parametrize("files", ["one", "months", "classic"])
@pytest.mark.parametrize("chunks", [None, (5, 2, 4)])
def test_the_same_basin_as_from_geotiff(
    source: BasinSource, tmp_path: Path, expected: np.ndarray, files: str, chunks: tuple[int, ...] | None
) -> None:
    path, made = tmp_path / "nc", dataset()
    if files == "one":
        path = write(path / "rain.nc", made, **({"chunksizes": chunks} if chunks else {}))
    elif files == "months":
        write(path / "02" / "rain.nc", made.isel(time=slice(0, 23)))
        write(path / "03" / "rain.nc", made.isel(time=slice(23, None)))
    else:
        path.mkdir()
        made.to_netcdf(path / "rain.nc", engine="scipy")
    np.testing.assert_allclose(ingested(source, path, tmp_path / "store"), expected, rtol=SINGLE)


@pytest.mark.parametrize("workers", [1, 2])
def test_several_processes_and_blocks_give_the_same(
    source: BasinSource, tmp_path: Path, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    from hydrocli.basin import forcing
    from hydrocli.basin.readers import _cf

    monkeypatch.setattr(forcing, "WORTH_A_PROCESS", 10)
    monkeypatch.setattr(forcing, "BATCH", 7)
    monkeypatch.setattr(_cf, "BLOCK_BYTES", 8 * 16 * 3)
    path = write(tmp_path / "rain.nc", dataset())
    rain = replace(source, precipitation=ForcingSource(path, "netcdf"))
    np.testing.assert_allclose(open_basin(rain, tmp_path / "store", workers).precipitation, expected, rtol=SINGLE)


def test_packed_values_turned_axes_and_other_order_of_dimensions(
    source: BasinSource, tmp_path: Path, expected: np.ndarray
) -> None:
    made = dataset().isel(y=slice(None, None, -1), x=slice(None, None, -1)).transpose("x", "time", "y")
    path = write(tmp_path / "a.nc", made, dtype="int16", scale_factor=0.01, _FillValue=-9999)
    np.testing.assert_allclose(ingested(source, path, tmp_path / "store"), expected, rtol=SINGLE)


def test_a_fill_value_is_missing(source: BasinSource, tmp_path: Path) -> None:
    values = RAIN.copy()
    values[4, 1, 1] = np.nan
    path = write(tmp_path / "a.nc", dataset(values), dtype="int16", scale_factor=0.01, _FillValue=-9999)
    assert np.argwhere(np.isnan(ingested(source, path, tmp_path / "store")))[:, 0].tolist() == [4]


@pytest.mark.parametrize(
    ("units", "factor", "unit"),
    [
        ("mm h-1", 1.0, None),
        ("kg m-2 s-1", 1 / 3600, None),
        ("m", 1e-3, None),
        ("mm/day", 24.0, None),
        (None, 24.0, "mm/d"),
        ("furlong", 1.0, "mm"),
    ],
)
def test_units_of_the_file_or_of_the_configuration(
    source: BasinSource, tmp_path: Path, expected: np.ndarray, units: str | None, factor: float, unit: str | None
) -> None:
    path = write(tmp_path / "a.nc", dataset(RAIN * factor, units=units))
    np.testing.assert_allclose(ingested(source, path, tmp_path / "store", unit=unit), expected, rtol=SINGLE)


def test_units_that_are_not_understood_or_differ_are_refused(source: BasinSource, tmp_path: Path) -> None:
    furlongs = write(tmp_path / "furlongs.nc", dataset(units="furlong"))
    with pytest.raises(InputError, match=r"the files state the unit 'furlong'.*\n.*forcing\.precipitation\.unit"):
        ingested(source, furlongs, tmp_path / "store")
    daily = write(tmp_path / "daily.nc", dataset(units="mm/day"))
    with pytest.raises(InputError, match=r"forcing\.precipitation\.unit: is 'mm/h', but the files state 'mm/day'"):
        ingested(source, daily, tmp_path / "store", unit="mm/h")
    with pytest.raises(InputError, match="'inch' is not a unit that is understood"):
        ingested(source, daily, tmp_path / "store", unit="inch")


def test_bounds_say_when_a_value_is_valid(source: BasinSource, tmp_path: Path, expected: np.ndarray) -> None:
    """Stamped at the start or in the middle of the hour, with bounds that say so."""
    for shift in (60, 30):
        made = dataset(times=HOURS - np.timedelta64(shift, "m"))
        made["time"].attrs["bounds"] = "time_bnds"
        made["time"].encoding["units"] = "minutes since 2019-01-01"
        bounds = np.stack([HOURS - np.timedelta64(60, "m"), HOURS], axis=1)
        made["time_bnds"] = xarray.DataArray(bounds, dims=("time", "edge"))
        path = write(tmp_path / f"{shift}.nc", made)
        np.testing.assert_allclose(ingested(source, path, tmp_path / "store"), expected, rtol=SINGLE)


def test_geographic_grids_with_longitudes_from_0_to_360(tmp_path: Path) -> None:
    """Cells of 1 degree that hold their longitude, sampled at points west and east of Greenwich."""
    from hydrocli.basin.grid import Grid
    from hydrocli.basin.readers import Layer, Points

    longitude, latitude = np.arange(0.5, 360), np.arange(-89.5, 90)
    values = np.broadcast_to(longitude + 1000 * np.arange(2)[:, None, None], (2, 180, 360))
    made = xarray.DataArray(
        values, dims=("time", "lat", "lon"), coords={"time": HOURS[:2], "lat": latitude, "lon": longitude}, name="t"
    ).to_dataset()
    made["lon"].attrs["units"], made["lat"].attrs["units"] = "degrees_east", "degrees_north"
    path = write(tmp_path / "a.nc", made)
    grid = Grid(pyproj.CRS("EPSG:4326").to_wkt(), (1.0, 0.0, -5.0, 0.0, -1.0, 50.0), 10, 10)
    points = Points(grid, np.array([-1.5, 3.5]), np.array([45.5, 45.5]))
    with READER.sampler(ForcingSource(path), points) as sampler:
        np.testing.assert_array_equal(sampler.read(Layer(str(path), 1)), [1358.5, 1003.5])
        assert sampler.facts(Layer(str(path), 0)).sampling.covered.all()


def test_interannual_and_daily_fields(source: BasinSource, tmp_path: Path) -> None:
    from_rasters = np.array(open_basin(source, tmp_path / "geotiff").pet)
    days = np.array(["2001-02-28", "2001-03-01"], "datetime64[ns]")
    amounts = np.broadcast_to(np.array([2.0, 3.0])[:, None, None], (2, 4, 4))
    years = write(tmp_path / "year.nc", dataset(amounts, days, units="mm", name="pet"))
    interannual = replace(source, pet=ForcingSource(years, "netcdf"))
    np.testing.assert_array_equal(open_basin(interannual, tmp_path / "store").pet, from_rasters)
    here = np.array(["2019-02-28", "2019-03-01"], "datetime64[ns]")
    daily = write(tmp_path / "daily.nc", dataset(amounts / 1000, here, units="m/day", name="pet"))
    raster = replace(source, pet=ForcingSource(daily, "netcdf"), pet_kind="raster")
    np.testing.assert_allclose(open_basin(raster, tmp_path / "store").pet, from_rasters, rtol=SINGLE)


def test_kelvin_are_recognised_by_their_unit(source: BasinSource, tmp_path: Path) -> None:
    values = np.broadcast_to(273.15 + np.arange(36.0)[:, None, None], (36, 4, 4))
    path = write(tmp_path / "a.nc", dataset(values, units="K", name="t2m"))
    warm = replace(source, temperature=ForcingSource(path, "netcdf"))
    basin = open_basin(warm, tmp_path / "store")
    assert basin.temperature is not None
    np.testing.assert_allclose(basin.temperature[:, 0], np.arange(36), atol=2e-5)


def refused(source: BasinSource, made: Any, tmp_path: Path, match: str, **options: Any) -> None:
    path = write(tmp_path / "a.nc", made)
    with pytest.raises((InputError, Errors), match=match):
        ingested(source, path, tmp_path / "store", **options)
    path.unlink()


def test_what_cannot_be_read_right_is_refused(source: BasinSource, tmp_path: Path) -> None:
    refused(source, dataset(crs=None), tmp_path, r"a\.nc: does not name its coordinate reference system")
    refused(source, dataset(x=X + np.array([0, 0, 300, 0])), tmp_path, r"has an uneven coordinate 'x'")
    refused(source, dataset(), tmp_path, r"has no variable 'snow'.*\n.*It has rain", variable="snow")
    two = dataset()
    two["snow"] = two["rain"]
    refused(source, two, tmp_path, r"has 2 variables with time and space \(rain, snow\).*\n.*forcing.precipitation.var")
    refused(source, dataset(times=HOURS + np.timedelta64(30, "m")), tmp_path, "fields lie between the stamps")
    far = dataset(x=X + 1e6)
    refused(source, far, tmp_path, "covers no active cell")
    with pytest.raises(Errors, match=r"has no file that ends with \.nc"):
        ingested(source, tmp_path, tmp_path / "store")
    broken = tmp_path / "b.nc"
    broken.write_bytes(b"\x89HDF\r\n\x1a\nbroken")
    with pytest.raises(Errors, match=r"b\.nc: cannot be read as NetCDF"):
        ingested(source, broken, tmp_path / "store")


def test_files_that_overlap_or_differ_are_refused(source: BasinSource, tmp_path: Path) -> None:
    write(tmp_path / "nc" / "a.nc", dataset())
    write(tmp_path / "nc" / "b.nc", dataset().isel(time=slice(30, None)))
    with pytest.raises(InputError, match=r"a\.nc and .*b\.nc have the same date 2019-03-01T07:00:00"):
        READER.find(ForcingSource(tmp_path / "nc"), "where")
    write(tmp_path / "nc" / "b.nc", dataset(times=HOURS + np.timedelta64(36, "h"), units="m"))
    with pytest.raises(InputError, match=r"files differ in their units: .*a\.nc \(mm\) and .*b\.nc \(m\)"):
        READER.find(ForcingSource(tmp_path / "nc"), "where")


def test_a_calendar_without_leap_days_is_refused(tmp_path: Path) -> None:
    made = dataset().drop_vars("time")
    made["time"] = xarray.DataArray(
        np.arange(36.0), dims="time", attrs={"units": "days since 2019-01-01", "calendar": "360_day"}
    )
    path = write(tmp_path / "a.nc", made)
    with pytest.raises(InputError, match=r"a\.nc: has"):
        READER.find(ForcingSource(path), "where")


def test_the_library_that_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = write(tmp_path / "a.nc", dataset())
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(InputError, match=r"h5netcdf.*\n.*pip install 'hydrocli\[netcdf\]'"):
        READER.find(ForcingSource(path), "where")


def test_times_of_a_local_clock_with_a_doubled_hour(tmp_path: Path) -> None:
    """Of two fields of 2 h the first is that of summer time; where the clock does not change they are refused."""
    local = [f"2020-10-25T{hour:02d}:00" for hour in (0, 1, 2, 2, 3, 4)]
    path = write(tmp_path / "rain.nc", dataset(RAIN[: len(local)], np.array(local, "datetime64[ns]")))
    source = ForcingSource(path, "netcdf", timezone="Europe/Paris")
    utc = np.datetime64("2020-10-24T22:00", "s") + np.arange(6) * np.timedelta64(1, "h")
    found = with_true_times(READER.find(source, "forcing.rain.path"), source, utc, 3600, "forcing.rain.path")
    np.testing.assert_array_equal(found.times, utc)
    assert [layer.number for layer in found.layers] == [0, 1, 2, 3, 4, 5]
    for zone in ("UTC", "+01:00"):
        other = replace(source, timezone=zone)
        with pytest.raises(InputError, match="has twice the same date"):
            with_true_times(READER.find(other, "forcing.rain.path"), other, utc, 3600, "forcing.rain.path")
