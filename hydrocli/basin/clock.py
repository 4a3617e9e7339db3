"""Times as tables have them: texts in many forms, of UTC or of a local clock with summer time.

A date may be written by ISO 8601, as digits (20200301, 202003010100), or with the day or the month first; which of the
two, the whole column decides. A local clock shows the hour at the end of summer time twice: the first of two equal
times of a gauge, in the order of its rows, is that of summer time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hydrocli.arrays import Flags
from hydrocli.basin.basin import Times
from hydrocli.basin.time_zones import zone_of
from hydrocli.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_PARTS = r"^(?P<a>\d{1,2})[/.\-](?P<b>\d{1,2})[/.\-](?P<year>\d{4})(?:[ T]+(?P<clock>\d{1,2}:\d{2}(?::\d{2})?))?$"
HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class Stamps:
    """Times of k rows.

    Attributes:
        times: datetime64[s][k], in UTC where `is_utc`, else of the clock of the table; NaT where there is none.
        is_utc: bool[k], whether the row states its offset from UTC.
        are_dates: whether all of them are days without a time of day.
    """

    times: Times
    is_utc: Flags
    are_dates: bool = False

    def take(self, rows: Any) -> Stamps:
        """Those of some rows."""
        return Stamps(self.times[rows], self.is_utc[rows], self.are_dates)


def parse(column: Any, date_format: str | None, where: Callable[[int], str], key: str) -> Stamps:
    """Times of a column of texts or times.

    Args:
        column: a series of pandas; its index is given to `where`.
        date_format: of the texts as for `strptime`; None: found from them.
        where: file and line of a row.
        key: of the configuration that states the form, for messages.

    Raises:
        InputError: a text is not a time, or may be two.
    """
    import pandas as pd

    if isinstance(column.dtype, pd.DatetimeTZDtype):
        utc = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[s]")
        return Stamps(utc, np.ones(len(utc), bool))
    if pd.api.types.is_datetime64_dtype(column):
        return Stamps(column.to_numpy("datetime64[s]"), np.zeros(len(column), bool))
    # Gauges of one table share their times, and each text is understood once.
    number, texts = pd.factorize(column.astype(pd.StringDtype("pyarrow")))
    first = np.zeros(len(texts), np.int64)
    known = np.flatnonzero(number >= 0)
    first[number[known[::-1]]] = known[::-1]
    text = pd.Series(texts, column.index[first], pd.StringDtype("pyarrow")).str.strip()
    if date_format is not None:
        found = pd.to_datetime(text, format=date_format, errors="coerce", utc="%z" in date_format)
        states_offset = np.full(len(text), "%z" in date_format)
        are_dates = not re.search(r"%[HIMScXT]", date_format)
    else:
        found, states_offset, are_dates = _guess(text, where, key)
    lost = np.concatenate([first[found.isna().to_numpy(bool)], np.flatnonzero(number < 0)])
    if lost.size:
        place = int(lost.min())
        row, seen = column.index[place], column.iloc[place]
        seen = str(seen).strip() if pd.notna(seen) else ""
        what = f"invalid time stamp {seen!r}" if seen else "has no time"
        remedy = f"Use ISO 8601, for example 2014-09-15T01:00Z, or state the form with `{key}`."
        raise InputError(where(row), what, remedy)
    if getattr(found.dt, "tz", None) is not None:
        found = found.dt.tz_localize(None)
    return Stamps(found.to_numpy("datetime64[s]")[number], states_offset[number], are_dates)


def _guess(text: pd.Series[str], where: Callable[[int], str], key: str) -> tuple[Any, Flags, bool]:
    """Times, whether they state an offset, and whether all are days, from texts in a form that is to be found."""
    import pandas as pd

    none = np.zeros(len(text), bool)
    first = next((value for value in text.dropna() if value), "")
    if first.isdigit() and len(first) in _DIGITS:
        return pd.to_datetime(text, format=_DIGITS[len(first)], errors="coerce"), none, len(first) == 8
    if re.match(_PARTS, first):
        return _day_or_month_first(text, where, key)
    text = text.str.replace("/", "-", regex=False) if re.match(r"\d{4}/", first) else text
    states_offset = text.str.contains(r"\d(?:Z|[+-]\d\d:?\d\d)$", regex=True, na=False).to_numpy(bool)
    states_offset &= text.str.contains(":", regex=False, na=False).to_numpy(bool)
    found = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    return found, states_offset, bool(len(text)) and bool((text.str.len() == 10).all())


def _day_or_month_first(text: pd.Series[str], where: Callable[[int], str], key: str) -> tuple[Any, Flags, bool]:
    """As `_guess`, of texts such as 31/12/2020 01:00; points are between days and months, in this order."""
    import pandas as pd

    parts = text.str.extract(_PARTS)
    a, b = (pd.to_numeric(parts[name], errors="coerce") for name in "ab")
    day_first, month_first = bool((a > 12).any()), bool((b > 12).any())
    if not (day_first or month_first or "." in str(text.iloc[0])):
        row, seen = text.index[0], text.iloc[0]
        what = f"the day and the month of {seen!r} may be either, as in all other rows"
        forms = f"'%d/%m/%Y{' %H:%M' if parts['clock'].notna().any() else ''}'"
        raise InputError(where(row), what, f"State the form with `{key}`, for example {forms}.")
    day, month = (parts["b"], parts["a"]) if month_first and not day_first else (parts["a"], parts["b"])
    clock = parts["clock"].fillna("0:00")
    iso = parts["year"] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + "T" + clock.str.zfill(5)
    iso = iso.where(
        clock.str.len() < 7,
        parts["year"] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + "T" + clock.str.zfill(8),
    )
    found = pd.to_datetime(iso, format="ISO8601", errors="coerce")
    return found, np.zeros(len(text), bool), bool(parts["clock"].isna().all())


def to_utc(stamps: Stamps, zone: str | None, where: Callable[[int], str]) -> Times:
    """Times of one gauge in UTC, in the order of its rows; NaT where a single time of a doubled hour may be two.

    Args:
        stamps: of the rows.
        zone: of times that do not state their offset; None: UTC. Days without a time of day stay as they are.
        where: file and line of a row, by its place.

    Raises:
        InputError: a time does not exist on the clock of the zone.
    """
    if zone is None or stamps.are_dates or stamps.is_utc.all():
        return stamps.times
    import pandas as pd

    tz, local = zone_of(zone), pd.DatetimeIndex(stamps.times)
    summer = np.ones(len(local), bool)
    strict = local.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
    doubtful = np.asarray(strict.isna()) & ~np.isnat(stamps.times) & ~stamps.is_utc
    if not doubtful.any():
        return np.where(stamps.is_utc, stamps.times, _naive_utc(strict))
    never = np.asarray(local.tz_localize(tz, ambiguous=summer, nonexistent="NaT").isna()) & doubtful
    if never.any():
        place = int(np.flatnonzero(never)[0])
        what = f"{stamps.times[place]} does not exist in {zone}, where summer time begins"
        remedy = "Are these times in UTC or in winter time (for example +01:00)? State it as `timezone`."
        raise InputError(where(place), what, remedy)
    order = np.arange(len(local))
    moves = np.diff(stamps.times)
    if np.count_nonzero(moves < np.timedelta64(0, "s")) > len(moves) / 2:  # the newest row comes first
        order = order[::-1]
    seen: dict[Any, list[int]] = {}
    for place in order[doubtful[order]].tolist():
        seen.setdefault(stamps.times[place], []).append(place)
    for places in seen.values():
        summer[places[1:]] = False
    result = _naive_utc(local.tz_localize(tz, ambiguous=summer, nonexistent="NaT"))
    single = [places[0] for places in seen.values() if len(places) == 1]
    result[single] = np.datetime64("NaT")
    return np.where(stamps.is_utc, stamps.times, result)


def _naive_utc(index: pd.DatetimeIndex) -> Times:
    return np.array(index.tz_convert("UTC").tz_localize(None), "datetime64[s]")


def looks_like_a_local_clock(times: Times) -> np.datetime64 | None:
    """The first hour that is absent, or is there twice, as by summer time in Europe; None where there is none.

    Args:
        times: of one gauge, of the clock of the table, sorted.
    """
    if not len(times):
        return None
    for year in range(
        int(times[0].astype("datetime64[Y]").astype(int)), int(times[-1].astype("datetime64[Y]").astype(int)) + 1
    ):
        for month in (3, 10):
            last = (
                np.datetime64(year, "Y").astype("datetime64[M]") + np.timedelta64(month, "M") - np.timedelta64(1, "D")
            )
            sunday = last - np.timedelta64((int(last.astype(int)) + 4) % 7, "D")
            counts = [
                np.searchsorted(times, sunday + (hour + 1) * HOUR) - np.searchsorted(times, sunday + hour * HOUR)
                for hour in (1, 2, 3)
            ]
            before, at, after = counts
            if before and before == after and at == (0 if month == 3 else 2 * before):
                return sunday + 2 * HOUR
    return None
