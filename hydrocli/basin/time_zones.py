"""Time zones of files: names of the IANA data base, or a fixed shift like +01:00.

A module without NumPy, so that the configuration can check a zone before libraries are loaded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SHIFT = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?")


@lru_cache(maxsize=64)
def zone_of(text: str) -> tzinfo:
    """The zone of a name or shift; raises ValueError where there is none."""
    if text.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if match := _SHIFT.fullmatch(text):
        shift = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-shift if match[1] == "-" else shift)  # which refuses a day and more
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"no time zone {text!r}") from error


def is_zone(text: object) -> bool:
    """Whether a text names a zone."""
    try:
        return isinstance(text, str) and bool(zone_of(text))
    except ValueError:
        return False


def to_utc(time: datetime, zone: str, fold: int = 0) -> datetime:
    """A time of a clock of a zone, in UTC; of an hour that occurs twice in autumn the first, with `fold` 1 the second.

    Raises:
        ValueError: the clock of the zone never shows this time (it is put forward in spring).
    """
    local = time.replace(tzinfo=zone_of(zone), fold=fold)
    utc = local.astimezone(UTC)
    if utc.astimezone(local.tzinfo).replace(tzinfo=None) != time:
        raise ValueError(f"{time} does not exist in {zone}")
    return utc.replace(tzinfo=None)
