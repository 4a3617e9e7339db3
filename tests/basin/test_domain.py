"""Which cells a model has: directions of CaMa-Flood, polygons, all of a raster; and gauges in files of points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from field_cases import CORNER, CRS, DIRECTIONS, base_case, polygons, raster, square

from hydrocli.basin.domain import make_domain
from hydrocli.basin.source import BasinSource, DescriptorSource
from hydrocli.basin.vectors import PolygonSource
from hydrocli.errors import HydrocliError

X, Y = CORNER


@pytest.fixture
def source(tmp_path: Path) -> BasinSource:
    return base_case(tmp_path, with_rain=False)


def refused(source: BasinSource) -> str:
    with pytest.raises(HydrocliError) as caught:
        make_domain(source)
    return str(caught.value)


# --- CaMa-Flood ----------------------------------------------------------------------------------------------------


def nextxy() -> np.ndarray:
    """The directions of the base case as columns and rows from 1, [2, 6, 6]."""
    row, column = np.mgrid[:6, :6]
    planes = np.stack([np.minimum(column + 1, 5), row + (column == 5)]).astype(np.int32) + 1
    planes[:, 5, 5] = -9
    return planes


def with_nextxy(source: BasinSource, planes: np.ndarray) -> BasinSource:
    assert source.flow_directions is not None
    raster(source.flow_directions, planes, nodata=-9999)
    return replace(source, encoding="nextxy")


def cama_files(folder: Path, planes: np.ndarray) -> Path:
    """nextxy.bin and params.txt, as a map of CaMa-Flood has them."""
    _, height, width = planes.shape
    planes.astype("<i4").tofile(folder / "nextxy.bin")
    numbers = [width, height, 10, 1000.0, X, X + 1000 * width, Y - 1000 * height, Y]
    words = ["grid number (east-west)", "grid number (north-south)", "layers", "size", "west", "east", "south", "north"]
    lines = [f"{value}     !! {word}" for value, word in zip(numbers, words, strict=True)]
    (folder / "params.txt").write_text("\n".join(lines) + "\n")
    return folder / "nextxy.bin"


def test_nextxy_in_bands_and_in_the_files_of_cama_flood(source: BasinSource, tmp_path: Path) -> None:
    known, _, _ = make_domain(source)
    path = cama_files(tmp_path, nextxy())
    of_files = replace(source, flow_directions=path, encoding="nextxy", flow_directions_crs=CRS)
    for case in (with_nextxy(source, nextxy()), of_files):
        network, gauges, _ = make_domain(case)
        np.testing.assert_array_equal(network.downstream, known.downstream)
        np.testing.assert_array_equal(network.drained_area, known.drained_area)
        assert gauges.area_found.tolist() == [36e6, 18e6]


def test_the_cell_downstream_need_be_no_neighbour(source: BasinSource) -> None:
    """The head of the last row leaps over three cells, whose water goes on as before."""
    planes = nextxy()
    planes[:, 5, 0] = 5, 6
    network, gauges, _ = make_domain(with_nextxy(source, planes))
    head = np.flatnonzero((network.row == 5) & (network.column == 0))[0]
    below = network.downstream[head]
    assert (network.row[below], network.column[below]) == (5, 4)
    assert network.level[below] == network.level[head] + 1
    assert gauges.area_found.tolist() == [36e6, 18e6]


def test_what_is_wrong_with_nextxy(source: BasinSource, tmp_path: Path) -> None:
    assert source.flow_directions is not None
    with_nextxy(source, nextxy())
    text = refused(source)
    assert "has 2 bands" in text
    assert "`basin.flow_directions.encoding: nextxy`" in text
    planes = nextxy()
    planes[0, 2, 2] = 77
    assert "columns and rows beyond its 6 x 6 cells: 77 3" in refused(with_nextxy(source, planes))
    planes = nextxy()
    planes[:, 5, 4] = 4, 6
    assert "the flow runs in cycles" in refused(with_nextxy(source, planes))
    raster(source.flow_directions, DIRECTIONS)
    assert "has 1 band; nextxy needs two" in refused(replace(source, encoding="nextxy"))
    path = cama_files(tmp_path, nextxy())
    of_files = replace(source, flow_directions=path, encoding="nextxy", flow_directions_crs=CRS)
    path.write_bytes(path.read_bytes()[:-4])
    assert "has 71 numbers, not two for each of 6 x 6 cells" in refused(of_files)
    path.with_name("params.txt").unlink()
    assert "params.txt is not beside nextxy.bin" in refused(of_files)


def test_sinks_and_cycles_of_nextxy_elsewhere_are_notes(source: BasinSource) -> None:
    planes = np.full((2, 12, 12), -9999, np.int32)
    planes[:, :6, :6] = nextxy()
    planes[:, 10, 10], planes[:, 10, 11] = (12, 11), (11, 11)
    planes[:, 8, 8] = -10
    network, _, notes = make_domain(with_nextxy(source, planes))
    assert len(network) == 36
    assert [note for note in notes if "outside of the catchments, the flow runs in cycles (2 cells" in note]


# --- domain --------------------------------------------------------------------------------------------------------


def wide(source: BasinSource) -> BasinSource:
    """The base case beside a second basin of 6 x 6 cells in the east, and a strip without directions in the south."""
    assert source.flow_directions is not None
    directions = np.zeros((8, 12), np.uint8)
    directions[:6] = np.hstack([DIRECTIONS, DIRECTIONS])
    directions[5, [5, 11]] = 5
    raster(source.flow_directions, directions, nodata=0)
    return source


def cells(source: BasinSource) -> set[tuple[int, int]]:
    """Rows and columns of the domain in the whole raster."""
    network, _, _ = make_domain(source)
    column = ((network.x - X) // 1000).astype(int).tolist()
    row = ((Y - network.y) // 1000).astype(int).tolist()
    return set(zip(row, column, strict=True))


def test_the_domain_may_be_all_of_a_raster(source: BasinSource) -> None:
    west = {(row, column) for row in range(6) for column in range(6)}
    east = {(row, column + 6) for row, column in west}
    assert cells(wide(source)) == west
    # The two mouths drain into a cell of the strip each, which thus is an outlet.
    assert cells(replace(source, domain="all")) == west | east | {(6, 5), (6, 11)}


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.parquet", "a.geojson"])
def test_polygons_add_the_cells_whose_centres_they_hold(source: BasinSource, tmp_path: Path, name: str) -> None:
    """One polygon holds two centres in the east, the other half of the catchment, which is whole anyhow."""
    shapes = square(7.6, 2.2, 9.7, 3.4), square(0, 0, 3, 6)
    frame = geopandas.GeoSeries([*shapes], crs=CRS)
    crs = "EPSG:4326" if name == "a.geojson" else CRS
    path = polygons(tmp_path / name, *frame.to_crs(crs), crs=crs)
    chosen = replace(wide(source), polygons=PolygonSource(path))
    assert cells(chosen) == {(row, column) for row in range(6) for column in range(6)} | {(2, 8), (2, 9)}
    network, _, notes = make_domain(chosen)
    assert len(network) == 38
    assert np.count_nonzero(network.downstream < 0) == 2
    assert [note for note in notes if "water flows into the polygons from outside" in note and "at 1 cells" in note]


def test_gauges_outside_of_polygons_are_left_out_unless_they_are_named(source: BasinSource, tmp_path: Path) -> None:
    source.gauges.write_text("code,x,y,area\nG1,805500,6494500,36\nG2,805500,6497500,18\nE,811500,6494500,36\n")
    path = polygons(tmp_path / "west.gpkg", square(0, 0, 6, 6))
    chosen = replace(wide(source), polygons=PolygonSource(path), gauge_codes=())
    _, gauges, _ = make_domain(chosen)
    assert gauges.code == ("G1", "G2")
    _, gauges, _ = make_domain(replace(chosen, gauge_codes=("E", "G1")))
    assert gauges.code == ("E", "G1")
    far = polygons(tmp_path / "far.gpkg", square(60, 0, 66, 6))
    assert "no gauge of" in refused(replace(chosen, polygons=PolygonSource(far)))
    text = refused(replace(chosen, polygons=PolygonSource(far), gauge_codes=("G1",)))
    assert "holds the centre of no cell with a direction" in text


def missing(folder: Path) -> PolygonSource:
    return PolygonSource(folder / "none.gpkg")


def corrupt(folder: Path) -> PolygonSource:
    path = polygons(folder / "a.gpkg", square(0, 0, 3, 3))
    path.write_bytes(path.read_bytes()[:5000])
    return PolygonSource(path)


def cut_parquet(folder: Path) -> PolygonSource:
    path = polygons(folder / "a.parquet", square(0, 0, 3, 3))
    path.write_bytes(path.read_bytes()[:-20])
    return PolygonSource(path)


def without_crs(folder: Path) -> PolygonSource:
    path = polygons(folder / "a.shp", square(0, 0, 3, 3))
    path.with_suffix(".prj").unlink()
    return PolygonSource(path)


def lines(folder: Path) -> PolygonSource:
    return PolygonSource(polygons(folder / "a.gpkg", shapely.LineString([(X, Y), (X + 1000, Y)])))


def several_layers(folder: Path, layer: str | None = None) -> PolygonSource:
    polygons(folder / "a.gpkg", square(0, 0, 3, 3), layer="catchments")
    return PolygonSource(polygons(folder / "a.gpkg", square(3, 3, 6, 6), layer="lakes"), layer)


def a_table(folder: Path) -> PolygonSource:
    (folder / "a.csv").write_text("code\nA\n")
    return PolygonSource(folder / "a.csv")


def plain_parquet(folder: Path) -> PolygonSource:
    geopandas.pd.DataFrame({"a": [1]}).to_parquet(folder / "a.parquet")
    return PolygonSource(folder / "a.parquet")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "basin.polygons.path: .*none.gpkg does not exist"),
        (corrupt, r"a.gpkg: cannot be read \(.*\n.*Replace it by a sound copy"),
        (cut_parquet, r"a.parquet"),
        (without_crs, r"a.shp: does not name its coordinate reference system\n.*`crs` beside its path"),
        (lines, "has no polygons but LineString"),
        (several_layers, r"has several layers: catchments, lakes\n.*`basin.polygons.layer`"),
        (
            lambda folder: several_layers(folder, "lake"),
            r"basin.polygons.layer: .* has no layer lake\n.*catchments, lakes",
        ),
        (a_table, "a.csv is no file of polygons"),
        (plain_parquet, "is Parquet without geometry"),
    ],
)
def test_what_is_wrong_with_polygons(
    source: BasinSource, tmp_path: Path, make: Callable[[Path], PolygonSource], words: str
) -> None:
    with pytest.raises(HydrocliError, match=words):
        make_domain(replace(source, polygons=make(tmp_path)))


def test_a_stated_crs_and_layer_are_taken(source: BasinSource, tmp_path: Path) -> None:
    known = wide(source)
    bare = replace(without_crs(tmp_path), crs=CRS)
    assert len(cells(replace(known, polygons=bare))) == 36
    assert len(cells(replace(known, polygons=several_layers(tmp_path, "catchments")))) == 36


# --- gauges as points ----------------------------------------------------------------------------------------------

GAUGES = geopandas.GeoDataFrame(
    {"code": ["G1", "G2"], "area": [36.0, 18.0]},
    geometry=geopandas.points_from_xy([X + 5500, X + 5500], [Y - 5500, Y - 2500]),
    crs=CRS,
)


def test_gauges_of_geoparquet_and_of_layers(source: BasinSource, tmp_path: Path) -> None:
    """The geometry places them, in a coordinate reference system of its own."""
    degrees = GAUGES.to_crs("EPSG:4326")
    degrees.to_parquet(tmp_path / "g.parquet")
    multi = degrees.set_geometry(shapely.multipoints(degrees.geometry.to_numpy()[:, None]))
    for layer, frame in (("rain gauges", GAUGES.assign(code=["R1", "R2"])), ("rivers", multi)):
        frame.to_file(tmp_path / "g.gpkg", layer=layer)
    known, _, _ = make_domain(source)
    for path, layer in ((tmp_path / "g.parquet", None), (tmp_path / "g.gpkg", "rivers")):
        network, gauges, _ = make_domain(replace(source, gauges=path, gauges_layer=layer))
        np.testing.assert_array_equal(network.downstream, known.downstream)
        assert gauges.area_found.tolist() == [36e6, 18e6]
    two = replace(source, gauges=tmp_path / "g.gpkg")
    assert "has several layers: rain gauges, rivers\n  Name one of them with `gauges.layer`" in refused(two)
    assert "has no layer river\n  It has rain gauges, rivers" in refused(replace(two, gauges_layer="river"))
    text = refused(replace(source, gauges_layer="river"))
    assert "gauges.layer: " in text
    assert "has no layers" in text


def test_a_point_of_several_points_is_no_place(source: BasinSource, tmp_path: Path) -> None:
    shapes = [shapely.MultiPoint([(X, Y), (X + 1, Y)]), GAUGES.geometry[1]]
    GAUGES.set_geometry(shapes, crs=CRS).to_file(tmp_path / "g.gpkg")
    assert "gauge G1 needs finite x and y" in refused(replace(source, gauges=tmp_path / "g.gpkg"))


def test_a_source_needs_directions_or_elevations(source: BasinSource) -> None:
    with pytest.raises(ValueError, match="neither flow directions"):
        replace(source, flow_directions=None, encoding="", descriptors={"a": DescriptorSource(derived="slope")})
