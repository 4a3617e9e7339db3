"""Sections of the run report on the run itself: summary, scores, domain, parameters, convergence."""

from __future__ import annotations

from typing import Any

import numpy as np

from hydrocli.report import convergence, floods, maps, relations
from hydrocli.report.about import OF_EVENTS, SCENARIOS, metric_words, score_of
from hydrocli.report.page import Block, Picture, Section, Text, sheet
from hydrocli.report.source import Source
from hydrocli.report.tables import Columns, descriptors_of
from hydrocli.results.folder import parts_of, status
from hydrocli.results.schemas import known_quantities

FEW = 3
"""Minimum number of gauges for a figure of scores; below, the table is enough."""

MANY = 40
"""Rows from which on a table is folded away."""

MAPPED_PERIODS = 3
"""Maximum number of periods on the map of scores."""


def summary_section(source: Source) -> Section:
    """End of the run, warnings, run times, and full configuration."""
    manifest, found = source.run.manifest, status(source.run.folder)
    ending = found.ending or ("being computed" if found.state == "running" else "")
    blocks: list[Block] = [Text((ending,))] if ending else []
    if manifest.warnings:
        blocks.append(Text(manifest.warnings, "warning"))
    parts = parts_of(manifest.timings)
    if parts:
        rows = [
            {
                "part": name,
                "wall time [s]": manifest.timings[name],
                "CPU time [s]": manifest.timings.get(f"{name}_cpu"),
                "of the wall time, compilation [s]": manifest.timings.get(f"{name}_compilation"),
            }
            for name in parts
        ]
        blocks.append(sheet("Run times (sum over all starts)", rows))
    counted = [{"counted": name.replace("_", " "), "number": value} for name, value in manifest.counts.items()]
    if counted:
        blocks.append(sheet("Counts", counted, folded=True))
    made = {"command": manifest.command, "host": manifest.host, "processor": manifest.cpu, "created": manifest.created}
    made |= {f"version of {name}": version for name, version in manifest.versions.items()}
    blocks.append(sheet("Environment", [{"": name, "value": value} for name, value in made.items()], folded=True))
    text = source.run.text("config.yaml")
    if text:
        blocks.append(Text(tuple(text.splitlines()), "code", "Full configuration"))
    return Section("summary", "Summary", tuple(blocks))


def score_section(source: Source) -> Section:
    """Scores of every gauge and period, their spread where there are many, and those of floods only."""
    scores = source.table("scores")
    if scores is None:
        return Section("scores", "Scores")
    metrics = list(dict.fromkeys(scores["metric"].tolist()))
    blocks: list[Block] = []
    if len(set(scores["gauge"].tolist())) > FEW:
        names = [metric for metric in metrics if not metric.endswith(OF_EVENTS)]
        shown = {metric: found for metric in names if (found := floods.by_scenario(scores, metric))}
        caption = "Scores by scenario. One point per gauge and period; boxes (five values or more) show quartiles."
        blocks.append(Picture("scores_by_scenario", caption, floods.draw_scores(shown)))
    of_events = np.char.endswith(scores["metric"].astype(str), OF_EVENTS)
    for rows, words in (
        (~of_events, "Scores of the discharge"),
        (of_events, "Scores over flood events only"),
    ):
        if rows.any():
            table = _score_rows(scores.where(rows))
            blocks.append(sheet(words, table, folded=len(table) > MANY or bool(rows is of_events)))
    return Section("scores", "Scores", tuple(blocks))


