"""All runs of a campaign as one data set: a folder of Parquet files, partitioned by model, ready to share.

    scores/model=gr_u/data.parquet ...   the tables of all runs, with the code of the catchment in the column `item`
    parameter_means.parquet              mean over the catchment of each parameter, one row per run
    summary.parquet, summary.csv         median, mean and deviation of these over the catchments (P1, Table B1)
    campaign.parquet                     the runs and their states
    README.md, metadata.json             how to read it, its sources and versions

It is written to a temporary folder and renamed when complete.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hydrocli
from hydrocli.errors import InputError
from hydrocli.files import atomic_folder, os_errors_as_input_errors
from hydrocli.results.campaign import CAMPAIGN, Row, RunLocation, write_campaign
from hydrocli.results.folder import read_manifest
from hydrocli.results.read import Run
from hydrocli.results.schemas import RUN, TABLES, Column, Table
from hydrocli.results.write import write_json, write_table, write_text
from hydrocli.structures.structure import parameter_quantities

if TYPE_CHECKING:
    import pyarrow as pa

COLLECTED = ("scores", "signatures", "events", "parameters", "discharge")
DATA = "data.parquet"
METADATA = "metadata.json"
SUMMARY = Table(
    "summary",
    "parameters over the catchments: one row for each model and parameter",
    (
        RUN,
        Column("model", "text", "name of the model"),
        Column("parameter", "text", "symbol of the parameter"),
        Column("unit", "text", "its unit"),
        Column("catchments", "integer", "number of catchments"),
        Column("median", "float", "of the means over the catchments"),
        Column("mean", "float", "of the means over the catchments"),
        Column("deviation", "float", "standard deviation of the means over the catchments", "", "one catchment only"),
    ),
    "collect",
)

README = """\
# {name}

{runs} hydrological calibrations of {catchments} catchments by {models} models ({model_names}),
collected by hydrocli {version} on {date}. {missing}

{listing}

Read a table of all models, the partition `model` included:

```python
import pandas; pandas.read_parquet("scores")
import polars; polars.read_parquet("scores/**/*.parquet", hive_partitioning=True)
import duckdb; duckdb.read_parquet("scores/**/*.parquet", hive_partitioning=True)
```

`item` is the code of the catchment, `run` the name of the run. Times are UTC and end their steps. Units and
descriptions are in the metadata of every column and in `metadata.json`, with the configuration. The coordinate
reference system of x and y is in the metadata of the file.
"""


@dataclass
class Collection:
    """Result of `collect`: number of runs, rows by table, and the summary."""

    runs: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    summary: list[Row] = field(default_factory=list)


def collect(
    done: Sequence[RunLocation], rows: Sequence[Row], folder: Path, name: str, metadata: Mapping[str, Any]
) -> Collection:
    """Write the data set of the finished runs.

    Args:
        done: the finished runs.
        rows: states of all runs of the campaign.
        folder: of the data set; an existing data set is replaced, any other folder with content is refused.
        name: of the campaign.
        metadata: for `metadata.json`.

    Raises:
        InputError: a table cannot be read, the folder has other content, or it cannot be written.
    """
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()) and not _is_collection(folder):
        raise InputError(str(folder), "is not empty, and not a data set of hydrocli", "Choose another folder.")
    with os_errors_as_input_errors(folder), atomic_folder(folder) as partial:
        return _write(done, rows, partial, name, metadata)


def _is_collection(folder: Path) -> bool:
    """Whether a folder was written by `collect`; only such a folder may be replaced."""
    try:
        details = json.loads((folder / METADATA).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(details, dict) and {"hydrocli", "campaign", "columns"} <= set(details)


def _write(
    done: Sequence[RunLocation], rows: Sequence[Row], folder: Path, name: str, metadata: Mapping[str, Any]
) -> Collection:
    made = Collection(len(done))
    models = list(dict.fromkeys(place.model for place in done))
    for table in COLLECTED:
        for model in models:
            here = [place for place in done if place.model == model and _opened(place).has(table)]
            if here:
                target = folder / table / f"model={model}"
                target.mkdir(parents=True)
                made.rows[table] = made.rows.get(table, 0) + _write_together(here, table, target / DATA)
    means = _means(done)
    if means:
        _write_means(folder, means)
        made.summary = _summary(means)
        columns = [column.name for column in SUMMARY.columns if column.name != "run"]
        write_table(folder, SUMMARY, {key: [row[key] for row in made.summary] for key in columns}, run=name)
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(made.summary)
        write_text(folder / "summary.csv", text.getvalue())
    write_campaign(folder, rows, name)
    write_text(folder / "README.md", _readme(name, done, rows, made))
    write_json(folder / METADATA, {**metadata, "hydrocli": hydrocli.__version__, "columns": _columns()})
    return made


def _opened(place: RunLocation) -> Run:
    return Run(place.folder, read_manifest(place.folder))


def _write_together(here: Sequence[RunLocation], name: str, path: Path) -> int:
    """One table of many runs in one file, one row group per run; missing columns are null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schemas = [pq.read_schema(place.folder / TABLES[name].file) for place in here]
        schema = pa.unify_schemas([found.remove_metadata() for found in schemas], promote_options="default")
        crs = {(found.metadata or {}).get(b"crs", b"") for found in schemas}
        details = {"description": TABLES[name].description, "hydrocli": hydrocli.__version__}
        if len(crs) == 1 and (wkt := crs.pop()):
            details["crs"] = wkt.decode()
        item = pa.field("item", pa.string(), False, {"unit": "", "description": "code of the catchment", "null": ""})
        schema = pa.schema([item, *(found.with_nullable(True) for found in schema)], details)
        rows = 0
        with pq.ParquetWriter(path, schema, **_options(schema)) as writer:
            for place in here:
                table = _fitted(_opened(place).arrow(name), schema, place.item)
                rows += table.num_rows
                writer.write_table(table)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(
            str(path.parent),
            f"a table {name} of these runs is not a readable Parquet file",
            "Repeat the calibration of that run.",
        ) from error
    return rows


