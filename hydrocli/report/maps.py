"""Maps: the domain with its rivers and gauges, and fields over its cells with their mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.report import style
from hydrocli.report.tables import Columns

NAMED = 60
"""Of more gauges the map has no codes: they would cover it."""


@dataclass(frozen=True, eq=False)
class Domain:
    """Cells of a run [n]: centres, raster place, cell that each drains into (-1: none), area upstream [m2].

    Attributes:
        gauges: cell of each gauge by its code.
        geographic: whether x and y are degrees.
    """

    x: Floats
    y: Floats
    row: NDArray[np.integer]
    column: NDArray[np.integer]
    downstream: NDArray[np.integer]
    upstream_area: Floats
    gauges: dict[str, int]
    geographic: bool


def domain_of(table: Columns, catchments: Columns | None) -> Domain:
    """The domain of `domain.parquet`, with the gauges of `catchments.parquet`."""
    gauges = {} if catchments is None else dict(zip(catchments["gauge"].tolist(), catchments["cell"], strict=True))
    downstream = table["downstream"].astype(np.int64)
    x, y = table["x"], table["y"]
    return Domain(
        x,
        y,
        table["row"].astype(np.int64),
        table["column"].astype(np.int64),
        downstream,
        _upstream_area(table["area"], downstream, table["level"]),
        {code: int(cell) for code, cell in gauges.items()},
        bool(np.abs(x).max() <= 360 and np.abs(y).max() <= 90),
    )


def _upstream_area(area: Floats, downstream: NDArray[np.int64], level: NDArray[np.integer]) -> Floats:
    """Area that drains through each cell, itself included; a cell drains into a later level."""
    total = area.astype(np.float64).copy()
    for step in np.unique(level):
        here = np.flatnonzero((level == step) & (downstream >= 0))
        np.add.at(total, downstream[here], total[here])
    return total


def raster(domain: Domain, values: Floats) -> tuple[Floats, tuple[float, float, float, float]]:
    """The field on its grid, NaN outside the cells, and the extent (left, right, bottom, top) of the grid."""
    rows, columns = domain.row - domain.row.min(), domain.column - domain.column.min()
    field = np.full((rows.max() + 1, columns.max() + 1), np.nan)
    field[rows, columns] = values
    wide, high = _cell_size(domain.x, columns), _cell_size(domain.y, rows)
    extent = domain.x.min() - wide / 2, domain.x.max() + wide / 2, domain.y.min() - high / 2, domain.y.max() + high / 2
    return field, extent


def _cell_size(positions: Floats, places: NDArray[np.integer]) -> float:
    span = int(places.max() - places.min())
    return float(positions.max() - positions.min()) / span if span else 1.0


def rivers(domain: Domain, least: float = 0.004) -> tuple[Floats, Floats]:
    """Lines [s, 2, 2] from cell to downstream cell, and their width, where enough of the domain drains through."""
    drains = (domain.downstream >= 0) & (domain.upstream_area >= least * domain.upstream_area.max())
    start, end = np.flatnonzero(drains), domain.downstream[drains]
    lines = np.stack([np.stack([domain.x[cell], domain.y[cell]], axis=1) for cell in (start, end)], axis=1)
    return lines, 0.35 + 2.2 * np.sqrt(domain.upstream_area[start] / domain.upstream_area.max())


def draw_domain(domain: Domain, panels: Mapping[str, Mapping[str, float]], calibrated: Sequence[str]) -> Figure:
    """Rivers and gauges, a panel for each period; gauges are coloured by their score (grey: none).

    Args:
        domain: the cells.
        panels: NSE by gauge, by name of the period.
        calibrated: gauges drawn round; the others are squares.
    """
    figure = style.canvas(_map_height(domain, len(panels), 4.6))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    image = None
    for axis, (title, scores) in zip(axes, panels.items(), strict=True):
        _ground(axis, domain)
        image = _gauges(axis, domain, scores, calibrated) or image
        axis.set_title(title)
    _legend(axes[0])
    if image is not None:
        figure.colorbar(image, ax=list(axes), label="NSE", shrink=0.7, aspect=25, extend="min")
    return figure


def draw_catchments(domain: Domain, zone: NDArray[np.integer]) -> Figure:
    """Catchments in colours, with rivers and gauges.

    Args:
        domain: the cells.
        zone: [n], number of the next gauge downstream of each cell; -1 where there is none.
    """
    figure = style.canvas(_map_height(domain, 1, 4.6))
    axis = figure.subplots()
    field, extent = raster(domain, np.where(zone < 0, np.nan, zone % len(style.CYCLE)))
    axis.imshow(field, extent=extent, cmap=ListedColormap(style.CYCLE), alpha=0.35, aspect=_aspect(domain),
                vmin=-0.5, vmax=len(style.CYCLE) - 0.5)  # fmt: skip
    lines, widths = rivers(domain)
    axis.add_collection(LineCollection(list(lines), linewidths=widths.tolist(), colors=style.SKY, capstyle="round"))
    _frame(axis, domain)
    _gauges(axis, domain, {}, list(domain.gauges))
    return figure


def _gauges(axis: Axes, domain: Domain, scores: Mapping[str, float], calibrated: Sequence[str]) -> Any:
    image, marked = None, set(calibrated)
    for is_calibrated, marker in ((True, "o"), (False, "s")):
        codes = [code for code in domain.gauges if (code in marked) == is_calibrated]
        cells = [domain.gauges[code] for code in codes]
        values = np.array([scores.get(code, np.nan) for code in codes])
        scored = np.isfinite(values)
        where = np.array(cells, np.int64)
        words = "calibration" if is_calibrated else "validation only"
        common: dict[str, Any] = {
            "marker": marker,
            "s": 58,
            "edgecolors": style.INK,
            "linewidths": 0.9,
            "zorder": 5,
            "clip_on": False,
        }
        if codes:
            axis.scatter(domain.x[where], domain.y[where], c=style.MUTED, label=words, **common)
        if scored.any():
            at = where[scored]
            image = axis.scatter(
                domain.x[at], domain.y[at], c=values[scored], vmin=0.0, vmax=1.0, cmap="viridis", **common
            )
    for code, cell in domain.gauges.items() if len(domain.gauges) <= NAMED else ():
        axis.annotate(
            code,
            (domain.x[cell], domain.y[cell]),
            (5, 5),
            textcoords="offset points",
            fontsize=7,
            zorder=6,
            path_effects=style.halo(),
        )
    return image


def _ground(axis: Axes, domain: Domain) -> None:
    """The cells in a quiet colour and the rivers on them."""
    field, extent = raster(domain, np.ones(len(domain.x)))
    axis.imshow(field, extent=extent, cmap=ListedColormap([style.MUTED]), alpha=0.2, aspect=_aspect(domain))
    lines, widths = rivers(domain)
    axis.add_collection(LineCollection(list(lines), linewidths=widths.tolist(), colors=style.SKY, capstyle="round"))
    _frame(axis, domain)


def _frame(axis: Axes, domain: Domain) -> None:
    """A scale bar (metres) or ticks (degrees) instead of axes."""
    axis.grid(False)
    for side in axis.spines.values():
        side.set_visible(False)
    if domain.geographic:
        axis.tick_params(labelsize=7)
        axis.locator_params(nbins=4)
        axis.set_xlabel("longitude [°]", fontsize=8)
        axis.set_ylabel("latitude [°]", fontsize=8)
        return
    axis.set_xticks([])
    axis.set_yticks([])
    _, (left, right, bottom, top) = raster(domain, domain.x)
    length = _round_length((right - left) / 3)
    foot = bottom - 0.03 * (top - bottom)
    axis.plot([left, left + length], [foot, foot], color=style.INK, linewidth=1.6, solid_capstyle="butt")
    axis.text(
        left + length / 2, foot - 0.015 * (top - bottom), f"{length / 1000:g} km", ha="center", va="top", fontsize=7.5
    )
    axis.set_ylim(foot - 0.1 * (top - bottom), top + 0.02 * (top - bottom))


def _round_length(length: float) -> float:
    """1, 2 or 5 times a power of ten, at most the length."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(factor for factor in (1, 2, 5) if factor * power <= length * (1 + 1e-9)) * power)


