"""Run folders made up of random numbers, through the same room that real runs write with: any size, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.names import STATES
from hydrocli.results import schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.write import write_series, write_table, write_text
from hydrocli.structures.structure import output_quantities

START = np.datetime64("2014-09-01T00:00:00", "s")
DESCRIPTORS = ("slope", "forest")
SYMBOLS = ("cp", "ct", "kexc", "akw", "bkw")
BOOKED = ("aet", "exchange", "qt", "storage")
INSIDE = ("hp", "ht", *BOOKED, "f1", "f2", "f3", "f4", "g1", "g2", "g3", "g4", "newton_iterations")
METRICS = ("nse", "kge", "rmse", "mae", "pbias", "peak_ratio")

STRUCTURE = {
    "kind": "node",
    "states": {
        "hp": {"long_name": "relative level of the production store", "unit": "-"},
        "ht": {"long_name": "relative level of the transfer store", "unit": "-"},
    },
    "fluxes": ["ps", "es", "pr", "exchange", "qr", "qd", "hp", "ht", "qt", "aet", "storage", "f1", "f2", "f3", "f4"],
    "corrections": {
        f"f{number}": {"flux": flux, "factor": "1 + f"}
        for number, flux in enumerate(("rain", "evaporation", "exchange", "outflow"), start=1)
    },
}
"""What the manifest of a run says of its structure."""


@dataclass(frozen=True)
class Size:
    """How large a made-up run is."""

    gauges: int = 3
    steps: int = 1200
    rows: int = 6
    columns: int = 8
    alone: int | None = None

    @property
    def codes(self) -> list[str]:
        return [f"G{number:02d}" for number in range(self.gauges)]

    @property
    def calibrated(self) -> list[str]:
        """Half of the gauges, or one of them alone."""
        return [self.codes[self.alone]] if self.alone is not None else self.codes[: (self.gauges + 1) // 2]

    @property
    def times(self) -> np.ndarray:
        return START + 3600 * np.arange(1, self.steps + 1)

    @property
    def periods(self) -> dict[str, tuple[np.datetime64, np.datetime64]]:
        times = self.times
        return {
            "calibration": (times[self.steps // 6], times[self.steps // 2]),
            "later": (times[self.steps // 2], times[-1]),
        }


def configuration(size: Size, structure: str, mapping: str) -> dict[str, Any]:
    periods = {name: [f"{start}Z", f"{end}Z"] for name, (start, end) in size.periods.items()}
    return {
        "name": "made-up",
        "period": {
            "step": "1h",
            "calibration": periods["calibration"],
            "validation": {"later": periods["later"]},
        },
        "gauges": {
            "calibration": size.calibrated,
            "validation": [code for code in size.codes if code not in size.calibrated],
        },
        "structure": {"kind": structure},
        "mapping": {"kind": mapping},
        "optimiser": [{"kind": "lbfgsb"}],
    }


def write_run(
    folder: Path, size: Size = Size(), *, name: str = "", structure: str = "gr", mapping: str = "mlp", seed: int = 1
) -> Path:
    """A finished run with its scores and signatures."""
    random = np.random.default_rng(seed)
    run = name or folder.name
    with RunFolder.open(folder, run) as held:
        held.start(identity="x", seed=seed, timings={"calibration": 12.5, "calibration_cpu": 12.0})
        held.update(counts={"cells": size.rows * size.columns, "controls": 5, "evaluations": 30})
        held.update(structure=STRUCTURE)
        held.warn("forcing is missing in <2> cell-steps & taken as no water")
        held.finish("Cost 0.1. 1 mlp lbfgsb: The gradient has vanished.")
    write_text(folder / "config.yaml", yaml.safe_dump(configuration(size, structure, mapping)))
    _write_maps(folder, size, run, random)
    rain, observed, simulated = _series(size, random)
    means = {"precipitation": rain, "pet": np.full_like(rain, 0.1)}
    symbols = () if structure == "gr" else INSIDE
    means |= {symbol: _inside(symbol, rain, random) for symbol in symbols}
    table = schemas.catchment_timeseries([output_quantities()[symbol] for symbol in symbols])
    write_series(folder, table, size.codes, size.times, means, run=run)
    if symbols:
        _write_inside(folder, size, run, simulated, {symbol: means[symbol] for symbol in BOOKED}, random)
    write_series(
        folder, schemas.DISCHARGE, size.codes, size.times, {"observed": observed, "simulated": simulated}, run=run
    )
    _write_scores(folder, size, run, observed, simulated)
    _write_events(folder, size, run, observed, random)
    _write_history(folder, run)
    _write_balance(folder, size, run, rain, random)
    return folder


def downstream_of(rows: int, columns: int) -> np.ndarray:
    """Every cell drains east, those of the last column south."""
    cell = np.arange(rows * columns).reshape(rows, columns)
    down = np.full((rows, columns), -1)
    down[:, :-1] = cell[:, 1:]
    down[:-1, -1] = cell[1:, -1]
    return down.ravel()


def tree_of(size: Size) -> tuple[GaugeTree, np.ndarray]:
    """The first gauge is at the outlet, the others are spread over the domain: their tree and their cells."""
    cells = np.linspace(size.rows * size.columns - 1, size.columns - 1, size.gauges).astype(int)
    return GaugeTree.of(downstream_of(size.rows, size.columns), cells), cells


def _place(size: Size) -> tuple[dict[str, np.ndarray], str]:
    import pyproj

    number = size.rows * size.columns
    row, column = np.divmod(np.arange(number), size.columns)
    place = {"cell": np.arange(number), "row": row, "column": column}
    place |= {"x": 800_500.0 + 1000 * column, "y": 6_500_500.0 - 1000 * row}
    return place, pyproj.CRS("EPSG:2154").to_wkt()


def _write_maps(folder: Path, size: Size, run: str, random: np.random.Generator) -> None:
    number = size.rows * size.columns
    place, crs = _place(size)
    row, column = place["row"], place["column"]
    tree, cells = tree_of(size)
    slope = random.random(number)
    columns = place | {
        "area": np.full(number, 1e6),
        "downstream": downstream_of(size.rows, size.columns),
        "level": np.where(column < size.columns - 1, column, size.columns - 1 + row),
        "calibrated": tree.catchment(0),
        "ci": random.random(number),
        "slope": slope,
        "forest": random.random(number),
    }
    first = np.full(tree.zones + 1, None, object)
    first[tree.of_gauge[::-1]] = size.codes[::-1]
    columns["gauge"] = first[tree.zone]
    write_table(folder, schemas.domain(DESCRIPTORS), columns, run=run, crs_wkt=crs)
    catchments = {
        "gauge": size.codes,
        "cell": cells,
        "x": place["x"][cells],
        "y": place["y"][cells],
        "cells": tree.cells,
        "area": 1e6 * tree.cells,
        "downstream_gauge": first[tree.below[tree.of_gauge]],
    }
    write_table(folder, schemas.CATCHMENTS, catchments, run=run, crs_wkt=crs)
    values = {symbol: 10 * slope + random.random(number) for symbol in SYMBOLS}
    write_table(folder, schemas.parameters(SYMBOLS), place | values, run=run, crs_wkt=crs)
    states = {symbol: random.random(number) for symbol in STATES}
    write_table(folder, schemas.states(list(states)), {"cell": np.arange(number), **states}, run=run)


def _series(size: Size, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = size.gauges, size.steps
    rain = np.where(random.random(shape) > 0.97, random.exponential(5.0, shape), 0.0)
    flow = np.empty(shape)
    flow[:, 0] = 1.0
    for step in range(1, size.steps):
        flow[:, step] = 0.95 * flow[:, step - 1] + 0.3 * rain[:, step] + 0.01
    observed = flow * np.exp(0.1 * random.standard_normal(shape))
    observed[:, size.steps // 3 : size.steps // 3 + size.steps // 40] = np.nan
    return rain, observed, flow


def _inside(symbol: str, rain: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Series of a catchment: levels and corrections that wander, fluxes that are shares of the rain."""
    shares = {"aet": 0.4, "exchange": -0.1, "qt": 0.3, "storage": 0.2}
    if symbol == "storage":
        return 100 + np.cumsum(shares[symbol] * rain, axis=1)
    if symbol in shares:
        return shares[symbol] * rain
    return 0.3 + 0.1 * np.sin(np.arange(rain.shape[1]) / 100) + 0.05 * random.random((len(rain), 1))


