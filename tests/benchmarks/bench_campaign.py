"""A campaign on a synthetic region: seconds of each run, efficiency of two workers, share of time outside the sweep,
memory of a worker; the same bits with one worker, two, Dask, and with workers killed at random moments; and the model
time = a cells steps evaluations + b, with what it says of larger campaigns."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

ITERATIONS = 20
KILLS = 20
COMPARED = ("parameters", "control", "discharge", "states", "balance")
CAMPAIGN = """\
name: bench
base: config.yaml
models:
  gr_u:
    structure: {{kind: gr}}
    optimiser: {{kind: lbfgsb, iterations: {iterations}}}
  grnn_u:
    structure: {{kind: grnn}}
    optimiser: {{kind: adam, iterations: {iterations}}}
execution: {{attempts: 20}}
"""
FRANCE = {"catchments": 235, "cells": 150, "steps": 7 * 8766, "cores": 64}
"""The first paper's campaign: 235 catchments, of 150 cells in the mean (assumed); of 13 years seven are calibrated."""
PAPER = ("gr_u", "grnn_u", "gr_u", "grnn_u")
"""Uniform, then distributed parameters: these cost the same, since the sweep is the same."""
PAPER_EVALUATIONS = 360
"""Of a model, in gradients: screening and descents of the first guess, then 240 iterations."""


@dataclass
class Call:
    """One call of `hydrocli batch`."""

    wall: float
    cpu: float
    rows: list[dict[str, Any]]
    folder: Path
    status: int


def campaign(console: Console, catchments: int = 24) -> dict[str, object]:
    """Print the tables; returns the figures."""
    with tempfile.TemporaryDirectory(prefix="hydrocli-campaign-") as scratch:
        region = Path(scratch) / "region"
        _hydrocli("synthetic", str(region), "--region", "--catchments", str(catchments), "--areas", "10-300", "-q")
        (region / "campaign.yaml").write_text(CAMPAIGN.format(iterations=ITERATIONS))
        began = time.perf_counter()
        _hydrocli("ingest", str(region / "campaign.yaml"), "-q")
        reading = time.perf_counter() - began
        _hydrocli("precompile", "--structure", "gr", "--structure", "grnn", "--precision", "double", "-q")
        calls = {
            "1 worker": _batch(region, "one", 1),
            "2 workers": _batch(region, "two", 2),
            f"2 workers, {KILLS} kills": _batch(region, "killed", 2, kills=KILLS),
            "Dask, 2 workers": _batch(region, "dask", 2, "--set", "execution.cluster=local"),
        }
        one = calls["1 worker"]
        figures = {name: _told(call, one) for name, call in calls.items()} | {"reading": reading}
        _print(console, figures, catchments)
        figures["model"] = _model(console, one)
    return figures


def _hydrocli(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "hydrocli", *arguments], check=False).returncode


def _batch(region: Path, name: str, workers: int, *more: str, kills: int = 0) -> Call:
    line = [sys.executable, "-m", "hydrocli", "batch", str(region / "campaign.yaml"), "-q"]
    line += ["--workers", str(workers), "--set", f"folder={name}", *more]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(line) as running:
        if kills:
            killer = threading.Thread(target=_kill, args=(running, kills))
            killer.start()
        running.wait()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    folder = region / name
    return Call(wall, cpu, pq.read_table(folder / "campaign.parquet").to_pylist(), folder, running.returncode)


def _kill(running: subprocess.Popen[bytes], kills: int) -> None:
    rng = random.Random(1)
    while running.poll() is None and kills:
        time.sleep(rng.uniform(0.5, 4.0))
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        if children.exists() and (victims := children.read_text().split()):
            os.kill(int(rng.choice(victims)), signal.SIGKILL)
            kills -= 1


