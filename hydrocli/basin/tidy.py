"""Tables of discharge, CSV or Parquet, with the columns gauge, time, discharge [m3/s]; times without zone are UTC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from hydrocli.arrays import Floats
from hydrocli.basin.basin import Times
from hydrocli.basin.discharge import MISSING
from hydrocli.errors import InputError


def read_tidy(path: str, codes: Sequence[str], times: Times, discharge: Floats) -> None:
    """Write into `discharge` [g, t] what a table holds of the gauges at `times`; negative values are missing.

    Raises:
        InputError: for numbers or times that are none, two values of a gauge at one time, times between the stamps.
    """
    table = _table(path)
    table = table[table["gauge"].isin(codes)]
    when = _times(path, table["time"])
    values = pd.to_numeric(table["discharge"], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    text = table["discharge"].astype("string").str.strip().str.lower().fillna("")
    junk = table[(np.isnan(values) & ~text.isin(MISSING).to_numpy(bool)) | np.isinf(values)]
    if len(junk):
        raise InputError(f"{path}:{junk.index[0] + 2}", f"{junk['discharge'].iloc[0]!r} is not a discharge")
    repeated = table[pd.DataFrame({"gauge": table["gauge"].to_numpy(), "time": when}).duplicated().to_numpy()]
    if len(repeated):
        row = repeated.iloc[0]
        what = f"gauge {row['gauge']} has two values at {row['time']} ({len(repeated)} duplicates)"
        raise InputError(path, what, "Keep one.")
    within = (when >= times[0]) & (when <= times[-1])
    place = np.searchsorted(times, when[within])
    if np.any(times[place] != when[within]):
        stray = when[within][times[place] != when[within]][0]
        raise InputError(path, f"has a value at {stray}, which is no stamp of the step", "Bring it to the step first.")
    gauge = pd.Index(list(codes)).get_indexer(table["gauge"][within].to_numpy(object))
    discharge[gauge, place] = np.where(values[within] < 0, np.nan, values[within])


def _table(path: str) -> pd.DataFrame:
    """The three columns of a tidy table, gauge as text."""
    columns = ["gauge", "time", "discharge"]
    try:
        if path.lower().endswith((".parquet", ".pq")):
            table = pd.read_parquet(path, columns=columns)
        else:
            table = pd.read_csv(path, usecols=columns, dtype="string[pyarrow]", skip_blank_lines=False)
    except FileNotFoundError:
        raise InputError(path, "does not exist") from None
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InputError(path, f"cannot be read ({error})", f"It needs the columns {', '.join(columns)}.") from error
    table["gauge"] = table["gauge"].astype("string").str.strip()
    return table.reset_index(drop=True)


def _times(path: str, column: pd.Series[str]) -> Times:
    """Times in UTC, datetime64[s]."""
    form = "ISO8601" if pd.api.types.is_string_dtype(column) else None
    try:
        utc = pd.to_datetime(column, utc=True, format=form).dt.tz_localize(None)
    except ValueError as error:
        raise InputError(path, f"has a time that is none ({error})", "Write times like 2014-09-15T01:00Z.") from error
    if utc.isna().any():
        raise InputError(path, "has rows without a time")
    return utc.to_numpy("datetime64[s]")
