"""`hydrocli compare`: one table of the scores of many runs, and a page with the figures of the papers."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydrocli.errors import Errors, HydrocliError, InputError
from hydrocli.files import os_errors_as_input_errors
from hydrocli.report import comparison, fairness, style
from hydrocli.report import comparison_figures as figures
from hydrocli.report.about import OF_EVENTS, metric_words
from hydrocli.report.comparison import Contender, Row
from hydrocli.report.page import Block, Page, Picture, Section, Text, file_part, sheet, write_page
from hydrocli.report.tables import Array
from hydrocli.results import Run, read, schemas
from hydrocli.results.folder import MANIFEST
from hydrocli.results.write import write_table

FILE = "compare.html"
MAIN = "nse"
NOT_BOXED = ("extrapolated", "nse_uniform")
LEAST_GAUGES = 3
"""Gauges that a radar needs to have a surface."""


def found_runs(patterns: Sequence[str]) -> list[Run]:
    """The finished runs that folders or patterns such as `runs/*` name, each once; a pattern may match other things.

    Raises:
        Errors: a folder that was named is no finished run, or a pattern matches none.
    """
    runs: dict[Path, Run] = {}
    errors: list[HydrocliError] = []
    for pattern in patterns:
        try:
            named = Path(pattern).is_dir()
            matches = [pattern] if named else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
            folders = [match for match in matches if named or (Path(match) / MANIFEST).exists()]
            for folder in folders:
                runs.setdefault(Path(folder).resolve(), read(folder).require_whole())
            if not folders:
                raise InputError(
                    pattern, "matches no run folder", "Give folders that `hydrocli calibrate` has written."
                )
        except HydrocliError as error:
            errors.append(error)
    if errors:
        raise Errors(errors)
    return list(runs.values())


def compare(
    patterns: Sequence[str], *, output: Path | None = None, formats: Sequence[str] = ("png",)
) -> tuple[list[Row], list[str]]:
    """Compare runs; with an output folder, write comparison.parquet, compare.html and figures/ into it.

    Args:
        patterns: run folders, or patterns of them.
        output: folder to write.
        formats: of the figures, of png, svg and pdf.

    Returns:
        Quartiles of every metric by model and scenario, and sentences on what could not be compared, and on what makes
        a comparison with baselines fair.

    Raises:
        HydrocliError: a folder is no finished run, or no run has scores.
    """
    known, without = comparison.contenders(found_runs(patterns))
    if not known:
        raise InputError(
            ", ".join(patterns), "none of these runs has scores", "Run `hydrocli validate` for them first."
        )
    notes = [f"{run.folder} has no scores and is excluded; run `hydrocli validate` first" for run in without]
    scores = comparison.pooled(known)
    rows = comparison.summary(scores)
    if output is not None:
        with os_errors_as_input_errors(output):
            output.mkdir(parents=True, exist_ok=True)
        names = [column.name for column in schemas.COMPARISON.columns[1:]]
        columns = {name: [row[name] for row in rows] for name in names}
        write_table(output, schemas.COMPARISON, columns, run=output.resolve().name)
        with style.drawing():
            write_page(output, FILE, comparison_page(known, scores, rows, notes), formats)
    return rows, notes + _fairness(known)


def _fairness(known: Sequence[Contender]) -> list[str]:
    return fairness.sentences_on([(one.label, one.about, one.run) for one in known])


def comparison_page(
    known: Sequence[Contender], scores: Mapping[str, Array], rows: Sequence[Row], notes: Sequence[str]
) -> Page:
    """All sections of the comparison."""
    metrics = [metric for metric in dict.fromkeys(scores["metric"].tolist()) if metric not in NOT_BOXED]
    of_floods = [metric for metric in metrics if metric.endswith(OF_EVENTS)]
    over_all = [metric for metric in metrics if metric not in of_floods]
    sections = (
        _model_section(known, notes),
        Section("scores", "Scores", (*_tables(rows, over_all), *_boxes(scores, over_all))),
        Section("floods", "Scores of floods only", (*_tables(rows, of_floods), *_boxes(scores, of_floods))),
        _gauge_section(known, scores),
        _event_section(known),
    )
    models = list(dict.fromkeys(one.label for one in known))
    facts = {
        "models": str(len(models)),
        "runs": str(len(known)),
        "gauges": str(len(set(scores["gauge"].tolist()))),
        "periods": str(len(set(scores["period"].tolist()))),
    }
    return Page("Comparison", ", ".join(models), facts, sections)


def _model_section(known: Sequence[Contender], notes: Sequence[str]) -> Section:
    blocks: list[Block] = [Text(tuple(notes), "warning")] if notes else []
    blocks.append(sheet("Compared runs", comparison.models(known)))
    words = "GR: algebraic stores; GRNN: GR with fluxes corrected by a network; ODE: stores as differential equations; "
    words += "NODE: neural ODE. U: uniform parameters, D: distributed, ML: multilinear, MP: multipower, "
    words += "MLP and CNN: regionalisation by a network of this kind."
    sentences = _fairness(known)
    if sentences:
        words += " LSTM: long short-term memory network; LINEAR: regression on rain of the past; CLIMATOLOGY: means."
    return Section("models", "Models", (*blocks, Text((words, *sentences))))


def _tables(rows: Sequence[Row], metrics: Sequence[str]) -> list[Block]:
    tables: list[Block] = []
    for metric in metrics:
        words = metric_words(metric)
        caption = f"{words}: median [quartiles] (number of values)"
        main = metric.removesuffix(OF_EVENTS) == MAIN
        tables.append(sheet(caption, comparison.at_a_glance(rows, metric), folded=not main))
    return tables


def _boxes(scores: Mapping[str, Array], metrics: Sequence[str]) -> list[Block]:
    pictures: list[Block] = []
    for metric in metrics:
        words = metric_words(metric)
        low = figures.LOWEST.get(metric.removesuffix(OF_EVENTS))
        caption = f"{words} by scenario (in brackets: number of values)"
        caption += f"; clipped at {low:g}." if low is not None else "."
        figure = figures.draw_boxes(comparison.values_of(scores, metric), metric)
        pictures.append(Picture(f"{file_part(metric)}_by_scenario", caption, figure))
    return pictures


def _gauge_section(known: Sequence[Contender], scores: Mapping[str, Array]) -> Section:
    blocks: list[Block] = []
    gauges, models = comparison.calibration_scores(scores, MAIN)
    if len(gauges) >= LEAST_GAUGES:
        caption = "NSE of each gauge in calibration (centre: 0 or less)."
        blocks.append(Picture("radar_of_calibration", caption, figures.draw_radar(gauges, models, MAIN)))
    pairs = comparison.local_and_regional(known, MAIN)
    if pairs:
        caption = (
            "Regional versus local calibration at the same gauges and periods; above the line the "
            "regional one is better."
        )
        figure = figures.draw_local_and_regional(pairs, MAIN)
        blocks.append(Picture("regional_against_local", caption, figure))
    return Section("gauges", "Gauges", tuple(blocks))


def _event_section(known: Sequence[Contender]) -> Section:
    blocks: list[Block] = []
    for calibrated, words in ((True, "calibration"), (False, "validation")):
        signatures = {
            name: errors
            for name in comparison.SIGNATURES
            if (errors := comparison.event_errors(known, name, calibrated=calibrated))
        }
        if signatures:
            caption = (
                "Cumulative distribution of the absolute relative errors of flood events: peak flow "
                "(Epf), runoff coefficient "
            )
            caption += f"(Erc), flood flow (Eff), base flow (Ebf); {words} period, all gauges."
            figure = figures.draw_distributions(signatures, words)
            blocks.append(Picture(f"event_errors_{words}", caption, figure))
    return Section("events", "Errors of flood events", tuple(blocks))
