"""Effect of the network: factors on the fluxes in time, by catchment, and over its inputs.

A factor g(f) multiplies its flux (first paper, Figures 8 to 10): 1 + f, or 1 - f^2 for the branch that is delayed in
GR; 1 means no correction. Averages over cells and time are means of g(f), as the run has recorded them; g of a mean
would differ by the variance of f where f is squared. Averages in time are over the calibration period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from hydrocli.arrays import Floats
from hydrocli.names import STATES
from hydrocli.report import style
from hydrocli.report.tables import Columns, Times

PIECES = 360
"""Means in time that a line or a heatmap shows at most."""

SHOWN_LEVELS = (0.1, 0.5, 0.9)
"""Places among the levels of a response that are drawn as lines."""


Described = Mapping[str, Mapping[str, str]]
"""Flux and factor ("1 + f", "1 - f^2"; "g": a gate) of each output of the network by its symbol, as the manifest of a
run has them."""


def are_gates(described: Described) -> bool:
    """Whether the network opens fluxes within bounds, so that no value of a factor means no correction."""
    return any(one["factor"] == "g" for one in described.values())


def factors(described: Described, table: Columns) -> dict[str, Floats]:
    """The factors of all corrections that a table has, by their words, such as `1 + f1, infiltration`."""
    found = {}
    for symbol, one in described.items():
        factor = symbol if one["factor"] == "g" else one["factor"].replace("f", symbol)
        name, recorded = f"{factor}, {one['flux']}", symbol.replace("f", "g")
        if recorded in table:
            found[name] = table[recorded]
        elif symbol in table and one["factor"] == "1 + f":  # linear: the mean of g is g of the mean
            found[name] = 1 + table[symbol]
    return found


def averages(
    gauges: Mapping[str, tuple[Times, Mapping[str, Floats]]], period: tuple[np.datetime64, np.datetime64] | None
) -> dict[str, dict[str, float]]:
    """Mean of each factor over the steps of a period ]from, to] by gauge; over all steps without a period."""
    means = {}
    for code, (times, rows) in gauges.items():
        inside = np.ones(len(times), np.bool_) if period is None else (times > period[0]) & (times <= period[1])
        means[code] = {name: float(np.nanmean(values[inside])) for name, values in rows.items()}
    return means


def mean_of_pieces(times: Times, values: Floats, most: int = PIECES) -> tuple[Times, Floats]:
    """Means over equal pieces of time, at the end of each; the last piece may be shorter.

    Pieces of more than six hours become whole days, since the daily cycle would beat with others.
    """
    size = max(1, -(-len(values) // most))
    if len(times) > 1 and (times[1] - times[0]) * size > np.timedelta64(6, "h"):
        day = max(1, round(np.timedelta64(1, "D") / (times[1] - times[0])))
        size = -(-size // day) * day
    padded = np.full(-(-len(values) // size) * size, np.nan)
    padded[: len(values)] = values
    pieces = padded.reshape(-1, size)
    known = np.isfinite(pieces)
    total, count = np.where(known, pieces, 0.0).sum(axis=1), known.sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return times[np.minimum(size * np.arange(1, len(mean) + 1) - 1, len(times) - 1)], mean


def draw_in_time(
    panels: Mapping[str, Mapping[str, tuple[Times, Floats]]], label: str, middle: float | None = None
) -> Figure:
    """Lines in time, a panel for each quantity and a colour for each gauge or run.

    Args:
        panels: times and values by line by panel.
        label: of the y axes.
        middle: position of the line that means no correction.
    """
    figure = style.canvas(1.55 * len(panels) + 0.7)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (name, (times, values)), colour in zip(lines.items(), style.CYCLE, strict=False):
            axis.plot(*mean_of_pieces(times, values), color=colour, linewidth=1.0, label=name)
        if middle is not None:
            axis.axhline(middle, color=style.INK, linewidth=0.8, linestyle=":")
        axis.set_title(title)
        axis.set_ylabel(label)
    style.dates(axes[-1])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=7)
    return figure


HIGHEST = 10.0
"""Inches of a panel with a line for each gauge."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Means of a factor by gauge and piece of time [g, p], in some order of the gauges."""

    gauges: tuple[str, ...]
    times: Times
    values: dict[str, Floats]


def heatmap(
    gauges: Mapping[str, tuple[Times, Mapping[str, Floats]]], means: Mapping[str, Mapping[str, float]]
) -> Heatmap:
    """First paper, Figure 9: factors of all catchments in time, sorted by the average of the first factor."""
    first = next(iter(next(iter(gauges.values()))[1]))
    codes = sorted(gauges, key=lambda code: means[code][first])
    pieces = {
        code: {name: mean_of_pieces(times, row) for name, row in rows.items()} for code, (times, rows) in gauges.items()
    }
    names = list(pieces[codes[0]])
    values = {name: np.stack([pieces[code][name][1] for code in codes]) for name in names}
    return Heatmap(tuple(codes), pieces[codes[0]][names[0]][0], values)


