"""One rain in every format that is read: hours of a 6 x 6 basin that lies on cells of the German radar composite."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from field_cases import write_raster

from hydrocli.basin.grid import Grid
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.readers.radolan import CORNERS, PROJECTION
from hydrocli.basin.sampling import Points

ROW, COLUMN, SIDE, HOURS = 300, 400, 6, 6
"""Of the basin in the composite, its rows and columns, and the hours."""
LEFT, TOP = CORNERS[900, 900][0] + 1000 * COLUMN, CORNERS[900, 900][1] - 1000 * ROW
X, Y = LEFT + 500 + 1000 * np.arange(SIDE), TOP - 500 - 1000 * np.arange(SIDE)
TIMES = np.datetime64("2020-03-01T00:00", "s") + np.arange(1, HOURS + 1) * np.timedelta64(1, "h")
RAIN = 0.5 * np.arange(HOURS * SIDE**2).reshape(HOURS, SIDE, SIDE) % 40.0
"""mm; multiples of 0.5, which no packing rounds."""
RAIN[2, 3, 1] = np.nan
NODATA = -99.0
TEN_MINUTES = 600


def cells() -> Points:
    """Those of the small basin."""
    grid = Grid(pyproj.CRS(PROJECTION).to_wkt(), (1000.0, 0.0, LEFT, 0.0, -1000.0, TOP), 6, 6)
    x, y = np.meshgrid(X, Y)
    return Points(grid, x.ravel(), y.ravel())


def stamp(hour: int) -> str:
    return str(TIMES[hour]).translate(str.maketrans("", "", "-T:"))[:12]


def _tif(path: Path, values: Any, **options: Any) -> Path:
    filled = np.where(np.isnan(values), NODATA, values).astype(np.float32)
    return write_raster(path, filled, crs=PROJECTION, corner=(LEFT, TOP), nodata=NODATA, **options)


def geotiff(folder: Path, suffix: str = ".tif", **options: Any) -> Path:
    for hour in range(HOURS):
        _tif(folder / f"rain_{stamp(hour)}{suffix}", RAIN[hour], **options)
    return folder


def geotiff_bands(path: Path, described: bool = True) -> Path:
    """A file of many bands, whose descriptions are their times, or which has the first in its name."""
    import rasterio

    _tif(path, RAIN)
    if described:
        with rasterio.open(path, "r+") as dataset:
            for hour in range(HOURS):
                dataset.set_band_description(hour + 1, str(TIMES[hour]).replace("T", " ")[:16])
    return path


def geotiff_coordinate(path: Path) -> Path:
    """A file of many bands as GDAL makes it of NetCDF."""
    import rasterio

    _tif(path, RAIN)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{"time#units": "hours since 2020-03-01 00:00:00"})
        for hour in range(HOURS):
            dataset.update_tags(hour + 1, NETCDF_DIM_time=hour + 1)
    return path


def packed(folder: Path, archive: Path) -> Path:
    """The files of a folder in an archive, in a folder of it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in paths:
                zipped.write(path, f"2020/{path.name}")
    else:
        with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
            for path in paths:
                tar.add(path, f"2020/{path.name}")
    return archive.parent


def dataset(curvilinear: bool = False) -> Any:
    """After CF: projected, or with latitudes and longitudes of the cells alone."""
    import xarray

    crs = pyproj.CRS(PROJECTION)
    field = xarray.DataArray(RAIN, dims=("time", "y", "x"), coords={"time": TIMES.astype("datetime64[ns]")})
    field.attrs |= {"units": "mm", "grid_mapping": "crs"}
    if curvilinear:
        to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        longitude, latitude = to_degrees.transform(*np.meshgrid(X, Y))
        field = field.assign_coords(lat=(("y", "x"), latitude), lon=(("y", "x"), longitude))
        del field.attrs["grid_mapping"]
        return field.to_dataset(name="rain")
    field = field.assign_coords(y=Y, x=X)
    field["x"].attrs["standard_name"] = "projection_x_coordinate"
    field["y"].attrs["standard_name"] = "projection_y_coordinate"
    made = field.to_dataset(name="rain")
    made["crs"] = xarray.DataArray(0, attrs=crs.to_cf())
    return made


PACKING = {"rain": {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -1, "chunksizes": (4, 4, 4)}}


