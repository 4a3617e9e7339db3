"""Forcing files behind one protocol: a format is one module of this package.

A reader answers two questions: which fields lie below a path and when they are valid (`Reader.find`,
`Reader.find_days`), and what a field holds at some points (`Reader.sampler`). Nothing outside this package knows a
format.

To add a format, write a module `hydrocli/basin/readers/<format>.py` that ends with `READER = ...`, an object with the
methods of `Reader`, and a test. The name of the module is the value of `format` in the configuration.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats
from hydrocli.basin.basin import Times
from hydrocli.basin.containers import has_suffix, is_archive, members
from hydrocli.basin.listings import note_folder, note_opened
from hydrocli.basin.sampling import Points as Points
from hydrocli.basin.sampling import Sampling as Sampling
from hydrocli.errors import InputError

HUGE = 1e30
"""No measured value is as large."""


class UnreadableError(InputError):
    """A file that is not there, or cannot be decoded."""


@dataclass(frozen=True)
class ForcingSource:
    """Where a forcing is, and what the configuration says of its files.

    Attributes:
        path: file, or folder tree of files.
        format: one of `hydrocli.basin.formats.FORMATS`.
        scale_factor: scale_factor * value + add_offset is in `unit`; applied after what the file itself declares.
        add_offset: see `scale_factor`.
        unit: of the values; None: that of the files, or mm per step, mm per day, degrees C where they state none.
        variable: name in the file; None where it has one variable only.
        packing: whether a scale and offset of the files are applied (`apply`) or not (`ignore`); None applies them
            where the configuration gives none, and refuses both together.
        nodata: values of the files, before any scaling, that mean missing besides those the files declare.
        pattern: of the names of the files (`hydrocli.basin.patterns`), the first that fits; empty: the built-in rule.
        label: whether the time of a field is the `start` or the `end` of its step; None: see `Reader.label`.
        offset: added to the times of the files [s].
        tolerance: a time this near to that of a step is taken for it [s].
        timezone: of the times of the files; see `hydrocli.basin.time_zones`.
        accumulated: `day`: values grow from the start of each day (UTC), differences are taken; None: they do not.
        band: number of the band that holds the values, from 1; None where there is one only.
        band_step: between the bands of a file that have no times of their own; the first has that of the name [s].
        resampling: `mean`, `nearest` or `bilinear`; None: see `hydrocli.basin.sampling`.
        crs: of the files, whatever they say; None: what they say.
        gauge: code of the one gauge of a lumped basin, whose table in a folder is read; empty: it is not lumped.
    """

    path: Path
    format: str = "geotiff"
    scale_factor: float = 1.0
    add_offset: float = 0.0
    unit: str | None = None
    variable: str | None = None
    packing: str | None = None
    nodata: tuple[float, ...] = ()
    pattern: tuple[str, ...] = ()
    label: str | None = None
    offset: int = 0
    tolerance: int = 0
    timezone: str = "UTC"
    accumulated: str | None = None
    band: int | None = None
    band_step: int = 0
    resampling: str | None = None
    crs: str | None = None
    gauge: str = ""


class Layer(NamedTuple):
    """One field of a file: the only band of a GeoTIFF, a time of a NetCDF file."""

    path: str
    number: int = 0


@dataclass(frozen=True)
class Archive:
    """Fields of one variable, by time.

    Attributes:
        times: datetime64[s][k], when the fields are valid, sorted and distinct; on a local clock the hour at the end
            of summer time may be there twice.
        layers: k fields.
        has_bounds: whether the files state the interval of each field, so that `times` are its ends; else they are
            the labels of the files.
        notes: sentences worth a warning.
        names: an example of how the dates in the names were read; empty where the times are not from names.
    """

    times: Times
    layers: tuple[Layer, ...]
    has_bounds: bool = False
    notes: tuple[str, ...] = ()
    names: str = ""

    @property
    def is_daily(self) -> bool:
        """Whether no calendar day has more than one field, and every field has the same hour."""
        days = self.times.astype("datetime64[D]")
        return len(np.unique(days)) == len(days) and len(np.unique(self.times - days)) <= 1

    def between(self, first: np.datetime64, last: np.datetime64) -> Archive:
        """The part with first <= time <= last."""
        low, high = np.searchsorted(self.times, first), np.searchsorted(self.times, last, side="right")
        return replace(self, times=self.times[low:high], layers=self.layers[low:high])


class Variable(NamedTuple):
    """A quantity that a file holds.

    Attributes:
        name: value of `ForcingSource.variable`; empty where the format has no names.
        words: what its attributes say that it is.
        unit: as it is written there; empty where there is none.
    """

    name: str
    words: str
    unit: str


class FileFacts(NamedTuple):
    """What a file says of a field.

    Attributes:
        unit: as it is written there; empty where there is none.
        is_packed: whether it declares a scale or an offset of its values.
        sampling: how the points get their values.
    """

    unit: str
    is_packed: bool
    sampling: Sampling


class Sampler(Protocol):
    """Reads fields at n points; usable within its `with` block, and to be pickled outside of it.

    Attributes:
        points: where.
    """

    points: Points

    def __enter__(self) -> Self:
        """Open what reading needs."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    def read(self, layer: Layer) -> Floats:
        """Values float64[n] in the unit of the file, NaN where missing.

        Packing is applied unless the source says `ignore`; fill values of the file and of the source are missing.

        Raises:
            UnreadableError: the file is not there or broken.
            InputError: it is another file than expected, or covers no point.
        """
        ...

    def read_many(self, layers: Sequence[Layer]) -> Floats:
        """Values float64[k, n] of k fields, each as of `read`; raises as that, for one of them."""
        ...

    def facts(self, layer: Layer) -> FileFacts:
        """What the file says of the field; raises as `read`."""
        ...

    def check(self, layer: Layer) -> None:
        """Raise as `read`, as far as this shows without decoding values; thousands of files are checked in seconds."""
        ...


