"""The domain of a basin: which cells of the raster of flow directions a model has, and where its gauges are.

By default these are the catchments of the gauges. They may be all cells, or those whose centres lie in polygons, beside
the catchments of the gauges, which are always whole.

A lumped model has one cell and needs no raster: a square of the area of its gauge, whose centre is at the gauge, in the
equal-area projection of Lambert (Snyder 1987, section 24) about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hydrocli.arrays import Flags
from hydrocli.basin.basin import Gauges
from hydrocli.basin.curvilinear import WGS84
from hydrocli.basin.dem import Terrain
from hydrocli.basin.gauges import Placement, place
from hydrocli.basin.grid import Grid, crs_to_wkt, describe, equal_area, transform_points
from hydrocli.basin.network import ENCODINGS, NEXTXY, Drainage, DrainageNetwork
from hydrocli.basin.sampling import Points
from hydrocli.basin.source import (
    CAMA_CRS,
    CAMA_PARAMETERS,
    LUMPED,
    BasinSource,
    gauges_of,
    options_of,
    options_of_grid,
    polygons_of,
    shared,
)
from hydrocli.basin.vectors import inside
from hydrocli.errors import Errors, InputError

OF_TERRAIN = ("dem", "crs")
"""Options of a source that say what its elevations are."""
OF_DRAINAGE = ("flow_directions", "encoding", "flow_directions_crs", *OF_TERRAIN)
"""Options of a source that say how the whole raster drains."""
NOTED = 0.1
"""Share of the area by elevations by which that of the model may differ without a note."""
ENCODING = "basin.flow_directions.encoding"


def make_domain(source: BasinSource) -> tuple[DrainageNetwork, Gauges, list[str]]:
    """Cut the cells of a model out of the flow directions; sentences worth a warning come with them.

    Raises:
        Errors: everything wrong with gauges, and with the directions within the domain.
        InputError: a file cannot be read.
    """
    drainage, placement = place_gauges(source)
    is_doubtful = drainage.is_mostly_flawed and np.isnan(placement.table.area).any()  # no area vouches for the encoding
    if placement.errors or is_doubtful:
        raise Errors([*placement.errors, *(flaw.error for flaw in drainage.flaws)])
    cells = zip(placement.row.tolist(), placement.column.tolist(), strict=True)
    chosen = drainage.upstream_of(cells)
    more, notes = _cells_asked(source, drainage, chosen)
    network = DrainageNetwork.of_cells(drainage, chosen | more)
    errors, found = drainage.flaws_of(network)
    if errors:
        raise Errors(errors)
    return (
        network,
        placement.on(network, drainage),
        [*placement.notes(), *_scaling_notes(drainage, placement), *found, *notes],
    )


def _scaling_notes(drainage: Drainage, placement: Placement) -> list[str]:
    """Sentences about gauges whose areas scaling up has changed."""
    if drainage.fine_area is None:
        return []
    fine = drainage.fine_area[placement.row, placement.column]
    rows = zip(placement.table.code, placement.area_found.tolist(), fine.tolist(), strict=True)
    return [
        f"gauge {code}: its cell drains {area / 1e6:.6g} km2 in the model, {pixels / 1e6:.6g} km2 by the elevations"
        for code, area, pixels in rows
        if abs(area - pixels) > NOTED * pixels
    ]


def place_gauges(source: BasinSource) -> tuple[Drainage, Placement]:
    """Read the flow directions and find the cells of the gauges; the placement holds what is wrong with gauges."""
    drainage, table = drainage_of(source), gauges_of(source)

    def placed(drainage: Drainage) -> Placement:
        return place(table, drainage, source.area_tolerance, source.gauges_crs, source.snap_distance)

    placement = placed(drainage)
    if not any("areas" in error.what for error in placement.errors):
        return drainage, placement
    if source.flow_directions is None:
        hint = "Smaller cells may fit better: `basin.dem.resolution`."
        errors = [
            InputError(error.where, error.what, f"{error.remedy} {hint}") if "areas" in error.what else error
            for error in placement.errors
        ]
        placement = replace(placement, errors=tuple(errors))
    else:
        fitting = [name for name in (*ENCODINGS, NEXTXY) if name != source.encoding and _fits(source, name, placed)]
        if fitting:
            remedy = f"Read with the encoding {' or '.join(fitting)} all areas fit: is it {source.encoding} indeed?"
            error = InputError(ENCODING, "areas of the gauges do not fit", remedy)
            placement = replace(placement, errors=(error, *placement.errors))
    return drainage, placement


def _fits(source: BasinSource, encoding: str, placed: Callable[[Drainage], Placement]) -> bool:
    """Whether all gauges find their areas with another encoding, which the raster as a whole may have."""
    try:
        drainage = _read_directions(replace(source, encoding=encoding))
    except InputError:
        return False
    return not drainage.is_mostly_flawed and not placed(drainage).errors


def drainage_of(source: BasinSource) -> Drainage:
    """How the whole raster drains: by its directions, or by elevations; read once within `inputs_read_once`."""
    key = "drainage", *options_of_grid(source, OF_DRAINAGE)
    if source.domain == LUMPED:
        return shared(key, lambda: _one_cell(source))
    if source.flow_directions is None:
        return shared(key, lambda: terrain_of(source).drainage())
    return shared(key, lambda: _read_directions(source))


def _one_cell(source: BasinSource) -> Drainage:
    """A cell with the place and the area of the only gauge.

    Raises:
        InputError: there are several gauges, or nothing says where the gauge is or how large its catchment.
    """
    table = gauges_of(source)
    if len(table.code) != 1:
        what = f"is lumped, but has {len(table.code)} gauges: {', '.join(table.code[:5])}"
        remedy = "List one in `gauges.calibration`; several are a campaign, or basins of a regional calibration."
        raise InputError("basin.domain", what, remedy)
    crs, area = source.gauges_crs or table.crs or source.crs, float(table.area[0])
    if not crs:
        what = "is needed for a lumped basin: nothing says what x and y are"
        raise InputError("gauges.crs", what, "State it, for example EPSG:4326 for longitude and latitude.")
    if not np.isfinite(area):
        raise InputError(str(table.path), f"gauge {table.code[0]} has no area, which is that of the cell", "Add it.")
    wkt = crs_to_wkt("gauges.crs", crs)
    (longitude,), (latitude,) = transform_points(wkt, WGS84, table.x, table.y, 0.0, "gauges.crs")
    if not (np.isfinite(longitude) and abs(latitude) <= 90):
        what = f"gauge {table.code[0]} has no place on earth in {crs} (x = {table.x[0]:g}, y = {table.y[0]:g})"
        raise InputError(str(table.path), what, "Check x and y, which is which, and `gauges.crs`.")
    side = float(np.sqrt(area))
    corner = (side, 0.0, -side / 2, 0.0, -side, side / 2)
    grid = Grid(equal_area(latitude, longitude, f"equal area about gauge {table.code[0]}"), corner, 1, 1)
    return Drainage.from_d8(np.zeros((1, 1), np.uint8), "smash", grid)


def terrain_of(source: BasinSource) -> Terrain:
    """The elevations of a source; read once within `inputs_read_once`."""
    dem = source.dem
    assert dem is not None
    return shared(("terrain", *map(str, options_of(source, OF_TERRAIN))), lambda: Terrain.read(dem, source.crs))


def points_of(source: BasinSource, network: DrainageNetwork) -> Points:
    """Where fields are sampled: the cells of a network."""
    return Points(network.grid, network.x, network.y, source.crs)


def _read_directions(source: BasinSource) -> Drainage:
    """The flow directions of the whole raster.

    Raises:
        InputError: they cannot be read, or not in their encoding.
    """
    # Not at the top: a basin that is found in its store needs no rasterio.
    from hydrocli.basin.readers.geotiff import bands_of, raster_grid, read_whole

    path = source.flow_directions
    assert path is not None
    where, is_nextxy = str(path), source.encoding == NEXTXY
    if is_nextxy and path.suffix == ".bin":
        return _read_cama(path, source.flow_directions_crs or source.crs or CAMA_CRS)
    bands = bands_of(path)
    if is_nextxy and bands != 2:
        what = f"has {bands} band{'s' if bands > 1 else ''}; nextxy needs two, columns and rows"
        raise InputError(where, what, f"Is `{ENCODING}` right?")
    if not is_nextxy and bands == 2:
        raise InputError(where, "has 2 bands, one of codes is expected", f"Write `{ENCODING}: nextxy` for CaMa-Flood.")
    grid = raster_grid(path, source.crs, source.flow_directions_crs, 1 if is_nextxy else None)
    grid.check_north_up(where)
    if is_nextxy:
        (columns, nodata), (rows, _) = (read_whole(path, number) for number in (1, 2))
        return Drainage.from_nextxy(columns, rows, grid, where, nodata, with_flaws=True)
    directions, nodata = read_whole(path)
    return Drainage.from_d8(directions, source.encoding, grid, nodata, where, with_flaws=True)


def _read_cama(path: Path, crs: str) -> Drainage:
    """Directions of CaMa-Flood in its own form: two planes of int32 from the north-west, their grid in a text.

    Raises:
        InputError: the text is missing or is none of this kind, or the file has another size.
    """
    beside = path.with_name(CAMA_PARAMETERS)
    try:
        numbers = [float(line.split()[0]) for line in beside.read_text(encoding="utf-8").splitlines() if line.strip()]
        width, height, (size, west, _, _, north) = int(numbers[0]), int(numbers[1]), numbers[3:8]
    except OSError as error:
        what = f"{CAMA_PARAMETERS} is not beside {path.name} ({error.strerror})"
        raise InputError(
            str(path), what, "Copy it from the map of CaMa-Flood, or convert both to a GeoTIFF."
        ) from error
    except (ValueError, IndexError) as error:
        what = "does not begin its lines with columns, rows, layers, cell size, west, east, south, north"
        raise InputError(str(beside), what, "Copy it from the map of CaMa-Flood.") from error
    values = np.fromfile(path, "<i4") if path.is_file() else np.empty(0, np.int32)
    if values.size != 2 * width * height:
        what = (
            f"has {values.size} numbers, not two for each of {width} x {height} cells, which {CAMA_PARAMETERS} states"
        )
        raise InputError(str(path), what, "Are both of one map?")
    columns, rows = values.reshape(2, height, width)
    grid = Grid(crs_to_wkt("basin.flow_directions.crs", crs), (size, 0.0, west, 0.0, -size, north), height, width)
    return Drainage.from_nextxy(columns, rows, grid, str(path), with_flaws=True)


def _cells_asked(source: BasinSource, drainage: Drainage, catchments: Flags) -> tuple[Flags, list[str]]:
    """Cells [height, width] of the domain beside the catchments of its gauges, and sentences worth a warning.

    Raises:
        InputError: polygons cannot be read, or hold no cell.
    """
    grid = drainage.grid
    if source.domain == "all":
        return drainage.flows, []
    if source.polygons is None:
        return np.zeros(grid.shape, bool), []
    polygons = polygons_of(source, source.polygons, grid.crs_wkt)
    chosen = inside(polygons.geometry, grid.affine, grid.shape) & drainage.flows
    if not chosen.any():
        what = f"{source.polygons.path} holds the centre of no cell with a direction"
        raise InputError("basin.polygons", what, "Are its coordinate reference system and extent right?")
    domain = chosen | catchments
    below = drainage.below
    giving = np.flatnonzero(drainage.flows.ravel() & ~domain.ravel())
    giving = giving[domain.ravel()[below[giving]] & (below[giving] != giving)]
    receiving = np.unique(below[giving])
    if not receiving.size:
        return chosen, []
    cells = describe([divmod(int(cell), grid.width) for cell in receiving], grid, 3)
    note = f"water flows into the polygons from outside, where it is not simulated, at {receiving.size} cells: {cells}"
    return chosen, [note]
