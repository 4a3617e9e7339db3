"""Formats whose files hold whole images, which are decoded at once: radar composites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.containers import file_of
from hydrocli.basin.grid import Grid
from hydrocli.basin.listings import note_opened
from hydrocli.basin.readers import Archive, FileFacts, ForcingSource, Layer, Variable
from hydrocli.basin.readers._files import archive_of, days_of_archive, files_of, reading
from hydrocli.basin.sampling import Points, Sampling
from hydrocli.errors import InputError


class Field(NamedTuple):
    """What a file says of a field: its interval (both ends alike where it is of a moment), and its number in it."""

    first: np.datetime64
    last: np.datetime64
    number: int


class Image(NamedTuple):
    """A field.

    Attributes:
        values: float64[height, width], rows from the north; NaN where missing.
        grid: of them.
        unit: that the format or the file states.
        is_packed: whether a scale or an offset is declared.
    """

    values: Floats
    grid: Grid
    unit: str
    is_packed: bool


@dataclass(frozen=True)
class ImageReader:
    """Files with one or more images of stated times; see `Reader`.

    Attributes:
        name: of the format.
        suffixes, label: see `Reader`.
        fields: those of a file that belong to a source.
        image: one of them; its last argument is the number.
    """

    name: str
    suffixes: tuple[str, ...]
    label: str
    fields: Callable[[str, ForcingSource], list[Field]]
    image: Callable[[str, ForcingSource, int], Image]

    def find(self, source: ForcingSource, where: str) -> Archive:
        """See `Reader`; opens every file once."""
        named, intervals = list[tuple[np.datetime64, Layer]](), dict[bool, str]()
        for path in files_of(source, self.suffixes, where):
            note_opened(file_of(path))
            with reading(path, self.name):
                for found in self.fields(path, source):
                    named.append((found.last, Layer(path, found.number)))
                    intervals.setdefault(bool(found.first < found.last), path)
        if len(intervals) > 1:
            what = f"{intervals[True]} holds fields of an interval, {intervals[False]} fields of a moment"
            raise InputError(where, what, "Keep files of one kind below it.")
        return archive_of(named, where, has_bounds=True in intervals, timezone=source.timezone)

    def find_days(self, source: ForcingSource, where: str) -> dict[str, Layer]:
        """See `Reader`; the year of the times does not count."""
        return days_of_archive(self.find(source, where), where)

    def variables(self, path: str) -> tuple[Variable, ...]:
        """See `Reader`: images of these formats are of rain."""
        source = ForcingSource(Path(path))
        with reading(path, self.name):
            self.fields(path, source)
            return (Variable("", "precipitation", self.image(path, source, 0).unit),)

    def sampler(self, source: ForcingSource, points: Points) -> ImageSampler:
        """See `Reader`."""
        return ImageSampler(points, source, self.name, self.fields, self.image)


@dataclass
class ImageSampler:
    """Reads images at n points; see `Sampler`.

    Attributes:
        points: where.
        source: what the configuration says of the files.
        name, fields, image: see `ImageReader`.
    """

    points: Points
    source: ForcingSource
    name: str
    fields: Callable[[str, ForcingSource], list[Field]]
    image: Callable[[str, ForcingSource, int], Image]
    _samplings: dict[Grid, Sampling] = field(default_factory=dict)

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
        sampling = self._sampling(image.grid, layer.path)
        return sampling.values(image.values[sampling.rows, sampling.columns])

    def read_many(self, layers: Sequence[Layer]) -> Floats:
        """See `Sampler.read_many`."""
        return np.stack([self.read(layer) for layer in layers])

    def facts(self, layer: Layer) -> FileFacts:
        """See `Sampler.facts`."""
        image = self._image(layer)
        return FileFacts(image.unit, image.is_packed, self._sampling(image.grid, layer.path))

    def check(self, layer: Layer) -> None:
        """See `Sampler.check`: the header, or the attributes."""
        with reading(layer.path, self.name):
            self.fields(layer.path, self.source)

    def _image(self, layer: Layer) -> Image:
        with reading(layer.path, self.name):
            return self.image(layer.path, self.source, layer.number)

    def _sampling(self, grid: Grid, path: str) -> Sampling:
        if grid not in self._samplings:
            self._samplings[grid] = Sampling.of(grid, self.points, path, self.source.resampling)
        return self._samplings[grid]
