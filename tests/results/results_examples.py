"""Example values of every table of a run folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj

from hydrocli.names import STATES
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.schemas import Table
from hydrocli.results.write import write_series, write_table

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


def write_valley(folder: Path, gauges: tuple[str, str] = ("low", "high")) -> Path:
    """A finished run of four cells in a row that drain east, one gauge at the end and one in the middle."""
    with RunFolder.open(folder, folder.name) as held:
        held.finish("done")
    low, high = gauges
    cells = np.arange(4)
    crs = pyproj.CRS("EPSG:2154").to_wkt()
    columns = {
        "cell": cells,
        "row": np.zeros(4, int),
        "column": cells,
        "x": 800_500.0 + 1000 * cells,
        "y": np.full(4, 6_500_500.0),
        "area": np.full(4, 1e6),
        "downstream": np.array([1, 2, 3, -1]),
        "level": cells,
        "calibrated": np.ones(4, bool),
        "ci": np.ones(4),
        "gauge": [high, high, low, low],
    }
    write_table(folder, schemas.domain([]), columns, run=folder.name, crs_wkt=crs)
    catchments = {
        "gauge": [low, high],
        "cell": [3, 1],
        "x": columns["x"][[3, 1]],
        "y": columns["y"][[3, 1]],
        "cells": [4, 2],
        "area": [4e6, 2e6],
        "downstream_gauge": [None, low],
    }
    write_table(folder, schemas.CATCHMENTS, catchments, run=folder.name, crs_wkt=crs)
    times = np.datetime64("2014-09-15T01:00:00", "s") + 3600 * np.arange(5)
    series = {"observed": np.arange(10.0).reshape(2, 5), "simulated": np.ones((2, 5))}
    series["observed"][0, 2] = np.nan
    write_series(folder, schemas.DISCHARGE, gauges, times, series, run=folder.name)
    scores = {
        "gauge": [low, high, low],
        "scenario": ["spatial", "calibration", "spatio-temporal"],
        "period": ["calibration", "calibration", "later"],
        "metric": ["nse"] * 3,
        "value": [0.5, 0.75, np.nan],
        "n_valid": [5, 5, 0],
    }
    write_table(folder, schemas.SCORES, scores, run=folder.name)
    return folder


def all_tables() -> list[Table]:
    open_ones = {
        "states": schemas.states(["hi", "hp", "ht"]),
        "parameters": schemas.parameters(["cp", "ct", "kexc", "akw", "bkw", "hp"]),
        "domain": schemas.domain(["slope", "dd"]),
        "catchment_timeseries": schemas.catchment_timeseries([STATES["hp"], STATES["ht"]]),
    }
    return [open_ones.get(name, table) for name, table in schemas.TABLES.items()]
