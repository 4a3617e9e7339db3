"""Rows of cells: how a loop takes and gives the values of any number of parameters, states and fluxes.

A structure is compiled over tuples of rows, one row [n] per parameter, state or flux. Each row is a slice that is
contiguous by type (`levels[0, k, a:b]`, but not `levels[:, k, a:b]`): otherwise the loop is not SIMD.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.jit import loop, unrolled

STRIP = 128
"""Cells of a strip: the rows of a workspace stay in the first-level cache."""
WHOLE_ROW = 1 << 40
"""A strip as long as any row, for structures without a workspace."""
ZERO_F32 = np.float32(0.0)
"""Zero in the precision of the forcing: a double would widen the whole row."""


class SolverCounts(NamedTuple):
    """What a solver counts in the cells of a strip; other cells than first..last are computed along and not counted.

    numbers: [4, n] sum of the iterations, largest number of them, steps solved again, steps without a solution. They
    are of the precision of the rows, for AVX2 cannot convert 64-bit integers.
    """

    numbers: NDArray[np.floating]
    first: int
    last: int


def values_at(count: int) -> Any:
    """`values_at(n)(rows, c)`: the values of n rows at cell c."""
    return unrolled("rows[{i}][c]", count)


def set_at(count: int) -> Any:
    """`set_at(n)(rows, c, values)`: set n rows at cell c."""
    return unrolled("rows[{i}][c] = values[{i}]", count, "rows, c, values")


def add_at(count: int) -> Any:
    """`add_at(n)(rows, c, values)`: add to n rows at cell c."""
    return unrolled("rows[{i}][c] += values[{i}]", count, "rows, c, values")


def rows_of(count: int) -> Any:
    """`rows_of(n)(block)`: the first n rows of a block[rows, n] as a tuple."""
    return unrolled("block[{i}]", count, "block")


def cut(count: int) -> Any:
    """`cut(n)(block, a, b)`: slots a..b of n rows of block[n, slots]."""
    return unrolled("block[{i}, a:b]", count, "block, a, b")


def cut_row(count: int) -> Any:
    """`cut_row(n)(block, k, a, b)`: slots a..b of row k of n buffers, block[n, rows, slots]."""
    return unrolled("block[{i}, k, a:b]", count, "block, k, a, b")


@loop
def split_net(net, pn, en):
    """Net rain pn and net evapotranspiration en from their difference: never both are positive."""
    real = pn.dtype.type
    for c in range(net.size):
        pn[c], en[c] = real(max(net[c], ZERO_F32)), real(max(-net[c], ZERO_F32))
