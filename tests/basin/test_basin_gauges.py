"""The table of gauges, and how gauges find their cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import pytest

from hydrocli.basin.gauges import GaugeTable, place, read_gauges
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.errors import Errors, InputError

GRID = Grid(pyproj.CRS("EPSG:2154").to_wkt(), (1000.0, 0.0, 800000.0, 0.0, -1000.0, 6450000.0), 4, 4)
DRAINAGE = Drainage.from_d8(np.array([[5, 5, 7, 7], [3, 5, 7, 0], [0, 5, 7, 7], [0, 5, 0, 7]]), "smash", GRID)
"""Column 1 drains 3, 7, 10 and 11 km2 from north to south."""


def table(*rows: tuple[str, float, float, float]) -> GaugeTable:
    code, x, y, area = zip(*rows, strict=True)
    return GaugeTable(Path("gauges.csv"), code, np.array(x), np.array(y), np.array(area) * 1e6)


@pytest.mark.parametrize(
    "text",
    [
        "code,x,y,area\nA,1.5,2,30\n",
        "\ufeffCode; X; Y; Area\r\n A ; 1.5 ; 2 ; 30 \r\n\r\n",
        'name\tarea\ty\tx\tcode\n"the one"\t30\t2\t1.5\tA\n',
    ],
)
def test_tables_as_people_write_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gauges.csv"
    path.write_text(text, encoding="utf-8")
    read = read_gauges(path)
    assert read.code == ("A",)
    assert (read.x[0], read.y[0], read.area[0]) == (1.5, 2.0, 30e6)


def test_all_that_is_wrong_with_a_table_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "gauges.csv"
    path.write_text("code,x,y,area\nA,1,2,3\nA,1,2,4\nB,one,2,3\n,1,2,3\nC,1,2,0\n")
    with pytest.raises(Errors) as caught:
        read_gauges(path)
    message = str(caught.value)
    for part in ("gauge A is listed 2 times", ":4: x is 'one'", ":5: has no gauge code", ":6: gauge C needs"):
        assert part in message


def test_a_missing_column_or_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gauges.csv"
    path.write_text("code,x,y\n")
    with pytest.raises(InputError, match="has no column area"):
        read_gauges(path)
    with pytest.raises(InputError, match="does not exist"):
        read_gauges(tmp_path / "none.csv")


def test_selected_gauges_keep_the_order_asked() -> None:
    rows = table(("A", 1, 1, 1), ("B", 2, 2, 2), ("C", 3, 3, 3))
    assert rows.select(("C", "A")).x.tolist() == [3, 1]
    assert rows.select(()) is rows
    with pytest.raises(Errors, match=r"no gauge CC\n  Did you mean C"):
        rows.select(("CC",))


@pytest.mark.parametrize(("area", "row"), [(3, 0), (7, 1), (10, 2)])
def test_the_cell_is_the_one_around_whose_area_is_nearest(area: float, row: int) -> None:
    placement = place(table(("A", 801500, 6448500, area)), DRAINAGE, 0.2)
    assert (placement.row[0], placement.column[0], placement.area_found[0]) == (row, 1, area * 1e6)
    assert not placement.errors


def test_the_search_does_not_reach_two_cells_far() -> None:
    placement = place(table(("A", 801500, 6448500, 11)), DRAINAGE, 0.2)
    assert placement.area_found[0] == 10e6


def test_gauges_in_another_coordinate_system() -> None:
    degrees = pyproj.Transformer.from_crs("EPSG:2154", "EPSG:4326", always_xy=True).transform(801500, 6446500)
    placement = place(table(("A", *degrees, 11)), DRAINAGE, 0.2, "EPSG:4326")
    assert (placement.row[0], placement.column[0]) == (3, 1)


def test_all_gauges_outside_or_of_another_area_are_named() -> None:
    rows = table(("A", 0, 0, 11), ("B", 801500, 6446500, 11), ("C", 801500, 6446500, 30), ("D", 9e5, 6446500, 1))
    outside, differing = place(rows, DRAINAGE, 0.2).errors
    assert "outside the raster of flow directions: A, D" in str(outside)
    assert "C 30 km2 in the table, 11 found" in str(differing)
    assert "B " not in str(differing)


def test_areas_in_square_metres_are_recognised() -> None:
    """The peer's documentation says m2 where its files have km2."""
    (error,) = place(table(("A", 801500, 6446500, 11e6)), DRAINAGE, 0.2).errors
    assert "seem to be in m2: write them in km2" in str(error)


def test_gauges_on_one_cell_are_told() -> None:
    rows = table(("A", 801500, 6446500, 11), ("B", 801500, 6446500, 11.5), ("C", 801500, 6448500, 7))
    placement = place(rows, DRAINAGE, 0.2)
    assert placement.notes() == [
        "gauges A, B are on the same cell: `gauges.same_cell` says whether each counts for itself (the default), "
        "or all of them as one"
    ]


def test_gauges_are_cells_of_the_network() -> None:
    placement = place(table(("A", 801500, 6446500, 11), ("B", 801500, 6448500, 7)), DRAINAGE, 0.2)
    network = DrainageNetwork.from_drainage(DRAINAGE, [(3, 1)])
    gauges = placement.on(network, DRAINAGE)
    assert gauges.code == ("A", "B")
    np.testing.assert_array_equal(network.y[gauges.cell], [6446500, 6448500])
    np.testing.assert_array_equal(gauges.area_found, network.drained_area[gauges.cell])
    assert network.downstream[gauges.cell[0]] == -1
