"""Mappings on a twin whose parameters are functions of its descriptors: who finds them from the gauges upstream?

A synthetic basin of 400 cells with 12 gauges and noise of 5 %; those with no gauge upstream calibrate, the others
validate. The truth is that of `hydrocli.synthetic.truth`, in narrower bounds than those of the calibration, so no
mapping has its form. Correlations are those of the maps with the truth over the cells that drain to no gauge of the
calibration.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rasterio
from bench_calibration import _command
from rich.console import Console
from rich.table import Column, Table

SAMPLE = ["--cells", "400", "--gauges", "12", "--start", "2014-09-01", "--end", "2015-02-01", "--noise", "0.05"]
PAPERS = (
    "[{kind: adam, iterations: 40, learning_rate: 0.004, train: [parameters]}, "
    "{kind: adam, iterations: 240, learning_rate: 0.003}]"
)
LBFGSB = "{kind: lbfgsb, iterations: 200}"
MAPPINGS = {
    "uniform": ("{kind: uniform}", LBFGSB),
    "distributed": ("{kind: distributed}", LBFGSB),
    "multilinear": ("{kind: multilinear}", LBFGSB),
    "multipower": ("{kind: multipower}", LBFGSB),
    "mlp": ("{kind: mlp}", PAPERS),
    "mlp he": ("{kind: mlp, initialisation: he}", PAPERS),
    "mlp silu": ("{kind: mlp, activation: silu}", PAPERS),
    "mlp held": ("{kind: mlp, extrapolation: clamp}", PAPERS),
    "cnn": ("{kind: cnn}", PAPERS),
}
SCENARIOS = ("calibration", "spatial", "temporal", "spatio-temporal")
SYMBOLS = ("cp", "ct", "kexc", "akw", "bkw")


def mappings(console: Console) -> dict[str, object]:
    """Calibrate and validate every mapping; print and return their figures."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "twin"
        _command("synthetic", str(clone), "--quiet", *SAMPLE)
        for name, (mapping, optimiser) in MAPPINGS.items():
            run = Path(folder) / name.replace(" ", "-")
            options = {"folder": run, "mapping": mapping, "optimiser": optimiser}
            options |= {"gauges.calibration": "upstream", "gauges.validation": "[]"}
            sets = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
            told = _command("calibrate", str(clone / "config.yaml"), "--quiet", *sets)
            _command("validate", str(clone / "config.yaml"), "--quiet", *sets)
            figures[name] = {key: told[key] for key in ("wall", "cpu")} | _scores(run) | _correlations(run, clone)
            console.print(f"[dim]{name}: {told['wall']:.0f} s[/]")
    console.print(_table(figures))
    return figures


def _scores(run: Path) -> dict[str, float]:
    """Mean NSE by scenario."""
    rows = [row for row in pq.read_table(run / "scores.parquet").to_pylist() if row["metric"] == "nse"]
    return {name: statistics.mean(row["value"] for row in rows if row["scenario"] == name) for name in SCENARIOS}


def _correlations(run: Path, clone: Path) -> dict[str, float]:
    """Of each map with its truth, over the cells that were not calibrated; NaN where a map is constant there."""
    maps, domain = (pq.read_table(run / f"{name}.parquet").to_pydict() for name in ("parameters", "domain"))
    elsewhere, found = ~np.array(domain["calibrated"], bool), {}
    for symbol in SYMBOLS:
        with rasterio.open(clone / "truth" / f"{symbol}.tif") as raster:
            truth = np.array([value[0] for value in raster.sample(zip(maps["x"], maps["y"], strict=True))])[elsewhere]
        values = np.array(maps[symbol])[elsewhere]
        found[symbol] = float(np.corrcoef(values, truth)[0, 1]) if np.ptp(values) > 0 else float("nan")
    return found


def _table(figures: dict[str, Any]) -> Table:
    title = "mappings on a twin: mean NSE by scenario, correlation with the true maps elsewhere"
    columns = ("wall s", "CPU s", *SCENARIOS, *SYMBOLS)
    table = Table(Column("mapping", no_wrap=True), *columns, title=title, title_justify="left")
    for name, run in figures.items():
        cells = [f"{run[key]:.3f}" for key in SCENARIOS] + [f"{run[key]:.2f}" for key in SYMBOLS]
        table.add_row(name, f"{run['wall']:.1f}", f"{run['cpu']:.1f}", *cells)
    return table
