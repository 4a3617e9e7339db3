"""Example values of every table of a run folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import numpy as np

from hydrocli.names import STATES
from hydrocli.results import schemas
from hydrocli.results.schemas import Table

Spawn = Callable[..., subprocess.Popen[str]]


def example(table: Table, rows: int = 6) -> dict[str, object]:
    """Values for every column of a table but `run`, with a missing one wherever one may be missing."""
    random = np.random.default_rng(7)
    values: dict[str, object] = {}
    for column in table.columns[1:]:
        if column.kind == "float":
            array = random.normal(size=rows)
            if column.null:
                array[1:2] = np.nan
            values[column.name] = array
        elif column.kind == "integer":
            values[column.name] = [None if column.null and i == 1 else i for i in range(rows)]
        elif column.kind == "time":
            stamps = np.datetime64("2014-09-15T01:00:00", "s") + 3600 * np.arange(rows)
            if column.null:
                stamps[1:2] = np.datetime64("NaT")
            values[column.name] = stamps
        elif column.kind == "flag":
            values[column.name] = random.random(rows) > 0.5
        else:
            values[column.name] = [None if column.null and i == 1 else f"{column.name} {i % 2}" for i in range(rows)]
    return values


def all_tables() -> list[Table]:
    open_ones = {
        "parameters": schemas.parameters(["cp", "ct", "kexc", "akw", "bkw", "hp"]),
        "domain": schemas.domain(["slope", "dd"], ["V3524010", "V3515010"]),
        "catchments": schemas.catchments([STATES["hp"], STATES["ht"]]),
    }
    return [open_ones.get(name, table) for name, table in schemas.TABLES.items()]
