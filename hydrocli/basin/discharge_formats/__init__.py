"""Files of observed discharge behind one protocol: a format is one module of this package.

A format finds the files of the gauges and gives what they hold as it is written there: times, values, flags. What they
mean - marks of missing values, units, time zones, means over the step - is the same for all, in
`hydrocli.basin.discharge`.

To add a format, write a module `hydrocli/basin/discharge_formats/<format>.py` that ends with `FORMAT = ...`, an object
with the methods of `DischargeFormat`, and a test. The name of the module is the value of `format` in the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hydrocli.arrays import Floats, Integers
from hydrocli.basin.basin import Times
from hydrocli.basin.clock import Stamps
from hydrocli.basin.tables import LargeTable
from hydrocli.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SECTION = "gauges.discharge"
WHERE = f"{SECTION}.path"
DATE_FORMAT = f"{SECTION}.date_format"


@dataclass(frozen=True)
class DischargeSource:
    """Where the observations are, and what the configuration says of them; None: what the format has.

    Attributes:
        path: file or folder.
        format: one of `hydrocli.basin.formats.DISCHARGE_FORMATS`.
        unit: of the values.
        label: what a time is: `start` or `end` of the interval of its value, or the `instant` of a reading.
        interval: between two values [s].
        timezone: of times that do not state their offset from UTC.
        date_format: of times, as for `strptime`.
        columns: names in the files of time, gauge, discharge and flag.
        missing: marks of missing values, texts or numbers.
        flags: flags of the values that are kept; None: all of them, whatever their flag.
        max_gap: longest interval between irregular observations that is interpolated [s].
    """

    path: Path
    format: str = "smash"
    unit: str | None = None
    label: str | None = None
    interval: int | None = None
    timezone: str | None = None
    date_format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str | float, ...] = ()
    flags: tuple[str, ...] | None = None
    max_gap: int | None = None


@dataclass(frozen=True)
class Period:
    """What is wanted: t stamps at a step [s]."""

    times: Times
    step: int


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column of finite numbers, NaN where there is none, that takes no pandas: what most files of `smash` have.

    Attributes:
        index: int64[k], as of a series of pandas.
        values: float64[k].
    """

    index: Integers
    values: Floats


@dataclass(frozen=True)
class Records:
    """Observations of a gauge as a file has them.

    Attributes:
        stamps: of k rows.
        values: k texts or numbers; their index is given to `where`.
        where: file and line of a row.
        flags: k texts; None where there are none.
        unit: that the file states or the format has.
        label: see `DischargeSource`.
        layout: what the file is taken for, in words.
    """

    stamps: Stamps
    values: pd.Series[Any] | Numbers
    where: Callable[[int], str]
    flags: pd.Series[Any] | None = None
    unit: str = "m3/s"
    label: str | None = None
    layout: str = ""


Found = dict[str, Records | InputError]
"""Observations by gauge, or what is wrong with its file."""


class DischargeFormat(Protocol):
    """A format of files of discharge."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """Files that hold the observations: one for each gauge, '' for none; or some for all of them.

        Raises:
            InputError: there is none, or several of a gauge.
        """
        ...

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """Observations by gauge; sentences worth a warning are added to `notes`.

        Raises:
            HydrocliError: the files of all gauges cannot be understood.
        """
        ...


def format_of(name: str) -> DischargeFormat:
    """The format of a name."""
    found: DischargeFormat = import_module(f"{__name__}.{name}").FORMAT
    return found


def require_folder(source: DischargeSource, holds: str) -> None:
    """Refuse a path that is no folder; `holds` says what one of the format holds."""
    if not source.path.is_dir():
        raise InputError(WHERE, f"{source.path} is not a folder", f"The format {source.format} has {holds}.")


def read_each(paths: Sequence[str], codes: Sequence[str], read: Callable[[Path, str], Records | None]) -> Found:
    """Read the file of each gauge that has one."""
    found: Found = {}
    for code, path in zip(codes, paths, strict=True):
        try:
            records = read(Path(path), code) if path else None
            if records is not None:
                found[code] = records
        except InputError as error:
            found[code] = error
    return found


def column_of(table: LargeTable, source: DischargeSource, role: str, known: Sequence[str]) -> str | None:
    """Name of the column of a role: that which the configuration states, else the first of the known ones.

    Raises:
        InputError: the column that is stated is not there.
    """
    own = {name.lower(): name for name in reversed(table.names)}
    stated = source.columns.get(role)
    if stated is None:
        return next((own[name] for name in known if name in own), None)
    if stated in table.names:
        return stated
    if stated.lower() in own:
        return own[stated.lower()]
    shown = ", ".join(table.names[:12])
    raise InputError(f"{SECTION}.columns.{role}", f"{table.path} has no column {stated}", f"It has {shown}.")
