"""Terrain and rivers: a fractal surface, cut by rivers, with one basin of the wanted size in it.

The surface is a sum of waves of random phase whose power falls with wave number (spectral synthesis: Saupe 1988, in The
Science of Fractal Images) on a regional slope. Rivers then cut into it by the stream-power law dz/dt = -K A^(1/2) S
(Howard 1994), solved implicitly from the mouths upwards (Braun and Willett 2013), which gives valleys, dendritic rivers
and concave profiles. Depressions are filled and flow directions found by pyflwdir (Wang and Liu 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from pyflwdir.dem import fill_depressions

from hydrocli.arrays import Flags, Floats, Integers
from hydrocli.basin.grid import Grid, crs_to_wkt
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.synthetic.options import SampleOptions

CELL = 1000.0
"""Width of a cell in m."""
CENTRE = (780_000.0, 6_420_000.0)
"""Metres of Lambert-93, west of the Rhone; a seed moves the basin by up to 40 km."""
LOWEST = 150.0
"""Elevation of the lowest cell in m."""
MARGIN = 2
"""Cells between a basin and the edge of its rasters."""
NO_DATA = 247
"""What pyflwdir writes for a cell without direction."""

TILT = 1.5  # regional slope from edge to edge, in half standard deviations of the fractal surface
ROUNDS, EROSION = 5, 0.1  # rounds of erosion, and K dt of each for a river that drains one cell
ROUGHNESS = 0.04  # added in every round, as a share of the relief; on filled lakes rivers would else run straight
AREA_RATIO = 0.45  # of the catchments of one gauge and the next
SMALLEST = 4  # cells of the smallest catchment of a gauge
CANDIDATES = 12  # outlets among which the most compact catchment is chosen

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class GaugeSite:
    """A gauge at the centre of cell (row, column) of the terrain's grid; `cells` drain through it.

    `outlet` is the code of the last gauge downstream of it, itself where it is the last.
    """

    code: str
    row: int
    column: int
    x: float
    y: float
    cells: int
    outlet: str

    @property
    def area(self) -> float:
        """Drained area in m2."""
        return self.cells * CELL**2


@dataclass(frozen=True)
class Terrain:
    """The window around a synthetic basin, or around the catchments of a region.

    Attributes:
        grid: its cells.
        elevation: float64[height, width] [m].
        directions: uint8[height, width], ESRI codes.
        basin: bool[height, width], the cells that drain through a gauge.
        gauges: the outlet first, then smaller and smaller catchments; so for each catchment of a region.
    """

    grid: Grid
    elevation: Floats
    directions: Codes
    basin: Flags
    gauges: tuple[GaugeSite, ...]

    @property
    def outlets(self) -> tuple[GaugeSite, ...]:
        """The last gauge of each catchment."""
        return tuple(site for site in self.gauges if site.code == site.outlet)


def make_terrain(options: SampleOptions) -> Terrain:
    """A basin of about `options.cells` cells with its rivers and gauges, cropped to a margin of two cells."""
    generator = options.generator("terrain")
    # About twenty times as large as the basin wanted.
    surface, directions, land = carved_land(generator, int(4.5 * np.sqrt(options.cells)) + 40)
    network = _compact_catchment(Drainage.from_d8(directions, "esri", land, NO_DATA), options.cells)
    basin = np.zeros(land.shape, bool)
    basin[land.cells_at(network.x, network.y)] = True
    elevation, directions, grid, basin = cropped(surface, directions, land, basin)
    sites = gauge_sites(Drainage.from_d8(directions, "esri", grid, NO_DATA), basin, options.gauges, "S{:04d}")
    return Terrain(grid, elevation, directions, basin, sites)


def cropped(surface: Floats, directions: Codes, land: Grid, basin: Flags) -> tuple[Floats, Codes, Grid, Flags]:
    """All four in the window around `basin` with its margin; elevations so that the lowest is LOWEST."""
    rows, columns = np.nonzero(basin)
    top, left = max(rows.min() - MARGIN, 0), max(columns.min() - MARGIN, 0)
    window = np.s_[top : rows.max() + MARGIN + 1, left : columns.max() + MARGIN + 1]
    elevation = surface[window]
    grid = land.window(int(top), int(left), *elevation.shape)
    return elevation - elevation.min() + LOWEST, directions[window], grid, basin[window]


def fractal(generator: np.random.Generator, shape: tuple[int, int], exponent: float) -> Floats:
    """A random surface of mean 0 and standard deviation 1, whose power falls as wave number ** -exponent."""
    # Drawn on a larger plane: the synthesis is periodic and would make opposite edges alike.
    drawn = (shape[0] * 3 // 2 + 1, shape[1] * 3 // 2 + 1)
    wave_number = np.hypot(np.fft.fftfreq(drawn[0])[:, None], np.fft.rfftfreq(drawn[1])[None, :])
    wave_number[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.standard_normal(drawn)) * wave_number ** (-exponent / 2)
    surface = np.fft.irfft2(spectrum, drawn)[: shape[0], : shape[1]]
    return (surface - surface.mean()) / surface.std()


def carved_land(generator: np.random.Generator, side: int) -> tuple[Floats, Codes, Grid]:
    """Elevation, ESRI codes and grid of a square land with so many cells on a side."""
    relief = 150.0 * (side / 40) ** 0.3
    corner = [CELL * round(at / CELL + generator.uniform(-40, 40)) for at in CENTRE]
    half = CELL * (side // 2)
    transform = (CELL, 0.0, corner[0] - half, 0.0, -CELL, corner[1] + half)
    grid = Grid(crs_to_wkt("sample", "EPSG:2154"), transform, side, side)
    heading = generator.uniform(0, 2 * np.pi)
    down, across = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    tilted = TILT * (across * np.cos(heading) + down * np.sin(heading))
    surface = relief * (fractal(generator, grid.shape, 2.6) + tilted)
    for _ in range(ROUNDS):
        surface, directions = _fill(surface, generator, relief)
        surface = _carve(surface, DrainageNetwork.from_d8(directions, "esri", grid, nodata=NO_DATA))
    return *_fill(surface, generator, relief), grid


def _fill(surface: Floats, generator: np.random.Generator, relief: float) -> tuple[Floats, Codes]:
    """Elevation without depressions, filled and rough again, and its ESRI codes."""
    filled, _ = fill_depressions(surface)
    return fill_depressions(filled + ROUGHNESS * relief * fractal(generator, surface.shape, 0.7))


def _carve(surface: Floats, network: DrainageNetwork) -> Floats:
    """One implicit step of the stream-power law, from the mouths upwards."""
    height = surface[network.row, network.column]
    pull = EROSION * np.sqrt(network.drained_area) / CELL
    first = np.searchsorted(network.level, np.arange(network.level[-1] + 2))
    for level in range(len(first) - 2, -1, -1):
        wave = np.arange(first[level], first[level + 1])
        wave = wave[network.downstream[wave] >= 0]
        below = height[network.downstream[wave]]
        height[wave] = (height[wave] + pull[wave] * below) / (1 + pull[wave])
    carved = surface.copy()
    carved[network.row, network.column] = height
    return carved


def _compact_catchment(drainage: Drainage, cells: int) -> DrainageNetwork:
    """Of the catchments nearest in size to `cells` and clear of the land's edge, the one in the smallest rectangle."""
    count = drainage.drained_area / CELL**2
    apart = np.where(unlike_neighbours(count), np.abs(count - cells), np.inf)
    nearest = np.argsort(apart, axis=None, kind="stable").tolist()
    catchments = (DrainageNetwork.from_drainage(drainage, [divmod(outlet, drainage.grid.width)]) for outlet in nearest)
    inside = (network for network in catchments if _is_clear(network, drainage.grid))
    return min(islice(inside, CANDIDATES), key=lambda network: network.grid.height * network.grid.width / len(network))


