"""Flood events in a discharge series and the rain on its catchment: the segmentation of Huynh et al. (2023).

* Peaks are local maxima of the discharge at or above a high quantile of it; of peaks closer to each other than
  the separation (optional), only the highest.
* Start: onsets are local maxima of the gradient of the rain from 72 h to 1 h before the peak, at or above a quantile of
  that gradient. The event starts at the first onset whose rain energy (2-norm of the rain of 24 h, counted from 1 h
  before the onset) exceeds a share of the largest. Without an onset it starts at the steepest increase of the rain.
* End: between the peak and 240 h after the start, the time with the least quick flow (discharge - base flow) in the
  48 h counted from 1 h before it. The base flow is that of the stretch searched.
* Events that overlap, or meet in one step, are one event with several peaks: each local maximum counts, small waves on
  one crest too, unless a separation is set.

An event is given by indices of the series. A value belongs to the step that ends at its time stamp, so
`times[event.start]` is the END of the first step of the event.

Missing values. Rain: no water, as in the model. Discharge: a peak needs a value on both sides; the 48 h at the end must
be complete, and where no such 48 h follow (long gaps, the end of the record) the event ends at its peak.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from hydrocli.arrays import Floats
from hydrocli.score.baseflow import baseflow

SEASONS = ("DJF", "MAM", "JJA", "SON")


@dataclass(frozen=True)
class Segmentation:
    """Options of `find_events`; the defaults are those of the paper.

    Args:
        peak_quantile: a peak reaches at least this quantile of the discharge.
        peak_discharge: and at least this discharge [m3/s].
        separation: a peak this near to a higher one is not counted [h].
        max_duration: longest event before merging [h].
        onset_search: how long before the peak onsets are looked for [h].
        onset_quantile: an onset reaches at least this quantile of the rain gradient.
        energy_window: duration whose rain counts for an onset [h].
        energy_share: share of the largest energy that an onset must exceed [-].
        end_window: duration whose quick flow is least at the end [h].
    """

    peak_quantile: float = 0.995
    peak_discharge: float = 0.0
    separation: float = 0.0
    max_duration: float = 240.0
    onset_search: float = 72.0
    onset_quantile: float = 0.8
    energy_window: float = 24.0
    energy_share: float = 0.2
    end_window: float = 48.0


@dataclass(frozen=True)
class Event:
    """One flood; all times are indices of the series, `end` belongs to the event; `peaks` were merged into it."""

    start: int
    end: int
    peak_discharge: int
    peak_rain: int
    peaks: int = 1

    @property
    def multipeak(self) -> bool:
        """Whether it has several peaks."""
        return self.peaks > 1


@dataclass(frozen=True)
class _Clock:
    """Durations in steps; the hour that windows lead by is 0 steps where a step is two hours or longer.

    So the rain of a daily step in which the discharge peaks still belongs to its flood.
    """

    step: int

    def lead(self) -> int:
        return round(3600 / self.step)

    def steps(self, hours: float) -> int:
        return max(1, round(hours * 3600 / self.step))


def find_events(discharge: ArrayLike, rain: ArrayLike, step: int, options: Segmentation | None = None) -> list[Event]:
    """Find the flood events of one gauge.

    Args:
        discharge: float[t], m3/s, NaN = missing.
        rain: float[t], mean rain on the catchment in any unit, NaN = missing.
        step: s.
        options: see `Segmentation`.

    Returns:
        The events in the order of time, which never overlap; empty without any discharge or peak.
    """
    options = options or Segmentation()
    flow = np.asarray(discharge, dtype=np.float64)
    water = np.nan_to_num(np.asarray(rain, dtype=np.float64))
    if np.isnan(flow).all():
        return []
    least = max(float(np.nanquantile(flow, options.peak_quantile)), options.peak_discharge)
    clock = _Clock(step)
    found = []
    for peak in _apart(_local_maxima(flow, least), flow, options.separation * 3600 / step):
        start = _start(water, peak, clock, options)
        peak_rain = start + int(np.argmax(water[start : peak + 1]))
        found.append(Event(start, _end(flow, start, peak, clock, options), peak, peak_rain))
    return _merged(found, flow, water)


def season(time: np.datetime64) -> str:
    """Meteorological season of a stamp, DJF, MAM, JJA or SON: that of the step which ends there."""
    month = (time - np.timedelta64(1, "s")).astype("datetime64[M]").astype(int) % 12
    return SEASONS[(month + 1) % 12 // 3]


def _local_maxima(series: Floats, least: float) -> list[int]:
    """Indices of local maxima of at least `least`, the first of equal ones; never the ends, nor beside a NaN."""
    inner, before, after = series[1:-1], series[:-2], series[2:]
    return [int(i) + 1 for i in np.flatnonzero((inner > before) & (inner >= after) & (inner >= least))]


def _apart(peaks: list[int], flow: Floats, distance: float) -> list[int]:
    """The peaks that no higher one (no earlier one as high) has nearer than a distance in steps."""
    kept: list[int] = []
    for peak in sorted(peaks, key=lambda at: (-flow[at], at)):
        if all(abs(peak - other) >= distance for other in kept):
            kept.append(peak)
    return sorted(kept)


def _start(rain: Floats, peak: int, clock: _Clock, options: Segmentation) -> int:
    begin = max(peak - clock.steps(options.onset_search), 0)
    searched = rain[begin : max(peak + 1 - clock.lead(), begin)]
    if searched.size < 2:
        return begin
    gradient = np.gradient(searched)
    onsets = _local_maxima(gradient, float(np.quantile(gradient, options.onset_quantile)))
    firsts, length = [onset - clock.lead() for onset in onsets], clock.steps(options.energy_window)
    energies = np.array([np.sqrt(np.sum(searched[max(first, 0) : first + length] ** 2)) for first in firsts])
    strong = np.flatnonzero(energies > options.energy_share * energies.max(initial=0.0))
    return begin + (onsets[strong[0]] if strong.size else int(np.argmax(gradient)))


def _end(flow: Floats, start: int, peak: int, clock: _Clock, options: Segmentation) -> int:
    window = clock.steps(options.end_window)
    earliest = max(peak, clock.lead())
    latest = max(start + clock.steps(options.max_duration), earliest)
    searched = flow[earliest - clock.lead() : latest - clock.lead() + window]
    if searched.size < window:
        return peak
    quick = np.lib.stride_tricks.sliding_window_view(searched - baseflow(searched), window).sum(axis=1)
    return peak if np.isnan(quick).all() else earliest + int(np.nanargmin(quick))


def _merged(events: Iterable[Event], flow: Floats, rain: Floats) -> list[Event]:
    merged: list[Event] = []
    for event in sorted(events, key=lambda event: event.start):
        if not merged or merged[-1].end < event.start:
            merged.append(event)
            continue
        last = merged[-1]
        merged[-1] = replace(
            last,
            end=max(last.end, event.end),
            peak_discharge=max(last.peak_discharge, event.peak_discharge, key=lambda at: (flow[at], -at)),
            peak_rain=max(last.peak_rain, event.peak_rain, key=lambda at: (rain[at], -at)),
            peaks=last.peaks + event.peaks,
        )
    return merged
