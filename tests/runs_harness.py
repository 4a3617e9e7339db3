"""The commands as a user has them, on the embedded sample: configurations, calls, processes, and what is compared."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rasterio
import yaml
from click.testing import Result
from typer.testing import CliRunner

from hydrocli.cli import app

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data-samples" / "small"

START, CALIBRATED, END = "2014-09-01T00:00Z", "2014-10-25T00:00Z", "2014-11-15T00:00Z"

BASE: dict[str, Any] = {
    "name": "short",
    "seed": 1,
    "period": {
        "step": "1h",
        "start": START,
        "end": END,
        "calibration": ["2014-09-20T00:00Z", CALIBRATED],
        "validation": {"later": [CALIBRATED, END]},
    },
    "basin": {
        "flow_directions": {"path": "flwdir.tif", "encoding": "smash"},
        "descriptors": {"slope": "descriptor/slope.tif", "forest": "descriptor/forest.tif"},
    },
    "gauges": {
        "table": "gauge_attributes.csv",
        "discharge": {"path": "qobs", "format": "smash"},
        "calibration": ["S0001", "S0003"],
        "validation": ["S0002", "S0004"],
    },
    "forcing": {
        "precipitation": {"path": "prcp", "format": "geotiff", "scale_factor": 0.1},
        "temperature": {"path": "temperature"},
        "pet": {"kind": "oudin"},
    },
    "initial": {"hp": {"value": 0.3}, "ht": {"value": 0.2}},
    "first_guess": {"kind": "screening", "samples": 16, "descents": 2, "iterations": 4},
    "optimiser": {"kind": "lbfgsb", "iterations": 12},
}
"""Two and a half months, few iterations."""


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with keys such as `period.end` replaced; None takes a key away."""
    values = deepcopy(base)
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place.pop(last, None)
        if value is not None:
            place[last] = value
    return values


def configuration(
    file: Path, store: Path, data: Path = SAMPLE, changes: dict[str, Any] | None = None, base: dict[str, Any] = BASE
) -> Path:
    """Write a YAML whose inputs lie in `data` and whose run folder, named as the file, lies beside it."""
    values = changed(base, {"forcing.store": str(store), "folder": file.stem, **(changes or {})})
    for section, key in (
        (values["basin"]["flow_directions"], "path"),
        (values["gauges"], "table"),
        (values["gauges"].get("discharge", {}), "path"),
        (values["forcing"]["precipitation"], "path"),
        (values["forcing"]["temperature"], "path"),
    ):
        if key in section:
            section[key] = str(data / section[key])
    descriptors = values["basin"].get("descriptors", {})
    values["basin"]["descriptors"] = {name: str(data / path) for name, path in descriptors.items()}
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return file


def call(*arguments: str | Path, status: int = 0) -> Result:
    """A command in this process; its exit status is asserted."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, f"{arguments} -> {result.exit_code}\n{result.stderr}"
    return result


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "hydrocli", *map(str, arguments)]


def process(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, cwd=ROOT, **options)


@dataclass(frozen=True)
class Dask:
    """A scheduler that runs, and its worker."""

    address: str
    scheduler: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]


def part_of_dask(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """A part of Dask, quiet and with the package of this tree."""
    line = [sys.executable, "-W", "ignore", "-m", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rows(result: Result) -> list[dict[str, Any]]:
    """What `--json` printed."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def table(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Columns of a table, read without hydrocli; times as datetime64[s], null numbers as NaN."""
    arrow = pq.read_table(folder / f"{name}.parquet", partitioning=None)
    columns = {}
    for field in arrow.schema:
        values = arrow[field.name].to_numpy()
        columns[field.name] = values.astype("datetime64[s]") if values.dtype.kind == "M" else values
    return columns


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def series(folder: Path, gauge: str, name: str = "simulated") -> tuple[np.ndarray, np.ndarray]:
    """Stamps and discharge of a gauge."""
    columns = table(folder, "discharge")
    here = columns["gauge"] == gauge
    return columns["time"][here], columns[name][here]


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of change of every file."""
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


CALIBRATED_TABLES = (
    "parameters",
    "control",
    "convergence",
    "discharge",
    "states",
    "domain",
    "catchment_timeseries",
    "balance",
)


def assert_same_bits(one: Path, other: Path, tables: Sequence[str] = CALIBRATED_TABLES) -> None:
    """Equal numbers in two run folders, but for their names and the wall times."""
    for name in tables:
        first, second = (
            pq.read_table(folder / f"{name}.parquet", partitioning=None).drop_columns(
                ["run", "seconds"] if name == "convergence" else ["run"]
            )
            for folder in (one, other)
        )
        assert first.equals(second), name
    for tif in (one / "parameters").glob("*.tif"):
        with rasterio.open(tif) as left, rasterio.open(other / "parameters" / tif.name) as right:
            np.testing.assert_array_equal(left.read(1), right.read(1))


def assert_readable(folder: Path) -> None:
    """Everything under a final name is whole; the last line of the log may be torn by a kill."""
    for file in folder.rglob("*"):
        if file.name.startswith("."):
            continue
        if file.suffix == ".parquet":
            pq.read_table(file, partitioning=None)
        elif file.suffix == ".tif":
            with rasterio.open(file) as raster:
                raster.read(1)
        elif file.suffix == ".yaml":
            yaml.safe_load(file.read_text())
        elif file.name == "manifest.json":
            json.loads(file.read_text())
        elif file.suffix == ".jsonl":
            for line in file.read_text().split("\n")[:-1]:
                json.loads(line)
