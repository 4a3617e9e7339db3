"""The sweep over waves and its reverse, in blocks of rows, with checkpoints chosen from a memory budget.

Forward, rows of states are computed block by block. For a gradient the rows must be there when the reverse comes by:
all of them where the budget allows, else only one row in every `segment`, from which the segment is computed again
before it is reversed. Both ways run the same compiled code over the same ranges, so the gradient has the same bits.

Threads take tiles, a chunk of cells by a block of waves: chunk j may run block b once chunk j - 1 has (its cells
upstream) and it has itself run block b - 1, so the tiles of one diagonal are independent. Every sum belongs to one
cell and runs in time order: results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.engine import routing
from hydrocli.engine.order import WavefrontOrder
from hydrocli.structures.structure import GR, Structure

Array = NDArray[np.floating]
Seed = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]
Observer = Callable[["Rows", int, int], None]

NO_WEIGHTS: NDArray[np.float64] = np.zeros(0)

BLOCK_VALUES = 40_000
"""About so many cell-steps make a block: few enough for its rows to stay in the second-level cache of a core."""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows: levels[2, rows + 1, slots] (hp, ht), lateral[rows + 1, routed], flow[rows + 1, slots]."""

    levels: Array
    lateral: Array
    flow: Array

    @classmethod
    def empty(cls, rows: int, order: WavefrontOrder, real: type) -> Rows:
        """Buffers for so many rows after row 0."""
        routed = order.slots - order.n_headwater
        return cls(
            np.zeros((2, rows + 1, order.slots), real),
            np.zeros((rows + 1, routed), real),
            np.zeros((rows + 1, order.slots), real),
        )

    def copy_row(self, row: int, source: Rows, source_row: int) -> None:
        """Take one row from another buffer."""
        self.levels[:, row] = source.levels[:, source_row]
        self.lateral[row] = source.lateral[source_row]
        self.flow[row] = source.flow[source_row]


def bytes_per_row(order: WavefrontOrder, real: type) -> int:
    """Memory of one row of states."""
    return (3 * order.slots + order.slots - order.n_headwater) * np.dtype(real).itemsize


@dataclass(frozen=True)
class State:
    """What a later run needs to start exactly: levels[2, n] (hp, ht), discharge[n] and lateral_inflow[n] [m3/s]."""

    levels: NDArray[np.float64]
    discharge: NDArray[np.float64]
    lateral_inflow: NDArray[np.float64]


@dataclass(frozen=True)
class Gradient:
    """Derivatives of a cost by parameters[5, n] (cp, ct, kexc, akw, bkw), initial levels[2, n] and weights of phi1."""

    parameters: NDArray[np.float64]
    levels: NDArray[np.float64]
    weights: NDArray[np.float64]


