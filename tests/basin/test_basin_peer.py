"""The real archives of Cance and Lez as smash 1.3.0 reads them.

smash keeps forcing in float32 and multiplies in float32, ours multiplies in float64 first: one rounding apart, 1.2e-7.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hydrocli.basin.basin import Basin
from hydrocli.basin.discharge_formats import DischargeSource
from hydrocli.basin.ingest import open_basin
from hydrocli.basin.plausibility import measure, read_figures
from hydrocli.basin.plausibility_limits import Limits, findings
from hydrocli.basin.readers import ForcingSource
from hydrocli.basin.source import BasinSource, DescriptorSource

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
SINGLE = 2.5e-7


def peer(name: str, end: str) -> Any:
    """What smash's Model holds of one of its data sets."""
    smash = pytest.importorskip("smash")
    setup, mesh = smash.factory.load_dataset(name)
    model = smash.Model(setup | {"end_time": end}, mesh)
    return SimpleNamespace(model=model, mesh=mesh)


def at_cells(field: Any, basin: Basin) -> np.ndarray:
    """A field [row, column, time] of smash as [time, cell]; smash marks missing values by negative ones."""
    values = np.asarray(field)[basin.network.row, basin.network.column].T
    return np.where(values < 0, np.nan, values)


def check_domain(basin: Basin, mesh: dict[str, Any]) -> None:
    assert len(basin.network) == mesh["active_cell"].sum()
    row, column = basin.network.row, basin.network.column
    assert basin.network.grid.shape == mesh["active_cell"].shape
    assert np.all(mesh["active_cell"][row, column] == 1)
    np.testing.assert_allclose(basin.network.drained_area, mesh["flwacc"][row, column], rtol=SINGLE)
    np.testing.assert_array_equal(basin.network.cell_width, mesh["dx"][row, column])
    assert basin.network.grid.transform[2] == mesh["xmin"]
    assert basin.network.grid.transform[5] == mesh["ymax"]
    gauge = np.stack([row[basin.gauges.cell], column[basin.gauges.cell]], axis=1)
    np.testing.assert_array_equal(gauge, mesh["gauge_pos"])
    np.testing.assert_allclose(basin.gauges.area_found, mesh["area_dln"], rtol=SINGLE)
    np.testing.assert_allclose(basin.gauges.area_asked, mesh["area"], rtol=SINGLE)


def check_rain_and_discharge(basin: Basin, model: Any) -> None:
    np.testing.assert_allclose(basin.precipitation, at_cells(model.atmos_data.prcp, basin), rtol=SINGLE)
    observed = np.where(model.response_data.q < 0, np.nan, model.response_data.q)
    np.testing.assert_allclose(basin.discharge, observed, rtol=SINGLE)


def check_plausible(basin: Basin, stores: Path) -> None:
    """No false alarm and no warning, neither of the whole record nor of its first, middle and last third."""
    assert findings(read_figures(stores / basin.fingerprint), Limits()) == ([], [])
    counts = {"values": 1, "missing": 0, "negative": 0, "uncovered": 0.0}
    third = len(basin.times) // 3
    for low in (0, third, 2 * third):
        part = replace(
            basin,
            start=basin.start + np.timedelta64(low * basin.step, "s"),
            precipitation=basin.precipitation[low : low + third],
            pet=basin.pet[low : low + third],
            discharge=basin.discharge[:, low : low + third],
        )
        assert findings(measure(part, {"precipitation": counts, "pet": counts}), Limits()) == ([], [])


def test_cance(cance_data: Path, tmp_path: Path) -> None:
    """Hourly, interannual evapotranspiration."""
    source = BasinSource(
        start=np.datetime64("2014-09-15T00:00"),
        end=np.datetime64("2014-11-14T00:00"),
        step=3600,
        flow_directions=cance_data.parent / "France_flwdir.tif",
        encoding="smash",
        gauges=cance_data / "gauge_attributes.csv",
        precipitation=ForcingSource(cance_data / "prcp", scale_factor=0.1),
        pet=ForcingSource(cance_data / "pet"),
        pet_kind="interannual",
        discharge=DischargeSource(cance_data / "qobs"),
        descriptors={name: DescriptorSource(cance_data / "descriptor" / f"{name}.tif") for name in ("slope", "dd")},
    )
    basin = open_basin(source, tmp_path)
    check_plausible(basin, tmp_path)
    smash = peer("Cance", "2014-11-14 00:00")
    assert len(basin.network) == 383
    check_domain(basin, smash.mesh)
    check_rain_and_discharge(basin, smash.model)
    # 2014 is no leap year, so that smash reads the file of the day before: its second day is our first.
    evapotranspiration = at_cells(smash.model.atmos_data.pet, basin)
    np.testing.assert_allclose(basin.pet[:-24], evapotranspiration[24:], rtol=SINGLE)
    descriptors = at_cells(smash.model.physio_data.descriptor, basin)
    np.testing.assert_allclose([basin.descriptors["slope"], basin.descriptors["dd"]], descriptors, rtol=SINGLE)


def test_lez(lez_data: Path, tmp_path: Path) -> None:
    """Daily, evapotranspiration of each day, rasters without a coordinate system among the descriptors."""
    names = ["slope", "drainage_density", "karst", "woodland", "urban", "soil_water_storage"]
    source = BasinSource(
        start=np.datetime64("2012-08-01T00:00"),
        end=np.datetime64("2013-07-31T00:00"),
        step=86400,
        flow_directions=lez_data.parent / "France_flwdir.tif",
        encoding="smash",
        gauges=lez_data / "gauge_attributes.csv",
        precipitation=ForcingSource(lez_data / "prcp"),
        pet=ForcingSource(lez_data / "pet"),
        pet_kind="raster",
        discharge=DischargeSource(lez_data / "qobs"),
        descriptors={name: DescriptorSource(lez_data / "descriptor" / f"{name}.tif") for name in names},
        crs="EPSG:2154",
    )
    basin = open_basin(source, tmp_path)
    check_plausible(basin, tmp_path)
    smash = peer("Lez", "2013-07-31 00:00")
    check_domain(basin, smash.mesh)
    check_rain_and_discharge(basin, smash.model)
    evapotranspiration = at_cells(smash.model.atmos_data.pet, basin)
    np.testing.assert_allclose(basin.pet, evapotranspiration, rtol=SINGLE)
    descriptors = at_cells(smash.model.physio_data.descriptor, basin)
    np.testing.assert_allclose([basin.descriptors[name] for name in names], descriptors, rtol=SINGLE)
