"""An ensemble of seeds: how far scores, parameters, corrections and response surfaces of its members lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hydrocli.arrays import Floats
from hydrocli.report import corrections, maps, relations, style
from hydrocli.report.about import SCENARIOS, metric_words
from hydrocli.report.page import Block, Picture, Section, Text, sheet
from hydrocli.report.source import Source
from hydrocli.results import read
from hydrocli.results.folder import MANIFEST, MEMBERS, status

SHOWN = ("nse", "kge")
WORDS = (
    "Members differ in their seed alone. Where they score alike and have other parameters, corrections or responses, "
    "the data do not say which of these are right (equifinality)."
)


def ensemble_section(source: Source) -> Section:
    """Median and spread over the members that have ended; the run itself is the first of them."""
    folders = sorted(file.parent for file in (source.run.folder / MEMBERS).glob(f"*/{MANIFEST}"))
    members = [source, *(Source(read(one)) for one in folders if status(one).state == "finished")]
    if len(members) == 1:
        return Section("ensemble", "Ensemble")
    blocks: list[Block] = [Text((f"{len(members)} members. {WORDS}",))]
    for caption, rows in (
        ("Scores: median over gauges and periods of each member", _scores(members)),
        ("Parameters: mean over the cells of each member", _parameters(members)),
        ("Factors of the network: mean over the calibration period and the cells of each member", _factors(members)),
    ):
        if rows:
            blocks.append(sheet(caption, rows))
    return Section("ensemble", "Ensemble", (*blocks, *_maps(source, members), *_responses(members)))


def _spread(values: Sequence[float] | Floats) -> dict[str, float]:
    """Median, extremes and standard deviation over members."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return dict.fromkeys(("median", "lowest", "highest", "standard deviation"), np.nan)
    named = {"median": np.median(known), "lowest": known.min(), "highest": known.max()}
    return {name: float(value) for name, value in (named | {"standard deviation": known.std()}).items()}


def _scores(members: Sequence[Source]) -> list[dict[str, Any]]:
    tables = [table for one in members if (table := one.table("scores")) is not None]
    rows = []
    for metric in SHOWN:
        for scenario in SCENARIOS:
            found = [t["value"][(t["metric"] == metric) & (t["scenario"] == scenario)] for t in tables]
            medians = [float(np.nanmedian(values)) for values in found if np.isfinite(values).any()]
            if medians:
                labels = {"metric": metric_words(metric), "scenario": scenario}
                rows.append(labels | _spread(medians) | {"members": len(medians)})
    return rows


def _parameters(members: Sequence[Source]) -> list[dict[str, Any]]:
    tables = [table for one in members if (table := one.table("parameters")) is not None]
    if not tables:
        return []
    rows = []
    for symbol in relations.symbols_of(tables[0]):
        means = [float(np.nanmean(table[symbol])) for table in tables]
        rows.append({"parameter": symbol, "unit": tables[0].units[symbol]} | _spread(means))
    return rows


def _fields(member: Source) -> dict[str, Floats]:
    """Mean factors of the cells of a member [n], by their words."""
    table = member.table("mean_maps")
    if table is None or not any(symbol.replace("f", "g") in table for symbol in member.corrections):
        return {}
    return corrections.factors(member.corrections, table)


def _factors(members: Sequence[Source]) -> list[dict[str, Any]]:
    found = [fields for one in members if (fields := _fields(one))]
    names = list(found[0]) if found else []
    return [{"factor": name} | _spread([float(np.nanmean(one[name])) for one in found]) for name in names]


def _maps(source: Source, members: Sequence[Source]) -> list[Block]:
    """Standard deviation over the members of parameters and factors of each cell."""
    domain, blocks = source.domain, list[Block]()
    if domain is None:
        return blocks
    cells = len(domain.x)
    of_parameters = [
        {symbol: table[symbol] for symbol in relations.symbols_of(table)}
        for one in members
        if (table := one.table("parameters")) is not None
    ]
    for name, words, found in (
        ("ensemble_parameters", "Parameters", of_parameters),
        ("ensemble_factors", "Mean factors of the network", [fields for one in members if (fields := _fields(one))]),
    ):
        fields = _deviations([one for one in found if all(len(values) == cells for values in one.values())])
        if fields:
            figure = maps.draw_fields(domain, fields, dict.fromkeys(fields, ""))
            blocks.append(Picture(name, f"{words}: standard deviation over the members in each cell.", figure))
    return blocks


def _deviations(found: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Standard deviations over members [n], where they differ between cells."""
    if len(found) < 2:
        return {}
    fields = {name: np.std([one[name] for one in found], axis=0) for name in found[0]}
    return {name: values for name, values in fields.items() if np.ptp(values) > 1e-9 * np.abs(values).max(initial=0.0)}


def _responses(members: Sequence[Source]) -> list[Block]:
    """Response surfaces: median of the members, and all that they give between them."""
    tables = [table for one in members if (table := one.table("response_surfaces")) is not None]
    surfaces = [corrections.surfaces(table) for table in tables]
    same = [one for one in surfaces if [s.corrected.shape for s in one] == [s.corrected.shape for s in surfaces[0]]]
    if len(same) < 2:
        return []
    rows = []
    for number, first in enumerate(same[0]):
        stack = np.stack([one[number].corrected for one in same])
        size = float(np.nanmax(np.abs(np.median(stack, axis=0)))) or 1.0
        apart = np.nanstd(stack, axis=0) / size
        label = {"flux": first.flux, "mean spread / largest flux": float(np.nanmean(apart))}
        rows.append(label | {"largest spread / largest flux": float(np.nanmax(apart))})
    caption = "Fluxes over a forcing at three levels: median of the members (line), and their range (band)."
    return [
        Picture("ensemble_responses", caption, draw_responses(same)),
        sheet("Response surfaces: standard deviation over the members", rows),
    ]


def draw_responses(members: Sequence[Sequence[corrections.Surface]]) -> Figure:
    """A panel for each flux; a line and a band at a low, a middle and a high level."""
    figure, axes = style.panels(len(members[0]), 2, 2.6)
    for number, axis in enumerate(axes):
        first = members[0][number]
        stack = np.stack([one[number].corrected for one in members])
        for share, colour in zip(corrections.SHOWN_LEVELS, (style.VERMILION, style.GREEN, style.BLUE), strict=True):
            row = round(share * (len(first.level) - 1))
            lines = stack[:, row]
            axis.fill_between(first.forcing, lines.min(axis=0), lines.max(axis=0), color=colour, alpha=0.2, linewidth=0)
            label = f"{first.level_name} {first.level[row]:.2f}"
            axis.plot(first.forcing, np.median(lines, axis=0), color=colour, label=label)
        axis.set_title(first.flux, fontsize=8.5)
        axis.set_xlabel(f"{first.forcing_name} [mm/step]")
        axis.set_ylabel("[mm/step]")
        axis.legend(fontsize=7, loc="best")
    return figure
