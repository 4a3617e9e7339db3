"""Flow directions: encodings, drained areas, catchments, levels, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyproj
import pytest

from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.basin.readers.geotiff import raster_grid, read_whole
from hydrocli.errors import InputError

LAMBERT = pyproj.CRS("EPSG:2154").to_wkt()
STEPS = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
# The tables of the three encodings as their makers print them, in the order of STEPS (N, NE ... NW).
CODES = {
    "smash": [1, 2, 3, 4, 5, 6, 7, 8],
    "esri": [64, 128, 1, 2, 4, 8, 16, 32],
    "ldd": [8, 9, 6, 3, 2, 1, 4, 7],
}


def grid(height: int, width: int) -> Grid:
    return Grid(LAMBERT, (1000.0, 0.0, 800000.0, 0.0, -1000.0, 6450000.0), height, width)


def terrain(height: int, width: int, seed: int) -> np.ndarray:
    """Steepest descent over random heights that fall towards the south-east: index into STEPS, -1 for pits."""
    heights = np.random.default_rng(seed).random((height, width)) - 0.2 * np.add(*np.indices((height, width)))
    padded = np.pad(heights, 1, constant_values=np.inf)
    around = np.stack([padded[1 + r : 1 + r + height, 1 + c : 1 + c + width] for r, c in STEPS])
    return np.where(around.min(axis=0) < heights, around.argmin(axis=0), -1)


def encode(directions: np.ndarray, encoding: str) -> np.ndarray:
    pit = {"smash": 0, "esri": 255, "ldd": 5}[encoding]
    return np.append(CODES[encoding], pit)[directions]


def walk(directions: np.ndarray, row: int, column: int) -> list[tuple[int, int]]:
    """All cells on the way of the water from a cell, itself included."""
    path = [(row, column)]
    while directions[path[-1]] >= 0:
        step = STEPS[directions[path[-1]]]
        path.append((path[-1][0] + step[0], path[-1][1] + step[1]))
    return path


@pytest.mark.parametrize("encoding", ["smash", "esri", "ldd"])
@pytest.mark.parametrize("step", range(8))
def test_every_code_points_to_its_neighbour(encoding: str, step: int) -> None:
    directions = np.full((3, 3), -1)
    directions[1, 1] = step
    drainage = Drainage.from_d8(encode(directions, encoding), encoding, grid(3, 3))
    target = (1 + STEPS[step][0], 1 + STEPS[step][1])
    assert drainage.downstream[4] == target[0] * 3 + target[1]
    assert drainage.drained_area[target] == 2e6


def test_drained_area_counts_every_cell_on_the_way() -> None:
    directions = terrain(30, 40, 1)
    counted = np.zeros((30, 40))
    for row, column in np.ndindex(30, 40):
        for cell in walk(directions, row, column):
            counted[cell] += 1e6
    drainage = Drainage.from_d8(encode(directions, "smash"), "smash", grid(30, 40))
    np.testing.assert_array_equal(drainage.drained_area, counted)
    assert counted.max() > 10e6


def test_network_is_the_union_of_catchments_in_order() -> None:
    directions = terrain(30, 40, 2)
    whole = Drainage.from_d8(encode(directions, "esri"), "esri", grid(30, 40))
    ranking = np.argsort(whole.drained_area.ravel())[::-1]
    outlets = [divmod(int(cell), 40) for cell in ranking[[0, 3, 40]]]
    network = DrainageNetwork.from_drainage(whole, outlets)
    expected = {
        (row, column) for row, column in np.ndindex(30, 40) if set(walk(directions, row, column)) & set(outlets)
    }
    row, column = whole.grid.cells_at(network.x, network.y)
    assert set(zip(row.tolist(), column.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(network.drained_area, whole.drained_area[row, column])
    below = network.downstream >= 0
    np.testing.assert_array_equal(network.level[network.downstream[below]], network.level[below] + 1)
    assert network.level[0] == 0
    assert np.all(network.level[~below] == network.level.max())
    keys = list(zip(network.level.tolist(), network.row.tolist(), network.column.tolist(), strict=True))
    assert keys == sorted(keys)
    assert network.grid.shape == (np.ptp(row) + 1, np.ptp(column) + 1)
    np.testing.assert_array_equal(network.grid.centres(network.row, network.column), [network.x, network.y])
    for name in ("row", "column", "downstream", "level"):
        assert getattr(network, name).dtype == np.int32


def test_catchment_of_a_cell() -> None:
    directions = terrain(20, 20, 3)
    whole = grid(20, 20)
    network = DrainageNetwork.from_d8(encode(directions, "smash"), "smash", whole)
    row, column = whole.cells_at(network.x, network.y)
    for cell in range(0, 400, 7):
        inside = GaugeTree.of(network.downstream, np.array([cell])).catchment(0)
        through = [(row[cell], column[cell]) in walk(directions, r, c) for r, c in zip(row, column, strict=True)]
        np.testing.assert_array_equal(inside, through)
        assert network.cell_area[inside].sum() == network.drained_area[cell]


def test_water_that_leaves_the_raster_or_enters_nodata_ends_there() -> None:
    drainage = Drainage.from_d8(np.array([[3.0, 3.0, -9999.0, 3.0]]), "smash", grid(1, 4), nodata=-9999.0)
    np.testing.assert_array_equal(drainage.downstream, [1, -1, -2, -1])
    np.testing.assert_array_equal(drainage.drained_area, [[1e6, 2e6, 0.0, 1e6]])


def test_network_in_degrees_has_cells_of_true_size() -> None:
    degrees = Grid(pyproj.CRS("EPSG:4326").to_wkt(), (0.01, 0.0, 4.0, 0.0, -0.01, 45.0), 2, 1)
    network = DrainageNetwork.from_d8(np.array([[5], [5]]), "smash", degrees)
    # 0.01 degrees at 45 north: 788.5 m (parallel, 111.4 km cos 45 a/N) by 1111.3 m (meridian).
    np.testing.assert_allclose(network.cell_area, 788.5 * 1111.3, rtol=2e-3)
    np.testing.assert_allclose(network.cell_width**2, network.cell_area)
    np.testing.assert_allclose(network.drained_area[1], network.cell_area.sum())


def test_cycles_are_refused_with_their_cells() -> None:
    with pytest.raises(InputError) as caught:
        Drainage.from_d8(np.array([[3, 3, 5], [1, 7, 7], [3, 3, 3]]), "smash", grid(3, 3), where="flow.tif")
    message = str(caught.value)
    assert message.startswith("flow.tif: the flow runs in cycles (6 cells do not reach an outlet)")
    for cell in ("row 0 column 0 (x 800500, y 6449500)", "row 1 column 2", "row 1 column 0"):
        assert cell in message


def test_unknown_codes_are_refused_with_the_encoding_that_has_them() -> None:
    with pytest.raises(InputError, match=r"codes 16, 64 do not exist in the encoding smash\n.*encoding esri"):
        Drainage.from_d8(np.array([[1, 16], [64, 1]]), "smash", grid(2, 2))
    with pytest.raises(InputError, match=r"codes 2.5 do not exist.*\n.*Is this a D8 raster"):
        Drainage.from_d8(np.array([[1.0, 2.5]]), "smash", grid(1, 2))


def test_the_wrong_encoding_is_told_where_it_makes_cycles() -> None:
    # smash: SW and SE, out of the raster; ldd: E and W, into each other.
    with pytest.raises(
        InputError, match="Read with the encoding smash or taudem or grass it has no cycle: is it ldd indeed"
    ):
        Drainage.from_d8(np.array([[6, 4]]), "ldd", grid(1, 2))


def test_a_raster_without_directions_is_refused() -> None:
    with pytest.raises(InputError, match="no cell with a direction"):
        Drainage.from_d8(np.full((2, 2), -9999.0), "smash", grid(2, 2), nodata=-9999.0)


@pytest.mark.peer
def test_a_whole_country_takes_less_than_two_seconds(peer_data: Path) -> None:
    path = peer_data / "France_flwdir.tif"
    begin = time.process_time()
    directions, nodata = read_whole(path)
    drainage = Drainage.from_d8(directions, "smash", raster_grid(path, None), nodata)
    network = DrainageNetwork.from_drainage(drainage, [(667, 765)])
    assert time.process_time() - begin < 2.0
    assert len(network) == 383
