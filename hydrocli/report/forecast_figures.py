"""Figures of a folder of forecasts: skill by lead time, and the largest flood as it was forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hydrocli.files import atomic_write, os_errors_as_input_errors
from hydrocli.report import style
from hydrocli.results import Run, read

COLOURS = {"analysis": style.BLUE, "ar1": style.ORANGE, "open_loop": style.VERMILION, "persistence": style.MUTED}
LABELS = {"analysis": "analysis", "ar1": "open loop and AR(1)", "open_loop": "open loop", "persistence": "persistence"}
MOST_ISSUES = 12
"""Issues of a flood that are drawn."""


def draw_forecasts(folder: Path) -> list[Path]:
    """Write figures/skill.png (of a hindcast) and figures/forecast.png.

    Args:
        folder: that `hindcast` or `forecast` has written.

    Returns:
        The files.
    """
    run, written = read(folder), list[Path]()
    found = ({"skill": _skill(run)} if run.has("forecast_scores") else {}) | {"forecast": _ahead(run)}
    target = run.folder / "figures"
    with os_errors_as_input_errors(target):
        target.mkdir(exist_ok=True)
    for name, figure in found.items():
        with style.drawing():
            encoded = style.encode(figure, "png")
        with atomic_write(target / f"{name}.png") as file:
            file.write(encoded)
        written.append(target / f"{name}.png")
    return written


def _skill(run: Run) -> Figure:
    """Root mean square error by lead time, a panel for each gauge, a line for each kind."""
    scores = run.arrays("forecast_scores")
    of_rmse = scores["metric"] == "rmse"
    codes = list(dict.fromkeys(scores["gauge"].tolist()))
    with style.drawing():
        figure, axes = style.panels(len(codes), min(2, len(codes)), 2.4)
        for axis, code in zip(axes, codes, strict=True):
            for kind, colour in COLOURS.items():
                here = of_rmse & (scores["gauge"] == code) & (scores["kind"] == kind)
                axis.plot(scores["lead"][here], scores["value"][here], color=colour, label=LABELS[kind])
            axis.set_title(code)
            axis.set_ylim(bottom=0.0)
            axis.set(xlabel="lead time [h]", ylabel="RMSE [m3/s]")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(COLOURS) + 1)
    return figure


def _ahead(run: Run) -> Figure:
    """Forecasts of the largest observed discharge, or the latest one; a panel for each gauge."""
    table = run.arrays("forecast")
    codes = list(dict.fromkeys(table["gauge"].tolist()))
    with style.drawing():
        figure, axes = style.panels(len(codes), 1, 2.2)
        for axis, code in zip(axes, codes, strict=True):
            _draw_gauge(axis, {name: values[table["gauge"] == code] for name, values in table.items()})
            axis.set_title(code)
            axis.set_ylabel("discharge [m3/s]")
            style.dates(axis)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(COLOURS) + 1)
    return figure


def _draw_gauge(axis: Axes, rows: dict[str, NDArray[Any]]) -> None:
    """Forecasts of one gauge; the shade of the colour says how old they are."""
    known = np.isfinite(rows["observed"])
    peak = rows["valid"][known][np.argmax(rows["observed"][known])] if known.any() else rows["issue"].max()
    covering = np.unique(rows["issue"][(rows["valid"] == peak) | (rows["issue"] == peak)])
    issues = covering[:: max(1, -(-len(covering) // MOST_ISSUES))] if covering.size else np.unique(rows["issue"])[-1:]
    kinds = COLOURS if len(issues) == 1 else {kind: COLOURS[kind] for kind in ("open_loop", "analysis")}
    for kind, colour in kinds.items():
        for number, issue in enumerate(issues):
            here = (rows["kind"] == kind) & (rows["issue"] == issue)
            strength = 0.3 + 0.7 * (number + 1) / len(issues)
            label = LABELS[kind] if number == len(issues) - 1 else None
            axis.plot(rows["valid"][here], rows["discharge"][here], color=colour, alpha=strength, lw=0.9, label=label)
    shown = np.isin(rows["issue"], issues) & known
    times, places = np.unique(rows["valid"][shown], return_index=True)
    if times.size:
        axis.plot(times, rows["observed"][shown][places], color=style.OBSERVED, lw=1.3, label="observed")
