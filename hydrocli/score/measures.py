"""What signatures measure in a stretch of discharge, each with its derivative beneath it.

`flow[m]` is the discharge of the stretch without its gaps [m3/s], `water` the rain on the catchment in the same steps,
summed [m3/s]. High flow is the quick flow, discharge - base flow; low flow is the base flow. A zero denominator gives
NaN. Base flow, peak and quantiles have kinks, where the derivative is that of one side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hydrocli.score.baseflow import baseflow, baseflow_bar

Floats = NDArray[np.float64]


def runoff_coefficient(flow: Floats, water: float) -> float:
    """Discharge over rain."""
    return ratio(np.sum(flow), water)


def runoff_coefficient_bar(flow: Floats, water: float, value_bar: float) -> Floats:
    """Derivative of `value_bar * runoff_coefficient` by the discharge."""
    return np.full(flow.size, value_bar / water)


def low_coefficient(flow: Floats, water: float) -> float:
    """Low flow over rain."""
    return ratio(np.sum(baseflow(flow)), water)


def low_coefficient_bar(flow: Floats, water: float, value_bar: float) -> Floats:
    """Derivative of `value_bar * low_coefficient` by the discharge."""
    return baseflow_bar(flow, np.full(flow.size, value_bar / water))


def high_coefficient(flow: Floats, water: float) -> float:
    """High flow over rain."""
    return ratio(np.sum(flow) - np.sum(baseflow(flow)), water)


def high_coefficient_bar(flow: Floats, water: float, value_bar: float) -> Floats:
    """Derivative of `value_bar * high_coefficient` by the discharge."""
    return runoff_coefficient_bar(flow, water, value_bar) - low_coefficient_bar(flow, water, value_bar)


def high_share(flow: Floats, water: float) -> float:
    """High flow over discharge."""
    runoff = np.sum(flow)
    return ratio(runoff - np.sum(baseflow(flow)), runoff)


def high_share_bar(flow: Floats, water: float, value_bar: float) -> Floats:
    """Derivative of `value_bar * high_share` by the discharge: it is 1 - low flow / discharge."""
    runoff = np.sum(flow)
    low = np.sum(baseflow(flow))
    return baseflow_bar(flow, np.full(flow.size, -value_bar / runoff)) + value_bar * low / runoff**2


def mean_high(flow: Floats, water: float) -> float:
    """Mean high flow [m3/s]."""
    return float(np.mean(flow - baseflow(flow)))


def mean_high_bar(flow: Floats, water: float, value_bar: float) -> Floats:
    """Derivative of `value_bar * mean_high` by the discharge."""
    return value_bar / flow.size - mean_low_bar(flow, water, value_bar)


def mean_low(flow: Floats, water: float) -> float:
    """Mean low flow [m3/s]."""
    return float(np.mean(baseflow(flow)))


def mean_low_bar(flow: Floats, water: float, value_bar: float) -> Floats:
    """Derivative of `value_bar * mean_low` by the discharge."""
    return baseflow_bar(flow, np.full(flow.size, value_bar / flow.size))


def peak(flow: Floats, water: float) -> float:
    """Largest discharge [m3/s]."""
    return float(flow.max())


def peak_bar(flow: Floats, water: float, value_bar: float) -> Floats:
    """Derivative of `value_bar * peak` by the discharge: all of it at the (first) peak."""
    flow_bar = np.zeros(flow.size)
    flow_bar[np.argmax(flow)] = value_bar
    return flow_bar


def quantile(flow: Floats, water: float, share: float) -> float:
    """Quantile of the discharge [m3/s], interpolated between the two values beside it."""
    return float(np.quantile(flow, share))


def quantile_bar(flow: Floats, water: float, value_bar: float, share: float) -> Floats:
    """Derivative of `value_bar * quantile` by the discharge: parted between those two values."""
    place = share * (flow.size - 1)
    below = int(place)
    above = min(below + 1, flow.size - 1)
    order = np.argpartition(flow, (below, above))
    flow_bar = np.zeros(flow.size)
    flow_bar[order[below]] += value_bar * (1 - (place - below))
    flow_bar[order[above]] += value_bar * (place - below)
    return flow_bar


def ratio(numerator: float, denominator: float) -> float:
    """A quotient, NaN where nothing divides."""
    return float(numerator / denominator) if denominator != 0 else np.nan


@dataclass(frozen=True)
class Measure:
    """A signature as a function of flow and water, and its derivative.

    `of_both` says that it looks at the steps that have discharge and rain, not at all that have discharge.
    """

    value: Callable[[Floats, float], float]
    bar: Callable[[Floats, float, float], Floats]
    of_both: bool = False


def _quantile(share: float) -> Measure:
    return Measure(partial(quantile, share=share), partial(quantile_bar, share=share))


_RATIOS = (
    Measure(runoff_coefficient, runoff_coefficient_bar, of_both=True),
    Measure(high_coefficient, high_coefficient_bar, of_both=True),
    Measure(low_coefficient, low_coefficient_bar, of_both=True),
    Measure(high_share, high_share_bar, of_both=True),
)

CONTINUOUS_MEASURES: dict[str, Measure] = {
    **dict(zip(("Crc", "Crchf", "Crclf", "Crch2r"), _RATIOS, strict=True)),
    **{f"Cfp{percent}": _quantile(percent / 100) for percent in (2, 10, 50, 90)},
}
"""Signatures of a whole series."""

EVENT_MEASURES: dict[str, Measure] = {
    **dict(zip(("Erc", "Erchf", "Erclf", "Erch2r"), _RATIOS, strict=True)),
    "Eff": Measure(mean_high, mean_high_bar),
    "Ebf": Measure(mean_low, mean_low_bar),
    "Epf": Measure(peak, peak_bar),
}
"""Signatures of an event that have a derivative; the lag Elt moves in whole steps and has none."""
