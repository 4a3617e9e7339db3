"""Contestants, each in a process of its own, so that precision, threads and peak memory are its own too.

`python bench_worker.py KIND OPTIONS` makes a contestant and then obeys standard input: each line names a method to run,
each answer is a line with wall and CPU seconds, peak memory and what the method returns. `Contestant` is the other end.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

KINDS = {
    "hydrocli": ("bench_hydrocli", "HydrocliRun"),
    "hydrocli reading": ("bench_hydrocli", "HydrocliReading"),
    "hydrocli archive": ("bench_archives", "HydrocliArchive"),
    "large archive": ("bench_archives", "LargeArchive"),
    "xarray archive": ("bench_archives", "XarrayArchive"),
    "jax": ("jax_gr", "JaxModel"),
    "smash": ("bench_smash", "SmashRun"),
    "smash archive": ("bench_smash", "SmashArchive"),
    "smash reading": ("bench_smash", "SmashReading"),
    "smash calibrating": ("bench_smash", "SmashCalibration"),
}
PEERS = {
    "jax": "JAX is not installed (pip install 'hydrocli[bench]')",
    "smash": "smash is not installed (pip install hydro-smash==1.3.0)",
}

Answer = dict[str, object]


class AbsentError(Exception):
    """A peer is not installed; the sentence says which."""


class Contestant:
    """A worker process; a context manager, which ends it.

    Args:
        kind: one of KINDS.
        core: the only core it may use.
        options: for the constructor of that kind.
    """

    def __init__(self, kind: str, core: int | None = None, **options: object) -> None:
        quiet = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"), "1")
        command = [sys.executable, __file__, kind, json.dumps({"core": core} | options, default=str)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | quiet
        )
        self.about = self._answer()

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def ask(self, method: str, burst: float = 0.0, **options: object) -> Answer:
        """Run a method once, or again and again for `burst` seconds; medians of its seconds."""
        print(json.dumps([method, burst, options], default=str), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Answer:
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError(f"{self.process.args[2]} ended with status {self.process.returncode}")
        answer = json.loads(line)
        if "absent" in answer:
            self.__exit__()
            raise AbsentError(answer["absent"])
        return answer


def peak_memory() -> float:
    """Largest resident memory of this process so far [bytes].

    On Linux from the process's own status: what `getrusage` tells there can be its parent's, from before the start.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024.0 * int(status.read_text().split("VmHWM:")[1].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def _run(contestant: object, method: str, burst: float, options: dict[str, object]) -> Answer:
    walls, cpus, began = [], [], time.perf_counter()
    while not walls or time.perf_counter() - began < burst:
        wall, cpu = time.perf_counter(), time.process_time()
        told = getattr(contestant, method)(**options)
        cpus.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
    answer = {"wall": statistics.median(walls), "cpu": statistics.median(cpus), "peak": peak_memory()}
    return answer | told if isinstance(told, dict) else answer


def main(kind: str, options: dict[str, object]) -> None:
    """Make a contestant and obey."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # compiled code prints too

    def tell(answer: Answer) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    core = options.pop("core")
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    module, name = KINDS[kind]
    try:
        contestant = getattr(importlib.import_module(module), name)(**options)
    except ImportError as error:
        if error.name not in PEERS:
            raise
        return tell({"absent": PEERS[error.name]})
    tell(getattr(contestant, "about", {}))
    for line in sys.stdin:
        tell(_run(contestant, *json.loads(line)))
    return None


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
