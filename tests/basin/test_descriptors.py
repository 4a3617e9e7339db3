"""Descriptors of the cells from rasters of classes and from polygons, with answers counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from field_cases import CORNER, CRS, base_case, polygons, square, write_raster

from hydrocli.basin import descriptors as module
from hydrocli.basin.coverage import inspect
from hydrocli.basin.descriptors import Descriptor, read_descriptors
from hydrocli.basin.domain import make_domain
from hydrocli.basin.ingest import open_basin
from hydrocli.basin.source import BasinSource, DescriptorSource
from hydrocli.errors import HydrocliError


@pytest.fixture
def source(tmp_path: Path) -> BasinSource:
    return base_case(tmp_path, with_rain=False)


def read(source: BasinSource, path: Path | None, **options: Any) -> tuple[np.ndarray, Descriptor]:
    """A descriptor as a map [6, 6], and what is known of it."""
    wanted = replace(source, descriptors={"d": DescriptorSource(path, **options)})
    network, _, _ = make_domain(wanted)
    found = read_descriptors(wanted, network)["d"]
    values = np.full((6, 6), np.nan)
    values[network.row, network.column] = found.values
    return values, found


def refused(source: BasinSource, path: Path, **options: Any) -> str:
    with pytest.raises(HydrocliError) as caught:
        read(source, path, **options)
    return str(caught.value)


def classes(folder: Path, **options: Any) -> Path:
    """Pixels of 250 m, 16 to a cell: class 1, but 2 in the upper half of the first cell, 3 in a pixel of the second."""
    values = np.ones((24, 24), np.uint8)
    values[:2, :4] = 2
    values[1, 5] = 3
    values[4:8, :4] = 0  # no data in cell (1, 0)
    return write_raster(folder / "classes.tif", values, corner=CORNER, cell=250.0, nodata=0, **options)


def test_shares_of_classes(source: BasinSource, tmp_path: Path) -> None:
    path = classes(tmp_path)
    expected = np.zeros((6, 6))
    expected[0, 0], expected[0, 1], expected[1, 0] = 1 / 2, 1 / 16, np.nan
    values, found = read(source, path, classes=(2.0, 3.0))
    np.testing.assert_allclose(values, expected)
    assert found.unit == "fraction"
    assert found.notes == ("descriptor d is missing in 2.8% of the cells",)
    np.testing.assert_allclose(read(source, path, classes=(1.0,))[0], 1 - expected)
    assert np.isnan(read(source, path, classes=(1.0,), nodata=(1.0,))[0]).sum() == 35
    _, nothing = read(source, path, classes=(7.0,))
    assert nothing.notes[0] == "descriptor d: the domain has none of the classes 7; it has 1, 2, 3"
    assert "a raster has numbers, not forest" in refused(source, path, classes=("forest",))
    assert "basin.descriptors.d.attribute" in refused(source, path, attribute="name")


def test_numbers_of_classes_are_not_averaged(source: BasinSource, tmp_path: Path) -> None:
    """A table of colours shows that numbers are names."""
    path = classes(tmp_path, photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {1: (1, 2, 3), 2: (200, 0, 0), 3: (0, 200, 0)})
    text = refused(source, path)
    assert "is a raster of classes" in text
    assert "`basin.descriptors.d.classes`" in text
    assert read(source, path, classes=(2.0,))[0][0, 0] == 0.5
    assert read(source, path, resampling="nearest")[0][2, 2] == 1.0


def test_bands_units_and_coarse_rasters(source: BasinSource, tmp_path: Path) -> None:
    """Two bands of 3 km: each cell has the value of the pixel that holds it."""
    bands = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], np.float32)
    path = write_raster(tmp_path / "two.tif", bands, corner=CORNER, cell=3000.0)
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("mm", "m")
    values, found = read(source, path, band=2)
    np.testing.assert_array_equal(values, np.repeat(np.repeat(bands[1], 3, axis=0), 3, axis=1))
    assert found.unit == "m"
    assert read(source, path, band=2, unit="cm")[1].unit == "cm"
    assert "has 2 bands, one is expected" in refused(source, path)


def soils(path: Path, crs: str = CRS) -> Path:
    """Two soils that meet in the middle of the cells of column 1, in rows 0 to 2; a lake over both in cell (1, 1)."""
    frame = geopandas.GeoDataFrame(
        {"soil": ["sand", " clay ", "lake"], "depth": [1.0, 3.0, np.nan], "number": [7, 9, 11]},
        geometry=[square(0, 0, 1.5, 3), square(1.5, 0, 4, 3), square(1.25, 1.25, 1.75, 1.75)],
        crs=CRS,
    ).to_crs(crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, **({"layer": "soils"} if path.suffix == ".gpkg" else {}))
    return path


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.parquet"])
def test_polygons_are_shares_of_cells(source: BasinSource, tmp_path: Path, name: str) -> None:
    path = soils(tmp_path / name)
    values, found = read(source, path)
    covered = np.zeros((6, 6))
    covered[:3, :4] = 1.0  # the lake lies on land that is counted already
    np.testing.assert_allclose(values, covered)
    assert found.unit == "fraction"
    sand, lake = np.zeros((6, 6)), np.zeros((6, 6))
    sand[:3, 0], sand[:3, 1] = 1.0, 0.5
    lake[1, 1] = 0.25
    np.testing.assert_allclose(read(source, path, attribute="soil", classes=("sand",))[0], sand)
    np.testing.assert_allclose(read(source, path, attribute="soil", classes=("lake", "clay"))[0][1, 1], 0.625)
    np.testing.assert_allclose(read(source, path, attribute="number", classes=(11.0,))[0], lake)
    _, nothing = read(source, path, attribute="soil", classes=("silt",))
    assert "has none of the classes silt" in nothing.notes[0]


def test_the_mean_of_an_attribute_is_weighted_by_area(source: BasinSource, tmp_path: Path) -> None:
    """Of a missing value no area counts; cells that are covered by less than half have none."""
    path = soils(tmp_path / "a.gpkg")
    depth = np.full((6, 6), np.nan)
    depth[:3, 0], depth[:3, 1], depth[:3, 2:4] = 1.0, 2.0, 3.0
    np.testing.assert_allclose(read(source, path, attribute="depth", layer="soils")[0], depth)
    values, _ = read(source, path, attribute="number")
    assert values[1, 1] == pytest.approx((0.5 * 7 + 0.5 * 9 + 0.25 * 11) / 1.25)
    text = refused(source, path, attribute="soil")
    assert "has texts in the column soil" in text
    assert "`basin.descriptors.d.classes`" in text
    assert "has no column dept\n  It has soil, depth, number" in refused(source, path, attribute="dept")
    assert "basin.descriptors.d.layer" in refused(source, path, layer="soil")
    assert "basin.descriptors.d.band" in refused(source, path, band=1)
    assert "Name the column with" in refused(source, path, classes=(1.0,))


def test_polygons_of_many_corners_and_of_another_projection(
    source: BasinSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of 1 km2 in the middle of four cells: a quarter of it in each, also where it is cut into parts."""
    radius = 1000 / np.sqrt(np.pi)
    disk = shapely.Point(CORNER[0] + 2000, CORNER[1] - 2000).buffer(radius, quad_segs=500)
    frame = geopandas.GeoDataFrame(geometry=[disk], crs=CRS)
    expected = np.zeros((6, 6))
    expected[1:3, 1:3] = 0.25
    for crs, name in ((CRS, "a"), ("EPSG:4326", "b")):
        frame.to_crs(crs).to_file(tmp_path / f"{name}.gpkg")
        np.testing.assert_allclose(read(source, tmp_path / f"{name}.gpkg")[0], expected, atol=1e-5)
    cut = module._cut(disk)
    assert len(cut) > 4
    assert shapely.area(cut).sum() == pytest.approx(disk.area)
    monkeypatch.setattr(module, "MOST_CORNERS", 10_000)
    np.testing.assert_allclose(read(source, tmp_path / "a.gpkg")[0], expected, atol=1e-5)


