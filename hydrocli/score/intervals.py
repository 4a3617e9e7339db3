"""Observations that are means over several steps of the model, such as daily means beside an hourly model.

    q_i = 1/n sum over the n steps j of the interval of i of q_j

replaces the simulated discharge at each step i of an interval before it is compared; the observed mean stands at each
of these steps, too. Means over time of the two series, and so metrics, are those over the intervals. The operator is
symmetric: it is its own transpose.

An interval is known by its last step: `until` [t] has it for each step, which is its own where observations are of
single steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats

Until = NDArray[np.integer]


def mean_over(series: Floats, until: Until | None) -> Floats:
    """Mean over the interval of each step of a series [t]; the series itself where `until` is None.

    It is its own transpose: derivatives [t] by the means give those by the series.
    """
    if until is None:
        return series
    starts, counts = _runs(until)
    return np.repeat(np.add.reduceat(series, starts) / counts, counts)


def sum_over(columns: Floats, until: Until | None) -> Floats:
    """Sums over the intervals of columns [t, m], [k, m] for k intervals; the columns themselves where it is None."""
    return columns if until is None else np.add.reduceat(columns, _runs(until)[0], axis=0)


def last_steps(until: Until | None, size: int) -> NDArray[np.integer]:
    """The last step of each of the k intervals of a series of `size` steps, int[k]."""
    if until is None:
        return np.arange(size)
    starts, counts = _runs(until)
    return starts + counts - 1


def whole(inside: Flags, until: Until | None) -> Flags:
    """Steps [t] of the intervals that lie inside with all their steps; one that a series cuts off does not."""
    if until is None:
        return inside
    starts, counts = _runs(until)
    is_complete = until[starts] == starts + counts - 1
    return np.repeat(np.logical_and.reduceat(inside, starts) & is_complete, counts)


def until_of(times: NDArray[np.datetime64], ends: NDArray[np.datetime64]) -> Until | None:
    """The last step of the interval of each step [t], from ends of intervals that are NaT for single steps.

    Args:
        times: stamps of the steps.
        ends: stamp of the last step of each interval.
    """
    is_mean = ~np.isnat(ends)
    if not is_mean.any():
        return None
    own = np.arange(len(times))
    return np.where(is_mean, np.searchsorted(times, np.where(is_mean, ends, times)), own)


def ends_of(times: NDArray[np.datetime64], until: Until | None) -> NDArray[np.datetime64]:
    """Ends of the intervals of each step [t], NaT for single steps: what `until_of` takes."""
    if until is None:
        return np.full(len(times), np.datetime64("NaT"), "datetime64[s]")
    starts, counts = _runs(until)
    ends = np.where(counts > 1, times[starts + counts - 1], np.datetime64("NaT"))
    return np.repeat(ends, counts).astype("datetime64[s]")


def _runs(until: Until) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """First step and number of steps of each interval."""
    starts = np.flatnonzero(np.r_[True, until[1:] != until[:-1]])
    return starts, np.diff(np.r_[starts, len(until)])
