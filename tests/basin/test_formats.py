"""One basin from the same rain in every format: the arrays are identical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import format_files as files
import numpy as np
import pytest
from field_cases import write_raster

from hydrocli.basin.ingest import open_basin
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.readers.radolan import PROJECTION
from hydrocli.basin.source import BasinSource

TEN_MINUTES = 600


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[BasinSource, np.ndarray]:
    """All cells drain east, then south; the rain is one GeoTIFF for each hour."""
    folder = tmp_path_factory.mktemp("base")
    directions = np.full((files.SIDE, files.SIDE), 3, np.uint8)
    directions[:, -1], directions[-1, -1] = 5, 0
    corner = files.LEFT, files.TOP
    table = folder / "gauges.csv"
    table.write_text(f"code,x,y,area\nG1,{files.X[-1]},{files.Y[-1]},36\n")
    for day in ("0229", "0301"):
        write_raster(folder / "pet" / f"{day}.tif", np.full((6, 6), 2.4), crs=PROJECTION, corner=corner)
    source = BasinSource(
        start=np.datetime64("2020-03-01T00:00"),
        end=files.TIMES[-1],
        step=3600,
        flow_directions=write_raster(folder / "flow.tif", directions, crs=PROJECTION, corner=corner),
        encoding="smash",
        gauges=table,
        precipitation=ForcingSource(files.geotiff(folder / "rain")),
        pet=ForcingSource(folder / "pet"),
        pet_kind="interannual",
    )
    rain = np.array(open_basin(source, folder / "store").precipitation)
    network = open_basin(source, folder / "store").network
    np.testing.assert_array_equal(rain, files.RAIN[:, network.row, network.column].astype(np.float32))
    return source, rain


WAYS: dict[str, Callable[[Path], ForcingSource]] = {
    "geotiff cog": lambda p: ForcingSource(files.geotiff(p / "r", driver="COG", compress="deflate")),
    "geotiff tiled": lambda p: ForcingSource(
        files.geotiff(p / "r", ".gtif", tiled=True, blockxsize=16, blockysize=16, compress="lzw", predictor=3)
    ),
    "geotiff big": lambda p: ForcingSource(files.geotiff(p / "r", ".tiff", BIGTIFF="YES")),
    "geotiff bands": lambda p: ForcingSource(files.geotiff_bands(p / "r" / "rain_20200301.tif")),
    "geotiff bands of a step": lambda p: ForcingSource(
        files.geotiff_bands(p / "r" / "rain_2020030101.tif", described=False), band_step=3600
    ),
    "geotiff bands of NetCDF": lambda p: ForcingSource(files.geotiff_coordinate(p / "r" / "rain.tif")),
    "geotiff zip": lambda p: ForcingSource(files.packed(files.geotiff(p / "t"), p / "r" / "2020.zip")),
    "geotiff tar": lambda p: ForcingSource(files.packed(files.geotiff(p / "t"), p / "r" / "2020.tar")),
    "geotiff tar.gz": lambda p: ForcingSource(files.packed(files.geotiff(p / "t"), p / "r" / "a.tar.gz") / "a.tar.gz"),
    "netcdf": lambda p: ForcingSource(files.netcdf(p / "r" / "rain.nc"), "netcdf"),
    "netcdf curvilinear": lambda p: ForcingSource(files.netcdf(p / "r" / "rain.nc", curvilinear=True), "netcdf"),
    "netcdf zip": lambda p: ForcingSource(
        files.packed(files.netcdf(p / "t" / "rain.nc").parent, p / "r" / "r.zip"), "netcdf"
    ),
    "zarr 3": lambda p: ForcingSource(files.zarr(p / "rain.zarr").parent, "zarr"),
    "zarr 2": lambda p: ForcingSource(files.zarr(p / "rain.zarr", version=2), "zarr"),
    "grib": lambda p: ForcingSource(files.grib(p / "r" / "rain.grib2"), "grib"),
    "odim": lambda p: ForcingSource(files.odim(p / "r"), "odim"),
    "odim rate": lambda p: ForcingSource(files.odim(p / "r", rate=True), "odim"),
    "radolan": lambda p: ForcingSource(files.radolan(p / "r"), "radolan", offset=TEN_MINUTES),
    "radolan tar": lambda p: ForcingSource(
        files.radolan(p / "r", in_archive=True, rows=1100), "radolan", offset=TEN_MINUTES
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_format_makes_the_identical_basin(base: tuple[BasinSource, np.ndarray], tmp_path: Path, way: str) -> None:
    source, expected = base
    basin = open_basin(replace(source, precipitation=WAYS[way](tmp_path)), tmp_path / "store")
    np.testing.assert_array_equal(basin.precipitation, expected)