def _told(call: Call, one: Call) -> dict[str, Any]:
    folders = [(call.folder / r["model"] / r["item"], one.folder / r["model"] / r["item"]) for r in call.rows]
    evaluations = sum(pq.read_table(f / "convergence.parquet")["seconds"].to_pylist()[-1] for f, _ in folders)
    same = all(
        pq.read_table(f / f"{t}.parquet")
        .drop_columns("run")
        .equals(pq.read_table(o / f"{t}.parquet").drop_columns("run"))
        for f, o in folders
        for t in COMPARED
    )
    return {
        "status": call.status,
        "done": sum(row["state"] == "done" for row in call.rows),
        "runs": len(call.rows),
        "attempts": sum(row["attempts"] for row in call.rows),
        "wall": call.wall,
        "cpu": call.cpu,
        "evaluations": evaluations,
        "same bits": same,
    }


def _print(console: Console, figures: dict[str, Any], catchments: int) -> None:
    title = (
        f"campaign: {catchments} catchments of 10 to 300 km2, a year hourly, GR.U and GRNN.U, {ITERATIONS} iterations"
    )
    columns = (
        "",
        "exit",
        "done",
        "starts",
        "wall s",
        "CPU s",
        "in evaluations s",
        "efficiency",
        "outside",
        "same bits",
    )
    table = Table(*columns, title=title, title_justify="left")
    one = figures["1 worker"]
    for name, told in figures.items():
        if not isinstance(told, dict):
            continue
        workers = 1 if name == "1 worker" else 2
        efficiency = one["wall"] / told["wall"] / workers
        outside = 1 - told["evaluations"] / (told["wall"] * workers)
        table.add_row(
            name,
            str(told["status"]),
            f"{told['done']} of {told['runs']}",
            str(told["attempts"]),
            f"{told['wall']:.1f}",
            f"{told['cpu']:.1f}",
            f"{told['evaluations']:.1f}",
            f"{efficiency:.2f}",
            f"{outside:.1%}",
            "yes" if told["same bits"] else "NO",
        )
    console.print(table)
    console.print(f"(bars: efficiency 0.9, outside 10 %) all catchments read in one pass: {figures['reading']:.1f} s")


def _model(console: Console, call: Call) -> dict[str, Any]:
    """Least squares of the seconds of a run over cells, steps and evaluations; and a larger campaign by it."""
    table = Table(
        "model", "a [ns]", "b [s]", "largest miss", title="time = a cells steps evaluations + b", title_justify="left"
    )
    found: dict[str, Any] = {}
    for model in dict.fromkeys(row["model"] for row in call.rows):
        rows = [row for row in call.rows if row["model"] == model]
        steps = [_calibrated_steps(call.folder / row["model"] / row["item"], row["steps"]) for row in rows]
        work = np.array([row["cells"] * n * row["evaluations"] for row, n in zip(rows, steps, strict=True)], float)
        seconds = np.array([row["seconds"] for row in rows])
        (a, b), *_ = np.linalg.lstsq(np.stack([work, np.ones_like(work)], axis=1), seconds, rcond=None)
        miss = np.max(np.abs(a * work + b - seconds) / seconds)
        table.add_row(model, f"{a * 1e9:.1f}", f"{b:.2f}", f"{miss:.0%}")
        found[model] = {"a": a, "b": b}
    console.print(table)
    work = FRANCE["cells"] * FRANCE["steps"] * PAPER_EVALUATIONS
    total = sum(found[name]["a"] * work + found[name]["b"] for name in PAPER)
    hours = total * FRANCE["catchments"] / FRANCE["cores"] / 3600
    console.print(
        f"{FRANCE['catchments']} catchments of {FRANCE['cells']} cells, 7 of 13 years hourly calibrated, four models, "
        f"{PAPER_EVALUATIONS} gradients each: {hours:.1f} h on {FRANCE['cores']} cores of this kind"
    )
    return found | {"hours": hours}


def _calibrated_steps(folder: Path, steps: int) -> int:
    """Steps of a sweep of the calibration: it ends with the calibration."""
    from hydrocli.config import load

    period = load(folder).period
    return min(steps, int((period.calibration[1] - period.start).total_seconds()) // period.step)
