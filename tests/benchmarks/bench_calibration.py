"""Whole calibrations of Cance, from command to exit, beside the peer's; and how long it takes until something happens.

Ours run with a warm store and warm compiled code; the peer's seconds are those of its `optimize` alone, which has all
in memory. Scores of both are computed here from their discharge.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bench_cases import nse
from bench_speed import verdict
from bench_worker import AbsentError, Answer, Contestant
from rich.console import Console
from rich.table import Column, Table

ROOT = Path(__file__).parents[2]
UNIFORM, DISTRIBUTED, SAMPLE = (ROOT / "configs" / f"{name}.yaml" for name in ("cance", "cance-distributed", "sample"))
START, WARM, END = "2014-09-15", "2014-10-01", "2014-11-14"
GAUGES = ["V3515010", "V3517010"]
ROUNDS = 3
UNIFORM_SECONDS, DISTRIBUTED_SECONDS, DISTRIBUTED_NSE = "<= 10", "<= 40", ">= 0.99"


def calibration(console: Console, distributed_peer: bool = False) -> dict[str, object]:
    """Print the tables; returns their figures.

    Args:
        console: where to.
        distributed_peer: let the peer calibrate every cell too, which takes minutes.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, object] = {"start": _start(folder)}
        if (ROOT / "data" / "smash" / "Cance").exists():
            figures["calibration"] = runs = _ours(folder) | _peers(console, distributed_peer)
            console.print(_table(runs))
            for sentence in _verdicts(runs):
                console.print(sentence)
        else:
            console.print("[yellow]The archive of Cance is not there (make cance fetches it): only starts.[/]")
    console.print(_starts(figures))
    return figures


