"""The page of `hydrocli check --report`: whether the data of a basin are plausible, before anything is calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.files import os_errors_as_input_errors
from hydrocli.report import maps, style
from hydrocli.report.check_figures import MOST, cumulated, draw_budyko, draw_double_mass, draw_months, others_mean
from hydrocli.report.page import Block, Page, Picture, Section, Text, pictures, rendered, sheet
from hydrocli.results.write import write_text

Row = Mapping[str, Any]
BALANCE = ("gauge", "area", "rain", "pet", "runoff", "rain_observed", "runoff_ratio", "rain_missing", "rain_uncovered")
SERIES = (
    "gauge",
    "lag",
    "correlation",
    "rain_growing",
    "rain_jump",
    "rain_jump_time",
    "discharge_jump",
    "discharge_jump_time",
    "rain_constant",
    "discharge_constant",
    "longest_constant",
    "longest_constant_time",
    "discharge_highest",
    "discharge_repeats",
)
UNITS = {
    "area": "km2",
    "lag": "h",
    "longest_constant": "d",
    "discharge_highest": "m3/s",
    "distance": "km",
    "highest": "mm/step",
    "below": "mm/step",
} | dict.fromkeys(("rain", "pet", "runoff", "rain_observed"), "mm")


def write_check_page(path: Path, report: Row, series: Row | None) -> None:
    """Write the page, one file with everything inside.

    Args:
        path: of the page.
        report: of `hydrocli.commands.check.check`.
        series: of `hydrocli.commands.check.series_of`; None where the basin could not be read.

    Raises:
        InputError: the file cannot be written.
    """
    with style.drawing():
        page = check_page(report, series)
        drawn = {picture.name: style.inline(picture.figure, picture.name) for picture in pictures(page)}
    with os_errors_as_input_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, rendered(page, drawn))


def check_page(report: Row, series: Row | None) -> Page:
    """All sections of the page."""
    sections = [_findings(report), _balance(report), _maps(series), _double_mass(series), _months(report)]
    sections += [_series(report), _inputs(report)]
    count = len(report["problems"])
    facts = {"problems": str(count), "warnings": str(len(report["warnings"]))}
    facts |= {key: str(report[key]) for key in ("cells", "steps") if key in report}
    facts |= {"gauges": str(len(report.get("gauges", ())))}
    span = " · ".join(f"{name} {text}" for name, text in report["periods"].items())
    state = "failed" if count else "plausible" if "plausibility" in report else "not read"
    return Page(report["name"], span, facts, tuple(sections), state, origin="the data of the basin")


def _findings(report: Row) -> Section:
    blocks: list[Block] = []
    if report["problems"]:
        blocks.append(Text(tuple(report["problems"]), "warning"))
    else:
        blocks.append(Text(("No problem was found.",)))
    if report["warnings"]:
        blocks.append(Text(tuple(f"Warning: {note}" for note in report["warnings"])))
    if report["assumptions"]:
        rows = [{"taken for granted": text} for text in report["assumptions"]]
        blocks.append(sheet("What is taken for granted of the files", rows))
    return Section("findings", "Findings", tuple(blocks))


def _balance(report: Row) -> Section:
    rows = report.get("plausibility")
    if not rows:
        return Section("balance", "Water balance")
    blocks: list[Block] = [
        sheet("Depths over the period; the ratio is that of the observed steps", _chosen(rows, BALANCE))
    ]
    figure = draw_budyko(rows)
    if figure is not None:
        caption = (
            "Rain that does not run off, against aridity. Points below 0 have more runoff than rain; points above "
        )
        caption += "the black line lose more water than can evaporate. Short periods and storage move points as well."
        blocks.append(Picture("budyko", caption, figure))
    return Section("balance", "Water balance", tuple(blocks))


def _maps(series: Row | None) -> Section:
    if series is None:
        return Section("maps", "Maps")
    domain = maps.Domain(
        series["x"],
        series["y"],
        series["row"],
        series["column"],
        series["downstream"],
        series["drained_area"],
        dict(zip(series["gauges"], series["cells"], strict=True)),
        series["is_geographic"],
    )
    fields, units = {"Rain of the period": series["cell_rain"]}, {"Rain of the period": "mm"}
    caption = "Mean ± standard deviation over the cells."
    missing, title = np.round(series["cell_missing"], 6), "Share of steps without rain data"
    if missing.any():
        fields, units = fields | {title: missing}, units | {title: "-"}
    else:
        caption += " No cell lacks rain data."
    return Section(
        "maps",
        "Maps",
        (
            Picture(
                "catchments",
                "Catchments, each cell by the next gauge downstream; rivers and gauges.",
                maps.draw_catchments(domain, series["zone"]),
            ),
            Picture("rain", caption, maps.draw_fields(domain, fields, units)),
        ),
    )


def _double_mass(series: Row | None) -> Section:
    if series is None:
        return Section("double-mass", "Double-mass curves")
    codes, days = series["gauges"], series["days"]
    rain, runoff = series["rain_observed"], series["runoff"]
    observed = [g for g in range(len(codes)) if np.isfinite(runoff[g]).any()]
    blocks: list[Block] = []
    if observed:
        pairs = {codes[g]: cumulated(rain[g], runoff[g]) for g in observed}
        caption = (
            "Sums of observed runoff against those of rain. A bend that stays shows a change of one of them: a unit, "
        )
        caption += "a rating curve, another source of rain." + _limited(len(observed))
        figure = draw_double_mass(pairs, days, ("rain [mm]", "runoff [mm]"))
        blocks.append(Picture("rain_and_runoff", caption, figure))
    for name, values, chosen in (
        ("rain", series["rain"], list(range(len(codes)))),
        ("runoff", runoff, observed),
    ):
        if len(chosen) > 1:
            own = values[chosen]
            pairs = {codes[g]: cumulated(others_mean(own, place), own[place]) for place, g in enumerate(chosen)}
            caption = f"Sums of the {name} of each gauge against the mean of the other gauges." + _limited(len(chosen))
            figure = draw_double_mass(pairs, days, (f"{name} of others [mm]", f"{name} [mm]"))
            blocks.append(Picture(f"{name}_of_gauges", caption, figure))
    return Section("double-mass", "Double-mass curves", tuple(blocks))


def _limited(count: int) -> str:
    return f" The first {MOST} of {count} gauges." if count > MOST else ""


def _months(report: Row) -> Section:
    rows = report.get("plausibility_by_month")
    if not rows:
        return Section("months", "Missing data by month")
    codes = list(dict.fromkeys(row["gauge"] for row in rows))
    months = list(dict.fromkeys(str(row["month"])[:7] for row in rows))
    shape = len(codes), len(months)
    shares = {
        "Rain": np.array([row["rain_missing"] for row in rows]).reshape(shape),
        "Discharge": np.array([row["discharge_missing"] for row in rows]).reshape(shape),
    }
    table = [{**row, "month": str(row["month"])[:7]} for row in rows]
    blocks = (
        Picture("months", "Share of missing data of each catchment and gauge.", draw_months(shares, codes, months)),
        sheet("Depths and shares by gauge and month", _chosen(table, tuple(table[0])), folded=True),
    )
    return Section("months", "Missing data by month", blocks)


def _series(report: Row) -> Section:
    rows = report.get("plausibility")
    if not rows:
        return Section("series", "Signs in the series")
    blocks: list[Block] = [sheet("Signs of misread data; a factor of 1 is none", _chosen(rows, SERIES))]
    forcings = report["plausibility_of_forcing"]
    blocks.append(sheet("Values of forcing over all cells and steps", _chosen(forcings, tuple(forcings[0]))))
    return Section("series", "Signs in the series", tuple(blocks))


def _inputs(report: Row) -> Section:
    blocks: list[Block] = []
    if report["forcing"]:
        blocks.append(sheet("Files of forcing", report["forcing"]))
    if report.get("gauges"):
        blocks.append(sheet("Gauges", report["gauges"], folded=len(report["gauges"]) > MOST))
    if report.get("gauge_candidates"):
        rows = _chosen(report["gauge_candidates"], tuple(report["gauge_candidates"][0]))
        blocks.append(sheet("Cells that were candidates for the gauges", rows, folded=True))
    return Section("inputs", "Inputs", tuple(blocks))


def _chosen(rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    """Some columns of rows, with their units in the heads."""
    heads = {name: name.replace("_", " ") + (f" [{UNITS[name]}]" if name in UNITS else "") for name in names}
    return [{heads[name]: row[name] for name in names} for row in rows]
