"""Runs of a campaign in a worker, one after the other; the lists of the archives are kept from run to run."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydrocli.errors import HydrocliError, OutOfMemoryError, Stopped
from hydrocli.execution.pool import TaskResult
from hydrocli.execution.progress import Console
from hydrocli.execution.resources import memory_error, require_address_space
from hydrocli.execution.signals import stopped_at_once
from hydrocli.results.campaign import FAILED_STEP
from hydrocli.results.folder import MANIFEST, RunFolder, read_manifest

if TYPE_CHECKING:
    from hydrocli.config import Experiment

BUG = 1


@dataclass(frozen=True)
class RunTask:
    """One run of a campaign.

    Attributes:
        key: names it, as `model/code`.
        folder: of the run.
        values: of its configuration, plain.
        steps: calibrate, validate, signatures: those to be done.
        kind: of the code that it needs; until that is compiled once, no second run needs to wait for it.
        force: start anew beside a run of another configuration.
        seconds, bytes, threads: what it will take, about.
    """

    key: str
    folder: str
    values: dict[str, Any]
    steps: tuple[str, ...]
    kind: str = ""
    force: bool = False
    seconds: float = 0.0
    bytes: float = 0.0
    threads: int = 1


def perform(task: RunTask) -> TaskResult:
    """Do a task in this process; whatever goes wrong with a run is in the result."""
    began = time.perf_counter()
    status, reason = 0, ""
    try:
        with stopped_at_once(), Console(quiet=True):
            require_address_space()
            _do(task)
    except KeyboardInterrupt:
        status, reason = Stopped.exit_status, "interrupted"
    except Exception as error:  # a bug in one run must not end the others
        known = memory_error(error) or error
        status, reason = BUG, f"a bug of hydrocli: {type(error).__name__}: {error}"
        if isinstance(known, HydrocliError):
            status, reason = known.exit_status, str(known)
    peak = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return TaskResult(task.key, status, reason, time.perf_counter() - began, peak)


def _do(task: RunTask) -> None:
    from hydrocli.config import experiment_from_dict
    from hydrocli.experiment.calibrate import calibrate_experiment
    from hydrocli.experiment.scores import validate_experiment
    from hydrocli.experiment.signatures import signatures_experiment
    from hydrocli.jit import mark_warm

    experiment = experiment_from_dict(task.values)
    if "calibrate" in task.steps:
        calibrate_experiment(experiment, task.force and _holds_another(task, experiment))
        mark_warm(task.kind)
    after: dict[str, Callable[..., object]] = {"validate": validate_experiment, "signatures": signatures_experiment}
    for step in (step for step in task.steps if step in after):
        try:
            after[step](experiment)
        except HydrocliError as error:
            if not isinstance(error, Stopped):
                _keep(task, FAILED_STEP.format(step=step) + str(error))
            raise


def _holds_another(task: RunTask, experiment: Experiment) -> bool:
    """Whether the folder holds another run; a start that was killed must not be set aside by the next one."""
    from hydrocli.config import numbers_hash

    path = Path(task.folder)
    return (path / MANIFEST).exists() and read_manifest(path).identity != numbers_hash(experiment)


def _keep(task: RunTask, sentence: str) -> None:
    with RunFolder.open(Path(task.folder), task.key.replace("/", "-")) as folder:
        folder.warn(sentence)


class RunService:
    """Carries out runs in a worker, see `hydrocli.execution.pool.Service`: SIGTERM asks a run to save itself."""

    ignores_signals = False

    def __init__(self) -> None:
        self.is_spent = False

    def session(self) -> AbstractContextManager[object]:
        """Lists of the archives are kept from run to run."""
        from hydrocli.basin.source import inputs_read_once

        return inputs_read_once()

    def handle(self, request: RunTask) -> TaskResult:
        """Do a task; after a bug, or without memory, the process is spent."""
        result = perform(request)
        self.is_spent = result.status in (BUG, OutOfMemoryError.exit_status)
        return result