def test_everything_wrong_with_descriptors_is_said_at_once(source: BasinSource, tmp_path: Path) -> None:
    wanted = replace(
        source,
        descriptors={
            "a": DescriptorSource(classes(tmp_path), classes=("x",)),
            "b": DescriptorSource(soils(tmp_path / "a.gpkg"), attribute="x"),
        },
    )
    network, _, _ = make_domain(wanted)
    with pytest.raises(HydrocliError) as caught:
        read_descriptors(wanted, network)
    assert "basin.descriptors.a.classes" in str(caught.value)
    assert "basin.descriptors.b.attribute" in str(caught.value)


def test_check_and_store_say_how_descriptors_were_made(tmp_path: Path) -> None:
    source = replace(
        base_case(tmp_path),
        descriptors={
            "clay": DescriptorSource(soils(tmp_path / "a.gpkg"), attribute="soil", classes=("clay",)),
            "distance": DescriptorSource(derived="distance_to_outlet"),
        },
    )
    before = inspect(source, tmp_path / "store").descriptors
    basin = open_basin(source, tmp_path / "store")
    assert inspect(source, tmp_path / "store").descriptors == before
    clay, distance = before
    assert (clay.unit, clay.lowest, clay.highest, clay.missing) == ("fraction", 0.0, 1.0, 0.0)
    assert (distance.unit, distance.highest) == ("km", 10.0)
    assert basin.descriptor_units == {"clay": "fraction", "distance": "km"}
    assert open_basin(source, tmp_path / "store").descriptor_units == basin.descriptor_units
    assert basin.descriptors["clay"].mean() == pytest.approx((3 * 0.5 + 6) / 36)
    distance_in_x = DescriptorSource(derived="distance_to_outlet", unit="x")
    changed = replace(source, descriptors={**source.descriptors, "distance": distance_in_x})
    assert open_basin(changed, tmp_path / "store").fingerprint != basin.fingerprint


