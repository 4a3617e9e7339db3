"""Figures that show whether data were read as they were meant: water balance first, then signs in single series.

They are found once, when a basin is ingested, and stand beside its store as Parquet: a table of gauges, one of gauges
and months, one of forcings, and the cells that were candidates for each gauge. What is too much is decided when they
are read, by `hydrocli.basin.plausibility_limits`, so that a limit can change without reading the data again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.basin import DAY, Basin, Candidate, Times, day_of_step
from hydrocli.basin.catchment_means import CatchmentMeans
from hydrocli.basin.grid import latitudes
from hydrocli.basin.pet import extraterrestrial_radiation, shares_of_day
from hydrocli.basin.record_faults import (
    RUN_OF_DISCHARGE,
    RUN_OF_RAIN,
    best_lag,
    constant_run,
    growing_share,
    jump_of_discharge,
    jump_of_rain,
    largest_rise,
)

Row = dict[str, Any]
HOUR = 3600.0
SQUARE_KILOMETRE = 1e6
LATENT_HEAT = 2.45
"""Of water [MJ/kg] (FAO-56 eq. 20)."""


class Column(NamedTuple):
    """A column of a table; `null` is the meaning of a missing value, empty where none may be missing."""

    name: str
    kind: Literal["text", "time", "integer", "float"]
    description: str
    unit: str = ""
    null: str = ""


class Table(NamedTuple):
    """A Parquet file beside the arrays of a store."""

    file: str
    description: str
    columns: tuple[Column, ...]


GAUGE = Column("gauge", "text", "code of the gauge")
FEW = "too few values"
UNOBSERVED = "no observation"
NO_JUMP = "no such step"
GAUGES = Table(
    "plausibility.parquet",
    "water balance and signs of misread data for each gauge, over the period",
    (
        GAUGE,
        Column("area", "float", "drained area of the cell of the gauge", "km2"),
        Column("days", "float", "length of the period", "d"),
        Column("rain", "float", "rain of the catchment", "mm"),
        Column("pet", "float", "potential evapotranspiration of the catchment", "mm"),
        Column("radiation", "float", "water that the radiation above the atmosphere could evaporate", "mm"),
        Column("runoff", "float", "observed discharge over the area", "mm", UNOBSERVED),
        Column("observed_days", "float", "length of the steps with an observation", "d"),
        Column("rain_observed", "float", "rain of these steps", "mm", UNOBSERVED),
        Column("runoff_ratio", "float", "runoff by rain of the observed steps", "1", f"{UNOBSERVED}, or no rain"),
        Column("lag", "float", "delay of the rises of discharge behind the rain, at the best correlation", "h", FEW),
        Column("correlation", "float", "of square roots of rain and rises of discharge, at the lag", "1", FEW),
        Column("correlation_later", "float", "best one with the rain before the rise, or in its step", "1", FEW),
        Column("rain_missing", "float", "share of steps and cells of the catchment without rain data", "1"),
        Column("rain_uncovered", "float", "share of its cells without rain data in all steps", "1"),
        Column("discharge_missing", "float", "share of steps without an observation", "1"),
        Column("discharge_lowest", "float", "lowest observed discharge", "m3/s", UNOBSERVED),
        Column("discharge_highest", "float", "highest observed discharge", "m3/s", UNOBSERVED),
        Column("discharge_rise", "float", "largest rise from a lower discharge before", "m3/s", UNOBSERVED),
        Column("discharge_repeats", "integer", "number of steps that have the highest discharge"),
        Column("discharge_below", "float", "second highest value", "m3/s", "there is none"),
        Column("rain_growing", "float", "share of rises among the changes of rain within days", "1", FEW),
        Column("rain_jump", "float", "largest factor between all wet values before and after a step", "1", FEW),
        Column("rain_jump_time", "time", "end of the first step after it", "UTC", NO_JUMP),
        Column("discharge_jump", "float", "largest factor of a step between two smooth stretches", "1", FEW),
        Column("discharge_jump_time", "time", "end of the first step after it", "UTC", NO_JUMP),
        Column("rain_constant", "float", "share of wet steps in runs of one value of 5 d or more", "1", "no rain"),
        Column(
            "discharge_constant",
            "float",
            "share of steps with discharge in runs of one value of 10 d or more",
            "1",
            "no discharge above 0",
        ),
        Column("longest_constant", "float", "longest run of one discharge above 0", "d"),
        Column("longest_constant_time", "time", "end of its first step", "UTC", "no discharge above 0"),
    ),
)
MONTHS = Table(
    "plausibility_by_month.parquet",
    "water balance and missing data for each gauge and month",
    (
        GAUGE,
        Column("month", "time", "start of the month", "UTC"),
        Column("rain", "float", "rain of the catchment", "mm"),
        Column("pet", "float", "potential evapotranspiration of the catchment", "mm"),
        Column("runoff", "float", "observed discharge over the area", "mm", UNOBSERVED),
        Column("rain_missing", "float", "share of steps and cells of the catchment without rain data", "1"),
        Column("discharge_missing", "float", "share of steps without an observation", "1"),
    ),
)
FORCINGS = Table(
    "plausibility_of_forcing.parquet",
    "values of rain and potential evapotranspiration over all cells and steps",
    (
        Column("forcing", "text", "precipitation or pet"),
        Column("missing", "float", "share of values that were missing in the files", "1"),
        Column("negative", "float", "share of values that were negative, and count as missing", "1"),
        Column("uncovered", "float", "share of the cells outside of the fields", "1"),
        Column("highest", "float", "highest value of a cell", "mm/step", "not looked at, or no value"),
        Column("highest_time", "time", "end of the first step that has it", "UTC", "not looked at, or no value"),
        Column("repeats", "integer", "number of steps and cells that have it; 0 where it was not looked at"),
        Column("below", "float", "second highest value", "mm/step", "not looked at, or there is none"),
        Column("growing", "float", "share of rises among the changes within days of the mean", "1", FEW),
    ),
)
CANDIDATES = Table(
    "gauge_candidates.parquet",
    "cells that were candidates for each gauge, the nearest by area first",
    (
        GAUGE,
        Column("row", "integer", "row of the cell in the raster of flow directions, from 0 in the north"),
        Column("column", "integer", "its column, from 0 in the west"),
        Column("area", "float", "drained area of the cell", "km2"),
        Column("distance", "float", "from the cell of the coordinates of the gauge", "km"),
        Column("chosen", "integer", "1 for the cell that the gauge was given, else 0"),
    ),
)
TABLES = (GAUGES, MONTHS, FORCINGS, CANDIDATES)


@dataclass(frozen=True)
class Figures:
    """Rows of the tables, and the period that they are of.

    Attributes:
        first, last: ends of the first and last step.
        step: [s].
        gauges, months, forcings, candidates: see `TABLES`; missing values are None.
    """

    first: np.datetime64
    last: np.datetime64
    step: int
    gauges: list[Row]
    months: list[Row]
    forcings: list[Row]
    candidates: list[Row]


def measure(basin: Basin, coverage: Mapping[str, Mapping[str, Any]]) -> Figures:
    """The figures of a basin.

    Args:
        basin: with its forcing.
        coverage: counts of each forcing, as the description of its store has them.
    """
    means, times, step = CatchmentMeans.of(basin), basin.times, basin.step
    runoff, radiation = runoff_of(basin), _radiation(basin)
    return Figures(
        times[0],
        times[-1],
        step,
        [_of_gauge(basin, means, runoff[g], float(radiation[g]), g) for g in range(len(basin.gauges.code))],
        [row for g in range(len(basin.gauges.code)) for row in _of_months(basin, means, runoff[g], g)],
        [_of_forcing(name, basin, means, coverage[name]) for name in ("precipitation", "pet")],
        candidate_rows(basin.gauges.candidates),
    )


def runoff_of(basin: Basin) -> Floats:
    """Observed discharge over the drained areas, float64[g, t] [mm]."""
    return basin.discharge * basin.step / basin.gauges.area_found[:, None] * 1000.0


def _radiation(basin: Basin) -> Floats:
    """Extraterrestrial radiation of the period at the gauges as evaporated water, float64[g] [mm]."""
    latitude = latitudes(basin.network.grid, basin.gauges.x, basin.gauges.y)
    days = day_of_step(basin.times)
    number = (days - days.astype("datetime64[Y]")).astype(np.int64)  # of the year: each year has the same radiation
    share = np.bincount(number, shares_of_day(basin.times, basin.step))
    total = np.zeros(len(latitude))
    for one in np.flatnonzero(share):
        total += extraterrestrial_radiation(latitude, np.datetime64("2000-01-01") + one) * share[one]
    return total / LATENT_HEAT


def _of_gauge(basin: Basin, means: CatchmentMeans, runoff: Floats, radiation: float, g: int) -> Row:
    times, step, discharge = basin.times, basin.step, basin.discharge[g]
    rain, known = means.rain[g].astype(np.float64), np.isfinite(discharge)
    fallen = np.nan_to_num(rain)
    total, wet = float(runoff[known].sum()), float(fallen[known].sum())
    once, fallen_then, interval, ends = _by_observation(basin, rain, g)
    lag = best_lag(fallen_then, once, interval)
    of_rain, of_discharge = jump_of_rain(rain, means.lightest), jump_of_discharge(once, fallen_then, interval)
    run = constant_run(once, interval, RUN_OF_DISCHARGE)
    highest = float(discharge[known].max()) if known.any() else np.nan
    lower = discharge[known & (discharge < highest)]
    return {
        "gauge": basin.gauges.code[g],
        "area": basin.gauges.area_found[g] / SQUARE_KILOMETRE,
        "days": len(times) * step / DAY,
        "rain": float(fallen.sum()),
        "pet": float(means.pet[g].sum()),
        "radiation": radiation,
        "runoff": total if known.any() else None,
        "observed_days": float(np.count_nonzero(known)) * step / DAY,
        "rain_observed": wet if known.any() else None,
        "runoff_ratio": total / wet if known.any() and wet > 0 else None,
        "lag": _number(lag.seconds / HOUR),
        "correlation": _number(lag.correlation),
        "correlation_later": _number(lag.later),
        "rain_missing": float(means.rain_missing[g] @ np.bincount(means.month)) / len(times),
        "rain_uncovered": float(means.rain_uncovered[g]),
        "discharge_missing": float(np.mean(~known)),
        "discharge_lowest": float(discharge[known].min()) if known.any() else None,
        "discharge_highest": _number(highest),
        "discharge_rise": _number(largest_rise(discharge)),
        "discharge_repeats": int(np.count_nonzero(discharge == highest)),
        "discharge_below": float(lower.max()) if lower.size else None,
        "rain_growing": _number(growing_share(rain, step, _place_in_day(times[0], step))),
        "rain_jump": _number(of_rain.factor),
        "rain_jump_time": _time(times, of_rain.place),
        "discharge_jump": _number(of_discharge.factor),
        "discharge_jump_time": _time(ends, of_discharge.place),
        "rain_constant": _number(constant_run(rain, step, RUN_OF_RAIN).share),
        "discharge_constant": _number(run.share),
        "longest_constant": run.longest * interval / DAY,
        "longest_constant_time": _time(ends, run.first),
    }


def _by_observation(basin: Basin, rain: Floats, g: int) -> tuple[Floats, Floats, int, Times]:
    """Discharge and rain of the intervals of observations: steps, or the days of which they are means.

    Returns:
        Discharge and rain [k], length of an interval [s], and the stamps of their ends [k].
    """
    discharge, step, until = basin.discharge[g], basin.step, basin.discharge_until
    places = np.arange(len(discharge))
    if until is None or np.array_equal(until[g], places):
        return discharge, rain, step, basin.times
    starts = np.flatnonzero(np.append(True, until[g][1:] != until[g][:-1]))
    starts = starts[until[g][starts] > starts]
    ends = until[g][starts].astype(np.int64)
    length = int(np.median(ends - starts)) + 1
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(rain))])
    values, sums, stamps = discharge[ends], total[ends + 1] - total[starts], basin.times[ends]
    # A gap of any length is one interval without values.
    gaps = np.flatnonzero(np.diff(ends) > 1.5 * length) + 1
    values, sums = np.insert(values, gaps, np.nan), np.insert(sums, gaps, np.nan)
    return values, sums, length * step, np.insert(stamps, gaps, stamps[gaps - 1])


def _of_months(basin: Basin, means: CatchmentMeans, runoff: Floats, g: int) -> list[Row]:
    known, count = np.isfinite(runoff), len(means.months)
    steps = np.bincount(means.month, minlength=count)
    rain = np.bincount(means.month, np.nan_to_num(means.rain[g]).astype(np.float64), count)
    observed = np.bincount(means.month[known], minlength=count)
    depth = np.bincount(means.month[known], runoff[known], count)
    return [
        {
            "gauge": basin.gauges.code[g],
            "month": month,
            "rain": float(rain[m]),
            "pet": float(means.pet[g, m]),
            "runoff": float(depth[m]) if observed[m] else None,
            "rain_missing": float(means.rain_missing[g, m]),
            "discharge_missing": float(1 - observed[m] / steps[m]),
        }
        for m, month in enumerate(means.months)
    ]


def _of_forcing(name: str, basin: Basin, means: CatchmentMeans, coverage: Mapping[str, Any]) -> Row:
    values = max(int(coverage["values"]), 1)
    row: Row = {
        "forcing": name,
        "missing": coverage["missing"] / values,
        "negative": coverage["negative"] / values,
        "uncovered": coverage["uncovered"],
    }
    if name == "pet":
        growing = growing_share(means.pet_of_domain, basin.step, _place_in_day(basin.times[0], basin.step))
        nothing = {"highest": None, "highest_time": None, "repeats": 0, "below": None}
        return row | nothing | {"growing": _number(growing)}
    top = means.highest
    return row | {
        "highest": _number(top.value),
        "highest_time": _time(basin.times, top.first),
        "repeats": top.count,
        "below": _number(top.below),
        "growing": None,
    }


def candidate_rows(candidates: Mapping[str, Sequence[Candidate]]) -> list[Row]:
    """Rows of the table of candidates from those of each gauge."""
    return [
        {
            "gauge": code,
            "row": one.row,
            "column": one.column,
            "area": one.area / SQUARE_KILOMETRE,
            "distance": one.distance / 1000,
            "chosen": int(one.is_chosen),
        }
        for code, found in candidates.items()
        for one in found
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _time(times: Times, place: int) -> np.datetime64 | None:
    return None if place < 0 else times[place]


def _place_in_day(time: np.datetime64, step: int) -> int:
    """Number in its day of the step that ends at a stamp, from 0."""
    start = time - np.timedelta64(step, "s")
    return int((start - start.astype("datetime64[D]")).astype(np.int64)) // step


def write_figures(folder: Path, figures: Figures) -> None:
    """Write the tables into the folder of a store."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    period = {"first": str(figures.first), "last": str(figures.last), "step": str(figures.step)}
    rows = figures.gauges, figures.months, figures.forcings, figures.candidates
    for table, own in zip(TABLES, rows, strict=True):
        kinds = {"text": pa.string(), "time": pa.timestamp("us", "UTC"), "integer": pa.int64(), "float": pa.float64()}
        fields = [
            pa.field(column.name, kinds[column.kind], metadata={"description": column.description, "unit": column.unit})
            for column in table.columns
        ]
        schema = pa.schema(fields, metadata=period | {"description": table.description})
        columns = [[_plain(row[column.name]) for row in own] for column in table.columns]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, fields, strict=True)]
        pq.write_table(pa.table(arrays, schema=schema), folder / table.file, compression="zstd")