def _command(*arguments: str, cache: Path | None = None) -> dict[str, float]:
    """Run `hydrocli`; its wall and CPU seconds, and when it began [s since 1970]."""
    began, clock, cpu = time.time(), time.perf_counter(), _cpu_of_children()
    environment = os.environ | ({"HYDROCLI_CACHE": str(cache)} if cache else {})
    done = subprocess.run(
        [sys.executable, "-m", "hydrocli", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"hydrocli {' '.join(arguments)} ended with status {done.returncode}: {done.stderr}")
    return {"wall": time.perf_counter() - clock, "cpu": _cpu_of_children() - cpu, "began": began}


def _cpu_of_children() -> float:
    """CPU seconds of the processes that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _calibrate(config: Path, run: Path, cache: Path | None = None) -> dict[str, float]:
    """Calibrate into a folder that is not there, with the store beside it; seconds of all, and to the first cost."""
    places = ["--set", f"folder={run}", "--set", f"forcing.store={run.parent / 'store'}"]
    told = _command("calibrate", str(config), "--quiet", *places, cache=cache)
    lines = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    first = next(datetime.fromisoformat(line["time"]).timestamp() for line in lines if line["event"] == "step")
    return told | {"first cost": first - told["began"]}


def _start(folder: Path) -> dict[str, float]:
    """Seconds of help, and of the sample without compiled code and with it, the store there."""
    cache = folder / "cache"
    helps = [_command("--help")["wall"] for _ in range(5)]
    _command("ingest", str(SAMPLE), "--set", f"forcing.store={folder / 'store'}")
    cold, warm = (_calibrate(SAMPLE, folder / f"sample {state}", cache) for state in ("cold", "warm"))
    return {"help": statistics.median(helps), "cold": cold, "warm": warm}


def _ours(folder: Path) -> dict[str, Answer]:
    """The first run makes the store and loads the page cache; it is left out."""
    _calibrate(UNIFORM, folder / "first")
    uniform = [_calibrate(UNIFORM, folder / f"uniform {i}") for i in range(ROUNDS)]
    medians = {what: statistics.median(run[what] for run in uniform) for what in uniform[0]}
    every_cell = _calibrate(DISTRIBUTED, folder / "distributed")
    return {
        "hydrocli GR.U": medians | {"nse": _scores(folder / "uniform 0")},
        "hydrocli GR.D": every_cell | {"nse": _scores(folder / "distributed")},
    }


def _scores(run: Path) -> dict[str, float]:
    table = pq.read_table(run / "discharge.parquet").to_pydict()
    gauge, observed, simulated = (np.array(table[name]) for name in ("gauge", "observed", "simulated"))
    stamps = np.array([stamp.replace(tzinfo=None) for stamp in table["time"]], "datetime64[s]")
    scored = (stamps > np.datetime64(WARM)) & (stamps <= np.datetime64(END))
    return {
        code: nse(observed[chosen].astype(float), simulated[chosen])
        for code in GAUGES
        for chosen in [scored & (gauge == code)]
    }


def _peers(console: Console, distributed: bool) -> dict[str, Answer]:
    try:
        with Contestant("smash calibrating", start=START, warm=WARM, end=END, gauges=GAUGES) as peer:
            runs = {f"smash uniform, {how}": peer.ask("uniform", optimizer=how) for how in ("lbfgsb", "sbs")}
            if distributed:
                first, second = runs["smash uniform, sbs"], peer.ask("distributed")
                both = {clock: first[clock] + second[clock] for clock in ("wall", "cpu")}
                runs["smash sbs, then every cell"] = second | both
            return runs
    except AbsentError as absent:
        console.print(f"[yellow]{absent}: left out.[/]")
        return {}


def _cost(run: Answer) -> float:
    return 1.0 - statistics.mean(run["nse"].values())


def _table(runs: dict[str, Answer]) -> Table:
    title = f"calibration of Cance ({START} to {END}, scored from {WARM})"
    columns = ("wall s", "CPU s", "cost", *(f"NSE {code}" for code in GAUGES))
    table = Table(Column("run", no_wrap=True), *columns, title=title, title_justify="left")
    for name, run in runs.items():
        scores = [f"{run['nse'][code]:.4f}" for code in GAUGES]
        table.add_row(name, f"{run['wall']:.1f}", f"{run['cpu']:.1f}", f"{_cost(run):.6f}", *scores)
    table.caption = "hydrocli: from command to exit, GR.U the median of three; smash: its optimize alone"
    return table


def _verdicts(runs: dict[str, Answer]) -> Iterator[str]:
    """Seconds and scores beside what is asked."""
    uniform, every_cell = runs["hydrocli GR.U"], runs["hydrocli GR.D"]
    mean = 1.0 - _cost(every_cell)
    yield f"GR.U seconds {uniform['wall']:.1f}, asked {UNIFORM_SECONDS} {verdict(uniform['wall'], UNIFORM_SECONDS)}"
    yield (
        f"GR.D seconds {every_cell['wall']:.1f}, asked {DISTRIBUTED_SECONDS} "
        f"{verdict(every_cell['wall'], DISTRIBUTED_SECONDS)}; mean NSE {mean:.4f}, asked {DISTRIBUTED_NSE} "
        f"{verdict(mean, DISTRIBUTED_NSE)}"
    )
    peers = {name: run for name, run in runs.items() if name.startswith("smash uniform")}
    if peers:
        best = min(map(_cost, peers.values()))
        asked = f"<= {best:.6f}"
        yield f"GR.U cost {_cost(uniform):.6f}, asked {asked} (smash's best) {verdict(_cost(uniform), asked)}"
    for name, run in runs.items():
        if name.startswith("smash"):
            ours = uniform if name in peers else every_cell
            wall, cpu = (run[clock] / ours[clock] for clock in ("wall", "cpu"))
            yield f"{name}: {cpu:.1f} times the CPU seconds of hydrocli, {wall:.1f} times its wall seconds"


def _starts(figures: dict[str, object]) -> Table:
    start = figures["start"]
    compiling = start["cold"]["wall"] - start["warm"]["wall"]
    rows = [("hydrocli --help, median of 5", start["help"], "<= 0.5")]
    if "calibration" in figures:
        rows.append(
            ("second start of Cance to its first cost", figures["calibration"]["hydrocli GR.U"]["first cost"], "<= 3")
        )
    rows += [
        ("compilation: sample without compiled code less with it", compiling, "<= 60"),
        ("  calibration of the sample without compiled code", start["cold"]["wall"], ""),
        ("  and with it", start["warm"]["wall"], ""),
    ]
    table = Table(
        Column("start", no_wrap=True), "seconds", "asked", "", title="starts: wall seconds", title_justify="left"
    )
    for what, seconds, bar in rows:
        table.add_row(what, f"{seconds:.2f}", bar, verdict(seconds, bar) if bar else "")
    return table
