"""Nanoseconds per cell and step of hydrocli, JAX and smash, asked in turns, each on the same single core."""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench_worker import AbsentError, Answer, Contestant
from rich.console import Console
from rich.table import Column, Table

BURST = 0.15
"""Each turn repeats a run for so many seconds, so that a short one is not measured with cold caches."""
COPIES = 13

BARS = [
    ("forward", "hydrocli double", "smash", 16.0),
    ("gradient", "hydrocli double", "smash", 40.0),
    ("forward", "hydrocli single", "smash", 35.0),
    ("gradient", "hydrocli single", "smash", 80.0),
    ("forward", "hydrocli double", "JAX double", 1.3),
    ("gradient", "hydrocli double", "JAX double", 3.5),
    ("gradient", "hydrocli double, checkpoints", "JAX double", 2.8),
    ("forward", "hydrocli single", "JAX single", 1.3),
    ("gradient", "hydrocli single", "JAX single", 3.5),
    ("gradient", "hydrocli single, checkpoints", "JAX single", 2.8),
]
MOST_FORWARDS = {"": 3.0, ", checkpoints": 3.8}
"""What a gradient may cost, in forward runs, without checkpoints and with them."""

Turns = dict[str, dict[str, list[Answer]]]
Ratios = dict[tuple[str, str, str], tuple[float, str]]


def speed(console: Console, rounds: int = 7) -> dict[str, object]:
    """Print the tables of Cance and of its copies; returns their figures."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        path, core = str(Path(folder) / "cance.npz"), the_core()
        smash = enter(processes, console, "smash", core, save=path)
        case = {"path": path} if smash else {"cells": 383, "steps": 1440}
        small = measure(console, {"smash": smash} if smash else {}, case, core, rounds)
        if smash:
            processes.close()
        large = {"path": path, "copies": COPIES} if smash else {"cells": 4979, "steps": 1440}
        return {"383 cells": small, "4979 cells": measure(console, {}, large, core, max(3, rounds // 2))}


def the_core() -> int | None:
    """The last of the cores that this process may use, for all contestants in turn."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def enter(processes: ExitStack, console: Console, kind: str, core: int | None, **options: object) -> Contestant | None:
    """A contestant that lives as long as the stack; None, and a sentence, where it is not installed."""
    try:
        return processes.enter_context(Contestant(kind, core, **options))
    except AbsentError as absent:
        console.print(f"[yellow]{absent}: left out.[/]")
        return None


def measure(
    console: Console,
    others: dict[str, Contestant],
    case: dict[str, object],
    core: int | None,
    rounds: int,
    burst: float = BURST,
) -> dict[str, object]:
    """One case: all contestants in turns, the table, the ratios."""
    with ExitStack() as processes:
        contestants = {
            f"hydrocli {precision}{named}": processes.enter_context(
                Contestant("hydrocli", core, precision=precision, memory=memory, **case)
            )
            for precision in ("double", "single")
            for named, memory in (("", 1e10), (", checkpoints", 0.0))
        }
        about = contestants["hydrocli double"].about
        for precision in ("double", "single"):
            peer = enter(processes, console, "jax", core, precision=precision, **case)
            contestants |= {f"JAX {precision}": peer} if peer else {}
        contestants |= others
        turns: Turns = {name: {"forward": [], "gradient": []} for name in contestants}
        for _ in range(1 + rounds):
            for what in ("forward", "gradient"):
                for name, contestant in contestants.items():
                    turns[name][what].append(contestant.ask(what, burst))
        parts = {name: c.ask("parts")["parts"] for name, c in contestants.items() if name.startswith("hydrocli")}
    for name in turns:  # the first turn compiled
        turns[name] = {what: answers[1:] for what, answers in turns[name].items()}
    per_unit = 1e9 / (about["cells"] * about["steps"])
    title = (
        f"{about['cells']} cells, {about['steps']} steps, {about['levels']} levels: ns per cell and step, one thread"
    )
    console.print(times(title, turns, per_unit))
    console.print(parts_table(parts, per_unit))
    ratios = ratios_of(turns, BARS, MOST_FORWARDS)
    console.print(bars(ratios))
    ns = nanoseconds(turns, per_unit)
    return {"ns": ns, "parts": parts, "ratios": {f"{a} / {b}, {w}": r for (w, a, b), (r, _) in ratios.items()}}


def median(answers: list[Answer], clock: str = "cpu") -> float:
    return statistics.median(answer[clock] for answer in answers)


def nanoseconds(turns: Turns, per_unit: float) -> dict[str, dict[str, float]]:
    """Medians of CPU time."""
    return {name: {what: median(answers) * per_unit for what, answers in both.items()} for name, both in turns.items()}


def ratios_of(turns: Turns, asked: list[tuple[str, str, str, float]], most_forwards: dict[str, float]) -> Ratios:
    """Medians over the rounds of ratios of CPU seconds, with the bar of each.

    Args:
        turns: answers of each contestant.
        asked: what, ours, peer, and how many times faster it should be.
        most_forwards: what a gradient of ours may cost, by how the name of the contestant ends.
    """
    found = {}
    for what, ours, peer, bar in asked:
        if peer in turns:
            found[what, ours, peer] = ratio(turns[peer][what], turns[ours][what]), f">= {bar:g}"
    for name, both in turns.items():
        if name.startswith("hydrocli"):
            most = most_forwards[max((end for end in most_forwards if name.endswith(end)), key=len)]
            found["gradient / forward", name, ""] = ratio(both["gradient"], both["forward"]), f"<= {most:g}"
    return found


def ratio(some: list[Answer], others: list[Answer]) -> float:
    """Median over the rounds of a ratio of CPU seconds."""
    return statistics.median(a["cpu"] / b["cpu"] for a, b in zip(some, others, strict=True))


def times(title: str, turns: Turns, per_unit: float) -> Table:
    """Seconds of each contestant, multiplied by `per_unit`."""
    table = Table(
        Column("contestant", no_wrap=True),
        "forward",
        "(wall)",
        "value + gradient",
        "(wall)",
        title=title,
        title_justify="left",
    )
    for name, both in turns.items():
        columns = [f"{median(both[what], clock) * per_unit:.1f}" for what in both for clock in ("cpu", "wall")]
        table.add_row(name, *columns)
    table.caption = "medians of CPU time, in brackets of wall time"
    return table


def parts_table(parts: dict[str, dict[str, float]], per_unit: float) -> Table:
    """Where the time of a gradient goes."""
    names = list(dict.fromkeys(part for of_one in parts.values() for part in of_one if part != "the rest"))
    table = Table(
        Column("one gradient", no_wrap=True),
        *names,
        "the rest",
        title="ns per cell and step by part",
        title_justify="left",
    )
    for name, of_one in parts.items():
        table.add_row(name, *(f"{of_one[p] * per_unit:.1f}" if p in of_one else "" for p in (*names, "the rest")))
    return table


def bars(ratios: Ratios) -> Table:
    """Ratios beside what is asked."""
    table = Table("what", "of", "against", "ratio", "asked", "", title="ratios of CPU time", title_justify="left")
    for (what, ours, peer), (found, bar) in ratios.items():
        table.add_row(what, ours, peer, f"{found:.2f}", bar, verdict(found, bar))
    return table


def verdict(found: float, bar: str) -> str:
    """Whether a figure keeps a bar such as `>= 2.5`."""
    sign, asked = bar.split()
    holds = found >= float(asked) if sign == ">=" else found <= float(asked)
    return "[green]yes[/]" if holds else "[red]no[/]"
