"""Hydrographs with rain: whole run, floods, overview of all gauges; flow duration curves; high-pass-filtered runoff.

The high-pass filter of the second paper (Figure 10) takes off what is slower than three days: the series minus its
centred mean over that window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hydrocli.arrays import Floats
from hydrocli.report import style
from hydrocli.report.about import Period
from hydrocli.report.tables import Columns, Times, envelope, highest, runs_of
from hydrocli.results.views import means_over

CUTOFF = np.timedelta64(3, "D")
LINES = (style.SIMULATED, style.AGAINST)
DISCHARGE, RAIN = "discharge [m3/s]", "rain\n[mm/step]"
SEEN_THROUGH = 0.8
"""Opacity of simulations over many years, so that observations remain visible."""

FREQUENCIES = np.r_[0.0005, 0.001, 0.002, 0.005, np.linspace(0.01, 0.99, 99), 0.995, 0.999]


@dataclass(frozen=True, eq=False)
class Hydrograph:
    """Series of a gauge: observed [m3/s], the simulations by name [m3/s], rain [mm/step] where it is known."""

    times: Times
    observed: Floats
    simulated: dict[str, Floats]
    rain: Floats | None

    def within(self, start: np.datetime64, end: np.datetime64) -> Hydrograph:
        """The part ]start, end]."""
        first, last = np.searchsorted(self.times, [start, end], side="right")
        part = slice(int(first), int(last))
        lines = {name: values[part] for name, values in self.simulated.items()}
        return Hydrograph(self.times[part], self.observed[part], lines, None if self.rain is None else self.rain[part])

    @property
    def has_observations(self) -> bool:
        """Whether anything was observed."""
        return bool(np.isfinite(self.observed).any())


def hydrograph(
    discharge: Columns, catchment: Columns | None, name: str, others: Mapping[str, Columns | None]
) -> Hydrograph:
    """The series of one gauge; where daily means were observed, the simulations are such means, too.

    Args:
        discharge: its rows of discharge.parquet.
        catchment: its rows of catchment_timeseries.parquet.
        name: of the run.
        others: its rows of discharge.parquet of other runs; steps that these have not simulated are left empty.
    """
    times = discharge["time"]
    simulated = {name: discharge["simulated"]}
    for other, columns in others.items():
        if columns is not None:
            simulated[other] = _on(times, columns["time"], columns["simulated"])
    if "interval_end" in discharge:
        simulated = {key: means_over(times, discharge["interval_end"], values) for key, values in simulated.items()}
    rain = None if catchment is None else _on(times, catchment["time"], catchment["precipitation"])
    return Hydrograph(times, discharge["observed"], simulated, rain)


def _on(times: Times, known: Times, values: Floats) -> Floats:
    """Values at other times, NaN where there are none."""
    if len(known) == len(times) and known[0] == times[0]:
        return values
    place = np.clip(np.searchsorted(known, times), 0, len(known) - 1)
    return np.where(known[place] == times, values[place], np.nan)


def gaps(times: Times, observed: Floats) -> list[tuple[np.datetime64, np.datetime64]]:
    """Stretches without observation, ]from, to]."""
    step = times[1] - times[0] if len(times) > 1 else np.timedelta64(0, "s")
    return [(times[start] - step, times[end - 1]) for start, end in runs_of(np.isnan(observed))]


def draw_hydrograph(series: Hydrograph, periods: Mapping[str, Period], unit: str = RAIN) -> Figure:
    """Rain, discharge, and discharge on a logarithmic axis over the whole run."""
    figure = style.canvas(5.4)
    top, linear, logarithmic = figure.subplots(3, 1, sharex=True, height_ratios=[1.0, 3.0, 2.2])
    _rain(top, series, unit)
    _periods(top, (top, linear, logarithmic), periods, series.times)
    _discharge(linear, series)
    style.legend(linear)
    _discharge(logarithmic, series, log=True)
    style.dates(logarithmic)
    logarithmic.set_xlim(series.times[0], series.times[-1])
    return figure


def largest_floods(series: Hydrograph, starts: Times, ends: Times, most: int) -> list[tuple[int, Hydrograph]]:
    """The floods with the highest observed peaks, the highest first, each with its place among those given.

    A third of the flood's duration is shown before and after it.
    """
    peaks = []
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        observed = series.within(start - np.timedelta64(1, "s"), end).observed
        peaks.append((np.nanmax(observed) if np.isfinite(observed).any() else -np.inf, place))
    shown = [place for _, place in sorted(peaks, key=lambda pair: (-pair[0], pair[1]))[:most]]
    margins = {place: (ends[place] - starts[place]) / 3 for place in shown}
    return [(place, series.within(starts[place] - margins[place], ends[place] + margins[place])) for place in shown]


def draw_floods(floods: Sequence[Hydrograph], titles: Sequence[str], unit: str = RAIN) -> Figure:
    """Floods side by side, each with rain, discharge and discharge on a logarithmic axis."""
    figure = style.canvas(5.0)
    axes = figure.subplots(3, max(len(floods), 2), height_ratios=[0.9, 3.0, 2.0], sharex="col", squeeze=False)
    for place in range(len(floods), axes.shape[1]):
        for axis in axes[:, place]:
            axis.remove()
    for place, (series, title) in enumerate(zip(floods, titles, strict=True)):
        top, linear, logarithmic = axes[:, place]
        _rain(top, series, unit if place == 0 else "")
        top.set_title(title)
        _discharge(linear, series, labelled=place == 0)
        _discharge(logarithmic, series, log=True, labelled=place == 0)
        style.dates(logarithmic, ticks=4)
        logarithmic.set_xlim(series.times[0], series.times[-1])
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def draw_overview(gauges: Mapping[str, Hydrograph], nse: Mapping[str, float]) -> Figure:
    """All gauges at a glance: a small hydrograph of each, with its lowest NSE."""
    figure, axes = style.panels(len(gauges), 3 if len(gauges) < 13 else 5, 1.25, sharex=True)
    for axis, (code, series) in zip(axes, gauges.items(), strict=True):
        for name, values, colour, width in _lines(series):
            seen: dict[str, Any] = {
                "color": colour,
                "linewidth": 0.7 * width,
                "alpha": 1.0 if name == "observed" else SEEN_THROUGH,
            }
            axis.plot(*envelope(series.times, values, 250), label=name, **seen)
        axis.set_title(code + (f"   NSE {nse[code]:.2f}" if np.isfinite(nse.get(code, np.nan)) else ""), fontsize=8)
        axis.set_ylim(bottom=0)
        style.dates(axis, ticks=4)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    figure.supylabel(DISCHARGE, fontsize=9)
    return figure


def flow_duration(series: Hydrograph) -> dict[str, Floats]:
    """Discharge that is exceeded in each share `FREQUENCIES` of the steps, of the steps with an observation only."""
    known = np.isfinite(series.observed) if series.has_observations else np.ones(len(series.times), bool)
    curves = {"observed": series.observed[known]} if series.has_observations else {}
    curves |= {name: values[known] for name, values in series.simulated.items()}
    return {
        name: np.quantile(finite, 1 - FREQUENCIES)
        for name, values in curves.items()
        if (finite := values[np.isfinite(values)]).size
    }


def draw_flow_duration(curves: Mapping[str, Mapping[str, Floats]]) -> Figure:
    """Flow duration curve of each gauge."""
    figure, axes = style.panels(len(curves), 3 if len(curves) < 13 else 5, 2.3 if len(curves) < 13 else 1.5)
    for axis, (code, lines) in zip(axes, curves.items(), strict=True):
        for place, (name, values) in enumerate(sorted(lines.items(), key=lambda line: line[0] != "observed")):
            colour = style.OBSERVED if name == "observed" else LINES[(place - ("observed" in lines)) % 2]
            axis.plot(100 * FREQUENCIES, np.where(values > 0, values, np.nan), color=colour, label=name)
        axis.set_title(code)
        if span := style.log_limits(list(lines.values())):
            style.logarithmic(axis, *span)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    figure.supylabel(DISCHARGE, fontsize=9)
    figure.supxlabel("exceedance probability [%]", fontsize=9)
    return figure


def high_pass(times: Times, values: Floats, cutoff: np.timedelta64 = CUTOFF) -> Floats:
    """The series minus its centred mean over the cutoff; NaN stays NaN and is not part of the means."""
    width = max(1, int(cutoff / (times[1] - times[0]))) if len(times) > 1 else 1
    known = np.isfinite(values)
    total = np.r_[0.0, np.cumsum(np.where(known, values, 0.0))]
    count = np.r_[0, np.cumsum(known)]
    place = np.arange(len(values))
    first, last = np.maximum(place - width // 2, 0), np.minimum(place + width // 2 + 1, len(values))
    mean = (total[last] - total[first]) / np.maximum(count[last] - count[first], 1)
    return np.where(known, values - mean, np.nan)


def draw_high_pass(lines: Mapping[str, tuple[Times, Floats]], label: str) -> Figure:
    """High-pass filtered series, one line a run."""
    figure = style.canvas(2.7)
    axis = figure.subplots()
    for (name, (times, values)), colour in zip(lines.items(), LINES, strict=False):
        axis.plot(*envelope(times, values), color=colour, linewidth=0.8, label=name)
    axis.axhline(0, color=style.MUTED, linewidth=0.6)
    axis.set_ylabel(label)
    style.dates(axis)
    style.legend(axis)
    return figure


def _lines(series: Hydrograph) -> list[tuple[str, Floats, str, float]]:
    """Name, values, colour and width of each line, those drawn first below the others."""
    lines = [("observed", series.observed, style.OBSERVED, 1.3)] if series.has_observations else []
    coloured = zip(series.simulated.items(), LINES, strict=False)
    return lines + [(name, values, colour, 1.0) for (name, values), colour in coloured]


def _discharge(axis: Axes, series: Hydrograph, *, log: bool = False, labelled: bool = True) -> None:
    for name, values, colour, width in _lines(series):
        times, shown = envelope(series.times, np.where(values > 0, values, np.nan) if log else values)
        axis.plot(
            times, shown, color=colour, linewidth=width, alpha=1.0 if name == "observed" else SEEN_THROUGH, label=name
        )
    if log and (span := style.log_limits([values for _, values, _, _ in _lines(series)])):
        style.logarithmic(axis, *span)
    elif not log:
        axis.set_ylim(bottom=0)
    if series.has_observations:
        _mark_gaps(axis, series)
    if labelled:
        axis.set_ylabel(DISCHARGE + ("\nlogarithmic" if log else ""))


def _mark_gaps(axis: Axes, series: Hydrograph) -> None:
    """A grey ribbon at the foot of the axis wherever nothing was observed."""
    flags = np.isnan(series.observed)
    if flags.any():
        transform = axis.get_xaxis_transform()
        times, shown = highest(series.times, flags.astype(np.float64))
        axis.fill_between(
            times, 0, 0.035, where=shown > 0, step="pre", transform=transform, color=style.MUTED, linewidth=1.0,
            alpha=0.8, label="not observed",
        )  # fmt: skip


def _rain(axis: Axes, series: Hydrograph, label: str) -> None:
    """Rain from above, as deep as it fell."""
    if series.rain is not None:
        times, rain = highest(series.times, series.rain)
        axis.fill_between(times, 0, np.nan_to_num(rain), step="pre", color=style.RAIN, linewidth=0.6, label="rain")
        axis.set_ylim(max(float(np.nanmax(rain, initial=0.0)) * 1.05, 1e-6), 0)
        axis.set_ylabel(label)
    axis.tick_params(axis="x", length=0)


def _periods(top: Axes, axes: Sequence[Axes], periods: Mapping[str, Period], times: Times) -> None:
    """Light ground under the calibration and the validation periods, named above the rain."""
    grounds = {"calibration": style.SKY}
    for place, (name, (start, end)) in enumerate(periods.items()):
        first, last = max(start, times[0]), min(end, times[-1])
        if first >= last:
            continue
        for axis in axes:
            colour = grounds.get(name, (style.ORANGE, style.GREEN)[place % 2])
            axis.axvspan(first, last, color=colour, alpha=0.09, linewidth=0)
        middle = first + (last - first) / 2
        top.text(middle, 1.04, name, transform=top.get_xaxis_transform(), ha="center", va="bottom", fontsize=8)
