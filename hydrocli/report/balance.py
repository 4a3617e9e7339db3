"""Water balances: by year, between runs, and cumulative with and without the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from hydrocli.arrays import Floats
from hydrocli.report import style
from hydrocli.report.tables import Columns, Times, envelope

GAINS = {"rain": style.SKY, "correction_source": style.PURPLE}
LOSSES = {"evapotranspiration": style.GREEN, "runoff": style.BLUE, "storage_change": style.ORANGE}
EXCHANGE = style.VERMILION
FLUXES = {
    "rain": "rain P",
    "soil_evaporation": "evapotranspiration of the soil Es",
    "interception_evaporation": "evaporation from interception Ei",
    "exchange": "exchange F",
    "runoff": "runoff Qlat",
}
"""Fluxes of the first paper's annual balance (equation 13, Figure 11), and interception, which it leaves out."""


@dataclass(frozen=True, eq=False)
class Bars:
    """Terms of the balance by year [mm]: inflows are positive, outflows negative; the sum is zero."""

    years: tuple[int, ...]
    terms: dict[str, Floats]


def bars(balance: Columns) -> Bars:
    """The balance of one gauge: rain and source above; evapotranspiration, runoff, storage below; exchange as it is."""
    signs = dict.fromkeys((*GAINS, "exchange"), 1.0) | dict.fromkeys(LOSSES, -1.0)
    terms = {name: sign * balance[name] for name, sign in signs.items() if np.any(balance[name] != 0)}
    return Bars(tuple(int(year) for year in balance["year"]), terms)


def draw_balance(gauges: Mapping[str, Bars]) -> Figure:
    """Stacked bars by year, a panel for each gauge; the black tick is the exchange's own sign."""
    colours = GAINS | LOSSES | {"exchange": EXCHANGE}
    figure, axes = style.panels(len(gauges), 3 if len(gauges) < 13 else 5, 2.4 if len(gauges) < 13 else 1.5)
    for axis, (code, found) in zip(axes, gauges.items(), strict=True):
        above, below = np.zeros(len(found.years)), np.zeros(len(found.years))
        places = np.arange(len(found.years))
        for name, values in found.terms.items():
            base = np.where(values >= 0, above, below)
            axis.bar(places, values, bottom=base, width=0.7, color=colours[name], label=name.replace("_", " "))
            above, below = above + np.maximum(values, 0), below + np.minimum(values, 0)
        axis.axhline(0, color=style.INK, linewidth=0.8)
        every = -(-len(places) // 6)
        axis.set_xticks(places[::every], [str(year) for year in found.years[::every]])
        axis.set_xlim(-0.8, len(places) - 0.2)
        axis.grid(visible=False, axis="x")
        axis.set_title(code)
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=6)
    figure.supylabel("[mm]", fontsize=9)
    return figure


def mean_fluxes(annual: Mapping[str, Columns]) -> dict[str, dict[str, float]]:
    """Each flux [mm/year] by gauge: in the calibration where there is one, else in the first period."""
    return {code: {name: float(table[name][_shown(table)]) for name in FLUXES} for code, table in annual.items()}


def span(annual: Mapping[str, Columns]) -> str:
    """What `mean_fluxes` are of, as a sentence."""
    table = next(iter(annual.values()))
    period, days = str(table["period"][_shown(table)]), float(table["days"][_shown(table)])
    few = "; less than a year, whose seasons weigh unequally" if days < 365 else ""
    when = "whole run" if period == "all" else f"period {period}, without warm-up"
    return f"{when}: {days:.0f} days, scaled to 365.25{few}"


def _shown(annual: Columns) -> int:
    names = annual["period"].tolist()
    return names.index("calibration") if "calibration" in names else 0


NAMED = 60
"""Catchments that an axis names at most."""


def draw_mean_fluxes(
    one: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]], names: tuple[str, str]
) -> Figure:
    """First paper, Figure 11: mean annual fluxes of both runs by catchment, from the driest to the wettest."""
    codes = sorted(set(one) & set(other), key=lambda code: one[code]["rain"])
    figure, axes = style.panels(len(FLUXES), 3, 2.3)
    places = np.arange(len(codes))
    for axis, (flux, words) in zip(axes, FLUXES.items(), strict=True):
        first, second = (np.array([values[code][flux] for code in codes]) for values in (one, other))
        axis.vlines(places, first, second, color=style.MUTED, linewidth=1.2)
        axis.plot(places, second, "s", color=style.AGAINST, markersize=4.5, label=names[1])
        axis.plot(places, first, "o", color=style.SIMULATED, markersize=4.5, label=names[0])
        axis.set_title(words)
        axis.set_ylabel("[mm/year]")
        every = -(-len(codes) // NAMED)
        axis.set_xticks(places[::every], codes[::every], rotation=60 if len(codes) > 4 else 0, fontsize=7)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@dataclass(frozen=True, eq=False)
class Cumulated:
    """Cumulative water [mm] over a catchment: rain, its three components, and the residual.

    `left` is rain - evapotranspiration - change of storage - runoff: the exchange, and what the network adds.
    """

    times: Times
    rain: Floats
    evapotranspiration: Floats
    storage: Floats
    runoff: Floats
    left: Floats


def cumulated(times: Times, rain: Floats, fluxes: Columns) -> Cumulated:
    """From the catchment means of one gauge: aet, qt [mm/step] and storage [mm]."""
    fallen, evaporated, run_off = (np.cumsum(np.nan_to_num(part)) for part in (rain, fluxes["aet"], fluxes["qt"]))
    stored = fluxes["storage"] - fluxes["storage"][0] + _first_change(rain, fluxes)
    return Cumulated(times, fallen, evaporated, stored, run_off, fallen - evaporated - stored - run_off)


def _first_change(rain: Floats, fluxes: Columns) -> float:
    """Change of storage in the first step, from its fluxes: no table has the initial storage."""
    exchange = fluxes["exchange"][0] if "exchange" in fluxes else 0.0
    return float(np.nan_to_num(rain[0]) - fluxes["aet"][0] - fluxes["qt"][0] + exchange)


def draw_cumulated(runs: Mapping[str, Cumulated]) -> Figure:
    """Cumulative fluxes (solid: first run, dashed: second run), and below them the residual."""
    figure = style.canvas(5.2)
    top, foot = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.6])
    colours = {"rain": style.SKY, "evapotranspiration": style.GREEN, "runoff": style.BLUE, "storage": style.ORANGE}
    for (name, found), dashes in zip(runs.items(), ("-", "--"), strict=False):
        for flux, colour in colours.items():
            if flux != "rain" or dashes == "-":
                label = flux if flux == "rain" else f"{flux}, {name}"
                top.plot(*envelope(found.times, getattr(found, flux)), dashes, color=colour, label=label)
        foot.plot(*envelope(found.times, found.left), dashes, color=style.INK, label=name)
    top.set_ylabel("cumulative [mm]")
    foot.set_ylabel("rain - ET - storage\n- runoff [mm]")
    top.legend(loc="upper left", ncols=2, fontsize=7.5)
    style.legend(foot)
    style.dates(foot)
    return figure
