"""Sections of the run report on states, network, solver and water budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.names import FLUXES, NEWTON_ITERATIONS
from hydrocli.report import balance, corrections, hydrographs, maps
from hydrocli.report.page import UNFOLDED, Block, Picture, Section, sheet
from hydrocli.report.sections import on_cells
from hydrocli.report.source import Source
from hydrocli.report.tables import Columns, Times

FIRST_MEANS = ("aet", "exchange", "qt", "storage")
"""Fluxes whose means are mapped first; all others that the run has follow."""

Lines = dict[str, dict[str, tuple[Times, Floats]]]


def state_section(source: Source) -> Section:
    """Levels of the stores in time and over the cells, compared with the second run; high-pass-filtered runoff."""
    blocks: list[Block] = []
    for unit in dict.fromkeys(one["unit"] for one in source.states.values()):
        wanted = {
            symbol: f"{one['long_name']}, {symbol}" for symbol, one in source.states.items() if one["unit"] == unit
        }
        if levels := _in_time(source, wanted):
            figure = corrections.draw_in_time(levels, "level [-]" if unit == "-" else f"[{unit}]")
            name = "states_in_time" if unit == "-" else f"states_in_time_{unit}"
            blocks.append(Picture(name, "Catchment-mean states.", figure))
    if corrections.are_gates(source.corrections) and (panels := _in_time(source, {"exchange": "exchange"})):
        figure = corrections.draw_in_time(panels, f"[{FLUXES['exchange'].unit}]")
        blocks.append(Picture("exchange_in_time", "Catchment-mean exchange, as applied.", figure))
    blocks += _mean_maps(source, tuple(source.states), "states_mean")
    blocks += _final_states(source)
    blocks += _high_pass(source)
    return Section("states", "States", tuple(blocks))


def _in_time(source: Source, wanted: Mapping[str, str]) -> Lines:
    """Series of the catchments by quantity; of both runs at the largest catchment where there are two."""
    panels: Lines = {}
    for symbol, words in wanted.items():
        lines = {}
        if source.against:
            code, pairs = source.largest, zip(source.names, (source, source.against), strict=True)
            for name, run in pairs:
                table = run.catchments.get(code)
                if table is not None and symbol in table:
                    lines[name] = (table["time"], table[symbol])
            words = f"{words}, {code}"
        else:
            for code in source.detailed:
                table = source.catchments.get(code)
                if table is not None and symbol in table:
                    lines[code] = (table["time"], table[symbol])
        if lines:
            panels[words] = lines
    return panels


def _others(source: Source) -> list[str]:
    """Fluxes beside the first ones; states, corrections and iterations have figures of their own."""
    elsewhere = {*source.states, *source.corrections, NEWTON_ITERATIONS.symbol}
    return [symbol for symbol in source.fluxes if symbol not in elsewhere]


def _mean_maps(source: Source, wanted: Sequence[str], name: str) -> list[Block]:
    table, domain = source.table("mean_maps"), source.domain
    if table is None or domain is None:
        return []
    symbols = [symbol for symbol in wanted if symbol in table]
    if not symbols:
        return []
    figure = maps.draw_fields(domain, {symbol: table[symbol] for symbol in symbols}, table.units)
    details = "; ".join(f"{symbol}: {table.words[symbol]}" for symbol in symbols)
    return [Picture(name, f"Temporal means; ± standard deviation over the cells. {details}.", figure)]


def _final_states(source: Source) -> list[Block]:
    """Second paper, Figure 4: levels at the end of both runs and their difference."""
    mine, place, domain = source.table("states"), source.table("domain"), source.domain
    other = source.against
    if other is None or mine is None or place is None or domain is None:
        return []
    theirs, there = other.table("states"), other.table("domain")
    if theirs is None or there is None:
        return []
    shared = [symbol for symbol in source.states if symbol in mine and symbol in theirs]
    if not shared:
        return []
    placed = on_cells(place, Columns(theirs.values | there.values, {}, {}), shared)
    pairs = {symbol: (mine[symbol], placed[symbol]) for symbol in shared}
    units = {symbol: source.states[symbol]["unit"] for symbol in shared}
    figure = maps.draw_difference(domain, pairs, source.names, units)
    return [Picture("final_states_difference", "Final store levels of both runs, and their difference.", figure)]


def _high_pass(source: Source) -> list[Block]:
    """Runoff of the largest catchment without what is slower than three days."""
    runs = {source.names[0]: source} | ({source.names[1]: source.against} if source.against else {})
    lines = {}
    for name, run in runs.items():
        table = run.catchments.get(source.largest)
        if table is not None and "qt" in table:
            lines[name] = table["time"], hydrographs.high_pass(table["time"], table["qt"])
    if not lines:
        return []
    figure = hydrographs.draw_high_pass(lines, f"runoff [{FLUXES['qt'].unit}]")
    caption = f"High-pass-filtered (3 d) runoff upstream of {source.largest}, before routing."
    return [Picture("high_pass_runoff", caption, figure)]


def network_section(source: Source) -> Section:
    """Corrections or gates in time, over the catchments and the cells, and what they make of the fluxes."""
    blocks, are_gates = list[Block](), corrections.are_gates(source.corrections)
    found = {
        code: (table["time"], values)
        for code, table in source.catchments.items()
        if (values := corrections.factors(source.corrections, table))
    }
    if found:
        names = next(iter(found.values()))[1]
        panels = {name: {code: (found[code][0], found[code][1][name]) for code in source.detailed} for name in names}
        figure = corrections.draw_in_time(panels, "gate [-]" if are_gates else "factor [-]", None if are_gates else 1.0)
        caption = "Catchment means of the factors g(f) of the network on the fluxes; 1: no correction."
        if are_gates:
            caption = "Catchment means of the gates of the network: shares of the bounds of the fluxes."
        blocks.append(Picture("corrections_in_time", caption, figure))
        means = corrections.averages(found, source.about.periods.get("calibration"))
        figure = corrections.draw_heatmap(corrections.heatmap(found, means), None if are_gates else 1.0)
        caption = f"The same for all catchments, sorted by the average of the first factor over {_averaged(source)}."
        caption += "" if are_gates else " Red: flux increased; blue: flux reduced."
        blocks.append(Picture("corrections_of_catchments", caption, figure))
        rows = [{"gauge": code} | row for code, row in means.items()]
        blocks.append(
            sheet(f"Mean factors over the catchments and {_averaged(source)}", rows, folded=len(rows) > UNFOLDED)
        )
    blocks += _correction_maps(source)
    response = source.table("response_surfaces")
    if response is not None:
        surfaces = corrections.surfaces(response)
        figure = corrections.draw_response(surfaces)
        caption = (
            "Fluxes over a store level and a forcing, without (classical) and with the network. Parameters and other "
        )
        caption += "levels are at their means, the other forcing is zero."
        blocks.append(Picture("response_of_fluxes", caption, figure))
        if bounded := [one for one in surfaces if np.isfinite(one.bound).all()]:
            figure = corrections.draw_meshes(bounded)
            caption = "The same with the bounds: GR (red), the neural reservoirs (blue), the admissible bound (grey)."
            blocks.append(Picture("response_within_bounds", caption, figure))
    blocks += _pretraining(source)
    return Section("network", "Network", tuple(blocks))


def _pretraining(source: Source) -> list[Block]:
    """How near the network came to GR before the calibration."""
    table = source.table("pretraining")
    if table is None:
        return []
    errors = zip(table["flux"].tolist(), table["relative_error"], strict=True)
    rows = [{"flux": flux, "relative error": float(error)} for flux, error in errors]
    score = source.run.manifest.counts.get("pretraining_nse")
    reached = "" if score is None else f"; NSE of the discharge against that of GR {score:.3f}"
    return [sheet(f"Pre-training on GR: errors of the fluxes{reached}", rows)]


def _correction_maps(source: Source) -> list[Block]:
    means, domain = source.table("mean_maps"), source.domain
    if means is None or domain is None:
        return []
    if not any(symbol.replace("f", "g") in means for symbol in source.corrections):
        return []  # means of f are of the whole run
    fields = corrections.factors(source.corrections, means)
    if not fields:
        return []
    around = None if corrections.are_gates(source.corrections) else 1.0
    figure = maps.draw_fields(domain, fields, dict.fromkeys(fields, "-"), columns=2, around=around)
    return [Picture("corrections_mean", f"Mean factors of each cell over {_averaged(source)}.", figure)]


def _averaged(source: Source) -> str:
    """What factors are averaged over, in words."""
    return "the calibration period, without warm-up" if "calibration" in source.about.periods else "all steps"


def newton_section(source: Source) -> Section:
    """Iterations of Newton's method, in time and over the cells."""
    counts = source.run.manifest.counts
    words: dict[str, tuple[str, Callable[[float], float | int]]] = {
        "newton_iterations_mean": ("iterations per cell and step, mean", float),
        "newton_iterations_most": ("iterations per cell and step, maximum", int),
        "newton_solved_again": ("cell-steps solved by a bracketed search", int),
        "newton_unsolved": ("cell-steps without solution", int),
    }
    rows = [
        {"Newton's method": text, "number": kind(counts[name])}
        for name, (text, kind) in words.items()
        if name in counts
    ]
    blocks: list[Block] = [sheet("All cells and steps of the final simulation", rows)] if rows else []
    panels = _in_time(source, {"newton_iterations": "iterations of Newton's method"})
    if panels:
        figure = corrections.draw_in_time(panels, "iterations [-]")
        blocks.append(Picture("newton_iterations_in_time", "Catchment means.", figure))
        blocks += _mean_maps(source, ("newton_iterations",), "newton_iterations_mean")
    return Section("newton", "Newton's method", tuple(blocks))


