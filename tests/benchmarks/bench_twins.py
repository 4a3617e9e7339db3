"""Twins: what hybrids find of a law that no parameter of their classical structure has.

The discharge of a synthetic basin comes from a law of `hydrocli.synthetic.true_models`, without noise. The classical
structure is calibrated, the hybrid goes on from it; scores in the calibration and in a later period, and what the
network says where it rains, beside the truth. Neural reservoirs go on from `gr`, too: their surface of infiltration is
compared with the true one, and so is that of the calibrated `gr`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bench_speed import verdict
from rich.console import Console
from rich.table import Column, Table

ROOT = Path(__file__).parents[2]
TWINS = {"infiltration": ("gr", "grnn"), "exchange": ("ode", "node")}
OPTIONS = ("--truth", "uniform", "--noise", "0", "--gaps", "0", "--gauges", "3", "--end", "2021-09-01")
LATER, NEAR = ">= 0.98", 0.01
"""NSE in the later period; how far below `grnn` neural reservoirs may be."""
HARD, SEALED = 4.0, 0.7  # mm/h, -, see true_models
RESERVOIRS = "nr"


def twins(console: Console) -> dict[str, object]:
    """Print scores and corrections; returns them."""
    table = Table(
        Column("run", no_wrap=True), "calibration NSE", "later NSE", "CPU s", title="twins: means over the gauges"
    )
    table.title_justify = "left"
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        for law, (classical, hybrid) in TWINS.items():
            folder = Path(name) / law
            _command("synthetic", str(folder), "--true-model", law, *OPTIONS)
            first = _run(folder, classical)
            second = _run(
                folder,
                hybrid,
                f"parameters.from={folder / classical}",
                "first_guess={kind: given}",
                "optimiser={kind: adam}",
            )
            found = corrections(folder / hybrid, law)
            figures[law] = {classical: first, hybrid: second, "corrections": found}
            runs = [(classical, first), (hybrid, second)]
            if law == "infiltration":
                third = _run(
                    folder,
                    RESERVOIRS,
                    f"parameters.from={folder / classical}",
                    "first_guess={kind: given}",
                    "optimiser={kind: adam}",
                )
                figures[law] |= {RESERVOIRS: third, "surface": surface(folder / RESERVOIRS)}
                runs.append((RESERVOIRS, third))
            for kind, run in runs:
                table.add_row(
                    f"{law}: {kind}", *(f"{run[key]:.4f}" for key in ("calibration", "later")), f"{run['cpu']:.0f}"
                )
    console.print(table)
    reservoirs, corrected = (figures["infiltration"][kind]["later"] for kind in (RESERVOIRS, "grnn"))
    asked = f">= {corrected - NEAR:.4f}"
    console.print(f"{RESERVOIRS} in the later period {reservoirs:.4f}, asked {asked} {verdict(reservoirs, asked)}")
    of_network, of_gr = figures["infiltration"]["surface"]
    console.print(
        f"  infiltration, mean distance from the true law: {RESERVOIRS} {of_network:.3f} mm/h, gr {of_gr:.3f} mm/h "
        f"{verdict(of_network, f'<= {of_gr:.4f}')}"
    )
    for law, (_, hybrid) in TWINS.items():
        later = figures[law][hybrid]["later"]
        console.print(f"{hybrid} in the later period {later:.4f}, asked {LATER} {verdict(later, LATER)}")
        for what, (learned, truth, agrees) in figures[law]["corrections"].items():
            sign = "[green]the sign of the truth[/]" if agrees else "[red]another sign than the truth[/]"
            console.print(f"  {what}: {learned:+.3f}, truth {truth:+.3f}: {sign}")
    return figures


def surface(run: Path) -> tuple[float, float]:
    """Mean distance of the infiltration from the true law [mm/h]: by the reservoirs, and by `gr` with their parameters.

    Over the part of the surface where it rains no more than in 99 of 100 wet steps: beyond it, nothing is learned.
    """
    rows = pq.read_table(run / "response_surfaces.parquet").to_pandas()
    series = pq.read_table(run / "catchment_timeseries.parquet").to_pandas()
    rain = series["precipitation"][series["precipitation"] > 0]
    rows = rows[(rows["flux"] == "infiltration") & (rows["forcing_value"] <= rain.quantile(0.99))]
    truth = rows["classical"] * (1.0 - SEALED * np.tanh(rows["forcing_value"] / HARD))
    return tuple(float(np.abs(rows[name] - truth).mean()) for name in ("corrected", "classical"))


def corrections(run: Path, law: str) -> dict[str, tuple[float, float, bool]]:
    """What the network says (means over the catchment of the outlet), what the law says, whether the signs agree.

    f1 is weighted by rain. The law of exchange is a power 2 of ht in the place of 7/2, whatever kexc is: what 1 + f3
    must make up for is ht^(-3/2), compared by its ratio between low and high levels.
    """
    table = pq.read_table(run / "catchment_timeseries.parquet").to_pandas()
    outlet = table[table["gauge"] == "S0001"]
    rain = outlet["precipitation"].to_numpy()
    share = np.tanh(rain / HARD)
    learned = float(np.average(outlet["f1"], weights=rain))
    truth = float(np.average((-0.7 if law == "infiltration" else 0.6) * share, weights=rain))
    found = {"f1, mean over the rain": (learned, truth, learned * truth > 0)}
    if law == "exchange":
        ht, f3 = outlet["ht"].to_numpy(), outlet["f3"].to_numpy()
        low, high = (ht <= np.quantile(ht, 0.2)), (ht >= np.quantile(ht, 0.8))
        ratio = float(np.log((1 + f3[low].mean()) / (1 + f3[high].mean())))
        asked = float(np.log((ht[low] ** -1.5).mean() / (ht[high] ** -1.5).mean()))
        found["f3, logarithm of 1 + f3 at low over high levels"] = (ratio, asked, ratio * asked > 0)
    return found


def _run(folder: Path, kind: str, *overrides: str) -> dict[str, float]:
    """Calibrate and validate; mean NSE of the gauges that calibrate, of both periods."""
    sets = [f"structure.kind={kind}", f"folder={folder / kind}", f"forcing.store={folder / 'store'}", *overrides]
    arguments = [str(folder / "config.yaml"), *(part for text in sets for part in ("--set", text))]
    cpu = _command("calibrate", *arguments, "--quiet")
    _command("validate", *arguments, "--quiet")
    scores = pq.read_table(folder / kind / "scores.parquet").to_pandas()
    scores = scores[(scores["metric"] == "nse") & scores["scenario"].isin(["calibration", "temporal"])]
    return {period: float(part["value"].mean()) for period, part in scores.groupby("period")} | {"cpu": cpu}


def _command(*arguments: str) -> float:
    """Run `hydrocli`; its CPU seconds."""
    before = os.times()
    done = subprocess.run([sys.executable, "-m", "hydrocli", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"hydrocli {' '.join(arguments)} ended with status {done.returncode}: {done.stderr}")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent
