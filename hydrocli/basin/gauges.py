"""The table of gauges, and the cell of the drainage network at which each stands.

The coordinates of a gauge seldom fall on the very cell of its river. Its cell is the one, among that of its coordinates
and the eight around it, whose drained area is nearest to the area of the table.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import Gauges
from hydrocli.basin.grid import crs_to_wkt, transform_points
from hydrocli.basin.network import Drainage, DrainageNetwork
from hydrocli.errors import Errors, HydrocliError, InputError

COLUMNS = ("code", "x", "y", "area")
SQUARE_KILOMETRE = 1e6


@dataclass(frozen=True)
class GaugeTable:
    """Rows of the table: code, coordinates float64[g], drained area float64[g] [m2]."""

    path: Path
    code: tuple[str, ...]
    x: Floats
    y: Floats
    area: Floats

    def select(self, codes: Sequence[str], where: str = "gauges") -> GaugeTable:
        """The rows of `codes`, in their order; all rows where there is none."""
        if not codes:
            return self
        errors: list[HydrocliError] = []
        for code in codes:
            if code not in self.code:
                near = get_close_matches(code, self.code, 1)
                remedy = f"Did you mean {near[0]}?" if near else f"It has {', '.join(self.code[:10])}."
                errors.append(InputError(where, f"{self.path} has no gauge {code}", remedy))
        if errors:
            raise Errors(errors)
        index = [self.code.index(code) for code in codes]
        return GaugeTable(self.path, tuple(codes), self.x[index], self.y[index], self.area[index])


def read_table(path: Path) -> GaugeTable:
    """Read a CSV with the columns code, x, y, area [km2]; others are left out.

    Columns are separated by commas, semicolons or tabs (the header tells), numbers have a decimal point; blanks around
    values, blank lines, quotes and a byte order mark are harmless.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("gauges.table", f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("gauges.table", f"{path} cannot be read ({error})") from error
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=header.count)
    lines = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    rows = [(lines.line_num, [cell.strip() for cell in row]) for row in lines if any(cell.strip() for cell in row)]
    names = [name.lower() for name in rows[0][1]] if rows else []
    absent = [name for name in COLUMNS if name not in names]
    if absent:
        raise InputError(str(path), f"has no column {', '.join(absent)}", "Its first line must be: code,x,y,area")
    return _table(path, [(line, [*row, *[""] * len(names)]) for line, row in rows[1:]], names)


def _table(path: Path, rows: list[tuple[int, list[str]]], names: list[str]) -> GaugeTable:
    code_column, *number_columns = (names.index(name) for name in COLUMNS)
    codes = tuple(row[code_column] for _, row in rows)
    errors: list[HydrocliError] = []
    numbers = np.full((len(rows), len(number_columns)), np.nan)
    for i, (line, row) in enumerate(rows):
        for j, column in enumerate(number_columns):
            try:
                numbers[i, j] = float(row[column])
            except ValueError:
                errors.append(InputError(f"{path}:{line}", f"{names[column]} is {row[column]!r}, not a number"))
        if not codes[i]:
            errors.append(InputError(f"{path}:{line}", "has no gauge code"))
        elif not np.all(np.isfinite(numbers[i])) or numbers[i, 2] <= 0:
            errors.append(InputError(f"{path}:{line}", f"gauge {codes[i]} needs finite x and y and an area above 0"))
    for code, times in Counter(codes).items():
        if code and times > 1:
            errors.append(InputError(str(path), f"gauge {code} stands there {times} times", "Keep one."))
    if not rows:
        errors.append(InputError(str(path), "has no gauge"))
    if errors:
        raise Errors(errors)
    x, y, area = numbers.T
    return GaugeTable(path, codes, x, y, area * SQUARE_KILOMETRE)


@dataclass(frozen=True)
class Placement:
    """Where the gauges of a table stand in a raster.

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
        """Sentences about gauges that stand on one cell: allowed, but rarely meant."""
        groups: dict[tuple[int, int], list[str]] = {}
        for code, *cell in zip(self.table.code, self.row.tolist(), self.column.tolist(), strict=True):
            groups.setdefault((cell[0], cell[1]), []).append(code)
        return [f"gauges {', '.join(codes)} stand on the same cell" for codes in groups.values() if len(codes) > 1]


def place(table: GaugeTable, drainage: Drainage, tolerance: float, crs: str | None = None) -> Placement:
    """Find the cell of each gauge.

    Args:
        table: gauges asked for.
        drainage: the raster of flow directions.
        tolerance: largest relative difference between the area found and the one asked.
        crs: of the coordinates of the table; None: that of the raster.
    """
    grid, x, y = drainage.grid, table.x, table.y
    if crs is not None:
        x, y = transform_points(crs_to_wkt("gauges.crs", crs), grid.crs_wkt, x, y, 0.0)
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
        told = "; ".join(
            f"{table.code[i]} {table.area[i] / SQUARE_KILOMETRE:.6g} km2 asked, {found[i] / SQUARE_KILOMETRE:.6g} found"
            for i in np.flatnonzero(off)
        )
        what = f"drained areas differ by more than {tolerance:.0%}: {told}"
        errors.append(InputError(where, what, _area_hint(table.area[off], found[off])))
    return errors


def _area_hint(asked: Floats, found: Floats) -> str:
    """What to do about areas that do not fit: a million times too large means m2 in place of km2."""
    in_metres = (asked > 1e4 * found) & (asked > 1e4 * SQUARE_KILOMETRE)
    if in_metres.any():
        return "The areas of the table seem to be in m2: write them in km2."
    return "Check x, y and area, or set `gauges.area_tolerance`."
