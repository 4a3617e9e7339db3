"""Drainage network: every cell hands its water to one of its eight neighbours (D8), or to none at an outlet.

Encodings, clockwise where not said otherwise:

| encoding | codes | no neighbour |
|---|---|---|
| smash | 1 = N, 2 = NE, 3 = E ... 8 = NW | 0 |
| esri | 1 = E, 2 = SE, 4 = S ... 128 = NE | 0 (mouth), 255 (inland sink); 247 is no cell |
| ldd (PCRaster) | the keypad: 7 8 9 / 4 5 6 / 1 2 3 | 5 (pit); 255 is no cell |
| taudem | 1 = E, then anticlockwise 2 = NE ... 8 = SE | none |
| grass | 1 = NE, then anticlockwise 2 = N ... 8 = E; negative where it leaves | 0 |
| whitebox | 1 = NE, then clockwise 2 = E, 4 = SE ... 128 = N | 0 |

CaMa-Flood has no codes: `nextxy` is a raster of two bands, column and row of the cell downstream counted from 1, which
need be no neighbour; -9 is a mouth, -10 an inland sink, -9999 no cell.

Where the nodata value of a file is the only code of an outlet (0 in smash), cells with it that receive water are
outlets, the others no cells.

Codes that an encoding lacks, and cycles, are errors within the catchments wanted, and flaws that are noted elsewhere.

A cell whose water would leave the raster, or enter a cell without a direction, is an outlet too. pyflwdir parses the
codes, orders the cells, accumulates areas and delineates catchments. What it lacks is here: the codes of smash,
errors that name codes, cells and the encoding that would fit, and the order of the cells of a model.

Roles that gauges have by their places in the network:

| role | gauges |
|---|---|
| all | every one |
| upstream | those with no other gauge upstream: the heads of the network, as the papers calibrate |
| downstream | those with no other gauge downstream |
| independent | those with no other gauge upstream or downstream |

Since water flows together and never apart, the gauges upstream are also a largest set of which none lies within the
catchment of another. Gauges on one cell have the same catchment and are not upstream of one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats, Integers
from hydrocli.basin.grid import Grid, describe
from hydrocli.errors import HydrocliError, InputError

OUTLET, NO_CELL = -1, -2
NO_DIRECTION = "has no cell with a direction"

_CLOCKWISE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # row, column steps from north
_PIT = (0, 0)
ENCODINGS: dict[str, dict[int, tuple[int, int]]] = {
    "smash": {code + 1: step for code, step in enumerate(_CLOCKWISE)} | {0: _PIT},
    "esri": {2 ** ((code + 6) % 8): step for code, step in enumerate(_CLOCKWISE)} | {0: _PIT, 255: _PIT},
    "ldd": {code: _CLOCKWISE[place] for place, code in enumerate((8, 9, 6, 3, 2, 1, 4, 7))} | {5: _PIT},
    "taudem": {code: _CLOCKWISE[(3 - code) % 8] for code in range(1, 9)},
    "grass": {sign * code: _CLOCKWISE[(2 - code) % 8] for code in range(1, 9) for sign in (1, -1)} | {0: _PIT},
    "whitebox": {2 ** ((place + 7) % 8): step for place, step in enumerate(_CLOCKWISE)} | {0: _PIT},
}
"""Row and column step of every code of every encoding."""
NEXTXY = "nextxy"
"""Encoding of two bands."""
_ABSENT = {"esri": (247,), "ldd": (255,)}
_ESRI = {step: code for code, step in reversed(ENCODINGS["esri"].items())}
MOST_FLAWED = 0.1
"""Share of the cells from which an encoding is wrong, and no flaw of some cells."""
_NO_CODE, _UNKNOWN = 247, 254
"""Values in a raster of ESRI codes for no cell, which pyflwdir knows, and for a code that the encoding lacks."""


@dataclass(frozen=True, eq=False)
class Flaw:
    """Cells of a raster, by their flat indices, whose water cannot be followed, and the error that says why."""

    cells: Integers
    error: InputError


@dataclass(frozen=True, eq=False)
class Drainage:
    """A whole flow-direction raster, before any catchment is cut out of it.

    Attributes:
        grid: the raster's grid.
        below: int32[cells], flat index of the cell downstream as pyflwdir has it: itself at an outlet, -1 for no cell.
        order: int32[k], flat indices of the k cells, each after the one that it drains to.
        drained_area: float64[height, width] [m2], the cell itself included; 0 where there is no cell.
        flaws: cells whose water cannot be followed.
        fine_area: float64[height, width] [m2], where the directions were scaled up: drained by the pixel at the outlet
            of each cell. None where they were not.
    """

    grid: Grid
    below: NDArray[np.integer]
    order: NDArray[np.integer]
    drained_area: Floats
    flaws: tuple[Flaw, ...] = ()
    fine_area: Floats | None = None

    @classmethod
    def from_d8(
        cls,
        directions: NDArray[np.generic],
        encoding: str,
        grid: Grid,
        nodata: float | None = None,
        where: str = "",
        *,
        with_flaws: bool = False,
    ) -> Drainage:
        """Read a raster of D8 codes [height, width].

        Args:
            directions: codes.
            encoding: see `ENCODINGS`.
            grid: of the raster.
            nodata: value of no cell.
            where: names the raster in errors.
            with_flaws: keep codes that the encoding does not have, and cycles, as flaws.

        Raises:
            InputError: for codes that the encoding does not have, and for cycles.
        """
        where = where or "flow directions"
        codes = _to_esri(directions, encoding, nodata)
        if nodata is not None and [code for code, step in ENCODINGS[encoding].items() if step == _PIT] == [nodata]:
            codes = _keep_outlets(_to_esri(directions, encoding, None), np.asarray(directions) == nodata)
        if (codes == _NO_CODE).all():
            raise InputError(where, NO_DIRECTION, "Is its nodata value right?")
        flaws = []
        unknown = np.flatnonzero(codes == _UNKNOWN)
        if unknown.size:
            values = np.unique(directions[codes == _UNKNOWN])
            flaws.append(Flaw(unknown, _code_error(values, directions, encoding, nodata, where)))
            codes[codes == _UNKNOWN] = _NO_CODE
        below, order = _flow(codes)

        def remedy() -> str:
            fitting = [name for name in ENCODINGS if name != encoding and _is_sound(directions, name, nodata)]
            named = " or ".join(fitting)
            return f"Read with the encoding {named} it has no cycle: is it {encoding} indeed?" if fitting else ""

        return cls.of(below, order, grid, where, flaws, remedy, with_flaws=with_flaws)

    @classmethod
    def from_nextxy(
        cls,
        columns: NDArray[Any],
        rows: NDArray[Any],
        grid: Grid,
        where: str,
        nodata: float | None = None,
        *,
        with_flaws: bool = False,
    ) -> Drainage:
        """Read the directions of CaMa-Flood.

        Args:
            columns, rows: of the cell downstream, from 1; see the module. [height, width]
            grid: of the raster.
            where: names the raster in errors.
            nodata: further value of no cell.
            with_flaws: as in `from_d8`.

        Raises:
            InputError: for numbers that are no cell of the raster, and for cycles.
        """
        size, flaws = (("column", columns, grid.width), ("row", rows, grid.height)), list[Flaw]()
        absent = np.isin(columns, [-9999, *([] if nodata is None else [nodata])])
        is_pit = np.isin(columns, (-9, -10)) | np.isin(rows, (-9, -10))
        if absent.all():
            raise InputError(where, NO_DIRECTION, "Is its nodata value right?")
        odd = np.zeros(grid.shape, bool)
        for _, numbers, most in size:
            odd |= ~absent & ~is_pit & ((numbers < 1) | (numbers > most) | (numbers != np.floor(numbers)))
        if odd.any():
            named = ", ".join(f"{x:g} {y:g}" for x, y in zip(columns[odd][:5], rows[odd][:5], strict=True))
            what = f"has columns and rows beyond its {grid.width} x {grid.height} cells: {named}"
            error = InputError(where, what, "Is it nextxy, of the whole raster? Parts need numbers of their own.")
            flaws.append(Flaw(np.flatnonzero(odd), error))
        pair = (np.where(absent | odd, -9999, numbers).astype(np.int32) for _, numbers, _ in size)
        below, pits, _ = _pyflwdir("core_nextxy").from_array(tuple(pair), dtype=np.int32)
        order = _pyflwdir("core").idxs_seq(below, pits)
        return cls.of(below, order, grid, where, flaws, with_flaws=with_flaws)

    @classmethod
    def of(
        cls,
        below: NDArray[np.integer],
        order: NDArray[np.integer],
        grid: Grid,
        where: str,
        flaws: Sequence[Flaw] = (),
        remedy: Callable[[], str] = str,
        *,
        with_flaws: bool = False,
    ) -> Drainage:
        """The drainage of cells that are linked already.

        Args:
            below, order, grid: see the class; cells of a cycle, and those above it, are not in `order`.
            where: names the raster in errors.
            flaws: found before.
            remedy: of cycles; the empty text: none but to correct the cells.
            with_flaws: as in `from_d8`.

        Raises:
            InputError: for flaws.
        """
        is_cell = below >= 0
        found = list(flaws)
        in_cycle = _cells_in_cycles(below, order)
        if in_cycle.size:
            found.append(Flaw(in_cycle, _cycle_error(in_cycle, below, grid, where, remedy())))
        if found and not with_flaws:
            raise found[0].error
        area = np.where(is_cell.reshape(grid.shape), grid.cell_area_of_rows()[:, None], 0.0)
        drained = _pyflwdir("streams").accuflux(below, order, area.ravel(), -1.0).reshape(grid.shape)
        return cls(grid, below, order, drained, tuple(found))

    @property
    def is_mostly_flawed(self) -> bool:
        """Whether the water of so many cells cannot be followed that the encoding is wrong rather than some cells."""
        lost = sum(flaw.cells.size for flaw in self.flaws)
        return bool(lost > MOST_FLAWED * (np.count_nonzero(self.flows) + lost))

    def flaws_of(self, network: DrainageNetwork) -> tuple[list[HydrocliError], list[str]]:
        """Errors about flaws within a network cut out of this raster, and sentences about the others.

        Cells that cannot be followed are within it where most cells around them belong to it, and it has as many.
        """
        from scipy.ndimage import binary_dilation, find_objects, label

        errors, notes = list[HydrocliError](), list[str]()
        if not self.flaws:
            return errors, notes
        active = np.zeros(self.grid.shape, bool)
        active[self.grid.cells_at(network.x, network.y)] = True
        around = np.ones((3, 3), bool)
        for flaw in self.flaws:
            mask = np.zeros(self.grid.height * self.grid.width, bool)
            mask[flaw.cells] = True
            groups, _ = label(mask.reshape(self.grid.shape), around)
            is_inside = False
            for number, (rows, columns) in enumerate(find_objects(groups), 1):
                window = (
                    slice(max(rows.start - 1, 0), rows.stop + 1),
                    slice(max(columns.start - 1, 0), columns.stop + 1),
                )
                own = groups[window] == number
                ring = binary_dilation(own, around) & ~own
                is_small = np.count_nonzero(own) <= len(network)
                is_enclosed = is_small and ring.any() and active[window][ring].mean() > 0.5
                is_inside |= bool(active[window][own].any() or is_enclosed)
            if is_inside:
                errors.append(flaw.error)
            else:
                notes.append(f"{flaw.error.where}: outside of the catchments, {flaw.error.what}")
        return errors, notes

    def upstream_of(self, outlets: Iterable[tuple[int, int]]) -> Flags:
        """Cells [height, width] that drain through one of some cells (row, column), these included."""
        inside = np.zeros(self.grid.height * self.grid.width, np.uint8)
        inside[[int(row) * self.grid.width + int(column) for row, column in outlets]] = 1
        found = _pyflwdir("core").fillnodata_upstream(self.below, self.order, inside, 0)
        return np.asarray(found, bool).reshape(self.grid.shape)

    @cached_property
    def flows(self) -> Flags:
        """Cells bool[height, width] whose water reaches an outlet: all but those of flaws."""
        found = np.zeros(self.grid.height * self.grid.width, bool)
        found[self.order] = True
        return found.reshape(self.grid.shape)

    @cached_property
    def downstream(self) -> Integers:
        """int64[cells], flat index of the cell downstream, OUTLET, or NO_CELL where the raster has no data."""
        downstream = self.below.astype(np.int64)
        is_outlet = downstream == np.arange(downstream.size)
        downstream[downstream < 0] = NO_CELL
        downstream[is_outlet] = OUTLET
        return downstream


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
            outlets = zip(*np.divmod(np.flatnonzero(drainage.downstream == OUTLET), grid.width), strict=True)
        return cls.from_drainage(drainage, outlets)

    @classmethod
    def from_drainage(cls, drainage: Drainage, outlets: Iterable[tuple[int, int]]) -> DrainageNetwork:
        """The union of the catchments of the cells `outlets` (row, column)."""
        return cls.of_cells(drainage, drainage.upstream_of(outlets))

    @classmethod
    def of_cells(cls, drainage: Drainage, chosen: Flags) -> DrainageNetwork:
        """Some cells bool[height, width] of a raster; where water leaves them is an outlet."""
        whole, cells = drainage.grid, np.flatnonzero(chosen)
        depth = _steps_to_outlet(drainage.below, cells)
        level = depth.max() - depth
        order = np.lexsort((cells, level))
        cells, level = cells[order], level[order]
        position = np.full(whole.height * whole.width, -1, np.int32)
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


def _pyflwdir(module: str) -> Any:
    """A module of pyflwdir."""
    # Not at the top: it takes most of a second to import, and a basin found in its store needs none of it. Its modules
    # and not its class FlwdirRaster, which refuses a raster of one cell, or without an outlet.
    return import_module(f"pyflwdir.{module}")


def _flow(codes: NDArray[np.uint8]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Of ESRI codes [height, width]: `below` and `order` of `Drainage`; cells that reach no outlet are not in order."""
    below, outlets, _ = _pyflwdir("core_d8").from_array(codes, dtype=np.int32)
    return below, _pyflwdir("core").idxs_seq(below, outlets)


