"""What NetCDF, Zarr and GRIB may hold: calendars, forecasts, grids of all kinds, raw values, chunks read once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cftime
import format_files as files
import numpy as np
import pyproj
import pytest
import xarray

from hydrocli.basin.grid import Grid
from hydrocli.basin.readers import ForcingSource, Layer, reader_of
from hydrocli.basin.readers.netcdf import READER
from hydrocli.basin.sampling import Points
from hydrocli.basin.source import parts_on_disk
from hydrocli.errors import InputError

LATITUDE, LONGITUDE = [47.5, 46.5, 45.5], [4.5, 5.5, 6.5, 7.5]
GEOGRAPHIC = pyproj.CRS("EPSG:4326").to_wkt()


def write(path: Path, made: Any, **encoding: Any) -> Path:
    made.to_netcdf(path, engine="h5netcdf", encoding={"rain": encoding} if encoding else {})
    return path


def at(longitude: Any, latitude: Any, width: float = 1.0) -> Points:
    grid = Grid(GEOGRAPHIC, (width, 0.0, -180.0, 0.0, -width, 90.0), int(180 / width), int(360 / width))
    return Points(grid, np.array(longitude, float), np.array(latitude, float))


def read(source: ForcingSource, points: Points) -> np.ndarray:
    """All fields of a source, [fields, points]."""
    reader = reader_of(source)
    archive = reader.find(source, "forcing.precipitation.path")
    with reader.sampler(source, points) as sampler:
        return np.array([sampler.read(layer) for layer in archive.layers])


def geographic(times: Any, values: Any = None, **coords: Any) -> Any:
    """Fields of 3 x 4 cells of a degree, each value its number."""
    values = np.arange(len(times) * 12.0).reshape(-1, 3, 4) if values is None else values
    field = xarray.DataArray(
        values,
        dims=("time", "lat", "lon"),
        coords={"time": times, "lat": [47.5, 46.5, 45.5], "lon": [4.5, 5.5, 6.5, 7.5]},
    )
    field["lat"].attrs["units"], field["lon"].attrs["units"] = "degrees_north", "degrees_east"
    return field.assign_coords(coords).to_dataset(name="rain")


def of_calendar(calendar: str, first: tuple[int, int, int], count: int) -> Any:
    start = cftime.datetime(*first, calendar=calendar)
    times = xarray.date_range(start, periods=count, freq="D", calendar=calendar, use_cftime=True)
    return geographic(times)


def test_days_without_29_february_are_dates_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", of_calendar("noleap", (2020, 2, 27), 4))
    archive = READER.find(ForcingSource(path), "where")
    assert archive.times.astype("datetime64[D]").astype(str).tolist() == [
        "2020-02-27",
        "2020-02-28",
        "2020-03-01",
        "2020-03-02",
    ]
    assert archive.notes == (f"{path} has the calendar 'noleap': 29 February has no field",)


def test_a_29_february_that_no_year_has_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", of_calendar("all_leap", (2021, 2, 28), 3))
    archive = READER.find(ForcingSource(path), "where")
    assert archive.times.astype("datetime64[D]").astype(str).tolist() == ["2021-02-28", "2021-03-01"]
    assert [layer.number for layer in archive.layers] == [0, 2]
    assert "does not exist are left out" in archive.notes[0]


@pytest.mark.parametrize("calendar", ["360_day", "julian"])
def test_calendars_of_other_months_are_refused_with_the_remedy(tmp_path: Path, calendar: str) -> None:
    path = write(tmp_path / "a.nc", of_calendar(calendar, (2020, 2, 27), 4))
    with pytest.raises(InputError, match=rf"a\.nc: has times of the calendar '{calendar}'.*\n.*convert_calendar"):
        READER.find(ForcingSource(path), "where")


def test_forecasts_are_found_by_the_time_at_which_they_are_valid(tmp_path: Path) -> None:
    """Two issues of three lead times each, 12 hours apart, read in blocks of one issue."""
    issue = np.array(["2020-03-01T00", "2020-03-01T12"], "datetime64[ns]")
    lead = np.array([4, 8, 12], "timedelta64[h]")
    values = np.arange(2 * 3 * 12.0).reshape(2, 3, 3, 4)
    made = xarray.Dataset(
        {"rain": (("time", "step", "lat", "lon"), values)},
        {
            "time": ("time", issue, {"standard_name": "forecast_reference_time"}),
            "step": ("step", np.arange(3)),
            "valid_time": (("time", "step"), issue[:, None] + lead, {"standard_name": "time"}),
            "lat": ("lat", [47.5, 46.5, 45.5], {"units": "degrees_north"}),
            "lon": ("lon", [4.5, 5.5, 6.5, 7.5], {"units": "degrees_east"}),
        },
    )
    path = write(tmp_path / "a.nc", made, chunksizes=(1, 3, 3, 4))
    source = ForcingSource(path, "netcdf")
    hours = (READER.find(source, "where").times - np.datetime64("2020-03-01")).astype("timedelta64[h]").astype(int)
    assert hours.tolist() == [4, 8, 12, 16, 20, 24]
    np.testing.assert_array_equal(read(source, at([5.5], [45.5]))[:, 0], values.reshape(6, 3, 4)[:, 2, 1])


def test_files_with_one_field_have_a_time_that_is_no_dimension(tmp_path: Path) -> None:
    times = np.datetime64("2020-03-01T01", "ns") + np.arange(3) * np.timedelta64(1, "h")
    made = geographic(times)
    for number in range(3):
        write(tmp_path / f"{number}.nc", made.isel(time=number))
    source = ForcingSource(tmp_path, "netcdf")
    assert READER.find(source, "where").times.tolist() == times.astype("datetime64[s]").tolist()
    np.testing.assert_array_equal(read(source, at([4.5, 7.5], [47.5, 45.5])), [[0, 11], [12, 23], [24, 35]])


def test_a_rotated_pole_is_projected_by_its_grid_mapping(tmp_path: Path) -> None:
    """The points are put at the centres of cells by the formula of spherical trigonometry."""
    rlat, rlon = np.array([-1.0, 0.0, 1.0]), np.array([-2.0, -1.0, 0.0, 1.0])
    made = xarray.Dataset(
        {"rain": (("time", "rlat", "rlon"), np.arange(12.0).reshape(1, 3, 4), {"grid_mapping": "pole"})},
        {
            "time": np.array(["2020-03-01T01"], "datetime64[ns]"),
            "rlat": ("rlat", rlat, {"standard_name": "grid_latitude", "units": "degrees"}),
            "rlon": ("rlon", rlon, {"standard_name": "grid_longitude", "units": "degrees"}),
        },
    )
    pole = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0,
        "earth_radius": 6371229.0,
    }
    made["pole"] = xarray.DataArray(0, attrs=pole)
    path = write(tmp_path / "a.nc", made)
    turned, centre = np.radians(90 - 39.25), 18.0
    y, x = (np.radians(axis.ravel()) for axis in np.meshgrid(rlat, rlon, indexing="ij"))
    latitude = np.arcsin(np.sin(y) * np.cos(turned) + np.cos(y) * np.cos(x) * np.sin(turned))
    east = np.arctan2(np.cos(y) * np.sin(x), np.cos(y) * np.cos(x) * np.cos(turned) - np.sin(y) * np.sin(turned))
    points = at(centre + np.degrees(east), np.degrees(latitude), width=0.1)
    source = ForcingSource(path, "netcdf", resampling="nearest")
    np.testing.assert_array_equal(read(source, points)[0], np.arange(12.0))


def test_a_curvilinear_grid_covers_its_cells_and_nothing_beyond(tmp_path: Path) -> None:
    source = ForcingSource(files.netcdf(tmp_path / "a.nc", curvilinear=True), "netcdf")
    inside = files.cells()
    beyond = Points(inside.grid, np.append(inside.x, files.LEFT - 900), np.append(inside.y, files.Y[0]))
    with READER.sampler(source, beyond) as sampler:
        values = sampler.read(Layer(str(source.path), 0))
        np.testing.assert_array_equal(values[:-1], files.RAIN[0].ravel())
        assert np.isnan(values[-1])
        assert sampler.facts(Layer(str(source.path))).sampling.covered.tolist() == [True] * 36 + [False]
    far = Points(inside.grid, inside.x + 1e6, inside.y)
    with READER.sampler(source, far) as sampler, pytest.raises(InputError, match="covers no active cell"):
        sampler.read(Layer(str(source.path)))
    with pytest.raises(InputError, match=r"curvilinear grid, of which no 'mean'.*\n.*resampling"):
        read(ForcingSource(source.path, "netcdf", resampling="mean"), inside)


@pytest.mark.parametrize("format_", ["netcdf", "zarr"])
def test_fill_values_and_packing_of_files_that_say_wrong(tmp_path: Path, format_: str) -> None:
    """Stored are 0, 1, 2 ... with the scale 0.5; 7 is stated to mean missing; the packing may be ignored."""
    times = np.array(["2020-03-01T01", "2020-03-01T02"], "datetime64[ns]")
    made = geographic(times, np.arange(24.0).reshape(2, 3, 4) * 0.5)
    packing = {"rain": {"dtype": "int16", "scale_factor": 0.5, "_FillValue": 11}}
    path = tmp_path / "a"
    if format_ == "netcdf":
        made.to_netcdf(path, engine="h5netcdf", encoding=packing)
    else:
        made.to_zarr(path, consolidated=False, encoding=packing)
    points = at(np.repeat([[4.5, 5.5, 6.5, 7.5]], 3, axis=0).ravel(), np.repeat([47.5, 46.5, 45.5], 4))
    expected = np.arange(24.0).reshape(2, 12)
    expected[0, [7, 11]] = np.nan
    np.testing.assert_array_equal(read(ForcingSource(path, format_, nodata=(7.0,)), points), expected * 0.5)
    ignoring = ForcingSource(path, format_, nodata=(7.0,), packing="ignore")
    np.testing.assert_array_equal(read(ignoring, points), expected)
    with reader_of(ignoring).sampler(ignoring, points) as sampler:
        assert sampler.facts(Layer(str(path))).is_packed


def test_finer_pixels_are_averaged_over_cells_across_chunks(tmp_path: Path) -> None:
    """Pixels of a quarter of a degree in chunks of 5 x 5, which do not fit the cells of one degree."""
    axis = np.arange(0.125, 6, 0.25)
    values = np.random.default_rng(1).uniform(0, 9, (7, len(axis), len(axis)))
    made = xarray.Dataset(
        {"rain": (("time", "lat", "lon"), values)},
        {
            "time": np.datetime64("2020-03-01", "ns") + np.arange(7) * np.timedelta64(1, "h"),
            "lat": ("lat", axis, {"units": "degrees_north"}),
            "lon": ("lon", axis, {"units": "degrees_east"}),
        },
    )
    path = write(tmp_path / "a.nc", made, chunksizes=(3, 5, 5))
    rows, columns = np.array([0, 1, 4, 5]), np.array([2, 0, 5, 1])
    expected = values.reshape(7, 6, 4, 6, 4).mean(axis=(2, 4))[:, rows, columns]
    np.testing.assert_allclose(read(ForcingSource(path, "netcdf"), at(columns + 0.5, rows + 0.5)), expected, rtol=1e-12)


def test_every_chunk_is_read_once_and_only_those_with_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A national grid of 60 x 60 in chunks of 4 x 10 x 10: points in four of its 36 columns of chunks."""
    zarr = pytest.importorskip("zarr")
    axis = np.arange(60) + 0.5
    values = np.arange(8 * 3600.0).reshape(8, 60, 60)
    made = xarray.Dataset(
        {"rain": (("time", "lat", "lon"), values)},
        {
            "time": np.datetime64("2020-03-01", "ns") + np.arange(8) * np.timedelta64(1, "h"),
            "lat": ("lat", axis[::-1], {"units": "degrees_north"}),
            "lon": ("lon", axis, {"units": "degrees_east"}),
        },
    )
    made.to_zarr(tmp_path / "a.zarr", consolidated=False, encoding={"rain": {"chunks": (4, 10, 10)}})
    asked: list[str] = []
    get = zarr.storage.LocalStore.get

    async def counted(self: Any, key: str, *rest: Any, **options: Any) -> Any:
        asked.append(key)
        return await get(self, key, *rest, **options)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    rows, columns = np.array([0, 5, 9, 12, 59]), np.array([0, 59, 3, 44, 9])
    found = read(ForcingSource(tmp_path / "a.zarr", "zarr"), at(columns + 0.5, 59.5 - rows))
    np.testing.assert_array_equal(found, values[:, rows, columns])
    chunks = sorted(key for key in asked if key.startswith("rain/c/"))
    assert chunks == sorted(f"rain/c/{t}/{at}" for t in (0, 1) for at in ("0/0", "0/5", "1/4", "5/0"))


