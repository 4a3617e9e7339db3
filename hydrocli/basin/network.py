"""Drainage network: every cell hands its water to one of its eight neighbours (D8), or to nobody at an outlet.

Encodings, clockwise where not said otherwise:

| encoding | codes | no neighbour |
|---|---|---|
| smash | 1 = N, 2 = NE, 3 = E ... 8 = NW | 0 |
| esri | 1 = E, 2 = SE, 4 = S ... 128 = NE | 0 (mouth), 255 (inland sink); 247 is no cell |
| ldd (PCRaster) | the keypad: 7 8 9 / 4 5 6 / 1 2 3 | 5 (pit); 255 is no cell |

A cell whose water would leave the raster, or enter a cell without a direction, is an outlet too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.grid import Grid, describe
from hydrocli.errors import InputError

OUTLET, NO_CELL = -1, -2

_CLOCKWISE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # row, column steps from north
_PIT, _NO_STEP = (0, 0), 9
ENCODINGS: dict[str, dict[int, tuple[int, int]]] = {
    "smash": {code + 1: step for code, step in enumerate(_CLOCKWISE)} | {0: _PIT},
    "esri": {2 ** ((code + 6) % 8): step for code, step in enumerate(_CLOCKWISE)} | {0: _PIT, 255: _PIT},
    "ldd": {code: _CLOCKWISE[place] for place, code in enumerate((8, 9, 6, 3, 2, 1, 4, 7))} | {5: _PIT},
}
"""Row and column step of every code of every encoding."""
_ABSENT = {"smash": (), "esri": (247,), "ldd": (255,)}


@dataclass(frozen=True)
class Drainage:
    """A whole flow-direction raster, before any catchment is cut out of it.

    Attributes:
        grid: the raster's grid.
        downstream: int64[cells], flat index of the cell downstream, OUTLET, or NO_CELL where the raster has no data.
        drained_area: float64[height, width] [m2], the cell itself included; 0 where there is no cell.
    """

    grid: Grid
    downstream: Integers
    drained_area: Floats

    @classmethod
    def from_d8(
        cls, directions: NDArray[np.generic], encoding: str, grid: Grid, nodata: float | None = None, where: str = ""
    ) -> Drainage:
        """Read a raster of D8 codes [height, width]; `where` names it in errors.

        Raises:
            InputError: for codes that the encoding does not have, and for cycles.
        """
        where = where or "flow directions"
        downstream = _downstream(directions, encoding, nodata, where)
        present = downstream != NO_CELL
        if not present.any():
            raise InputError(where, "has no cell with a direction")
        area = np.where(present, np.repeat(grid.cell_area_of_rows(), grid.width), 0.0)
        in_cycle = _accumulate(downstream, area)
        if in_cycle.size:
            raise _cycle_error(in_cycle, downstream, directions, encoding, nodata, grid, where)
        return cls(grid, downstream, area.reshape(grid.shape))


@dataclass(frozen=True)
class DrainageNetwork:
    """n active cells, sorted by (level, row, column), so that every cell comes after all that drain into it.

    Attributes:
        grid: the window of the raster that just holds the active cells.
        row: int32[n], of each cell in `grid`.
        column: int32[n], likewise.
        x: float64[n], cell centres in the units of the CRS.
        y: float64[n], likewise.
        downstream: int32[n], index of the cell downstream; -1 at an outlet of the domain.
        level: int32[n], greatest depth less depth: level[downstream] == level + 1.
        cell_width: float64[n] [m].
        cell_area: float64[n] [m2].
        drained_area: float64[n] [m2], the cell itself included.
    """

    grid: Grid
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    x: Floats
    y: Floats
    downstream: NDArray[np.int32]
    level: NDArray[np.int32]
    cell_width: Floats
    cell_area: Floats
    drained_area: Floats

    @classmethod
    def from_d8(
        cls,
        directions: NDArray[np.generic],
        encoding: str,
        grid: Grid,
        outlets: Iterable[tuple[int, int]] | None = None,
        nodata: float | None = None,
    ) -> DrainageNetwork:
        """The catchments of the cells `outlets` (row, column); of the whole raster where it is None."""
        drainage = Drainage.from_d8(directions, encoding, grid, nodata)
        if outlets is None:
            flat = np.flatnonzero(drainage.downstream == OUTLET)
            outlets = zip(*np.divmod(flat, grid.width), strict=True)
        return cls.from_drainage(drainage, outlets)

    @classmethod
    def from_drainage(cls, drainage: Drainage, outlets: Iterable[tuple[int, int]]) -> DrainageNetwork:
        """The union of the catchments of the cells `outlets` (row, column)."""
        whole = drainage.grid
        cells, depth = _catchments(
            drainage.downstream, whole.width, [int(r) * whole.width + int(c) for r, c in outlets]
        )
        level = depth.max() - depth
        order = np.lexsort((cells, level))
        cells, level = cells[order], level[order]
        position = np.full(drainage.downstream.size, -1, np.int32)
        position[cells] = np.arange(cells.size)
        below = drainage.downstream[cells]
        downstream = np.where(below >= 0, position[below], -1).astype(np.int32)
        row, column = np.divmod(cells, whole.width)
        area = whole.cell_area_of_rows()[row]
        x, y = whole.centres(row, column)
        top, left = row.min(), column.min()
        return cls(
            grid=whole.window(int(top), int(left), int(np.ptp(row)) + 1, int(np.ptp(column)) + 1),
            row=(row - top).astype(np.int32),
            column=(column - left).astype(np.int32),
            x=x,
            y=y,
            downstream=downstream,
            level=level.astype(np.int32),
            cell_width=np.sqrt(area),
            cell_area=area,
            drained_area=drainage.drained_area[row, column],
        )

    def __len__(self) -> int:
        return len(self.row)

    def catchment(self, cell: int) -> NDArray[np.bool_]:
        """Cells that drain through `cell`, itself included: bool[n]."""
        inside = np.zeros(len(self), bool)
        inside[cell] = True
        first = np.searchsorted(self.level, np.arange(self.level[-1] + 2))
        for level in range(self.level[cell] - 1, -1, -1):
            wave = slice(first[level], first[level + 1])
            below = self.downstream[wave]
            inside[wave] = (below >= 0) & inside[below]
        return inside


def _downstream(directions: NDArray[np.generic], encoding: str, nodata: float | None, where: str) -> Integers:
    """Flat index of the cell below each cell, OUTLET or NO_CELL."""
    codes = np.asarray(directions)
    height, width = codes.shape
    present = _present(codes, encoding, nodata)
    row, column = np.nonzero(present)
    step_row, step_column = _steps(codes[row, column], encoding, where)
    below_row, below_column = row + step_row, column + step_column
    inside = (below_row >= 0) & (below_row < height) & (below_column >= 0) & (below_column < width)
    below = np.where(inside, below_row * width + below_column, 0)
    drains = inside & ((step_row != 0) | (step_column != 0)) & present.ravel()[below]
    downstream = np.full(codes.size, NO_CELL, np.int64)
    downstream[row * width + column] = np.where(drains, below, OUTLET)
    return downstream


def _steps(codes: NDArray[np.generic], encoding: str, where: str) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Row and column steps of codes, which are neither negative nor NaN."""
    table = np.full((257, 2), _NO_STEP, np.int8)
    for code, step in ENCODINGS[encoding].items():
        table[code] = step
    key = np.minimum(codes.astype(np.float64), 256).astype(np.int64)  # a uint8 cannot be compared with 256
    key[key != codes] = 256
    step_row, step_column = table[:, 0][key], table[:, 1][key]
    if (step_row == _NO_STEP).any():
        raise _code_error(np.unique(codes), encoding, where)
    return step_row, step_column