def _steps_to_outlet(below: NDArray[np.integer], cells: Integers) -> NDArray[np.int32]:
    """Number of steps [n] from each of n cells, by their flat index, to the last one that it drains through."""
    position = np.full(below.size, -1, np.int32)
    position[cells] = np.arange(cells.size)
    within = position[below[cells]]
    steps, _ = _pyflwdir("core").rank(np.where(within >= 0, within, np.arange(cells.size, dtype=np.int32)))
    return np.asarray(steps)


def _to_esri(directions: NDArray[np.generic], encoding: str, nodata: float | None) -> NDArray[np.uint8]:
    """ESRI codes uint8 of a raster, _NO_CODE where it has no cell, _UNKNOWN where its encoding lacks the code."""
    codes = np.asarray(directions)
    table = np.full(265, _UNKNOWN, np.uint8)  # codes from -8 to 256
    for code, step in ENCODINGS[encoding].items():
        table[code + 8] = _ESRI[step]
    # Negative codes that an encoding lacks are a nodata value that the file forgets to declare.
    absent = ~np.isfinite(codes) | (codes < min(*ENCODINGS[encoding], 0))
    for value in (*_ABSENT.get(encoding, ()), nodata):
        if value is not None:
            absent |= codes == value
    # A uint8 cannot be compared with 256; a code with a fraction is none.
    numbers = np.where(absent, 0, codes).astype(np.float64)
    key = np.where(numbers == np.floor(numbers), np.minimum(numbers, 256), 256).astype(np.int64) + 8
    return np.where(absent, np.uint8(_NO_CODE), table[key])


