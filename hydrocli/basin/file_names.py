"""Dates in file names: which file of an archive is valid when.

Without a pattern, a date is 8, 10, 12 or 14 digits of a name (%Y%m%d%H%M%S), also as 2020-03-01, 2020.03.01 or
2020_03_01 and with the time of day set off by one character: 20200301_0100, 20200301T010000. Where names have several
dates, the one that differs most from file to file counts: a date of a version does not. Where two differ as much (start
and end of an interval), or digits may be a time of day or the year of another date, and the files do not decide it, a
pattern must say which is meant. All files must have their date in the same form; an archive whose naming changed is
read by a list of patterns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
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
    matches = [(path, _DAY.findall(os.path.basename(path))) for path in paths]  # noqa: PTH119 - tens of thousands
    with_days = [(path, ["".join(day) for day in days]) for path, days in matches if days]
    if not with_days:
        what = f"{root} has no file with a day (mmdd, like 0915) in its name"
        raise InputError(where, what, _advice(paths, where))
    columns = [
        [days[min(k, len(days) - 1)] for _, days in with_days] for k in range(max(len(days) for _, days in with_days))
    ]
    most = max(len(set(column)) for column in columns)
    telling = list(dict.fromkeys(tuple(column) for column in columns if len(set(column)) == most))
    if len(telling) > 1:
        name = shown_names([with_days[0][0]])
        what = f"the day (mmdd) in names such as {name} may be {' or '.join(column[0] for column in telling)}"
        raise InputError(where, what, f"Say where it stands: `{where.rpartition('.')[0]}.pattern: pet_%m%d_*.tif`.")
    found = [(day, path) for day, (path, _) in zip(telling[0], with_days, strict=True)]
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
    readings, left = _readings(paths)
    if not readings:
        return [], left
    dated = readings[0].paths
    if len(left) > max(1, STRAY * len(paths)):
        what = f"{len(left)} of {len(paths)} files have no date in their names, such as {shown_names(left)}"
        raise InputError(where, f"{what}; others have, such as {shown_names(dated, 1)}", _advice(left, where))
    section = where.rpartition(".")[0]
    if len(readings) > 1:
        times = " or ".join(str(one.dates[0][1]) for one in readings)
        patterns = " or ".join(f"`{section}.pattern: {one.pattern}`" for one in readings)
        what = f"the date in names such as {shown_names(dated, 1)} may be {times}"
        raise InputError(where, what, f"Say which is meant: {patterns}.")
    (reading,) = readings
    forms: dict[str, list[str]] = {}
    for path, (form, _) in zip(dated, reading.dates, strict=True):
        forms.setdefault(form, []).append(path)
    if len(forms) > 1:
        counts = "; ".join(f"{len(same)} like {shown_names(same, 1)}" for same in forms.values())
        listed = ", ".join(pattern_like(os.path.basename(same[0])) for same in forms.values())  # noqa: PTH119
        remedy = f"Write `{section}.pattern: [{listed}]`, or the pattern of those that belong to the archive."
        raise InputError(where, f"the names have dates in {len(forms)} forms: {counts}", remedy)
    return [(time, path) for path, (_, time) in zip(dated, reading.dates, strict=True)], left


class Reading(NamedTuple):
    """What the names of an archive may mean.

    Attributes:
        paths: of the files that have a date.
        dates: form and time of each.
        pattern: that says so of the first name.
    """

    paths: list[str]
    dates: list[tuple[str, datetime]]
    pattern: str


def patterns_of(paths: Sequence[str]) -> list[str]:
    """Patterns that fit names of one kind, all that may be meant; as of `pattern_like` where the rule finds none."""
    readings, _ = _readings(paths)
    own = [pattern_like(os.path.basename(path)) for path in paths[:1]]  # noqa: PTH119 - the name only
    return [one.pattern for one in readings] or own


def _readings(paths: Sequence[str]) -> tuple[list[Reading], list[str]]:
    """Readings of names by the rule that tell the files apart best, and paths without a date.

    The first is that of the first date in each name; another one is there only where it has as many distinct times.
    """
    found, left, is_doubtful = _dated(paths, later=False)
    if not found:
        return [], left
    ways = [found, *([_dated(paths, later=True)[0]] if is_doubtful else [])]
    readings = [one for way in ways for one in _columns(way)]
    times = [[time for _, time in one.dates] for one in readings]
    counts = [len(set(own)) for own in times]
    best = [k for k, count in enumerate(counts) if count == max(counts)]
    return [readings[k] for n, k in enumerate(best) if all(times[k] != times[j] for j in best[:n])], left


Found = list[tuple[str, list[tuple[Place, datetime]]]]
"""Paths, and the dates in their names."""


def _columns(found: Found) -> Iterator[Reading]:
    """Readings by the first, second ... date of each name, the last one where a name has fewer."""
    paths = [path for path, _ in found]
    first = os.path.basename(paths[0])  # noqa: PTH119 - the name only
    for k in range(max(len(dates) for _, dates in found)):
        chosen = [dates[min(k, len(dates) - 1)] for _, dates in found]
        place, _ = chosen[0]
        pattern = _around(first, place.parts[0][0], place.parts[-1][1], place.form)
        yield Reading(paths, [(own.form, time) for own, time in chosen], pattern)


def _dated(paths: Iterable[str], *, later: bool) -> tuple[Found, list[str], bool]:
    """Dates in names, paths without any, and whether `later` makes a difference; see `_places`."""
    found, left, known = Found(), list[str](), dict[str, list[Place]]()
    is_doubtful = False
    for path in paths:
        name = os.path.basename(path)  # noqa: PTH119 - tens of thousands of names
        count = len(known)
        dates = _dates_in(name, known, later=later)
        if dates:
            found.append((path, dates))
        else:
            left.append(path)
        if len(known) > count:
            is_doubtful = is_doubtful or _places(name, later=True) != _places(name, later=False)
    return found, left, is_doubtful


def dates_in(text: str) -> list[tuple[str, datetime]]:
    """Form and time of every date in a text, also where digits may belong to one date or to another."""
    ways = (_dates_in(text, {}, later=later) for later in (False, True))
    return list(dict.fromkeys((place.form, time) for dates in ways for place, time in dates))


def _dates_in(name: str, known: dict[str, list[Place]], *, later: bool) -> list[tuple[Place, datetime]]:
    """Place and time of every date in a name.

    Names of an archive are alike but for their digits: places of dates are looked for in the first of each kind, kept
    in `known`, and looked for again where a name has no dates there.
    """
    kind = name.translate(_DIGITS)
    if kind in known:
        dates = [(place, _time_at(name, place)) for place in known[kind]]
        if all(time for _, time in dates):
            return [(place, time) for place, time in dates if time]
    timed = [(place, _time_at(name, place)) for place in _places(name, later=later)]
    if any(time for _, time in timed):
        known.setdefault(kind, [place for place, time in timed if time])
    return [(place, time) for place, time in timed if time]


def _places(name: str, *, later: bool) -> list[Place]:
    """Places of the dates in a name, from left to right.

    Args:
        name: in which they are.
        later: digits that may be the time of day of a date or the beginning of the next one, as in
            20991231_2000-01-01, belong to the next one.
    """
    places, at = list[Place](), 0
    while match := _DATE.search(name, at):
        place, at = _place(match), match.end()
        if later and len(place.parts) > 3:
            following = _DATE.search(name, match.end("d"))
            if following and following.start() < at and _time_at(name, _place(following)):
                separator, at = match["s"], match.end("d")
                place = Place(f"%Y{separator}%m{separator}%d", place.parts[:3])
        places.append(place)
    return places


def _time_at(name: str, place: Place) -> datetime | None:
    return _time("".join([name[low:high] for low, high in place.parts]))


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
