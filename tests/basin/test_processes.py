"""Processes that read fields: a signal to all processes of a command is for its first one alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = """
import os, sys, time
from hydrocli.basin.forcing import run_in_processes
from hydrocli.errors import Stopped

def read(seconds):
    time.sleep(seconds)
    return os.getpid()

if __name__ == "__main__":
    print("reading", flush=True)
    try:
        print(len(set(run_in_processes(read, [0.3] * 8, 2))), flush=True)
    except Stopped as error:
        print(error, flush=True)
"""


def descendants(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in listed.read_text().split()] if listed.exists() else []
    return [one for child in found for one in (child, *descendants(child))]


STOPS = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1


@pytest.mark.parametrize("numbers", [STOPS, (signal.SIGKILL,)], ids=["stop", "kill"])
def test_signals_to_the_processes_that_read(numbers: tuple[signal.Signals, ...], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SOURCE)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as p:
        until = time.monotonic() + 30
        while len(found := descendants(p.pid)) < 4 and time.monotonic() < until:  # tracker, server, two that read
            time.sleep(0.01)
        is_kill = signal.SIGKILL in numbers
        for number in numbers:
            for pid in found[-1:] if is_kill else found:
                os.kill(pid, number)
        said, told = p.communicate(timeout=60)
    expected = "a process that reads the data ended" if is_kill else "reading\n2\n"
    assert expected in said
    assert told == ""
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in found) and time.monotonic() < until:
        time.sleep(0.01)
    assert not [pid for pid in found if Path(f"/proc/{pid}").exists()]
