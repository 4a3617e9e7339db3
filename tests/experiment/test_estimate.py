"""What `check` says of memory and time, beside a calibration in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hydrocli.commands.check import check

WATCH = (
    "import resource, subprocess, sys; status = subprocess.call(sys.argv[1:])\n"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
    "print(1024e-6 * used.ru_maxrss, used.ru_utime + used.ru_stime); sys.exit(status)\n"
)
"""A small process in between: the peak of a process counts what its parent had when it was started."""
MEMORY, TIME = 1.5, 4.0
"""Factors; processor time varies with what else runs on the machine."""


def test_check_says_what_a_calibration_takes(finished: Path, tmp_path: Path) -> None:
    """The code is compiled, since the same run has been done before. At 1,000 to 950,000 cells: `bench_gauges`."""
    folder = f"folder={tmp_path / 'run'}"
    said = check(finished, [folder])
    command = [sys.executable, "-m", "hydrocli", "calibrate", str(finished), "--set", folder, "--quiet"]
    done = subprocess.run([sys.executable, "-c", WATCH, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, seconds = map(float, done.stdout.splitlines()[-1].split())
    assert said["memory_mb"] / MEMORY < peak < said["memory_mb"] * MEMORY
    assert 60 * said["minutes_at_most"] / TIME < seconds < 60 * said["minutes_at_most"] * TIME
