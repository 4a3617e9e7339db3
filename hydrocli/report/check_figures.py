"""Figures of the page of `hydrocli check --report`: double-mass curves, the Budyko plot, missing data by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.report import style

MOST = 60
"""Gauges that have a panel of their own."""
FEW = 13
"""Gauges from which on panels are small."""


def cumulated(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Sums from the start of two series, over the days on which both are known."""
    known = np.isfinite(x) & np.isfinite(y)
    return np.cumsum(np.where(known, x, 0.0)), np.cumsum(np.where(known, y, 0.0))


def others_mean(series: Floats, place: int) -> Floats:
    """Mean [d] of the other series [g, d] on days on which one has a value; NaN on days without any."""
    others = np.delete(series, place, axis=0)
    count = np.isfinite(others).sum(axis=0)
    return np.where(count > 0, np.nansum(others, axis=0) / np.maximum(count, 1), np.nan)


def draw_double_mass(
    pairs: Mapping[str, tuple[Floats, Floats]], days: NDArray[np.datetime64], labels: tuple[str, str]
) -> Figure:
    """Sums of one series against those of another, a panel for each gauge.

    A bend shows a time at which one of them changed. Dots are the starts of months, with their year or month; the
    dashed line is that of the whole period.

    Args:
        pairs: two sums [d] by gauge, see `cumulated`.
        days: datetime64[D][d].
        labels: of the axes.
    """
    codes = list(pairs)[:MOST]
    is_small = len(codes) >= FEW
    figure, axes = style.panels(len(codes), 5 if is_small else 3, 1.7 if is_small else 2.5)
    starts, names = _marks(days)
    for axis, code in zip(axes, codes, strict=True):
        x, y = pairs[code]
        axis.plot([0, x[-1]], [0, y[-1]], color=style.MUTED, linestyle="--", linewidth=0.8)
        axis.plot(x, y, color=style.BLUE)
        axis.plot(x[starts], y[starts], "o", color=style.BLUE, markersize=2.5)
        for place in _apart(x[starts] / max(x[-1], 1e-9), y[starts] / max(y[-1], 1e-9)):
            at = x[starts[place]], y[starts[place]]
            options: Any = {"textcoords": "offset points", "fontsize": 6.5, "path_effects": style.halo()}
            axis.annotate(names[place], at, (4, -7), **options)
        axis.set_title(code)
        axis.locator_params(nbins=4)
    _label_outside(axes, labels, 5 if is_small else min(3, len(codes)))
    return figure


def _marks(days: NDArray[np.datetime64]) -> tuple[NDArray[np.intp], list[str]]:
    """Places of the starts of months, or of years where there are many months, and their names."""
    for unit, most in (("M", 14), ("Y", 1000)):
        _, starts = np.unique(days.astype(f"datetime64[{unit}]"), return_index=True)
        starts = starts[1:]
        if len(starts) <= most:
            return starts, [str(days[place].astype(f"datetime64[{unit}]")) for place in starts]
    return starts, []


def _apart(x: Floats, y: Floats) -> list[int]:
    """Places of points, as shares of the axes, whose names do not cover one another."""
    kept: list[int] = []
    for place in range(len(x)):
        if not kept or abs(y[place] - y[kept[-1]]) > 0.09 or abs(x[place] - x[kept[-1]]) > 0.3:
            kept.append(place)
    return kept


def _label_outside(axes: Sequence[Axes], labels: tuple[str, str], columns: int) -> None:
    for number, axis in enumerate(axes):
        if number % columns == 0:
            axis.set_ylabel(labels[1], fontsize=8)
        if number >= len(axes) - columns:
            axis.set_xlabel(labels[0], fontsize=8)


def draw_budyko(gauges: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Share of the rain that evaporates against aridity; beyond the lines water is lost or comes from nowhere.

    Args:
        gauges: rows of the table of plausibility. None is returned where none has rain and runoff.
    """
    rows = [row for row in gauges if row["runoff"] is not None and row["rain_observed"]]
    if not rows:
        return None
    aridity = np.array([row["pet"] * row["observed_days"] / row["days"] / row["rain_observed"] for row in rows])
    lost = np.array([1.0 - row["runoff"] / row["rain_observed"] for row in rows])
    figure = style.canvas(3.3)
    axis = figure.subplots()
    most = max(2.0, 1.15 * float(aridity.max()))
    phi = np.linspace(1e-3, most, 200)
    axis.plot([0, 1, most], [0, 1, 1], color=style.INK, linewidth=0.9, label="limits of water and energy")
    axis.plot(phi, phi / np.sqrt(1.0 + phi**2), color=style.MUTED, linestyle="--", label="usual (Turc-Pike)")
    axis.scatter(aridity, lost, color=style.BLUE, s=26, zorder=3)
    for x, y, row in zip(aridity, lost, rows, strict=True) if len(rows) <= MOST else ():
        axis.annotate(row["gauge"], (x, y), (4, 4), textcoords="offset points", fontsize=7, path_effects=style.halo())
    low = min(-0.1, 1.15 * float(lost.min()))
    axis.set_ylim(low, 1.1)
    axis.set_xlim(0, most)
    axis.set_xlabel("PET by rain [-]")
    axis.set_ylabel("1 - runoff by rain [-]")
    style.legend(axis)
    return figure


def draw_months(shares: Mapping[str, Floats], codes: Sequence[str], months: Sequence[str]) -> Figure:
    """Share of missing data by gauge and month, a panel for each kind.

    Args:
        shares: [g, m] by title.
        codes: of the g gauges.
        months: of the m months, yyyy-mm.
    """
    figure = style.canvas(max(1.5, min(0.6 + 0.2 * len(codes), 7.0)))
    axes = figure.subplots(1, len(shares), squeeze=False)[0]
    image = None
    for number, (axis, (title, values)) in enumerate(zip(axes, shares.items(), strict=True)):
        image = axis.imshow(values, cmap="Oranges", vmin=0.0, vmax=1.0, aspect="auto")
        axis.grid(visible=False)
        every = -(-len(months) // 6)
        axis.set_xticks(range(0, len(months), every), list(months[::every]))
        if number or len(codes) > MOST:
            axis.set_yticks([])
        else:
            axis.set_yticks(range(len(codes)), list(codes))
        axis.set_title(title)
    figure.colorbar(image, ax=list(axes), label="share missing [-]", shrink=0.9, aspect=12)  # type: ignore[arg-type]
    return figure