def _fitted(table: pa.Table, schema: pa.Schema, item: str) -> pa.Table:
    import pyarrow as pa

    columns = [
        pa.repeat(pa.scalar(item), table.num_rows)
        if column.name == "item"
        else table[column.name]
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _options(schema: pa.Schema) -> dict[str, Any]:
    """As the tables of a run are written: see `hydrocli.results.write`."""
    import pyarrow as pa

    floats = [column.name for column in schema if pa.types.is_floating(column.type)]
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    return {
        "compression": "zstd",
        "use_dictionary": texts,
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
    }


def _means(done: Sequence[RunLocation]) -> list[Row]:
    """Mean of each parameter over the cells of the catchment, by run; baselines have none."""
    rows = []
    for place in done:
        if not _opened(place).has("parameters"):
            continue
        table = _opened(place).arrow("parameters")
        symbols = [symbol for symbol in parameter_quantities() if symbol in table.column_names]
        means = {symbol: float(np.mean(table[symbol].to_numpy())) for symbol in symbols}
        rows.append({"model": place.model, "item": place.item, **means})
    return rows


def _write_means(folder: Path, means: Sequence[Row]) -> None:
    symbols = [symbol for symbol in parameter_quantities() if any(symbol in row for row in means)]
    columns = (
        RUN,
        Column("model", "text", "name of the model"),
        Column("item", "text", "code of the catchment"),
        *(
            Column(
                s,
                "float",
                f"mean over the catchment: {parameter_quantities()[s].long_name}",
                parameter_quantities()[s].unit,
                "the structure has no such parameter",
            )
            for s in symbols
        ),
    )
    table = Table("parameter_means", "mean of each parameter over each catchment", columns, "collect")
    values: dict[str, Any] = {column.name: [row.get(column.name) for row in means] for column in columns[1:]}
    write_table(folder, table, values, run="all")


def _summary(means: Sequence[Row]) -> list[Row]:
    """Rows as those of Table B1 of the first paper."""
    rows = []
    for model in dict.fromkeys(row["model"] for row in means):
        here = [row for row in means if row["model"] == model]
        for symbol in (symbol for symbol in parameter_quantities() if symbol in here[0]):
            values = [row[symbol] for row in here]
            rows.append(
                {
                    "model": model,
                    "parameter": symbol,
                    "unit": parameter_quantities()[symbol].unit,
                    "catchments": len(values),
                    "median": statistics.median(values),
                    "mean": statistics.fmean(values),
                    "deviation": statistics.stdev(values) if len(values) > 1 else None,
                }
            )
    return rows


def _columns() -> dict[str, dict[str, str]]:
    tables = (*(TABLES[name] for name in COLLECTED), SUMMARY, CAMPAIGN)
    return {
        table.name: {column.name: f"{column.description} [{column.unit}]" for column in table.columns}
        for table in tables
    }


def _readme(name: str, done: Sequence[RunLocation], rows: Sequence[Row], made: Collection) -> str:
    models = list(dict.fromkeys(place.model for place in done))
    missing = [f"{row['model']}/{row['item']}" for row in rows if row["state"] != "done"]
    shown = f"{', '.join(missing[:20])}{' ...' if len(missing) > 20 else ''}"
    listing = [f"* `{table}/`: {TABLES[table].description} ({count} rows)" for table, count in made.rows.items()]
    listing += [
        "* `parameter_means.parquet`: mean of each parameter over each catchment",
        "* `summary.parquet`, `summary.csv`: median, mean and standard deviation of these over the catchments",
        "* `campaign.parquet`: all runs of the campaign and how they ended",
    ]
    return README.format(
        name=name,
        runs=len(done),
        catchments=len({place.item for place in done}),
        models=len(models),
        model_names=", ".join(models),
        version=hydrocli.__version__,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        missing=f"{len(missing)} unfinished runs are not included: {shown}." if missing else "All runs are included.",
        listing="\n".join(listing),
    )


def metadata_of(place: RunLocation) -> dict[str, Any]:
    """Versions and processor of a run."""
    manifest = read_manifest(place.folder)
    return {"versions": manifest.versions, "cpu": manifest.cpu}
