"""Patterns of file names: where the date stands in a name, in the directives of strptime.

`RR_%Y%m%d%H.gtif` or `RR_{valid:%Y%m%d%H}.gtif`: a date in a name. Files that hold many times need none (`*_rain.nc`).
`*` stands for any text without a slash. A pattern without a slash is compared with the name of a file, in any folder;
one with slashes with the last parts of its path.

A module of `re` alone, so that the configuration can check a pattern before libraries are loaded.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

DIRECTIVES = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "m": r"0[1-9]|1[0-2]",
    "d": r"0[1-9]|[12]\d|3[01]",
    "j": r"00[1-9]|0[1-9]\d|[12]\d\d|3[0-5]\d|36[0-6]",
    "H": r"[01]\d|2[0-4]",
    "M": r"[0-5]\d",
    "S": r"[0-5]\d",
}
"""Of strptime: what each stands for in a name. An hour may be 24, the end of the day."""
RESERVED = ("issue", "member")
_PIECE = re.compile(r"\{valid:([^{}]*)\}|\{(\w+)(?::[^{}]*)?\}|%(.)|(\*+)|([^%*{]+|[%{])", re.DOTALL)


class Pattern:
    """A pattern; see the module.

    Args:
        text: as the user writes it.

    Raises:
        ValueError: it is no pattern; the message ends a sentence that begins with the pattern.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._depth = text.count("/")
        self._fields: list[str] = []
        self._regex = re.compile(self._translate(text), re.DOTALL)

    @property
    def has_date(self) -> bool:
        """Whether a year and a day of it are in the pattern."""
        return self.has_day and bool({"Y", "y"} & set(self._fields))

    @property
    def has_day(self) -> bool:
        """Whether a day of the year is in the pattern."""
        return {"m", "d"} <= set(self._fields) or "j" in self._fields

    def match(self, path: str) -> str | None:
        """The date in a path with / between its parts, None where the path is another one.

        The date is 'yyyymmddHHMMSS', of the year 2000 where the pattern has no year; an hour 24 stays as it is. It is
        empty where the pattern has no day.
        """
        match = self._regex.fullmatch("/".join(path.rsplit("/", self._depth + 1)[-self._depth - 1 :]))
        if match is None:
            return None
        parts: dict[str, str] = {}
        for letter, value in zip(self._fields, match.groups(), strict=True):
            if parts.setdefault(letter, value) != value:
                return None  # a year in the folder and another in the name
        if not self.has_day:
            return ""
        year = parts.get("Y") or str(2000 + int(parts.get("y", 0)))
        day = parts.get("m", "") + parts.get("d", "")
        if "j" in parts:
            day = f"{datetime(int(year), 1, 1) + timedelta(int(parts['j']) - 1):%m%d}"
        return year + day + "".join(parts.get(letter, "00") for letter in "HMS")

    def _translate(self, text: str) -> str:
        pieces = []
        for valid, other, letter, stars, literal in _PIECE.findall(text):
            if valid:
                pieces.append(self._translate(valid))
            elif other:
                why = "is reserved for forecasts" if other in RESERVED else "is not known: {valid:%Y%m%d%H} is"
                raise ValueError(f"has {{{other}}}, which {why}")
            elif letter == "%":
                pieces.append("%")
            elif letter:
                if letter not in DIRECTIVES:
                    raise ValueError(f"has %{letter}: %{', %'.join(DIRECTIVES)} are known")
                self._fields.append(letter)
                pieces.append(f"({DIRECTIVES[letter]})")
            elif stars:
                pieces.append("[^/]*")
            else:
                pieces.append(re.escape(literal))
        return "".join(pieces)
