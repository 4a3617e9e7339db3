"""Flood events of the observed discharge, signatures of observed and simulated discharge."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from hydrocli.config import Experiment, load
from hydrocli.experiment.ensemble import finished_members, spread
from hydrocli.experiment.evaluation import Evaluation, GaugePeriod, areas_of
from hydrocli.experiment.roles import segmentation
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder, page_hint
from hydrocli.results.write import write_table
from hydrocli.score.events import Event, find_events, season
from hydrocli.score.signatures import continuous_signatures, event_signatures, relative_error

logger = logging.getLogger(__name__)

Row = dict[str, Any]
SHOWN = ("Epf", "Erc", "Eff", "Ebf", "Elt")
"""Event signatures whose median error the terminal shows."""


def signatures_experiment(experiment: Experiment) -> list[Row]:
    """Write events.parquet and signatures.parquet; a summary of each gauge and period comes back.

    Of a regional calibration each basin has its own tables; the name of the basin stands before its rows. Of an
    ensemble each member has its own tables; medians over the members come back.

    Raises:
        InputError: the run is missing or not finished.
    """
    evaluation = Evaluation(experiment)
    rows = _compared_run(evaluation)
    if further := finished_members(experiment):
        every = [rows, *(_compared_run(Evaluation(member)) for member in further)]
        return spread(every, ("gauge", "scenario", "period"), ())
    if not evaluation.others:
        return rows
    rows = [{"basin": evaluation.experiment.name} | row for row in rows]
    for other in evaluation.others:
        rows += [{"basin": other.name} | row for row in _compared_run(Evaluation(load(other)))]
    return rows


def _compared_run(evaluation: Evaluation) -> list[Row]:
    """Write the tables of one basin; its summary comes back."""
    step, areas = evaluation.experiment.period.step, areas_of(evaluation.run)
    events: list[Row] = []
    rows: list[Row] = []
    summary = []
    for gauge_period in evaluation.gauge_periods():
        found = find_events(
            gauge_period.observed, gauge_period.rain, step, segmentation(evaluation.experiment, gauge_period.gauge)
        )
        here = _compared(gauge_period, found, areas[gauge_period.gauge], step)
        events += [_event_row(gauge_period, number, event) for number, event in enumerate(found, start=1)]
        rows += here
        summary.append(_summary(gauge_period, len(found), here))
    tables = ((schemas.EVENTS, events), (schemas.SIGNATURES, rows))
    with (
        RunFolder.open(evaluation.folder, evaluation.experiment.name) as folder,
        folder.rewriting(*(table.file for table, _ in tables)),
    ):
        for table, content in tables:
            names = [column.name for column in table.columns if column.name != "run"]
            columns = {name: [row[name] for row in content] for name in names}
            write_table(folder.path, table, columns, run=folder.manifest.run)
    for period in dict.fromkeys(row["period"] for row in summary):
        if quiet := [row["gauge"] for row in summary if row["period"] == period and not row["events"]]:
            logger.info(f"no flood event in {period}: {', '.join(quiet)}")
    logger.info(f"events and signatures are in {evaluation.folder}; {page_hint(evaluation.folder)}")
    return summary


def _event_row(gauge_period: GaugePeriod, number: int, event: Event) -> Row:
    times, inside = gauge_period.times, slice(event.start, event.end + 1)
    return {
        "gauge": gauge_period.gauge,
        "period": gauge_period.period,
        "event": number,
        "start": times[event.start],
        "end": times[event.end],
        "season": season(times[event.peak_discharge]),
        "rain_peak": times[event.peak_rain],
        "discharge_peak": times[event.peak_discharge],
        "observed_peak": gauge_period.observed[event.peak_discharge],
        "simulated_peak": np.fmax.reduce(gauge_period.simulated[inside]),
        "rain": np.nansum(gauge_period.rain[inside]),
        "peaks": event.peaks,
        "multipeak": event.multipeak,
    }


def _compared(gauge_period: GaugePeriod, events: list[Event], area: float, step: int) -> list[Row]:
    """Signatures of the whole period and of each event, of both series with the gaps of the observed one."""
    simulated = np.where(np.isnan(gauge_period.observed), np.nan, gauge_period.simulated)
    rows = []
    for number, event in [(None, None), *enumerate(events, start=1)]:
        observed_ones, simulated_ones = (
            continuous_signatures(series, gauge_period.rain, area, step)
            if event is None
            else event_signatures(series, gauge_period.rain, area, step, event)
            for series in (gauge_period.observed, simulated)
        )
        for name, observed in observed_ones.items():
            labels = {"gauge": gauge_period.gauge, "period": gauge_period.period, "event": number, "signature": name}
            values = {"observed": observed, "simulated": simulated_ones[name]}
            rows.append(labels | values | {"relative_error": relative_error(observed, simulated_ones[name])})
    return rows


def _summary(gauge_period: GaugePeriod, count: int, rows: list[Row]) -> Row:
    """Number of events, and the median size of the relative errors of some signatures."""
    summary: Row = {
        "gauge": gauge_period.gauge,
        "scenario": gauge_period.scenario,
        "period": gauge_period.period,
        "events": count,
    }
    for name in ("Crc", *SHOWN):
        errors = np.array([abs(row["relative_error"]) for row in rows if row["signature"] == name])
        errors = errors[np.isfinite(errors)]
        summary[f"{name} error"] = float(np.median(errors)) if errors.size else None
    return summary