def test_patterns_choose_the_files(tmp_path: Path) -> None:
    made = geographic(np.array(["2020-03-01T01"], "datetime64[ns]"))
    write(tmp_path / "rain_2020.nc", made)
    write(tmp_path / "error_2020.nc", made)
    chosen = READER.find(ForcingSource(tmp_path, "netcdf", pattern=("rain_*.nc",)), "where")
    assert [Path(layer.path).name for layer in chosen.layers] == ["rain_2020.nc"]
    with pytest.raises(InputError, match=r"no file that fits snow_\*\.nc.*\n.*error_2020\.nc"):
        READER.find(ForcingSource(tmp_path, "netcdf", pattern=("snow_*.nc",)), "where")


def test_a_store_of_zarr_counts_with_all_its_files(tmp_path: Path) -> None:
    files.zarr(tmp_path / "rain.zarr")
    parts = parts_on_disk([str(tmp_path / "rain.zarr")])
    assert parts == sorted(str(path) for path in (tmp_path / "rain.zarr").rglob("*") if path.is_file())
    assert len(parts) > 8  # the rain alone has eight chunks


def test_zarr_in_a_zip_archive(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "rain.zarr"), "zip", files.zarr(tmp_path / "t" / "rain.zarr"))
    shutil.rmtree(tmp_path / "t")
    for path in (tmp_path, tmp_path / "rain.zarr.zip"):
        values = read(ForcingSource(path, "zarr"), files.cells())
        np.testing.assert_array_equal(values, files.RAIN.reshape(6, 36))


