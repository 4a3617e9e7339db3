"""Formats whose files hold whole images, which are decoded at once: radar composites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from hydrocli.arrays import Flags, Floats
from hydrocli.basin.basin import Times, day_of_step
from hydrocli.basin.grid import Grid
from hydrocli.basin.readers import (
    Archive,
    ForcingSource,
    Layer,
    Points,
    UnreadableError,
    find_files,
    refuse_duplicates,
)
from hydrocli.basin.readers._places import Place, place_on_grid
from hydrocli.errors import InputError


class Field(NamedTuple):
    """What a file says of a field: its interval (both ends alike where it is of a moment), and its number in it."""

    first: np.datetime64
    last: np.datetime64
    number: int


class Image(NamedTuple):
    """A field: values float64[height, width], NaN where missing, from north to south as its grid says; and its unit."""

    values: Floats
    grid: Grid
    unit: str


@dataclass(frozen=True)
class ImageReader:
    """Files with one or more images of stated times; see `Reader`.

    Attributes:
        name: of the format.
        suffixes: of its files, small letters; empty: all files.
        label: see `Reader`.
        fields: fields of a file; arguments are its path and the variable wanted, None for the only one.
        image: one of them; its last argument is the number.
    """

    name: str
    suffixes: tuple[str, ...]
    label: str
    fields: Callable[[str, str | None], list[Field]]
    image: Callable[[str, str | None, int], Image]

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`; opens every file once."""
        paths = find_files(source.path, self.suffixes, where)
        if not paths:
            ends = f"that ends with {', '.join(self.suffixes)}" if self.suffixes != ("",) else "in it"
            raise InputError(where, f"{source.path} has no file {ends}")
        named, intervals = list[tuple[np.datetime64, Layer]](), dict[bool, str]()
        for path in paths:
            with reading(path, self.name):
                for found in self.fields(path, source.variable):
                    named.append((found.last, Layer(path, found.number)))
                    intervals.setdefault(found.first < found.last, path)
        if len(intervals) > 1:
            what = f"{intervals[True]} holds fields of an interval, {intervals[False]} fields of a moment"
            raise InputError(where, what, "Keep files of one kind below it.")
        named.sort()
        refuse_duplicates([(str(time), layer) for time, layer in named], where)
        times: Times = np.array([time for time, _ in named], "datetime64[s]")
        return Archive(times, tuple(layer for _, layer in named), True in intervals)

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the year of the times does not count."""
        archive = self.find(source, where)
        days = day_of_step(archive.times) if archive.has_bounds else archive.times.astype("datetime64[D]")
        named = [(str(day)[5:7] + str(day)[8:10], layer) for day, layer in zip(days, archive.layers, strict=True)]
        refuse_duplicates(named, where)
        return dict(named)

    def sampler(self, source: ForcingSource, points: Points) -> ImageSampler:
        """See `Reader`."""
        return ImageSampler(points, self.name, self.image, source.variable)


@dataclass
class ImageSampler:
    """Reads images at n points; see `Sampler`.

    Attributes:
        points: where.
        name: of the format.
        image: see `ImageReader`.
        variable: see `ForcingSource`.
    """

    points: Points
    name: str
    image: Callable[[str, str | None, int], Image]
    variable: str | None
    _places: dict[Grid, Place] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Nothing to prepare: files are read whole."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def read(self, layer: Layer) -> Floats:
        """Values float64[n], NaN where missing; raises as `Sampler.read`."""
        image = self._image(layer)
        place = self._place(image.grid, layer.path)
        result = np.full(len(self.points), np.nan)
        result[place.covered] = image.values[place.row, place.column]
        return result

    def covered(self, layer: Layer) -> Flags:
        """Which of the points the image covers, bool[n]; raises as `read`."""
        return self._place(self._image(layer).grid, layer.path).covered

    def unit(self, layer: Layer) -> str:
        """The unit that the format or the file states; raises as `read`."""
        return self._image(layer).unit

    def _image(self, layer: Layer) -> Image:
        with reading(layer.path, self.name):
            return self.image(layer.path, self.variable, layer.number)

    def _place(self, grid: Grid, path: str) -> Place:
        if grid not in self._places:
            self._places[grid] = place_on_grid(grid, self.points, path)
        return self._places[grid]


@contextmanager
def reading(path: str, name: str) -> Iterator[None]:
    """Raise what goes wrong inside as `UnreadableError` of that path; `name` is that of the format."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableError(path, "does not exist, or not any more") from error
    except PermissionError as error:
        raise UnreadableError(path, "cannot be opened", "Change its permissions.") from error
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, IndexError, OverflowError, EOFError) as error:
        text = " ".join(str(error).split())
        remedy = "Replace it by a sound copy, or remove it."
        raise UnreadableError(path, f"cannot be read as {name} ({text[:200]})", remedy) from error


def needs(name: str, extra: str, error: ImportError) -> InputError:
    """The error of a format whose library is not installed."""
    what = f"needs the library {error.name}, which is not installed"
    return InputError(f"format: {name}", what, f"Install it with: pip install 'hydrocli[{extra}]'")
