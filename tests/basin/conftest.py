"""A small archive on disk, in every part like those of the users, and peers for the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from field_cases import write_raster

from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import BasinSource, DescriptorSource

DIRECTIONS = np.array([[5, 5, 7, 7], [3, 5, 7, 0], [0, 5, 7, 7], [0, 5, 0, 7]], np.int16)
"""smash codes: 11 cells drain through row 3, column 1, seven of them through row 1, column 1; the others stray."""


@pytest.fixture(name="write_raster")
def _write_raster() -> Callable[..., Path]:
    return write_raster


@pytest.fixture
def source(tmp_path: Path) -> BasinSource:
    """A day and a half, hourly, 4 x 4 cells; rain of hour h at cell (r, c) is h + (4 r + c) / 100 mm."""
    folder = tmp_path / "archive"
    flow = write_raster(folder / "flow.tif", DIRECTIONS)
    table = folder / "gauges.csv"
    table.write_text("code,x,y,area\nA1,801500,6446500,11\nB2,801500,6448500,7\n")
    number = np.arange(16.0).reshape(4, 4)
    start, end = np.datetime64("2019-02-28T00:00"), np.datetime64("2019-03-01T12:00")
    for hour in range(1, 37):
        stamp = str(start + np.timedelta64(hour, "h")).replace("-", "").replace("T", "").replace(":", "")
        write_raster(folder / "rain" / stamp[:8] / f"rain_{stamp}.tif", (10 * hour + number / 10).astype(np.float32))
    for day, amount in (("0228", 2.0), ("0229", 99.0), ("0301", 3.0)):
        write_raster(folder / "pet" / f"{day}_PET.tif", np.full((4, 4), amount))
    for code, base in (("A1", 100.0), ("B2", 50.0)):
        lines = ["201902280100"] + [f"{base + hour:.1f}" for hour in range(1, 37)]
        (folder / "discharge").mkdir(exist_ok=True)
        (folder / "discharge" / f"{code}.csv").write_text("\n".join(lines) + "\n")
    write_raster(folder / "slope.tif", np.where(number == 1, -9.0, number).astype(np.float32), nodata=-9.0)
    return BasinSource(
        start=start,
        end=end,
        step=3600,
        flow_directions=flow,
        encoding="smash",
        gauges=table,
        precipitation=ForcingSource(folder / "rain", scale_factor=0.1),
        pet=ForcingSource(folder / "pet"),
        pet_kind="interannual",
        discharge=DischargeSource(folder / "discharge"),
        descriptors={"slope": DescriptorSource(folder / "slope.tif")},
    )