class Reader(Protocol):
    """A format of forcing files.

    Attributes:
        label: what the time of a field means where `Archive.has_bounds` is False; part of a sentence for the user.
        suffixes: of its files, small letters.
    """

    label: str
    suffixes: tuple[str, ...]

    def find(self, source: ForcingSource, where: str) -> Archive:
        """List the fields below a path.

        Args:
            source: path and variable.
            where: key of the configuration, for messages.

        Raises:
            InputError: there is none, two have the same time, or a file cannot be understood.
        """
        ...

    def find_days(self, source: ForcingSource, where: str) -> Mapping[str, Layer]:
        """The field of each day of the year, by 'mmdd'; arguments and errors as of `find`."""
        ...

    def variables(self, path: str) -> tuple[Variable, ...]:
        """What a file holds, for those who do not know it yet.

        Raises:
            UnreadableError: it is broken.
            InputError: it is another file than the format has.
        """
        ...

    def sampler(self, source: ForcingSource, points: Points) -> Sampler:
        """What reads fields of the format at some points."""
        ...


def reader_of(source: ForcingSource) -> Reader:
    """The reader of the format of a source."""
    reader: Reader = import_module(f"{__name__}.{source.format}").READER
    return reader


def is_missing(raw: NDArray[Any], nodata: Iterable[float | None]) -> Flags:
    """Where values of a file, before any scaling, are one of its fill values, None is none of them.

    Fill values of float32 are often rounded in tags and texts: one beyond 1e30 stands for all of its sign.
    """
    found = np.isnan(raw) if raw.dtype.kind == "f" else np.zeros(raw.shape, bool)
    for value in nodata:
        if value is None:
            continue
        if raw.dtype.kind in "iu":
            limits = np.iinfo(raw.dtype)
            if value == np.rint(value) and limits.min <= value <= limits.max:  # else no integer equals it
                found |= raw == int(value)
        elif abs(value) > HUGE:
            found |= (raw * np.sign(value)) > HUGE
        else:
            found |= raw == np.asarray(value, raw.dtype)
    return found


def find_files(folder: Path, suffixes: tuple[str, ...], where: str) -> list[str]:
    """Paths of all files below a folder that end with one of the suffixes (small letters), links followed, sorted.

    Files in archives and compressed ones are among them (`hydrocli.basin.containers`). The path may be one file, too.

    Raises:
        InputError: the folder, or one below it, or an archive, cannot be listed; `where` is the key that names it.
    """
    if folder.is_file():
        note_opened(os.fspath(folder))
        if not is_archive(folder.name):
            return [os.fspath(folder)]
        return sorted(_members(os.fspath(folder), suffixes, where))
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(where, f"{folder} {what}", "Relative paths start from the folder of the YAML file.")
    waiting, seen, found = [os.fspath(folder)], set(), []
    while waiting:
        here = waiting.pop()
        try:
            identity = os.stat(here)  # noqa: PTH116 - tens of thousands of names
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            note_folder(here, identity)
            with os.scandir(here) as entries:
                for entry in entries:
                    if has_suffix(entry.name, suffixes):
                        found.append(entry.path)
                    elif entry.is_dir():
                        waiting.append(entry.path)
                    elif is_archive(entry.name):
                        found += _members(entry.path, suffixes, where)
        except OSError as error:
            remedy = "Change its permissions, or move it out of this folder."
            raise InputError(where, f"{here} cannot be listed ({error.strerror})", remedy) from error
    return sorted(found)


def _members(archive: str, suffixes: tuple[str, ...], where: str) -> list[str]:
    note_opened(archive)
    try:
        return members(archive, suffixes)
    except OSError as error:
        remedy = "Replace it by a sound copy, or move it out of this folder."
        raise InputError(where, f"{archive} cannot be listed ({error.strerror or error})", remedy) from error


def refuse_duplicates(named: Iterable[tuple[object, Layer]], where: str, remedy: str = "") -> None:
    """Refuse two layers of one date; `remedy` is what helps besides keeping one of them.

    Raises:
        InputError: names both.
    """
    seen: dict[object, Layer] = {}
    for date, layer in named:
        if date in seen:
            first, second = seen[date], layer
            files = f"{first.path} and {second.path} have" if first.path != second.path else f"{first.path} has twice"
            raise InputError(where, f"{files} the same date {date}", f"Keep one of them below this folder{remedy}.")
        seen[date] = layer
