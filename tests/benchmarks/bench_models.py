"""The models of the papers on Cance, with the papers' stages: scores in the four scenarios and seconds of each.

40 iterations of Adam (rate 0.004) on the parameters alone, 240 (rate 0.003) on everything; L-BFGS-B for GR.U and GR.D.
The runs stay in `runs/models`, where `hydrocli compare runs/models/*` and `hydrocli report` find them.
"""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from bench_calibration import ROOT, UNIFORM, _command
from rich.console import Console
from rich.table import Column, Table

FOLDER = ROOT / "runs" / "models"
PAPERS = [
    {"kind": "adam", "iterations": 40, "learning_rate": 0.004, "train": ["parameters"]},
    {"kind": "adam", "iterations": 240, "learning_rate": 0.003},
]
TOGETHER = PAPERS[1:]
"""Uniform parameters come from the first guess; parameters and network are trained together."""
QUASI_NEWTON = [{"kind": "lbfgsb", "mapping": "uniform"}, {"kind": "lbfgsb"}]

MODELS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "GR.U": ("gr", "uniform", [{"kind": "lbfgsb"}]),
    "GR.D": ("gr", "distributed", QUASI_NEWTON),
    "GR.multilinear": ("gr", "multilinear", PAPERS),
    "GR.multipower": ("gr", "multipower", PAPERS),
    "GR.MLP": ("gr", "mlp", PAPERS),
    "GR.CNN": ("gr", "cnn", PAPERS),
    "GRNN.U": ("grnn", "uniform", TOGETHER),
    "GRNN.MLP": ("grnn", "mlp", PAPERS),
    "ODE.U": ("ode", "uniform", TOGETHER),
    "ODE.MLP": ("ode", "mlp", PAPERS),
    "ODE.CNN": ("ode", "cnn", PAPERS),
    "NR.U": ("nr", "uniform", TOGETHER),
    "NR.MLP": ("nr", "mlp", PAPERS),
    "NODE.U": ("node", "uniform", TOGETHER),
    "NODE.MLP": ("node", "mlp", PAPERS),
    "NODE.CNN": ("node", "cnn", PAPERS),
}
SCENARIOS = ("calibration", "spatial", "temporal", "spatio-temporal")


def models(console: Console) -> dict[str, object]:
    """Calibrate and validate all of them; print and return their figures."""
    if not (ROOT / "data" / "smash" / "Cance").exists():
        console.print("[yellow]The archive of Cance is not there (make cance fetches it).[/]")
        return {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    for name, (structure, mapping, stages) in MODELS.items():
        run = FOLDER / name.lower().replace(".", "-")
        shutil.rmtree(run, ignore_errors=True)
        file = _configuration(run, structure, mapping, stages)
        told = _command("calibrate", str(file), "--quiet")
        _command("validate", str(file), "--quiet")
        figures[name] = {key: told[key] for key in ("wall", "cpu")} | _scores(run)
        shown = {key: round(value, 3) for key, value in figures[name].items() if isinstance(value, float)}
        console.print(f"[dim]{name}: {shown}[/]")
    console.print(_table(figures))
    return figures


def _configuration(run: Path, structure: str, mapping: str, stages: list[dict[str, Any]]) -> Path:
    """The configuration of Cance with another model, beside the folder of its run."""
    asked = yaml.safe_load(UNIFORM.read_text())
    asked |= {"name": run.name, "structure": {"kind": structure}, "mapping": {"kind": mapping}}
    asked |= {"folder": str(run), "optimiser": stages}
    asked["objective"] = {"metric": "nse", "regularisation": {"weight": 0}}  # the papers have none
    asked.pop("execution", None)
    for section, key in (("flow_directions", "path"), ("descriptors", "slope"), ("descriptors", "dd")):
        asked["basin"][section][key] = _absolute(asked["basin"][section][key])
    asked["gauges"]["table"] = _absolute(asked["gauges"]["table"])
    asked["gauges"]["discharge"]["path"] = _absolute(asked["gauges"]["discharge"]["path"])
    for forcing in asked["forcing"].values():
        forcing["path"] = _absolute(forcing["path"])
    asked["forcing"]["store"] = str(FOLDER.parent / "store")
    file = run.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(asked, sort_keys=False))
    return file


def _absolute(path: str) -> str:
    return str((UNIFORM.parent / path).resolve())


def _scores(run: Path) -> dict[str, Any]:
    """NSE by scenario and gauge, their means, and the number of controls."""
    rows = [row for row in pq.read_table(run / "scores.parquet").to_pylist() if row["metric"] == "nse"]
    by_scenario = {
        scenario: {row["gauge"]: row["value"] for row in rows if row["scenario"] == scenario} for scenario in SCENARIOS
    }
    means = {scenario: statistics.mean(values.values()) for scenario, values in by_scenario.items()}
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    return {"nse": by_scenario, "controls": counts["controls"], **means}


def _table(figures: dict[str, Any]) -> Table:
    title = "models of the papers on Cance: mean NSE by scenario"
    columns = ("controls", "wall s", "CPU s", *SCENARIOS)
    table = Table(Column("model", no_wrap=True), *columns, title=title, title_justify="left")
    for name, run in figures.items():
        scores = [f"{run[scenario]:.3f}" for scenario in SCENARIOS]
        table.add_row(name, str(run["controls"]), f"{run['wall']:.1f}", f"{run['cpu']:.1f}", *scores)
    table.caption = "wall and CPU seconds from command to exit, double precision, one thread"
    return table