def test_check_lists_the_descriptors_that_can_be_made_beside_what_is_wrong(tmp_path: Path) -> None:
    lakes = DescriptorSource(polygons(tmp_path / "lakes.gpkg", square(0, 0, 1, 1)))
    broken = DescriptorSource(classes(tmp_path), classes=("x",))
    found = inspect(replace(base_case(tmp_path), descriptors={"lakes": lakes, "broken": broken}), tmp_path / "store")
    assert [one.name for one in found.descriptors] == ["lakes"]
    assert any("basin.descriptors.broken.classes" in str(error) for error in found.errors)


def test_polygons_far_from_the_cells_are_not_examined(source: BasinSource, tmp_path: Path) -> None:
    """Of a national map a basin needs a part: a text far away is no fault of it, and its class is not listed."""
    for name, crs in (("a.gpkg", "EPSG:4326"), ("a.parquet", CRS)):
        shapes = [square(0, 0, 6, 6), square(100, 100, 106, 106)]
        frame = geopandas.GeoDataFrame({"depth": ["2.5", "deep"]}, geometry=shapes, crs=CRS).to_crs(crs)
        path = tmp_path / name
        frame.to_parquet(path) if name.endswith("parquet") else frame.to_file(path)
        np.testing.assert_allclose(read(source, path, attribute="depth")[0], 2.5)
        assert "it has 2.5" in read(source, path, attribute="depth", classes=("deep",))[1].notes[0]
        far = geopandas.GeoDataFrame(geometry=shapes[1:], crs=CRS).to_crs(crs)
        far.to_parquet(path) if name.endswith("parquet") else far.to_file(path)
        values, found = read(source, path)
        assert not values.any()
        assert found.notes == ("descriptor d: the polygons cover no cell",)