def _present(codes: NDArray[np.generic], encoding: str, nodata: float | None) -> NDArray[np.bool_]:
    """Cells that hold a code: neither nodata, nor NaN, nor negative (a usual nodata that files forget to declare)."""
    present = np.isfinite(codes) & (codes >= 0)  # type: ignore[operator]
    for absent in (*_ABSENT[encoding], nodata):
        if absent is not None:
            present &= codes != absent
    return present


def _accumulate(downstream: Integers, area: Floats) -> Integers:
    """Add to `area`, in place, all that drains into each cell; returns the cells that lie on cycles.

    Cells are peeled from the sources, a wave at a time. What a wave cannot reach drains into itself.
    """
    waiting = np.bincount(downstream[downstream >= 0], minlength=downstream.size)
    wave = np.flatnonzero((waiting == 0) & (downstream != NO_CELL))
    reached, place = downstream == NO_CELL, np.empty_like(downstream)
    while wave.size:
        reached[wave] = True
        wave = wave[downstream[wave] >= 0]
        below = downstream[wave]
        np.add.at(area, below, area[wave])
        np.subtract.at(waiting, below, 1)
        wave = below[waiting[below] == 0]
        # Several cells of a wave may have had the same last neighbour: each takes one place, the last one stays.
        place[wave] = np.arange(wave.size)
        wave = wave[place[wave] == np.arange(wave.size)]
    return np.flatnonzero(~reached)


