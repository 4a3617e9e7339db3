"""What a first run compiles, and how long it takes: `python tests/benchmarks/bench_compile.py [ARGUMENT ...]`.

The arguments are those of `hydrocli`; left out: a calibration of a small synthetic basin. The cache of compiled code is
empty at the start, and the process is one of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Run a command of hydrocli and print the compiled functions, the slowest first, without those they call."""
    with tempfile.TemporaryDirectory(prefix="hydrocli-compile-") as folder:
        if not arguments:
            make = ["synthetic", f"{folder}/basin", "--cells", "170", "--quiet"]
            subprocess.run([sys.executable, "-m", "hydrocli", *make], check=True)  # what it compiles is kept elsewhere
            arguments = ["calibrate", f"{folder}/basin/config.yaml", "--quiet"]
        os.environ["HYDROCLI_CACHE"] = str(Path(folder) / "cache")
        from numba.core import event

        from hydrocli.cli.app import app

        began = time.perf_counter(), time.process_time()
        own = own_seconds_listener(event.Listener)
        with event.install_listener("numba:compile", own):
            _call(app, arguments)
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    rows = own.seconds
    for name, (seconds, count) in sorted(rows.items(), key=lambda row: -row[1][0]):
        print(f"{seconds:8.2f} s {count:4d}  {name}")
    total = sum(seconds for seconds, _ in rows.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{total:8.2f} s of {len(rows)} functions; {wall:.1f} s wall, {cpu:.1f} s CPU, {peak:.0f} MB")


def own_seconds_listener(listener: type) -> Any:
    """A listener whose `seconds` are CPU seconds and number of compilations of each function, without its callees."""

    class OwnSeconds(listener):
        def __init__(self) -> None:
            self.seconds: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
            self._open: list[list[float]] = []

        def on_start(self, _event: Any) -> None:
            self._open.append([time.process_time(), 0.0])

        def on_end(self, one: Any) -> None:
            began, inside = self._open.pop()
            whole, function = time.process_time() - began, one.data["dispatcher"].py_func
            seconds, count = self.seconds[f"{function.__module__}.{function.__qualname__}"]
            self.seconds[f"{function.__module__}.{function.__qualname__}"] = seconds + whole - inside, count + 1
            if self._open:
                self._open[-1][1] += whole

    return OwnSeconds()


def _call(app: Any, arguments: list[str]) -> None:
    try:
        app(arguments, prog_name="hydrocli")
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