def _keep_outlets(codes: NDArray[np.uint8], is_nodata: Flags) -> NDArray[np.uint8]:
    """ESRI codes whose outlets are no cells where they have the nodata value and receive no water."""
    below, _ = _flow(np.where(codes == _UNKNOWN, np.uint8(_NO_CODE), codes))
    cells = np.arange(below.size)
    receives = np.zeros(below.size, bool)
    receives[below[(below >= 0) & (below != cells)]] = True
    return np.where(is_nodata & ~receives.reshape(codes.shape), np.uint8(_NO_CODE), codes)


def _cells_in_cycles(below: NDArray[np.integer], order: NDArray[np.integer]) -> Integers:
    """Flat indices of the cells that drain into themselves, and of all above them."""
    reached = below < 0
    reached[order] = True
    return np.flatnonzero(~reached)


def fitting_encodings(directions: NDArray[np.generic], nodata: float | None) -> list[str]:
    """Encodings that have all codes of a raster."""
    return [name for name in ENCODINGS if not (_to_esri(directions, name, nodata) == _UNKNOWN).any()]


def _code_error(
    unknown: NDArray[np.generic], directions: NDArray[np.generic], encoding: str, nodata: float | None, where: str
) -> InputError:
    """Name the codes that the encoding lacks, and the encodings that have all codes of the raster."""
    fitting = fitting_encodings(directions, nodata)
    shown = ", ".join(f"{value:g}" for value in unknown.tolist()[:10])
    remedy = f"All codes found fit the encoding {' or '.join(fitting)}." if fitting else "Is this a D8 raster?"
    return InputError(where, f"codes {shown} do not exist in the encoding {encoding}", remedy)


def _cycle_error(in_cycle: Integers, below: NDArray[np.integer], grid: Grid, where: str, remedy: str) -> InputError:
    """Name the cells of the first cycle."""
    cell, seen = int(in_cycle[0]), set[int]()
    while cell not in seen:  # the first cell may lie above the cycle
        seen.add(cell)
        cell = int(below[cell])
    cycle = [cell]
    while int(below[cycle[-1]]) != cell:
        cycle.append(int(below[cycle[-1]]))
    cells = describe([divmod(cell, grid.width) for cell in cycle], grid)
    what = f"the flow runs in cycles ({in_cycle.size} cells do not reach an outlet), the first through {cells}"
    return InputError(where, what, remedy or "Correct the directions of these cells.")


def _is_sound(directions: NDArray[np.generic], encoding: str, nodata: float | None) -> bool:
    """Whether the raster has no unknown code and no cycle under an encoding."""
    codes = _to_esri(directions, encoding, nodata)
    return not (codes == _UNKNOWN).any() and _cells_in_cycles(*_flow(codes)).size == 0
