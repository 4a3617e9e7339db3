"""Simulation in wavefront order and its adjoint, in blocks of rows, with checkpoints chosen from a memory budget.

Forward, rows of states are computed block by block. For a gradient the rows must be there when the reverse comes by:
all of them where the budget allows, else only one row in every `segment`, from which the segment is computed again
before it is reversed. Both ways run the same compiled code over the same ranges, so the gradient has the same bits.

Threads take tiles, a chunk of cells by a block of waves: chunk j may run block b once chunk j - 1 has (its cells
upstream) and it has itself run block b - 1, while no chunk downstream still reads the rows that it writes. A free
thread takes the first tile whose turn it is. Every sum belongs to one cell and runs in time order: results do not
depend on the number of threads.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from copy import copy
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine import routing
from hydrocli.engine.order import WavefrontOrder
from hydrocli.engine.tiles import Bars, Cells, StateBuffer, Tile, loops_of
from hydrocli.jit import compiled_for
from hydrocli.structures.structure import GR, Structure

Array = NDArray[np.floating]
Seed = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]
Observer = Callable[[StateBuffer, int, int], None]
"""Is shown a buffer whose rows 1 to count are the waves from start: observer(buffer, start, count)."""

NO_WEIGHTS: NDArray[np.float64] = np.zeros(0)

EMPTY_TILE = Tile(0, 0, 0, (0, 0), (0, 0))
"""Of the types that every tile has."""

SPARE_BLOCKS = 3
"""A simulation keeps so many blocks beyond those that chunks in a row need to follow each other: threads wait less."""

BLOCK_BYTES = 320_000
"""About so many bytes of one state make a block: its rows stay in the second-level cache of a core."""


def empty_buffer(rows: int, order: WavefrontOrder, structure: Structure, real: type) -> StateBuffer:
    """A buffer of so many rows after row 0."""
    routed = order.slots - order.n_headwater
    return StateBuffer(
        np.zeros((len(structure.states), rows + 1, order.slots), real),
        np.zeros((rows + 1, routed), real),
        np.zeros((rows + 1, order.slots), real),
    )


def copy_row(target: StateBuffer, row: int, source: StateBuffer, source_row: int) -> None:
    """Take one row from another buffer."""
    target.levels[:, row] = source.levels[:, source_row]
    target.lateral[row] = source.lateral[source_row]
    target.flow[row] = source.flow[source_row]


def bytes_per_row(order: WavefrontOrder, structure: Structure, real: type) -> int:
    """Memory of one row of states."""
    return ((len(structure.states) + 1) * order.slots + order.slots - order.n_headwater) * np.dtype(real).itemsize


@dataclass(frozen=True)
class State:
    """What a later run needs to start exactly: levels[states, n], discharge[n] and lateral_inflow[n] [m3/s]."""

    levels: NDArray[np.float64]
    discharge: NDArray[np.float64]
    lateral_inflow: NDArray[np.float64]


@dataclass(frozen=True)
class Gradient:
    """Derivatives of a cost by parameters[p, n] (of the structure, of the routing), levels[states, n], weights."""

    parameters: NDArray[np.float64]
    levels: NDArray[np.float64]
    weights: NDArray[np.float64]


class Simulator:
    """One basin, one forcing, one structure: runs it forward and in reverse.

    Args:
        order: order of computation.
        forcing: float32[steps * slots] each, in that order, as the structure asks for them.
        cell_area, cell_width: [n] of each cell [m2], [m].
        gauges: [g] cells whose discharge is wanted.
        step: time step [s].
        precision: "double" or "single".
        threads: at most so many chunks run at once.
        memory: budget for the forcing and for rows of states, see `bytes_needed` [bytes].
        structure: equations of a cell.
        attributes: [a, n] of the cells, as the structure asks for them.

    Attributes:
        newton: [4, slots] of the last run: iterations, most in a step, steps solved again, steps without solution.
    """

    def __init__(
        self,
        order: WavefrontOrder,
        forcing: tuple[NDArray[np.float32], ...],
        cell_area: NDArray[np.float64],
        cell_width: NDArray[np.float64],
        gauges: NDArray[np.integer],
        step: int,
        precision: str = "double",
        threads: int = 1,
        memory: float = 1e9,
        structure: Structure = GR,
        attributes: NDArray[np.float64] | None = None,
    ) -> None:
        self.order, self.forcing, self.structure, self.step = order, forcing, structure, step
        assert len(forcing) == len(structure.model.forcings)
        self.attributes = np.zeros((0, len(cell_area))) if attributes is None else attributes
        assert len(self.attributes) == len(structure.model.attributes)
        self.real = {"double": np.float64, "single": np.float32}[precision]
        to_discharge = order.spread(1e-3 * cell_area / step, 0.0).astype(self.real)
        self.to_discharge = to_discharge
        self.width = order.spread(cell_width, 1.0)[order.n_headwater :]
        self.gauge_slots = order.slot[gauges]
        self.block = max(16, min(512, BLOCK_BYTES * order.chunks // (order.slots * np.dtype(self.real).itemsize)))
        self.threads, self._lead = min(threads, order.chunks), order.max_chunk_lag
        borders = order.borders.T.tolist()
        self._chunk_slots = [(tuple(first), tuple(last)) for first, last in pairwise(borders)]
        self._chunk_gauges: list[list[tuple[int, int]]] = [[] for _ in self._chunk_slots]
        self._gauge_levels = order.level[self.gauge_slots].tolist()
        for gauge, (slot, chunk) in enumerate(
            zip(self.gauge_slots.tolist(), order.chunk_of(self.gauge_slots), strict=True)
        ):
            self._chunk_gauges[chunk].append((gauge, slot))
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None
        self.newton: Array = np.zeros((4, order.slots), self.real)
        self._inflow = np.zeros(order.slots - order.n_headwater, self.real)
        self.set_memory(memory)

    def set_memory(self, memory: float) -> None:
        """Choose anew how many rows are kept, for a budget in bytes; what is kept now is freed."""
        self.held, self.segment = self._held(memory), self._segment(memory)
        self.release()

    def release(self) -> None:
        """Free the rows of states, which the next run allocates again."""
        self._rows: StateBuffer | None = None

    def _buffer(self, rows: int) -> StateBuffer:
        """At least so many rows; simulations and gradients share them, since each begins with its own state."""
        if self._rows is None or len(self._rows.flow) <= rows:
            self._rows = empty_buffer(rows, self.order, self.structure, self.real)
        return self._rows

    def bytes_needed(self, gradient: bool) -> int:
        """Memory of a simulation or of a gradient: forcing, rows of states and, for a gradient, what is summed.

        It may be more than the budget, where the forcing and the fewest rows are.
        """
        rows = self.held + 1
        if gradient:
            segments = -(-self.order.waves // self.segment)
            rows = max(self.held, min(self.segment, self.order.waves)) + 1 + segments
        return self._fixed_bytes(gradient) + rows * bytes_per_row(self.order, self.structure, self.real)

    def clone(self) -> Simulator:
        """The same simulator on one thread with buffers of its own, for another thread to run at the same time."""
        other = copy(self)
        other.threads, other._pool, other._rows = 1, None, None
        other.newton, other._inflow = np.zeros_like(self.newton), np.zeros_like(self._inflow)
        return other

    def of_structure(self, structure: Structure) -> Simulator:
        """A clone of another structure with the same parameters and states, whose forcings are the first of these."""
        other = self.clone()
        other.structure, other.forcing = structure, self.forcing[: len(structure.model.forcings)]
        return other

    def cells(self, parameters: NDArray[np.float64]) -> Cells:
        """What the kernels get of parameters [p, n]; idle slots have the defaults.

        Raises:
            ValueError: there are not as many rows as the structure and the routing have parameters.
        """
        if len(parameters) != len(self.structure.all_parameters):
            what = f"{len(parameters)} rows of parameters for {', '.join(self.structure.all_parameters)}"
            raise ValueError(what)
        model, here = self.structure.model, slice(None, len(self.structure.parameters))
        by_symbol = {
            one.symbol: self.order.spread(values, one.default or 0.0)
            for one, values in zip(model.parameters, parameters[here], strict=True)
        }
        fixed = [self.order.spread(values, 1.0) for values in self.attributes]
        rows = np.stack([*fixed, *model.prepare(by_symbol, self.step).values()]).astype(self.real)
        constants = tuple(self.real(number) for number in model.constants(self.structure, self.step))
        return Cells(rows, constants, self.to_discharge)

    def river(self, parameters: NDArray[np.float64]) -> Array:
        """Rows [rows, routed] that the routing gets of parameters [p, n]; idle slots have 1."""
        declared, order = self.structure.river, self.order
        own = order.spread(parameters[len(self.structure.parameters) :], 1.0)[:, order.n_headwater :]
        by_symbol = {one.symbol: values for one, values in zip(declared.parameters, own, strict=True)}
        rows = list(declared.prepare(by_symbol, self.step, self.width).values())
        return np.stack(rows).astype(self.real) if rows else np.zeros((0, len(self.width)), self.real)

    def workspace(self, weights: NDArray[np.float64]) -> Any:
        """Rows to work in for one thread, with the weights of the network.

        Raises:
            ValueError: the number of weights is not that of the structure.
        """
        if len(weights) != self.structure.weights:
            raise ValueError(f"{len(weights)} weights for a network of {self.structure.weights}")
        scaled = self.structure.scaled(weights).astype(self.real) if self.structure.has_network else weights
        return self.structure.model.workspace(self.structure, scaled, self.real)

    def simulate(
        self,
        parameters: NDArray[np.float64],
        state: State,
        weights: NDArray[np.float64] = NO_WEIGHTS,
        observe: Observer | None = None,
        at_once: int | None = None,
    ) -> tuple[NDArray[np.float64], State]:
        """Discharge[g, steps] at the gauges [m3/s] and the state after the last step.

        Args:
            parameters: [p, n], `Structure.all_parameters`.
            state: at the start.
            weights: of the network, where the structure has one.
            observe: is shown the rows of every piece, see `Observer`.
            at_once: at most so many waves make a piece.
        """
        rows = self._buffer(self.held)
        forward = _Forward(self, parameters, weights, rows)
        discharge = np.empty((len(self.gauge_slots), self.order.steps))
        self._set_row(rows, state)
        if observe is None:
            self._stream(forward, self.order.waves, discharge)
        else:
            self._advance(forward, discharge, observe, at_once)
        return discharge, self._state(rows)

    def gradient(
        self,
        parameters: NDArray[np.float64],
        state: State,
        seed: Seed,
        weights: NDArray[np.float64] = NO_WEIGHTS,
    ) -> tuple[float, Gradient, NDArray[np.float64]]:
        """Value of a cost of the discharge, its gradient, and the discharge[g, steps].

        Args:
            parameters, state, weights: as in `simulate`.
            seed: gives the cost and its derivative [g, steps] for a discharge [g, steps].
        """
        waves = self.order.waves
        starts = range(0, waves, self.segment)
        checkpoints = empty_buffer(len(starts) - 1, self.order, self.structure, self.real)
        discharge = np.empty((len(self.gauge_slots), self.order.steps))
        tape = self._buffer(max(self.held, min(self.segment, waves)))
        forward = _Forward(self, parameters, weights, tape)
        self._set_row(tape, state)
        self._stream(forward, starts[-1], discharge, checkpoints)
        copy_row(checkpoints, len(starts) - 1, tape, 0)
        reverse: _Reverse | None = None
        for number, start in reversed(list(enumerate(starts))):
            rows = min(self.segment, waves - start)
            copy_row(tape, 0, checkpoints, number)
            self._run_tiles(forward, start, rows)
            if reverse is None:
                self._read(tape, start, rows, discharge, range(self.order.chunks))
                value, derivative = seed(discharge)
                reverse, counted = _Reverse(self, forward, derivative), self.newton.copy()
            self._run_tiles(reverse, start, rows, backwards=True)
        assert reverse is not None  # there is at least one segment
        self.newton[:] = counted  # without the segments that were computed again
        return value, reverse.gradient(), discharge

    def _fixed_bytes(self, gradient: bool) -> int:
        """Memory of the forcing and, for a gradient, of its sums and of the ring of the routing."""
        forcing = sum(values.nbytes for values in self.forcing)
        if not gradient:
            return forcing
        order, structure = self.order, self.structure
        routed = order.slots - order.n_headwater
        sums = (2 * len(structure.states) + len(structure.parameters) + self.block) * order.slots
        return forcing + np.dtype(self.real).itemsize * (sums + self._ring_rows * routed)

    @property
    def _ring_rows(self) -> int:
        """Rows of inflow that a reverse keeps.

        A chunk is at most `WavefrontOrder.max_chunk_lag` blocks ahead of one upstream that drains into it, which still
        reads the row after its own.
        """
        return (self._lead + 2) * self.block

    def _held(self, memory: float) -> int:
        """Rows of a simulation: one block, or more in half of what the forcing leaves of the budget."""
        row = bytes_per_row(self.order, self.structure, self.real)
        wanted = 1 if self.order.chunks == 1 else self._lead + SPARE_BLOCKS
        fitting = int((memory - self._fixed_bytes(gradient=False)) / (2 * row) - 1) // self.block
        return self.block * max(1, min(wanted, fitting))

    def _segment(self, memory: float) -> int:
        """Rows of a segment in whole blocks: all waves where the budget allows, else as few as there are checkpoints.

        What lies between costs memory and gains nothing: a short segment stays in cache until it is reversed.
        """
        waves, row = self.order.waves, bytes_per_row(self.order, self.structure, self.real)
        all_fit = (waves + 2) * row + self._fixed_bytes(gradient=True) <= memory
        blocks = -(-(waves if all_fit else math.isqrt(waves) + 1) // self.block)
        for_all = -(-blocks // self.threads) * self.threads  # else threads wait in each segment
        fitting = (memory - self._fixed_bytes(gradient=True)) / (row * self.block)
        return self.block * (for_all if for_all + waves / (for_all * self.block**2) <= fitting else blocks)

    def _stream(
        self,
        forward: _Forward,
        waves: int,
        discharge: NDArray[np.float64],
        checkpoints: StateBuffer | None = None,
    ) -> None:
        """Run waves 0..`waves` in the rows of `forward`, whose row 0 is the state before and then after them.

        A block takes the rows of the one that was `held` rows before it, so no thread waits for the end of anything.

        Args:
            forward: what runs.
            waves: so many.
            discharge: [g, steps] that is filled.
            checkpoints: row k keeps the state before wave k `segment`.
        """
        rows, block, held = forward.rows, self.block, self.held // self.block

        def run(chunk: int, number: int) -> None:
            wave, begin = number * block, number % held * block
            count = min(block, waves - wave)
            if number and begin == 0:
                self._copy_chunk(rows, 0, rows, self.held, chunk)
            if checkpoints is not None and wave % self.segment == 0:
                self._copy_chunk(checkpoints, wave // self.segment, rows, begin, chunk)
            forward(chunk, Tile(wave - begin, begin, begin + count, *self._chunk_slots[chunk]))
            self._read(rows, wave - begin, begin + count, discharge, (chunk,), begin)

        blocks = -(-waves // block)
        self._run(run, blocks, max(held - 2, 0))  # the last row of a block is the first one of the next
        if blocks:
            copy_row(rows, 0, rows, (blocks - 1) % held * block + waves - (blocks - 1) * block)

    def _advance(
        self, forward: _Forward, discharge: NDArray[np.float64], observe: Observer, at_once: int | None
    ) -> None:
        """Run all waves in the rows of `forward`, whose row 0 is the state before and then after them, in pieces."""
        held, waves, moving = min(self.held, at_once or self.order.waves), self.order.waves, forward.rows
        for piece in range(0, waves, held):
            rows = min(held, waves - piece)
            self._run_tiles(forward, piece, rows)
            self._read(moving, piece, rows, discharge, range(self.order.chunks))
            observe(moving, piece, rows)
            copy_row(moving, 0, moving, rows)

    def _run_tiles(self, tile: _Forward | _Reverse, start: int, count: int, backwards: bool = False) -> None:
        """Run all tiles of waves start..start + count, downstream and onwards in time, or backwards."""
        chunks, blocks = self.order.chunks, -(-count // self.block)

        def run(place: int, turn: int) -> None:
            chunk, block = (chunks - 1 - place, blocks - 1 - turn) if backwards else (place, turn)
            begin, end = block * self.block, min((block + 1) * self.block, count)
            tile(chunk, Tile(start, begin, end, *self._chunk_slots[chunk]))

        self._run(run, blocks, max(self._lead, 1))

    def _run(self, run: Callable[[int, int], None], turns: int, ahead: int) -> None:
        """Call run(place, turn) for all chunks and turns; see `_Turns`."""
        if self._pool is None:
            for turn in range(turns):
                for place in range(self.order.chunks):
                    run(place, turn)
            return
        schedule = _Turns(self.order.chunks, turns, self._lead, ahead)
        others = [self._pool.submit(schedule.work, run) for _ in range(self.threads - 1)]
        try:
            schedule.work(run)
        finally:
            wait(others)  # all of them: after an error in one, another still writes into the rows
        for other in others:
            other.result()

    def _copy_chunk(self, target: StateBuffer, row: int, source: StateBuffer, source_row: int, chunk: int) -> None:
        """`copy_row` for the slots of one chunk."""
        for first, last in zip(*self._chunk_slots[chunk], strict=True):
            target.levels[:, row, first:last] = source.levels[:, source_row, first:last]
            target.flow[row, first:last] = source.flow[source_row, first:last]
        first, last = (slots[1] - self.order.n_headwater for slots in self._chunk_slots[chunk])
        target.lateral[row, first:last] = source.lateral[source_row, first:last]

    def _read(
        self,
        rows: StateBuffer,
        start: int,
        count: int,
        discharge: NDArray[np.float64],
        chunks: Iterable[int],
        begin: int = 0,
    ) -> None:
        """Take the discharge at the gauges of some chunks out of rows begin + 1..count, row 1 that of wave `start`."""
        for chunk in chunks:
            for gauge, slot in self._chunk_gauges[chunk]:
                first = start - self._gauge_levels[gauge]
                a, b = max(first + begin, 0), min(first + count, self.order.steps)
                if a < b:
                    discharge[gauge, a:b] = rows.flow[1 + a - first : 1 + b - first, slot]

    def _set_row(self, rows: StateBuffer, state: State) -> None:
        order = self.order
        rows.levels[:, 0] = order.spread(state.levels, 0.5)
        rows.lateral[0] = order.spread(state.lateral_inflow, 0.0)[order.n_headwater :]
        rows.flow[0] = order.spread(state.discharge, 0.0)

    def _state(self, rows: StateBuffer) -> State:
        order = self.order
        lateral = np.concatenate([rows.flow[0, : order.n_headwater], rows.lateral[0]])
        levels, flow, lateral = (values.astype(np.float64) for values in (rows.levels[:, 0], rows.flow[0], lateral))
        return State(levels[:, order.slot], flow[order.slot], lateral[order.slot])


class _Turns:
    """Whose turn it is among `places` in a row that each do `turns` pieces of work, for any number of threads.

    A place does its next piece when the place before it has done it, and while it is at most `ahead` pieces ahead
    of the place that is `lead` after it: so far do the rows reach that are kept.
    Of the pieces whose turn it is, that of the lowest turn comes first: so a thread finds the row of the place before
    in its own cache.
    """

    def __init__(self, places: int, turns: int, lead: int, ahead: int) -> None:
        self._turns, self._done, self._taken = turns, [0] * places, [False] * places
        self._lead, self._ahead = max(lead, 1), ahead
        self._left, self._failed, self._changed = places * turns, False, threading.Condition()
        self._ready: list[tuple[int, int]] = []
        self._take(0)

    def work(self, run: Callable[[int, int], None]) -> None:
        """Run pieces, run(place, turn), until all are done or one has failed; a signal may come at any place."""
        try:
            piece = self._next(None)
            while piece is not None:
                run(*piece)
                piece = self._next(piece)
        except BaseException:
            with self._changed:
                self._failed = True
                self._changed.notify_all()
            raise

    def _next(self, finished: tuple[int, int] | None) -> tuple[int, int] | None:
        """Place and turn of the next piece, after one that is finished; None where all are, or one has failed."""
        with self._changed:
            if finished is not None:
                place, turn = finished
                self._left -= 1
                self._done[place], self._taken[place] = turn + 1, False
                for other in range(max(place - self._lead, 0), min(place + 2, len(self._done))):
                    self._take(other)
            self._changed.wait_for(lambda: self._ready or self._failed or not self._left)
            if self._failed or not self._ready:
                self._changed.notify_all()
                return None
            turn, place = heappop(self._ready)
            if self._ready:
                self._changed.notify()
            return place, turn

    def _take(self, place: int) -> None:
        """Put a place among the ready ones, if its turn has come."""
        done = self._done
        if self._taken[place] or done[place] == self._turns:
            return
        behind = done[min(place + self._lead, len(done) - 1)]
        if (place == 0 or done[place - 1] > done[place]) and behind >= done[place] - self._ahead:
            self._taken[place] = True
            heappush(self._ready, (done[place], place))


class _Forward:
    """Runs one tile forward in `rows`."""

    def __init__(
        self,
        simulator: Simulator,
        parameters: NDArray[np.float64],
        weights: NDArray[np.float64],
        rows: StateBuffer,
    ) -> None:
        self.simulator, self.rows, order, structure = simulator, rows, simulator.order, simulator.structure
        simulator.newton[:] = 0
        self.workspaces = [simulator.workspace(weights) for _ in range(order.chunks)]
        self.cells = simulator.cells(parameters)
        self.river = simulator.river(parameters)
        self._loop = compiled_for(loops_of(structure.model).forward, *self._arguments(0, EMPTY_TILE))
        self._route = compiled_for(routing.routes_of(structure.river).route, *self._river_arguments(EMPTY_TILE))

    def __call__(self, chunk: int, tile: Tile) -> None:
        self.run_cells(chunk, tile)
        self.route(tile)

    def run_cells(self, chunk: int, tile: Tile) -> None:
        """Levels and lateral inflow."""
        self._loop(*self._arguments(chunk, tile))

    def route(self, tile: Tile) -> None:
        """Discharge."""
        self._route(*self._river_arguments(tile))

    def _arguments(self, chunk: int, tile: Tile) -> tuple[Any, ...]:
        simulator = self.simulator
        counts, workspace = simulator.newton, self.workspaces[chunk]
        return simulator.order, tile, simulator.forcing, self.cells, self.rows, counts, workspace

    def _river_arguments(self, tile: Tile) -> tuple[Any, ...]:
        return self.simulator.order, tile, self.river, self.rows, self.simulator._inflow


class _Reverse:
    """Runs one tile in reverse and sums the gradient."""

    def __init__(self, simulator: Simulator, forward: _Forward, seed: NDArray[np.float64]) -> None:
        self.simulator, self.forward, order, real = simulator, forward, simulator.order, simulator.real
        structure, routed = simulator.structure, order.slots - order.n_headwater
        self.bars = Bars(
            np.zeros((len(structure.states), order.slots), real),
            np.zeros((len(structure.states), order.slots), real),
            np.zeros((len(structure.parameters), order.slots), real),
            np.empty((simulator.block, order.slots), real),
        )
        self.weights = np.zeros((order.chunks, structure.weights), real)
        self.river = np.zeros((len(structure.river.parameters), routed), real)
        carried = np.zeros((2, routed), real)
        ring = np.zeros((simulator._ring_rows, routed + 1), real)
        self.river_bars = routing.RiverBars(
            np.ascontiguousarray(seed, real), simulator.gauge_slots, self.river, carried[0], carried[1],
            np.empty(routed, real), ring,
        )  # fmt: skip
        self._loop = compiled_for(loops_of(structure.model).reverse, *self._arguments(0, EMPTY_TILE))
        self._route = compiled_for(routing.routes_of(structure.river).route_adjoint, *self._river_arguments(EMPTY_TILE))

    def __call__(self, chunk: int, tile: Tile) -> None:
        self.route(tile)
        self.run_cells(chunk, tile)

    def route(self, tile: Tile) -> None:
        """Bars of the lateral inflow from those of the discharge."""
        self._route(*self._river_arguments(tile))

    def run_cells(self, chunk: int, tile: Tile) -> None:
        """Bars of levels, parameters and weights."""
        self._loop(*self._arguments(chunk, tile))

    def _river_arguments(self, tile: Tile) -> tuple[Any, ...]:
        order, inflow = self.simulator.order, self.simulator._inflow
        return order, tile, self.forward.river, self.forward.rows, inflow, self.river_bars, self.bars.lateral

    def _arguments(self, chunk: int, tile: Tile) -> tuple[Any, ...]:
        order, tiles, workspace = self.simulator.order, self.forward, self.forward.workspaces[chunk]
        sums = self.bars, workspace, self.weights[chunk]
        return order, tile, self.simulator.forcing, tiles.cells, tiles.rows, *sums

    def gradient(self) -> Gradient:
        order = self.simulator.order
        river = np.concatenate([np.zeros((len(self.river), order.n_headwater)), self.river], axis=1)
        return Gradient(
            np.concatenate([self.bars.parameters, river])[:, order.slot].astype(np.float64),
            (self.bars.first_levels + self.bars.levels)[:, order.slot].astype(np.float64),
            self._weights(),
        )

    def _weights(self) -> NDArray[np.float64]:
        """The chunks' sums in their order, whichever thread had them."""
        structure = self.simulator.structure
        summed = self.weights.astype(np.float64).sum(axis=0)
        return structure.scaled(summed) if structure.has_network else summed
