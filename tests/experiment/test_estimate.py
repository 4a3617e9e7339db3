"""What `check` says of memory and time, beside a calibration in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hydrocli.commands.check import check

MEMORY, TIME = 1.5, 4.0
"""Factors; processor time varies with what else runs on the machine."""


def test_check_says_what_a_calibration_takes(finished: Path, tmp_path: Path) -> None:
    """The code is compiled, since the same run has been done before. At 1,000 to 950,000 cells: `bench_gauges`."""
    folder = f"folder={tmp_path / 'run'}"
    said = check(finished, [folder])
    command = [sys.executable, "-m", "hydrocli", "calibrate", str(finished), "--set", folder, "--quiet"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (tmp_path / "log").read_text()
    peak, seconds = usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime
    assert said["memory_mb"] / MEMORY < peak < said["memory_mb"] * MEMORY
    assert 60 * said["minutes_at_most"] / TIME < seconds < 60 * said["minutes_at_most"] * TIME
