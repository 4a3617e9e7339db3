"""The table of the catchments of a campaign: CSV, Parquet or GeoPackage with a column `code`; others as they are."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from hydrocli.errors import InputError

Row = dict[str, Any]
EMPTY = {"", "na", "nan", "null"}
"""Texts of a CSV, in small letters, that stand for no value."""


def read_catchments(path: Path) -> list[Row]:
    """Rows of a table by name of the column; texts in a CSV, typed values else, None where there is none.

    Raises:
        InputError: the table cannot be read, is empty, or has no column `code` or a row without one.
    """
    try:
        rows = _csv(path) if path.suffix.lower() in (".csv", ".txt", ".tsv") else _frame(path)
    except FileNotFoundError:
        raise InputError(str(path), "does not exist") from None
    except (OSError, ValueError, RuntimeError) as error:
        what = f"cannot be read as a table ({error})"
        raise InputError(str(path), what, "Write it as CSV, Parquet or GeoPackage.") from error
    if not rows:
        raise InputError(str(path), "has no row")
    if "code" not in rows[0]:
        raise InputError(str(path), "has no column code", f"It has {', '.join(rows[0])}.")
    for number, row in enumerate(rows, start=2):
        if row["code"] is None:
            raise InputError(f"{path}:{number}", "has no code")
        row["code"] = str(row["code"])
    return rows


def _csv(path: Path) -> list[Row]:
    text = path.read_text(encoding="utf-8-sig")
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    return [
        {name.strip(): _text(value) for name, value in row.items() if isinstance(name, str)}
        for row in reader
        if any(_text(value) for value in row.values())
    ]


def _text(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return None if text.lower() in EMPTY else text


def _frame(path: Path) -> list[Row]:
    # Only these formats need pandas, which takes as long to import as all the rest of this room.
    import pandas as pd
    import pyogrio

    if path.suffix.lower() in (".parquet", ".pq"):
        frame = pd.read_parquet(path)
        frame = frame.drop(columns=[name for name in frame.columns if name == "geometry"])
    else:
        if not path.exists():
            raise FileNotFoundError
        frame = pyogrio.read_dataframe(path, read_geometry=False)
    return [{str(name): _value(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _value(value: Any) -> Any:
    """A value of pandas in plain Python."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return [_value(part) for part in value]
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
