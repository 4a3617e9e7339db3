"""The files of a synthetic basin, laid out like the archives that users have.

flwdir.tif  elevation.tif  gauge_attributes.csv (code, x, y, area in km2)
catchments.csv                                         of a region: the same of the last gauge of each catchment
descriptor/<name>.tif
prcp/2014/09/15/rain_precipitation_201409150100.tif    0.1 mm in a step, stamped at its end
temperature/2014/09/temperature_20140915.tif           degrees C, mean of the day (hourly: as rain, stamped at the end)
truth/<parameter>.tif
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import Affine

from hydrocli.arrays import Floats
from hydrocli.basin.network import ENCODINGS
from hydrocli.synthetic.options import DAY, SampleOptions
from hydrocli.synthetic.rain import rain_fields
from hydrocli.synthetic.temperature import temperature_fields
from hydrocli.synthetic.terrain import NO_DATA, Codes, GaugeSite, Terrain
from hydrocli.synthetic.truth import make_descriptors

RAIN_FACTOR = 0.1  # mm in a unit of the rain files
RAIN_NO_DATA = 65535
DAILY = "{0:%Y/%m}/temperature_{0:%Y%m%d}.tif"
HOURLY = "{0:%Y/%m/%d}/temperature_{0:%Y%m%d%H%M}.tif"


class RasterWriter:
    """Writes GeoTIFFs on one grid; makes the folders they lie in."""

    def __init__(self, terrain: Terrain) -> None:
        grid = terrain.grid
        self.profile = {
            "driver": "GTiff",
            "height": grid.height,
            "width": grid.width,
            "count": 1,
            "crs": CRS.from_wkt(grid.crs_wkt),
            "transform": Affine(*grid.transform),
        }

    def write(self, path: Path, values: NDArray[np.generic], nodata: float, **options: object) -> None:
        """One band of the type of `values` [height, width]."""
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = self.profile | {"dtype": values.dtype.name, "nodata": nodata, "compress": "deflate"} | options
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(values, 1)


def write_rasters(terrain: Terrain, options: SampleOptions, folder: Path) -> None:
    """Everything but the truth and the discharge; `folder` should be a temporary one, to be renamed when complete."""
    writer = RasterWriter(terrain)
    writer.write(folder / "flwdir.tif", encode(terrain.directions, options.encoding), NO_DATA)
    writer.write(folder / "elevation.tif", terrain.elevation.astype(np.float32), -9999)
    for name, field in make_descriptors(terrain, options).items():
        writer.write(folder / "descriptor" / f"{name}.tif", field.astype(np.float32), -9999)
    _write_table(folder / "gauge_attributes.csv", terrain.gauges)
    if options.areas:
        _write_table(folder / "catchments.csv", terrain.outlets)
    _write_rain(writer, terrain, options, folder / "prcp")
    _write_temperature(writer, terrain, options, folder / "temperature")


def write_truth(terrain: Terrain, parameters: Mapping[str, Floats], folder: Path) -> None:
    """The true parameters as truth/<symbol>.tif, float64."""
    writer = RasterWriter(terrain)
    for symbol, field in parameters.items():
        writer.write(folder / "truth" / f"{symbol}.tif", field, -9999)


def encode(directions: Codes, encoding: str) -> Codes:
    """ESRI codes in another encoding."""
    code_of = {step: code for code, step in reversed(ENCODINGS[encoding].items())}
    table = np.full(256, NO_DATA, np.uint8)
    for code, step in ENCODINGS["esri"].items():
        table[code] = code_of[step]
    return table[directions]


def _write_table(path: Path, sites: Sequence[GaugeSite]) -> None:
    rows = [f"{site.code},{site.x:.0f},{site.y:.0f},{site.area / 1e6:g}" for site in sites]
    path.write_text("\n".join(["code,x,y,area", *rows]) + "\n")


def _write_rain(writer: RasterWriter, terrain: Terrain, options: SampleOptions, folder: Path) -> None:
    for stamps, fields in rain_fields(terrain, options):
        for stamp, field in zip(stamps.tolist(), np.rint(fields / RAIN_FACTOR).astype(np.uint16), strict=True):
            name = f"{stamp:%Y/%m/%d}/rain_precipitation_{stamp:%Y%m%d%H%M}.tif"
            writer.write(folder / name, field, RAIN_NO_DATA)


def _write_temperature(writer: RasterWriter, terrain: Terrain, options: SampleOptions, folder: Path) -> None:
    form = DAILY if options.temperature_step == DAY else HOURLY
    for stamp, field in temperature_fields(terrain, options):
        writer.write(folder / form.format(stamp.item()), np.round(field, 1), -9999)