def _score_rows(scores: Columns) -> list[dict[str, Any]]:
    """A row for each gauge and period, with its metrics and the number of pairs behind them."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    counts: dict[tuple[str, str, str], int] = {}
    columns = (scores[name].tolist() for name in ("scenario", "gauge", "period", "metric", "value", "n_valid"))
    for scenario, gauge, period, metric, value, count in zip(*columns, strict=True):
        key = scenario, gauge, period
        row = rows.setdefault(key, {"scenario": scenario, "gauge": gauge, "period": period})
        row[metric_words(metric)] = value
        counts[key] = count
    ordered = [row | {"pairs": counts[key]} for key, row in rows.items()]
    return sorted(ordered, key=lambda row: SCENARIOS.index(row["scenario"]))


def domain_section(source: Source) -> Section:
    """Where the rivers and the gauges are, and the descriptors."""
    domain, table = source.domain, source.table("domain")
    if domain is None or table is None:
        return Section("domain", "Domain")
    scores = source.table("scores")
    panels: dict[str, dict[str, float]] = {"": {}}
    if scores is not None:
        periods = list(dict.fromkeys(scores["period"].tolist()))[:MAPPED_PERIODS]
        panels = {period: score_of(scores, "nse", period) for period in periods}
    figure = maps.draw_domain(domain, panels, source.about.calibrated)
    caption = "Active cells, river network (width: square root of upstream area) and gauges"
    caption += ", coloured by NSE (clipped at 0)." if scores is not None else "."
    blocks: list[Block] = [Picture("domain", caption, figure)]
    names = relations.varying(table, descriptors_of(table))
    if names:
        units = {name: table.units[name].replace("as given", "") for name in names}
        figure = maps.draw_fields(domain, {name: table[name] for name in names}, units, columns=4)
        caption = "Descriptors; mean ± standard deviation over the cells."
        blocks.append(Picture("descriptors", caption, figure))
    return Section("domain", "Domain", tuple(blocks))


def parameter_section(source: Source) -> Section:
    """Values or maps of the parameters, how they go with the descriptors, and bounds that hold them."""
    table, domain, descriptors = source.table("parameters"), source.domain, source.table("domain")
    if table is None or domain is None or descriptors is None:
        return Section("parameters", "Parameters")
    symbols = relations.symbols_of(table)
    varying = relations.varying(table, symbols)
    rows = []
    for symbol in symbols:
        values = table[symbol]
        mean, deviation = maps.mean_and_deviation(values)
        spread = {"lowest": float(np.nanmin(values)), "mean": mean, "highest": float(np.nanmax(values))}
        details = {"parameter": symbol, "": table.words[symbol], "unit": table.units[symbol]}
        rows.append(details | spread | {"standard deviation": deviation if symbol in varying else 0.0})
    blocks: list[Block] = [sheet("Parameters over the cells", rows)]
    if varying:
        figure = maps.draw_fields(domain, {symbol: table[symbol] for symbol in varying}, table.units)
        caption = "Parameters; mean ± standard deviation over the cells."
        blocks.append(Picture("parameter_maps", caption, figure))
    found = relations.with_descriptors(table, descriptors)
    if found is not None:
        caption = "Correlation of parameters with descriptors over the cells."
        blocks.append(Picture("descriptor_parameter_correlations", caption, relations.draw_relations(found)))
    return Section("parameters", "Parameters", (*blocks, *_beside(source, varying), *_held(source)))


def _beside(source: Source, varying: list[str]) -> list[Block]:
    """Difference of the parameter maps to those of the second run, where both have the same cells."""
    mine, domain = source.table("parameters"), source.domain
    theirs = source.against.table("parameters") if source.against else None
    if mine is None or theirs is None or domain is None:
        return []
    common = [symbol for symbol in relations.symbols_of(mine) if symbol in theirs]
    placed = on_cells(mine, theirs, common)
    pairs = {
        symbol: (mine[symbol], placed[symbol])
        for symbol in common
        if symbol in varying or relations.varying(theirs, [symbol])
    }
    if not pairs:
        return []
    figure = maps.draw_difference(domain, pairs, source.names, mine.units)
    return [Picture("parameter_difference", "Parameters of both runs and their difference.", figure)]


def on_cells(mine: Any, theirs: Any, names: list[str]) -> dict[str, Any]:
    """Columns of another run's cells on the cells of this one, found by row and column; NaN where it has none."""
    place = {key: cell for cell, key in enumerate(zip(theirs["row"].tolist(), theirs["column"].tolist(), strict=True))}
    keys = zip(mine["row"].tolist(), mine["column"].tolist(), strict=True)
    cells = np.array([place.get(key, -1) for key in keys], np.int64)
    return {name: np.where(cells >= 0, theirs[name][cells], np.nan) for name in names}


def _held(source: Source) -> list[Block]:
    """Controls that ended at one of their bounds."""
    control = source.table("control")
    if control is None:
        return []
    span = control["upper"] - control["lower"]
    held = (control["value"] - control["lower"] <= 1e-6 * span) | (control["upper"] - control["value"] <= 1e-6 * span)
    names = control["name"][held & np.isfinite(span) & (span > 0)].tolist()
    if not names:
        return []
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return [Text((f"At a bound of the calibration: {', '.join(names[:12])}{more}.",), "warning")]


def convergence_section(source: Source) -> Section:
    """Cost and gradient by stage."""
    history = source.table("convergence")
    if history is None:
        return Section("convergence", "Calibration")
    stages = convergence.stages(history)
    figure = convergence.draw_convergence(stages)
    caption = "Best cost and projected gradient norm by stage."
    rows = [
        {
            "stage": stage.name,
            "iterations": len(stage.cost) - 1,
            "cumulative evaluations": int(stage.evaluations[-1]),
            "initial cost": float(stage.cost[0]),
            "final cost": float(stage.cost[-1]),
        }
        for stage in stages
    ]
    blocks = (Picture("cost_and_gradient", caption, figure), sheet("Stages", rows, folded=len(rows) > 8))
    return Section("convergence", "Calibration", (*blocks, *_uncertainty(source)))


def _uncertainty(source: Source) -> list[Block]:
    """Standard errors, intervals and correlations of the controls."""
    table, pairs = source.table("uncertainty"), source.table("correlations")
    blocks: list[Block] = []
    if table is not None:
        known = known_quantities()
        rows = [
            {
                name.replace("_", " "): table[name][row]
                for name in ("name", "value", "standard_error", "lower_95", "upper_95")
            }
            for row in range(len(table))
        ]
        units = [known[row["name"]].unit if row["name"] in known else "" for row in rows]
        rows = [row | {"unit": unit} for row, unit in zip(rows, units, strict=True)]
        blocks.append(sheet("Uncertainty of the calibrated values", rows, folded=len(rows) > 20))
    found = relations.of_pairs(pairs) if pairs is not None else None
    if found is not None:
        caption = "Correlations of the calibrated values; strong correlations mean that the data cannot separate them."
        blocks.append(Picture("uncertainty_correlations", caption, relations.draw_relations(found)))
    return blocks
