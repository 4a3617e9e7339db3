"""All structures on Cance beside the peer's, with random parameters and weights, each on the same single core."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench_speed import (
    BURST,
    COPIES,
    Ratios,
    Turns,
    bars,
    enter,
    nanoseconds,
    parts_table,
    ratio,
    ratios_of,
    the_core,
    times,
)
from bench_worker import Answer, Contestant
from rich.console import Console
from rich.table import Column, Table

from hydrocli.structures.routings.routing import routings
from hydrocli.structures.structure import kinds

WITH_PEER = {
    "gr4_mlp": {"grnn": {"kind": "grnn"}},
    "gr4_ode": {"ode": {"kind": "ode"}},
    "gr4_ude": {
        "node lagged": {"kind": "node", "network_coupling": "lagged"},
        "node implicit": {"kind": "node", "network_coupling": "implicit"},
    },
}
"""Structures by the module of the peer with the same equations; an implicit network is nobody else's."""
_BESIDE = {options["kind"] for of_group in WITH_PEER.values() for options in of_group.values()}
ALONE = {kind: {"kind": kind} for kind in kinds() if kind not in _BESIDE}
ALONE |= {"gr, snow": {"kind": "gr", "snow": "degree_day"}}
ALONE |= {f"gr, {name}": {"kind": "gr", "routing": name} for name in routings() if name != "kinematic_wave"}
"""All others that are registered: `gr` has its peers in the table `speed`."""
GROUPS = WITH_PEER | {"": ALONE}
BARS = {"grnn": (30.0, 60.0), "ode": (30.0, 50.0), "node lagged": (40.0, 70.0)}
PRECISIONS = ("double", "single")
MOST_FORWARDS, MOST_PREVIOUS, MOST_RESERVOIRS = {"": 3.0}, 2.0, 1.3
"""Of a gradient in forward runs; of an implicit network beside a lagged one; of neural reservoirs beside `grnn`."""


def structures(console: Console, rounds: int = 3) -> dict[str, object]:
    """Print the tables; returns their figures."""
    core, turns, told = the_core(), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for module, of_group in GROUPS.items():
            path = Path(folder) / f"{module}.npz"
            with ExitStack() as processes:
                peer = enter(processes, console, "smash", core, save=path, module=module) if module else None
                stored = path if peer else next(iter(Path(folder).glob("*.npz")), None)
                case = {"path": stored} if stored else {"cells": 383, "steps": 1440}
                ours = _ours(processes, core, of_group, case)
                if peer:
                    peer.ask("discharge", path=path.with_suffix(".npy"))
                turns |= _turns(ours, {f"smash {module}": peer} if peer else {}, rounds)
                told |= {name: _told(run, path.with_suffix(".npy") if peer else None) for name, run in ours.items()}
        large_case = {"path": stored, "copies": COPIES} if stored else {"cells": 4979, "steps": 1440}
        large_turns, about = _large(core, large_case)
    per_unit = 1e9 / 383 / 1440
    title = "structures: 383 cells, 1440 steps: ns per cell and step, one thread"
    console.print(times(title, turns, per_unit))
    console.print(parts_table({name: figures["parts"] for name, figures in told.items()}, per_unit))
    ratios = _ratios(turns)
    console.print(bars(ratios))
    console.print(_newton(told))
    large_unit = 1e9 / about["cells"] / about["steps"]
    console.print(
        times(
            f"structures: {about['cells']} cells, {about['steps']} steps: ns per cell and step", large_turns, large_unit
        )
    )
    return {
        "ns": nanoseconds(turns, per_unit),
        "large ns": nanoseconds(large_turns, large_unit),
        "ratios": {" / ".join(names): found for names, (found, _) in ratios.items()},
        "told": told,
    }


def _ours(
    processes: ExitStack, core: int | None, of_group: dict[str, dict[str, str]], case: dict[str, object]
) -> dict[str, Contestant]:
    """The papers' limits, since those are the peer's; physical ones run the same instructions."""
    return {
        f"hydrocli {name} {precision}": processes.enter_context(
            Contestant(
                "hydrocli",
                core,
                precision=precision,
                memory=1e10,
                structure=structure | {"flux_limits": "as_published"},
                **case,
            )
        )
        for name, structure in of_group.items()
        for precision in PRECISIONS
    }


def _turns(ours: dict[str, Contestant], peers: dict[str, Contestant], rounds: int) -> Turns:
    """Answers of all in turns; the first turn of ours gets memory from the system, a peer's gradient takes seconds."""
    contestants = ours | peers
    for run in ours.values():
        run.ask("gradient")
    turns: Turns = {name: {"forward": [], "gradient": []} for name in contestants}
    for _ in range(rounds):
        for what in ("forward", "gradient"):
            for name, contestant in contestants.items():
                turns[name][what].append(contestant.ask(what, 0.0 if what == "gradient" and name in peers else BURST))
    return turns


def _told(run: Contestant, discharge: Path | None) -> Answer:
    """Distance from the peer's discharge, statistics of the solver, and parts of a gradient."""
    told = run.ask("newton") | (run.ask("distance", path=discharge) if discharge else {})
    return told | run.ask("parts")


def _large(core: int | None, case: dict[str, object]) -> tuple[Turns, Answer]:
    """Copies of the basin side by side: rows of states that no cache holds."""
    turns: Turns = {}
    for of_group in GROUPS.values():
        with ExitStack() as processes:
            ours = _ours(processes, core, of_group, case)
            turns |= _turns(ours, {}, 2)
            about = next(iter(ours.values())).about
    return turns, about


def _ratios(turns: Turns) -> Ratios:
    modules = {name: f"smash {module}" for module, of_group in WITH_PEER.items() for name in of_group}
    asked = [
        ("gradient", f"hydrocli {name} {precision}", modules[name], bar)
        for name, both in BARS.items()
        for precision, bar in zip(PRECISIONS, both, strict=True)
    ]
    ratios = ratios_of(turns, asked, MOST_FORWARDS)
    for precision in PRECISIONS:
        implicit, previous = (f"hydrocli node {reading} {precision}" for reading in ("implicit", "lagged"))
        found = ratio(turns[implicit]["gradient"], turns[previous]["gradient"])
        ratios["gradient / gradient", implicit, previous] = found, f"<= {MOST_PREVIOUS:g}"
        for what in ("forward", "gradient"):
            reservoirs, corrected = (f"hydrocli {kind} {precision}" for kind in ("nr", "grnn"))
            found = ratio(turns[reservoirs][what], turns[corrected][what])
            ratios[f"{what} / {what}", reservoirs, corrected] = found, f"<= {MOST_RESERVOIRS:g}"
    return ratios


def _newton(told: dict[str, Answer]) -> Table:
    columns = ("iterations per step", "most", "steps solved again", "without solution", "discharge beside smash's")
    title = "Newton's method, random parameters and weights; largest difference of discharge, relative to its peak"
    table = Table(Column("contestant", no_wrap=True), *columns, title=title, title_justify="left")
    for name, figures in told.items():
        counts = [f"{figures['mean']:.3f}", *(f"{figures[count]:,}" for count in ("largest", "retried", "failed"))]
        near = f"{figures['distance']:.1e}" if "distance" in figures else ""
        table.add_row(name, *(counts if figures["largest"] else [""] * 4), near)
    table.caption = "the implicit network is a model of its own: the peer's looks at the levels before the step"
    return table