def budget_section(source: Source) -> Section:
    """Cumulated fluxes with and without the network, and means of the fluxes over the cells."""
    blocks: list[Block] = []
    code, table = source.largest, source.catchments.get(source.largest)
    if table is not None and {"aet", "qt", "storage"} <= set(table.values):
        name = "with the network" if source.corrections else source.about.model
        runs = {name: balance.cumulated(table["time"], table["precipitation"], table)}
        without = source.parts("no_correction").get(code)
        if without is not None:
            runs["without"] = balance.cumulated(without["time"], table["precipitation"], without)
        elif source.against and (theirs := source.against.catchments.get(code)) is not None and "storage" in theirs:
            runs[source.names[1]] = balance.cumulated(theirs["time"], theirs["precipitation"], theirs)
        figure = balance.draw_cumulated(runs)
        caption = f"Cumulative water balance upstream of {code}: rain, its components, and the residual (exchange"
        added = any(one["flux"] == "rain" for one in source.corrections.values())
        caption += ", and water added by the network)." if added else ")."
        blocks.append(Picture("cumulated_water", caption, figure))
    blocks += _without_network(source)
    blocks += _means_beside_classical(source)
    blocks += _mean_maps(source, tuple(dict.fromkeys((*FIRST_MEANS, *_others(source)))), "fluxes_mean")
    return Section("budget", "Water budget", tuple(blocks))


