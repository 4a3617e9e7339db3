"""The table of gauges, and the cell of the drainage network on which each is.

The coordinates of a gauge seldom fall on the very cell of its river. Its cell is the one, among that of its coordinates
and the eight around it, whose drained area is nearest to the area of the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import Gauges
from hydrocli.basin.grid import crs_to_wkt, transform_points
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.basin.tables import Table, read_table
from hydrocli.errors import Errors, HydrocliError, InputError

COLUMNS = ("code", "x", "y", "area")
SQUARE_KILOMETRE = 1e6


@dataclass(frozen=True)
class GaugeTable:
    """Rows of the table.

    Attributes:
        path: of the table.
        code: name of each gauge.
        x, y: float64[g], coordinates.
        area: float64[g], drained area [m2].
        crs: of the coordinates, where the table states one (that of a GeoPackage of points); else empty.
    """

    path: Path
    code: tuple[str, ...]
    x: Floats
    y: Floats
    area: Floats
    crs: str = ""

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
                near = get_close_matches(code, there, 1)
                remedy = f"Did you mean {near[0]}?" if near else f"It has {', '.join(there[:10])}."
                errors.append(InputError("gauges", f"{self.path} has no gauge {code}", remedy))
        if errors:
            raise Errors(errors)
        index = [self.code.index(code) for code in codes]
        return GaugeTable(self.path, tuple(codes), self.x[index], self.y[index], self.area[index], self.crs)


def read_gauges(path: Path, codes: Sequence[str] = ()) -> GaugeTable:
    """Read a table with the columns code, x, y, area [km2] in any order; others are left out.

    Formats as in `hydrocli.basin.tables`. Where a GeoPackage or Shapefile of points has no columns x and y, its
    geometry has them.

    Args:
        path: of the table.
        codes: of the gauges wanted, in this order; the rows of others are not examined. Empty: all of the table.

    Raises:
        Errors: everything wrong with the table, together.
    """
    table = read_table(path, "gauges.table")
    names = tuple(name.lower() for name in table.names)
    has_points = table.x is not None and not {"x", "y"} <= set(names)
    required = [name for name in COLUMNS if not (has_points and name in ("x", "y"))]
    replace(table, names=names).require(required, "code,x,y,area")
    rows = [{name.lower(): value for name, value in row.items()} for row in table.rows]
    kept = [i for i, row in enumerate(rows) if not codes or str(row["code"]) in codes]
    table = replace(table, names=names, rows=[rows[i] for i in kept], lines=[table.lines[i] for i in kept])
    errors: list[HydrocliError] = []
    if table.x is not None and table.y is not None and has_points:
        x, y = table.x[kept], table.y[kept]
    else:
        x, y = (table.numbers(name, errors) for name in ("x", "y"))
    area = table.numbers("area", errors)
    errors += _odd_rows(table, x, y, area, {error.where for error in errors})
    if not rows:
        errors.append(InputError(str(path), "has no gauge"))
    if errors:
        raise Errors(errors)
    found = tuple(str(row["code"]) for row in table.rows)
    every = tuple(str(row["code"]) for row in rows)
    crs = table.crs if has_points else ""
    return GaugeTable(path, found, x, y, area * SQUARE_KILOMETRE, crs).select(codes, every)


def _odd_rows(table: Table, x: Floats, y: Floats, area: Floats, reported: set[str]) -> list[HydrocliError]:
    """Errors about rows without a code or finite numbers, unless they are reported already, and about equal codes."""
    errors: list[HydrocliError] = []
    codes = ["" if row["code"] is None else str(row["code"]) for row in table.rows]
    for i, code in enumerate(codes):
        if not code:
            errors.append(InputError(table.where(i), "has no gauge code", "Give each gauge a code."))
        elif table.where(i) not in reported and not (np.isfinite([x[i], y[i], area[i]]).all() and area[i] > 0):
            what = f"gauge {code} needs finite x and y and an area above 0"
            errors.append(InputError(table.where(i), what, "Correct the row, or remove it."))
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
    """

    table: GaugeTable
    row: Integers
    column: Integers
    area_found: Floats
    errors: tuple[HydrocliError, ...]

    def on(self, network: DrainageNetwork, drainage: Drainage) -> Gauges:
        """The gauges as cells of the network that was cut out of the same raster."""
        x, y = drainage.grid.centres(self.row, self.column)
        place = np.full(network.grid.shape, -1, np.int32)
        place[network.row, network.column] = np.arange(len(network))
        cell = place[network.grid.cells_at(x, y)]
        return Gauges(self.table.code, cell, x, y, self.table.area, self.area_found)

    def shared_cells(self) -> list[str]:
        """Sentences about gauges on one cell: allowed, but rarely meant."""
        groups: dict[tuple[int, int], list[str]] = {}
        for code, *cell in zip(self.table.code, self.row.tolist(), self.column.tolist(), strict=True):
            groups.setdefault((cell[0], cell[1]), []).append(code)
        return [f"gauges {', '.join(codes)} are on the same cell" for codes in groups.values() if len(codes) > 1]


def place(table: GaugeTable, drainage: Drainage, tolerance: float, crs: str | None = None) -> Placement:
    """Find the cell of each gauge.

    Args:
        table: of the gauges.
        drainage: the raster of flow directions.
        tolerance: largest relative difference between the area found and that of the table.
        crs: of the coordinates; None: that which the table states, else that of the raster.
    """
    grid, x, y = drainage.grid, table.x, table.y
    if crs or table.crs:
        x, y = transform_points(crs_to_wkt("gauges.crs", crs or table.crs), grid.crs_wkt, x, y, 0.0, "gauges.crs")
    row, column = grid.cells_at(x, y)
    cells = [_nearest(drainage, *cell) for cell in zip(row.tolist(), column.tolist(), table.area.tolist(), strict=True)]
    rows, columns, found = (np.array(values) for values in zip(*cells, strict=True))
    errors = _errors(table, found, tolerance)
    return Placement(table, rows, columns, found.astype(np.float64), tuple(errors))


def _nearest(drainage: Drainage, row: int, column: int, area: float) -> tuple[int, int, float]:
    """Row, column and drained area of the cell around (row, column) that drains an area nearest to `area`."""
    height, width = drainage.grid.shape
    if not (0 <= row < height and 0 <= column < width):
        return -1, -1, -1.0
    around = [
        (r, c)
        for r in range(max(row - 1, 0), min(row + 2, height))
        for c in range(max(column - 1, 0), min(column + 2, width))
    ]
    # Of two cells that drain as much, the nearer one.
    around.sort(key=lambda cell: (cell[0] - row) ** 2 + (cell[1] - column) ** 2)
    best = min(around, key=lambda cell: abs(drainage.drained_area[cell] - area))
    return *best, float(drainage.drained_area[best])


def _errors(table: GaugeTable, found: Floats, tolerance: float) -> list[HydrocliError]:
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
        errors.append(InputError(where, what, _area_hint(table.area[off], found[off])))
    return errors


def _area_hint(stated: Floats, found: Floats) -> str:
    """What to do about areas that do not fit: a million times too large means m2 in place of km2."""
    in_metres = (stated > 1e4 * found) & (stated > 1e4 * SQUARE_KILOMETRE)
    if in_metres.any():
        return "The areas of the table seem to be in m2: write them in km2."
    return "Check x, y and area, or set `gauges.area_tolerance`."
