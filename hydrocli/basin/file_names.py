"""Dates in file names: which file of an archive is valid when.

Without a pattern, a date is 8, 10, 12 or 14 digits of a name (%Y%m%d%H%M%S), also as 2020-03-01, 2020.03.01 or
2020_03_01 and with the time of day set off by one character: 20200301_0100, 20200301T010000. Where names have several
dates, the one that differs from file to file counts: a date of a version does not. All files must have their date in
the same form; an archive whose naming changed is read by a list of patterns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from hydrocli.basin.patterns import Pattern
from hydrocli.errors import InputError

_DIGITS = str.maketrans("123456789", "000000000")
STRAY = 0.1
"""Largest share of files without a date that is left out with a note: more of them are a part of the archive."""
_DATE = re.compile(
    r"(?<!\d)(?P<Y>(?:18|19|20)\d\d)(?P<s>[-._]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])"
    r"(?:(?P<t>[-._T ]?)(?P<H>[01]\d|2[0-4])(?P<u>[-:.]?)(?P<M>[0-5]\d)(?:(?P=u)(?P<S>[0-5]\d))?"
    r"|(?P<t1>T?)(?P<H1>[01]\d|2[0-4]))?(?!\d)"
)
_DAY = re.compile(r"(?<!\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")
_TWO_PARTS = "%Y%m%d-S%H%M%S"
_OTHERS = ("%y%m%d%H%M", "%Y%j%H%M", "%Y%j%H", "%Y%j", "%y%m%d%H", "%y%m%d")
"""Forms of dates that the rule does not read; they are proposed as patterns."""

Dated = list[tuple[datetime, str]]
"""Times as the names have them, and paths."""


class Place(NamedTuple):
    """Where a date is in a name: its form as of strptime, and spans of year, month, day, hour ... as far as given."""

    form: str
    parts: tuple[tuple[int, int], ...]


def dates_of(paths: list[str], patterns: tuple[str, ...], root: str, where: str) -> tuple[Dated, list[str]]:
    """Dates of the files of an archive, sorted, and sentences worth a warning.

    Args:
        paths: of the files, below `root`.
        patterns: of their names; empty: the rule of the module.
        root: folder of the archive.
        where: key of the configuration that names it.

    Raises:
        InputError: no file has a date, or they have it in different forms.
    """
    dated, left = _by_pattern(paths, patterns, root, where) if patterns else _by_rule(paths, where)
    if not dated:
        what = f"{root} has no file with a date (like 201409150100) in its name"
        if patterns:
            what = f"{root} has no file that fits {' or '.join(patterns)}"
        raise InputError(where, what, _advice(paths, where))
    dated.sort()
    notes = []
    if left:
        what = "that fit no pattern" if patterns else "without a date"
        notes.append(f"{len(left)} files {what} are left out, first {left[0]}")
    return dated, notes


def days_of(paths: list[str], patterns: tuple[str, ...], root: str, where: str) -> list[tuple[str, str]]:
    """Days of the year 'mmdd' of files, and their paths, sorted; arguments and errors as of `dates_of`."""
    if patterns:
        dated, _ = _by_pattern(paths, patterns, root, where, of_days=True)
        if not dated:
            what = f"{root} has no file that fits {' or '.join(patterns)}"
            raise InputError(where, what, f"It has files such as {shown_names(paths)}." if paths else "It is empty.")
        return sorted((f"{date:%m%d}", path) for date, path in dated)
    found = []
    for path in paths:
        matches = _DAY.findall(os.path.basename(path))  # noqa: PTH119 - tens of thousands of names
        if matches:
            found.append(("".join(matches[0]), path))
    if not found:
        what = f"{root} has no file with a day (mmdd, like 0915) in its name"
        raise InputError(where, what, _advice(paths, where))
    for day, path in found:
        try:
            datetime.strptime(f"2000{day}", "%Y%m%d")
        except ValueError as error:
            raise InputError(where, f"the name of {path} holds no day in {day!r}") from error
    return sorted(found)


def shown_names(paths: list[str], count: int = 3) -> str:
    """Some names of files, for messages."""
    return ", ".join(printable(os.path.basename(path)) for path in islice(paths, count))  # noqa: PTH119


def printable(name: str) -> str:
    """A name that may have bytes which are no text."""
    return name.encode("utf-8", "backslashreplace").decode()


def _by_pattern(
    paths: list[str], patterns: tuple[str, ...], root: str, where: str, *, of_days: bool = False
) -> tuple[Dated, list[str]]:
    rules = [Pattern(text) for text in patterns]
    for rule in rules:
        if not (rule.has_day if of_days else rule.has_date):
            section, needs = where.rpartition(".")[0], "day" if of_days else "year or no day"
            example = "pet_%m%d.tif" if of_days else "rain_%Y%m%d%H.tif"
            raise InputError(f"{section}.pattern", f"{rule.text!r} has no {needs}", f"Write it like {example}.")
    dated, left = Dated(), list[str]()
    for path in paths:
        relative = os.path.relpath(path, root).replace(os.sep, "/")
        digits = next((found for rule in rules if (found := rule.match(relative))), None)
        time = _time(digits) if digits else None
        if time is None:
            left.append(path)
        else:
            dated.append((time, path))
    return dated, left


def _by_rule(paths: list[str], where: str) -> tuple[Dated, list[str]]:
    """Dates by the rule of the module."""
    found, left = list[tuple[str, list[tuple[str, datetime]]]](), list[str]()
    known: dict[str, list[Place]] = {}
    for path in paths:
        dates = _dates_in(os.path.basename(path), known)  # noqa: PTH119 - tens of thousands of names
        if dates:
            found.append((path, dates))
        else:
            left.append(path)
    if not found:
        return [], left
    if len(left) > max(1, STRAY * len(paths)):
        what = f"{len(left)} of {len(paths)} files have no date in their names, such as {shown_names(left)}"
        dated = [path for path, _ in found]
        raise InputError(where, f"{what}; others have, such as {shown_names(dated, 1)}", _advice(left, where))
    number = _telling(found)
    chosen = [(path, dates[min(number, len(dates) - 1)]) for path, dates in found]
    forms: dict[str, list[str]] = {}
    for path, (form, _) in chosen:
        forms.setdefault(form, []).append(path)
    if len(forms) > 1:
        counts = "; ".join(f"{len(same)} like {shown_names(same, 1)}" for same in forms.values())
        patterns = ", ".join(pattern_like(os.path.basename(same[0])) for same in forms.values())  # noqa: PTH119
        section = where.rpartition(".")[0]
        remedy = f"Write `{section}.pattern: [{patterns}]`, or the pattern of those that belong to the archive."
        raise InputError(where, f"the names have dates in {len(forms)} forms: {counts}", remedy)
    return [(time, path) for path, (_, time) in chosen], left


def dates_in(text: str) -> Iterator[tuple[str, datetime]]:
    """Form and time of every date in a text."""
    yield from _dates_in(text, {})


def _dates_in(name: str, known: dict[str, list[Place]]) -> list[tuple[str, datetime]]:
    """Form and time of every date in a name.

    Names of an archive are alike but for their digits: places of dates are looked for in the first of each kind, kept
    in `known`, and looked for again where a name has no dates there.
    """
    kind = name.translate(_DIGITS)
    if kind in known:
        dates = [(place.form, _time("".join([name[low:high] for low, high in place.parts]))) for place in known[kind]]
        if all(time for _, time in dates):
            return [(form, time) for form, time in dates if time]
    places = [_place(match) for match in _DATE.finditer(name)]
    timed = [(place, _time("".join([name[low:high] for low, high in place.parts]))) for place in places]
    if any(time for _, time in timed):
        known.setdefault(kind, [place for place, time in timed if time])
    return [(place.form, time) for place, time in timed if time]


def _place(match: re.Match[str]) -> Place:
    hour = "H1" if match["H1"] else "H"
    return Place(_form(match), tuple(match.span(key) for key in ("Y", "m", "d", hour, "M", "S") if match[key]))


def _form(match: re.Match[str]) -> str:
    """The directives of strptime for a date that was found."""
    form = f"%Y{match['s']}%m{match['s']}%d"
    if match["H1"]:
        return f"{form}{match['t1']}%H"
    if match["H"]:
        form += f"{match['t']}%H{match['u']}%M"
    return form + (f"{match['u']}%S" if match["S"] else "")


def _telling(found: list[tuple[str, list[tuple[str, datetime]]]]) -> int:
    """Which of the dates of a name tells the files apart: the first with the most distinct values."""
    most = max(len(dates) for _, dates in found)
    distinct = [len({dates[k][1] for _, dates in found if k < len(dates)}) for k in range(most)]
    return distinct.index(max(distinct))


def _time(digits: str) -> datetime | None:
    """The time of 'yyyymmddHHMMSS' or its beginning, whose hour may be 24; None where there is none."""
    day, clock = divmod(int(digits.ljust(14, "0")), 1_000_000)
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    try:
        if clock == 240_000:
            return datetime(day // 10_000, day // 100 % 100, day % 100) + timedelta(1)
        return datetime(day // 10_000, day // 100 % 100, day % 100, hour, minute, second)
    except ValueError:
        return None


def pattern_like(name: str) -> str:
    """A pattern that fits a name, its date at the place where one is found; empty where none is."""
    for form in (_TWO_PARTS, "", *_OTHERS):
        for match in _regex_of(form).finditer(name) if form else _DATE.finditer(name):
            found = form or _form(match)
            if Pattern(found).match(match[0]):
                return _around(name, match.start(), match.end(), found)
    return ""


@lru_cache
def _regex_of(form: str) -> re.Pattern[str]:
    sizes = {"Y": 4, "j": 3}
    digits = re.sub(r"%(\w)", lambda part: rf"\d{{{sizes.get(part[1], 2)}}}", form)
    return re.compile(rf"(?<!\d){digits}(?!\d)")


def _around(name: str, start: int, end: int, form: str) -> str:
    """A pattern: other digits of the name may differ from file to file."""
    before, after = (re.sub(r"\d+", "*", part) for part in (name[:start], name[end:]))
    return printable(before + form + after)


def _advice(paths: list[str], where: str) -> str:
    """Names that were found, and the pattern to write."""
    if not paths:
        return "It is empty, or has only files of other formats."
    section = where.rpartition(".")[0]
    proposed = next((text for path in paths if (text := pattern_like(os.path.basename(path)))), "")  # noqa: PTH119
    example = proposed or "rain_%Y%m%d%H%M.tif"
    return f"It has files such as {shown_names(paths)}. Say where the date stands: `{section}.pattern: {example}`."