def _catchments(downstream: Integers, width: int, outlets: list[int]) -> tuple[Integers, Integers]:
    """Flat indices of all cells that drain through one of the outlets, and their number of steps to the last one."""
    step_row, step_column = np.array(_CLOCKWISE).T
    wave, depth, cells, depths = _last_outlets(downstream, outlets), 0, [], []
    while wave.size:
        cells.append(wave)
        depths.append(np.full(wave.size, depth))
        row, column = (place[:, None] for place in np.divmod(wave, width))
        row, column = row + step_row, column + step_column
        inside = (row >= 0) & (row < downstream.size // width) & (column >= 0) & (column < width)
        neighbour = np.where(inside, row * width + column, wave[:, None])
        wave, depth = neighbour[downstream[neighbour] == wave[:, None]], depth + 1
    return np.concatenate(cells), np.concatenate(depths)


def _last_outlets(downstream: Integers, outlets: list[int]) -> Integers:
    """Those of the outlets that do not drain into another of them."""
    asked, last = set(outlets), []
    for outlet in sorted(asked):
        below = int(downstream[outlet])
        while below >= 0 and below not in asked:
            below = int(downstream[below])
        if below < 0:
            last.append(outlet)
    return np.array(last, np.int64)


def _code_error(values: NDArray[np.generic], encoding: str, where: str) -> InputError:
    """Tell which codes the encoding does not have, and which encodings have them all."""
    unknown = [value for value in values.tolist() if value not in ENCODINGS[encoding]]
    fitting = [name for name, steps in ENCODINGS.items() if all(value in steps for value in values.tolist())]
    shown = ", ".join(f"{value:g}" for value in unknown[:10])
    remedy = f"All codes found fit the encoding {' or '.join(fitting)}." if fitting else "Is this a D8 raster?"
    return InputError(where, f"codes {shown} do not exist in the encoding {encoding}", remedy)


def _cycle_error(
    in_cycle: Integers,
    downstream: Integers,
    directions: NDArray[np.generic],
    encoding: str,
    nodata: float | None,
    grid: Grid,
    where: str,
) -> InputError:
    """Name the cells of the first cycle, and the encodings under which the raster has none."""
    cycle = [int(in_cycle[0])]
    while int(downstream[cycle[-1]]) != cycle[0]:
        cycle.append(int(downstream[cycle[-1]]))
    fitting = [name for name in ENCODINGS if name != encoding and _is_sound(directions, name, nodata)]
    remedy = "Correct the directions of these cells."
    if fitting:
        remedy = f"Read with the encoding {' or '.join(fitting)} it has no cycle: is it {encoding} indeed?"
    cells = describe([divmod(cell, grid.width) for cell in cycle], grid)
    what = f"the flow runs in cycles ({in_cycle.size} cells), the first through {cells}"
    return InputError(where, what, remedy)


def _is_sound(directions: NDArray[np.generic], encoding: str, nodata: float | None) -> bool:
    """Whether the raster has no unknown code and no cycle under an encoding."""
    try:
        downstream = _downstream(directions, encoding, nodata, "")
    except InputError:
        return False
    return _accumulate(downstream, np.zeros(downstream.size)).size == 0
