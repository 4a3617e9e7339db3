"""`hydrocli hindcast` and `hydrocli forecast`: forecasts of a calibrated run, with data assimilation."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hydrocli
from hydrocli.arrays import Floats
from hydrocli.config import Experiment, load, resolved
from hydrocli.config.writing import to_dict
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.execution.log import recorded
from hydrocli.execution.progress import track
from hydrocli.experiment.evaluation import maps_of_run
from hydrocli.experiment.forecasts import KINDS, Forecaster, Issue
from hydrocli.experiment.roles import stamp
from hydrocli.experiment.setup import CalibrationSetup, announce_compilation, ingested
from hydrocli.jit import mark_warm
from hydrocli.results import read, schemas
from hydrocli.results.folder import CONFIG, MANIFEST, RunFolder, read_manifest
from hydrocli.results.write import write_table, write_text
from hydrocli.score.forecasts import scores_at_lead

logger = logging.getLogger(__name__)

Row = dict[str, Any]
SHOWN_LEADS = (1, 3, 6, 12, 24)
"""Hours."""
OF_FORECASTS = "forecast:"
"""With this begins, in the place of a hash alone, the identity of a folder of forecasts."""
CHANGEABLE = ("forecast", "gauges.discharge", "forcing.store", "plausibility", "execution.threads", "execution.memory")
"""Sections and keys that do not belong to the calibration."""
USED = (CONFIG, "domain.parquet", "parameters.parquet", "states.parquet", "network.parquet")
"""Files of the run that forecasts depend on."""


def hindcast(
    target: Path, overrides: list[str], first: datetime, last: datetime, every: int, output: Path | None = None
) -> tuple[Path, list[Row]]:
    """Make and score the forecasts of past issue times, and write a folder of them.

    Args:
        target: run folder of a calibration, or its YAML.
        overrides: `section.key=value` texts.
        first, last: issue times (UTC), both included.
        every: time between issues [s].
        output: folder to write; left out: `hindcast` in the run folder.

    Returns:
        The folder; RMSE [m3/s] of each gauge and kind at some lead times, nothing where all is there already.

    Raises:
        ConfigurationError: issue times that are no time steps, or without a window before them; no such structure.
        InputError: no finished calibration, or data that cannot be read.
    """
    between = timedelta(seconds=every)
    if not between or last < first:
        raise ConfigurationError("--every, --to", "no issue time", "Give --to after --from, and a time above 0.")
    times = [first + number * between for number in range((last - first) // between + 1)]
    experiment, run = _calibrated(target, overrides)
    return _write(experiment, run, times, output or run / "hindcast", _scores)


def forecast(target: Path, overrides: list[str], issue: datetime, output: Path | None = None) -> tuple[Path, list[Row]]:
    """Make the forecast of one issue time, and write a folder of it.

    Args:
        target, overrides: as in `hindcast`.
        issue: time up to which observations and rain are known (UTC).
        output: folder to write; left out: `forecasts/<issue time>` in the run folder.

    Returns:
        The folder; the largest discharge ahead of each gauge, by kind, nothing where all is there already.
    """
    experiment, run = _calibrated(target, overrides)
    folder = output or run / "forecasts" / f"{issue:%Y%m%dT%H%MZ}"
    return _write(experiment, run, [issue], folder, _peaks)


def _calibrated(target: Path, overrides: list[str]) -> tuple[Experiment, Path]:
    """The configuration of a finished calibration, with what may change after it; and its folder.

    Raises:
        InputError: there is none.
        ConfigurationError: a baseline, which has no state.
    """
    keys = [text.partition("=")[0] for text in overrides]
    if others := [key for key in keys if not any(f"{key}.".startswith(f"{one}.") for one in CHANGEABLE)]:
        what = f"{', '.join(others)}: a forecast is made with what was calibrated"
        raise ConfigurationError("--set", what, f"It may change {', '.join(CHANGEABLE)}.")
    now = load(target, overrides)
    run = Path(now.folder)
    if (run / MANIFEST).exists() and read_manifest(run).identity.startswith(OF_FORECASTS):
        raise InputError(str(run), "holds forecasts, not a calibration", "Give the folder of a calibration.")
    read(run).require_whole(later=False)
    stored = load(run / CONFIG)
    if stored.period.calibration is None:
        raise InputError(str(run), "is a simulation, not a calibration", "Give the folder of a calibration.")
    if stored.baseline is not None:
        what = f"{stored.structure.kind} has no states that could be corrected"
        raise ConfigurationError("structure.kind", what, "Forecast with a hydrological structure.")
    gauges = stored.gauges.model_copy(update={"discharge": now.gauges.discharge or stored.gauges.discharge})
    forcing = stored.forcing.model_copy(update={"store": now.forcing.store})
    mine = {key: getattr(now.execution, key) for key in ("threads", "workers", "memory")}
    execution = stored.execution.model_copy(update=mine)
    update = {"forecast": now.forecast, "gauges": gauges, "forcing": forcing, "plausibility": now.plausibility}
    update |= {"execution": execution}
    return stored.model_copy(update=update), run


def _write(
    experiment: Experiment, run: Path, times: Sequence[datetime], output: Path, shown: Any
) -> tuple[Path, list[Row]]:
    """Compute all issues and write their tables, unless they are there already."""
    step = timedelta(seconds=experiment.period.step)
    asked, start = experiment.forecast, experiment.period.start
    _check_times(experiment, times)
    end = max(times) + timedelta(seconds=asked.horizon)
    whole = start + -(-(end - start) // step) * step
    period = experiment.period.model_copy(update={"end": max(experiment.period.end, whole)})
    threads = experiment.execution.threads  # they share the issues
    experiment = experiment.model_copy(
        update={"period": period, "execution": experiment.execution.model_copy(update={"threads": 1})}
    )
    path = output.absolute()
    with RunFolder.open(path, f"{experiment.name}-{path.name}") as folder, recorded(folder.record):
        if folder.manifest.identity and not folder.manifest.identity.startswith(OF_FORECASTS):
            raise ConfigurationError(str(path), "is a run", "Choose another folder for the forecasts with --output.")
        with folder.timed("ingestion"):
            setup = CalibrationSetup(experiment, ingested(experiment), run, run)
        identity = _identity(experiment, run, setup.basin.fingerprint, times)
        is_there = folder.manifest.state == "finished" and folder.manifest.identity == identity
        if is_there and not read(folder.path).damages():
            logger.info(f"{path}: nothing to do: the forecasts are there, and their inputs have not changed")
            return folder.path, []
        folder.start(identity=identity, seed=experiment.seed, warnings=())
        for left in (*folder.path.glob("*.parquet"), *folder.path.glob("figures/*.png")):  # of earlier forecasts
            left.unlink()
        write_text(folder.path / CONFIG, resolved(experiment))
        folder.update(inputs={"basin": setup.basin.fingerprint})
        means = "observations that are means over several steps are not assimilated"
        for note in (*setup.notes, *([] if setup.basin.discharge_until is None else [means])):
            folder.warn(note)
            logger.warning(note)
        compiled = f"forecast-{experiment.structure.kind}-{experiment.execution.precision}"
        announce_compilation(compiled)
        forecaster = Forecaster(setup, maps_of_run(run, setup), setup.flux_network.weights)
        steps = np.searchsorted(setup.basin.times, [stamp(time) for time in times]).tolist()
        with folder.timed("forecasts"), track("forecasting", len(steps)) as progress:
            issues = list[Issue]()
            for issue in forecaster.issues(steps, threads):
                issues.append(issue)
                progress.update(len(issues), len(steps))
        mark_warm(compiled)
        rows = shown(folder, forecaster, issues)
        _write_tables(folder, forecaster, issues)
        refused = sum(bool(issue.analysis.refusal) for issue in issues)
        if late := [issue.missing for issue in issues if issue.missing > 0]:
            folder.warn(
                f"{len(late)} of {len(issues)} windows lack rain, PET or temperature, "
                f"up to {max(late):.1%} of cells and steps: taken as no rain there"
            )
            logger.warning(folder.manifest.warnings[-1])
        folder.finish(f"{len(issues)} forecasts, {refused} without a correction.")
        logger.info(f"{folder.path}: {folder.manifest.ending}")
    return path, rows


def _check_times(experiment: Experiment, times: Sequence[datetime]) -> None:
    """Refuse issue times that are no ends of steps, or have no whole window before them."""
    start, step = experiment.period.start, experiment.period.step
    earliest = start + timedelta(seconds=experiment.forecast.window)
    for time in times:
        if (time - start).total_seconds() % step:
            what = f"{time:%Y-%m-%dT%H:%M:%SZ} is not the end of a time step"
            raise ConfigurationError("issue time", what, f"Steps have {step} s, from {start:%Y-%m-%dT%H:%MZ} on.")
        if time < earliest:
            what = f"{time:%Y-%m-%dT%H:%MZ} is before {earliest:%Y-%m-%dT%H:%MZ}, the end of the first whole window"
            raise ConfigurationError("issue time", what, "Choose later ones, or a shorter forecast.window.")


def _identity(experiment: Experiment, run: Path, fingerprint: str, times: Sequence[datetime]) -> str:
    """Hash of all that the forecasts depend on."""
    files = read_manifest(run).files
    parts = {
        "hydrocli": hydrocli.__version__,
        "forecast": to_dict(experiment)["forecast"],
        "run": {name: files[name].get("sha256") for name in USED if name in files},
        "basin": fingerprint,
        "times": [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in times],
    }
    return OF_FORECASTS + hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _ahead(forecaster: Forecaster, issues: Sequence[Issue]) -> tuple[NDArray[np.datetime64], Floats, Floats]:
    """Valid times [i, h], lead times [h] in hours, and observations at them [i, g, h]."""
    basin, horizon = forecaster.setup.basin, forecaster.horizon
    numbers = np.array([issue.step for issue in issues])[:, np.newaxis] + np.arange(1, horizon + 1)
    leads = np.arange(1, horizon + 1) * basin.step / 3600.0
    return basin.times[numbers], leads, np.moveaxis(forecaster.observed[:, numbers], 0, 1)


def _write_tables(folder: RunFolder, forecaster: Forecaster, issues: Sequence[Issue]) -> None:
    basin, run = forecaster.setup.basin, folder.manifest.run
    codes, horizon = list(basin.gauges.code), forecaster.horizon
    valid, leads, observed = _ahead(forecaster, issues)
    times = basin.times[[issue.step for issue in issues]]
    shape = len(issues), len(codes), len(KINDS), horizon
    discharge = np.stack([np.stack([issue.discharge[kind] for kind in KINDS], axis=1) for issue in issues])

    def column(values: Any, axes: tuple[int, ...]) -> NDArray[Any]:
        """Values of some of the axes issue, gauge, kind, lead, for every row."""
        wanted = [size if axis in axes else 1 for axis, size in enumerate(shape)]
        return np.broadcast_to(np.asarray(values).reshape(wanted), shape).ravel()

    columns: dict[str, Any] = {
        "issue": column(times, (0,)),
        "gauge": column(codes, (1,)),
        "kind": column(KINDS, (2,)),
        "lead": column(leads, (3,)),
        "valid": column(valid, (0, 3)),
        "discharge": discharge.ravel(),
        "observed": column(observed, (0, 1, 3)),
    }
    write_table(folder.path, schemas.FORECAST, columns, run=run)
    found = [issue.analysis for issue in issues]
    columns = {
        "issue": times,
        "observations": [one.observations for one in found],
        "cost_before": [one.cost_before for one in found],
        "cost": [one.cost for one in found],
        "refusal": [one.refusal or None for one in found],
        "missing": [issue.missing for issue in issues],
    }
    write_table(folder.path, schemas.ISSUES, columns, run=run)
    tree, deviation, controls = forecaster.setup.gauge_tree, forecaster.deviation, forecaster.controls
    of_zone = {zone: code for code, zone in zip(codes[::-1], tree.of_gauge[::-1].tolist(), strict=True)}
    columns = {
        "issue": np.repeat(times, len(controls)),
        "gauge": [of_zone[zone] for _, zone in controls] * len(issues),
        "control": [name for name, _ in controls] * len(issues),
        "correction": np.concatenate([one.controls * deviation for one in found]),
        "standard_error": np.concatenate([one.errors * deviation for one in found]),
        "background_error": np.tile(deviation, len(issues)),
    }
    write_table(folder.path, schemas.ANALYSIS, columns, run=run)


def _scores(folder: RunFolder, forecaster: Forecaster, issues: Sequence[Issue]) -> list[Row]:
    """Write forecast_scores.parquet; a row with the RMSE at some leads comes back for each gauge and kind."""
    _, leads, observed = _ahead(forecaster, issues)
    steps, codes = [issue.step for issue in issues], forecaster.setup.basin.gauges.code
    asked, rows, shown = forecaster.setup.experiment.forecast.thresholds, list[tuple[Any, ...]](), list[Row]()
    for g, code in enumerate(codes):
        last = forecaster.observed[g, steps]
        for kind in KINDS:
            ahead = np.stack([issue.discharge[kind][g] for issue in issues])
            row: Row = {"gauge": code, "kind": kind}
            for h, lead in enumerate(leads):
                found = scores_at_lead(observed[:, g, h], ahead[:, h], last, asked.get(code, ()))
                number = int(np.sum(np.isfinite(observed[:, g, h]) & np.isfinite(ahead[:, h])))
                rows += [(code, kind, float(lead), metric, value, number) for metric, value in found.items()]
                if lead in SHOWN_LEADS:
                    row[f"rmse_{lead:g}h"] = found["rmse"]
            shown.append(row)
    names = ("gauge", "kind", "lead", "metric", "value", "n_valid")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    write_table(folder.path, schemas.FORECAST_SCORES, columns, run=folder.manifest.run)
    return shown


def _peaks(folder: RunFolder, forecaster: Forecaster, issues: Sequence[Issue]) -> list[Row]:
    """The largest discharge ahead of each gauge."""
    valid, _, _ = _ahead(forecaster, issues)
    rows = list[Row]()
    for g, code in enumerate(forecaster.setup.basin.gauges.code):
        row: Row = {"gauge": code, "last_observed": float(forecaster.observed[g, issues[0].step])}
        for kind in KINDS[:-1]:
            ahead = issues[0].discharge[kind][g]
            row[f"peak_{kind}"] = float(ahead.max())
        row["time_of_peak"] = f"{valid[0][int(np.argmax(issues[0].discharge['analysis'][g]))]}Z"
        rows.append(row)
    return rows