def test_what_is_no_zarr_is_named(tmp_path: Path) -> None:
    for path, what in ((tmp_path, "has no Zarr store"), (tmp_path / "b", "does not exist")):
        with pytest.raises(InputError, match=what):
            reader_of(ForcingSource(path, "zarr")).find(ForcingSource(path, "zarr"), "where")


def test_several_variables_of_grib_and_the_name_of_one(tmp_path: Path) -> None:
    path = files.grib(tmp_path / "a.grb2")
    source = ForcingSource(path, "grib", variable="tp")
    np.testing.assert_array_equal(read(source, files.cells()), files.RAIN.reshape(6, 36))
    with pytest.raises(InputError, match=r"has no variable 't2m'.*\n.*It has tp"):
        reader_of(source).find(ForcingSource(path, "grib", variable="t2m"), "where")
    assert [one.name for one in tmp_path.iterdir()] == ["a.grb2"]  # no index beside it


def test_grib_in_an_archive_or_broken_is_refused(tmp_path: Path) -> None:
    packed = files.packed(files.grib(tmp_path / "t" / "a.grib").parent, tmp_path / "r" / "a.zip")
    source = ForcingSource(packed, "grib")
    with pytest.raises(InputError, match=r"a\.zip/2020/a\.grib is compressed or in an archive"):
        reader_of(source).find(source, "where")
    (tmp_path / "b.grib").write_bytes(b"GRIB but not really")
    source = ForcingSource(tmp_path / "b.grib", "grib")
    with pytest.raises(InputError, match=r"b\.grib"):
        reader_of(source).find(source, "where")


@pytest.mark.parametrize(
    ("format_", "module", "extra"),
    [("zarr", "zarr", "zarr"), ("grib", "cfgrib", "grib"), ("odim", "h5py", "netcdf")],
)
def test_a_library_that_is_absent_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str, module: str, extra: str
) -> None:
    import sys

    make = {"zarr": lambda: files.zarr(tmp_path / "a.zarr"), "grib": lambda: files.grib(tmp_path / "a.grib")}
    path = make.get(format_, lambda: files.odim(tmp_path / "odim"))()
    monkeypatch.setitem(sys.modules, module, None)
    source = ForcingSource(path, format_)
    with pytest.raises(InputError, match=rf"format: {format_}: .*{module}.*\n.*pip install 'hydrocli\[{extra}\]'"):
        reader_of(source).find(source, "where")
