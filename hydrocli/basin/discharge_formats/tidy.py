"""`tidy`: one table for all gauges, CSV or Parquet, with the columns gauge, time, discharge; others are left out.

Parquet may be a folder of parts. Codes that a table holds as numbers have lost their leading zeros: they are those of
the gauges with the same number.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hydrocli.arrays import Integers
from hydrocli.basin.clock import parse
from hydrocli.basin.discharge_formats import (
    DATE_FORMAT,
    SECTION,
    WHERE,
    DischargeSource,
    Found,
    Period,
    Records,
    column_of,
)
from hydrocli.basin.sharing import shared
from hydrocli.basin.tables import Columns, Table, code_text, open_table, parts_of
from hydrocli.errors import InputError

COLUMNS = {
    "gauge": ("gauge", "code", "gauge_id"),
    "time": ("time", "date", "datetime", "timestamp"),
    "discharge": ("discharge", "value", "streamflow", "q"),
}
"""Names that columns have, in small letters."""


class TidyFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`."""
        return (os.fspath(source.path),)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`."""
        table = open_table(Path(paths[0]))
        columns = {role: column_of(table, source, role, known) for role, known in COLUMNS.items()}
        absent = [role for role, name in columns.items() if name is None]
        if absent:
            _explain(table.names, Path(paths[0]), absent)
        if source.flags is not None:
            columns["flag"] = column_of(table, source, "flag", ("flag", "quality", "qualifier"))
            if columns["flag"] is None:
                raise InputError(f"{SECTION}.columns.flag", f"{paths[0]} has no column flag", "Name the column.")
        wanted = {role: name for role, name in columns.items() if name}
        parts = ((part, os.stat(part)) for part in parts_of(table.path))  # noqa: PTH116 - texts
        states = (f"{part} {state.st_size} {state.st_mtime_ns}" for part, state in parts)
        read = shared(("tidy", *states, *map(str, wanted.items())), lambda: by_gauge(table.read(wanted)))
        if read.columns.others:
            notes.append(f"{paths[0]}: columns that are not read: {', '.join(read.columns.others)}")
        layout = f"{read.columns.written}; {', '.join(f'{role} from {name}' for role, name in wanted.items())}"
        return records_by_gauge(read, source, codes, notes, layout=layout)


FORMAT = TidyFormat()


class ByGauge(NamedTuple):
    """Columns gauge, time, discharge and perhaps flag of all gauges of a table.

    Attributes:
        columns: of the table.
        rows: int64[k], of each value of the column gauge.
    """

    columns: Columns
    rows: dict[Any, Integers]


def by_gauge(columns: Columns) -> ByGauge:
    """The rows of each gauge, so that those of some of them are found without looking at all."""
    found: Any = columns.frame.groupby("gauge", sort=False).indices
    return ByGauge(columns, dict(found))


def records_by_gauge(
    table: ByGauge, source: DischargeSource, codes: Sequence[str], notes: list[str], **facts: Any
) -> Found:
    """Records of the gauges wanted; `facts` are theirs.

    Raises:
        InputError: a time is none; or the table has none of the gauges but similar ones.
    """
    import pandas as pd

    columns = table.columns
    there = {value: code_text(value) for value in table.rows}
    is_number = pd.api.types.is_numeric_dtype(columns.frame["gauge"])
    by_number = {code.lstrip("0"): code for code in codes} if is_number else {}
    names = {value: by_number.get(text.lstrip("0"), text) for value, text in there.items()}
    restored = [f"{text} is {names[value]}" for value, text in there.items() if names[value] != text]
    if restored:
        notes.append(f"{columns.path}: codes are numbers, without leading zeros: {', '.join(restored[:5])}")
    rows: dict[str, list[Integers]] = {}
    for value, own in table.rows.items():
        if names[value] in codes:
            rows.setdefault(names[value], []).append(own)
    if not rows:
        _refuse_similar(columns, codes, list(there.values()))
        shown = ", ".join(list(there.values())[:5])
        notes.append(f"{columns.path} has none of the gauges; it has {shown or 'no row'}")
        return {}
    chosen = np.sort(np.concatenate([part for parts in rows.values() for part in parts]))
    wanted = columns.frame if len(chosen) == len(columns.frame) else columns.frame.take(chosen)
    stamps = parse(wanted["time"], source.date_format, columns.where, DATE_FORMAT)
    found: Found = {}
    for code, parts in rows.items():
        own = np.searchsorted(chosen, np.sort(np.concatenate(parts)))
        flags = wanted["flag"].iloc[own] if "flag" in wanted else None
        found[code] = Records(stamps.take(own), wanted["discharge"].iloc[own], columns.where, flags, **facts)
    return found


def _refuse_similar(table: Columns, codes: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a table without any of the gauges, where it has codes that differ by leading zeros or little else."""
    by_number = {text.lstrip("0"): text for text in there}
    for code in codes:
        near = by_number.get(code.lstrip("0")) or next(iter(get_close_matches(code, there, 1, 0.8)), None)
        if near:
            what = f"has no gauge {code}; it has {', '.join(there[:5])}"
            remedy = f"Did you mean {near}? Write the codes alike in both tables, as texts with their leading zeros."
            raise InputError(str(table.path), what, remedy)


def _explain(names: Sequence[str], path: Path, absent: Sequence[str]) -> None:
    """Refuse a table without some columns.

    Raises:
        InputError: always.
    """
    own = {name.lower() for name in names}
    if "time" not in absent and not own & {"gauge", "discharge"}:
        what = f"has no column {', '.join(absent)}"
        remedy = f"This looks like one column per gauge ({', '.join(names[:4])} ...): set `{SECTION}.format: wide`."
        raise InputError(str(path), what, remedy)
    Table(path, tuple(names), [], []).require(absent, f"gauge,time,discharge, or name them in `{SECTION}.columns`")
    raise InputError(WHERE, f"{path} has no column {', '.join(absent)}")
