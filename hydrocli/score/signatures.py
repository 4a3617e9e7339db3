"""Hydrological signatures of a discharge series: of the whole series and of one flood event.

Definitions: Huynh et al. (2023). High flow is the quick flow, discharge - base flow; low flow is the base flow.
In an event the base flow is that of the event's own discharge. Quantiles are interpolated linearly.

Ratios of water are over the steps that have both discharge and rain, the other signatures over all steps that have
discharge. What no value or a zero denominator leaves undefined is NaN. So that a simulated series is compared like with
like, give it the gaps of the observed one.

What signatures measure in a stretch of discharge, each with its derivative beneath it.

`flow[m]` is the discharge of the stretch without its gaps [m3/s], `water` the rain on the catchment in the same steps,
summed [m3/s]. High flow is the quick flow, discharge - base flow; low flow is the base flow. A zero denominator gives
NaN. Base flow, peak and quantiles have kinks, where the derivative is that of one side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydrocli.arrays import Floats
from hydrocli.score.baseflow import baseflow, baseflow_bar
from hydrocli.score.events import Event

CONTINUOUS = {
    "Crc": ("runoff coefficient", "-"),
    "Crchf": ("runoff coefficient of the high flow", "-"),
    "Crclf": ("runoff coefficient of the low flow", "-"),
    "Crch2r": ("fraction of high flow in the discharge", "-"),
    "Cfp2": ("2 % quantile of the discharge", "m3/s"),
    "Cfp10": ("10 % quantile of the discharge", "m3/s"),
    "Cfp50": ("50 % quantile of the discharge", "m3/s"),
    "Cfp90": ("90 % quantile of the discharge", "m3/s"),
}
"""Signatures of a whole series: words and unit."""

EVENT = {
    "Erc": ("runoff coefficient of the event", "-"),
    "Erchf": ("runoff coefficient of the event's high flow", "-"),
    "Erclf": ("runoff coefficient of the event's low flow", "-"),
    "Erch2r": ("fraction of high flow in the discharge of the event", "-"),
    "Eff": ("mean quick flow of the event", "m3/s"),
    "Ebf": ("mean base flow of the event", "m3/s"),
    "Epf": ("peak discharge of the event", "m3/s"),
    "Elt": ("lag from the largest rain to the peak discharge", "h"),
}
"""Signatures of an event: words and unit."""


def continuous_signatures(discharge: ArrayLike, rain: ArrayLike, area: float, step: int) -> dict[str, float]:
    """Signatures of a whole series, keyed as `CONTINUOUS`.

    Args:
        discharge: float[t], m3/s, NaN = missing.
        rain: float[t], mean rain on the catchment, mm per step, NaN = missing.
        area: of the catchment, m2.
        step: s.
    """
    return _measured(*flows(discharge, rain, area, step), CONTINUOUS_MEASURES)


def event_signatures(discharge: ArrayLike, rain: ArrayLike, area: float, step: int, event: Event) -> dict[str, float]:
    """Signatures of one event, keyed as `EVENT`.

    `discharge` and `rain` are the whole series, as in `continuous_signatures`. The peak and the lag are those of this
    discharge inside the event, so the event found in the observed series serves the simulated one too.
    """
    inside = slice(event.start, event.end + 1)
    flow, water = (series[inside] for series in flows(discharge, rain, area, step))
    if np.isnan(flow).all():
        return dict.fromkeys(EVENT, np.nan)
    return _measured(flow, water, EVENT_MEASURES) | {"Elt": _lag(flow, water, step)}


def relative_error(observed: float, simulated: float) -> float:
    """(simulated - observed) / observed [-]; NaN where the observed signature is 0 or either is NaN."""
    return ratio(simulated - observed, observed)


def flows(discharge: ArrayLike, rain: ArrayLike, area: float, step: int) -> tuple[Floats, Floats]:
    """Discharge and rain, both in m3/s."""
    return np.asarray(discharge, dtype=np.float64), np.asarray(rain, dtype=np.float64) * (area / (1000.0 * step))


def stretch(flow: Floats, water: Floats, measure: Measure) -> NDArray[np.intp]:
    """Which steps of a stretch a measure looks at."""
    there = ~np.isnan(flow)
    return np.flatnonzero(there & ~np.isnan(water) if measure.of_both else there)


def _measured(flow: Floats, water: Floats, measures: dict[str, Measure]) -> dict[str, float]:
    found = {}
    for name, measure in measures.items():
        at = stretch(flow, water, measure)
        found[name] = measure.value(flow[at], float(np.nansum(water[at]))) if at.size else np.nan
    return found


def _lag(flow: Floats, water: Floats, step: int) -> float:
    if not np.nanmax(water, initial=0.0) > 0:
        return np.nan
    return float(np.nanargmax(flow) - np.nanargmax(water)) * step / 3600


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
