"""Sizes, places and coordinate systems of cells."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest

from hydrocli.basin.grid import Grid, crs_to_wkt, latitudes, transform_points
from hydrocli.errors import InputError

LAMBERT = pyproj.CRS("EPSG:2154").to_wkt()
DEGREES = pyproj.CRS("EPSG:4326").to_wkt()


def test_cells_of_a_projected_grid_have_the_size_of_the_transform() -> None:
    grid = Grid(LAMBERT, (500.0, 0.0, 0.0, 0.0, -250.0, 0.0), 3, 2)
    np.testing.assert_array_equal(grid.cell_area_of_rows(), 500.0 * 250.0)


def test_feet_become_metres() -> None:
    grid = Grid(pyproj.CRS("EPSG:2263").to_wkt(), (1000.0, 0.0, 0.0, 0.0, -1000.0, 0.0), 1, 1)
    foot = 1200 / 3937  # the US survey foot is defined so
    np.testing.assert_allclose(grid.cell_area_of_rows(), (1000 * foot) ** 2, rtol=1e-12)


def test_cells_in_degrees_cover_the_ellipsoid() -> None:
    grid = Grid(DEGREES, (1.0, 0.0, -180.0, 0.0, -1.0, 90.0), 180, 360)
    # Area of the WGS84 ellipsoid as published (NIMA TR8350.2): 5.10065621724e14 m2, 12 digits.
    np.testing.assert_allclose(grid.cell_area_of_rows().sum() * 360, 5.10065621724e14, rtol=1e-11)


def test_a_cell_in_degrees_against_the_geodesic_polygon() -> None:
    """Between two geodesics of 0.01 degrees in place of parallels the area differs by some 1e-8."""
    grid = Grid(DEGREES, (0.01, 0.0, 4.0, 0.0, -0.01, 45.0), 1, 1)
    area, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter([4, 4.01, 4.01, 4], [44.99, 44.99, 45, 45])
    np.testing.assert_allclose(grid.cell_area_of_rows(), abs(area), rtol=1e-6)


def test_a_sphere_has_cells_too() -> None:
    grid = Grid(pyproj.CRS("+proj=longlat +R=6371000").to_wkt(), (1.0, 0.0, 0.0, 0.0, -1.0, 90.0), 180, 360)
    np.testing.assert_allclose(grid.cell_area_of_rows().sum() * 360, 4 * np.pi * 6371000.0**2, rtol=1e-12)


def test_cells_at_the_centres_are_the_cells() -> None:
    grid = Grid(LAMBERT, (1000.0, 0.0, 75000.0, 0.0, -1000.0, 7125000.0), 50, 60)
    row, column = (values.ravel() for values in np.indices(grid.shape))
    found_row, found_column = grid.cells_at(*grid.centres(row, column))
    np.testing.assert_array_equal(found_row, row)
    np.testing.assert_array_equal(found_column, column)


def test_points_without_a_place_lie_outside() -> None:
    grid = Grid(LAMBERT, (1000.0, 0.0, 0.0, 0.0, -1000.0, 0.0), 5, 5)
    row, column = grid.cells_at(np.array([np.inf, -1.0, 2500.0]), np.array([np.inf, -1.0, -2500.0]))
    np.testing.assert_array_equal(grid.contains(row, column), [False, False, True])


def test_one_projection_under_two_descriptions_moves_nothing() -> None:
    nameless = "+proj=lcc +lat_0=46.5 +lon_0=3 +lat_1=49 +lat_2=44 +x_0=700000 +y_0=6600000 +ellps=GRS80 +units=m"
    x, y = np.array([826500.0]), np.array([6467500.0])
    moved = transform_points(LAMBERT, pyproj.CRS(nameless).to_wkt(), x, y, 1000.0)
    np.testing.assert_array_equal(moved, [x, y])


def test_latitude_of_cells() -> None:
    grid = Grid(LAMBERT, (1000.0, 0.0, 0.0, 0.0, -1000.0, 0.0), 1, 1)
    # The origin of Lambert-93 lies at 46.5 degrees north by definition.
    np.testing.assert_allclose(latitudes(grid, np.array([700000.0]), np.array([6600000.0])), 46.5, atol=1e-9)
    degrees = Grid(DEGREES, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), 1, 1)
    np.testing.assert_array_equal(latitudes(degrees, np.array([3.0]), np.array([44.0])), 44.0)


def test_unknown_crs_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"gauges\.crs: unknown coordinate reference system 'EPSG:1'"):
        crs_to_wkt("gauges.crs", "EPSG:1")


def test_rotated_and_southern_first_grids_are_refused() -> None:
    for transform in ((1.0, 0.1, 0.0, 0.0, -1.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)):
        with pytest.raises(InputError, match="not north-up"):
            Grid(LAMBERT, transform, 2, 2).check_north_up("flow.tif")
