"""The smallest case of the benchmarks: they run, and what they compare is the same computation."""

from __future__ import annotations

import io

import pytest
import run
from bench_growth import growth, threads, traffic
from bench_hydrocli import HydrocliRun
from bench_speed import measure
from bench_structures import GROUPS
from rich.console import Console

CELLS, STEPS = 25, 48


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_growth(console: Console) -> None:
    figures = growth(console, sizes=((CELLS, STEPS),), large=(CELLS, STEPS), burst=0.0)
    (row,) = figures["growth"]
    assert (row["cells"], row["steps"], row["kept"]) == (CELLS, STEPS, 1.0)
    assert row["forward"]["value"] == row["gradient"]["value"]
    assert set(figures["large"]["parts"]) >= {"forward: cells", "reverse: cells", "the rest"}
    assert "peak memory" in console.file.getvalue()


def test_traffic(console: Console) -> None:
    figures = traffic(console, (CELLS, STEPS), burst=0.0, precisions=("single",))["traffic"]
    assert len(figures) == 3
    assert all(0.0 < row["least"] < row["bytes"] and row["share"] > 0.0 for row in figures.values())
    assert figures["gradient single"]["bytes"] < figures["gradient single, checkpoints"]["bytes"]


def test_threads_have_the_same_bits(console: Console) -> None:
    rows = threads(console, (CELLS, STEPS), burst=0.0)["threads"]
    assert rows[1]["gradient"]["bits"] == rows[2]["gradient"]["bits"]


def test_speed(console: Console) -> None:
    figures = measure(console, {}, {"cells": CELLS, "steps": STEPS}, None, rounds=1, burst=0.0)
    ours = {name for name in figures["ns"] if name.startswith("hydrocli")}
    assert ours == {f"hydrocli {p}{c}" for p in ("double", "single") for c in ("", ", checkpoints")}
    assert all(figures["ns"][name][what] > 0 for name in ours for what in ("forward", "gradient"))
    assert "ns per cell and step" in console.file.getvalue()


def test_every_table_of_the_benchmarks_is_there() -> None:
    assert {name for name in run.TABLES if not callable(run.TABLES[name])} == set()
    assert set(run.TABLES).isdisjoint(run.SLOW)


@pytest.mark.parametrize("name", sorted(name for group in GROUPS.values() for name in group))
def test_structures(name: str) -> None:
    structure = next(group[name] for group in GROUPS.values() if name in group)
    ours = HydrocliRun(structure=structure | {"flux_limits": "as_published"}, cells=CELLS, steps=STEPS)
    assert ours.forward()["value"] == ours.gradient()["value"]
    assert ours.newton()["failed"] == 0
