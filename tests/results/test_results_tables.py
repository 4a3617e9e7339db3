"""Every table: written, read back by us, pandas, polars and DuckDB with values, units and nulls as they were."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from results_examples import all_tables, example

from hydrocli.basin.grid import Grid
from hydrocli.errors import ConfigurationError, InputError
from hydrocli.results import read, read_many, schemas
from hydrocli.results.folder import RunFolder
from hydrocli.results.schemas import Table
from hydrocli.results.write import write_maps, write_series, write_table

TABLES = all_tables()


@pytest.fixture(params=TABLES, ids=[table.name for table in TABLES])
def table(request: pytest.FixtureRequest) -> Table:
    return request.param


def write(folder: Path, table: Table, grid: Grid, run: str = "cance", rows: int = 6) -> dict[str, object]:
    values = example(table, rows)
    write_table(folder, table, values, run=run, crs_wkt=grid.crs_wkt if table.is_map else "")
    return values


def as_seen(values: object) -> list[object]:
    """Values as Python has them, None for what is missing."""
    return [None if pd.isna(value) else value for value in np.asarray(values).tolist()]


def test_round_trip_with_units_and_nulls(table: Table, tmp_path: Path, grid: Grid) -> None:
    values = write(tmp_path, table, grid)
    arrow = pq.read_table(tmp_path / table.file)
    assert arrow.column_names == [column.name for column in table.columns]
    assert arrow["run"].to_pylist() == ["cance"] * 6
    for column in table.columns[1:]:
        field = arrow.schema.field(column.name)
        assert field.metadata[b"unit"].decode() == column.unit
        assert field.metadata[b"description"].decode() == column.description
        if column.kind == "time":
            assert str(field.type) == "timestamp[us, tz=UTC]"
            found = arrow[column.name].cast("timestamp[us]").to_numpy()
            np.testing.assert_array_equal(found, np.asarray(values[column.name]))
        else:
            assert arrow[column.name].to_pylist() == as_seen(values[column.name])
        assert arrow[column.name].null_count == bool(column.null)
    assert arrow.schema.metadata[b"run"] == b"cance"
    assert arrow.schema.metadata.get(b"crs", b"").decode() == (grid.crs_wkt if table.is_map else "")


def test_empty_table(table: Table, tmp_path: Path, grid: Grid) -> None:
    write(tmp_path, table, grid, rows=0)
    assert len(pd.read_parquet(tmp_path / table.file)) == 0


def test_pandas_and_duckdb_agree(table: Table, tmp_path: Path, grid: Grid) -> None:
    write(tmp_path, table, grid)
    path = tmp_path / table.file
    by_pandas = pd.read_parquet(path)
    by_duckdb = duckdb.sql(f"from '{path}'").df()
    assert list(by_duckdb.columns) == list(by_pandas.columns)
    for column in table.columns:
        if column.kind == "time":
            by_duckdb[column.name] = by_duckdb[column.name].dt.tz_convert("UTC")
    pd.testing.assert_frame_equal(by_duckdb, by_pandas, check_dtype=False)


def test_polars_reads_it(table: Table, tmp_path: Path, grid: Grid) -> None:
    polars = pytest.importorskip("polars")
    write(tmp_path, table, grid)
    frame = polars.read_parquet(tmp_path / table.file)
    assert frame.columns == [column.name for column in table.columns]
    assert frame.null_count().row(0) == tuple(int(bool(column.null)) for column in table.columns)


def test_units_are_there_for_sql(tmp_path: Path, grid: Grid) -> None:
    write(tmp_path, schemas.DISCHARGE, grid)
    query = f"select decode(value) from parquet_kv_metadata('{tmp_path}/discharge.parquet') where decode(key) = 'units'"
    [(units,)] = duckdb.sql(query).fetchall()
    assert json.loads(units) == {"time": "UTC", "observed": "m3/s", "simulated": "m3/s"}


def test_units_are_those_of_the_table_of_names() -> None:
    """But for the balance and the annual fluxes, whose depths are those of a year."""
    of_year = ("balance", "annual_fluxes")
    units = {column.name: column.unit for table in TABLES if table.name not in of_year for column in table.columns}
    assert {one.unit for one in schemas.ANNUAL_FLUXES.columns if one.kind == "float"} == {"d", "mm/year"}
    for quantity in schemas.known_quantities().values():
        if quantity.symbol in units:
            assert units[quantity.symbol] == quantity.unit


def test_storage_as_promised(tmp_path: Path) -> None:
    times = np.datetime64("2014-09-15", "s") + 3600 * np.arange(1, 1001)
    discharge = np.random.default_rng(1).gamma(2.0, 5.0, (2, 1000))
    columns = {"observed": discharge, "simulated": discharge * 1.1}
    write_series(tmp_path, schemas.DISCHARGE, ["A", "B"], times, columns, run="r")
    meta = pq.ParquetFile(tmp_path / "discharge.parquet").metadata
    assert meta.num_row_groups == 2
    for position in range(meta.num_columns):
        column = meta.row_group(1).column(position)
        assert column.compression == "ZSTD"
        if column.physical_type == "DOUBLE":
            assert "BYTE_STREAM_SPLIT" in column.encodings
    table = pq.read_table(tmp_path / "discharge.parquet")
    np.testing.assert_array_equal(table["observed"].to_numpy().reshape(2, 1000), discharge)
    assert table["gauge"].to_pylist() == ["A"] * 1000 + ["B"] * 1000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda columns: columns.pop("value"), "lacks the columns value"),
        (lambda columns: columns.update(colour=[1] * 6), "has no columns colour"),
        (lambda columns: columns.update(value=[1.0]), "differ in length"),
        (lambda columns: columns.update(gauge=[None] * 6), "6 values of 'gauge' in scores.parquet are missing"),
    ],
)
def test_wrong_columns_are_a_bug_that_says_which(change, says: str, tmp_path: Path) -> None:
    columns = example(schemas.SCORES)
    change(columns)
    with pytest.raises(ValueError, match=says):
        write_table(tmp_path, schemas.SCORES, columns, run="r")
    assert list(tmp_path.iterdir()) == []


def test_map_without_crs_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs their CRS"):
        write_table(tmp_path, schemas.parameters([]), example(schemas.parameters([])), run="r")


@pytest.mark.parametrize("name", ["area", "Level", "gauge", "ci"])
def test_descriptor_named_like_a_column_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is already a column of domain\.parquet"):
        schemas.domain(["slope", name])


def test_maps(tmp_path: Path, grid: Grid) -> None:
    import rasterio

    row, column = np.array([0, 2, 1]), np.array([3, 0, 1])
    write_maps(tmp_path, grid, row, column, {"cp": np.array([1.5, 2.5, np.nan]), "kexc": np.zeros(3)}, run="cance")
    with rasterio.open(tmp_path / "parameters" / "cp.tif") as dataset:
        raster = dataset.read(1)
        assert dataset.crs.to_epsg() == 2154
        assert tuple(dataset.transform)[:6] == grid.transform
        assert np.isnan(dataset.nodata)
        assert dataset.descriptions == ("cp: production capacity",)
        assert dataset.units == ("mm",)
        assert dataset.tags()["run"] == "cance"
        assert dataset.compression.name == "deflate"
    assert raster.dtype == np.float64
    assert np.isfinite(raster).sum() == 2
    assert (raster[0, 3], raster[2, 0]) == (1.5, 2.5)
    assert sorted(item.name for item in (tmp_path / "parameters").iterdir()) == ["cp.tif", "kexc.tif"]


def finished_run(path: Path, name: str, grid: Grid, tables: list[Table]) -> None:
    with RunFolder.open(path, name) as folder:
        folder.start()
        for table in tables:
            write(path, table, grid, name)
        folder.finish("All iterations done.")


def test_read_gives_frames_and_arrays(tmp_path: Path, grid: Grid) -> None:
    finished_run(tmp_path / "a", "a", grid, TABLES)
    run = read(tmp_path / "a")
    assert repr(run).startswith("Run('a', finished")
    assert run.discharge["observed"].isna().sum() == 1
    assert run.discharge.attrs["units"]["observed"] == "m3/s"
    assert run.parameters.attrs["crs"] == grid.crs_wkt
    assert run.scores is run.scores
    for table in TABLES:
        assert len(getattr(run, table.name)) == 6
    states = run.arrays("states")
    np.testing.assert_array_equal(states["hp"], example(schemas.states(["hi", "hp", "ht"]))["hp"])
    assert states["cell"].dtype == np.int64
    times = run.arrays("discharge")["time"]
    assert times.dtype == np.dtype("datetime64[us]")
    np.testing.assert_array_equal(times, example(schemas.DISCHARGE)["time"])


def test_reading_refuses_what_is_not_a_finished_run(tmp_path: Path, grid: Grid) -> None:
    path = tmp_path / "a"
    with pytest.raises(InputError, match="does not exist\n  Run `hydrocli calibrate` first"):
        read(path)
    path.mkdir()
    with pytest.raises(InputError, match="is not a run folder"):
        read(path)
    with RunFolder.open(path, "a") as folder:
        folder.start()
        with pytest.raises(InputError, match=r"not finished \(state: running by .*process"):
            read(path)
        folder.finish("Done.")
    with pytest.raises(InputError, match=r"events.parquet: does not exist\n  Run `hydrocli signatures"):
        _ = read(path).events
    write(path, schemas.EVENTS, grid)
    broken = (path / "events.parquet").read_bytes()
    for part in (b"", broken[:100], broken[:-10], broken[4:]):
        (path / "events.parquet").write_bytes(part)
        with pytest.raises(InputError, match=r"events\.parquet"):
            _ = read(path).events
    pd.DataFrame({"run": ["a"], "gauge": ["b"]}).to_parquet(path / "events.parquet")
    with pytest.raises(InputError, match="lacks discharge_peak, end, event"):
        _ = read(path).events
    (path / "manifest.json").write_text('{"format": "hydro')
    with pytest.raises(InputError, match="is not the manifest of a run"):
        read(path)


def test_many_runs_by_glob(tmp_path: Path, grid: Grid) -> None:
    finished_run(tmp_path / "a", "a", grid, [schemas.SCORES, schemas.parameters(["cp"])])
    finished_run(tmp_path / "b", "b", grid, [schemas.SCORES, schemas.parameters(["cp", "ct"])])
    scores = read_many(f"{tmp_path}/*", "scores")
    assert scores["run"].value_counts().to_dict() == {"a": 6, "b": 6}
    parameters = read_many(f"{tmp_path}/*", "parameters")
    assert parameters.loc[parameters["run"] == "a", "ct"].isna().all()
    assert parameters.attrs["crs"] == grid.crs_wkt
    counted = duckdb.sql(f"select run, count(*) from '{tmp_path}/*/scores.parquet' group by run order by run")
    assert counted.fetchall() == [("a", 6), ("b", 6)]
    both = duckdb.sql(f"select * from read_parquet('{tmp_path}/*/parameters.parquet', union_by_name = true)")
    assert "ct" in both.columns
    assert len(both) == 12

    with RunFolder.open(tmp_path / "c", "c"), pytest.warns(UserWarning, match=r"c is not finished \(state: created"):
        assert len(read_many(f"{tmp_path}/*", "scores")) == 12
    with pytest.raises(InputError, match="no folder matches"):
        read_many(f"{tmp_path}/z*", "scores")


def test_runs_with_different_crs_have_none_together(tmp_path: Path, grid: Grid) -> None:
    import pyproj

    finished_run(tmp_path / "a", "a", grid, [schemas.parameters(["cp"])])
    other = Grid(pyproj.CRS("EPSG:32631").to_wkt(), grid.transform, grid.height, grid.width)
    finished_run(tmp_path / "b", "b", other, [schemas.parameters(["cp"])])
    assert "crs" not in read_many(f"{tmp_path}/*", "parameters").attrs
