"""How `ode` and `node` are solved: Newton's method at the corners of all bounds, training beside an explicit scheme.

The calibrations are those of a user, from command to run folder; what is compared stands in `convergence.parquet`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bench_calibration import ROOT
from rich.console import Console
from rich.table import Column, Table

from hydrocli.config import load
from hydrocli.engine.simulator import Simulator
from hydrocli.execution.progress import Console as Quiet
from hydrocli.experiment.setup import CalibrationSetup, ingested
from hydrocli.names import PARAMETERS
from hydrocli.structures.structure import Structure

BASINS = ("cance", "sample")
STRUCTURES = {
    "ode": Structure("ode"),
    "node lagged": Structure("node", network_coupling="lagged"),
    "node implicit": Structure("node"),
}
DEVIATIONS = (0.01, 1.0)
"""Of the weights of a network: as it starts, and near saturation."""
STARTS = {"default": {}, "small stores": {"cp": 10.0, "ct": 2.0}}
OPTIMISERS = {"lbfgsb": 60, "adam": 240}
SCHEMES = {"implicit": {}, **{f"explicit x {n}": {"scheme": "explicit", "substeps": n} for n in (1, 3)}}
"""One substep with its transpose costs what the implicit step does (50 ns per cell and step), three more than twice."""
MARKS = (10, 30)

Figures = dict[str, object]


def solver(console: Console) -> dict[str, object]:
    """Print the tables; returns their figures."""
    basins = [name for name in BASINS if name == "sample" or (ROOT / "data" / "smash" / "Cance").exists()]
    with tempfile.TemporaryDirectory() as folder:
        newton = {name: _corners(name, Path(folder)) for name in basins}
        console.print(_newton_table(newton))
        runs = _trainings(basins[0], Path(folder))
        console.print(_training_table(basins[0], runs))
    return {"newton": newton, "training": runs}


def _corners(basin: str, folder: Path) -> dict[str, Figures]:
    """Counts of every structure and precision over all corners of cp, ct and kexc, and all networks."""
    with Quiet(quiet=True):
        experiment = load(ROOT / "configs" / f"{basin}.yaml", [f"forcing.store={folder / 'store'}"])
        case = CalibrationSetup(experiment, ingested(experiment))
    network, found = case.basin.network, {}
    steps, gauges = len(case.basin.times), np.arange(len(case.basin.gauges.code))
    base, _, _ = case.simulator(np.arange(len(network)), gauges, steps, "double")
    place = base.order, base.forcing, network.cell_area, network.cell_width, case.basin.gauges.cell, case.basin.step
    corners = list(product(*((PARAMETERS[s].lower, PARAMETERS[s].upper) for s in ("cp", "ct", "kexc"))))
    for (name, structure), precision in product(STRUCTURES.items(), ("double", "single")):
        counts, largest, finite, runs = np.zeros(4), 0, True, 0
        for deviation, corner in product(DEVIATIONS if structure.has_network else (0.0,), corners):
            weights = np.random.default_rng(5).normal(0, deviation, structure.weights)
            simulator = Simulator(*place, precision=precision, structure=structure)
            parameters = np.repeat(np.array([*corner, 5.0, 0.6])[:, np.newaxis], len(network), axis=1)
            discharge, state = simulator.simulate(parameters, case.state, weights)
            told = simulator.newton[:, simulator.order.slot]
            counts, largest, runs = counts + told.sum(axis=1), max(largest, int(told[1].max())), runs + 1
            finite &= bool(np.isfinite(discharge).all() and np.isfinite(state.levels).all())
        share = counts / (runs * steps * len(network))
        found[f"{name} {precision}"] = {
            "mean": share[0],
            "largest": largest,
            "again": share[2],
            "unsolved": int(counts[3]),
            "finite": finite,
        }
    return found


def _newton_table(newton: dict[str, dict[str, Figures]]) -> Table:
    columns = ("iterations per step", "most", "solved again, in a bracket", "unsolved steps", "all finite")
    title = "Newton's method at all corners of the bounds of cp, ct and kexc"
    table = Table(Column("basin and structure", no_wrap=True), *columns, title=title, title_justify="left")
    for basin, structures in newton.items():
        for name, told in structures.items():
            again, finite = f"{100 * told['again']:.2f} %", "yes" if told["finite"] else "no"
            counts = (f"{told['mean']:.2f}", str(told["largest"]), again, str(told["unsolved"]), finite)
            table.add_row(f"{basin} {name}", *counts)
    return table


def _trainings(basin: str, folder: Path) -> dict[str, Figures]:
    """ODE.U by each scheme and optimiser from each start: costs on the way, or how it failed."""
    runs: dict[str, Figures] = {}
    for (start, values), (optimiser, iterations), (scheme, more) in product(
        STARTS.items(), OPTIMISERS.items(), SCHEMES.items()
    ):
        run = folder / f"{start} {optimiser} {scheme}"
        keys = {f"structure.{key}": value for key, value in ({"kind": "ode"} | more).items()}
        keys |= {f"parameters.{symbol}.value": value for symbol, value in values.items()}
        keys |= {"first_guess.kind": "given", "optimiser.kind": optimiser, "optimiser.iterations": iterations}
        keys |= {"folder": run, "forcing.store": folder / "store"}
        sets = [text for key, value in keys.items() for text in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "hydrocli", "calibrate", f"configs/{basin}.yaml", "--quiet", *sets]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        runs[f"{start}, {optimiser}, {scheme}"] = {"error": done.stderr} if done.returncode else _read(run)
    return runs


def _read(run: Path) -> Figures:
    history = pq.read_table(run / "convergence.parquet").to_pydict()
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    costs, evaluations = history["cost"], history["evaluations"]
    return {
        "costs": costs,
        "evaluations": evaluations[-1],
        "ms": 1e3 * history["seconds"][-1] / evaluations[-1],
        "clamped": counts.get("clamped_steps", 0),
    }


def _training_table(basin: str, runs: dict[str, Figures]) -> Table:
    columns = (
        "cost at start",
        *(f"after {mark}" for mark in MARKS),
        "at the end",
        "iterations",
        "evaluations",
        "ms each",
    )
    title = f"{basin}: training of ODE.U by implicit and by explicit Euler (in substeps)"
    table = Table(Column("start, optimiser, scheme", no_wrap=True), *columns, "clamped steps", title=title)
    for name, told in runs.items():
        if "error" in told:
            table.add_row(name, str(told["error"]).strip().splitlines()[-1])
            continue
        costs = told["costs"]
        shown = [costs[0], *(costs[min(mark, len(costs) - 1)] for mark in MARKS), costs[-1]]
        numbers = str(len(costs) - 1), str(told["evaluations"]), f"{told['ms']:.1f}", str(told["clamped"])
        table.add_row(name, *(f"{cost:.5f}" for cost in shown), *numbers)
    return table
