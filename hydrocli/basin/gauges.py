"""The table of gauges, and the cell of the drainage network on which each is.

The coordinates of a gauge seldom fall on the very cell of its river. Its cell is the one, among that of its coordinates
and the eight around it, whose drained area is nearest to the area of the table. Within a stated distance it is looked
for farther away: of the cells whose area fits, the best by area and distance; without an area, the largest river.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import Candidate, Gauges
from hydrocli.basin.grid import crs_to_wkt, transform_points
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.basin.tables import Table, code_text, read_table
from hydrocli.errors import Errors, HydrocliError, InputError

COLUMNS = ("code", "x", "y", "area")
SQUARE_KILOMETRE = 1e6
LARGEST_CATCHMENT = 7.5e6
"""km2, more than that of the Amazon."""
SHOWN_CANDIDATES = 5


@dataclass(frozen=True)
class GaugeTable:
    """Rows of the table.

    Attributes:
        path: of the table.
        code: name of each gauge.
        x, y: float64[g], coordinates.
        area: float64[g], drained area [m2], NaN where the table has none.
        crs: of the coordinates, where the table states one (that of a GeoPackage of points); else empty.
        notes: sentences worth a warning.
    """

    path: Path
    code: tuple[str, ...]
    x: Floats
    y: Floats
    area: Floats
    crs: str = ""
    notes: tuple[str, ...] = ()

    def select(self, codes: Sequence[str], known: Sequence[str] = ()) -> GaugeTable:
        """The rows of `codes`, in their order; all rows where `codes` is empty.

        Args:
            codes: of the gauges wanted.
            known: codes that the whole table has, for messages; empty: those of these rows.

        Raises:
            Errors: for every code that the table lacks.
        """
        if not codes:
            return self
        errors: list[HydrocliError] = []
        for code in codes:
            if code not in self.code:
                there = list(known or self.code)
                bare = [other for other in there if other.lstrip("0") == code.lstrip("0")]
                near = bare or get_close_matches(code, there, 1)
                remedy = f"Did you mean {near[0]}?" if near else f"It has {', '.join(there[:10])}."
                if bare:
                    remedy += " Leading zeros are part of a code: write it alike in both places."
                errors.append(InputError("gauges", f"{self.path} has no gauge {code}", remedy))
        if errors:
            raise Errors(errors)
        index = [self.code.index(code) for code in codes]
        return GaugeTable(self.path, tuple(codes), self.x[index], self.y[index], self.area[index], self.crs, self.notes)


def read_gauges(
    path: Path,
    codes: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    area_unit: str | None = None,
    *,
    needs_area: bool = True,
    layer: str | None = None,
) -> GaugeTable:
    """Read a table with the columns code, x, y, area in any order; others are left out.

    Formats as in `hydrocli.basin.tables`. Where a GeoPackage, Shapefile or GeoParquet of points has no columns x and
    y, its geometry has them.

    Args:
        path: of the table.
        codes: of the gauges wanted, in this order; the rows of others are not examined. Empty: all of the table.
        columns: their names in the table, where they are others.
        area_unit: km2 or m2; None: km2, unless no catchment on Earth were as large.
        needs_area: whether every gauge must have an area.
        layer: of a GeoPackage that has several.

    Raises:
        Errors: everything wrong with the table, together.
    """
    table = _with_own_names(read_table(path, "gauges.table", layer, "gauges.layer"), columns or {})
    names = table.names
    has_points = table.x is not None and not {"x", "y"} <= set(names)
    required = [name for name in COLUMNS if not (has_points and name in ("x", "y"))]
    if not needs_area:
        required.remove("area")
    remedy = "code,x,y,area; or state their names in `gauges.columns`"
    table.require(required, remedy)
    every = tuple(code_text(row["code"]) for row in table.rows)
    kept = _distinct_rows(table, [i for i, code in enumerate(every) if not codes or code in codes])
    rows = [table.rows[i] for i in kept]
    errors: list[HydrocliError] = []
    points = table.x, table.y
    table = replace(table, rows=rows, lines=[table.lines[i] for i in kept])
    if points[0] is not None and points[1] is not None and has_points:
        x, y = points[0][kept], points[1][kept]
    else:
        x, y = (table.numbers(name, errors) for name in ("x", "y"))
    area = table.numbers("area", errors) if "area" in names else np.full(len(rows), np.nan)
    if not needs_area:
        area = np.where(area > 0, area, np.nan)
    errors += _odd_rows(table, x, y, area, {error.where for error in errors}, needs_area=needs_area)
    if not every:
        errors.append(InputError(str(path), "has no gauge"))
    if errors:
        raise Errors(errors)
    factor, notes = _area_factor(area, area_unit, path)
    found = tuple(code_text(row["code"]) for row in rows)
    crs = table.crs if has_points else ""
    return GaugeTable(path, found, x, y, area * factor, crs, notes).select(codes, every)


def _with_own_names(table: Table, columns: Mapping[str, str]) -> Table:
    """The table with names of columns in small letters, and those that are stated by their roles.

    Raises:
        InputError: a column that is stated is not there.
    """
    roles = {name.lower(): role for role, name in columns.items()}
    own = [name.lower() for name in table.names]
    for role, name in columns.items():
        if name.lower() not in own:
            shown = ", ".join(table.names[:12])
            raise InputError(f"gauges.columns.{role}", f"{table.path} has no column {name}", f"It has {shown}.")
    # A column that has the name of a role and is not it, such as a second `area`, is left out.
    names = [roles.get(name, f"{name}#" if name in columns else name) for name in own]
    rows = [dict(zip(names, row.values(), strict=True)) for row in table.rows]
    return replace(table, names=tuple(names), rows=rows)


def _distinct_rows(table: Table, kept: list[int]) -> list[int]:
    """Rows without those that are equal to one before."""
    seen = dict[str, int]()
    for i in kept:
        seen.setdefault(repr([table.rows[i][name] for name in COLUMNS if name in table.names]), i)
    return [i for i in kept if i in set(seen.values())]


def _area_factor(area: Floats, unit: str | None, path: Path) -> tuple[float, tuple[str, ...]]:
    """Square metres in a unit of the areas of a table, and what is to be said of it."""
    if unit is None and np.nanmax(area, initial=0.0) > LARGEST_CATCHMENT:
        return 1.0, (f"{path}: areas are taken for m2, since no catchment has {np.nanmax(area):.4g} km2",)
    return (1.0 if unit == "m2" else SQUARE_KILOMETRE), ()


def _odd_rows(
    table: Table, x: Floats, y: Floats, area: Floats, reported: set[str], *, needs_area: bool
) -> list[HydrocliError]:
    """Errors about rows without a code or finite numbers, unless they are reported already, and about equal codes."""
    errors: list[HydrocliError] = []
    codes = ["" if row["code"] is None else code_text(row["code"]) for row in table.rows]
    for i, code in enumerate(codes):
        if not code:
            errors.append(InputError(table.where(i), "has no gauge code", "Give each gauge a code."))
        elif table.where(i) not in reported and not (
            np.isfinite([x[i], y[i]]).all() and (not needs_area or (np.isfinite(area[i]) and area[i] > 0))
        ):
            what = f"gauge {code} needs finite x and y and an area above 0"
            remedy = "Correct the row, remove it, or state `gauges.snap_distance` to do without areas."
            errors.append(InputError(table.where(i), what, remedy))
    for code, times in Counter(codes).items():
        if code and times > 1:
            errors.append(InputError(str(table.path), f"gauge {code} is listed {times} times", "Keep one row."))
    return errors


@dataclass(frozen=True)
class Placement:
    """Where the gauges of a table are in a raster.

    Attributes:
        table: the gauges.
        row: int64[g], cell in the raster; -1 outside.
        column: int64[g], likewise.
        area_found: float64[g] [m2]; -1 outside.
        errors: about gauges outside the raster or of another area than the table says.
        moves: for each gauge, a sentence on a cell that is not that of its coordinates; empty for none.
        candidates: for each gauge, the cells with the nearest areas, that of the gauge among them.
    """

    table: GaugeTable
    row: Integers
    column: Integers
    area_found: Floats
    errors: tuple[HydrocliError, ...]
    moves: tuple[str, ...] = ()
    candidates: tuple[tuple[Candidate, ...], ...] = ()

    def on(self, network: DrainageNetwork, drainage: Drainage) -> Gauges:
        """The gauges as cells of the network that was cut out of the same raster."""
        x, y = drainage.grid.centres(self.row, self.column)
        place = np.full(network.grid.shape, -1, np.int32)
        place[network.row, network.column] = np.arange(len(network))
        cell = place[network.grid.cells_at(x, y)]
        candidates = dict(zip(self.table.code, self.candidates, strict=False))
        return Gauges(self.table.code, cell, x, y, self.table.area, self.area_found, candidates)

    def notes(self) -> list[str]:
        """Sentences about gauges on one cell, allowed but rarely meant, and about those far from their cell."""
        groups: dict[tuple[int, int], list[str]] = {}
        for code, *cell in zip(self.table.code, self.row.tolist(), self.column.tolist(), strict=True):
            groups.setdefault((cell[0], cell[1]), []).append(code)
        hint = "`gauges.same_cell` says whether each counts for itself (the default), or all of them as one"
        shared = [codes for codes in groups.values() if len(codes) > 1]
        notes = [f"gauges {', '.join(codes)} are on the same cell: {hint}" for codes in shared]
        return notes + [
            f"gauge {code}: {text}" for code, text in zip(self.table.code, self.moves, strict=False) if text
        ]


def place(
    table: GaugeTable, drainage: Drainage, tolerance: float, crs: str | None = None, distance: float | None = None
) -> Placement:
    """Find the cell of each gauge.

    Args:
        table: of the gauges.
        drainage: the raster of flow directions.
        tolerance: largest relative difference between the area found and that of the table.
        crs: of the coordinates; None: that which the table states, else that of the raster.
        distance: how far a cell may be from its gauge [m]; None: the eight cells around.
    """
    grid, x, y = drainage.grid, table.x, table.y
    if crs or table.crs:
        x, y = transform_points(crs_to_wkt("gauges.crs", crs or table.crs), grid.crs_wkt, x, y, 0.0, "gauges.crs")
    row, column = grid.cells_at(x, y)
    found, moves, hints = list[tuple[int, int, float]](), list[str](), list[str]()
    nearest = list[tuple[Candidate, ...]]()
    for g, cell in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
        candidates = _candidates(drainage, *cell, distance)
        best = _best(candidates, float(table.area[g]), tolerance, distance)
        found.append((best.row, best.column, best.area) if best else (-1, -1, -1.0))
        is_far = best is not None and distance is not None and best.distance > 0
        moves.append(f"its cell is {best.distance / 1e3:.3g} km from its coordinates" if best and is_far else "")
        hints.append(_listed(candidates, float(table.area[g])))
        nearest.append(_nearest(candidates, best, float(table.area[g])))
    rows, columns, areas = (np.array(values) for values in zip(*found, strict=True))
    errors = _errors(table, areas, tolerance, hints)
    return Placement(table, rows, columns, areas.astype(np.float64), tuple(errors), tuple(moves), tuple(nearest))


def _candidates(drainage: Drainage, row: int, column: int, distance: float | None) -> list[Candidate]:
    """Cells around (row, column), the nearest ones first; none where it is outside of the raster."""
    height, width = drainage.grid.shape
    if not (0 <= row < height and 0 <= column < width):
        return []
    side = float(np.sqrt(drainage.grid.cell_area_of_rows()[row]))
    reach = 1 if distance is None else int(distance // side)
    found = [
        Candidate(r, c, float(drainage.drained_area[r, c]), side * float(np.hypot(r - row, c - column)))
        for r in range(max(row - reach, 0), min(row + reach + 1, height))
        for c in range(max(column - reach, 0), min(column + reach + 1, width))
    ]
    return sorted((one for one in found if distance is None or one.distance <= distance), key=lambda one: one.distance)


def _best(candidates: list[Candidate], area: float, tolerance: float, distance: float | None) -> Candidate | None:
    """The cell of a gauge; of two that are as good, the nearer one."""
    if not candidates:
        return None
    if np.isnan(area):
        return max(candidates, key=lambda one: one.area)
    fitting = [one for one in candidates if abs(one.area - area) <= tolerance * area]
    if distance and fitting:
        return min(fitting, key=lambda one: abs(one.area - area) / (tolerance * area) + one.distance / distance)
    return min(candidates, key=lambda one: abs(one.area - area))


def _nearest(candidates: list[Candidate], best: Candidate | None, area: float) -> tuple[Candidate, ...]:
    """The candidates with the nearest areas, or the largest rivers where the area is not known, and the chosen one."""
    ranked = sorted(candidates, key=lambda one: -one.area if np.isnan(area) else abs(one.area - area))
    shown = ranked[:SHOWN_CANDIDATES]
    if best is not None and best not in shown:
        shown[-1] = best
    return tuple(one._replace(is_chosen=one == best) for one in shown)


def _listed(candidates: list[Candidate], area: float) -> str:
    """The best candidates by area, for messages."""
    nearest = sorted(candidates, key=lambda one: abs(one.area - area))[:SHOWN_CANDIDATES]
    cells = (f"{one.area / SQUARE_KILOMETRE:.6g} km2 at {one.distance / 1e3:.3g} km" for one in nearest)
    return ", ".join(cells)


def _errors(table: GaugeTable, found: Floats, tolerance: float, hints: Sequence[str]) -> list[HydrocliError]:
    """One error each for the gauges outside and for those whose area differs, naming all of them."""
    where, errors = "gauges.table", list[HydrocliError]()
    outside = [code for code, area in zip(table.code, found, strict=True) if area < 0]
    if outside:
        what = f"outside the raster of flow directions: {', '.join(outside)}"
        errors.append(InputError(where, what, "Check x, y and `gauges.crs`."))
    off = (found >= 0) & (np.abs(found - table.area) > tolerance * table.area)
    if off.any():
        listed = "; ".join(
            f"{code} {stated / SQUARE_KILOMETRE:.6g} km2 in the table, {area / SQUARE_KILOMETRE:.6g} found"
            for code, stated, area, is_off in zip(table.code, table.area, found, off, strict=True)
            if is_off
        )
        what = f"drained areas differ by more than {tolerance:.0%}: {listed}"
        cells = "; ".join(
            f"{code}: {hint}" for code, hint, is_off in zip(table.code, hints, off, strict=True) if is_off
        )
        remedy = f"{_area_hint(table.area[off], found[off])} Cells around: {cells}."
        errors.append(InputError(where, what, remedy))
    return errors


def _area_hint(stated: Floats, found: Floats) -> str:
    """What to do about areas that do not fit: a million times too large means m2 in place of km2."""
    in_metres = (stated > 1e4 * found) & (stated > 1e4 * SQUARE_KILOMETRE)
    if in_metres.any():
        return "The areas of the table seem to be in m2: write them in km2, or set `gauges.area_unit: m2`."
    return "Check x, y and area, or set `gauges.snap_distance` (metres) or `gauges.area_tolerance`."