def draw_heatmap(found: Heatmap, around: float | None = 1.0) -> Figure:
    """A panel for each factor, a line for each catchment; red makes the flux larger, blue smaller.

    Args:
        found: factors of the catchments.
        around: the factor that makes no correction, in the middle of the colours; None: there is none.
    """
    height = max(0.9, min(0.17 * len(found.gauges), HIGHEST) + 0.35)
    figure = style.canvas(height * len(found.values) + 0.5)
    axes = figure.subplots(len(found.values), 1, sharex=True, squeeze=False)[:, 0]
    start, end = date2num(found.times[[0, -1]])
    for axis, (name, values) in zip(axes, found.values.items(), strict=True):
        middle = around or 0.0
        low, high = style.limits(values - middle, symmetric=around is not None)
        colours = style.FIELD if around is None else style.DIVERGING
        image = axis.imshow(
            values, aspect="auto", cmap=colours, vmin=middle + low, vmax=middle + high, origin="lower",
            extent=(start, end, -0.5, len(found.gauges) - 0.5),
        )  # fmt: skip
        axis.xaxis_date()
        axis.grid(False)
        axis.set_title(name)
        every = max(1, len(found.gauges) // 12)
        axis.set_yticks(range(0, len(found.gauges), every), found.gauges[::every], fontsize=7)
        figure.colorbar(image, ax=axis, aspect=10)
    style.dates(axes[-1])
    return figure


@dataclass(frozen=True, eq=False)
class Surface:
    """A flux over level [l] and forcing [f], without and with the network, and its bound: all [l, f] in mm/step.

    The bound is NaN where corrections have none. The level may also be the intensity of the rain [mm/step].
    """

    flux: str
    level_name: str
    level: Floats
    forcing_name: str
    forcing: Floats
    classical: Floats
    corrected: Floats
    bound: Floats

    @property
    def level_label(self) -> str:
        """Label of the axis of the level."""
        return f"{self.level_name} [{STATES[self.level_name].unit if self.level_name in STATES else '-'}]"


def surfaces(response: Columns) -> list[Surface]:
    """The surfaces of `response_surfaces.parquet`."""
    found = []
    for flux in dict.fromkeys(response["flux"].tolist()):
        here = response.where(response["flux"] == flux)
        level, row = np.unique(here["level_value"], return_inverse=True)
        forcing, column = np.unique(here["forcing_value"], return_inverse=True)
        fields = []
        for name in ("classical", "corrected", "bound"):
            field = np.full((len(level), len(forcing)), np.nan)
            if name in here:  # runs of earlier versions have no bound
                field[row, column] = here[name]
            fields.append(field)
        names = str(here["level"][0]), str(here["forcing"][0])
        found.append(Surface(str(flux), names[0], level, names[1], forcing, *fields))
    return found


def draw_response(found: Sequence[Surface]) -> Figure:
    """First paper, Figure 12: a row for each flux with both surfaces on one scale, and lines at three levels."""
    figure = style.canvas(2.6 * len(found) + 0.3)
    rows = figure.subplots(len(found), 3, squeeze=False, width_ratios=[1, 1, 1.15])
    for axes, surface in zip(rows, found, strict=True):
        low, high = style.limits(np.stack([surface.classical, surface.corrected]))
        for axis, title, field in zip(
            axes, ("classical", "with the network"), (surface.classical, surface.corrected), strict=False
        ):
            image = axis.pcolormesh(
                surface.forcing, surface.level, field, cmap=style.FIELD, vmin=low, vmax=high, shading="gouraud",
                rasterized=True,
            )  # fmt: skip
            axis.set_title(f"{surface.flux}, {title}", fontsize=8.5)
            axis.set_xlabel(f"{surface.forcing_name} [mm/step]" if surface.forcing_name else "")
            axis.set_ylabel(surface.level_label)
            axis.grid(False)
        figure.colorbar(image, ax=axes[1], aspect=14).set_label("[mm/step]", fontsize=7.5)
        _lines(axes[2], surface)
    return figure


def draw_meshes(found: Sequence[Surface], columns: int = 2) -> Figure:
    """Slides of P3: GR (red), the neural reservoirs (blue) and the bound of the flux (grey) as meshes in one panel."""
    rows = -(-len(found) // columns)
    figure = style.canvas(3.1 * rows + 0.4)
    for number, surface in enumerate(found, start=1):
        axis: Any = figure.add_subplot(rows, columns, number, projection="3d")
        forcing, level = np.meshgrid(surface.forcing, surface.level)
        meshes = (("bound", surface.bound, "0.65"), ("GR", surface.classical, style.VERMILION))
        for name, values, colour in meshes:
            axis.plot_wireframe(forcing, level, values, color=colour, linewidth=0.6, rcount=9, ccount=9, label=name)
        axis.plot_surface(
            forcing, level, surface.corrected, color=style.BLUE, alpha=0.55, linewidth=0, label="neural reservoirs",
            rasterized=True,
        )  # fmt: skip
        axis.set_title(surface.flux, fontsize=8.5)
        axis.set_xlabel(f"{surface.forcing_name} [mm/step]", fontsize=7.5)
        axis.set_ylabel(surface.level_label, fontsize=7.5)
        axis.tick_params(labelsize=6.5, pad=0)
        axis.view_init(elev=24, azim=-128)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _lines(axis: Axes, surface: Surface) -> None:
    """The flux over the forcing at a low, a middle and a high level; dashed lines are classical."""
    for share, colour in zip(SHOWN_LEVELS, (style.VERMILION, style.GREEN, style.BLUE), strict=True):
        row = round(share * (len(surface.level) - 1))
        name = f"{surface.level_name} {surface.level[row]:.2f}"
        axis.plot(surface.forcing, surface.corrected[row], color=colour, label=name)
        axis.plot(surface.forcing, surface.classical[row], color=colour, linestyle="--", linewidth=0.9)
    axis.set_xlabel(f"{surface.forcing_name} [mm/step]" if surface.forcing_name else "")
    axis.set_title("dashed: without network", fontsize=8.5)
    axis.legend(fontsize=7, loc="best")
