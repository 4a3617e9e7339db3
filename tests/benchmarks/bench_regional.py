"""A region of 21 basins under one control vector, and a large basin with mappings by networks over four years.

Each figure comes from a process of its own (`python bench_regional.py WHAT JSON`), which prints JSON. Wall times are
medians of some gradients; on a busy machine CPU times say more.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Column, Table

ROOT = Path(__file__).parents[2]
BASINS, GRADIENTS = 21, 9
LARGE = ("--cells", "5000", "--gauges", "25", "--start", "2010-09-01", "--end", "2014-09-01")
MODELS: dict[str, dict[str, Any]] = {
    "GR.MLP": {"structure": {"kind": "gr"}, "mapping": {"kind": "mlp"}},
    "NODE.MLP": {"structure": {"kind": "node"}, "mapping": {"kind": "mlp"}},
}


def regional(console: Console, sample: Path | None = None) -> dict[str, object]:
    """Print iterations per minute of one and two workers or threads, and what is spent beside the sweeps."""
    title = f"regional: {BASINS} basins, uniform parameters of gr, gradients"
    columns = ("wall s", "per minute", "CPU s", "in sweeps and costs, CPU s", "beside them", "same bits")
    table, rows = Table(Column("workers x threads", no_wrap=True), *columns, title=title, title_justify="left"), {}
    with _sampled(sample, "--region", "--catchments", str(BASINS)) as folder:
        files = _files_of_basins(folder)
        for workers, threads in ((1, 1), (1, 2), (2, 1)):
            row = _ask("basins", {"file": str(files), "workers": workers, "threads": threads})
            same = row["bits"] == (rows or {(1, 1): row})[1, 1]["bits"]
            rows[workers, threads] = row
            inside = f"{row['inside']:.3f}" if row["inside"] else "-"
            beside = f"{row['cpu'] / row['inside'] - 1:.2%}" if row["inside"] else "-"
            shown = (f"{row['wall']:.3f}", f"{60 / row['wall']:.0f}", f"{row['cpu']:.3f}", inside, beside)
            table.add_row(f"{workers} x {threads}", *shown, "yes" if same else "[red]no[/]")
        one = _ask("one raster", {"file": str(folder / "config.yaml")})
        table.add_row("one raster, one sweep", f"{one['wall']:.3f}", f"{60 / one['wall']:.0f}", f"{one['cpu']:.3f}")
    console.print(table)
    first = rows[1, 1]
    console.print(f"the cost of one sweep over all gauges differs by {abs(one['cost'] / first['cost'] - 1):.1e}")
    alone = first["wall"] / rows[2, 1]["wall"]
    console.print(f"two workers are {alone:.2f} times as fast as one (load {os.getloadavg()[0]:.1f})")
    return {f"{workers}x{threads}": row for (workers, threads), row in rows.items()} | {"one raster": one}


def aude(console: Console, sample: Path | None = None) -> dict[str, object]:
    """Print seconds, memory and parts of value and gradient of a basin of 5,000 cells over four years of hours."""
    columns = ("threads", "wall s", "CPU s", "peak GB", "sweep", "mapping", "cost", "rest", "same bits")
    title = "aude: value and gradient, 25 gauges, 35,064 hours, 2 GB for rows of states"
    table, rows = Table(Column("model", no_wrap=True), *columns, title=title, title_justify="left"), {}
    with _sampled(sample, *LARGE) as folder:
        for model in MODELS:
            for threads in (1, 2):
                row = rows[f"{model} {threads}"] = _ask(
                    "aude", {"folder": str(folder), "model": model, "threads": threads}
                )
                parts = row["parts"]
                shares = (*parts.values(), row["wall"] - sum(parts.values()))
                shown = (f"{row['wall']:.2f}", f"{row['cpu']:.2f}", f"{row['peak'] / 1e9:.2f}")
                same = row["bits"] == rows[f"{model} 1"]["bits"]
                table.add_row(
                    model,
                    str(threads),
                    *shown,
                    *(f"{share / row['wall']:.1%}" for share in shares),
                    "yes" if same else "no",
                )
    console.print(table)
    return rows


@contextmanager
def _sampled(there: Path | None, *options: str):
    """A sample that is there, or one that is made for a while."""
    if there:
        yield there.absolute()
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sample"
        command = [sys.executable, "-m", "hydrocli", "synthetic", str(folder), "--quiet", *options]
        subprocess.run(command, cwd=ROOT, check=True)
        yield folder


def _files_of_basins(folder: Path) -> Path:
    """One YAML for each catchment of a region, as if it were a basin of its own; that of the first names the others."""
    base = yaml.safe_load((folder / "config.yaml").read_text())
    codes = [line.split(",")[0] for line in (folder / "catchments.csv").read_text().splitlines()[1:]]
    for code in codes:
        own = base | {"name": code, "gauges": base["gauges"] | {"calibration": [code], "validation": []}}
        if code == codes[0]:
            own["regional"] = {"basins": [f"{other}.yaml" for other in codes[1:]]}
        (folder / f"{code}.yaml").write_text(yaml.safe_dump(own))
    return folder / f"{codes[0]}.yaml"


def _ask(what: str, options: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, __file__, what, json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


# In a process of its own ---------------------------------------------------------------------------------------------


def _answer(what: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"basins": _basins, "one raster": _one_raster, "aude": _aude}[what](**options)


def _timed(function: Callable[[], Any], times: int) -> tuple[Any, float, float]:
    """What a function gives; median wall time and CPU time of this process and of those that it asks."""
    function()
    walls, cpus = [], []
    for _ in range(times):
        began, cpu = time.perf_counter(), time.process_time()
        found = function()
        walls.append(time.perf_counter() - began)
        cpus.append(time.process_time() - cpu)
    return found, float(np.median(walls)), float(np.median(cpus))


def _bits(cost: float, gradient: np.ndarray) -> str:
    return hashlib.sha256(np.append(gradient, cost).tobytes()).hexdigest()


def _basins(file: str, workers: int, threads: int) -> dict[str, Any]:
    from hydrocli.config import load, regional_members
    from hydrocli.experiment.regional import RegionalCalibration
    from hydrocli.experiment.setup import CalibrationSetup, all_ingested

    sets = [f"execution.workers={workers}", f"execution.threads={threads}"]
    members = regional_members(load(file, sets))
    basins = all_ingested(members)
    region = RegionalCalibration([CalibrationSetup(*pair) for pair in zip(members, basins, strict=True)])
    problem = region.stages[0].problem([])
    x = np.full(problem.lower.size, 0.4)
    (cost, gradient), wall, cpu = _timed(lambda: problem.value_and_gradient(x), GRADIENTS)
    inside = 0.0
    if workers == threads == 1:
        group = region._pool._here.__self__
        inside = sum(_timed(lambda p=p: p.value_and_gradient(x), GRADIENTS)[2] for p in group._problems)
    region.close()
    return {"cost": cost, "wall": wall, "cpu": cpu, "inside": inside, "bits": _bits(cost, gradient)}


def _one_raster(file: str) -> dict[str, Any]:
    from hydrocli.config import load
    from hydrocli.experiment.setup import CalibrationSetup, ingested
    from hydrocli.experiment.stages import BasinCalibration

    codes = [line.split(",")[0] for line in (Path(file).parent / "catchments.csv").read_text().splitlines()[1:]]
    experiment = load(file, [f"gauges.calibration=[{', '.join(codes)}]", "gauges.validation=[]"])
    problem = BasinCalibration(CalibrationSetup(experiment, ingested(experiment))).stages[0].problem([])
    x = np.full(problem.lower.size, 0.4)
    (cost, _), wall, cpu = _timed(lambda: problem.value_and_gradient(x), GRADIENTS)
    return {"cost": cost, "wall": wall, "cpu": cpu}


def _aude(folder: str, model: str, threads: int) -> dict[str, Any]:
    from hydrocli.config import load
    from hydrocli.experiment.setup import CalibrationSetup, ingested
    from hydrocli.experiment.stages import BasinCalibration

    plain = yaml.safe_load((Path(folder) / "config.yaml").read_text())
    start, end = np.datetime64(plain["period"]["start"].replace(tzinfo=None)), np.datetime64(LARGE[-1])
    begin = end - np.timedelta64(4 * 365 + 1, "D")
    period = {"step": "1h", "start": f"{max(start, begin)}", "end": f"{end}"}
    period["calibration"] = [f"{begin + np.timedelta64(365, 'D')}", f"{end}"]
    codes = [line.split(",")[0] for line in (Path(folder) / "gauge_attributes.csv").read_text().splitlines()[1:]]
    gauges = plain["gauges"] | {"calibration": codes, "validation": []}
    own = plain | MODELS[model] | {"period": period, "gauges": gauges, "first_guess": {"kind": "given"}}
    own["optimiser"] = {"kind": "adam"}
    file = Path(folder) / f"{model}.yaml"
    file.write_text(yaml.safe_dump(own))
    experiment = load(file, [f"execution.threads={threads}"])
    case = CalibrationSetup(experiment, ingested(experiment))
    training = BasinCalibration(case)
    problem = training.stages[0].problem([])
    x, parts = problem.starts[0], {"sweep": 0.0, "mapping": 0.0, "cost": 0.0}
    problem.value_and_gradient(x)  # compiles, and gets its memory from the system
    _watch(training._objective, parts)
    began, cpu = time.perf_counter(), time.process_time()
    cost, gradient = problem.value_and_gradient(x)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    parts["sweep"] -= parts["cost"]
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = {"cells": len(case.basin.network), "steps": case.calibration_steps, "controls": x.size}
    return size | {"cost": cost, "wall": wall, "cpu": cpu, "peak": peak, "parts": parts, "bits": _bits(cost, gradient)}


def _watch(objective: Any, parts: dict[str, float]) -> None:
    """Add up the wall times of the parts of an objective; the cost is evaluated inside the sweep."""

    def timed(owner: Any, name: str, part: str) -> None:
        function = getattr(owner, name)

        def measured(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                parts[part] += time.perf_counter() - began

        object.__setattr__(owner, name, measured)

    timed(objective.control, "split", "mapping")
    timed(objective.control, "transpose", "mapping")
    timed(objective.simulator, "gradient", "sweep")
    timed(objective.cost, "value_and_derivative", "cost")
    timed(objective.cost, "by_gauge", "cost")


if __name__ == "__main__":
    print(json.dumps(_answer(sys.argv[1], json.loads(sys.argv[2]))))
