"""Descriptors of the cells: means of rasters, shares of classes, polygons, and what is derived from the terrain.

A raster of any resolution is brought to the cells as a field of forcing (`hydrocli.basin.sampling`). With classes, each
pixel counts as 1 or 0, so that the mean is a share. Polygons are intersected with the cells: without an attribute the
descriptor is the share of the cell within them; with one, its mean weighted by area, where half of the cell is covered.
A lumped basin may have its descriptors in a table of attributes, from the row of its gauge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.dem import distance_to_outlet
from hydrocli.basin.domain import drainage_of, points_of, terrain_of
from hydrocli.basin.formats import DERIVED
from hydrocli.basin.network import DrainageNetwork
from hydrocli.basin.sampling import ENOUGH, Points, Sampling
from hydrocli.basin.source import LUMPED, BasinSource, DescriptorSource, collecting, gauges_of, shared
from hydrocli.basin.tables import code_text, is_plain_table, number, read_table
from hydrocli.basin.values import refuse_fill_values_of_descriptor
from hydrocli.basin.vectors import Polygons, PolygonSource, is_vector, read_polygons
from hydrocli.errors import Errors, HydrocliError, InputError

SHOWN = 8
"""Values that a message lists."""
MOST_CORNERS = 256
"""Corners of a polygon from which it is cut into parts: to intersect it with a cell takes time for each of them."""
SHARE = "fraction"
"""Unit of shares of a cell."""


@dataclass(frozen=True)
class Descriptor:
    """A descriptor at n cells.

    Attributes:
        values: float64[n], NaN where missing.
        unit: of the values; empty where nothing states it.
        origin: how it was made, in words.
        notes: sentences worth a warning.
    """

    values: Floats
    unit: str
    origin: str
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, str]:
        """What a store keeps of it beside its values."""
        return {"unit": self.unit, "origin": self.origin}


def read_descriptors(source: BasinSource, network: DrainageNetwork) -> dict[str, Descriptor]:
    """All descriptors of a basin, by name.

    Raises:
        Errors: for every file that cannot be read, is none of its kind or has undeclared fill values, also where
            unreadable files of forcing count as missing.
    """
    found, errors = readable_descriptors(source, network)
    if errors:
        raise errors[0] if len(errors) == 1 else Errors(errors)
    return found


def readable_descriptors(
    source: BasinSource, network: DrainageNetwork
) -> tuple[dict[str, Descriptor], list[HydrocliError]]:
    """The descriptors of a basin that can be made, by name, and what is wrong with the others."""
    points, errors = points_of(source, network), list[HydrocliError]()
    found: dict[str, Descriptor] = {}
    for name, one in source.descriptors.items():
        with collecting(errors):
            made = _read(source, one, network, points, f"basin.descriptors.{name}")
            notes = [f"descriptor {name}: {note}" for note in made.notes]
            if np.isnan(made.values).any():
                notes.append(f"descriptor {name} is missing in {np.isnan(made.values).mean():.1%} of the cells")
            found[name] = Descriptor(made.values, one.unit or made.unit, made.origin, tuple(notes))
    return found, errors


def _read(source: BasinSource, one: DescriptorSource, network: DrainageNetwork, points: Points, key: str) -> Descriptor:
    if one.derived is not None:
        return _derived(source, one.derived, network, points)
    assert one.path is not None
    if is_plain_table(one.path):
        return _of_table(source, one, key)
    if is_vector(one.path):
        return _of_polygons(one, points, key)
    for name in ("attribute", "layer"):
        if getattr(one, name) is not None:
            raise InputError(f"{key}.{name}", f"{one.path} is no file of polygons", "Remove the key.")
    return _of_raster(one, points, key)


def _of_table(source: BasinSource, one: DescriptorSource, key: str) -> Descriptor:
    """The attribute of a lumped basin, from the row of its gauge in a table of whole catchments.

    Raises:
        InputError: the basin has many cells; or the table lacks the gauge or the attribute, or has no number there.
    """
    path = one.path
    assert path is not None
    if source.domain != LUMPED:
        what = f"{path} is a table: its attributes are those of whole catchments, not of cells"
        raise InputError(f"{key}.path", what, "Give a raster or polygons, or write `basin.domain: lumped`.")
    for name in ("band", "nodata", "resampling", "classes", "layer", "crs"):
        if getattr(one, name):
            raise InputError(f"{key}.{name}", f"{path} is a table", "Remove the key.")
    table = shared(("attributes", str(path)), lambda: read_table(path, f"{key}.path"))
    asked, known = source.gauge_columns.get("code", "code"), table.names[:SHOWN]
    codes = next((name for name in (asked, "code", "gauge_id") if name in table.names), None)
    if codes is None:
        raise InputError(str(path), f"has no column {asked}", f"It has {', '.join(known)}; codes of gauges are needed.")
    if one.attribute not in table.names:
        what = f"{path} has no column {one.attribute}" if one.attribute else "is required: it names a column"
        raise InputError(f"{key}.attribute", what, f"It has {', '.join(known)} ...")
    (gauge,) = gauges_of(source).code
    values = [row[one.attribute] for row in table.rows if code_text(row[codes]) == gauge]
    if len(values) != 1:
        raise InputError(str(path), f"has {len(values)} rows of gauge {gauge}", "One is expected.")
    found = _numbers(np.array(values, object), one, key)
    return Descriptor(found, "", f"{one.attribute} of gauge {gauge}")


def _derived(source: BasinSource, name: str, network: DrainageNetwork, points: Points) -> Descriptor:
    about = DERIVED[name]
    if not about.needs_dem:
        return Descriptor(distance_to_outlet(drainage_of(source), network), about.unit, about.long_name)
    terrain = terrain_of(source)
    sampling = Sampling.of(terrain.grid, points, str(terrain.source.path), "mean")
    values = sampling.values(terrain.derived(name)[sampling.rows, sampling.columns])
    return Descriptor(values, about.unit, f"{about.long_name}, {sampling.label}")


def _of_raster(one: DescriptorSource, points: Points, key: str) -> Descriptor:
    from rasterio.windows import Window

    from hydrocli.basin.readers.geotiff import facts_of_band, raster_grid, read_band

    path = one.path
    assert path is not None
    grid = raster_grid(path, points.crs, one.crs, one.band)
    sampling = Sampling.of(grid, points, str(path), one.resampling)
    facts = facts_of_band(path, one.band or 1)
    height, width = sampling.shape
    window = read_band(
        path, one.band or 1, one.nodata, Window(sampling.columns.start, sampling.rows.start, width, height)
    )
    if one.classes is not None:
        share, notes = _share_of_classes(window, one.classes, key)
        return Descriptor(sampling.values(share), SHARE, f"share of classes, {sampling.label}", notes)
    if facts.has_colours and sampling.place is None:
        what = "is a raster of classes, for it has a table of colours: a mean of their numbers says nothing"
        raise InputError(str(path), what, f"Write `{key}.classes` for the share of some, or `resampling: nearest`.")
    values = sampling.values(window)
    refuse_fill_values_of_descriptor(values, points, str(path))
    return Descriptor(values, facts.unit, sampling.label)


def _share_of_classes(window: Floats, classes: Sequence[str | float], key: str) -> tuple[Floats, tuple[str, ...]]:
    """1 where a pixel has one of the classes, else 0, NaN where it has no value; sentences worth a warning."""
    wanted = [number(value) if isinstance(value, str) else value for value in classes]
    if None in wanted:
        texts = ", ".join(str(value) for value, found in zip(classes, wanted, strict=True) if found is None)
        raise InputError(f"{key}.classes", f"a raster has numbers, not {texts}", "List the numbers of the classes.")
    share = np.where(np.isnan(window), np.nan, np.isin(window, np.array(wanted, np.float64)))
    return share, () if (share == 1.0).any() else (_no_class(classes, np.unique(window[np.isfinite(window)]).tolist()),)


def _no_class(classes: Sequence[str | float], found: Sequence[Any]) -> str:
    asked = _listed(classes)
    there = _listed(found[:SHOWN]) + (" ..." if len(found) > SHOWN else "")
    return f"the domain has none of the classes {asked}; it has {there}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


class _Pieces(NamedTuple):
    """Intersections of cells with polygons, k each: numbers of cell and polygon, geometry, share of the cell."""

    cell: Integers
    polygon: Integers
    geometry: NDArray[Any]
    share: Floats


def _of_polygons(one: DescriptorSource, points: Points, key: str) -> Descriptor:
    assert one.path is not None
    for name in ("band", "nodata", "resampling"):
        if getattr(one, name):
            raise InputError(f"{key}.{name}", f"{one.path} is no raster", "Remove the key.")
    if one.classes is not None and one.attribute is None:
        remedy = f"Name the column with `{key}.attribute`."
        raise InputError(f"{key}.classes", "counts values of a column, and none is named", remedy)
    boxes = _boxes(points)
    polygons = _polygons(PolygonSource(one.path, one.layer, one.crs), key, points, boxes)
    values = None if one.attribute is None else _column(polygons, one.attribute, key)
    notes: tuple[str, ...] = ()
    if one.classes is not None and values is not None:
        is_wanted = _has_class(values, one.classes)
        if not is_wanted.any():
            notes = (_no_class(one.classes, sorted({str(value) for value in values})),)
        polygons = Polygons(polygons.path, polygons.names, polygons.columns, polygons.geometry[is_wanted])
    pieces = _intersect(polygons.geometry, boxes)
    if not pieces.cell.size and not notes:
        notes = ("the polygons cover no cell",)
    if values is None or one.classes is not None:
        return Descriptor(_shares(pieces, points), SHARE, "share of the cell within polygons", notes)
    numbers = _numbers(values, one, key)[pieces.polygon]
    known = np.isfinite(numbers)
    area = np.bincount(pieces.cell[known], pieces.share[known], len(points))
    total = np.bincount(pieces.cell[known], pieces.share[known] * numbers[known], len(points))
    mean = np.where(area >= ENOUGH - 1e-9, total / np.maximum(area, 1e-9), np.nan)
    return Descriptor(mean, "", f"mean of {one.attribute} over the polygons of a cell", notes)


def _boxes(points: Points) -> NDArray[Any]:
    """The cells as shapely polygons [n]."""
    import shapely

    width, height = abs(points.grid.transform[0]) / 2, abs(points.grid.transform[4]) / 2
    return np.asarray(shapely.box(points.x - width, points.y - height, points.x + width, points.y + height))


def _polygons(file: PolygonSource, key: str, points: Points, boxes: NDArray[Any]) -> Polygons:
    """The polygons of a file around the cells; read once within `inputs_read_once`, for several descriptors."""
    import shapely

    west, south, east, north = map(float, shapely.total_bounds(boxes))
    bounds, wkt = (west, south, east, north), points.grid.crs_wkt
    known = "polygons", str(file), str(bounds), wkt, str(points.crs)
    return shared(known, lambda: read_polygons(file, key, wkt, points.crs, bounds))


def _column(polygons: Polygons, name: str, key: str) -> NDArray[Any]:
    if name not in polygons.names:
        remedy = f"It has {', '.join(polygons.names[:SHOWN])}." if polygons.names else "It has none."
        raise InputError(f"{key}.attribute", f"{polygons.path} has no column {name}", remedy)
    return np.asarray(polygons.columns[polygons.names.index(name)], dtype=object)


def _has_class(values: NDArray[Any], classes: Sequence[str | float]) -> NDArray[np.bool_]:
    """Which values are one of the classes, as numbers where both are, else as texts."""
    texts, numbers = {str(value).strip() for value in classes}, set[float]()
    for value in classes:
        found = number(value) if isinstance(value, str) else value
        numbers |= {float(found)} if found is not None else set()

    def is_wanted(value: Any) -> bool:
        found = number(value) if isinstance(value, str) else value
        return str(value).strip() in texts or (isinstance(found, int | float | np.number) and float(found) in numbers)

    return np.array([is_wanted(value) for value in values], bool)


def _numbers(values: NDArray[Any], one: DescriptorSource, key: str) -> Floats:
    """Values of a column as float64, NaN where there is none.

    Raises:
        InputError: a value is no number.
    """
    found = [number(value) if isinstance(value, str) and value.strip() else value for value in values]
    odd = [value for value, one in zip(values, found, strict=True) if one is None and value not in (None, "")]
    if odd:
        shown = ", ".join(sorted({str(value) for value in odd})[:SHOWN])
        what = f"{one.path} has texts in the column {one.attribute}: {shown}"
        raise InputError(f"{key}.attribute", what, f"For the share of some, list them in `{key}.classes`.")
    return np.array([np.nan if value in (None, "") else float(value) for value in found])


def _intersect(geometry: NDArray[Any], boxes: NDArray[Any]) -> _Pieces:
    """The parts of polygons within the cells."""
    import shapely

    around = shapely.box(*shapely.total_bounds(boxes))
    near = np.flatnonzero(shapely.intersects(geometry, around))
    parts, owner = list[Any](), list[int]()
    for polygon in near.tolist():
        cut = _cut(shapely.intersection(geometry[polygon], around))
        parts += cut
        owner += [polygon] * len(cut)
    if not parts:
        empty = np.empty(0, np.int64)
        return _Pieces(empty, empty, np.empty(0, object), np.empty(0))
    part, cell = shapely.STRtree(boxes).query(np.array(parts, object), predicate="intersects")
    shapes = shapely.intersection(np.array(parts, object)[part], boxes[cell])
    share = shapely.area(shapes) / shapely.area(boxes[cell])
    is_piece = share > 0
    return _Pieces(cell[is_piece], np.array(owner)[part[is_piece]], shapes[is_piece], share[is_piece])


def _cut(geometry: Any) -> list[Any]:
    """A polygon in parts of few corners that do not overlap, by halving its rectangle."""
    import shapely

    if shapely.get_num_coordinates(geometry) <= MOST_CORNERS:
        return [geometry]
    west, south, east, north = shapely.bounds(geometry)
    if east - west >= north - south:
        middle = (west + east) / 2
        halves = shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)
    else:
        middle = (south + north) / 2
        halves = shapely.box(west, south, east, middle), shapely.box(west, middle, east, north)
    return [part for half in halves for part in _cut(shapely.intersection(geometry, half))]


def _shares(pieces: _Pieces, points: Points) -> Floats:
    """Share of each cell within the polygons, where they overlap counted once."""
    import shapely

    shares = np.bincount(pieces.cell, pieces.share, len(points)).astype(np.float64)
    order = np.lexsort((pieces.polygon, pieces.cell))
    cell, polygon = pieces.cell[order], pieces.polygon[order]
    overlapping = np.unique(cell[1:][(cell[1:] == cell[:-1]) & (polygon[1:] != polygon[:-1])])
    size = abs(points.grid.transform[0] * points.grid.transform[4])
    for number_of_cell in overlapping.tolist():
        low, high = np.searchsorted(cell, number_of_cell), np.searchsorted(cell, number_of_cell, side="right")
        shares[number_of_cell] = shapely.area(shapely.union_all(pieces.geometry[order[low:high]])) / size
    return np.minimum(shares, 1.0)
