"""Scores by scenario, and the errors of the signatures of floods and of whole periods."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hydrocli.arrays import Floats
from hydrocli.report import style
from hydrocli.report.about import SCENARIOS, metric_words
from hydrocli.report.tables import Columns

SCENARIO_COLOURS = dict(zip(SCENARIOS, (style.BLUE, style.GREEN, style.ORANGE, style.VERMILION), strict=True))
WIDEST = 1.5
"""Relative errors beyond are drawn at the edge."""


def by_scenario(scores: Columns, metric: str) -> dict[str, tuple[list[str], Floats]]:
    """Gauges and values of a metric in each scenario that the run has."""
    here = scores.where((scores["metric"] == metric) & np.isfinite(scores["value"]))
    names = here["scenario"].astype(str)
    return {
        scenario: (here["gauge"][names == scenario].tolist(), here["value"][names == scenario])
        for scenario in SCENARIOS
        if (names == scenario).any()
    }


def draw_scores(metrics: Mapping[str, Mapping[str, tuple[list[str], Floats]]]) -> Figure:
    """A panel for each metric: every gauge a point, a box where a scenario has five or more."""
    figure, axes = style.panels(len(metrics), 3, 2.3)
    for axis, (metric, scenarios) in zip(axes, metrics.items(), strict=True):
        for place, (scenario, (_, values)) in enumerate(scenarios.items()):
            colour = SCENARIO_COLOURS[scenario]
            if len(values) >= 5:
                box(axis, place, values, colour)
            spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
            axis.plot(place + spread, np.sort(values), "o", color=colour, markersize=3.5, alpha=0.8)
        axis.set_xticks(range(len(scenarios)), [name.replace("-", "-\n") for name in scenarios], fontsize=7.5)
        axis.set_xlim(-0.6, len(scenarios) - 0.4)
        axis.set_title(metric_words(metric))
        axis.grid(visible=False, axis="x")
    return figure


def box(axis: Axes, place: float, values: Floats, colour: str, *, width: float = 0.55, alpha: float = 0.45) -> None:
    """A box of quartiles with the median, whiskers to 1.5 times the box, and outliers as points."""
    axis.boxplot(
        [values], positions=[place], widths=width, patch_artist=True, manage_ticks=False,
        boxprops={"facecolor": colour, "edgecolor": colour, "alpha": alpha},
        medianprops={"color": style.INK, "linewidth": 1.4}, whiskerprops={"color": colour},
        capprops={"color": colour},
        flierprops={"marker": "o", "markersize": 2.5, "markerfacecolor": colour, "markeredgecolor": "none"},
    )  # fmt: skip


def errors(signatures: Columns, *, of_events: bool) -> dict[str, Floats]:
    """Relative errors of each signature, over all events or over all whole periods, where they are defined."""
    rows = np.isfinite(signatures["event"].astype(np.float64)) == of_events
    rows &= np.isfinite(signatures["relative_error"])
    here = signatures.where(rows)
    names = here["signature"].astype(str)
    return {name: here["relative_error"][names == name] for name in dict.fromkeys(names.tolist())}


def draw_errors(event_errors: Mapping[str, Floats], period_errors: Mapping[str, Floats]) -> Figure:
    """Boxes of the relative errors, of events on the left and of whole periods on the right."""
    parts = {"flood events": event_errors, "whole periods": period_errors}
    parts = {title: found for title, found in parts.items() if found}
    figure = style.canvas(3.6)
    axes = figure.subplots(1, len(parts), squeeze=False)[0]
    for axis, (title, found), colour in zip(axes, parts.items(), (style.BLUE, style.GREEN), strict=False):
        for place, values in enumerate(found.values()):
            box(axis, place, np.clip(values, -WIDEST, WIDEST), colour)
        axis.axhline(0, color=style.INK, linewidth=0.8)
        axis.set_xticks(range(len(found)), list(found), rotation=60, ha="right", fontsize=7.5)
        axis.set_ylim(-1.08 * WIDEST, 1.08 * WIDEST)
        axis.grid(visible=False, axis="x")
        axis.set_title(title)
    axes[0].set_ylabel("relative error [-]")
    return figure