def _is_clear(network: DrainageNetwork, land: Grid) -> bool:
    row, column = land.cells_at(network.x, network.y)
    near, height, width = MARGIN, land.height - MARGIN, land.width - MARGIN
    return bool(row.min() >= near and column.min() >= near and row.max() < height and column.max() < width)


def unlike_neighbours(count: Floats) -> Flags:
    """Where no cell around drains the same area, so that a gauge is found by its area alone."""
    padded = np.pad(count, 1)
    height, width = count.shape
    around = [padded[r : r + height, c : c + width] for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    return np.all([count != other for other in around], axis=0)


def gauge_sites(drainage: Drainage, basin: Flags, wanted: int, code: str) -> tuple[GaugeSite, ...]:
    """The outlet, then gauges whose areas fall by a constant ratio, on other rivers where there are any.

    Args:
        drainage: of the land.
        basin: bool[height, width], the catchment of the outlet.
        wanted: how many.
        code: form of the codes, filled with the numbers from 1.
    """
    count = drainage.drained_area / CELL**2
    total = int(basin.sum())
    ratio = max(AREA_RATIO, (SMALLEST / total) ** (1 / max(wanted - 1, 1)))
    free = basin & unlike_neighbours(count)
    seen = np.zeros_like(basin)
    chosen: list[tuple[int, int]] = []
    for number in range(wanted):
        misfit = np.abs(np.log(np.where(free, count, np.inf) / (total * ratio**number))) + 0.25 * seen
        row, column = np.unravel_index(np.argmin(misfit), misfit.shape)
        chosen.append((int(row), int(column)))
        free[row, column] = False
        if number:
            seen[catchment_of(drainage, chosen[-1])] = True
    rows, columns = (np.array(places) for places in zip(*chosen, strict=True))
    x, y = drainage.grid.centres(rows, columns)
    return tuple(
        GaugeSite(
            code.format(number + 1), *cell, float(x[number]), float(y[number]), round(count[cell]), code.format(1)
        )
        for number, cell in enumerate(chosen)
    )


def catchment_of(drainage: Drainage, cell: tuple[int, int]) -> tuple[Integers, Integers]:
    """Rows and columns of the cells that drain through a cell."""
    catchment = DrainageNetwork.from_drainage(drainage, [cell])
    return drainage.grid.cells_at(catchment.x, catchment.y)
