"""Tables round trip through Parquet (hypothesis): any values, any number of rows, whatever may be missing."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from results_examples import all_tables

from hydrocli.results.schemas import Column, Table
from hydrocli.results.write import write_table

# Microseconds in 64 bits reach further than the years 1 to 9999 that readers of Parquet agree on.
TIMES = st.datetimes().map(lambda time: np.datetime64(time, "us"))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    "time": TIMES,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "float": st.floats(allow_nan=False),
    "flag": st.booleans(),
}
MISSING = {"time": np.datetime64("NaT", "us"), "float": math.nan}


def column_values(column: Column, rows: int) -> st.SearchStrategy[list[Any]]:
    values = VALUES[column.kind]
    if column.null:
        values |= st.just(MISSING.get(column.kind))
    return st.lists(values, min_size=rows, max_size=rows)


@st.composite
def filled(draw: st.DrawFn) -> tuple[Table, dict[str, list[Any]]]:
    table = draw(st.sampled_from(all_tables()))
    rows = draw(st.integers(0, 5))
    return table, {column.name: draw(column_values(column, rows)) for column in table.columns[1:]}


def as_stored(column: Column, value: Any) -> Any:
    """A value as Parquet gives it back to Python, None where it is missing."""
    if value is None or value != value:
        return None
    return value.astype("datetime64[us]").item() if column.kind == "time" else value


@given(filled(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_values_come_back_as_they_were_written(given: tuple[Table, dict[str, list[Any]]], run: str) -> None:
    table, values = given
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder), table, values, run=run, crs_wkt="any" if table.is_map else "")
        arrow = pq.read_table(Path(folder) / table.file, partitioning=None)
    assert arrow["run"].to_pylist() == [run] * len(next(iter(values.values())))
    for column in table.columns[1:]:
        read = arrow[column.name]
        found = (read.cast("timestamp[us]") if column.kind == "time" else read).to_pylist()
        assert found == [as_stored(column, value) for value in values[column.name]], column.name


@given(st.sampled_from([table for table in all_tables() if any(not c.null for c in table.columns[1:])]), st.data())
def test_a_value_that_must_be_there_is_asked_for(table: Table, data: st.DataObject) -> None:
    required = data.draw(st.sampled_from([c for c in table.columns[1:] if not c.null and c.kind != "flag"]))
    values = {column.name: data.draw(column_values(column, 2)) for column in table.columns[1:]}
    values[required.name][1] = MISSING.get(required.kind)
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.raises(ValueError, match=f"1 values of '{required.name}'"),
    ):
        write_table(Path(folder), table, values, run="run", crs_wkt="any" if table.is_map else "")
