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

from hydrocli.model import routing
from hydrocli.model.skew import Skew
from hydrocli.model.structures import GR, Structure

Array = NDArray[np.floating]
Seed = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]
Watch = Callable[["Rows", int, int], None]

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
    def empty(cls, rows: int, skew: Skew, real: type) -> Rows:
        """Buffers for so many rows after row 0."""
        routed = skew.slots - skew.heads
        return cls(
            np.zeros((2, rows + 1, skew.slots), real),
            np.zeros((rows + 1, routed), real),
            np.zeros((rows + 1, skew.slots), real),
        )

    def copy_row(self, row: int, source: Rows, source_row: int) -> None:
        """Take one row from another buffer."""
        self.levels[:, row] = source.levels[:, source_row]
        self.lateral[row] = source.lateral[source_row]
        self.flow[row] = source.flow[source_row]


def bytes_per_row(skew: Skew, real: type) -> int:
    """Memory of one row of states."""
    return (3 * skew.slots + skew.slots - skew.heads) * np.dtype(real).itemsize


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


class Sweep:
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
        skew: Skew,
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
        self.skew, self.net, self.structure = skew, net, structure
        self.real = {"double": np.float64, "single": np.float32}[precision]
        to_discharge = skew.spread(1e-3 * cell_area / step, 0.0).astype(self.real)
        inverse_beta = 4.0 / 9.0 * (step / 86400.0) ** 0.25
        self.constants = (to_discharge, self.real(inverse_beta))
        self.courant = skew.spread(step / cell_width, 1.0)[skew.heads :].astype(self.real)
        self.gauge_slots = skew.slot[gauges]
        self.block = max(16, min(512, BLOCK_VALUES * skew.chunks // skew.slots))
        self.threads = min(threads, skew.chunks)
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self.set_memory(memory)
        self.newton = np.zeros((4, skew.slots), np.int64)
        self._inflow = np.zeros(skew.slots - skew.heads, self.real)
        self._moving = Rows.empty(self.block * (1 if skew.chunks == 1 else 8), skew, self.real)

    def set_memory(self, memory: float) -> None:
        """Choose anew how many rows a gradient keeps, for a budget in bytes; what is kept now is freed."""
        self.segment = self._segment(memory)
        self._tape: Rows | None = None

    def twin(self) -> Sweep:
        """The same sweep on one thread with buffers of its own, for another thread to run at the same time."""
        other = copy(self)
        other.threads, other._pool, other._tape = 1, None, None
        other.newton, other._inflow = np.zeros_like(self.newton), np.zeros_like(self._inflow)
        other._moving = Rows.empty(len(self._moving.flow) - 1, self.skew, self.real)
        return other

    def simulate(
        self,
        parameters: NDArray[np.float64],
        state: State,
        weights: NDArray[np.float64] = NO_WEIGHTS,
        watch: Watch | None = None,
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
        discharge = np.empty((len(self.gauge_slots), self.skew.steps))
        self._set_row(self._moving, state)
        self._advance(forward, 0, self.skew.waves, discharge, watch, at_once)
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
        forward, waves = _Forward(self, parameters, weights), self.skew.waves
        starts = range(0, waves, self.segment)
        checkpoints = Rows.empty(len(starts) - 1, self.skew, self.real)
        discharge = np.empty((len(self.gauge_slots), self.skew.steps))
        self._set_row(checkpoints, state)
        for number, start in enumerate(starts[:-1]):
            self._moving.copy_row(0, checkpoints, number)
            self._advance(forward, start, self.segment, discharge)
            checkpoints.copy_row(number + 1, self._moving, 0)
        if self._tape is None:
            self._tape = Rows.empty(min(self.segment, waves), self.skew, self.real)
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
        waves = self.skew.waves
        all_fit = (waves + 2) * bytes_per_row(self.skew, self.real) <= memory
        rows = waves if all_fit else math.isqrt(waves) + 1
        return -(-rows // self.block) * self.block

    def _advance(
        self,
        forward: _Forward,
        start: int,
        waves: int,
        discharge: NDArray[np.float64],
        watch: Watch | None = None,
        at_once: int | None = None,
    ) -> None:
        """Run `waves` waves in the moving rows, whose row 0 is the state before and then after them."""
        moving = self._moving
        held = min(len(moving.flow) - 1, at_once or waves)
        for piece in range(start, start + waves, held):
            rows = min(held, start + waves - piece)
            self._run_tiles(forward, moving, piece, rows)
            self._read(moving, piece, rows, discharge)
            if watch is not None:
                watch(moving, piece, rows)
            moving.copy_row(0, moving, rows)

    def _run_tiles(
        self, tile: _Forward | _Reverse, rows: Rows, start: int, count: int, backwards: bool = False
    ) -> None:
        """Run all tiles of waves start..start + count, those of one diagonal (chunk + block) at once."""
        chunks, blocks = self.skew.chunks, -(-count // self.block)
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
            first = start - self.skew.level[slot]
            a, b = max(first, 0), min(first + count, self.skew.steps)
            if a < b:
                discharge[gauge, a:b] = rows.flow[1 + a - first : 1 + b - first, slot]

    def _set_row(self, rows: Rows, state: State) -> None:
        skew = self.skew
        rows.levels[:, 0] = skew.spread(state.levels, 0.5)
        rows.lateral[0] = skew.spread(state.lateral_inflow, 0.0)[skew.heads :]
        rows.flow[0] = skew.spread(state.discharge, 0.0)

    def _state(self, rows: Rows) -> State:
        skew = self.skew
        lateral = np.concatenate([rows.flow[0, : skew.heads], rows.lateral[0]])
        levels, flow, lateral = (values.astype(np.float64) for values in (rows.levels[:, 0], rows.flow[0], lateral))
        return State(levels[:, skew.slot], flow[skew.slot], lateral[skew.slot])


class _Forward:
    """Runs one tile forward."""

    def __init__(self, sweep: Sweep, parameters: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        self.sweep, skew, structure = sweep, sweep.skew, sweep.structure
        sweep.newton[:] = 0
        scaled = structure.scaled(weights).astype(sweep.real) if structure.has_network else weights
        self.extra = [structure.extra(scaled, sweep.newton, sweep.real) for _ in range(skew.chunks)]
        cp, ct, kexc, akw, bkw = skew.spread(parameters, 1.0)
        kexc[skew.cell < 0] = 0.0  # a gain without end, in an idle slot, would keep the solvers busy
        self.cells = np.stack([cp, 1.0 / cp, ct, 1.0 / ct, kexc]).astype(sweep.real)
        self.wave = np.stack([akw, bkw])[:, skew.heads :].astype(sweep.real)

    def __call__(self, chunk: int, rows: Rows, start: int, span: tuple[int, int]) -> None:
        sweep, skew = self.sweep, self.sweep.skew
        first, last = skew.borders[:, chunk], skew.borders[:, chunk + 1]
        sweep.structure.loops[0](
            start, span, first, last, skew.low, skew.high, skew.offset, skew.heads, sweep.net,
            self.cells, sweep.constants, rows.levels, rows.lateral, rows.flow, self.extra[chunk],
        )  # fmt: skip
        routing.route(
            start, span, first[1], last[1], skew.low, skew.high, skew.heads, self.wave[0], self.wave[1], sweep.courant,
            skew.upstream, rows.lateral, rows.flow, sweep._inflow,
        )  # fmt: skip


class _Reverse:
    """Runs one tile in reverse and sums the gradient."""

    def __init__(self, sweep: Sweep, forward: _Forward, seed: NDArray[np.float64]) -> None:
        self.sweep, self.forward, skew = sweep, forward, sweep.skew
        routed = skew.slots - skew.heads
        self.seed = np.ascontiguousarray(seed, sweep.real)
        self.levels = np.zeros((2, skew.slots), sweep.real)
        self.cells = np.zeros((3, skew.slots), sweep.real)
        self.weights = np.zeros((skew.chunks, sweep.structure.weights), sweep.real)
        self.wave = np.zeros((2, routed), sweep.real)
        self.carry = np.zeros((2, routed), sweep.real)
        self.received = np.empty(routed, sweep.real)
        # A chunk is at most `reach` blocks ahead of one upstream of it, which still reads the row after its own block.
        self.inflow = np.zeros(((skew.reach + 2) * sweep.block, routed + 1), sweep.real)
        self.lateral = np.empty((sweep.block, skew.slots), sweep.real)

    def __call__(self, chunk: int, rows: Rows, start: int, span: tuple[int, int]) -> None:
        sweep, skew, forward = self.sweep, self.sweep.skew, self.forward
        first, last = skew.borders[:, chunk], skew.borders[:, chunk + 1]
        routing.route_adjoint(
            start, span, first, last, skew.low, skew.high, skew.heads, forward.wave[0], forward.wave[1], sweep.courant,
            skew.upstream, rows.lateral, rows.flow, sweep._inflow, self.received,
            skew.owed_by, skew.level, self.seed, sweep.gauge_slots, self.carry[0], self.carry[1],
            self.wave[0], self.wave[1], self.inflow, self.lateral,
        )  # fmt: skip
        sweep.structure.loops[1](
            start, span, first, last, skew.low, skew.high, skew.offset, sweep.net, forward.cells, sweep.constants,
            rows.levels, self.lateral, self.levels, self.cells, forward.extra[chunk], self.weights[chunk],
        )  # fmt: skip

    def gradient(self) -> Gradient:
        skew = self.sweep.skew
        wave = np.concatenate([np.zeros((2, skew.heads)), self.wave], axis=1)
        return Gradient(
            np.concatenate([self.cells, wave])[:, skew.slot].astype(np.float64),
            self.levels[:, skew.slot].astype(np.float64),
            self._weights(),
        )

    def _weights(self) -> NDArray[np.float64]:
        """The chunks' sums in their order, whichever thread had them."""
        structure = self.sweep.structure
        summed = self.weights.astype(np.float64).sum(axis=0)
        return structure.scaled(summed) if structure.has_network else summed
