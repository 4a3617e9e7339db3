"""The files of a synthetic basin, laid out like the archives that users have, and what its gauges would have observed.

flwdir.tif  elevation.tif  gauge_attributes.csv (code, x, y, area in km2)
catchments.csv                                         of a region: the same of the last gauge of each catchment
descriptor/<name>.tif
prcp/2014/09/15/rain_precipitation_201409150100.tif    0.1 mm in a step, stamped at its end
temperature/2014/09/temperature_20140915.tif           degrees C, mean of the day (hourly: as rain, stamped at the end)
qobs/<gauge>.csv                                       m3/s, with errors that last, and with outages
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
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import ENCODINGS
from hydrocli.synthetic.options import DAY, HOUR, SampleOptions
from hydrocli.synthetic.rain import rain_fields
from hydrocli.synthetic.temperature import temperature_fields
from hydrocli.synthetic.terrain import NO_DATA, Codes, GaugeSite, Terrain
from hydrocli.synthetic.truth import make_descriptors

NOISE_MEMORY = 12.0  # h in which the correlation of two errors falls to 1/e
OUTAGE = 30.0  # h, mean length
MISSING = -99.0
RAIN_FACTOR = 0.1  # mm in a unit of the rain files
RAIN_NO_DATA = 65535
DAILY = "{0:%Y/%m}/temperature_{0:%Y%m%d}.tif"
HOURLY = "{0:%Y/%m/%d}/temperature_{0:%Y%m%d%H%M}.tif"


class RasterWriter:
    """Writes GeoTIFFs on one grid; makes the folders they lie in."""

    def __init__(self, grid: Grid) -> None:
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
    writer = RasterWriter(terrain.grid)
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
    writer = RasterWriter(terrain.grid)
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


def observe(simulated: Floats, options: SampleOptions) -> Floats:
    """Observations float64[g, t] of a true discharge [g, t]; NaN in the gaps.

    The errors are factors exp(e - noise^2 / 2), e normal with standard deviation `options.noise` and first-order
    autoregressive, so that their mean is one. Gaps are outages of random length, other ones at every gauge.
    """
    gauges, count = simulated.shape
    error = options.noise * _autoregressive(options.generator("noise"), gauges, count, options.step)
    observed = simulated * np.exp(error - options.noise**2 / 2)
    generator = options.generator("gaps")
    for gauge in range(gauges):
        for first, last in _outages(generator, count, options):
            observed[gauge, first:last] = np.nan
    return observed


def write_discharge(terrain: Terrain, options: SampleOptions, observed: Floats, folder: Path) -> None:
    """qobs/<code>.csv for every gauge: stamp of the first value, then one value [m3/s] a line, -99 where missing."""
    target = folder / "qobs"
    target.mkdir(parents=True, exist_ok=True)
    header = options.times[0].item().strftime("%Y%m%d%H%M")
    for site, series in zip(terrain.gauges, observed, strict=True):
        lines = [header, *(f"{value:.6f}" for value in np.where(np.isnan(series), MISSING, series))]
        (target / f"{site.code}.csv").write_text("\n".join(lines) + "\n")


def _autoregressive(generator: np.random.Generator, gauges: int, count: int, step: int) -> Floats:
    """Standard normal series [g, t] that forget in NOISE_MEMORY."""
    memory = np.exp(-step / (NOISE_MEMORY * HOUR))
    series = generator.standard_normal((count, gauges))
    for t in range(1, count):
        series[t] = memory * series[t - 1] + np.sqrt(1 - memory**2) * series[t]
    return series.T


def _outages(generator: np.random.Generator, count: int, options: SampleOptions) -> list[tuple[int, int]]:
    """First and one past the last step of outages that share the steps to be lost; they do not overlap."""
    lost = round(options.gaps * count)
    number = min(lost, max(1, round(lost * options.step / (OUTAGE * HOUR))))
    if not number:
        return []
    shares = generator.dirichlet(np.ones(number)) * lost
    lengths = np.diff(np.round(np.cumsum(shares)).astype(int), prepend=0)
    between = np.sort(generator.integers(0, count - lost + 1, number))
    first = between + np.cumsum(lengths) - lengths
    return list(zip(first.tolist(), (first + lengths).tolist(), strict=True))
