"""One basin from the same rain and discharge in every format: the arrays are identical."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import format_files as files
import numpy as np
import pytest
from discharge_files import LAYOUTS

from hydrocli.basin.ingest import open_basin
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import BasinSource


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[BasinSource, np.ndarray]:
    """All cells drain east, then south; the rain is one GeoTIFF for each hour."""
    folder = tmp_path_factory.mktemp("base")
    files.write_basin(folder)
    source = BasinSource(
        start=np.datetime64("2020-03-01T00:00"),
        end=files.TIMES[-1],
        step=3600,
        flow_directions=folder / "flow.tif",
        encoding="smash",
        gauges=folder / "gauges.csv",
        precipitation=ForcingSource(files.geotiff(folder / "rain")),
        pet=ForcingSource(folder / "pet"),
        pet_kind="interannual",
    )
    rain = np.array(open_basin(source, folder / "store").precipitation)
    network = open_basin(source, folder / "store").network
    np.testing.assert_array_equal(rain, files.RAIN[:, network.row, network.column].astype(np.float32))
    return source, rain


@pytest.mark.parametrize("way", files.WAYS)
def test_every_format_makes_the_identical_basin(base: tuple[BasinSource, np.ndarray], tmp_path: Path, way: str) -> None:
    source, expected = base
    basin = open_basin(replace(source, precipitation=files.WAYS[way](tmp_path)), tmp_path / "store")
    np.testing.assert_array_equal(basin.precipitation, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_discharge_makes_the_identical_basin(
    base: tuple[BasinSource, np.ndarray], tmp_path: Path, layout: str
) -> None:
    source, _ = base
    observed = np.array([0.125, 2.5, 3.0, 40.25, 5.5, 6.0])
    discharge = LAYOUTS[layout](tmp_path, files.TIMES, observed)
    basin = open_basin(replace(source, discharge=discharge), tmp_path / "store")
    np.testing.assert_array_equal(basin.discharge, [observed])
    assert basin.discharge_until is None
