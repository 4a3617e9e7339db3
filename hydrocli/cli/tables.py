"""Rows and reports of `runs` on standard output: for people, or as JSON for machines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

WIDTH_WITHOUT_TERMINAL = 200


def show_rows(rows: Sequence[Row], *, as_json: bool = False, title: str = "") -> None:
    """Print rows of the same keys as a table, or one JSON object in a line for each."""
    if as_json:
        for row in rows:
            sys.stdout.write(_json(row) + "\n")
    elif rows:
        _print_table(rows, title)


def show_report(report: Row, *, as_json: bool = False) -> None:
    """Print a report of single values, lists of rows (as tables) and lists of sentences, in its order."""
    if as_json:
        sys.stdout.write(_json(report, indent=2) + "\n")
        return
    width = max((len(_title(key)) for key, value in report.items() if not isinstance(value, list)), default=0)
    for key, value in report.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            _print_table(value, _title(key))
        elif isinstance(value, list):
            sys.stdout.write("".join(f"{_title(key)}: {line}\n" for line in value))
        else:
            sys.stdout.write(f"{_title(key):<{width}}  {_worded(value)}\n")


def _print_table(rows: Sequence[Row], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
    head = Text(title) if title else None
    table = Table(box=box.SIMPLE_HEAD, title=head, title_justify="left", padding=0, show_edge=False)
    for name in _names(rows):
        if all(isinstance(row.get(name), int | float | None) for row in rows):
            # A number that goes on in the next line reads as two: only texts are folded, and headers between words.
            table.add_column(Text(_title(name).replace(" ", "\n")), justify="right", no_wrap=True)
        else:
            table.add_column(Text(_title(name)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_worded(row.get(name))) for name in _names(rows)))
    console.print(table)


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _title(key: str) -> str:
    return key.replace("_", " ")


def _worded(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{_title(key)} {_worded(part)}" for key, part in value.items())
    return ", ".join(_worded(part) for part in value) if isinstance(value, list | tuple) else str(value)


def _number(value: float) -> str:
    """Three or four digits of a small number, whole units of a large one: coordinates in metres stay readable."""
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        return f"{value:.3g}"
    decimals = next(places for limit, places in ((0.1, 4), (10, 3), (1e3, 2), (1e4, 1), (1e9, 0)) if size < limit)
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """Numbers that JSON cannot hold become null, times and paths texts."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value
