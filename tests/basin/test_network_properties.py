"""Drainage networks of random forests (hypothesis): what must hold of every D8 raster, whatever its rivers."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from test_basin_network import CODES, STEPS, encode, grid, walk

from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.errors import InputError


@st.composite
def forests(draw: st.DrawFn) -> np.ndarray:
    """Directions [height, width], index into STEPS or -1: every cell drains to a lower neighbour, or nowhere."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    rank = np.array(draw(st.permutations(range(height * width)))).reshape(height, width)
    directions = np.full((height, width), -1)
    for cell in np.ndindex(height, width):
        lower = [-1]
        for number, (down, right) in enumerate(STEPS):
            row, column = cell[0] + down, cell[1] + right
            if 0 <= row < height and 0 <= column < width and rank[row, column] < rank[cell]:
                lower.append(number)
        directions[cell] = draw(st.sampled_from(lower))
    return directions


rasters = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(-1, 7), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    ).map(np.array)
)
"""Any directions at all, cycles included."""


def paths(directions: np.ndarray) -> list[list[tuple[int, int]]]:
    """The way of the water from every cell."""
    return [walk(directions, *cell) for cell in np.ndindex(*directions.shape)]


@given(forests(), st.sampled_from(sorted(CODES)))
def test_every_cell_comes_before_the_one_it_drains_to(directions: np.ndarray, encoding: str) -> None:
    network = DrainageNetwork.from_d8(encode(directions, encoding), encoding, grid(*directions.shape))
    assert len(network) == directions.size
    drains = network.downstream >= 0
    below = network.downstream[drains]
    assert (below > np.flatnonzero(drains)).all()
    np.testing.assert_array_equal(network.level[below], network.level[drains] + 1)
    assert (np.diff(network.level) >= 0).all()
    assert (network.level[~drains] == network.level.max()).all()


@given(forests())
def test_downstream_cells_and_drained_areas_are_those_of_a_walk(directions: np.ndarray) -> None:
    drainage = Drainage.from_d8(encode(directions, "esri"), "esri", grid(*directions.shape))
    cells = np.zeros(directions.shape)
    for path in paths(directions):
        for cell in path:
            cells[cell] += 1
    # Cells of 1 km2 by a conformal projection: their true areas differ by row, by far less than half a cell in all.
    own = Drainage.from_d8(np.full(directions.shape, 255), "esri", grid(*directions.shape)).drained_area
    np.testing.assert_array_equal(np.rint(drainage.drained_area / own.mean()), cells)
    assert drainage.drained_area[directions < 0].sum() == pytest.approx(own.sum(), rel=1e-12)
    for path in paths(directions):
        number = np.ravel_multi_index(path[0], directions.shape)
        assert drainage.downstream[number] == (np.ravel_multi_index(path[1], directions.shape) if len(path) > 1 else -1)


@given(forests(), st.data())
def test_a_catchment_is_all_that_drains_through_its_outlet(directions: np.ndarray, data: st.DataObject) -> None:
    outlet = data.draw(st.sampled_from(list(np.ndindex(*directions.shape))))
    wanted = {path[0] for path in paths(directions) if outlet in path}
    whole = DrainageNetwork.from_d8(encode(directions, "ldd"), "ldd", grid(*directions.shape))
    cell = int(np.flatnonzero((whole.row == outlet[0]) & (whole.column == outlet[1]))[0])
    inside = GaugeTree.of(whole.downstream, np.array([cell])).catchment(0)
    assert {(int(whole.row[i]), int(whole.column[i])) for i in np.flatnonzero(inside)} == wanted
    alone = DrainageNetwork.from_d8(encode(directions, "ldd"), "ldd", grid(*directions.shape), outlets=[outlet])
    np.testing.assert_allclose(np.sort(alone.drained_area), np.sort(whole.drained_area[inside]), rtol=1e-12)
    assert len(alone) == len(wanted)


@given(rasters)
def test_a_raster_is_refused_if_and_only_if_water_runs_in_a_circle(directions: np.ndarray) -> None:
    def circles(cell: tuple[int, int]) -> bool:
        seen = set()
        while cell not in seen:
            seen.add(cell)
            step = STEPS[directions[cell]] if directions[cell] >= 0 else None
            if step is None:
                return False
            cell = (cell[0] + step[0], cell[1] + step[1])
            if not (0 <= cell[0] < directions.shape[0] and 0 <= cell[1] < directions.shape[1]):
                return False
        return True

    codes = encode(directions, "smash")
    if any(circles(cell) for cell in np.ndindex(*directions.shape)):
        with pytest.raises(InputError, match="cycle"):
            Drainage.from_d8(codes, "smash", grid(*directions.shape))
    else:
        drainage = Drainage.from_d8(codes, "smash", grid(*directions.shape))
        assert (drainage.drained_area > 0).all()
