"""Rasters without a time: flow directions and their encoding, elevation, descriptors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.basin.gauges import GaugeTable, place
from hydrocli.basin.grid import Grid, crs_to_wkt, transform_points
from hydrocli.basin.network import ENCODINGS, Drainage, fitting_encodings
from hydrocli.basin.readers.geotiff import opened, raster_grid, read_whole, reading
from hydrocli.basin.survey.inputs import Input, Key, alternatives
from hydrocli.errors import HydrocliError, InputError

DIRECTIONS = ("flwdir", "flowdir", "flow_dir", "direction", "d8", "ldd", "fdir", "fdr", "drainage_dir", "flow")
ELEVATION = ("dem", "dtm", "mnt", "elev", "alti", "srtm", "bdalti", "hydrodem", "topo", "relief", "height")
NO_DESCRIPTOR = ("flwacc", "flow_acc", "flowacc", "accum", "mask", "uparea", "upa")
"""Parts of names of files."""
USUAL = 1000.0
"""Side of the cells of a model, where nothing states it [m]."""
MOST_CLASSES = 50
"""Values of a raster of whole numbers that may be classes."""
LARGEST = 60_000_000
"""Cells of a raster whose directions are followed to compare areas."""
TOLERANCE = 0.2
"""Of areas, as `gauges.area_tolerance` has it."""


def single_rasters(paths: list[Path], gauges: GaugeTable | None, left_out: list[str]) -> list[Input]:
    """Inputs of rasters; what has no role is added to `left_out`.

    Args:
        paths: of the rasters.
        gauges: whose areas tell the encodings of flow directions apart; None: there are none.
        left_out: sentences.
    """
    found = []
    for path in paths:
        try:
            found.append(_input(path, gauges, left_out))
        except HydrocliError as error:
            left_out.append(str(error))
    inputs = [one for one in found if one is not None]
    # Of rasters with the codes of directions only those count whose names say so, if there are any.
    named = [one for one in inputs if one.role == "flow_directions" and _has(one.path, DIRECTIONS)]
    if not named:
        return inputs
    return [
        Input("descriptor", one.path, words="raster", title=_title(one.path))
        if one.role == "flow_directions" and one not in named
        else one
        for one in inputs
    ]


def _has(path: Path, parts: tuple[str, ...]) -> bool:
    return any(part in path.stem.lower() for part in parts)


def _title(path: Path) -> str:
    return re.sub(r"\W+", "_", path.stem).strip("_") or "descriptor"


def _input(path: Path, gauges: GaugeTable | None, left_out: list[str]) -> Input | None:
    grid = raster_grid(path, None if _has_crs(path) else "EPSG:4326")
    if _has(path, NO_DESCRIPTOR):
        left_out.append(f"{path} is no input by its name")
        return None
    size = f"{grid.height} x {grid.width} cells of {abs(grid.transform[0]):g}"
    with reading(path), opened(path) as dataset:
        kind, shape = np.dtype(dataset.dtypes[0]).kind, (min(dataset.height, 2000), min(dataset.width, 2000))
        sample, nodata = dataset.read(1, out_shape=shape), dataset.nodata
    if not _has(path, ELEVATION) and _are_codes(sample, nodata):
        return _directions(path, grid, gauges, size)
    if _has(path, ELEVATION) and kind in "iuf":
        return Input("dem", path, _resolution(grid), f"elevation, {size}")
    if kind in "iu" and MOST_CLASSES >= np.unique(sample).size > 2:
        size += "; whole numbers: for the share of some classes write {path: ..., classes: [1, 2]}"
    return Input("descriptor", path, words=size, title=_title(path))


def grids(paths: Sequence[Path]) -> list[Grid]:
    """Grids of the rasters that are flow directions or elevations by their names; those that cannot be read are not."""
    found = []
    for path in paths:
        if _has(path, DIRECTIONS) or _has(path, ELEVATION):
            with suppress(HydrocliError):
                found.append(raster_grid(path, "EPSG:4326"))
    return found


def _resolution(grid: Grid) -> tuple[Key, ...]:
    """The size of the cells of a model on a grid of elevation."""
    width = abs(grid.transform[0])
    if grid.is_geographic:
        text = "the elevation is in degrees: which system and cells shall the model have?"
        return Key("grid_crs", "EPSG:3035", text, is_open=True), Key("resolution", 1000, text, is_open=True)
    cells = max(round(USUAL / width), 1) * width
    cells = int(cells) if cells.is_integer() else cells
    return (Key("resolution", cells, "side of the cells of the model; rivers follow the elevation", is_assumed=True),)


def _has_crs(path: Path) -> bool:
    with reading(path), opened(path) as dataset:
        return bool(dataset.crs)


def _are_codes(values: NDArray[Any], nodata: float | None) -> bool:
    """Whether values are those of flow directions in any encoding."""
    kept = values[np.isfinite(values)]
    kept = kept if nodata is None else kept[kept != nodata]
    return kept.size > 0 and np.unique(kept[kept != 0]).size >= 2 and bool(fitting_encodings(values, nodata))


def _directions(path: Path, grid: Grid, gauges: GaugeTable | None, size: str) -> Input:
    """Flow directions with the encoding that fits the areas of the gauges, or with a question."""
    words, name = f"flow directions, {size}", "encoding"
    if grid.height * grid.width > LARGEST:
        fitting, why = list(ENCODINGS), "the raster is too large to compare areas here: which encoding has it?"
        return Input("flow_directions", path, tuple(alternatives(name, fitting, why)), words)
    directions, nodata = read_whole(path)
    possible = fitting_encodings(directions, nodata)
    sound = {one: drainage for one in possible if (drainage := _drainage(directions, one, grid, nodata)) is not None}
    if gauges is not None and np.isfinite(gauges.area).any():
        fitting = [one for one, drainage in sound.items() if _fits(gauges, drainage)]
        if len(fitting) == 1:
            text = "the only encoding with which the areas of the gauges fit"
            return Input("flow_directions", path, (Key(name, fitting[0], text),), words)
        sound = {one: sound[one] for one in fitting} or sound
    elif len(sound) == 1 < len(possible):
        text = "with any other encoding water runs in circles"
        return Input("flow_directions", path, (Key(name, next(iter(sound)), text, is_assumed=True),), words)
    if len(possible) == 1:
        return Input("flow_directions", path, (Key(name, possible[0], "the only encoding with its codes"),), words)
    text = f"the codes fit {', '.join(sound or possible)}: which program made the raster?"
    return Input("flow_directions", path, tuple(alternatives(name, sound or possible, text)), words)


def _drainage(directions: NDArray[Any], encoding: str, grid: Grid, nodata: float | None) -> Drainage | None:
    """The drainage of an encoding; None where it has cycles."""
    try:
        return Drainage.from_d8(directions, encoding, grid, nodata, with_flaws=True)
    except InputError:
        return None


def _fits(gauges: GaugeTable, drainage: Drainage) -> bool:
    known = [code for code, area in zip(gauges.code, gauges.area, strict=True) if area > 0]
    try:
        return not place(gauges.select(known), drainage, TOLERANCE, crs_of(gauges, drainage.grid) or None).errors
    except HydrocliError:
        return False


def are_inside(gauges: GaugeTable, grid: Grid) -> bool:
    """Whether a gauge lies on a grid, in the system of the grid or that of the table or degrees."""
    stated = gauges.crs or crs_of(gauges, grid)
    if stated is None:
        return False
    x, y = gauges.x, gauges.y
    if stated:
        x, y = transform_points(crs_to_wkt("gauges", stated), grid.crs_wkt, x, y, 0.0, "gauges")
    return bool(grid.contains(*grid.cells_at(x, y)).any())


def crs_of(gauges: GaugeTable, grid: Grid) -> str | None:
    """What is to be stated as the coordinate system of gauges: '' for nothing, None where it is not known."""
    if gauges.crs:
        return ""
    if grid.contains(*grid.cells_at(gauges.x, gauges.y)).mean() >= 0.5:
        return ""
    if (np.abs(gauges.x) <= 180).all() and (np.abs(gauges.y) <= 90).all():
        return "EPSG:4326"
    return None