def _means_beside_classical(source: Source) -> list[Block]:
    """Mean infiltration and exchange by GR, by neural reservoirs with its parameters, and their difference (P3)."""
    mine, theirs, domain = source.table("mean_maps"), source.table("no_correction_means"), source.domain
    if mine is None or theirs is None or domain is None:
        return []
    shown = {"ps": "infiltration", "exchange": "exchange"}
    pairs = {
        f"{words} [mm/step]": (theirs[symbol], mine[symbol])
        for symbol, words in shown.items()
        if symbol in mine and symbol in theirs
    }
    if not pairs:
        return []
    figure = maps.draw_difference(domain, pairs, ("GR", source.about.model), dict.fromkeys(pairs, "mm/step"))
    return [Picture("infiltration_beside_gr", "Mean fluxes of GR and of the run, with the same parameters.", figure)]


def _without_network(source: Source) -> list[Block]:
    """Discharge at the largest catchment with and without the corrections, the parameters being the same."""
    without, code = source.parts("no_correction").get(source.largest), source.largest
    if without is None or code not in source.hydrographs:
        return []
    series = source.hydrographs[code]
    lines = {"with the network": next(iter(series.simulated.values())), "without": without["simulated"]}
    shown = hydrographs.Hydrograph(series.times, series.observed, lines, series.rain)
    figure = hydrographs.draw_hydrograph(shown, source.about.periods, source.rain_label)
    bias = float(np.nansum(lines["with the network"]) / np.nansum(lines["without"]) - 1)
    caption = f"Discharge at {code} with and without the network, with the same parameters: volume {bias:+.1%}."
    return [Picture("discharge_without_network", caption, figure)]
