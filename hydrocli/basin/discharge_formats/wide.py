"""`wide`: one table, CSV or Parquet, with a column of times and a column for each gauge, named by its code.

A column of flags of a gauge has its code in its name, between other characters: `Y1232510_flag`, `qualite Y1232510`.
A text may have several lines of headers: the last one with a code names the columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydrocli.basin.clock import parse
from hydrocli.basin.discharge_formats import (
    DATE_FORMAT,
    SECTION,
    DischargeSource,
    Found,
    Period,
    Records,
    column_of,
)
from hydrocli.basin.tables import open_table
from hydrocli.errors import InputError

TIMES = ("time", "date", "datetime", "timestamp", "index")
MOST_HEADERS = 5
"""Lines below the names of the columns that may hold units and other texts in place of a time."""


class WideFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`."""
        return (os.fspath(source.path),)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`."""
        wanted = set(codes)
        table = open_table(Path(paths[0]), lambda cells: bool(wanted & set(cells)))
        time = column_of(table, source, "time", TIMES) or table.names[0]
        there = [code for code in codes if code in table.names]
        if not there:
            what = f"has a column for none of the gauges; its columns are {', '.join(table.names[:6])}"
            near = {name.lstrip("0"): name for name in table.names}
            found = next((near[code.lstrip("0")] for code in codes if code.lstrip("0") in near), None)
            remedy = f"Did you mean {found}?" if found else "Columns are named by the codes of the gauges."
            raise InputError(paths[0], what, remedy)
        flags = {code: _flags_of(code, table.names, source) for code in there}
        unread = [name for name in flags.values() if name]
        if source.flags is None and unread:
            notes.append(
                f"{paths[0]}: flags are not read ({', '.join(unread[:3])}); `{SECTION}.flags` names those to keep"
            )
        elif source.flags is not None and not unread:
            raise InputError(f"{SECTION}.flags", f"{paths[0]} has no column of flags", "Remove the key.")
        kept = {f"flag {code}": name for code, name in flags.items() if name and source.flags is not None}
        read = table.read({"time": time} | {f"value {code}": code for code in there} | kept)
        frame = read.frame
        text = frame["time"].head(MOST_HEADERS).astype("string")
        more = 0
        while more < len(text) and table.layout and not re.search(r"\d{2}", str(text.iloc[more])):
            more += 1
        frame = frame.iloc[more:]
        stamps = parse(frame["time"], source.date_format, read.where, DATE_FORMAT)
        layout = f"{read.written}; time from {time}, a column for each gauge"
        return {
            code: Records(stamps, frame[f"value {code}"], read.where, frame.get(f"flag {code}"), layout=layout)
            for code in there
        }


FORMAT = WideFormat()


def _flags_of(code: str, names: Sequence[str], source: DischargeSource) -> str | None:
    """Name of the column with the flags of a gauge."""
    stated = source.columns.get("flag")
    if stated is not None:
        name = stated.replace("{code}", code)
        return name if name in names else None
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(code)}(?![A-Za-z0-9])")
    return next((name for name in names if name != code and word.search(name)), None)
