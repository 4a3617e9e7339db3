"""Commands load what they use: heavy libraries are counted, not seconds, which depend on the machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "numba",
    "llvmlite.binding",
    "pandas",
    "scipy.optimize",
    "scipy.linalg",
    "rasterio",
    "geopandas",
    "matplotlib",
    "xarray",
    "distributed",
    "pyarrow.dataset",
    "rich.markdown",
}
SCRIPT = """
import sys
from hydrocli.cli import main
sys.argv = ["hydrocli", *sys.argv[1:]]
try:
    main()
except SystemExit as ending:
    assert not ending.code, ending.code
print("LOADED", *sys.modules, file=sys.stderr)
"""


def loaded(*arguments: str | Path) -> set[str]:
    """Heavy modules that a command loads, in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return HEAVY & set(result.stderr.rpartition("LOADED")[2].split())


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, which may be written into."""
    shutil.copytree(finished.with_suffix(""), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("validate", set()),
        ("signatures", set()),
        ("calibrate", set()),
        ("check", {"rasterio"}),
        ("ingest", {"rasterio"}),
        ("export", {"geopandas", "pandas", "pyarrow.dataset"}),
    ],
)
def test_commands_on_a_finished_run(command: str, allowed: set[str], run: Path, finished: Path) -> None:
    options = ("--set", f"folder={run}")
    target = finished if command == "ingest" else run
    assert loaded(command, target, *options) <= allowed


@pytest.mark.parametrize("arguments", [("--help",), ("calibrate", "--help"), ("init",), ("schema",), ("docs",)])
def test_commands_without_a_run(arguments: tuple[str, ...]) -> None:
    assert loaded(*arguments) == set()
