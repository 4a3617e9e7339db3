"""How time and memory grow with cells, steps and threads, each run in a process of its own, on synthetic trees."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
from bench_worker import Contestant
from rich.console import Console
from rich.table import Table

Size = tuple[int, int]

SIZES: tuple[Size, ...] = (
    *((cells, 700) for cells in (400, 1_600, 6_400, 25_000, 50_000)),
    *((400, steps) for steps in (1_000, 10_000, 100_000)),
)
"""Cells and steps."""
LARGE_LIMIT = 3e9


def growth(
    console: Console, sizes: tuple[Size, ...] = SIZES, large: Size = (5_000, 35_000), burst: float = 0.3
) -> dict[str, object]:
    """Print the table from small to large; returns its rows.

    Args:
        console: where it is printed.
        sizes: cells and steps of each row.
        large: cells and steps of one gradient whose parts are measured.
        burst: each run is repeated for so many seconds.
    """
    columns = (
        "cells",
        "levels",
        "steps",
        "forward s",
        "ns",
        "gradient s",
        "ns",
        "rows kept",
        "forcing MB",
        "peak MB fwd",
        "grad",
    )
    table = Table(*columns, title="growth: double precision, one thread, 1 GB for rows of states", title_justify="left")
    rows = []
    for cells, steps in sizes:
        with Contestant("hydrocli", cells=cells, steps=steps) as run:
            forward = run.ask("forward", burst)
            run.ask("gradient")  # the first one gets its memory from the system
            rows.append(run.about | {"forward": forward, "gradient": run.ask("gradient", burst)})
        table.add_row(*_row(rows[-1]))
    console.print(table)
    return {"growth": rows, "large": _large(console, large)}


def traffic(
    console: Console,
    size: Size = (20_000, 1_000),
    burst: float = 1.0,
    precisions: tuple[str, ...] = ("double", "single"),
) -> dict[str, object]:
    """Print what a sweep reads and writes per cell and step, and what that is of the memory's speed; returns the rows.

    Counted are arrays that grow with cells and steps: forcing, rows of states and discharge, and the row of bars of the
    lateral inflow. What has to pass through memory is the forcing and, for a gradient without checkpoints, the rows,
    once out and once in; all else may stay in the caches.
    """
    cells, steps = size
    speed = _copy_speed()
    table = Table(
        "", "forcing", "rows out", "rows in", "bars", "all", "least", "ns", "GB/s", "of a copy",
        title=f"traffic: bytes per cell and step, {cells:,} cells, gr; a copy moves {speed / 1e9:.1f} GB/s",
        title_justify="left",
    )  # fmt: skip
    figures = {}
    for precision in precisions:
        for memory, kept in ((1e10, ""), (1e8, ", checkpoints")):
            with Contestant("hydrocli", cells=cells, steps=steps, precision=precision, memory=memory) as run:
                row, bar = run.about["row bytes"], run.about["bar bytes"]
                for what in ("forward", "gradient") if not kept else ("gradient",):
                    runs = 1 if what == "forward" else 2 if not kept else 3
                    passes = runs - 1 if what == "gradient" else 1  # forward ones, which write rows
                    parts = [4.0 * runs, row * passes, row * runs, 2.0 * bar * (what == "gradient")]
                    least = 4.0 * runs + (2.0 * row if what == "gradient" and not kept else 0.0)
                    seconds = run.ask(what, burst)["cpu"] / (cells * steps)
                    rate = sum(parts) / seconds
                    name = f"{what} {precision}{kept}"
                    figures[name] = {"bytes": sum(parts), "least": least, "ns": 1e9 * seconds, "share": rate / speed}
                    table.add_row(
                        name, *(f"{part:.0f}" for part in parts), f"{sum(parts):.0f}", f"{least:.0f}",
                        f"{1e9 * seconds:.1f}", f"{rate / 1e9:.1f}", f"{rate / speed:.0%}",
                    )  # fmt: skip
    console.print(table)
    return {"traffic": figures, "copy": speed}


def _copy_speed(size: int = 16_000_000) -> float:
    """Bytes per second that one core reads and writes when it copies an array that no cache holds."""
    source, target = np.ones(size), np.ones(size)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - began)
    return 2.0 * source.nbytes / min(seconds)


def _row(row: dict[str, object]) -> list[str]:
    per_unit = 1e9 / (row["cells"] * row["steps"])
    forward, gradient = row["forward"], row["gradient"]
    return [
        f"{row['cells']:,}",
        f"{row['levels']:,}",
        f"{row['steps']:,}",
        f"{forward['wall']:.3f}",
        f"{forward['cpu'] * per_unit:.1f}",
        f"{gradient['wall']:.3f}",
        f"{gradient['cpu'] * per_unit:.1f}",
        f"{row['kept']:.0%}",
        f"{row['forcing'] / 1e6:.0f}",
        f"{forward['peak'] / 1e6:.0f}",
        f"{gradient['peak'] / 1e6:.0f}",
    ]


def _large(console: Console, size: Size) -> dict[str, object]:
    """A gradient, by default over four years of hours in 5,000 cells, and where its time goes."""
    cells, steps = size
    with Contestant("hydrocli", cells=cells, steps=steps) as run:
        answer = run.about | run.ask("parts")
    total = sum(answer["parts"].values())
    inside = "[green]inside[/]" if answer["peak"] <= LARGE_LIMIT else "[red]beyond[/]"
    console.print(
        f"gradient of {answer['cells']:,} cells and {steps:,} steps: {answer['wall']:.1f} s "
        f"(CPU {answer['cpu']:.1f} s), peak memory {answer['peak'] / 1e9:.2f} GB, "
        f"{inside} the {LARGE_LIMIT / 1e9:g} GB asked; of its time"
    )
    for part, seconds in answer["parts"].items():
        console.print(f"  {part:20} {seconds:6.2f} s {seconds / total:6.1%}")
    return answer


def threads(console: Console, size: Size = (20_000, 500), burst: float = 2.0) -> dict[str, object]:
    """Print wall times of one and two threads on a large basin; returns them.

    Beside them stand two processes of one thread each at the same time, which share nothing but the machine: what they
    gain is the most that two threads could.
    """
    cells, steps = size
    table = Table(
        "", "forward s", "gradient s", "same bits", title=f"threads: {cells:,} cells, {steps} steps, wall time"
    )
    table.title_justify = "left"
    sweeps = ("forward", "gradient")
    rows, first = {}, None
    for count in (1, 2):
        with Contestant("hydrocli", cells=cells, steps=steps, threads=count) as run:
            rows[count] = {what: run.ask(what, burst) for what in sweeps}
        first = first or rows[count]["gradient"]["bits"]
        same = "yes" if rows[count]["gradient"]["bits"] == first else "[red]no[/]"
        name = "1 thread" if count == 1 else f"{count} threads"
        table.add_row(name, *(f"{rows[count][what]['wall']:.3f}" for what in sweeps), same)
    pair = _two_processes(size, burst, sweeps)
    table.add_row("2 processes", *(f"{pair[what]:.3f}" for what in sweeps), "each a run of its own")
    gains = {
        "gain of 2 threads": [rows[1][what]["wall"] / rows[2][what]["wall"] for what in sweeps],
        "gain of 2 processes": [2.0 * rows[1][what]["wall"] / pair[what] for what in sweeps],
    }
    for name, gain in gains.items():
        table.add_row(name, *(f"{value:.2f}" for value in gain), f"{os.cpu_count()} cores")
    console.print(table)
    return {"threads": rows, "processes": pair}


def _two_processes(size: Size, burst: float, sweeps: tuple[str, ...]) -> dict[str, float]:
    """Seconds of one sweep in each of two processes that run at the same time, the mean of both."""
    cells, steps = size
    with ExitStack() as stack:
        runs = [stack.enter_context(Contestant("hydrocli", cells=cells, steps=steps, threads=1)) for _ in range(2)]
        pool = stack.enter_context(ThreadPoolExecutor(len(runs)))
        walls = {}
        for what in sweeps:
            answers = list(pool.map(lambda run, what=what: run.ask(what, burst), runs))
            walls[what] = sum(answer["wall"] for answer in answers) / len(answers)
        return walls
