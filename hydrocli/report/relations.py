"""Correlations of parameters with descriptors, and of controls with one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from hydrocli.arrays import Floats
from hydrocli.report import style
from hydrocli.report.tables import Columns, descriptors_of

PLACE = ("run", "cell", "row", "column", "x", "y")


@dataclass(frozen=True, eq=False)
class Relations:
    """Correlations [rows, columns], NaN where one of the two does not vary."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Floats


def varying(table: Columns, names: Sequence[str]) -> list[str]:
    """The columns that are not the same everywhere, but for rounding."""
    return [name for name in names if _varies(table[name])]


def _varies(values: Floats) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size) and bool(np.ptp(finite) > 1e-9 * np.abs(finite).max())


def symbols_of(parameters: Columns) -> list[str]:
    """The parameters of `parameters.parquet`."""
    return [name for name in parameters.values if name not in PLACE]


def with_descriptors(parameters: Columns, domain: Columns) -> Relations | None:
    """Pearson correlation of each varying parameter with each varying descriptor over the cells with both."""
    symbols = varying(parameters, symbols_of(parameters))
    names = varying(domain, descriptors_of(domain))
    if not symbols or not names:
        return None
    values = np.array([[correlation(parameters[symbol], domain[name]) for name in names] for symbol in symbols])
    return Relations(tuple(symbols), tuple(names), values)


def correlation(one: Floats, other: Floats) -> float:
    """Pearson correlation over the places where both are known; NaN where either does not vary."""
    known = np.isfinite(one) & np.isfinite(other)
    if not (_varies(one[known]) and _varies(other[known])):
        return np.nan
    return float(np.corrcoef(one[known], other[known])[0, 1])


def of_pairs(table: Columns, most: int = 24) -> Relations | None:
    """Correlations of `correlations.parquet` as a square; None where there are too many to read."""
    names = tuple(dict.fromkeys([*table["name"].tolist(), *table["other"].tolist()]))
    if len(names) > most:
        return None
    place = {name: number for number, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(values, 1.0)
    for name, other, value in zip(table["name"], table["other"], table["correlation"], strict=True):
        values[place[name], place[other]] = values[place[other], place[name]] = value
    return Relations(names, names, values)


def draw_relations(relations: Relations) -> Figure:
    """The table in red and blue, with its numbers."""
    number = len(relations.rows)
    figure = style.canvas(1.2 + 0.34 * number)
    axis = figure.subplots()
    image = axis.imshow(relations.values, cmap=style.DIVERGING, vmin=-1, vmax=1, aspect="auto")
    axis.set_xticks(range(len(relations.columns)), list(relations.columns), rotation=30, ha="right")
    axis.set_yticks(range(number), list(relations.rows))
    axis.grid(False)
    for (row, column), value in np.ndenumerate(relations.values):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 else "#222222"  # on the colours of the scale, light page or dark
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=colour)
    figure.colorbar(image, ax=axis, label="correlation [-]", aspect=15)
    return figure