def _write_inside(
    folder: Path, size: Size, run: str, simulated: np.ndarray, books: dict[str, np.ndarray], random: np.random.Generator
) -> None:
    table = schemas.no_correction([output_quantities()[symbol] for symbol in BOOKED])
    series = books | {"exchange": 0.5 * books["exchange"], "simulated": 0.9 * simulated}
    write_series(folder, table, size.codes, size.times, series, run=run)
    place, crs = _place(size)
    values = {symbol: random.random(size.rows * size.columns) for symbol in INSIDE}
    write_table(
        folder,
        schemas.mean_maps([output_quantities()[symbol] for symbol in INSIDE]),
        place | values,
        run=run,
        crs_wkt=crs,
    )
    level, forcing = (part.ravel() for part in np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 10, 7), indexing="ij"))
    rows: dict[str, Any] = {name: [] for name in ("flux", "level", "forcing")}
    values = {name: np.zeros(0) for name in ("level_value", "forcing_value", "classical", "corrected", "bound")}
    for flux, of, by in (("infiltration", "hp", "pn"), ("exchange", "ht", "pn")):
        for name, text in (("flux", flux), ("level", of), ("forcing", by)):
            rows[name] += [text] * len(level)
        classical = (1 - level) * forcing
        new = {"level_value": level, "forcing_value": forcing, "classical": classical, "corrected": 1.2 * classical}
        new["bound"] = np.full(classical.size, np.nan)
        values = {name: np.r_[values[name], new[name]] for name in values}
    write_table(folder, schemas.RESPONSE_SURFACES, rows | values, run=run)