def netcdf(path: Path, curvilinear: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset(curvilinear).to_netcdf(path, engine="h5netcdf", encoding=PACKING)
    return path


def zarr(path: Path, version: int = 3) -> Path:
    encoding = {key: value for key, value in PACKING["rain"].items() if key != "chunksizes"} | {"chunks": (4, 4, 4)}
    dataset().to_zarr(path, zarr_format=version, consolidated=version == 2, encoding={"rain": encoding})
    return path


def grib(path: Path) -> Path:
    """Messages of GRIB 2 on the grid of the composite: total precipitation in kg m-2, forecasts of an hour."""
    import eccodes

    path.parent.mkdir(parents=True, exist_ok=True)
    to_degrees = pyproj.Transformer.from_crs(PROJECTION, "EPSG:4326", always_xy=True)
    sphere = pyproj.Transformer.from_crs(PROJECTION, pyproj.CRS(PROJECTION).geodetic_crs, always_xy=True)
    assert np.allclose(to_degrees.transform(X[0], Y[0]), sphere.transform(X[0], Y[0]), atol=1e-9)
    longitude, latitude = sphere.transform(X[0], Y[-1])  # rows from the south, as most services have them
    with path.open("wb") as file:
        for hour in range(HOURS):
            message = eccodes.codes_grib_new_from_samples("polar_stereographic_sfc_grib2")
            start = str(TIMES[hour] - np.timedelta64(1, "h"))
            keys = {
                "centre": "kwbc",
                "shapeOfTheEarth": 1,
                "scaleFactorOfRadiusOfSphericalEarth": 0,
                "scaledValueOfRadiusOfSphericalEarth": 6370040,
                "Nx": SIDE,
                "Ny": SIDE,
                "latitudeOfFirstGridPoint": round(latitude * 1e6),
                "longitudeOfFirstGridPoint": round(longitude * 1e6),
                "LaD": 60_000_000,
                "orientationOfTheGrid": 10_000_000,
                "Dx": 1_000_000,
                "Dy": 1_000_000,
                "iScansNegatively": 0,
                "jScansPositively": 1,
                "productDefinitionTemplateNumber": 8,
                "dataDate": int(start[:10].replace("-", "")),
                "dataTime": int(start[11:13]) * 100,
                "stepRange": "0-1",
                "discipline": 0,
                "parameterCategory": 1,
                "parameterNumber": 8,
                "bitmapPresent": 1,
                "missingValue": 9999,
                "decimalScaleFactor": 1,
                "bitsPerValue": 16,
            }
            for key, value in keys.items():
                eccodes.codes_set(message, key, value)
            values = np.where(np.isnan(RAIN[hour]), 9999.0, RAIN[hour])
            eccodes.codes_set_values(message, values[::-1].ravel())
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    return path


def odim(folder: Path, rate: bool = False) -> Path:
    """A composite of ODIM HDF5 for each hour: 0 is `undetect`, 255 `nodata`; values of 0.5 mm from 1."""
    import h5py

    folder.mkdir(parents=True)
    sphere = pyproj.CRS(PROJECTION).geodetic_crs
    to_degrees = pyproj.Transformer.from_crs(PROJECTION, sphere, always_xy=True)
    west, north = to_degrees.transform(LEFT, TOP)
    for hour in range(HOURS):
        start, end = str(TIMES[hour] - np.timedelta64(1, "h")), str(TIMES[hour])
        with h5py.File(folder / f"T_PAAH21_C_EUOC_{hour}.h5", "w") as file:
            file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_2")
            what = file.create_group("what").attrs
            what["object"], what["date"], what["time"] = b"COMP", _digits(end[:10]), _digits(end[11:])
            where = file.create_group("where").attrs
            where["projdef"] = PROJECTION.replace(" +type=crs", "").encode()
            where["xscale"] = where["yscale"] = 1000.0
            where["xsize"] = where["ysize"] = SIDE
            where["UL_lon"], where["UL_lat"] = west, north
            data = file.create_group("dataset1/data1")
            raw = np.where(np.isnan(RAIN[hour]), 255, RAIN[hour] * 2).astype(np.uint8)
            data.create_dataset("data", data=raw)
            what = file.create_group("dataset1/what").attrs
            what["quantity"] = b"RATE" if rate else b"ACRR"
            what["startdate"], what["starttime"] = _digits(start[:10]), _digits(start[11:])
            what["enddate"], what["endtime"] = _digits(end[:10]), _digits(end[11:])
            what = data.create_group("what").attrs
            what["gain"], what["offset"], what["nodata"], what["undetect"] = 0.5, 0.0, 255.0, 0.0
            quality = file.create_group("dataset1/quality1")
            quality.create_dataset("data", data=np.zeros_like(raw))
    return folder


def _digits(text: str) -> bytes:
    return text.replace("-", "").replace(":", "").encode()


def radolan_content(hour: int, product: str = "RW", rows: int = 900) -> bytes:
    """A composite of 900 columns that ends ten minutes before the stamp of the hour, as those of the DWD do."""
    end = str(TIMES[hour] - np.timedelta64(10, "m"))
    words = (
        f"{product}{end[8:10]}{end[11:13]}{end[14:16]}10000{end[5:7]}{end[2:4]}BY1620144VS 3SW   2.13.1PR E-01INT  60"
    )
    words += f"GP{rows:4d}x 900MF 00000001MS 24<boo,ros,emd,hnr,umd,pro>\x03"
    raw = np.full((rows, 900), 0x29C4, "<u2")
    values = np.where(np.isnan(RAIN[hour]), 0x29C4, np.nan_to_num(RAIN[hour] * 10)).astype(np.uint16)
    top, left = (ROW, COLUMN) if rows == 900 else (ROW + 100, COLUMN - 80)
    raw[top : top + SIDE, left : left + SIDE] = values
    return words.encode("ascii") + raw[::-1].tobytes()


def radolan(folder: Path, in_archive: bool = False, rows: int = 900) -> Path:
    import gzip

    folder.mkdir(parents=True)
    names = [f"raa01-rw_10000-{stamp(hour)[2:8]}{hour:02d}50-dwd---bin.gz" for hour in range(HOURS)]
    contents = [gzip.compress(radolan_content(hour, rows=rows), 1) for hour in range(HOURS)]
    if not in_archive:
        for name, content in zip(names, contents, strict=True):
            (folder / name).write_bytes(content)
        return folder
    with tarfile.open(folder / "RW-202003.tar", "w") as tar:
        for name, content in zip(names, contents, strict=True):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return folder


def write_basin(folder: Path) -> None:
    """All but the rain: cells that drain east, then south, a gauge at the outlet, evapotranspiration of two days."""
    directions = np.full((SIDE, SIDE), 3, np.uint8)
    directions[:, -1], directions[-1, -1] = 5, 0
    write_raster(folder / "flow.tif", directions, crs=PROJECTION, corner=(LEFT, TOP))
    (folder / "gauges.csv").write_text(f"code,x,y,area\nG1,{X[-1]},{Y[-1]},36\n")
    for day in ("0229", "0301"):
        write_raster(folder / "pet" / f"{day}.tif", np.full((6, 6), 2.4), crs=PROJECTION, corner=(LEFT, TOP))


WAYS: dict[str, Callable[[Path], ForcingSource]] = {
    "geotiff cog": lambda p: ForcingSource(geotiff(p / "r", driver="COG", compress="deflate")),
    "geotiff tiled": lambda p: ForcingSource(
        geotiff(p / "r", ".gtif", tiled=True, blockxsize=16, blockysize=16, compress="lzw", predictor=3)
    ),
    "geotiff big": lambda p: ForcingSource(geotiff(p / "r", ".tiff", BIGTIFF="YES")),
    "geotiff bands": lambda p: ForcingSource(geotiff_bands(p / "r" / "rain_20200301.tif")),
    "geotiff bands of a step": lambda p: ForcingSource(
        geotiff_bands(p / "r" / "rain_2020030101.tif", described=False), band_step=3600
    ),
    "geotiff bands of NetCDF": lambda p: ForcingSource(geotiff_coordinate(p / "r" / "rain.tif")),
    "geotiff zip": lambda p: ForcingSource(packed(geotiff(p / "t"), p / "r" / "2020.zip")),
    "geotiff tar": lambda p: ForcingSource(packed(geotiff(p / "t"), p / "r" / "2020.tar")),
    "geotiff tar.gz": lambda p: ForcingSource(packed(geotiff(p / "t"), p / "r" / "a.tar.gz") / "a.tar.gz"),
    "netcdf": lambda p: ForcingSource(netcdf(p / "r" / "rain.nc"), "netcdf"),
    "netcdf curvilinear": lambda p: ForcingSource(netcdf(p / "r" / "rain.nc", curvilinear=True), "netcdf"),
    "netcdf zip": lambda p: ForcingSource(packed(netcdf(p / "t" / "rain.nc").parent, p / "r" / "r.zip"), "netcdf"),
    "zarr 3": lambda p: ForcingSource(zarr(p / "rain.zarr").parent, "zarr"),
    "zarr 2": lambda p: ForcingSource(zarr(p / "rain.zarr", version=2), "zarr"),
    "grib": lambda p: ForcingSource(grib(p / "r" / "rain.grib2"), "grib"),
    "odim": lambda p: ForcingSource(odim(p / "r"), "odim"),
    "odim rate": lambda p: ForcingSource(odim(p / "r", rate=True), "odim"),
    "radolan": lambda p: ForcingSource(radolan(p / "r"), "radolan", offset=TEN_MINUTES),
    "radolan tar": lambda p: ForcingSource(radolan(p / "r", in_archive=True, rows=1100), "radolan", offset=TEN_MINUTES),
}
"""What writes the rain into a folder in each format, and says how it is read."""
