"""Writing the files of a run folder: texts, JSON, tables and maps, each whole or not at all (see `hydrocli.files`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import hydrocli
from hydrocli.files import atomic_write, os_errors_as_input_errors
from hydrocli.formatting import to_jsonable
from hydrocli.results.arrow import from_numpy
from hydrocli.results.schemas import Table, arrow_schema, arrow_type, known_quantities

if TYPE_CHECKING:
    import pyarrow as pa

    from hydrocli.basin.grid import Grid


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8)."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON; numpy values, paths and times become plain ones, numbers that are not finite become null."""
    write_text(path, json.dumps(to_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_table(folder: Path, table: Table, columns: Mapping[str, ArrayLike], *, run: str, crs_wkt: str = "") -> None:
    """Write one table of a run folder; NaN, NaT and None become null.

    Args:
        folder: the run folder.
        table: which table, of `schemas`.
        columns: values of each column but `run`, all of one length; times are datetime64 in UTC.
        run: name of the run.
        crs_wkt: CRS of x and y, for tables that have them.

    Raises:
        ValueError: columns missing, unknown, of unequal length, or null where none may be: a bug of the caller.
        InputError: the file cannot be written.
    """
    _check_names(table, columns)
    _write_batches(folder, table, [columns], run, crs_wkt)


def write_series(
    folder: Path,
    table: Table,
    gauges: Sequence[str],
    times: NDArray[np.datetime64],
    columns: Mapping[str, NDArray[np.floating]],
    *,
    run: str,
) -> None:
    """Write a table of series at gauges, one row group per gauge, so that one gauge is read without the others.

    Args:
        folder: the run folder.
        table: a table with the columns `gauge` and `time`.
        gauges: codes, g of them.
        times: stamps in UTC, datetime64[t].
        columns: series of each other column, float64[g, t].
        run: name of the run.
    """
    _check_names(table, [*columns, "gauge", "time"])
    batches = (
        {"gauge": [code] * len(times), "time": times, **{name: values[g] for name, values in columns.items()}}
        for g, code in enumerate(gauges)
    )
    _write_batches(folder, table, batches, run)


def write_maps(
    folder: Path,
    grid: Grid,
    row: NDArray[np.integer],
    column: NDArray[np.integer],
    values: Mapping[str, NDArray[np.floating]],
    *,
    run: str,
    place: str = "parameters",
    prefix: str = "",
    bands: Sequence[str] = ("",),
) -> None:
    """Write `<place>/<prefix><symbol>.tif` in the run folder: float64, NaN outside the active cells.

    Args:
        folder: the run folder.
        grid: the grid that row and column count in.
        row: row of each cell, int[n].
        column: column of each cell, int[n].
        values: value of each cell by symbol of the quantity, float64[n] or float64[bands, n].
        run: name of the run, kept as a tag of the file.
        place: folder inside the run folder.
        prefix: of the file names, as `mean_`.
        bands: what is added to the description of each band, as its time.
    """
    with os_errors_as_input_errors(folder / place):
        (folder / place).mkdir(exist_ok=True)
    known = known_quantities()
    for symbol, cells in values.items():
        raster = np.full((len(bands), grid.height, grid.width), np.nan)
        raster[:, row, column] = cells
        words = [f"{symbol}: {known[symbol].long_name}{band and f', {band}'}" for band in bands]
        encoded = _geotiff(grid, raster, words, known[symbol].unit, run)
        with atomic_write(folder / place / f"{prefix}{symbol}.tif") as file:
            file.write(encoded)


def _check_names(table: Table, given: Mapping[str, ArrayLike] | Sequence[str]) -> None:
    expected = {column.name for column in table.columns} - {"run"}
    if missing := sorted(expected - set(given)):
        raise ValueError(f"{table.file} lacks the columns {', '.join(missing)}")
    if unknown := sorted(set(given) - expected):
        raise ValueError(f"{table.file} has no columns {', '.join(unknown)}")


def _write_batches(
    folder: Path, table: Table, batches: Iterator[Mapping[str, ArrayLike]] | Sequence[Any], run: str, crs_wkt: str = ""
) -> None:
    import pyarrow.parquet as pq

    schema = arrow_schema(table, run, crs_wkt)
    kinds = {kind: [column.name for column in table.columns if column.kind == kind] for kind in ("text", "flag")}
    # Floats split by byte compress to a third; integers and stamps rise steadily, so their differences are short.
    encodings = {
        column.name: "BYTE_STREAM_SPLIT" if column.kind == "float" else "DELTA_BINARY_PACKED"
        for column in table.columns
        if column.kind not in kinds
    }
    with (
        atomic_write(folder / table.file) as file,
        pq.ParquetWriter(
            file, schema, compression="zstd", use_dictionary=kinds["text"], column_encoding=encodings
        ) as writer,
    ):
        for batch in batches:
            writer.write_table(_arrow_table(table, schema, batch, run))


def _arrow_table(table: Table, schema: pa.Schema, columns: Mapping[str, ArrayLike], run: str) -> pa.Table:
    import pyarrow as pa

    arrays = {column.name: from_numpy(columns[column.name], arrow_type(column.kind)) for column in table.columns[1:]}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of {table.file} differ in length: {lengths}")
    for column in table.columns[1:]:
        if not column.null and (nulls := arrays[column.name].null_count):
            raise ValueError(f"{nulls} values of {column.name!r} in {table.file} are missing, and none may be")
    names = from_numpy([run] * next(iter(lengths.values())), pa.string())
    return pa.Table.from_arrays([names, *arrays.values()], schema=schema)


def _geotiff(grid: Grid, raster: NDArray[np.float64], words: Sequence[str], unit: str, run: str) -> bytes:
    # Made in memory: GDAL reports a full disk late or never, our own writing does not.
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    profile = {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": len(raster),
        "dtype": "float64",
        "crs": grid.crs_wkt,
        "transform": Affine(*grid.transform),
        "nodata": np.nan,
        "compress": "deflate",
        "predictor": 3,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(raster)
            for band, text in enumerate(words, start=1):
                dataset.set_band_description(band, text)
                dataset.set_band_unit(band, unit)
            dataset.update_tags(run=run, hydrocli=hydrocli.__version__)
        return bytes(memory.read())