def _write_scores(folder: Path, size: Size, run: str, observed: np.ndarray, simulated: np.ndarray) -> None:
    rows: list[tuple[Any, ...]] = []
    for g, code in enumerate(size.codes):
        for period, (start, end) in size.periods.items():
            inside = (size.times > start) & (size.times <= end) & np.isfinite(observed[g])
            known = (code in size.calibrated, period == "calibration")
            names = {(True, True): "calibration", (True, False): "temporal", (False, True): "spatial"}
            q, s = observed[g, inside], simulated[g, inside]
            error = 1 - np.sum((s - q) ** 2) / np.sum((q - q.mean()) ** 2)
            for place, metric in enumerate(METRICS):
                scenario = names.get(known, "spatio-temporal")
                rows.append((code, scenario, period, metric, error - 0.05 * place, int(inside.sum())))
    names_ = ("gauge", "scenario", "period", "metric", "value", "n_valid")
    write_table(folder, schemas.SCORES, _columns(names_, rows), run=run)


def _columns(names: Sequence[str], rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _write_events(folder: Path, size: Size, run: str, observed: np.ndarray, random: np.random.Generator) -> None:
    events: list[tuple[Any, ...]] = []
    signatures: list[tuple[Any, ...]] = []
    for g, code in enumerate(size.codes[1:], start=1):  # the first gauge has none
        for period, (start, end) in size.periods.items():
            inside = np.flatnonzero((size.times > start) & (size.times <= end))
            for number, piece in enumerate(np.array_split(inside, 3), start=1):
                peak = piece[np.nanargmax(observed[g, piece])]
                first, last = max(peak - 24, piece[0]), min(peak + 48, piece[-1])
                stamps = (size.times[place] for place in (first, last))
                sizes = (observed[g, peak], 1.1 * observed[g, peak], 40.0, 1 + number % 2)
                told = (size.times[max(peak - 3, 0)], size.times[peak], *sizes, bool(number % 2))
                events.append((code, period, number, *stamps, "SON", *told))
                for name in ("Epf", "Erc", "Eff", "Ebf"):
                    error = float(random.normal(0, 0.3))
                    signatures.append((code, period, number, name, 1.0, 1.0 + error, error))
            signatures.append((code, period, None, "Crc", 0.5, 0.4, -0.2))
    columns = [column.name for column in schemas.EVENTS.columns[1:]]
    write_table(folder, schemas.EVENTS, _columns(columns, events), run=run)
    columns = [column.name for column in schemas.SIGNATURES.columns[1:]]
    write_table(folder, schemas.SIGNATURES, _columns(columns, signatures), run=run)


def _write_history(folder: Path, run: str) -> None:
    stage = ["screening"] * 3 + ["1 mlp lbfgsb"] * 12
    columns = {
        "stage": stage,
        "iteration": [*range(3), *range(12)],
        "evaluations": np.arange(2, 17),
        "cost": np.r_[0.9, 0.8, 0.7, np.geomspace(0.7, 0.1, 12)],
        "gradient_norm": np.r_[np.full(3, np.nan), np.geomspace(1, 1e-6, 12)],
        "seconds": np.arange(15.0),
    }
    columns["batch_cost"] = np.full(15, np.nan)
    write_table(folder, schemas.CONVERGENCE, columns, run=run)
    control = {"name": list(SYMBOLS), "value": [0.0, 0.5, 0.5, 1.0, 0.2], "lower": np.zeros(5), "upper": np.ones(5)}
    write_table(folder, schemas.CONTROL, {**control, "gradient": np.zeros(5)}, run=run)


def _write_balance(folder: Path, size: Size, run: str, rain: np.ndarray, random: np.random.Generator) -> None:
    years = (size.times - np.timedelta64(1, "s")).astype("datetime64[Y]").astype(int) + 1970
    rows: list[tuple[Any, ...]] = []
    for g, code in enumerate(size.codes):
        for year in np.unique(years):
            fell = float(rain[g, years == year].sum())
            gone = fell * (0.4 + 0.1 * random.random())
            exchange = -0.05 * fell
            runoff = 0.8 * (fell - gone + exchange)
            stored = fell - gone + exchange - runoff
            rows.append((code, int(year), fell, gone, exchange, 0.0, 0.0, runoff, 0.0, stored, 0.0))
    columns = [column.name for column in schemas.balance(()).columns[1:]]
    write_table(folder, schemas.balance(()), _columns(columns, rows), run=run)
    annual: list[tuple[Any, ...]] = []
    for g, code in enumerate(size.codes):
        for period, (start, end) in size.periods.items():
            inside = (size.times > start) & (size.times <= end)
            days = inside.sum() / 24
            fell = rain[g, inside].sum() * 365.25 / days
            annual.append(
                (code, period, days, fell, 0.3 * fell, 0.1 * fell, -0.05 * fell, 0.0, 0.0, 0.5 * fell, 0.05 * fell)
            )
    columns = [column.name for column in schemas.ANNUAL_FLUXES.columns[1:]]
    write_table(folder, schemas.ANNUAL_FLUXES, _columns(columns, annual), run=run)
