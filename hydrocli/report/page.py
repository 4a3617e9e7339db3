"""A self-contained page: sections of figures, tables and texts; the figures also as separate files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import hydrocli
from hydrocli.files import atomic_write, os_errors_as_input_errors
from hydrocli.report import style
from hydrocli.results.write import write_text

FIGURES = "figures"


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with the name of its file and what it shows in a sentence."""

    name: str
    caption: str
    figure: Figure
    kind: str = "picture"


@dataclass(frozen=True)
class Sheet:
    """A table: heads, and rows of texts and numbers; `numeric` says which columns are set to the right."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    folded: bool = False
    kind: str = "sheet"


@dataclass(frozen=True)
class Text:
    """Sentences, each a paragraph; `warning` sets them apart, `code` shows them verbatim, folded."""

    sentences: tuple[str, ...]
    style: str = ""
    caption: str = ""
    kind: str = "text"


Block = Picture | Sheet | Text


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page; one without blocks is left out."""

    anchor: str
    title: str
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """A page: title, subtitle, key figures, and sections."""

    title: str
    subtitle: str
    facts: Mapping[str, str]
    sections: tuple[Section, ...]
    state: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    origin: str = "the tables of the run folder"


UNFOLDED = 12
"""Rows up to which a table of all gauges is shown unfolded."""


def sheet(caption: str, rows: Sequence[Mapping[str, Any]], *, folded: bool = False) -> Sheet:
    """A table of rows of the same keys; numbers get three or four digits."""
    heads = tuple(dict.fromkeys(key for row in rows for key in row))
    numeric = tuple(all(isinstance(row.get(head), int | float | np.number | None) for row in rows) for head in heads)
    cells = tuple(tuple(format_value(row.get(head)) for head in heads) for row in rows)
    return Sheet(caption, heads, cells, numeric, folded)


def format_value(value: Any) -> str:
    """A value as the page shows it."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, np.datetime64):
        return "-" if np.isnat(value) else str(value.astype("datetime64[m]")).replace("T", " ")
    if isinstance(value, float | np.floating):
        return format_number(float(value))
    return str(value)


def format_number(value: float) -> str:
    """Three or four digits; very large and very small ones with a power of ten."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-3:
        return f"{value:.2e}"
    return (
        f"{value:.0f}"
        if size >= 1000
        else f"{value:.1f}"
        if size >= 100
        else f"{value:.3g}"
        if size >= 1
        else f"{value:.3f}"
    )


def file_part(text: str) -> str:
    """A text of a table, such as a gauge code, as a safe part of a file name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)


def write_page(folder: Path, file: str, page: Page, formats: Iterable[str] = ("png",)) -> Path:
    """Write `folder/file` and `folder/figures/<name>.<format>` of each figure; returns the path of the page.

    Raises:
        InputError: disk full, no permission.
    """
    with os_errors_as_input_errors(folder):
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    drawn = {}
    for picture in pictures(page):
        drawn[picture.name] = style.inline(picture.figure, picture.name)
        for kind in formats:
            with atomic_write(folder / FIGURES / f"{picture.name}.{kind}") as stream:
                stream.write(style.encode(picture.figure, kind))
    write_text(folder / file, rendered(page, drawn))
    return folder / file


def pictures(page: Page) -> list[Picture]:
    """The figures of a page in their order."""
    return [block for section in page.sections for block in section.blocks if isinstance(block, Picture)]


def rendered(page: Page, drawn: Mapping[str, str]) -> str:
    """The HTML of a page, its figures given as SVG by name."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hydrocli.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    sections = [section for section in page.sections if section.blocks]
    return environment.get_template("page.html").render(
        page=page, sections=sections, drawn=drawn, version=hydrocli.__version__
    )
