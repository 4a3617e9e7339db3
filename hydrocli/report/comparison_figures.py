"""Figures of a comparison, in the forms of the papers: boxes by scenario, radar, distributions of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from hydrocli.arrays import Floats
from hydrocli.report import style
from hydrocli.report.about import OF_EVENTS, metric_words
from hydrocli.report.comparison import Paired
from hydrocli.report.floods import SCENARIO_COLOURS, box

STRUCTURE_COLOURS = {"GR": style.BLUE, "GRNN": style.SKY, "ODE": style.ORANGE, "NODE": style.VERMILION}
STRENGTHS = {"U": 0.25, "D": 0.4, "ML": 0.55, "MP": 0.65, "MLP": 0.75, "CNN": 0.95}
"""How strong the colour of a structure is, by its mapping."""
DASHES = {"U": ":", "D": "-.", "ML": (0, (5, 2, 1, 2)), "MP": (0, (3, 1)), "MLP": "--", "CNN": "-"}
LOWEST = {"nse": -0.5, "kge": -0.5, "log_nse": -0.5}
"""Efficiencies below are drawn at the foot of their axis."""
WIDEST = 1.5
FEW = 5
"""Values from which on a box is drawn, not points alone."""


def colour_of(model: str) -> str:
    """Colour of a model's structure."""
    return STRUCTURE_COLOURS.get(model.partition(".")[0], style.MUTED)


def _mapping_of(model: str) -> str:
    return model.partition(".")[2].split(" ")[0]


def draw_boxes(scenarios: Mapping[str, Mapping[str, Floats]], metric: str) -> Figure:
    """Second paper, Figure 5: a panel for each scenario, a box for each model; points where there are few values."""
    models = list(dict.fromkeys(model for found in scenarios.values() for model in found))
    columns = 2 if len(scenarios) > 1 else 1
    figure, axes = style.panels(len(scenarios), columns, 2.5)
    low = LOWEST.get(metric.removesuffix(OF_EVENTS), -np.inf)
    for axis, (scenario, found) in zip(axes, scenarios.items(), strict=True):
        for place, model in enumerate(models):
            if model in found:
                values, mapping = np.maximum(found[model], low), _mapping_of(model)
                if len(values) >= FEW:
                    box(axis, place, values, colour_of(model), alpha=STRENGTHS.get(mapping, 0.5))
                else:
                    _points(axis, place, values, colour_of(model))
        axis.set_xticks(range(len(models)), models, rotation=35, ha="right", fontsize=7.5)
        axis.set_xlim(-0.7, len(models) - 0.3)
        axis.set_title(f"{scenario} ({max(len(values) for values in found.values())})")
        axis.grid(visible=False, axis="x")
    figure.supylabel(metric_words(metric), fontsize=9)
    return figure


def _points(axis: Axes, place: float, values: Floats, colour: str) -> None:
    """Few values as they are, with their median."""
    axis.plot(np.full(len(values), place), values, "o", color=colour, markersize=4, alpha=0.85)
    axis.hlines(np.median(values), place - 0.3, place + 0.3, color=style.INK, linewidth=1.3)


def draw_radar(gauges: Sequence[str], models: Mapping[str, Floats], metric: str) -> Figure:
    """First paper, Figure 6: an axis for each gauge, a line for each model; values below 0 in the middle."""
    figure = style.canvas(5.2)
    axis = figure.add_subplot(projection="polar")
    assert isinstance(axis, PolarAxes)
    angles = 2 * np.pi * np.arange(len(gauges)) / len(gauges)
    for model, values in models.items():
        shown, known = np.clip(values, 0, 1), np.isfinite(values)
        closed = np.r_[angles[known], angles[known][:1]], np.r_[shown[known], shown[known][:1]]
        axis.plot(*closed, color=colour_of(model), linestyle=DASHES.get(_mapping_of(model), "-"), label=model)
        axis.fill(*closed, color=colour_of(model), alpha=0.05)
    axis.set_xticks(angles, gauges)
    axis.set_ylim(0, 1)
    axis.set_title(f"{metric_words(metric)} in calibration")
    axis.legend(loc="center left", bbox_to_anchor=(1.15, 0.5))
    return figure


def draw_distributions(signatures: Mapping[str, Mapping[str, Floats]], words: str) -> Figure:
    """First paper, Figure 5: share of the events whose relative error is smaller, a panel for each signature."""
    figure, axes = style.panels(len(signatures), 2, 2.5)
    for axis, (signature, models) in zip(axes, signatures.items(), strict=True):
        for model, errors in models.items():
            share = np.arange(1, len(errors) + 1) / len(errors)
            axis.step(
                np.r_[0.0, errors, max(WIDEST, errors[-1])], np.r_[0.0, share, 1.0], where="post",
                color=colour_of(model), linestyle=DASHES.get(_mapping_of(model), "-"), label=model,
            )  # fmt: skip
        axis.set_xlim(0, WIDEST)
        axis.set_ylim(0, 1.02)
        number = max(len(errors) for errors in models.values())
        axis.set_title(f"{signature} ({number} events, {words})")
    figure.supxlabel("absolute relative error [-]", fontsize=9)
    figure.supylabel("fraction of events", fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def draw_local_and_regional(pairs: Sequence[Paired], metric: str) -> Figure:
    """Regional against local calibration of the same gauges: a panel for each model; above the line it is better."""
    figure, axes = style.panels(len(pairs), 3, 3.0, stretched=False)
    for axis, pair in zip(axes, pairs, strict=True):
        local, regional = (np.maximum(values, LOWEST.get(metric, -np.inf)) for values in (pair.local, pair.regional))
        low, high = style.limits(np.r_[local, regional])
        margin = 0.06 * (high - low)
        axis.plot([low - margin, high + margin], [low - margin, high + margin], color=style.MUTED, linewidth=0.8)
        for scenario in dict.fromkeys(pair.scenarios):
            here = np.array(pair.scenarios) == scenario
            axis.plot(local[here], regional[here], "o", color=SCENARIO_COLOURS[scenario], markersize=4, label=scenario)
        axis.set_aspect("equal")
        axis.set_title(pair.model)
    figure.supxlabel(f"local {metric_words(metric)}", fontsize=9)
    figure.supylabel(f"regional {metric_words(metric)}", fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure
