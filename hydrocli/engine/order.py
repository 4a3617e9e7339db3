"""The wavefront order of computation: at wave w, the cell of level l computes its own step w - l.

`level(downstream) = level + 1` on every edge, so what a cell needs from upstream was computed in the wave before, and
a wave is a row of independent cells. Cells get slots: first the headwaters, which are not routed, then the routed
cells, both by level; so at each wave the cells inside their period are one contiguous range of slots in each of the
two blocks. Both blocks are padded to whole vectors with idle slots (no rain, any parameter).

The loops compute whole vectors: the ranges are rounded outward, over cells that have not started or have ended, whose
results are put right afterwards (`hydrocli.engine.tiles`). So no row has a tail of single cells, which costs time and
would round otherwise than the vectors, and a warm start, whose ranges begin elsewhere, has the same bits.

Chunks are ranges of slots in both blocks, whose borders depend on the basin alone, never on the number of threads: a
cell lies in the same chunk as its downstream cell or in an earlier one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import VECTOR, loop

CHUNK = 2048
"""About so many slots make a chunk: its rows stay in the second-level cache over a block of waves."""


class Upstream(NamedTuple):
    """What drains into the routed slots, which are numbered from the first of them.

    Most have one or two slots upstream, in no order that a processor could foresee: so the first of each is a loop
    without a branch, and what is left is a second list. Unsigned, for Numba would else ask at every access whether the
    index is negative.

    first: uint64[routed], the first slot upstream; an idle slot's is the slot itself.
    further_start: int64[routed + 1], where the others of each begin in the lists into: uint64[], the routed slot, and
    further: uint64[], the slot that drains into it.
    """

    first: NDArray[np.uint64]
    further_start: NDArray[np.int64]
    into: NDArray[np.uint64]
    further: NDArray[np.uint64]


class WavefrontOrder(NamedTuple):
    """Slots, windows and chunks of one basin over `steps` steps; compiled loops take it as it is.

    slot: int64[n], slot of each cell. cell: int64[slots], cell of each slot, -1 where idle. level: int64[slots].
    n_headwater: number of slots of the headwater block. downstream: int64[slots], `slots` at an outlet.
    downstream_index: uint64[slots], `downstream` counted from the first routed slot.
    upstream: the slots that drain into each routed slot.
    low, high: int64[2, waves], range of slots that is computed in both blocks at each wave, in whole vectors.
    active_low, active_high: int64[2, waves], the active slots in it, which are inside their period.
    offset: int64[2, waves], where the computed range starts in the ragged forcing, which is zero at inactive slots.
    borders: int64[2, chunks + 1], chunks of slots in both blocks.
    """

    steps: int
    slot: NDArray[np.int64]
    cell: NDArray[np.int64]
    level: NDArray[np.int64]
    n_headwater: int
    downstream: NDArray[np.int64]
    downstream_index: NDArray[np.uint64]
    upstream: Upstream
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    active_low: NDArray[np.int64]
    active_high: NDArray[np.int64]
    offset: NDArray[np.int64]
    borders: NDArray[np.int64]

    @property
    def slots(self) -> int:
        """Number of slots, idle ones included."""
        return len(self.cell)

    @property
    def waves(self) -> int:
        """Number of waves: steps plus levels less one."""
        return self.low.shape[1]

    @property
    def forcing_size(self) -> int:
        """Number of values of the ragged forcing."""
        return int((self.high - self.low).sum())

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return self.borders.shape[1] - 1

    @property
    def max_chunk_lag(self) -> int:
        """How many chunks later than its own the cell downstream of a cell lies, at most."""
        drains = np.flatnonzero(self.downstream < self.slots)
        return int((self.chunk_of(self.downstream[drains]) - self.chunk_of(drains)).max(initial=0))

    def chunk_of(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Chunk that each of some slots lies in."""
        headwaters, routed = (np.searchsorted(borders[1:-1], slots, "right") for borders in self.borders)
        return np.where(slots < self.n_headwater, headwaters, routed)

    def spread(self, values: NDArray[np.floating], idle: float) -> NDArray[np.floating]:
        """Values of cells [..., n] at their slots [..., slots]; `idle` where there is no cell."""
        spread = np.full((*values.shape[:-1], self.slots), idle, values.dtype)
        spread[..., self.slot] = values
        return spread


def wavefront_order(downstream: NDArray[np.integer], level: NDArray[np.integer], steps: int) -> WavefrontOrder:
    """Order the cells of a basin.

    Args:
        downstream: [n] cell downstream of each, -1 at an outlet.
        level: [n] largest depth less depth, one more at the downstream end of every edge.
        steps: number of time steps.
    """
    cells = len(downstream)
    routed = np.zeros(cells, bool)
    routed[downstream[downstream >= 0]] = True
    blocks = [_padded(np.flatnonzero(~routed), level), _padded(np.flatnonzero(routed), level)]
    cell = np.concatenate(blocks)
    slot = np.empty(cells, np.int64)
    slot[cell[cell >= 0]] = np.flatnonzero(cell >= 0)
    slot_level = _levels(blocks, level)
    slots, n_headwater = len(cell), len(blocks[0])
    flows_to = np.full(slots, slots, np.int64)
    inside = np.flatnonzero(downstream >= 0)
    flows_to[slot[inside]] = slot[downstream[inside]]
    active_low, active_high = _windows(slot_level, n_headwater, steps)
    low = active_low // VECTOR * VECTOR
    high = np.where(active_low < active_high, -(-active_high // VECTOR) * VECTOR, low)
    width = (high - low).sum(axis=0)
    first = np.concatenate([[0], np.cumsum(width)[:-1]])
    offset = np.stack([first, first + high[0] - low[0]])
    return WavefrontOrder(
        steps, slot, cell, slot_level, n_headwater, flows_to, np.maximum(flows_to - n_headwater, 0).astype(np.uint64),
        _upstream(flows_to, n_headwater), low, high, active_low, active_high, offset, _borders(slot_level, n_headwater),
    )  # fmt: skip


def _upstream(flows_to: NDArray[np.int64], n_headwater: int) -> Upstream:
    """Edges in the order of what they drain into, the first of each slot apart."""
    routed = len(flows_to) - n_headwater
    source = np.argsort(flows_to, kind="stable")[: np.count_nonzero(flows_to < len(flows_to))]
    into = flows_to[source] - n_headwater
    is_first = np.diff(into, prepend=-1) > 0
    first = np.arange(n_headwater, len(flows_to))
    first[into[is_first]] = source[is_first]
    source, into = source[~is_first], into[~is_first]
    further_start = np.searchsorted(into, np.arange(routed + 1))
    return Upstream(first.astype(np.uint64), further_start, into.astype(np.uint64), source.astype(np.uint64))


def _padded(cells: NDArray[np.int64], level: NDArray[np.integer]) -> NDArray[np.int64]:
    ordered = cells[np.argsort(level[cells], kind="stable")]
    return np.concatenate([ordered, np.full(-len(cells) % VECTOR, -1)])


def _levels(blocks: list[NDArray[np.int64]], level: NDArray[np.integer]) -> NDArray[np.int64]:
    """Level of each slot; idle ones follow the last of their block."""
    parts = [np.where(block >= 0, level[block], level[block].max(initial=0, where=block >= 0)) for block in blocks]
    return np.concatenate(parts).astype(np.int64)


def _windows(level: NDArray[np.int64], n_headwater: int, steps: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Range of slots with 0 <= wave - level < steps, in both blocks at each wave."""
    waves = np.arange(steps + level.max(initial=0))
    blocks = ((level[:n_headwater], 0), (level[n_headwater:], n_headwater))
    low = np.stack([first + np.searchsorted(block, waves - steps, "right") for block, first in blocks])
    high = np.stack([first + np.searchsorted(block, waves, "right") for block, first in blocks])
    return low, high


def _borders(level: NDArray[np.int64], n_headwater: int) -> NDArray[np.int64]:
    """Borders of the chunks; a headwater lies no later than the routed cell that it feeds."""
    slots = len(level)
    count = max(1, round(slots / CHUNK))
    routed = n_headwater + (slots - n_headwater) * np.arange(1, count) // count // VECTOR * VECTOR
    fed = np.searchsorted(level[:n_headwater], level[np.minimum(routed, slots - 1)], "right")
    fed = np.minimum(-(-fed // VECTOR) * VECTOR, n_headwater)
    return np.stack([np.concatenate([[0], fed, [n_headwater]]), np.concatenate([[n_headwater], routed, [slots]])])


@loop
def order_forcing(values, first_step, order, out):
    """Put values[some steps, n], from step `first_step` on, where the loops read them in out[forcing_size]."""
    for t in range(values.shape[0]):
        for s in range(order.level.size):
            if order.cell[s] >= 0:
                block, wave = int(s >= order.n_headwater), first_step + t + order.level[s]
                out[order.offset[block, wave] + s - order.low[block, wave]] = values[t, order.cell[s]]


@loop
def window(low, high, block, wave, first, last):
    """Slots a..b of low..high in a chunk's slots first..last, in one block at a wave; a == b where none is."""
    a = min(max(low[block, wave], first), last)
    return a, max(min(high[block, wave], last), a)
