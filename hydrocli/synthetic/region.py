"""A region: many separate catchments of wanted sizes in one land, under one rain.

Catchments are placed from the largest to the smallest, each at random among the cells that drain about the wanted area
and share no water with those placed before: a cell upstream of a chosen outlet lies in its catchment, a cell downstream
of it would hold that catchment. A land on which not all find a place gives way to a larger one.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from hydrocli.arrays import Flags
from hydrocli.basin.grid import Grid
from hydrocli.basin.network import Drainage
from hydrocli.errors import ConfigurationError
from hydrocli.synthetic.options import CELLS_OF_GAUGE, SampleOptions
from hydrocli.synthetic.terrain import (
    CELL,
    NO_DATA,
    GaugeSite,
    Terrain,
    carved_land,
    catchment_of,
    cropped,
    gauge_sites,
    unlike_neighbours,
)

NEAR, FAR = 0.1, 0.4  # difference of the logarithms of an area and the one wanted: looked for, and accepted
SHARES = (0.45, 0.3, 0.2, 0.12)  # of the land that shall be catchments, tried in this order


def areas_of(text: str, count: int) -> tuple[int, ...]:
    """Areas in cells (km2): `10-300` spreads so many evenly over the logarithm; `12,40,300` are these.

    Raises:
        ConfigurationError: the text is neither.
    """
    bounds, listed = re.fullmatch(r"(\d+)-(\d+)", text), re.fullmatch(r"\d+(,\d+)*", text)
    if bounds and 0 < int(bounds[1]) < int(bounds[2]):
        return tuple(round(area) for area in np.geomspace(int(bounds[1]), int(bounds[2]), count).tolist())
    if not listed:
        raise ConfigurationError("--areas", f"'{text}' is neither 10-300 nor 12,40,300")
    return tuple(map(int, text.split(",")))


def make_region(options: SampleOptions) -> Terrain:
    """Catchments of about `options.areas` cells, each with `options.gauges` gauges, fewer where it is small.

    Codes are C0001 ... from the largest catchment to the smallest; C0001N2 ... are gauges inside the first.

    Raises:
        ConfigurationError: the catchments find no place.
    """
    areas = sorted(options.areas, reverse=True)
    for share in SHARES:
        # A land less than twenty times as large as a catchment has hardly one of its size.
        side = int(max(np.sqrt(sum(areas) / share), 4.5 * np.sqrt(areas[0]))) + 40
        surface, directions, land = carved_land(options.generator("terrain"), side)
        drainage = Drainage.from_d8(directions, "esri", land, NO_DATA)
        outlets = _placed(drainage, areas, options.generator("catchments"))
        if len(outlets) == len(areas):
            break
    else:
        what = f"only {len(outlets)} of {len(areas)} catchments find a place"
        raise ConfigurationError("--areas", what, "Ask for fewer, or for other areas.")
    basin, sites = np.zeros(land.shape, bool), list[GaugeSite]()
    for number, outlet in enumerate(outlets, start=1):
        catchment = np.zeros(land.shape, bool)
        catchment[catchment_of(drainage, outlet)] = True
        sites += _sites(drainage, catchment, options.gauges, f"C{number:04d}")
        basin |= catchment
    elevation, directions, grid, basin = cropped(surface, directions, land, basin)
    return Terrain(grid, elevation, directions, basin, tuple(_moved(site, grid) for site in sites))


def _placed(drainage: Drainage, areas: list[int], generator: np.random.Generator) -> list[tuple[int, int]]:
    """Outlets (row, column) of separate catchments, the largest first; those before the first without a place."""
    count, outlets = drainage.drained_area / CELL**2, list[tuple[int, int]]()
    # The mouths of the land have nothing below, and their rivers may come from beyond its edge.
    free = unlike_neighbours(count) & (drainage.downstream >= 0).reshape(count.shape)
    for area in areas:
        misfit = np.abs(np.log(np.where(free, count, np.inf) / area))
        near = np.flatnonzero(misfit <= max(NEAR, float(misfit.min())))
        if misfit.min() > FAR:
            break
        row, column = divmod(int(generator.choice(near)), count.shape[1])
        outlets.append((row, column))
        _occupy(free, drainage, outlets[-1])
    return outlets


def _occupy(free: Flags, drainage: Drainage, outlet: tuple[int, int]) -> None:
    """Clear `free`, in place, over the catchment of an outlet and along the river below it."""
    free[catchment_of(drainage, outlet)] = False
    width = free.shape[1]
    cell = outlet[0] * width + outlet[1]
    while cell >= 0:
        free[divmod(cell, width)] = False
        cell = int(drainage.downstream[cell])


def _sites(drainage: Drainage, catchment: Flags, wanted: int, code: str) -> list[GaugeSite]:
    """Gauges of one catchment, its outlet first."""
    number = min(wanted, max(1, int(catchment.sum()) // CELLS_OF_GAUGE))
    sites = gauge_sites(drainage, catchment, number, code + "N{}")
    names = [code if site.code == site.outlet else site.code for site in sites]
    return [replace(site, code=name, outlet=code) for site, name in zip(sites, names, strict=True)]


def _moved(site: GaugeSite, grid: Grid) -> GaugeSite:
    """The same gauge in a window of the land."""
    row, column = grid.cells_at(np.array(site.x), np.array(site.y))
    return replace(site, row=int(row), column=int(column))
