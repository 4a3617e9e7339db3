"""Schemes in time of one cell: error over cost, and the largest flood by each."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hydrocli.report import style
from hydrocli.report.tables import Columns

REFERENCE, SINGLE = "reference", ", single"
STEPS = 48
"""Drawn before and after the largest runoff."""


def draw_solvers(table: Columns, series: Columns) -> Figure:
    """Error of the runoff over evaluations per step; runoff and transfer level at the largest flood."""
    figure = style.canvas(5.6)
    grid = figure.add_gridspec(2, 2, width_ratios=[1, 1.25])
    cost, flood, level = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    colours = {name: style.CYCLE[place % len(style.CYCLE)] for place, name in enumerate(_families(table))}
    for place, name in enumerate(table["scheme"].tolist()):
        if name != REFERENCE and not name.endswith(SINGLE) and np.isfinite(table["runoff_rmse"][place]):
            at = table["evaluations"][place], table["runoff_rmse"][place]
            cost.plot(*at, marker="o", linestyle="", color=colours[_family(name)])
            cost.annotate(name.removeprefix(_family(name)), at, xytext=(5, 4), textcoords="offset points", fontsize=8)
    cost.set(xscale="log", yscale="log", xlabel="evaluations per step", ylabel=table.label("runoff_rmse"))
    style.plain_numbers(cost.xaxis, (1.0, 2.0, 5.0))
    style.plain_numbers(cost.yaxis)
    cost.margins(0.25)
    for axes, symbol in ((flood, "qt"), (level, "ht")):
        _draw_flood(axes, series, symbol, colours)
        axes.set_ylabel(f"{symbol} [{series.units.get(symbol, '-')}]")
        style.dates(axes, ticks=5)
    flood.legend(fontsize=7)
    return figure


def _family(name: str) -> str:
    return name.split(" x ")[0]


def _families(table: Columns) -> list[str]:
    return list(dict.fromkeys(_family(name) for name in table["scheme"].tolist() if name != REFERENCE))


def _draw_flood(axes: Axes, series: Columns, symbol: str, colours: dict[str, str]) -> None:
    """The reference, the implicit scheme and the cheapest of each other family around the largest runoff."""
    truth = series.where(series["scheme"] == REFERENCE)
    peak = int(truth["qt"].argmax())
    near = slice(max(0, peak - STEPS), peak + STEPS)
    axes.plot(truth["time"][near], truth[symbol][near], color=style.INK, linewidth=2.2, label=REFERENCE)
    drawn: set[str] = set()
    for name in dict.fromkeys(series["scheme"].tolist()):
        if name == REFERENCE or _family(name) in drawn or name.endswith(SINGLE):
            continue
        drawn.add(_family(name))
        here = series.where(series["scheme"] == name)
        axes.plot(here["time"][near], here[symbol][near], color=colours[_family(name)], linewidth=1, label=name)
