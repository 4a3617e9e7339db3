"""Elevations become the network of the model: known landscapes, known areas, known descriptors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from field_cases import CORNER, DIRECTIONS, base_case, polygons, raster, square, write_raster
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rasterio.warp import Resampling, reproject, transform_bounds
from terrain_cases import PIXELS, SIDE, valleys

from hydrocli.basin import store
from hydrocli.basin.dem import DemSource, Terrain
from hydrocli.basin.descriptors import read_descriptors
from hydrocli.basin.domain import drainage_of, make_domain
from hydrocli.basin.ingest import ingest_batch, open_basin
from hydrocli.basin.network import Drainage
from hydrocli.basin.source import BasinSource, DescriptorSource, parts_of_terrain
from hydrocli.basin.vectors import PolygonSource
from hydrocli.errors import HydrocliError
from hydrocli.synthetic.terrain import NO_DATA, carved_land


def dem(path: Path, values: Any, **options: Any) -> Path:
    return write_raster(path, values, **{"cell": SIDE, "corner": CORNER, **options})


@pytest.fixture
def source(tmp_path: Path) -> BasinSource:
    """The base case, from its elevations."""
    path = dem(tmp_path / "dem.tif", valleys())
    case = base_case(tmp_path, with_rain=False)
    return replace(case, flow_directions=None, encoding="", dem=DemSource(path, 1000.0))


def of(source: BasinSource, **changes: Any) -> BasinSource:
    assert source.dem is not None
    return replace(source, dem=replace(source.dem, **changes))


def same_network(source: BasinSource, folder: Path) -> None:
    """The network is that of the known directions."""
    network, gauges, _ = make_domain(source)
    raster(folder / "known.tif", DIRECTIONS)
    known, _, _ = make_domain(replace(source, flow_directions=folder / "known.tif", encoding="smash", dem=None))
    assert (network.grid.transform, network.grid.shape) == (known.grid.transform, known.grid.shape)
    for name in ("row", "column", "downstream", "level", "drained_area"):
        np.testing.assert_array_equal(getattr(network, name), getattr(known, name))
    assert gauges.area_found.tolist() == [36e6, 18e6]


def test_valleys_become_the_directions_of_the_model(source: BasinSource, tmp_path: Path) -> None:
    same_network(source, tmp_path)


def test_depressions_are_filled_and_gaps_drain_nothing(source: BasinSource, tmp_path: Path) -> None:
    """Pits in a river and on a slope, and cells that begin before the first pixels: at multiples of their size."""
    values = valleys()
    values[12, 13] -= 30.0
    values[20, 4] -= 30.0
    dem(tmp_path / "dem.tif", values)
    same_network(source, tmp_path)
    dem(tmp_path / "dem.tif", values[1:, 1:], corner=(CORNER[0] + SIDE, CORNER[1] - SIDE))
    same_network(source, tmp_path)


def test_another_projection_is_resampled_to_the_grid_of_the_model(source: BasinSource, tmp_path: Path) -> None:
    with rasterio.open(tmp_path / "dem.tif") as found:
        west, _, east, north = transform_bounds(found.crs, "EPSG:4326", *found.bounds)
        target, shape = Affine(0.002, 0.0, west, 0.0, -0.002, north), (40, int((east - west) / 0.002))
        values = np.full(shape, -9999.0, np.float32)
        reproject(
            found.read(1), values, src_transform=found.transform, src_crs=found.crs, dst_transform=target,
            dst_crs="EPSG:4326", dst_nodata=-9999.0, resampling=Resampling.bilinear,
        )  # fmt: skip
    write_raster(tmp_path / "degrees.tif", values, crs="EPSG:4326", transform=target, nodata=-9999.0)
    warped = of(source, path=tmp_path / "degrees.tif", grid_crs="EPSG:2154")
    network, gauges, _ = make_domain(replace(warped, snap_distance=1500.0))
    assert network.grid.transform[0] == 1000.0
    assert network.grid.transform[2] % 1000.0 == 0.0
    np.testing.assert_allclose(gauges.area_found, gauges.area_asked, rtol=0.1)
    with pytest.raises(HydrocliError, match=r"1000 is larger than all of .*degrees\n.*basin.dem.grid_crs"):
        make_domain(of(source, path=tmp_path / "degrees.tif"))


def land(side: int, seed: int) -> tuple[np.ndarray, np.ndarray, Any]:
    return carved_land(np.random.default_rng(seed), side)


def test_elevations_of_the_grid_of_the_model_give_its_directions(tmp_path: Path) -> None:
    """Without scaling up: the directions that the synthetic land was made with."""
    elevation, directions, grid = land(40, 3)
    path = write_raster(
        tmp_path / "land.tif", elevation.astype(np.float32), corner=(grid.transform[2], grid.transform[5])
    )
    found = Terrain.read(DemSource(path, 1000.0)).drainage()
    known = Drainage.from_d8(directions, "esri", grid, NO_DATA)
    assert found.grid.transform == grid.transform
    # Elevations in single precision may tie two neighbours.
    assert np.mean(found.downstream == known.downstream) > 0.99
    largest = np.argsort(known.drained_area, axis=None)[-20:]
    np.testing.assert_allclose(found.drained_area.ravel()[largest], known.drained_area.ravel()[largest], rtol=0.02)


@pytest.mark.parametrize("seed", [1, 2])
def test_rivers_keep_their_areas_when_they_are_scaled_up(tmp_path: Path, seed: int) -> None:
    """A fractal land of 120 pixels a side, 5 to a cell: acyclic, and each large river is found with its area."""
    elevation, directions, grid = land(120, seed)
    path = write_raster(
        tmp_path / "land.tif", elevation.astype(np.float32), corner=(grid.transform[2], grid.transform[5])
    )
    coarse = Terrain.read(DemSource(path, 5000.0)).drainage()
    assert coarse.flaws == ()
    assert np.count_nonzero(coarse.flows) == np.count_nonzero(coarse.below >= 0)
    fine = Drainage.from_d8(directions, "esri", grid, NO_DATA)
    large = np.flatnonzero(fine.drained_area.ravel() > 20 * 25e6)  # pixels that drain more than twenty cells
    area = fine.drained_area.ravel()[large]
    row, column = coarse.grid.cells_at(*grid.centres(*np.divmod(large, grid.width)))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(coarse.drained_area, 1), (3, 3))[row, column]
    off = np.abs(around - area[:, None, None]).min(axis=(1, 2)) / area
    assert len(off) > 100
    assert np.median(off) < 0.03
    assert np.quantile(off, 0.9) < 0.1


def descriptors(source: BasinSource, *names: str) -> dict[str, np.ndarray]:
    """Values of derived descriptors as maps [6, 6]."""
    wanted = replace(source, descriptors={name: DescriptorSource(derived=name) for name in names})
    network, _, _ = make_domain(wanted)
    maps = {}
    for name, one in read_descriptors(wanted, network).items():
        maps[name] = np.full((6, 6), np.nan)
        maps[name][network.row, network.column] = one.values
    return maps


def test_descriptors_of_known_valleys(source: BasinSource) -> None:
    """Streams begin at once here. The cells beside the main river, and at its head, have others; those between none."""
    found = descriptors(
        of(source, stream_area=0.2), "elevation", "drainage_density", "height_above_drainage", "distance_to_outlet"
    )
    inner = np.s_[:, 1:4]
    cells = valleys().reshape(6, PIXELS, 6, PIXELS).mean(axis=(1, 3))
    np.testing.assert_allclose(found["elevation"], cells, rtol=1e-6)
    # Each pixel of a river is 200 m long, five of them to a cell of 1 km2.
    np.testing.assert_allclose(found["drainage_density"][inner], 1.0, rtol=1e-5)
    # Slopes of 2, 1, 0, 1 and 2 pixels; on the way the river falls by 0.1 m a pixel.
    np.testing.assert_allclose(found["height_above_drainage"][inner], (2 * 2.2 + 2 * 1.1) / 5, rtol=1e-5)
    row, column = np.mgrid[:6, :6]
    np.testing.assert_allclose(found["distance_to_outlet"], (5 - column) + (5 - row), rtol=1e-6)


def test_the_slope_of_a_plane(source: BasinSource, tmp_path: Path) -> None:
    """It falls by 20 m in 200 m to the east and 4 m to the south."""
    row, column = np.mgrid[:30, :30]
    dem(tmp_path / "dem.tif", (900 - 20 * column - 4 * row).astype(np.float32))
    wanted = replace(source, area_tolerance=10.0)
    found = descriptors(wanted, "slope")["slope"]
    network, _, _ = make_domain(wanted)
    inside = (network.x > 801_000) & (network.x < 805_000)
    values = found[network.row[inside], network.column[inside]]
    assert np.nanmedian(values) == pytest.approx(np.hypot(0.1, 0.02), rel=1e-5)


def test_elevations_beside_flow_directions_give_descriptors_only(source: BasinSource, tmp_path: Path) -> None:
    """Of another grid and coordinate reference system than the directions, where they may be."""
    known = raster(tmp_path / "known.tif", DIRECTIONS)
    both = of(replace(source, flow_directions=known, encoding="smash"), resolution=None)
    assert drainage_of(both).grid.shape == (6, 6)
    cells = valleys().reshape(6, PIXELS, 6, PIXELS).mean(axis=(1, 3))
    np.testing.assert_allclose(descriptors(both, "elevation")["elevation"], cells, rtol=1e-6)


def undeclared(folder: Path) -> dict[str, Any]:
    values = valleys()
    values[0, :3] = -9999.0
    dem(folder / "dem.tif", values)
    return {}


def broken(folder: Path) -> dict[str, Any]:
    (folder / "dem.tif").write_bytes((folder / "dem.tif").read_bytes()[:900])
    return {}


def empty(folder: Path) -> dict[str, Any]:
    dem(folder / "dem.tif", np.full((30, 30), -9999.0, np.float32), nodata=-9999.0)
    return {}


def without_crs(folder: Path) -> dict[str, Any]:
    dem(folder / "dem.tif", valleys(), crs=None)
    return {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (undeclared, r"dem.tif: has the value -9999 in 3 pixels.*\n.*`basin.dem.nodata: -9999`"),
        (broken, r"dem.tif: (cannot be read|is not)"),
        (empty, "dem.tif: has no elevation"),
        (without_crs, r"dem.tif: does not name its coordinate reference system\n.*`crs` beside its path"),
        (lambda _: {"resolution": 50.0}, r"basin.dem.resolution: 50 is finer than the elevations of .*\(200\)"),
        (lambda _: {"grid_crs": "EPSG:99"}, "basin.dem.grid_crs: unknown coordinate reference system"),
        (lambda _: {"grid_crs": "EPSG:2225", "resolution": 3000.0}, "in units of 0.3048"),
    ],
    ids=["undeclared fill value", "cut", "no elevation", "no crs", "finer", "unknown crs", "feet"],
)
def test_what_is_wrong_with_elevations(
    source: BasinSource, tmp_path: Path, change: Callable[[Path], dict[str, Any]], words: str
) -> None:
    with pytest.raises(HydrocliError, match=words):
        make_domain(of(source, **change(tmp_path)))


def test_values_that_are_declared_missing_are_no_land(source: BasinSource, tmp_path: Path) -> None:
    undeclared(tmp_path)
    same_network(of(source, nodata=(-9999.0,)), tmp_path)


def test_tiles_in_a_folder(source: BasinSource, tmp_path: Path) -> None:
    """Four tiles, two of them in ASCII without a coordinate reference system; the first row of tiles overlaps."""
    values, (x, y) = valleys(), CORNER
    folder = tmp_path / "tiles"
    for name, rows, columns in (
        ("a.tif", slice(0, 15), slice(0, 12)),
        ("b.tif", slice(0, 15), slice(10, 30)),
        ("c.asc", slice(15, 30), slice(0, 10)),
        ("d.asc", slice(15, 30), slice(10, 30)),
    ):
        part, corner = values[rows, columns], (x + SIDE * columns.start, y - SIDE * rows.start)
        if name.endswith("tif"):
            dem(folder / name, part, corner=corner)
            continue
        head = f"ncols {part.shape[1]}\nnrows {part.shape[0]}\nxllcorner {corner[0]}\n"
        head += f"yllcorner {corner[1] - SIDE * part.shape[0]}\ncellsize {SIDE}\n"
        (folder / name).write_text(head + "\n".join(" ".join(f"{z:.3f}" for z in row) for row in part) + "\n")
    tiles = replace(of(source, path=folder, crs="EPSG:2154"), gauge_codes=())
    same_network(tiles, tmp_path)
    polygons(tmp_path / "p.gpkg", square(0, 0, 6, 6))
    assert len(make_domain(replace(tiles, polygons=PolygonSource(tmp_path / "p.gpkg")))[0]) == 36
    dem(folder / "e.tif", values[:5, :5], corner=(x + 60, y))
    with pytest.raises(HydrocliError, match=r"e.tif: is of another grid .* than a.tif\n.*gdalwarp"):
        make_domain(tiles)
    (tmp_path / "none").mkdir()
    with pytest.raises(HydrocliError, match=r"basin.dem.path: .*none has no raster"):
        make_domain(of(source, path=tmp_path / "none"))


def test_a_virtual_raster_changes_with_its_tiles(source: BasinSource, tmp_path: Path) -> None:
    (tmp_path / "dem.vrt").write_text(
        '<VRTDataset rasterXSize="30" rasterYSize="30"><SRS>EPSG:2154</SRS>'
        f"<GeoTransform>{CORNER[0]}, {SIDE}, 0, {CORNER[1]}, 0, -{SIDE}</GeoTransform>"
        '<VRTRasterBand dataType="Float32" band="1"><SimpleSource><SourceFilename relativeToVRT="1">dem.tif'
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    virtual = of(source, path=tmp_path / "dem.vrt")
    same_network(virtual, tmp_path)
    assert parts_of_terrain(virtual)["basin.dem.path"] == [str(tmp_path / name) for name in ("dem.vrt", "dem.tif")]


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.floats(0.0, 0.3))
@settings(max_examples=15, deadline=None)
def test_any_elevations_give_a_network_without_cycles_that_keeps_its_area(seed: int, pixels: int, holes: float) -> None:
    """Noise with holes: every cell reaches an outlet, and what the outlets drain is all of the cells."""
    generator = np.random.default_rng(seed)
    values = np.where(generator.random((24, 21)) < holes, -9999.0, generator.normal(0, 10, (24, 21))).astype(np.float32)
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "count": 1, "height": 24, "width": 21, "dtype": "float32", "crs": "EPSG:2154"}
        with memory.open(**profile, transform=Affine(100, 0, 0, 0, -100, 2400), nodata=-9999.0) as dataset:
            dataset.write(values, 1)
        found = Terrain.read(DemSource(Path(memory.name), 100.0 * pixels)).drainage()
    is_cell = found.below >= 0
    assert np.array_equal(found.flows.ravel(), is_cell)
    outlets = found.below == np.arange(found.below.size)
    assert found.drained_area.ravel()[outlets].sum() == pytest.approx(np.count_nonzero(is_cell) * (100.0 * pixels) ** 2)
    assert found.fine_area is not None
    assert found.fine_area.max() <= np.count_nonzero(values != -9999.0) * 100.0**2


def test_height_above_drainage_is_that_of_pyflwdir(tmp_path: Path) -> None:
    elevation, _, grid = land(40, 3)
    path = write_raster(
        tmp_path / "land.tif", elevation.astype(np.float32), corner=(grid.transform[2], grid.transform[5])
    )
    terrain = Terrain.read(DemSource(path, 1000.0, stream_area=20.0))
    streams = terrain.drained_area >= 20.0
    expected = terrain.flow.hand(streams, terrain.filled)
    np.testing.assert_allclose(terrain.derived("height_above_drainage"), expected, atol=1e-3)


def test_a_model_in_degrees(source: BasinSource, tmp_path: Path) -> None:
    """The valleys with pixels of 0.002 degrees: areas, densities and distances are those of the ellipsoid."""
    corner, side = (4.0, 45.0), 0.002
    dem(tmp_path / "dem.tif", valleys(), crs="EPSG:4326", cell=side, corner=corner)
    gauges = "code,x,y\nG1,4.055,44.945\n"
    source.gauges.write_text(gauges)
    wanted = replace(of(source, resolution=0.01, stream_area=0.15), gauge_codes=("G1",), snap_distance=100.0)
    network, found, _ = make_domain(wanted)
    geod = pyproj.Geod(ellps="WGS84")
    outline = shapely.box(4.0, 44.94, 4.06, 45.0).segmentize(0.001)
    assert found.area_found[0] == pytest.approx(abs(geod.geometry_area_perimeter(outline)[0]), rel=1e-5)
    maps = descriptors(wanted, "drainage_density", "distance_to_outlet", "slope")
    for row in (0, 3):
        latitude = 45.0 - 0.01 * row - 0.005
        pixel = geod.line_length([4.02, 4.02 + side], [latitude] * 2)
        area = network.cell_area[(network.row == row) & (network.column == 2)][0]
        assert maps["drainage_density"][row, 2] == pytest.approx(5 * pixel / area * 1e3, rel=1e-3)
    down = geod.line_length([4.055] * 2, [44.995, 44.945])
    across = geod.line_length([4.005, 4.055], [44.995] * 2)
    assert maps["distance_to_outlet"][0, 0] == pytest.approx((across + down) / 1e3, rel=1e-3)
    assert np.isfinite(maps["slope"]).all()


def test_pixels_that_are_not_square_are_resampled(source: BasinSource, tmp_path: Path) -> None:
    x, y = CORNER
    dem(tmp_path / "dem.tif", np.repeat(valleys(), 2, axis=0), transform=Affine(200, 0, x, 0, -100, y))
    _, gauges, _ = make_domain(source)
    np.testing.assert_allclose(gauges.area_found, gauges.area_asked, rtol=0.1)


def test_basins_of_a_batch_share_elevations(tmp_path: Path) -> None:
    """Each gets the store that it gets alone."""
    case = base_case(tmp_path)
    path = dem(tmp_path / "dem.tif", valleys())
    both = replace(
        case, flow_directions=None, encoding="", dem=DemSource(path, 1000.0),
        descriptors={"slope": DescriptorSource(derived="slope")},
    )  # fmt: skip
    sources = [replace(both, gauge_codes=(code,)) for code in ("G1", "G2")]
    names = ingest_batch(sources, tmp_path / "batch")
    for one, name in zip(sources, names, strict=True):
        alone = open_basin(one, tmp_path / "alone")
        assert alone.fingerprint == name
        stored = store.load(tmp_path / "batch", alone.fingerprint)
        assert stored is not None
        np.testing.assert_array_equal(stored.basin.precipitation, alone.precipitation)
        np.testing.assert_array_equal(stored.basin.descriptors["slope"], alone.descriptors["slope"])
