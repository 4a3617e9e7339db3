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

from hydrocli.basin.grid import Floats, Grid, crs_to_wkt
from hydrocli.basin.network import Drainage, Network
from hydrocli.basin.synthetic.options import SampleOptions

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

Mask = NDArray[np.bool_]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class GaugeSite:
    """A gauge at the centre of cell (row, column) of the terrain's grid; `cells` drain through it."""

    code: str
    row: int
    column: int
    x: float
    y: float
    cells: int

    @property
    def area(self) -> float:
        """Drained area in m2."""
        return self.cells * CELL**2


@dataclass(frozen=True)
class Terrain:
    """The window around a synthetic basin.

    Attributes:
        grid: its cells.
        elevation: float64[height, width] [m].
        directions: uint8[height, width], ESRI codes.
        basin: bool[height, width], the cells that drain through the outlet gauge.
        gauges: the outlet first, then smaller and smaller catchments.
    """

    grid: Grid
    elevation: Floats
    directions: Codes
    basin: Mask
    gauges: tuple[GaugeSite, ...]


def make_terrain(options: SampleOptions) -> Terrain:
    """A basin of about `options.cells` cells with its rivers and gauges, cropped to a margin of two cells."""
    generator = options.generator("terrain")
    surface, directions, land = _carved_land(generator, options.cells)
    network = _compact_catchment(Drainage.from_d8(directions, "esri", land, NO_DATA), options.cells)
    rows, columns = land.cells_at(network.x, network.y)
    top, left = rows.min() - MARGIN, columns.min() - MARGIN
    window = np.s_[top : rows.max() + MARGIN + 1, left : columns.max() + MARGIN + 1]
    elevation, directions = surface[window], directions[window]
    grid = land.window(int(top), int(left), *elevation.shape)
    basin = np.zeros(grid.shape, bool)
    basin[rows - top, columns - left] = True
    sites = _gauge_sites(Drainage.from_d8(directions, "esri", grid, NO_DATA), basin, options.gauges)
    return Terrain(grid, elevation - elevation.min() + LOWEST, directions, basin, sites)


def fractal(generator: np.random.Generator, shape: tuple[int, int], exponent: float) -> Floats:
    """A random surface of mean 0 and standard deviation 1, whose power falls as wave number ** -exponent."""
    # Drawn on a larger plane: the synthesis is periodic and would make opposite edges alike.
    drawn = (shape[0] * 3 // 2 + 1, shape[1] * 3 // 2 + 1)
    wave_number = np.hypot(np.fft.fftfreq(drawn[0])[:, None], np.fft.rfftfreq(drawn[1])[None, :])
    wave_number[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.standard_normal(drawn)) * wave_number ** (-exponent / 2)
    surface = np.fft.irfft2(spectrum, drawn)[: shape[0], : shape[1]]
    return (surface - surface.mean()) / surface.std()


def _carved_land(generator: np.random.Generator, cells: int) -> tuple[Floats, Codes, Grid]:
    """Elevation, ESRI codes and grid of a square land about twenty times as large as the basin wanted."""
    side = int(4.5 * np.sqrt(cells)) + 40
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
        surface = _carve(surface, Network.from_d8(directions, "esri", grid, nodata=NO_DATA))
    return *_fill(surface, generator, relief), grid


def _fill(surface: Floats, generator: np.random.Generator, relief: float) -> tuple[Floats, Codes]:
    """Elevation without depressions, filled and rough again, and its ESRI codes."""
    filled, _ = fill_depressions(surface)
    return fill_depressions(filled + ROUGHNESS * relief * fractal(generator, surface.shape, 0.7))


def _carve(surface: Floats, network: Network) -> Floats:
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


def _compact_catchment(drainage: Drainage, cells: int) -> Network:
    """Of the catchments nearest in size to `cells` and clear of the land's edge, the one in the smallest rectangle."""
    count = drainage.drained_area / CELL**2
    apart = np.where(_unlike_neighbours(count), np.abs(count - cells), np.inf)
    nearest = np.argsort(apart, axis=None, kind="stable").tolist()
    catchments = (Network.from_drainage(drainage, [divmod(outlet, drainage.grid.width)]) for outlet in nearest)
    inside = (network for network in catchments if _is_clear(network, drainage.grid))
    return min(islice(inside, CANDIDATES), key=lambda network: network.grid.height * network.grid.width / len(network))


def _is_clear(network: Network, land: Grid) -> bool:
    row, column = land.cells_at(network.x, network.y)
    near, height, width = MARGIN, land.height - MARGIN, land.width - MARGIN
    return bool(row.min() >= near and column.min() >= near and row.max() < height and column.max() < width)


def _unlike_neighbours(count: Floats) -> Mask:
    """Where no cell around drains the same area, so that a gauge is found by its area alone."""
    padded = np.pad(count, 1)
    height, width = count.shape
    around = [padded[r : r + height, c : c + width] for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    return np.all([count != other for other in around], axis=0)


def _gauge_sites(drainage: Drainage, basin: Mask, wanted: int) -> tuple[GaugeSite, ...]:
    """The outlet, then gauges whose areas fall by a constant ratio, on other rivers where there are any."""
    count = drainage.drained_area / CELL**2
    total = int(basin.sum())
    ratio = max(AREA_RATIO, (SMALLEST / total) ** (1 / max(wanted - 1, 1)))
    free = basin & _unlike_neighbours(count)
    seen = np.zeros_like(basin)
    chosen: list[tuple[int, int]] = []
    for number in range(wanted):
        misfit = np.abs(np.log(np.where(free, count, np.inf) / (total * ratio**number))) + 0.25 * seen
        row, column = np.unravel_index(np.argmin(misfit), misfit.shape)
        chosen.append((int(row), int(column)))
        free[row, column] = False
        if number:
            _mark(seen, drainage, chosen[-1])
    rows, columns = (np.array(places) for places in zip(*chosen, strict=True))
    x, y = drainage.grid.centres(rows, columns)
    return tuple(
        GaugeSite(f"S{number + 1:04d}", *cell, float(x[number]), float(y[number]), round(count[cell]))
        for number, cell in enumerate(chosen)
    )


def _mark(seen: Mask, drainage: Drainage, cell: tuple[int, int]) -> None:
    """Set `seen`, in place, over the catchment of a cell."""
    catchment = Network.from_drainage(drainage, [cell])
    seen[drainage.grid.cells_at(catchment.x, catchment.y)] = True
