"""`tidy`: one table for all gauges, CSV or Parquet, with the columns gauge, time, discharge; others are left out.

Parquet may be a folder of parts. Codes that a table holds as numbers have lost their leading zeros: they are those of
the gauges with the same number.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

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
from hydrocli.basin.tables import Columns, Table, code_text, open_table
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
        read = table.read({role: name for role, name in columns.items() if name})
        if read.others:
            notes.append(f"{paths[0]}: columns that are not read: {', '.join(read.others)}")
        layout = f"{read.written}; {', '.join(f'{role} from {name}' for role, name in columns.items())}"
        return records_by_gauge(read, source, codes, notes, layout=layout)


FORMAT = TidyFormat()


def records_by_gauge(
    table: Columns, source: DischargeSource, codes: Sequence[str], notes: list[str], **facts: Any
) -> Found:
    """Records of the gauges wanted from columns gauge, time, discharge and perhaps flag; `facts` are theirs.

    Raises:
        InputError: a time is none; or the table has none of the gauges but similar ones.
    """
    import pandas as pd

    frame = table.frame
    is_number = pd.api.types.is_numeric_dtype(frame["gauge"])
    there = {value: code_text(value) for value in frame["gauge"].dropna().unique().tolist()}
    by_number = {code.lstrip("0"): code for code in codes} if is_number else {}
    names = {value: by_number.get(text.lstrip("0"), text) for value, text in there.items()}
    restored = [f"{text} is {names[value]}" for value, text in there.items() if names[value] != text]
    if restored:
        notes.append(f"{table.path}: codes are numbers, without leading zeros: {', '.join(restored[:5])}")
    gauge = frame["gauge"].map(names).astype("object")
    wanted = frame[gauge.isin(codes)]
    if wanted.empty:
        _refuse_similar(table, codes, list(there.values()))
        shown = ", ".join(list(there.values())[:5])
        notes.append(f"{table.path} has none of the gauges; it has {shown or 'no row'}")
        return {}
    stamps = parse(wanted["time"], source.date_format, table.where, DATE_FORMAT)
    found: Any = wanted.groupby(gauge[wanted.index], sort=False).indices
    places: dict[str, Any] = dict(found)
    return {
        code: Records(
            stamps.take(rows),
            wanted["discharge"].iloc[rows],
            table.where,
            wanted["flag"].iloc[rows] if "flag" in wanted else None,
            **facts,
        )
        for code, rows in places.items()
    }


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
