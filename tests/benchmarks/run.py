"""Benchmarks: `python tests/benchmarks/run.py [--only TABLE] [--json FILE]`.

Tables: speed, structures, growth, threads, traffic, ingest. Calibration, models (of the papers, on Cance), mappings
(on a twin), solver, campaign, twins, regional, aude, gauges (all commands on France with up to 1,000 gauges) and
archives (20,000 GeoTIFFs, nine years of NetCDF) take minutes: they are made where asked for. What a first run compiles
is listed by a script of its own, `bench_compile.py`.
Peers that are not installed are left out with a sentence. Nothing passes or fails: the bars stand beside the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import time
from functools import partial
from pathlib import Path

from bench_archives import archives
from bench_calibration import calibration
from bench_campaign import campaign
from bench_gauges import gauges
from bench_growth import growth, threads, traffic
from bench_ingest import ingest
from bench_mappings import mappings
from bench_models import models
from bench_regional import aude, regional
from bench_solver import solver
from bench_speed import speed
from bench_structures import structures
from bench_twins import twins
from rich.console import Console

TABLES = {
    "speed": speed,
    "structures": structures,
    "growth": growth,
    "threads": threads,
    "traffic": traffic,
    "ingest": ingest,
}
SLOW = ("calibration", "models", "mappings", "solver", "campaign", "twins", "regional", "aude", "gauges", "archives")


def cpu_model() -> str:
    """What the machine calls its processor."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return platform.processor() or platform.machine()


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description="Benchmarks of hydrocli against its peers.")
    parser.add_argument(
        "--only",
        choices=[*TABLES, *SLOW],
        action="append",
        help=f"may be given several times; left out: all but {', '.join(SLOW)}",
    )
    parser.add_argument(
        "--isa", choices=["avx2", "sse2"], help="compile for this older instruction set; JAX is limited to it too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="leave all figures there")
    parser.add_argument(
        "--distributed-peer", action="store_true", help="in calibration smash fits every cell too: 4 minutes"
    )
    parser.add_argument("--catchments", type=int, default=24, help="of the campaign; 235 take some hours of two cores")
    parser.add_argument("--sample", type=Path, metavar="FOLDER", help="regional, aude: a sample that is there already")
    arguments = parser.parse_args()
    if arguments.isa:
        os.environ["HYDROCLI_ISA"] = arguments.isa  # for the contestants, which are processes of their own
    tables = TABLES | {"calibration": partial(calibration, distributed_peer=arguments.distributed_peer)}
    tables |= {"models": models, "mappings": mappings, "twins": twins, "solver": solver}
    tables |= {"regional": partial(regional, sample=arguments.sample), "aude": partial(aude, sample=arguments.sample)}
    tables["gauges"], tables["archives"] = gauges, archives
    tables["campaign"] = partial(campaign, catchments=arguments.catchments)
    console = Console(width=None if Console().is_terminal else 140)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    console.print(
        f"{cpu_model()}, {os.cpu_count()} cores, load {load:.1f} before the start"
        + (f"; compiled for {arguments.isa}" if arguments.isa else "")
    )
    figures: dict[str, object] = {}
    for name in arguments.only or TABLES:
        began = time.perf_counter()
        figures[name] = tables[name](console)
        console.print(f"[dim]({name}: {time.perf_counter() - began:.0f} s)[/]\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
