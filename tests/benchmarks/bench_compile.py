"""What a first run compiles, and how long it takes: `python tests/benchmarks/bench_compile.py [ARGUMENT ...]`.

The arguments are those of `hydrocli`; left out: a calibration of a small synthetic basin. The cache of compiled code is
empty at the start, and the process is one of its own.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Run a command of hydrocli and print the compiled functions, the slowest first, without those they call."""
    with tempfile.TemporaryDirectory(prefix="hydrocli-compile-") as folder:
        os.environ["HYDROCLI_CACHE"] = str(Path(folder) / "cache")
        from numba.core import event

        from hydrocli.cli.app import app

        if not arguments:
            _call(app, ["synthetic", f"{folder}/basin", "--cells", "170", "--quiet"])
            arguments = ["calibrate", f"{folder}/basin/config.yaml", "--quiet"]
        began = time.perf_counter(), time.process_time()
        with event.install_recorder("numba:compile") as recorder:
            _call(app, arguments)
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    rows = own_seconds(recorder.buffer)
    for name, (seconds, count) in sorted(rows.items(), key=lambda row: -row[1][0]):
        print(f"{seconds:8.2f} s {count:4d}  {name}")
    total = sum(seconds for seconds, _ in rows.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{total:8.2f} s of {len(rows)} functions; {wall:.1f} s wall, {cpu:.1f} s CPU, {peak:.0f} MB")


def own_seconds(buffer: list[tuple[float, object]]) -> dict[str, tuple[float, int]]:
    """Seconds and number of compilations of each function, those of the functions that it calls taken out."""
    seconds, count, open_ones = defaultdict[str, float](float), defaultdict[str, int](int), defaultdict[int, list](list)
    for moment, one in buffer:
        stack = open_ones[0]
        name = f"{one.data['dispatcher'].py_func.__module__}.{one.data['dispatcher'].py_func.__qualname__}"
        if one.is_start:
            stack.append([moment, 0.0])
            continue
        start, inner = stack.pop()
        whole = moment - start
        seconds[name] += whole - inner
        count[name] += 1
        if stack:
            stack[-1][1] += whole
    return {name: (seconds[name], count[name]) for name in seconds}


def _call(app: Any, arguments: list[str]) -> None:
    try:
        app(arguments, prog_name="hydrocli")
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