def _legend(axis: Axes) -> None:
    axis.legend(loc="upper left", fontsize=7.5, handletextpad=0.2, borderaxespad=0.0)


def _aspect(domain: Domain) -> float:
    return float(1 / np.cos(np.deg2rad(domain.y.mean()))) if domain.geographic else 1.0


def _map_height(domain: Domain, columns: int, most: float) -> float:
    """Height [inches] at which maps side by side fill their width."""
    _, (left, right, bottom, top) = raster(domain, domain.x)
    width = style.WIDTH / columns - 1.0
    return float(np.clip(width * _aspect(domain) * (top - bottom) / (right - left) + 0.6, 2.2, most))


def mean_and_deviation(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation over the cells with a value."""
    finite = values[np.isfinite(values)]
    return (float(finite.mean()), float(finite.std())) if finite.size else (np.nan, np.nan)


def draw_fields(
    domain: Domain,
    fields: Mapping[str, Floats],
    units: Mapping[str, str],
    *,
    columns: int = 3,
    around: float | None = None,
) -> Figure:
    """A map of each field with its own scale, its mean and its standard deviation.

    Args:
        domain: the cells.
        fields: values of the cells [n] by title.
        units: of each; empty where it has none.
        columns: maps in a row.
        around: the value in the middle of a red and blue scale; None for a plain scale.
    """
    figure, axes = style.panels(len(fields), columns, _map_height(domain, columns, 3.4), stretched=False)
    for axis, (title, values) in zip(axes, fields.items(), strict=True):
        field, extent = raster(domain, values)
        low, high = style.limits(values if around is None else values - around, symmetric=around is not None)
        shift, colours = (0.0, style.FIELD) if around is None else (around, style.DIVERGING)
        image = axis.imshow(
            field, extent=extent, cmap=colours, vmin=low + shift, vmax=high + shift, aspect=_aspect(domain)
        )
        _frame(axis, domain)
        mean, deviation = mean_and_deviation(values)
        axis.set_title(f"{title}\n{mean:.3g} ± {deviation:.2g}", fontsize=8.5)
        _scale(axis, image, units[title])
    return figure


def _scale(axis: Axes, image: AxesImage, unit: str) -> None:
    """A scale of colours as high as the map that it belongs to."""
    place, figure = axis.inset_axes((1.03, 0.08, 0.045, 0.88)), axis.get_figure(root=True)
    assert figure is not None
    figure.colorbar(image, cax=place).set_label(f"[{unit}]" if unit else "", fontsize=7.5)


def draw_difference(
    domain: Domain, pairs: Mapping[str, tuple[Floats, Floats]], names: tuple[str, str], units: Mapping[str, str]
) -> Figure:
    """Second paper, Figure 4: a row for each field with both runs on one scale and their difference."""
    figure = style.canvas(len(pairs) * _map_height(domain, 3, 3.2) + 0.2)
    rows = figure.subplots(len(pairs), 3, squeeze=False)
    for axes, (title, (one, other)) in zip(rows, pairs.items(), strict=True):
        low, high = style.limits(np.r_[one, other])
        spread = style.limits(other - one, symmetric=True)
        shown = (
            (names[0], one, style.FIELD, (low, high)),
            (names[1], other, style.FIELD, (low, high)),
            (f"{names[1]} - {names[0]}", other - one, style.DIVERGING, spread),
        )
        for axis, (words, values, colours, span) in zip(axes, shown, strict=True):
            field, extent = raster(domain, values)
            image = axis.imshow(field, extent=extent, cmap=colours, vmin=span[0], vmax=span[1], aspect=_aspect(domain))
            _frame(axis, domain)
            mean, deviation = mean_and_deviation(values)
            axis.set_title(f"{words}\n{title}   {mean:.3g} ± {deviation:.2g}", fontsize=8)
            _scale(axis, image, units[title])
    return figure
