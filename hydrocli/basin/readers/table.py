"""`table`: a series of a catchment as two columns of a CSV or Parquet table, one of times and one of values.

Every cell of the model has the value of the row: what lumped models take (`basin.domain: lumped`), or one rain gauge
for a small basin. The path may be a folder that has one table for each gauge, with its code in the name.

The column of values is the one that `variable` names, else that which is named by the code of the gauge, else the only
one beside the times. A unit may stand in its name: `precipitation(mm/d)`. Blanks and `NA` are missing, any other text
is an error with its line. Separator, decimal comma, encoding and the form of the times are found; `pattern` states that
of times whose day and month may be confused.

A date without a time of day names a day; the configuration says whether it begins or ends there (`label`). Archives
whose dates are known to be days say so themselves, such as `hydrocli.basin.readers.caravan`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.basin import DAY
from hydrocli.basin.clock import Stamps, parse
from hydrocli.basin.listings import note_folder, note_opened
from hydrocli.basin.readers import Archive, FileFacts, ForcingSource, Layer, Variable, is_missing
from hydrocli.basin.readers._files import archive_of, days_of_archive, reading
from hydrocli.basin.sampling import Points, Sampling
from hydrocli.basin.tables import MISSING, Columns, column_numbers, files_by_code, open_table
from hydrocli.errors import InputError

SUFFIXES = (".csv", ".txt", ".tsv", ".parquet")
TIMES = ("time", "date", "datetime", "timestamp", "index")
"""Names of the column of times, in small letters; where none is there it is the first one."""
_UNIT = re.compile(r"[(\[]([^()\[\]]+)[)\]]\s*$")


def unit_in_name(column: str) -> str:
    """What stands in brackets at the end of the name of a column; empty where nothing does."""
    found = _UNIT.search(column)
    return found[1].strip() if found else ""


@dataclass(frozen=True)
class TableReader:
    """Tables of times and values; see the module and `Reader`.

    Attributes:
        label: see `Reader`.
        unit: of a column, from its name; empty where it says nothing.
        has_days: whether dates are the days that their values are of, whatever the configuration says.
        suffixes: see `Reader`.
    """

    label: str = "a time of the table is the end of its step"
    unit: Callable[[str], str] = unit_in_name
    has_days: bool = False
    suffixes: tuple[str, ...] = SUFFIXES

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`."""
        archive, stamps = self._archive(source, where)
        if stamps.are_dates and not self.has_days and source.label is None:
            what = f"{archive.layers[0].path} has dates without a time of day: does a day begin or end there?"
            raise InputError(where, what, f"State `{where.rpartition('.')[0]}.label`: start or end.")
        return archive

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the year of the dates does not count."""
        return days_of_archive(self._archive(source, where)[0], where)

    def variables(self, path: str) -> tuple[Variable, ...]:
        """See `Reader`: all columns but that of the times."""
        names = open_table(Path(path)).names
        time = _time_of(names)
        return tuple(Variable(name, name, self.unit(name)) for name in names if name != time)

    def sampler(self, source: ForcingSource, points: Points) -> TableSampler:
        """See `Reader`."""
        return TableSampler(points, source, self.unit)

    def _archive(self, source: ForcingSource, where: str) -> tuple[Archive, Stamps]:
        section = where.rpartition(".")[0]
        path = _table_of(source, where)
        columns, _ = _columns(path, source, section)
        if not len(columns.frame):
            raise InputError(os.fspath(path), "has no row")
        form = source.pattern[0] if source.pattern else None
        stamps = parse(columns.frame["time"], form, columns.where, f"{section}.pattern")
        if stamps.is_utc.any() and source.timezone.upper() != "UTC":
            what = f"{path} states the offset of its times from UTC itself"
            raise InputError(f"{section}.timezone", what, "Remove the key.")
        times = stamps.times
        if self.has_days:
            times = np.asarray(times.astype("datetime64[D]").astype("datetime64[s]") + np.timedelta64(DAY, "s"))
        named = [(time, Layer(os.fspath(path), number)) for number, time in enumerate(times)]
        meaning = "is the day that ends at" if self.has_days else "is read as"
        example = f"{columns.frame['time'].iloc[0]} {meaning} {times[0]}"
        archive = archive_of(named, where, has_bounds=self.has_days, timezone=source.timezone)
        return Archive(archive.times, archive.layers, archive.has_bounds, archive.notes, example), stamps


READER = TableReader()


@dataclass
class TableSampler:
    """Gives all points the value of a row; see `Sampler`.

    Attributes:
        points: where.
        source: what the configuration says of the table.
        unit: see `TableReader`.
    """

    points: Points
    source: ForcingSource
    unit: Callable[[str], str]
    _values: dict[str, tuple[Floats, str]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Nothing to prepare: a table is read whole."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def read(self, layer: Layer) -> Floats:
        """Values float64[n], NaN where missing; raises as `Sampler.read`."""
        return np.array(self.read_many([layer])[0])

    def read_many(self, layers: Sequence[Layer]) -> Floats:
        """See `Sampler.read_many`."""
        values = [self._table(layer.path)[0][layer.number] for layer in layers]
        return np.repeat(np.array(values)[:, None], len(self.points), axis=1)

    def facts(self, layer: Layer) -> FileFacts:
        """See `Sampler.facts`: the unit in the name of the column."""
        count, pixel = len(self.points), slice(0, 1)
        everywhere = Sampling(
            pixel, pixel, np.ones(count, bool), "one value for all cells", place=np.zeros(count, np.int64)
        )
        return FileFacts(self._table(layer.path)[1], is_packed=False, sampling=everywhere)

    def check(self, layer: Layer) -> None:
        """See `Sampler.check`."""
        self._table(layer.path)

    def _table(self, path: str) -> tuple[Floats, str]:
        """All values of a table, and their unit.

        Raises:
            InputError: a value is no number.
        """
        if path not in self._values:
            with reading(path, "a table"):
                columns, name = _columns(Path(path), self.source, "forcing")
                column = columns.frame["value"]
                values = column_numbers(column)
            odd = np.flatnonzero(~np.isfinite(values))
            text = column.iloc[odd].astype("string").str.strip().fillna("").str.lower()
            odd = odd[~text.isin(MISSING).to_numpy(bool)]
            if odd.size:
                seen = str(column.iloc[odd[0]]).strip()
                where = columns.where(column.index[odd[0]])
                raise InputError(where, f"{seen!r} is not a number", "Correct it, or leave the value blank.")
            values[is_missing(values, self.source.nodata)] = np.nan
            self._values[path] = values, self.unit(name)
        return self._values[path]


def _table_of(source: ForcingSource, where: str) -> Path:
    """The table of a source: its path, or the one in the folder that bears the code of the gauge.

    Raises:
        InputError: there is none, or there are several.
    """
    path = source.path
    if not path.exists():
        raise InputError(where, f"{path} does not exist", "Relative paths start from the folder of the YAML file.")
    if path.is_dir():
        if not source.gauge:
            what = f"{path} is a folder, of which no table is that of a basin with many cells or gauges"
            raise InputError(
                where,
                what,
                "Name one table; or write `basin.domain: lumped`, and list one gauge in `gauges.calibration`.",
            )
        state = path.stat()
        note_folder(os.fspath(path), state)
        (found,) = files_by_code(path, [source.gauge], SUFFIXES, where)
        if not found:
            what = f"{path} has no table whose name holds the code {source.gauge}"
            raise InputError(where, what, f"Its suffix is one of {', '.join(SUFFIXES)}.")
        path = Path(found)
    note_opened(os.fspath(path))
    return path


def _columns(path: Path, source: ForcingSource, section: str) -> tuple[Columns, str]:
    """Columns `time` and `value` of a table, and the name of the latter in the table.

    Raises:
        InputError: it is not clear which column is meant, or the table cannot be read.
    """
    wanted = {*TIMES, *(name.lower() for name in (source.variable, source.gauge) if name)}
    table = open_table(path, lambda cells: len(wanted & {cell.lower() for cell in cells}) >= 2)
    time = _time_of(table.names)
    others = [name for name in table.names if name != time]
    asked = [source.variable] if source.variable else [source.gauge]
    found = [name for name in others if name.lower() in (str(one).lower() for one in asked)]
    if not found and not source.variable and len(others) == 1:
        found = others
    if not found:
        what = f"has no column {source.variable}" if source.variable else f"has {len(others)} columns beside {time}"
        shown = ", ".join(others[:12]) + (" ..." if len(others) > 12 else "")
        raise InputError(str(path), what, f"Name one of them with `{section}.variable`: {shown or 'there is none'}.")
    return table.read({"time": time, "value": found[0]}), found[0]


def _time_of(names: Sequence[str]) -> str:
    """Name of the column of times."""
    return next((name for name in names if name.lower() in TIMES), names[0] if names else "time")
