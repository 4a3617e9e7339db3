"""Tables of a run as the figures need them: columns with their units and words, and series by gauge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.results import Run
from hydrocli.results.schemas import TABLES

Array = NDArray[Any]
Times = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a table by name, all of one length, with the units and the words that the file gives them."""

    values: dict[str, Array]
    units: dict[str, str]
    words: dict[str, str]

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def label(self, name: str, words: str = "") -> str:
        """Label of an axis: description and unit."""
        unit = self.units.get(name, "")
        return f"{words or self.words.get(name, name)}" + (f" [{unit}]" if unit else "")

    def where(self, rows: NDArray[np.bool_]) -> Columns:
        """Some of the rows."""
        return replace(self, values={name: values[rows] for name, values in self.values.items()})


def found(run: Run, name: str) -> Columns | None:
    """A table of a run, or None where the run has not written it, or nothing in it.

    Raises:
        InputError: the file is broken.
    """
    if name not in TABLES or not run.has(name):
        return None
    arrow = run.arrow(name)
    if not arrow.num_rows:
        return None
    values = {field: np.asarray(arrow[field].to_numpy()) for field in arrow.column_names}
    for field, column in values.items():
        if column.dtype.kind == "M":
            values[field] = column.astype("datetime64[s]")
    details = {field.name: field.metadata or {} for field in arrow.schema}
    units, words = (
        {field: metadata.get(key, b"").decode() for field, metadata in details.items()}
        for key in (b"unit", b"description")
    )
    return Columns(values, units, words)


def by_gauge(table: Columns) -> dict[str, Columns]:
    """The rows of each gauge, in the order of the file."""
    codes = table["gauge"]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    ends = np.r_[starts[1:], len(codes)]
    parts: dict[str, list[slice]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        parts.setdefault(str(codes[start]), []).append(slice(start, end))
    return {
        code: replace(
            table,
            values={
                name: values[pieces[0]] if len(pieces) == 1 else np.concatenate([values[piece] for piece in pieces])
                for name, values in table.values.items()
            },
        )
        for code, pieces in parts.items()
    }


def descriptors_of(domain: Columns) -> list[str]:
    """Names of the descriptors in the domain."""
    return [name for name, words in domain.words.items() if words.startswith("descriptor ")]


def envelope(times: Times, values: Floats, most: int = 900) -> tuple[Times, Floats]:
    """A line of at most `2 most` points that looks as the whole one: lowest and highest value of each piece of time.

    Pieces without any value stay without one, so that gaps stay gaps.
    """
    if len(values) <= 2 * most:
        return times, values
    size = -(-len(values) // most)
    padded = np.full(-(-len(values) // size) * size, np.nan)
    padded[: len(values)] = values
    pieces = padded.reshape(-1, size)
    lowest = np.argmin(np.where(np.isnan(pieces), np.inf, pieces), axis=1)
    highest = np.argmax(np.where(np.isnan(pieces), -np.inf, pieces), axis=1)
    places = np.sort(np.stack([lowest, highest], axis=1), axis=1) + size * np.arange(len(pieces))[:, np.newaxis]
    places = np.minimum(places.ravel(), len(values) - 1)
    return times[places], values[places]


def highest(times: Times, values: Floats, most: int = 900) -> tuple[Times, Floats]:
    """The highest value of each of at most `most` pieces of time, at its end: rain stays as strong as it was."""
    size = max(1, -(-len(values) // most))
    if size == 1:
        return times, values
    padded = np.full(-(-len(values) // size) * size, -np.inf)
    padded[: len(values)] = np.where(np.isnan(values), -np.inf, values)
    largest = padded.reshape(-1, size).max(axis=1)
    ends = np.minimum(size * (1 + np.arange(len(largest))) - 1, len(values) - 1)
    return times[ends], np.where(np.isinf(largest), np.nan, largest)


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First place and place after the last of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def worst_and_best(scores: dict[str, float], codes: Iterable[str], most: int) -> list[str]:
    """The gauges to show in detail: all of them if they are few, else the worst and the best by their score."""
    everyone = list(codes)
    if len(everyone) <= most:
        return everyone
    ranked = sorted(everyone, key=lambda code: scores.get(code, np.inf))
    return ranked[: most // 2] + ranked[len(ranked) - (most - most // 2) :]


def spread_out(scores: dict[str, float], codes: Iterable[str], most: int) -> list[str]:
    """The gauges of a figure with a panel for each: all of them if they are few, else some from the worst to the best.

    They stay in their order.
    """
    everyone = list(codes)
    if len(everyone) <= most:
        return everyone
    ranked = sorted(everyone, key=lambda code: scores.get(code, np.inf))
    chosen = {ranked[place] for place in np.linspace(0, len(ranked) - 1, most).round().astype(int)}
    return [code for code in everyone if code in chosen]
