"""What other programs read of a run: GeoPackage with geopandas, NetCDF with h5netcdf alone, Parquet in one line."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from results_examples import write_valley

from hydrocli.errors import ConfigurationError, InputError
from hydrocli.results import read
from hydrocli.results.export import Kind, export


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_valley(tmp_path / "valley")


def test_geopackage(folder: Path) -> None:
    path = export(read(folder), "geopackage")
    assert path == folder / "map.gpkg"
    gauges = gpd.read_file(path, layer="gauges").set_index("gauge")
    assert gauges.crs.to_epsg() == 2154
    assert gauges.loc["low", "area_km2"] == 4
    assert gauges.loc["high", "area_km2"] == 2
    assert (gauges.loc["low"].geometry.x, gauges.loc["low"].geometry.y) == (803500.0, 6500500.0)
    assert gauges.loc["high", "nse_calibration"] == 0.75
    assert np.isnan(gauges.loc["low", "nse_later"])
    network = gpd.read_file(path, layer="drainage_network").set_index("cell")
    assert network["downstream"].to_dict() == {0: 1, 1: 2, 2: 3}
    assert network["upstream_km2"].tolist() == [1, 2, 3]
    assert [list(line.coords) for line in network.geometry][2] == [(802500.0, 6500500.0), (803500.0, 6500500.0)]


def test_netcdf(folder: Path, tmp_path: Path) -> None:
    h5netcdf = pytest.importorskip("h5netcdf")
    path = export(read(folder), "netcdf", tmp_path / "q.nc")
    table = pd.read_parquet(folder / "discharge.parquet")
    with h5netcdf.File(path, "r") as file:
        assert (file.attrs["Conventions"], file.attrs["featureType"]) == ("CF-1.11", "timeSeries")
        assert [str(code) for code in np.asarray(file["gauge"]).astype(str)] == ["low", "high"]
        assert file["gauge"].attrs["cf_role"] == "timeseries_id"
        flow = file["discharge_observed"]
        assert flow.attrs["units"] == "m3 s-1"
        assert "crs" in file.variables
        values, fill = np.asarray(flow), flow.attrs["_FillValue"]
        expected = table["observed"].to_numpy().reshape(2, -1)
        np.testing.assert_array_equal(np.where(values == fill, np.nan, values), expected)
        assert np.isnan(expected).sum() == (values == fill).sum() > 0
        units = file["time"].attrs["units"]
        since = pd.to_datetime(np.asarray(file["time"]), unit="s", origin=units.removeprefix("seconds since ")[:19])
    np.testing.assert_array_equal(since, table["time"].dt.tz_localize(None)[: values.shape[1]])


@pytest.mark.parametrize(("kind", "limit"), [("geopackage", 40_000), ("geopackage", 100_000), ("netcdf", 4_000)])
def test_a_disk_that_is_full(kind: Kind, limit: int, folder: Path) -> None:
    """A limit of file sizes fails like a full disk; libraries say anything or nothing about it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written: .*\n  .*ulimit -f"):
            export(read(folder), kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [item for item in folder.rglob("*") if item.name.startswith(".") or item.suffix in (".gpkg", ".nc")]
    export(read(folder), kind)


def test_a_geopackage_that_is_not_whole_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL may say nothing of what it could not write."""

    def first_layer_only(frame: gpd.GeoDataFrame, path: Path, *, layer: str, **options: Any) -> None:
        if layer == "gauges":
            written(frame, path, layer=layer, **options)

    written = gpd.GeoDataFrame.to_file
    monkeypatch.setattr(gpd.GeoDataFrame, "to_file", first_layer_only)
    with pytest.raises(InputError, match="is not whole"):
        export(read(folder), "geopackage")
    assert not (folder / "map.gpkg").exists()


def test_netcdf_without_its_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(ConfigurationError, match="h5netcdf"):
        export(read(folder), "netcdf")
    assert not list(folder.glob("*.nc"))
    assert not list(folder.glob(".export*"))


def test_one_line_in_polars_and_duckdb_for_runs_of_other_gauges(folder: Path, tmp_path: Path) -> None:
    """The lines of the README: tables of runs of different gauges are read together."""
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    write_valley(tmp_path / "other", gauges=("left", "right"))
    pattern = str(tmp_path / "*" / "domain.parquet")
    every = polars.concat(
        [polars.read_parquet(file) for file in sorted(tmp_path.glob("*/domain.parquet"))], how="diagonal"
    )
    assert every.height == 8
    assert {"low", "left"} <= set(every["gauge"])
    rows = duckdb.sql(f"select distinct gauge from read_parquet('{pattern}', union_by_name=true)").fetchall()
    assert {("low",), ("left",)} <= set(rows)
