"""Scores of a finished run in the four scenarios.

Where a network corrects fluxes, `extrapolated` is the share of the cell-steps of each period has inputs that the
calibration has not seen: there the network says what nobody has taught it.

`nse_events`, `kge_events` ... are the same metrics over the steps of the flood events that `signatures` finds in the
observations of the period; without an event they are missing.

Where a mapping by descriptors started from uniform parameters, `nse_uniform` is the score of these, and a warning says
where the mapping is below it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from hydrocli.config import Experiment, load
from hydrocli.experiment.ensemble import finished_members, spread
from hydrocli.experiment.evaluation import Evaluation, GaugePeriod
from hydrocli.experiment.roles import segmentation
from hydrocli.names import EXTRAPOLATED
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder, page_hint
from hydrocli.results.write import write_table
from hydrocli.score.events import find_events
from hydrocli.score.metrics import METRICS, n_valid, nse

logger = logging.getLogger(__name__)

Row = dict[str, Any]
OF_UNIFORM = "nse_uniform"
NOTICEABLE = 0.005
"""Differences of NSE up to this are no reason to say anything; they do not show in two decimals."""
MOST_SHOWN = 5
WORSE = "does worse than the uniform parameters from which it started"
REMEDY = "a larger objective.regularisation.weight holds the maps nearer to uniform ones; see `hydrocli docs mappings`"
SCENARIOS = ("calibration", "temporal", "spatial", "spatio-temporal")


def validate_experiment(experiment: Experiment) -> list[Row]:
    """Write scores.parquet; one row per gauge and period, with every metric, comes back.

    Of a regional calibration each basin has its own table; the name of the basin stands before its rows. Of an ensemble
    each member has its own table; medians over the members come back, with the lowest and highest NSE and KGE.

    Raises:
        InputError: the run is missing or not finished.
    """
    evaluation = Evaluation(experiment)
    rows = _validated(evaluation)
    if further := finished_members(experiment):
        every = [rows, *(_validated(Evaluation(member)) for member in further)]
        return spread(every, ("scenario", "gauge", "period"), ("nse", "kge"))
    if not evaluation.others:
        return rows
    rows = [{"basin": evaluation.experiment.name} | row for row in rows]
    for other in evaluation.others:
        rows += [{"basin": other.name} | row for row in _validated(Evaluation(load(other)))]
    return rows


def _validated(evaluation: Evaluation) -> list[Row]:
    """Write the scores of one basin; its rows come back."""
    rows: list[Row] = []
    of_events: list[Row] = []
    for gauge_period in evaluation.gauge_periods():
        pairs = tuple(values[gauge_period.is_last] for values in (gauge_period.observed, gauge_period.simulated))
        labels = {"scenario": gauge_period.scenario, "gauge": gauge_period.gauge, "period": gauge_period.period}
        values = {name: metric(*pairs) for name, metric in METRICS.items()}
        if gauge_period.extrapolated is not None:
            values[EXTRAPOLATED.symbol] = float(np.mean(gauge_period.extrapolated))
        if gauge_period.uniform is not None:
            values[OF_UNIFORM] = nse(pairs[0], gauge_period.uniform[gauge_period.is_last])
        rows.append(labels | values | {"n_valid": n_valid(pairs[0])})
        of_events.append(labels | _over_events(gauge_period, evaluation.experiment))
    for part in (rows, of_events):
        part.sort(key=lambda row: SCENARIOS.index(row["scenario"]))
    for row in rows:
        if not row["n_valid"]:
            logger.warning(f"gauge {row['gauge']} has no observations in the period {row['period']}")
    worse = worse_than_uniform(rows, evaluation.experiment.mapping.kind)
    for sentence in worse:
        logger.warning(sentence)
    if worse:
        logger.info(REMEDY)
    _write(evaluation, [*rows, *of_events], worse)
    logger.info(f"scores are in {evaluation.folder / 'scores.parquet'}; {page_hint(evaluation.folder)}")
    return rows


def worse_than_uniform(rows: Sequence[Row], mapping: str) -> list[str]:
    """A sentence for each scenario and period in which a mapping scores less than uniform parameters.

    Args:
        rows: with `scenario`, `gauge`, `period`, `nse`, and `nse_uniform` where it is known.
        mapping: its kind.
    """
    below: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.get(OF_UNIFORM, np.nan) - row["nse"] > NOTICEABLE:
            below.setdefault((row["scenario"], row["period"]), []).append(row)
    sentences = []
    for (scenario, period), group in below.items():
        group.sort(key=lambda row: row["nse"] - row[OF_UNIFORM])
        shown = [f"{row['gauge']} (NSE {row['nse']:.2f}, uniform {row[OF_UNIFORM]:.2f})" for row in group[:MOST_SHOWN]]
        more = f" and {len(group) - MOST_SHOWN} more" if len(group) > MOST_SHOWN else ""
        where = f"{scenario}, period {period}" if scenario != "calibration" else "calibration"
        sentences.append(f"{where}: the mapping {mapping} {WORSE} at {', '.join(shown)}{more}")
    return sentences


def _over_events(gauge_period: GaugePeriod, experiment: Experiment) -> Row:
    """The metrics over the steps of the flood events of a gauge and period."""
    options = segmentation(experiment, gauge_period.gauge)
    inside = np.zeros(gauge_period.times.size, np.bool_)
    for event in find_events(gauge_period.observed, gauge_period.rain, experiment.period.step, options):
        inside[event.start : event.end + 1] = True
    inside &= gauge_period.is_last
    pairs = gauge_period.observed[inside], gauge_period.simulated[inside]
    values = {f"{name}_events": metric(*pairs) for name, metric in METRICS.items()}
    return values | {"n_valid": n_valid(pairs[0])}


def _write(evaluation: Evaluation, rows: list[Row], notes: Sequence[str]) -> None:
    metrics = [*METRICS, OF_UNIFORM, EXTRAPOLATED.symbol, *(f"{name}_events" for name in METRICS)]
    long = [(row, metric) for row in rows for metric in metrics if metric in row]
    columns: dict[str, list[Any]] = {
        name: [row[name] for row, _ in long] for name in ("gauge", "scenario", "period", "n_valid")
    }
    columns |= {"metric": [metric for _, metric in long], "value": [row[metric] for row, metric in long]}
    name = evaluation.experiment.name
    with RunFolder.open(evaluation.folder, name) as folder, folder.rewriting(schemas.SCORES.file):
        folder.update(warnings=tuple(one for one in folder.manifest.warnings if WORSE not in one))  # of other scores
        for note in notes:
            folder.warn(note)
        write_table(folder.path, schemas.SCORES, columns, run=folder.manifest.run)
