"""The base case that the awkward inputs of the field change: a small archive that is right in every part.

A grid of 6 x 6 cells of 1 km drains east, then south, to one outlet; two days, hourly. Tests change a file, a key of
the source or of the YAML, and compare with what the base case gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
from rasterio.transform import Affine

from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import BasinSource

CRS, CORNER = "EPSG:2154", (800_000.0, 6_500_000.0)
START, END = np.datetime64("2020-03-01T00:00"), np.datetime64("2020-03-03T00:00")
HOURS = [START + np.timedelta64(hour, "h") for hour in range(1, 49)]
"""Ends of the 48 steps."""
RAIN = np.array([1.0 if 10 <= hour <= 15 else 0.0 for hour in range(1, 49)])
"""mm in each step, in every cell."""
DIRECTIONS = np.full((6, 6), 3, np.uint8)
DIRECTIONS[:, 5], DIRECTIONS[5, 5] = 5, 0


def write_raster(
    path: Path,
    values: Any,
    crs: str | None = CRS,
    corner: tuple[float, float] = (800_000.0, 6_450_000.0),
    cell: float = 1000.0,
    nodata: float | None = None,
    **options: Any,
) -> Path:
    """A GeoTIFF of an array [height, width], or [bands, height, width]."""
    values = np.asarray(values)
    bands = values if values.ndim == 3 else values[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": len(bands),
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype,
        "crs": crs,
        "transform": Affine(cell, 0.0, corner[0], 0.0, -cell, corner[1]),
        "nodata": nodata,
    }
    with rasterio.open(path, "w", **(profile | options)) as dataset:
        dataset.write(bands)
    return path


def raster(path: Path, values: Any, **options: Any) -> Path:
    """A GeoTIFF of the base grid; options as of `write_raster`."""
    return write_raster(path, values, **{"crs": CRS, "corner": CORNER, **options})


def square(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """A rectangle, its edges counted in cells of the base grid from the upper left corner."""
    x, y = CORNER
    return shapely.box(x + 1000 * left, y - 1000 * bottom, x + 1000 * right, y - 1000 * top)


def polygons(path: Path, *shapes: shapely.Geometry, crs: str = CRS, layer: str = "areas") -> Path:
    """A file of shapes with a column `name`."""
    frame = geopandas.GeoDataFrame({"name": [f"p{n}" for n in range(len(shapes))]}, geometry=list(shapes), crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, **({"layer": layer} if path.suffix == ".gpkg" else {}))
    return path


def stamp(time: np.datetime64, form: str = "%Y%m%d%H%M") -> str:
    """A time as names have it."""
    return time.astype("datetime64[s]").item().strftime(form)


def write_rain(
    folder: Path, form: str = "%Y%m%d%H%M.tif", hours: Iterable[np.datetime64] = HOURS, shift: int = 0
) -> Path:
    """The rain of the base case under other names: a form of strptime, times shifted by so many hours."""
    amounts = dict(zip(HOURS, RAIN, strict=True))
    for hour in hours:
        name = stamp(hour + np.timedelta64(shift, "h"), form)
        raster(folder / name, np.full((6, 6), amounts[hour], np.float32), nodata=-99.0)
    return folder


def base_case(folder: Path, *, with_rain: bool = True) -> BasinSource:
    """Write the base case into a folder; its source."""
    raster(folder / "flwdir.tif", DIRECTIONS)
    if with_rain:
        write_rain(folder / "rain")
    for day in ("0301", "0302"):
        raster(folder / "pet" / f"pet_{day}.tif", np.full((6, 6), 2.4, np.float32), nodata=-99.0)
    (folder / "gauges.csv").write_text("code,x,y,area\nG1,805500,6494500,36\nG2,805500,6497500,18\n")
    for code in ("G1", "G2"):
        lines = ["202003010100", *(f"{1 + number / 10:.1f}" for number in range(48))]
        (folder / "q").mkdir(exist_ok=True)
        (folder / "q" / f"{code}.csv").write_text("\n".join(lines) + "\n")
    return BasinSource(
        start=START,
        end=END,
        step=3600,
        flow_directions=folder / "flwdir.tif",
        encoding="smash",
        gauges=folder / "gauges.csv",
        precipitation=ForcingSource(folder / "rain"),
        pet=ForcingSource(folder / "pet"),
        pet_kind="interannual",
        discharge=DischargeSource(folder / "q"),
        gauge_codes=("G1", "G2"),
    )


YAML = """\
name: field
folder: run
period:
  step: 1h
  start: 2020-03-01T00:00Z
  end: 2020-03-03T00:00Z
  calibration: [2020-03-01T12:00Z, 2020-03-03T00:00Z]
basin: {flow_directions: {path: flwdir.tif, encoding: smash}}
gauges: {table: gauges.csv, discharge: {path: q, format: smash}, calibration: [G1, G2]}
forcing:
  precipitation: {path: rain}
  pet: {kind: interannual, path: pet}
structure: {kind: gr}
mapping: {kind: uniform}
objective: {metric: nse}
"""


def write_yaml(folder: Path, *changes: tuple[str, str]) -> Path:
    """The configuration of the base case, with pieces of its text replaced."""
    text = YAML
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"
