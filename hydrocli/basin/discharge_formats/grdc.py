"""`grdc`: a folder of text files of the Global Runoff Data Centre, one per station, of daily or monthly means in m3/s.

A file begins with lines of #; one of them holds the number of the station, by which it is known beside its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydrocli.basin.clock import parse
from hydrocli.basin.discharge_formats import (
    DATE_FORMAT,
    WHERE,
    DischargeSource,
    Found,
    Period,
    Records,
    read_each,
    require_folder,
)
from hydrocli.basin.tables import files_by_code, open_table
from hydrocli.errors import InputError

NO_TIME = "--:--"
"""In place of the time of day of a daily mean."""


class GrdcFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`."""
        require_folder(source, "a folder of one text file per station, such as 6335020_Q_Day.Cmd.txt")
        return files_by_code(source.path, codes, (".txt", ".day", ".csv"), WHERE)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`."""
        return read_each(paths, codes, lambda path, code: _read(path, source))


FORMAT = GrdcFormat()


def _read(path: Path, source: DischargeSource) -> Records:
    table = open_table(path, lambda cells: cells[:1] == ["YYYY-MM-DD"])
    if table.names[:1] != ("YYYY-MM-DD",):
        raise InputError(str(path), "has no line YYYY-MM-DD;hh:mm; Value", "Is this a file of GRDC?")
    names = {name.lower(): name for name in table.names}
    value = names.get("value") or names.get("original") or table.names[-1]
    clock = names.get("hh:mm")
    read = table.read({"date": table.names[0], "value": value} | ({"clock": clock} if clock else {}))
    time = read.frame["date"].str.strip()
    if clock and not (read.frame["clock"].str.strip().isin([NO_TIME, ""])).all():
        time = time + " " + read.frame["clock"].str.strip()
    stamps = parse(time, source.date_format, read.where, DATE_FORMAT)
    return Records(stamps, read.frame["value"], read.where, label="start", layout=f"discharge from {value}")
