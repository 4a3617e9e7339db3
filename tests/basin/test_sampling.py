"""From pixels to cells: shares against geometry, against sums, and between coordinate systems."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrocli.basin.grid import Grid
from hydrocli.basin.sampling import Points, Sampling
from hydrocli.errors import InputError

LAMBERT, DEGREES, ROTATED = (pyproj.CRS(text).to_wkt() for text in ("EPSG:2154", "EPSG:4326", "EPSG:3035"))


def points(grid: Grid) -> Points:
    row, column = (axis.ravel() for axis in np.indices(grid.shape))
    return Points(grid, *grid.centres(row, column))


def grid(
    cell: float, height: int, width: int, corner: tuple[float, float] = (800e3, 6500e3), wkt: str = LAMBERT
) -> Grid:
    return Grid(wkt, (cell, 0.0, corner[0], 0.0, -cell, corner[1]), height, width)


def window_of(sampling: Sampling, values: np.ndarray) -> np.ndarray:
    return values[..., sampling.rows, sampling.columns]


@given(
    st.floats(60, 3000),
    st.floats(0, 900),
    st.floats(0, 900),
    st.lists(st.floats(0, 50), min_size=40, max_size=40),
)
def test_a_mean_is_that_of_the_area(cell: float, left: float, top: float, lines: list[float]) -> None:
    """Pixels of any size and place, whose values depend on their row, by the integral of a step function."""
    model = grid(1000.0, 3, 2)
    raster = grid(cell, 40, 40 + int(4000 / cell), (799e3 - left, 6501e3 + top))
    bottom = 6501e3 + top - 40 * cell
    values = np.broadcast_to(np.array(lines)[:, None], raster.shape)
    try:
        sampling = Sampling.of(raster, points(model), "a", "mean")
    except InputError:
        assert bottom > 6499.4e3  # less than half of the first row of cells
        return
    found = sampling.values(window_of(sampling, values)).reshape(3, 2)
    edges = 6501e3 + top - cell * np.arange(41)
    integral = np.concatenate([[0.0], np.cumsum(cell * np.array(lines))])
    for row in range(3):
        high, low = 6500e3 - 1000 * row, max(6500e3 - 1000 * (row + 1), bottom)
        if high - low < 499:
            assert np.isnan(found[row]).all()
        elif high - low > 501:
            at = np.interp([-high, -low], -edges, integral)
            np.testing.assert_allclose(found[row], (at[1] - at[0]) / (high - low), rtol=1e-6, atol=1e-4)


def test_missing_pixels_do_not_count_and_half_of_a_cell_is_needed() -> None:
    values = np.arange(16.0).reshape(4, 4)
    values[0, 1] = values[2, :] = values[3, 0] = np.nan
    sampling = Sampling.of(grid(500.0, 4, 4), points(grid(1000.0, 2, 2)), "a")
    assert sampling.label == "mean over a cell (4 pixels)"
    found = sampling.values(values)
    np.testing.assert_allclose(found, [(0 + 4 + 5) / 3, (2 + 3 + 6 + 7) / 4, np.nan, (14 + 15) / 2])
    both = sampling.values(np.stack([values, np.ones((4, 4))]))
    np.testing.assert_array_equal(both[0], found)
    np.testing.assert_allclose(both[1], 1.0)


def test_coarser_grids_are_averaged_when_asked() -> None:
    coarse = grid(2000.0, 2, 2, (799_800.0, 6_500_200.0))
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    near = Sampling.of(coarse, points(grid(1000.0, 2, 2)), "a")
    np.testing.assert_array_equal(near.values(window_of(near, values)), [1, 1, 1, 1])
    assert near.label == "value at the centre of a cell"
    mean = Sampling.of(coarse, points(grid(1000.0, 2, 2)), "a", "mean")
    np.testing.assert_allclose(mean.values(window_of(mean, values)), [1, 1.2, 1.4, 1.6])


def test_bilinear_is_exact_for_a_plane() -> None:
    coarse = grid(3000.0, 4, 4, (797e3, 6503e3))
    row, column = np.indices((4, 4))
    sampling = Sampling.of(coarse, points(grid(1000.0, 5, 5)), "a", "bilinear")
    found = sampling.values(window_of(sampling, 10.0 * row + column)).reshape(5, 5)
    expected = 10 * ((3.5 + np.arange(5)[:, None]) / 3 - 0.5) + ((3.5 + np.arange(5)) / 3 - 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("west", [4.0, 364.0])
def test_a_fine_grid_in_degrees_keeps_the_sum_of_a_plane(west: float) -> None:
    """Pixels of a hundredth of a degree hold the northing of their centres: cells have their own, to a part of a pixel.

    A pixel that an edge cuts counts with its centre, which is off by up to a quarter of it: 1110 / 4 * 1110 / 5000 m.
    Also where the longitudes of the file run from 0 to 360.
    """
    model, raster = grid(5000.0, 6, 6), Grid(DEGREES, (0.01, 0.0, west, 0.0, -0.01, 46.0), 200, 200)
    row, column = np.indices(raster.shape)
    x, y = raster.centres(row, column)
    north = pyproj.Transformer.from_crs(DEGREES, LAMBERT, always_xy=True).transform((x + 180) % 360 - 180, y)[1]
    cells = points(model)
    sampling = Sampling.of(raster, cells, "a")
    assert sampling.label.startswith("mean over a cell (2")  # 5 km / 1.11 km times 5 km / 0.78 km
    found = sampling.values(window_of(sampling, north))
    np.testing.assert_allclose(found, cells.y, atol=62.0)


@pytest.mark.parametrize("west", [0.0, -180.0, -2.0])
@pytest.mark.parametrize("resampling", ["mean", "bilinear"])
def test_cells_on_the_meridian_of_greenwich(west: float, resampling: str) -> None:
    """Cells of 0.4 degrees on both sides, and on it; the file holds its longitude, from 0 to 360 or around 0."""
    model = Grid(DEGREES, (0.4, 0.0, -1.0, 0.0, -0.4, 51.0), 2, 5)
    raster = Grid(DEGREES, (0.1, 0.0, west, 0.0, -0.1, 52.0), 40, 40 if west == -2 else 3600)
    longitude = (west + 0.1 * (np.arange(raster.width) + 0.5) + 180) % 360 - 180
    values = np.broadcast_to(longitude, raster.shape)
    sampling = Sampling.of(raster, points(model), "a", resampling)
    found = sampling.values(window_of(sampling, values)).reshape(2, 5)
    np.testing.assert_allclose(found, np.broadcast_to(-0.8 + 0.4 * np.arange(5), (2, 5)), atol=1e-6)


def test_cells_alone_have_the_values_that_they_have_together() -> None:
    """To the bit: basins that are read in one pass get the store that they would have got alone."""
    model = grid(1000.0, 4, 4)
    x, y = pyproj.Transformer.from_crs(LAMBERT, ROTATED, always_xy=True).transform(802e3, 6498e3)
    raster = grid(130.0, 80, 80, (x - 5200, y + 5200), ROTATED)
    values = np.random.default_rng(1).random(raster.shape)
    together = points(model)
    whole = Sampling.of(raster, together, "a")
    assert whole.weights is not None
    found = whole.values(window_of(whole, values))
    some = slice(5, 9)
    alone = Sampling.of(raster, Points(model, together.x[some], together.y[some]), "a")
    np.testing.assert_array_equal(alone.values(window_of(alone, values)), found[some])


def test_a_raster_elsewhere_is_refused() -> None:
    for resampling in ("mean", "nearest", "bilinear", None):
        with pytest.raises(InputError, match="covers no active cell"):
            Sampling.of(grid(100.0, 9, 9, (0.0, 0.0)), points(grid(1000.0, 2, 2)), "a", resampling)
