"""A process that does runs of a campaign, one after the other, as it is told on standard input.

Every line that it reads is a task, every line that it writes the ending of one, both JSON. It keeps its libraries, its
compiled code and the lists of the archives from run to run. The end of its input is the end of its master: it then
asks the run that goes on to save itself, and leaves. Its master sends SIGTERM for the same.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hydrocli.errors import HydrocliError, Stopped
from hydrocli.execution.progress import Console
from hydrocli.execution.signals import stopped_at_once
from hydrocli.results.campaign import FAILED_STEP
from hydrocli.results.folder import MANIFEST, RunFolder, read_manifest

if TYPE_CHECKING:
    from hydrocli.config import Experiment

BUG = 1


@dataclass(frozen=True)
class Task:
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


@dataclass(frozen=True)
class Ending:
    """How a task ended.

    Attributes:
        key: of the task.
        status: as the exit status of a command; negative: the number of the signal that killed the worker.
        reason: a sentence, empty where all is done.
        seconds: that it took.
        peak: largest memory of the worker so far [bytes].
    """

    key: str
    status: int
    reason: str = ""
    seconds: float = 0.0
    peak: float = 0.0


def command() -> list[str]:
    """What starts a worker."""
    return [sys.executable, "-m", "hydrocli.campaign.worker"]


def environment() -> dict[str, str]:
    """Of a worker: one thread in every library, since the workers share the cores."""
    names = ("OPENBLAS", "MKL", "OMP", "BLIS", "NUMBA")
    return dict(os.environ) | {f"{name}_NUM_THREADS": "1" for name in names}


def perform(task: Task) -> Ending:
    """Do a task in this process; nothing that a run does wrong comes out of it but as an ending."""
    began = time.perf_counter()
    status, reason = 0, ""
    try:
        with stopped_at_once(), Console(quiet=True):
            _do(task)
    except HydrocliError as error:
        status, reason = error.exit_status, str(error)
    except KeyboardInterrupt:
        status, reason = Stopped.exit_status, "interrupted"
    except MemoryError:
        status, reason = BUG, "out of memory: a lower execution.memory of the run lets its gradient take less"
    except Exception as error:  # a bug in one run must not end the others
        status, reason = BUG, f"a bug of hydrocli: {type(error).__name__}: {error}"
    peak = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Ending(task.key, status, reason, time.perf_counter() - began, peak)


def _do(task: Task) -> None:
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


def _holds_another(task: Task, experiment: Experiment) -> bool:
    """Whether the folder holds another run; a start that was killed must not be set aside by the next one."""
    from hydrocli.config import numbers_hash

    path = Path(task.folder)
    return (path / MANIFEST).exists() and read_manifest(path).identity != numbers_hash(experiment)


def _keep(task: Task, sentence: str) -> None:
    with RunFolder.open(Path(task.folder), task.key.replace("/", "-")) as folder:
        folder.warn(sentence)


def serve(lines: Iterator[str], answer: TextIO) -> None:
    """Do tasks as they come; leave after a bug, for what it left behind in this process nobody knows."""
    for line in lines:
        values = json.loads(line)
        ending = perform(Task(**{**values, "steps": tuple(values["steps"])}))
        answer.write(json.dumps(asdict(ending)) + "\n")
        answer.flush()
        if ending.status == BUG:
            return


def _lines() -> Iterator[str]:
    """Lines of standard input, read in a thread of its own so that its end is seen while a run goes on."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    busy = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            busy.set()
            waiting.put(line)
        waiting.put("")
        if busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    while line := waiting.get():
        yield line
        busy.clear()


def main(arguments: Sequence[str] = ()) -> None:
    """Serve until the input ends."""
    from hydrocli.basin.source import inputs_read_once

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the master decides
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    with inputs_read_once():
        serve(_lines(), answer)


if __name__ == "__main__":
    main()