class Simulator:
    """One basin, one forcing, one structure: runs it forward and in reverse.

    Args:
        skew: order of computation.
        net: float32[steps * slots] neutralised forcing pn - en in that order [mm/step].
        cell_area, cell_width: [n] of each cell [m2], [m].
        gauges: [g] cells whose discharge is wanted.
        step: time step [s].
        precision: "double" or "single".
        threads: at most so many chunks run at once.
        memory: budget for rows of states in a gradient [bytes].
        structure: equations of a cell.

    Attributes:
        newton: int64[4, slots] of the last run: iterations, most in a step, steps solved again, steps without solution.
    """

    def __init__(
        self,
        order: WavefrontOrder,
        net: NDArray[np.float32],
        cell_area: NDArray[np.float64],
        cell_width: NDArray[np.float64],
        gauges: NDArray[np.integer],
        step: int,
        precision: str = "double",
        threads: int = 1,
        memory: float = 1e9,
        structure: Structure = GR,
    ) -> None:
        self.order, self.net, self.structure = order, net, structure
        self.real = {"double": np.float64, "single": np.float32}[precision]
        to_discharge = order.spread(1e-3 * cell_area / step, 0.0).astype(self.real)
        inverse_beta = 4.0 / 9.0 * (step / 86400.0) ** 0.25
        self.constants = (to_discharge, self.real(inverse_beta))
        self.courant = order.spread(step / cell_width, 1.0)[order.n_headwater :].astype(self.real)
        self.gauge_slots = order.slot[gauges]
        self.block = max(16, min(512, BLOCK_VALUES * order.chunks // order.slots))
        self.threads = min(threads, order.chunks)
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self.set_memory(memory)
        self.newton = np.zeros((4, order.slots), np.int64)
        self._inflow = np.zeros(order.slots - order.n_headwater, self.real)
        self._moving = Rows.empty(self.block * (1 if order.chunks == 1 else 8), order, self.real)

    def set_memory(self, memory: float) -> None:
        """Choose anew how many rows a gradient keeps, for a budget in bytes; what is kept now is freed."""
        self.segment = self._segment(memory)
        self._tape: Rows | None = None

    def clone(self) -> Simulator:
        """The same sweep on one thread with buffers of its own, for another thread to run at the same time."""
        other = copy(self)
        other.threads, other._pool, other._tape = 1, None, None
        other.newton, other._inflow = np.zeros_like(self.newton), np.zeros_like(self._inflow)
        other._moving = Rows.empty(len(self._moving.flow) - 1, self.order, self.real)
        return other

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
            parameters: [5, n] cp, ct, kexc, akw, bkw.
            state: at the start.
            weights: of phi1, where the structure has it.
            watch: is shown the rows of every piece: watch(rows, first wave, number of waves).
            at_once: at most so many waves make a piece.
        """
        forward = _Forward(self, parameters, weights)
        discharge = np.empty((len(self.gauge_slots), self.order.steps))
        self._set_row(self._moving, state)
        self._advance(forward, 0, self.order.waves, discharge, observe, at_once)
        return discharge, self._state(self._moving)

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
        forward, waves = _Forward(self, parameters, weights), self.order.waves
        starts = range(0, waves, self.segment)
        checkpoints = Rows.empty(len(starts) - 1, self.order, self.real)
        discharge = np.empty((len(self.gauge_slots), self.order.steps))
        self._set_row(checkpoints, state)
        for number, start in enumerate(starts[:-1]):
            self._moving.copy_row(0, checkpoints, number)
            self._advance(forward, start, self.segment, discharge)
            checkpoints.copy_row(number + 1, self._moving, 0)
        if self._tape is None:
            self._tape = Rows.empty(min(self.segment, waves), self.order, self.real)
        reverse: _Reverse | None = None
        for number, start in reversed(list(enumerate(starts))):
            rows = min(self.segment, waves - start)
            self._tape.copy_row(0, checkpoints, number)
            self._run_tiles(forward, self._tape, start, rows)
            if reverse is None:
                self._read(self._tape, start, rows, discharge)
                value, derivative = seed(discharge)
                reverse, counted = _Reverse(self, forward, derivative), self.newton.copy()
            self._run_tiles(reverse, self._tape, start, rows, backwards=True)
        assert reverse is not None  # there is at least one segment
        self.newton[:] = counted  # without the segments that were computed again
        return value, reverse.gradient(), discharge

    def _segment(self, memory: float) -> int:
        """Rows of a segment in whole blocks: all waves where the budget allows, else as few as there are checkpoints.

        What lies between costs memory and gains nothing: a short segment stays in cache until it is reversed.
        """
        waves = self.order.waves
        all_fit = (waves + 2) * bytes_per_row(self.order, self.real) <= memory
        rows = waves if all_fit else math.isqrt(waves) + 1
        return -(-rows // self.block) * self.block

    def _advance(
        self,
        forward: _Forward,
        start: int,
        waves: int,
        discharge: NDArray[np.float64],
        observe: Observer | None = None,
        at_once: int | None = None,
    ) -> None:
        """Run `waves` waves in the moving rows, whose row 0 is the state before and then after them."""
        moving = self._moving
        held = min(len(moving.flow) - 1, at_once or waves)
        for piece in range(start, start + waves, held):
            rows = min(held, start + waves - piece)
            self._run_tiles(forward, moving, piece, rows)
            self._read(moving, piece, rows, discharge)
            if observe is not None:
                observe(moving, piece, rows)
            moving.copy_row(0, moving, rows)

    def _run_tiles(
        self, tile: _Forward | _Reverse, rows: Rows, start: int, count: int, backwards: bool = False
    ) -> None:
        """Run all tiles of waves start..start + count, those of one diagonal (chunk + block) at once."""
        chunks, blocks = self.order.chunks, -(-count // self.block)
        for diagonal in range(chunks + blocks - 1)[:: -1 if backwards else 1]:
            tiles = [(c, diagonal - c) for c in range(max(0, diagonal - blocks + 1), min(chunks, diagonal + 1))]

            def run(item: tuple[int, int]) -> None:
                block = item[1] * self.block
                tile(item[0], rows, start, (block, min(block + self.block, count)))

            if self._pool is None or len(tiles) == 1:
                for item in tiles:
                    run(item)
            else:
                list(self._pool.map(run, tiles))

    def _read(self, rows: Rows, start: int, count: int, discharge: NDArray[np.float64]) -> None:
        """Take the discharge at the gauges out of rows of waves start..start + count."""
        for gauge, slot in enumerate(self.gauge_slots):
            first = start - self.order.level[slot]
            a, b = max(first, 0), min(first + count, self.order.steps)
            if a < b:
                discharge[gauge, a:b] = rows.flow[1 + a - first : 1 + b - first, slot]

    def _set_row(self, rows: Rows, state: State) -> None:
        order = self.order
        rows.levels[:, 0] = order.spread(state.levels, 0.5)
        rows.lateral[0] = order.spread(state.lateral_inflow, 0.0)[order.n_headwater :]
        rows.flow[0] = order.spread(state.discharge, 0.0)

    def _state(self, rows: Rows) -> State:
        order = self.order
        lateral = np.concatenate([rows.flow[0, : order.n_headwater], rows.lateral[0]])
        levels, flow, lateral = (values.astype(np.float64) for values in (rows.levels[:, 0], rows.flow[0], lateral))
        return State(levels[:, order.slot], flow[order.slot], lateral[order.slot])


class _Forward:
    """Runs one tile forward."""

    def __init__(self, simulator: Simulator, parameters: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        self.simulator, order, structure = simulator, simulator.order, simulator.structure
        simulator.newton[:] = 0
        scaled = structure.scaled(weights).astype(simulator.real) if structure.has_network else weights
        self.extra = [structure.extra(scaled, simulator.newton, simulator.real) for _ in range(order.chunks)]
        cp, ct, kexc, akw, bkw = order.spread(parameters, 1.0)
        kexc[order.cell < 0] = 0.0  # a gain without end, in an idle slot, would keep the solvers busy
        self.cells = np.stack([cp, 1.0 / cp, ct, 1.0 / ct, kexc]).astype(simulator.real)
        self.wave = np.stack([akw, bkw])[:, order.n_headwater :].astype(simulator.real)

    def __call__(self, chunk: int, rows: Rows, start: int, span: tuple[int, int]) -> None:
        simulator, order = self.simulator, self.simulator.order
        first, last = order.borders[:, chunk], order.borders[:, chunk + 1]
        simulator.structure.loops[0](
            start, span, first, last, order.low, order.high, order.offset, order.n_headwater, simulator.net,
            self.cells, simulator.constants, rows.levels, rows.lateral, rows.flow, self.extra[chunk],
        )  # fmt: skip
        routing.route(
            start, span, first[1], last[1], order.low, order.high, order.n_headwater, self.wave[0], self.wave[1], simulator.courant,
            order.upstream, rows.lateral, rows.flow, simulator._inflow,
        )  # fmt: skip


class _Reverse:
    """Runs one tile in reverse and sums the gradient."""

    def __init__(self, simulator: Simulator, forward: _Forward, seed: NDArray[np.float64]) -> None:
        self.simulator, self.forward, order = simulator, forward, simulator.order
        routed = order.slots - order.n_headwater
        self.seed = np.ascontiguousarray(seed, simulator.real)
        self.levels = np.zeros((2, order.slots), simulator.real)
        self.cells = np.zeros((3, order.slots), simulator.real)
        self.weights = np.zeros((order.chunks, simulator.structure.weights), simulator.real)
        self.wave = np.zeros((2, routed), simulator.real)
        self.carry = np.zeros((2, routed), simulator.real)
        self.received = np.empty(routed, simulator.real)
        # A chunk is at most `reach` blocks ahead of one upstream of it, which still reads the row after its own block.
        self.inflow = np.zeros(((order.max_chunk_lag + 2) * simulator.block, routed + 1), simulator.real)
        self.lateral = np.empty((simulator.block, order.slots), simulator.real)

    def __call__(self, chunk: int, rows: Rows, start: int, span: tuple[int, int]) -> None:
        simulator, order, forward = self.simulator, self.simulator.order, self.forward
        first, last = order.borders[:, chunk], order.borders[:, chunk + 1]
        routing.route_adjoint(
            start, span, first, last, order.low, order.high, order.n_headwater, forward.wave[0], forward.wave[1], simulator.courant,
            order.upstream, rows.lateral, rows.flow, simulator._inflow, self.received,
            order.downstream_index, order.level, self.seed, simulator.gauge_slots, self.carry[0], self.carry[1],
            self.wave[0], self.wave[1], self.inflow, self.lateral,
        )  # fmt: skip
        simulator.structure.loops[1](
            start, span, first, last, order.low, order.high, order.offset, simulator.net, forward.cells, simulator.constants,
            rows.levels, self.lateral, self.levels, self.cells, forward.extra[chunk], self.weights[chunk],
        )  # fmt: skip

    def gradient(self) -> Gradient:
        order = self.simulator.order
        wave = np.concatenate([np.zeros((2, order.n_headwater)), self.wave], axis=1)
        return Gradient(
            np.concatenate([self.cells, wave])[:, order.slot].astype(np.float64),
            self.levels[:, order.slot].astype(np.float64),
            self._weights(),
        )

    def _weights(self) -> NDArray[np.float64]:
        """The chunks' sums in their order, whichever thread had them."""
        structure = self.simulator.structure
        summed = self.weights.astype(np.float64).sum(axis=0)
        return structure.scaled(summed) if structure.has_network else summed
