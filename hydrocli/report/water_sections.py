"""Sections of the run report on water: hydrographs, floods, balances."""

from __future__ import annotations

from typing import Any

import numpy as np

from hydrocli.report import balance, floods, hydrographs, solvers
from hydrocli.report.page import UNFOLDED, Block, Picture, Section, Text, file_part, sheet
from hydrocli.report.source import Source
from hydrocli.report.tables import Columns

FLOODS, FLOODS_OF_MANY, LISTED = 6, 3, 60
"""Floods drawn of a gauge, the same where there are many gauges, events listed at most."""


def hydrograph_section(source: Source) -> Section:
    """All gauges at a glance where they are many, then each (or the worst and the best) at length."""
    every, about = source.hydrographs, source.about
    blocks: list[Block] = []
    if len(every) > len(source.detailed):
        figure = hydrographs.draw_overview({code: every[code] for code in source.pictured}, about.nse)
        caption = f"{source.panels_of}, with their lowest NSE over the periods. "
        caption += "Details of the worst and the best gauges follow below."
        blocks.append(Picture("hydrographs_of_all_gauges", caption, figure))
    for code in source.detailed:
        figure = hydrographs.draw_hydrograph(every[code], about.periods, source.rain_label)
        kind = "calibration" if code in about.calibrated else "validation"
        caption = f"{code} ({kind}): catchment rain, discharge, and discharge on a logarithmic axis."
        blocks.append(Picture(f"hydrograph_{file_part(code)}", caption, figure))
    if every:
        curves = {code: hydrographs.flow_duration(every[code]) for code in source.pictured}
        caption = f"{source.panels_of}: flow duration curves over the observed steps."
        blocks.append(Picture("flow_duration", caption, hydrographs.draw_flow_duration(curves)))
    return Section("hydrographs", "Hydrographs", tuple(blocks))


def flood_section(source: Source) -> Section:
    """The largest floods of each gauge, all events, and the errors of the signatures."""
    events, signatures = source.table("events"), source.table("signatures")
    blocks: list[Block] = []
    if events is not None:
        blocks += _drawn_floods(source, source.parts("events"))
        known = set(events["gauge"].tolist())
        without = [code for code in source.hydrographs if code not in known]
        if without:
            blocks.append(Text((f"No flood events at {', '.join(without)}.",)))
    if signatures is not None:
        found = floods.errors(signatures, of_events=True), floods.errors(signatures, of_events=False)
        if any(found):
            caption = "Relative errors of the signatures, clipped at ±1.5."
            blocks.append(Picture("signature_errors", caption, floods.draw_errors(*found)))
            blocks.append(sheet("Median relative errors", _medians(found), folded=True))
    if events is not None:
        blocks.append(_listed(events))
    return Section("floods", "Floods", tuple(blocks))


def _drawn_floods(source: Source, events: dict[str, Columns]) -> list[Block]:
    blocks: list[Block] = []
    most = FLOODS if len(source.hydrographs) <= len(source.detailed) else FLOODS_OF_MANY
    for code in source.detailed:
        if code not in events:
            continue
        here = events[code]
        found = hydrographs.largest_floods(source.hydrographs[code], here["start"], here["end"], most)
        for first in range(0, len(found), 3):
            part = found[first : first + 3]
            titles = [f"{str(here['discharge_peak'][place])[:10]}  ({here['period'][place]})" for place, _ in part]
            figure = hydrographs.draw_floods([series for _, series in part], titles, source.rain_label)
            words = f"floods {first + 1} to {first + len(part)}" if len(part) > 1 else f"flood {first + 1}"
            caption = f"{code}: the largest {words} by observed peak."
            blocks.append(Picture(f"floods_{file_part(code)}_{first // 3 + 1}", caption, figure))
    return blocks


def _medians(found: tuple[dict[str, Any], dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for words, errors in zip(("flood events", "whole periods"), found, strict=True):
        for name, values in errors.items():
            medians = {"median": float(np.median(values)), "median absolute error": float(np.median(np.abs(values)))}
            rows.append({"signature": name, "of": words, "number": len(values)} | medians)
    return rows


def _listed(events: Columns) -> Block:
    """The list of events, the most recent first where there are too many."""
    order = np.argsort(events["start"], kind="stable")[::-1][:LISTED] if len(events) > LISTED else range(len(events))
    names = [name for name in events.values if name != "run"]
    rows = [{name.replace("_", " "): events[name][row] for name in names} for row in order]
    most = f", the last {LISTED} of {len(events)}" if len(events) > LISTED else ""
    return sheet(f"Flood events{most}", rows, folded=len(rows) > 12)


def balance_section(source: Source) -> Section:
    """Balances by year, their closure, and the comparison with the second run."""
    parts = source.parts("balance")
    if not parts:
        return Section("balance", "Water balance")
    shown = {code: balance.bars(parts[code]) for code in source.pictured if code in parts}
    figure = balance.draw_balance(shown or {code: balance.bars(table) for code, table in parts.items()})
    caption = f"{source.panels_of}: water balance of the catchments by calendar year; inflow above zero, outflow and "
    caption += "storage below. "
    caption += "The first and the last year may not be whole; the warm-up is in it."
    blocks: list[Block] = [Picture("water_balance_by_year", caption, figure)]
    annual = source.parts("annual_fluxes")
    if annual:
        mean, words = balance.mean_fluxes(annual), balance.span(annual)
        theirs = source.against.parts("annual_fluxes") if source.against else {}
        if set(theirs) & set(annual):
            figure = balance.draw_mean_fluxes(mean, balance.mean_fluxes(theirs), source.names)
            other = balance.span(theirs)
            over = words if words == other else f"{source.names[0]}: {words}. {source.names[1]}: {other}"
            caption = f"Mean annual fluxes of both runs; catchments sorted by rain. {over}."
            blocks.append(Picture("mean_annual_fluxes", caption, figure))
        rows = [{"gauge": code} | {balance.FLUXES[name]: v for name, v in row.items()} for code, row in mean.items()]
        blocks.append(sheet(f"Mean annual fluxes [mm/year], {words}", rows, folded=len(rows) > UNFOLDED))
    names = [name for name in next(iter(parts.values())).values if name not in ("run", "gauge")]
    rows = [
        {"gauge": code} | {name.replace("_", " "): table[name][row] for name in names}
        for code, table in parts.items()
        for row in range(len(table))
    ]
    blocks.append(sheet("Balances [mm]", rows, folded=True))
    return Section("balance", "Water balance", tuple(blocks))


def solver_section(source: Source) -> Section:
    """Schemes in time of one cell, where `hydrocli compare-solvers` has compared them."""
    table, series = source.table("solvers"), source.table("solver_series")
    if table is None or series is None:
        return Section("solvers", "Numerical schemes")
    caption = f"Cell {table['cell'][0]}: error of the runoff over cost, and the largest flood."
    names = [name for name in table.values if name not in ("run", "cell")]
    rows = [{name.replace("_", " "): table[name][row] for name in names} for row in range(len(table))]
    picture = Picture("schemes_in_time", caption, solvers.draw_solvers(table, series))
    return Section("solvers", "Numerical schemes", (picture, sheet("Errors relative to the reference, and cost", rows)))
