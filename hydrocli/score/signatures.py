"""Hydrological signatures of a discharge series: of the whole series and of one flood event.

Definitions: Huynh et al. (2023). High flow is the quick flow, discharge - base flow; low flow is the base flow.
In an event the base flow is that of the event's own discharge. Quantiles are interpolated linearly.

Ratios of water are over the steps that have both discharge and rain, the other signatures over all steps that have
discharge. What no value or a zero denominator leaves undefined is NaN. So that a simulated series is compared like with
like, give it the gaps of the observed one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydrocli.score.events import Event
from hydrocli.score.measures import CONTINUOUS_MEASURES, EVENT_MEASURES, Measure, ratio

Series = NDArray[np.float64]

CONTINUOUS = {
    "Crc": ("runoff coefficient", "-"),
    "Crchf": ("runoff coefficient of the high flow", "-"),
    "Crclf": ("runoff coefficient of the low flow", "-"),
    "Crch2r": ("share of the high flow in the discharge", "-"),
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
    "Erch2r": ("share of the high flow in the event's discharge", "-"),
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


def flows(discharge: ArrayLike, rain: ArrayLike, area: float, step: int) -> tuple[Series, Series]:
    """Discharge and rain, both in m3/s."""
    return np.asarray(discharge, dtype=np.float64), np.asarray(rain, dtype=np.float64) * (area / (1000.0 * step))


def stretch(flow: Series, water: Series, measure: Measure) -> NDArray[np.intp]:
    """Which steps of a stretch a measure looks at."""
    there = ~np.isnan(flow)
    return np.flatnonzero(there & ~np.isnan(water) if measure.of_both else there)


def _measured(flow: Series, water: Series, measures: dict[str, Measure]) -> dict[str, float]:
    found = {}
    for name, measure in measures.items():
        at = stretch(flow, water, measure)
        found[name] = measure.value(flow[at], float(np.nansum(water[at]))) if at.size else np.nan
    return found


def _lag(flow: Series, water: Series, step: int) -> float:
    if not np.nanmax(water, initial=0.0) > 0:
        return np.nan
    return float(np.nanargmax(flow) - np.nanargmax(water)) * step / 3600
