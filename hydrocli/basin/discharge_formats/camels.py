"""`camels`: a folder of CAMELS with one file per basin, in the layouts of the US, GB, FR, CH and DE.

Files are known by the columns that they have; discharge in m3/s or l/s is preferred to that in mm. Values are means of
days, which are named by their date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

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
    read_each,
    require_folder,
)
from hydrocli.basin.tables import files_by_code, open_table, read_text
from hydrocli.errors import InputError

UNITS = {
    "discharge_vol": "m3/s",
    "discharge_vol(m3/s)": "m3/s",
    "discharge_vol_obs": "m3/s",
    "tsd_q_l": "l/s",
    "discharge_spec": "mm/day",
    "discharge_spec_obs": "mm/day",
    "discharge_spec(mm/d)": "mm/day",
    "tsd_q_mm": "mm/day",
}
"""Unit of each column of discharge, the preferred ones first."""
DATES = ("date", "tsd_date", "time")
US_SUFFIX = "_streamflow_qc.txt"
US_LAYOUT = "gauge, year, month, day, discharge and flag, with blanks between"


class CamelsFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`."""
        require_folder(source, "a folder of one file per basin")
        return files_by_code(source.path, codes, (".csv", ".txt"), WHERE)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`."""

        def read(path: Path, code: str) -> Records:
            return _read_us(path, source) if path.name.endswith(US_SUFFIX) else read_daily(path, source, UNITS)

        return read_each(paths, codes, read)


FORMAT = CamelsFormat()


def read_daily(path: Path, source: DischargeSource, units: Mapping[str, str]) -> Records:
    """Daily means of a table of one gauge.

    Args:
        path: of the table.
        source: see `DischargeSource`.
        units: of the columns that hold discharge, the preferred ones first.

    Raises:
        InputError: the table has no column of discharge or of dates.
    """
    known = set(units) | set(DATES)
    table = open_table(path, lambda cells: len(known & {cell.lower() for cell in cells}) >= 2)
    discharge = column_of(table, source, "discharge", tuple(units))
    date = column_of(table, source, "time", DATES)
    if discharge is None or date is None:
        what = f"has no column {' or '.join(units) if discharge is None else ' or '.join(DATES)}"
        shown = f"It has {', '.join(table.names[:12])}. Name the column in `{SECTION}.columns`."
        raise InputError(str(path), what, shown)
    read = table.read({"time": date, "discharge": discharge})
    stamps = parse(read.frame["time"], source.date_format, read.where, DATE_FORMAT)
    unit = units.get(discharge.lower(), "m3/s")
    layout = f"{read.written}; time from {date}, discharge from {discharge}"
    return Records(stamps, read.frame["discharge"], read.where, unit=unit, label="start", layout=layout)


def _read_us(path: Path, source: DischargeSource) -> Records:
    """A file of CAMELS-US: gauge, year, month, day, discharge in cubic feet per second, flag; blanks between."""
    import pandas as pd

    rows = [(number, line.split()) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    for number, cells in rows:
        if len(cells) < 5:
            what = f"has {len(cells)} values, gauge, year, month, day and discharge are expected"
            raise InputError(f"{path}:{number}", what, "Is this a file of CAMELS-US?")
    lines = [number for number, _ in rows]
    dates = pd.Series(["-".join(cells[1:4]) for _, cells in rows], index=lines, dtype="string")

    def where(line: int) -> str:
        return f"{path}:{line}"

    stamps = parse(dates, "%Y-%m-%d", where, DATE_FORMAT)
    values = pd.Series([cells[4] for _, cells in rows], index=lines, dtype="object")
    flags = pd.Series([cells[5] if len(cells) > 5 else "" for _, cells in rows], index=lines, dtype="object")
    return Records(stamps, values, where, flags if source.flags is not None else None, "cfs", "start", US_LAYOUT)
