"""`hydrocli batch`: every run of a campaign that is not done yet.

A call reads the states of the run folders and does what is missing. So it can be started every night, be stopped at any
moment, and run on many nodes at once, each with its own share. The state of each run is kept in its folder, and in the
table of all runs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hydrocli.basin.tables import read_catchments
from hydrocli.campaign.schedule import Limits, Queue, need
from hydrocli.campaign.slurm import slurm_cluster
from hydrocli.campaign.stores import Sizes, ingest_all
from hydrocli.campaign.worker import RunService, RunTask
from hydrocli.config import (
    CampaignFile,
    Experiment,
    RunSpec,
    catchment_table,
    code_column,
    differing_keys,
    load,
    load_campaign,
    numbers_hash,
    resolved_campaign,
    run_specs,
    to_dict,
)
from hydrocli.errors import ConfigurationError, Errors, HeldError, HydrocliError, InputError, PartialError, Stopped
from hydrocli.execution.pool import Executor, TaskResult, executor_of
from hydrocli.execution.progress import ProgressTask, track
from hydrocli.execution.resources import usable_cores, usable_memory
from hydrocli.execution.signals import StopFlag, stop_flag
from hydrocli.files import os_errors_as_input_errors
from hydrocli.results.campaign import Row, RunLocation, mark, rows_of, steps_lacking, summary, write_campaign
from hydrocli.results.folder import JOURNAL, MANIFEST, read_manifest
from hydrocli.results.lock import Lock
from hydrocli.results.write import write_text

logger = logging.getLogger(__name__)

BETWEEN_TABLES = 20.0
"""Seconds between two tables while a campaign is running."""
CALIBRATE = "calibrate"
NO_FAILURE = 0, Stopped.exit_status, HeldError.exit_status
"""Results for which the folder decides: another process may have done the run meanwhile."""


@dataclass(frozen=True)
class Options:
    """What a call asks for beside the configuration.

    Attributes:
        workers: processes; None: as the campaign says.
        shard: which part of how many, from 1.
        retry: also runs that have failed.
        force: start anew beside runs of another configuration.
        steps: only these steps, of all runs that are calibrated, again; empty: what is missing.
    """

    workers: int | None = None
    shard: tuple[int, int] = (1, 1)
    retry: bool = False
    force: bool = False
    steps: tuple[str, ...] = ()


@dataclass
class _Call:
    """One call: its runs, and how those that it has tried have ended."""

    file: CampaignFile
    specs: list[RunSpec]
    options: Options
    results: dict[str, TaskResult] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return Path(self.file.campaign.folder)

    def rows(self, specs: Sequence[RunSpec] | None = None) -> list[Row]:
        """The table; the results of this call count where a folder could not be written, on a full disk for example."""
        wanted = [RunLocation(spec.model, spec.code, Path(spec.experiment.folder)) for spec in specs or self.specs]
        rows = rows_of(wanted, self.file.campaign.after_calibration)
        for row in rows:
            result = self.results.get(f"{row['model']}/{row['item']}")
            if result and result.status not in NO_FAILURE and row["state"] not in ("failed", "running"):
                row |= {"state": "failed", "reason": result.reason}
        return rows

    def write(self) -> None:
        """Write the table of all runs; a failure to write it must not end them."""
        try:
            write_campaign(self.folder, self.rows(), self.file.campaign.name)
        except InputError as error:
            logger.warning(str(error))


def campaign_run_specs(file: CampaignFile) -> list[RunSpec]:
    """All runs of a campaign.

    Raises:
        HydrocliError: everything wrong with the configuration of any of them, or with the table of catchments.
    """
    table = catchment_table(file)
    return run_specs(file, table, read_catchments(table, code_column(file)))


def batch(target: Path, overrides: list[str], options: Options) -> list[Row]:
    """Do what is missing of a campaign; the rows of its runs, of this shard, come back when all of them are done.

    Args:
        target: YAML file or folder of the campaign.
        overrides: `section.key=value` texts for the campaign.
        options: see there.

    Raises:
        Errors: everything that is wrong with any configuration, before anything starts.
        PartialError: some runs have failed, the others are done.
        HeldError: another process works on this share, or on the runs that are left.
        Stopped: a signal came; run again to continue.
    """
    file = load_campaign(target, overrides)
    call = _Call(file, campaign_run_specs(file), options)
    share = _share(call.specs, options.shard)
    _refuse_others(share, options)
    with os_errors_as_input_errors(call.folder, "cannot be made"):
        call.folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(call.folder / "lock{}.json".format("-{}-of-{}".format(*options.shard) if options.shard[1] > 1 else ""))
    lock.acquire()
    try:
        with stop_flag() as stop:
            write_text(call.folder / "campaign.yaml", resolved_campaign(file.campaign))
            call.write()
            _work(call, share, stop)
            call.write()
            return _final_rows(call, share, stop)
    finally:
        lock.release()


def ingest_campaign(target: Path, overrides: list[str]) -> list[Row]:
    """Build the stores of all runs of a campaign, so that those who work on it in parts need not.

    Returns:
        A row for each run.

    Raises:
        Errors: everything that is wrong with any configuration.
        PartialError: the data of some runs are wrong.
    """
    file = load_campaign(target, overrides)
    specs = campaign_run_specs(file)
    workers = file.campaign.execution.workers or usable_cores()
    sizes = ingest_all(specs, workers, lambda: None)
    wrong = {str(found): key for key, found in sizes.items() if isinstance(found, HydrocliError)}
    if wrong:
        what = "\n  ".join(["errors in the data", *(f"{key}: {error}" for error, key in wrong.items())])
        raise PartialError(str(file.campaign.folder), what)
    logger.info(f"data of {len(specs)} runs ingested")
    return [{"model": spec.model, "item": spec.code, "state": "ingested"} for spec in specs]


def _share(specs: Sequence[RunSpec], shard: tuple[int, int]) -> list[RunSpec]:
    """The runs of one of several shares: whole catchments, so that no two shares read the same data."""
    number, shards = shard
    place = {code: n for n, code in enumerate(dict.fromkeys(spec.code for spec in specs))}
    return [spec for spec in specs if place[spec.code] % shards == number - 1]


def _refuse_others(specs: Sequence[RunSpec], options: Options) -> None:
    """Refuse folders that hold calibrations of another configuration."""
    problems: list[HydrocliError] = []
    for spec in specs:
        path = Path(spec.experiment.folder)
        if options.force or not (path / MANIFEST).exists():
            continue
        found = read_manifest(path)
        if found.identity != numbers_hash(spec.experiment) and _binds(path, found.state):
            problems.append(_another(path, spec.experiment))
    if problems:
        raise Errors(problems)


def _binds(path: Path, state: str) -> bool:
    return state == "finished" or (path / JOURNAL).exists()


def _another(path: Path, experiment: Experiment) -> HydrocliError:
    keys: list[str] = []
    with suppress(HydrocliError):
        keys = differing_keys(load(path), experiment)
    what = f"is a calibration with different {', '.join(keys) or 'configuration'}"
    return ConfigurationError(str(path), what, "Choose another folder, or use --force to archive the existing runs.")


def _work(call: _Call, share: Sequence[RunSpec], stop: StopFlag) -> None:
    asked = _asked(call, share)
    if not asked:
        logger.info(f"{call.folder}: nothing to do")
        return
    campaign, options = call.file.campaign, call.options
    workers = options.workers or campaign.execution.workers or usable_cores()
    specs = [spec for spec in share if spec.key in asked]
    sizes = ingest_all(specs, workers, lambda: _stop_now(stop, call))
    tasks = _tasks(call, specs, asked, sizes)
    if not tasks:
        return
    limits = Limits(_memory(call), campaign.execution.attempts)
    tasks = [task for task in tasks if _could_fit(call, task, limits)]
    executor = _executor(call, min(workers, sum(task.threads for task in tasks)))
    try:
        _run(call, tasks, executor, limits, stop)
    finally:
        executor.close()


def _asked(call: _Call, share: Sequence[RunSpec]) -> dict[str, tuple[str, ...]]:
    """Steps to do, by run; runs that failed before are left unless they shall be tried again."""
    asked, options = {}, call.options
    then = call.file.campaign.after_calibration
    for spec, row in zip(share, call.rows(share), strict=True):
        if row["state"] == "running":
            call.results[spec.key] = TaskResult(spec.key, HeldError.exit_status, row["reason"])
            continue
        path = Path(spec.experiment.folder)
        calibrated = (path / MANIFEST).exists() and read_manifest(path).state == "finished"
        anew = options.force and calibrated and read_manifest(path).identity != numbers_hash(spec.experiment)
        if options.steps:
            if calibrated:
                asked[spec.key] = options.steps
        elif row["state"] != "done" and (row["state"] != "failed" or options.retry):
            asked[spec.key] = tuple(steps_lacking(path, then)) if calibrated else (CALIBRATE, *then)
        if anew:
            asked[spec.key] = (CALIBRATE, *then)
    return asked


def _tasks(call: _Call, specs: Sequence[RunSpec], asked: dict[str, tuple[str, ...]], sizes: Sizes) -> list[RunTask]:
    """What the executor is given; runs whose data are wrong have failed already."""
    tasks = []
    for spec in specs:
        found = sizes[spec.key]
        if isinstance(found, HydrocliError):
            _fail(call, spec.key, found.exit_status, str(found))
            continue
        experiment, steps = spec.experiment, asked[spec.key]
        values = to_dict(experiment)
        code = [values["structure"], experiment.execution.precision, experiment.mapping.kind]
        tasks.append(
            RunTask(
                spec.key,
                str(experiment.folder),
                values,
                steps,
                hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16] if CALIBRATE in steps else "",
                call.options.force and CALIBRATE in steps,
                found.seconds if CALIBRATE in steps else 1.0,
                found.bytes,
                experiment.execution.threads,
            )
        )
    return tasks


def _memory(call: _Call) -> float:
    """Of all runs together; on other machines each job has its own, which `_could_fit` looks at."""
    if call.file.campaign.execution.cluster in ("none", "local"):
        return float(call.file.campaign.execution.memory or usable_memory())
    return float("inf")


def _could_fit(call: _Call, task: RunTask, limits: Limits) -> bool:
    slurm = call.file.campaign.slurm
    available = slurm.memory / slurm.cores if call.file.campaign.execution.cluster == "slurm" else limits.memory
    if need(task) <= available:
        return True
    what = f"needs about {need(task) / 1e9:.1f} GB of memory; {available / 1e9:.1f} GB are available"
    _fail(call, task.key, InputError.exit_status, f"{what}: lower execution.memory of the run")
    return False


def _fail(call: _Call, key: str, status: int, reason: str) -> None:
    """Record a run that could not be begun."""
    call.results[key] = TaskResult(key, status, reason)
    with suppress(HydrocliError):
        mark(call.folder / key, key.replace("/", "-"), call.file.campaign.after_calibration, reason, started=False)
    logger.warning(f"{key}: {reason}")


def _executor(call: _Call, workers: int) -> Executor:
    campaign = call.file.campaign
    cluster = campaign.execution.cluster
    start = partial(slurm_cluster, campaign.slurm) if cluster == "slurm" else None
    return executor_of(cluster, workers, RunService(), start)


def _run(call: _Call, tasks: list[RunTask], executor: Executor, limits: Limits, stop: StopFlag) -> None:
    with track("campaign", len(tasks)) as progress:
        written = time.monotonic()

        def on_progress(waiting: int, running: int) -> None:
            nonlocal written
            failed = sum(result.status not in (0, Stopped.exit_status) for result in call.results.values())
            progress.update(len(tasks) - waiting - running, running=running, failed=failed)
            if time.monotonic() - written > BETWEEN_TABLES:
                written = time.monotonic()
                call.write()

        Queue(tasks, executor, limits, lambda result: _on_result(call, result)).work(stop, on_progress)
        _finish(progress, tasks, call)


def _finish(progress: ProgressTask, tasks: list[RunTask], call: _Call) -> None:
    done = [call.results[task.key].status == 0 for task in tasks if task.key in call.results]
    progress.update(sum(done), running=0, failed=len(done) - sum(done))


def _on_result(call: _Call, result: TaskResult) -> None:
    call.results[result.key] = result
    if result.status < 0:
        with suppress(HydrocliError):
            mark(
                call.folder / result.key,
                result.key.replace("/", "-"),
                call.file.campaign.after_calibration,
                result.reason,
            )
    if result.status in (0, Stopped.exit_status):
        used = f"{result.seconds:.1f} s, memory of its worker {result.peak / 1e6:.0f} MB"
        logger.debug(f"{result.key}: {result.reason or used}")
    else:
        logger.warning(f"{result.key}: {result.reason}")


def _stop_now(stop: StopFlag, call: _Call) -> None:
    if stop():
        raise _stopped(stop, call)


def _stopped(stop: StopFlag, call: _Call) -> Stopped:
    what = f"stopped by {stop.name}; all runs have saved their state"
    return Stopped(str(call.folder), what, "Run again to continue.")


def _final_rows(call: _Call, share: Sequence[RunSpec], stop: StopFlag) -> list[Row]:
    """The rows, or how the call ends where not all is done."""
    rows = call.rows(share)
    counted = ", ".join(f"{number} {state}" for state, number in summary(rows).items() if number)
    logger.info(f"{call.folder}: {counted}")
    if stop():
        raise _stopped(stop, call)
    failed = [row for row in rows if row["state"] == "failed"]
    if failed:
        reasons = [f"{row['model']}/{row['item']}: {row['reason']}" for row in failed]
        what = f"{len(failed)} of {len(rows)} runs have failed"
        raise PartialError(
            str(call.folder),
            "\n  ".join([what, *reasons]),
            "Correct the errors listed above, then run `hydrocli batch --retry`.",
        )
    left = {f"{row['model']}/{row['item']}" for row in rows if row["state"] != "done"}
    if held := [k for k, result in call.results.items() if result.status == HeldError.exit_status and k in left]:
        what = f"another process works on {', '.join(held[:5])}{' ...' if len(held) > 5 else ''}"
        raise HeldError(str(call.folder), what, "Wait for it; `hydrocli status` shows it.")
    if stopped := [k for k, result in call.results.items() if result.status == Stopped.exit_status and k in left]:
        what = f"signals to their workers have stopped {', '.join(stopped[:5])}{' ...' if len(stopped) > 5 else ''}"
        raise Stopped(str(call.folder), what, "Run again to continue.")
    return rows
