"""All commands on France at 1 km (up to 950,257 cells, 32 hours) with more and more gauges, beside the peer's model.

The peer's wheel has the data: flow directions, rain of 32 hours, evapotranspiration of two days. Observations are drawn
at random, since only times and memory are measured here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from hydrocli.basin.grid import Grid
from hydrocli.basin.network import OUTLET, Drainage

OUTLETS = {10: 10, 100: 65, 1000: 906}
"""Of so many gauges, how many are outlets; the others lie anywhere on the rivers above."""
RIVER = 50.0  # km2 that drain through a gauge at least
COMMANDS = ("check", "ingest", "simulate", "calibrate", "validate", "report")
PEER = """\
import time, resource
began = time.perf_counter(), time.process_time()
import smash
setup, mesh = smash.factory.load_dataset("France")
model = smash.Model(setup | {"hydrological_module": "gr4", "routing_module": "kw"}, mesh)
built = time.perf_counter(), time.process_time()
model.forward_run(common_options={"verbose": False, "ncpu": 1})
ended = time.perf_counter(), time.process_time()
peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(*(later - before for pair in ((began, built), (built, ended)) for before, later in zip(*pair)), peak)
"""


def gauges(console: Console, numbers: tuple[int, ...] = (10, 100, 1000), with_peer: bool = True) -> dict[str, object]:
    """Print the table: wall and CPU seconds and peak memory of each command; returns them.

    Args:
        console: where it is printed.
        numbers: of gauges.
        with_peer: also build and run the peer's model, which takes minutes.
    """
    found = find_spec("smash")
    data = Path(str(found.origin)).parent / "factory" / "dataset" if found else Path("absent")
    if not (data / "France").is_dir():
        console.print("[yellow]smash is not installed, whose wheel holds the data of France: gauges are left out.[/]")
        return {}
    drainage = _drainage(data / "France_flwdir.tif")
    rows: dict[str, object] = {}
    columns = ("gauges", "command", "wall s", "CPU s", "peak MB")
    table = Table(*columns, title="France at 1 km, 32 hours, structure gr, one thread", title_justify="left")
    for number in numbers:
        with tempfile.TemporaryDirectory(prefix="hydrocli-france-") as folder:
            configuration = _write(Path(folder), data, drainage, number)
            rows[str(number)] = here = {}
            for command in COMMANDS:
                here[command] = _run(command, configuration)
                wall, cpu, peak = here[command]
                table.add_row(str(number), command, f"{wall:.1f}", f"{cpu:.1f}", f"{peak / 1e6:.0f}")
    if with_peer:
        answer = subprocess.run([sys.executable, "-c", PEER], check=True, capture_output=True, text=True)
        *seconds, peak = rows["smash"] = [float(word) for word in answer.stdout.split()[-5:]]
        table.add_row("none", "smash: build", *(f"{number:.1f}" for number in seconds[:2]), "")
        table.add_row("none", "smash: forward run", *(f"{number:.1f}" for number in seconds[2:]), f"{peak / 1e6:.0f}")
    console.print(table)
    return rows


def _drainage(path: Path) -> Drainage:
    import rasterio

    with rasterio.open(path) as file:
        grid = Grid(file.crs.to_wkt(), tuple(file.transform)[:6], file.height, file.width)
        return Drainage.from_d8(file.read(1), "smash", grid, file.nodata)


def _write(folder: Path, data: Path, drainage: Drainage, number: int) -> Path:
    """Table of gauges, observations and configuration; returns the path of the last."""
    random, area = np.random.default_rng(1), drainage.drained_area.ravel() / 1e6
    is_outlet = drainage.downstream == OUTLET
    outlets = np.flatnonzero(is_outlet)
    outlets = outlets[np.argsort(-area[outlets], kind="stable")][: OUTLETS.get(number, number)]
    along = random.permutation(np.flatnonzero((area >= RIVER) & ~is_outlet))[: number - len(outlets)]
    cells = np.concatenate([outlets, along])
    x, y = drainage.grid.centres(*np.divmod(cells, drainage.grid.width))
    codes = [f"G{place:04d}" for place in range(number)]
    lines = [f"{code},{a},{b},{c}" for code, a, b, c in zip(codes, x, y, area[cells], strict=True)]
    (folder / "gauges.csv").write_text("\n".join(["code,x,y,area", *lines]) + "\n")
    times = np.datetime64("2012-01-01T00:00") + np.arange(1, 33) * np.timedelta64(1, "h")
    flow = random.lognormal(0.0, 0.3, (number, len(times))) * area[cells][:, np.newaxis] * 0.02
    lines = [
        f"{code},{stamp}Z,{value:.4f}"
        for code, series in zip(codes, flow, strict=True)
        for stamp, value in zip(times, series, strict=True)
    ]
    (folder / "discharge.csv").write_text("\n".join(["gauge,time,discharge", *lines]) + "\n")
    configuration = {
        "name": "france",
        "folder": str(folder / "run"),
        "period": {
            "step": "1h",
            "start": "2012-01-01T00:00Z",
            "end": "2012-01-02T08:00Z",
            "calibration": ["2012-01-01T04:00Z", "2012-01-01T20:00Z"],
            "validation": {"after": ["2012-01-01T20:00Z", "2012-01-02T08:00Z"]},
        },
        "basin": {"flow_directions": {"path": str(data / "France_flwdir.tif"), "encoding": "smash"}},
        "gauges": {
            "table": str(folder / "gauges.csv"),
            "discharge": {"path": str(folder / "discharge.csv"), "format": "tidy"},
            "calibration": "all",
        },
        "forcing": {
            "store": str(folder / "store"),
            "precipitation": {"path": str(data / "France" / "prcp"), "format": "geotiff", "scale_factor": 0.1},
            "pet": {"kind": "interannual", "path": str(data / "France" / "pet")},
        },
        "structure": {"kind": "gr"},
        "first_guess": {"kind": "given"},
        "optimiser": {"kind": "lbfgsb", "iterations": 1},
    }
    path = folder / "france.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return path


def _run(command: str, configuration: Path) -> tuple[float, float, float]:
    """Wall and CPU seconds and peak memory [bytes] of a command."""
    folder = configuration.with_name("run")
    arguments: list[str | Path] = [command, folder if command == "report" else configuration]
    if command == "simulate":
        arguments += ["--output", configuration.with_name("simulation")]
    began = time.perf_counter()
    with configuration.with_name(f"{command}.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "hydrocli", *arguments], stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(configuration.with_name(f"{command}.log").read_text())
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, 1024.0 * usage.ru_maxrss