def _plain(value: Any) -> Any:
    """Times as microseconds, all else as it is."""
    return int(value.astype("datetime64[us]").astype(np.int64)) if isinstance(value, np.datetime64) else value


def read_figures(folder: Path) -> Figures:
    """The tables in the folder of a store."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found, period = [], dict[str, str]()
    for table in TABLES:
        arrow = pq.ParquetFile(folder / table.file).read(use_threads=False)  # read_table would load pandas
        period = {key.decode(): value.decode() for key, value in (arrow.schema.metadata or {}).items()}
        times = [column.name for column in table.columns if column.kind == "time"]
        for name in times:
            place = arrow.column_names.index(name)
            arrow = arrow.set_column(place, name, arrow[name].cast(pa.int64()))
        rows = arrow.to_pylist()
        for row in rows:
            stamps = {name: row[name] for name in times if row[name] is not None}
            row.update({name: np.datetime64(value, "us").astype("datetime64[s]") for name, value in stamps.items()})
        found.append(rows)
    first, last = (np.datetime64(period[key], "s") for key in ("first", "last"))
    return Figures(first, last, int(period["step"]), *found)


def overview(gauges: Sequence[Row]) -> list[Row]:
    """The figures of gauges that a table on a terminal has place for."""
    return [
        {
            "gauge": row["gauge"],
            "rain_mm": row["rain"],
            "pet_mm": row["pet"],
            "runoff_mm": row["runoff"],
            "runoff_ratio": row["runoff_ratio"],
            "lag_h": row["lag"],
            "correlation": row["correlation"],
            "rain_missing": row["rain_missing"],
            "discharge_missing": row["discharge_missing"],
        }
        for row in gauges
    ]


def missing_by_month(months: Sequence[Row]) -> list[Row]:
    """Months in which rain data are missing, with the largest share of a catchment."""
    worst: dict[str, float] = {}
    for row in months:
        month = str(row["month"])[:7]
        worst[month] = max(worst.get(month, 0.0), row["rain_missing"])
    return [{"month": month, "largest_share_missing": share} for month, share in sorted(worst.items()) if share]


def depths_by_day(basin: Basin) -> dict[str, Any]:
    """Series for double-mass curves: rain and runoff of catchments by day, and sums of the cells.

    Returns:
        `days` datetime64[D][d]; `rain` and `runoff` float64[g, d] [mm], runoff NaN on days without observation;
        `rain_observed` [g, d], rain of the observed steps; `cell_rain` [mm] and `cell_missing` (share), float64[n].
    """
    means, runoff = CatchmentMeans.of(basin), runoff_of(basin)
    days, day = np.unique(day_of_step(basin.times), return_inverse=True)
    day, count = day.ravel(), len(days)
    rain = np.nan_to_num(means.rain).astype(np.float64)
    known = np.isfinite(runoff)

    def summed(values: Floats) -> Floats:
        return np.stack([np.bincount(day, row, count) for row in values])

    observed = summed(known.astype(np.float64)) > 0
    return {
        "days": days,
        "rain": summed(rain),
        "runoff": np.where(observed, summed(np.where(known, runoff, 0.0)), np.nan),
        "rain_observed": summed(np.where(known, rain, 0.0)),
        "cell_rain": means.cell_rain,
        "cell_missing": means.cell_missing / len(basin.times),
    }
