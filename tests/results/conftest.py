from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from results_examples import Spawn

from hydrocli.basin.grid import Grid


@pytest.fixture
def grid() -> Grid:
    import pyproj

    return Grid(pyproj.CRS("EPSG:2154").to_wkt(), (1000.0, 0.0, 800000.0, 0.0, -1000.0, 6500000.0), 3, 4)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start Python source in a process of its own; whatever of it still lives after the test is killed."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)]
        process = subprocess.Popen(command, text=True, **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
