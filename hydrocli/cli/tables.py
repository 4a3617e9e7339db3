"""Results on standard output: tables of at most the width of the terminal for people, JSON lines for programs.

In a table every column has one number of decimals, so that points stand below one another, and its unit under its name.
A table that is too wide goes on below with the columns that name its rows repeated, as R and pandas do; no word and no
number is split.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydrocli.formatting import to_jsonable

Row = Mapping[str, Any]

WIDTH_WITHOUT_TERMINAL = 80
MISSING = "-"
DIGITS = 4
"""Significant digits of the largest number of a column, up to `MOST_DECIMALS`."""
MOST_DECIMALS = 3
GAPS = (2, 1)
"""Blanks between columns; fewer where that keeps a table in one piece."""
LIKE_SIZES = 100.0
"""Largest by smallest number of a column that is shown with one number of decimals."""
NARROWEST_TEXT = 24
"""Columns that a long text keeps at least before the table goes on below."""
UNITS = {"rmse": "m3/s", "mae": "m3/s", "pbias": "%", "seconds": "s", "x": "m", "y": "m"}
SUFFIXES = {"km2": "km2", "mb": "MB", "seconds": "s", "minutes": "min", "m": "m", "mm": "mm", "h": "h", "percent": "%"}


def show_rows(rows: Sequence[Row], *, as_json: bool = False, title: str = "") -> None:
    """Print rows as a table, or one JSON object on each line."""
    if as_json:
        for row in rows:
            sys.stdout.write(_json(row) + "\n")
    elif rows:
        sys.stdout.write(table(rows, title, _width()))


def show_report(report: Row, *, as_json: bool = False) -> None:
    """Print a report of single values, lists of rows (as tables) and lists of sentences, in its order."""
    if as_json:
        sys.stdout.write(_json(report) + "\n")
        return
    heads = {key: _head(key) for key in report}
    left = max((len(heads[key]) for key, part in report.items() if not isinstance(part, list)), default=0)
    for key, part in report.items():
        if isinstance(part, list) and part and isinstance(part[0], Mapping):
            sys.stdout.write("\n" + table(part, heads[key], _width()) + "\n")
        elif isinstance(part, list):
            sys.stdout.write("".join(f"{heads[key]}: {line}\n" for line in part))
        else:
            sys.stdout.write(_filled(f"{heads[key]:<{left}}  {format_value(part)}", _width(), " " * (left + 2)) + "\n")


def table(rows: Sequence[Row], title: str = "", width: int = WIDTH_WITHOUT_TERMINAL) -> str:
    """Rows as the text of a table of at most `width` columns.

    Args:
        rows: mappings; a key that a row lacks is a missing value.
        title: a line above.
        width: of the terminal [characters].
    """
    columns = [_Column(name, [row.get(name) for row in rows]) for name in _names(rows)]
    lines = [title] if title else []
    gap = next((gap for gap in GAPS if len(_blocks(columns, width, gap)) == 1), GAPS[0])
    for number, block in enumerate(_blocks(columns, width, gap)):
        lines += [""] if number else []
        lines += _block_lines(block, width, gap)
    return "".join(line.rstrip() + "\n" for line in lines)


class _Column:
    """One column: head of name and unit, cells with aligned points."""

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.is_number = all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in values)
        self.cells = _numbers(values) if self.is_number else [format_value(value) for value in values]
        words, unit = _words_and_unit(name)
        self.head = [*(words.split() if self.is_number else [words]), *([f"[{unit}]"] if unit else [])]
        self.width = max(map(len, [*self.head, *self.cells]))

    def cell(self, text: str, width: int) -> str:
        return f"{text:>{width}}" if self.is_number else f"{text:<{width}}"


def _blocks(columns: Sequence[_Column], width: int, gap: int) -> list[list[_Column]]:
    """Groups of columns that fit; the leading texts stand in each of them."""
    keys = []
    for column in columns:
        if column.is_number:
            break
        keys.append(column)
    if len(keys) == len(columns):
        return [list(columns)]
    used = sum(column.width + gap for column in keys)
    blocks: list[list[_Column]] = [[]]
    room = width - used
    for column in columns[len(keys) :]:
        needed = min(column.width, NARROWEST_TEXT) if not column.is_number else column.width
        if blocks[-1] and needed > room:
            blocks.append([])
            room = width - used
        blocks[-1].append(column)
        room -= needed + gap
    return [[*keys, *block] for block in blocks]


def _block_lines(columns: Sequence[_Column], width: int, gap: int) -> list[str]:
    widths = [column.width for column in columns]
    spare = width - sum(widths) - gap * (len(widths) - 1)
    texts = [number for number, column in enumerate(columns) if not column.is_number]
    if spare < 0 and texts:
        longest = max(texts, key=lambda number: widths[number])
        widths[longest] = max(NARROWEST_TEXT, widths[longest] + spare)
    height = max(len(column.head) for column in columns)
    heads = [[""] * (height - len(column.head)) + column.head for column in columns]
    lines = [_line(columns, widths, gap, [head[row] for head in heads]) for row in range(height)]
    lines.append("─" * min(width, sum(widths) + gap * (len(widths) - 1)))
    for row in range(len(columns[0].cells)):
        parts = [
            [column.cells[row]] if column.is_number else _filled(column.cells[row], size).split("\n")
            for column, size in zip(columns, widths, strict=True)
        ]
        for number in range(max(map(len, parts))):
            lines.append(_line(columns, widths, gap, [part[number] if number < len(part) else "" for part in parts]))
    return lines


def _line(columns: Sequence[_Column], widths: Sequence[int], gap: int, texts: Sequence[str]) -> str:
    cells = zip(columns, widths, texts, strict=True)
    return (" " * gap).join(column.cell(text, width) for column, width, text in cells)


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _words_and_unit(key: str) -> tuple[str, str]:
    if key in UNITS:
        return key.replace("_", " ") if key not in ("seconds",) else "time", UNITS[key]
    words, _, suffix = key.rpartition("_")
    if words and suffix in SUFFIXES:
        return words.replace("_", " "), SUFFIXES[suffix]
    return key.replace("_", " "), ""


def _head(key: str) -> str:
    words, unit = _words_and_unit(key)
    return f"{words} [{unit}]" if unit else words


def _numbers(values: Sequence[Any]) -> list[str]:
    """The numbers of a column: of one number of decimals, or each with its own where their sizes differ too much."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if all(isinstance(value, int) for value in known):
        return [MISSING if value is None or value != value else str(value) for value in values]
    sizes = [abs(value) for value in known if value]
    alike = not sizes or max(sizes) <= LIKE_SIZES * min(sizes)
    texts = [
        MISSING if value is None or math.isnan(value) else format(value, _style(known if alike else [value]))
        for value in values
    ]
    tails = [len(text) - text.index(".") if "." in text else 0 for text in texts]
    longest = max(tails)
    return [text if text == MISSING else text + " " * (longest - tail) for text, tail in zip(texts, tails, strict=True)]


def _style(known: Sequence[float]) -> str:
    """Format of numbers: fixed, unless they are tiny or huge."""
    largest = max((abs(value) for value in known if value), default=1.0)
    if largest >= 1e9 or largest < 1e-3:
        return ".2e"
    decimals = DIGITS - 1 - max(0, math.floor(math.log10(largest)))
    return f".{min(MOST_DECIMALS, max(0, decimals))}f"


def format_value(value: Any) -> str:
    """A value of a report: numbers with four digits, missing ones as `-`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format(value, _style([value]))
    if isinstance(value, Mapping):
        return ", ".join(f"{_head(key)} {format_value(part)}" for key, part in value.items())
    return ", ".join(format_value(part) for part in value) if isinstance(value, list | tuple) else str(value)


def _filled(text: str, width: int, indent: str = "") -> str:
    """Text in lines broken at spaces only; a path that is longer than a line stays whole."""
    lines = textwrap.wrap(
        text, max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL


def _json(value: Any) -> str:
    return json.dumps(to_jsonable(value), ensure_ascii=False, allow_nan=False)
