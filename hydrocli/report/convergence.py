"""Convergence of the optimiser: cost and gradient norm by stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from hydrocli.arrays import Floats
from hydrocli.report import style
from hydrocli.report.tables import Columns


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage: evaluations since the calibration began, lowest cost, norm of the gradient (NaN: none was used)."""

    name: str
    evaluations: Floats
    cost: Floats
    gradient_norm: Floats


def stages(history: Columns) -> list[Stage]:
    """The stages of `convergence.parquet` in their order."""
    found = []
    for name in dict.fromkeys(history["stage"].tolist()):
        here = history.where(history["stage"] == name)
        values = (here[column].astype(np.float64) for column in ("evaluations", "cost", "gradient_norm"))
        found.append(Stage(name, *values))
    return found


def draw_convergence(history: list[Stage]) -> Figure:
    """Cost and gradient norm over the evaluations, a colour for each stage."""
    with_gradient = any(np.isfinite(stage.gradient_norm).any() for stage in history)
    figure = style.canvas(5.0 if with_gradient else 3.2)
    axes = figure.subplots(
        2 if with_gradient else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 2][: 1 + with_gradient]
    )
    cost = axes[0, 0]
    for place, stage in enumerate(history):
        colour = style.CYCLE[place % len(style.CYCLE)]
        marker = "." if len(stage.cost) < 60 else ""
        cost.plot(stage.evaluations, stage.cost, color=colour, marker=marker, markersize=4, label=stage.name)
        if with_gradient and np.isfinite(stage.gradient_norm).any():
            axes[1, 0].plot(stage.evaluations, stage.gradient_norm, color=colour, marker=marker, markersize=4)
    cost.set_ylabel("cost [-]")
    if _spans_decades(np.concatenate([stage.cost for stage in history])):
        style.logarithmic(cost, *_range([stage.cost for stage in history]))
    if with_gradient:
        axes[1, 0].set_ylabel("gradient norm [-]")
        style.logarithmic(axes[1, 0], *_range([stage.gradient_norm for stage in history]))
    axes[-1, 0].set_xlabel("cost evaluations")
    if len(history) <= 8:
        cost.legend(loc="upper right")
    return figure


def _range(series: list[Floats]) -> tuple[float, float]:
    """A little more than all positive values span."""
    values = np.concatenate(series)
    positive = values[np.isfinite(values) & (values > 0)]
    return (float(positive.min()) / 1.5, float(positive.max()) * 1.5) if positive.size else (0.1, 1.0)


def _spans_decades(values: Floats) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size) and bool(finite.min() > 0 and finite.max() > 20 * finite.min())
