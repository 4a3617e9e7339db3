"""Rows of cells that several structures share."""

from __future__ import annotations

import numpy as np

from hydrocli.engine.order import carry, window
from hydrocli.jit import loop

ZERO_F32 = np.float32(0.0)
"""Zero in the precision of the forcing: a double would widen the whole row."""


@loop
def inputs_of(net, hp, ht, values):
    """The inputs of phi1 in the rows of `values`: hp, ht, pn, en."""
    real = values.dtype.type
    v0, v1, v2, v3 = values[0], values[1], values[2], values[3]
    for c in range(net.size):
        v0[c] = hp[c]
        v1[c] = ht[c]
        v2[c] = real(max(net[c], ZERO_F32))
        v3[c] = real(max(-net[c], ZERO_F32))


@loop
def carry_idle_cells(wave, k, rows, first, last, low, high, n_headwater, levels, lateral, flow):
    """See `skew.hold`: levels and runoff of the slots of a chunk that are not active at row k."""
    for block in range(2):
        now = window(low, high, block, wave + k, first[block], last[block])
        before = window(low, high, block, max(wave + k - 1, 0), first[block], last[block])
        for level in range(levels.shape[0]):
            carry(levels[level], rows, k, before, now, first[block], last[block])
        if block == 0:
            carry(flow, rows, k, before, now, first[0], last[0])
        else:
            (a, b), (left, entered) = now, before
            carry(
                lateral,
                rows,
                k,
                (left - n_headwater, entered - n_headwater),
                (a - n_headwater, b - n_headwater),
                first[1] - n_headwater,
                last[1] - n_headwater,
            )
