"""Base class of the sections, and the types of values that the YAML writes as text.

A validator reports with `validation_error` (one value) or `raise_validation_errors` (several keys at once); their text
reaches the user unchanged. Messages for what pydantic itself rejects are in `load`.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from hydrocli.basin.time_zones import is_zone

DAY = 86400
SHORTEST_STEP = 900
STEP_UNITS = {"d": DAY, "h": 3600, "min": 60, "s": 1}
MEMORY_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "TiB": 2**40, "GiB": 2**30, "MiB": 2**20}
LEAST_MEMORY = 16 * 10**6

Location = tuple[str | int, ...]
"""Path of a key: names of keys, indices of lists."""


def validation_error(what: str, remedy: str = "") -> PydanticCustomError:
    """The error of one value, to be raised by its validator."""
    return PydanticCustomError("refused", "{what}", {"what": what, "remedy": remedy})


def raise_validation_errors(problems: list[tuple[Location, str, str]]) -> None:
    """Raise all problems (key within the section, what, remedy) at once; no effect without problems."""
    if problems:
        details = [
            InitErrorDetails(type=validation_error(what, remedy), loc=location, input=None)
            for location, what, remedy in problems
        ]
        raise ValidationError.from_exception_data("refused", details)


def quoted(value: Any) -> str:
    """A value as messages show it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list | tuple):
        return "a section" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Section(BaseModel):
    """A section of the YAML: immutable, unknown keys are errors; a known key without a value means its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return {} if value is None else value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: content for key, content in value.items() if content is not None or key not in known}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        reference = handler(core)
        node = handler.resolve_ref_schema(reference)
        if not node.get("required"):
            node["type"] = ["object", "null"]
        return reference


class OneOrMore:
    """A list that may be written as its only entry, a section; used with `listed`."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = handler(core)
        return {"anyOf": [whole["items"], whole]}


def known(names: Sequence[str]) -> Callable[[Any], Any]:
    """What refuses all but some names, with the one that may be meant."""

    def check(value: Any) -> Any:
        if value not in names:
            near = get_close_matches(str(value), names, 1)
            remedy = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(names)}"
            raise validation_error(f"'{value}' is not possible", remedy)
        return value

    return check


def listed(value: Any) -> Any:
    """A single value as a list; an empty list is an error."""
    if value == []:
        raise validation_error("is empty", "remove the key for the default, or list at least one entry")
    return value if isinstance(value, list | tuple) else [value]


def several(value: Any) -> Any:
    """A single value as a list; unlike with `listed` an empty one is the default, which a resolved file states."""
    return value if isinstance(value, list | tuple) else [value]


def utc(value: Any) -> datetime:
    """A time as the YAML writes it, in UTC without zone; raises ValueError if it is invalid."""
    expected = "use ISO 8601, for example 2014-09-15T00:00Z"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise validation_error(f"'{value}' is not a time", expected) from error
    if not isinstance(value, datetime):
        raise validation_error(f"{quoted(value)} is not a time", expected)
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if value.microsecond:
        raise validation_error(f"'{value}' has fractions of a second", expected)
    return value


def _time_text(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ" if value.second else "%Y-%m-%dT%H:%MZ")


def step_seconds(value: Any) -> int:
    """A time step as the YAML writes it, in seconds; raises ValueError if it is invalid."""
    expected = "use 15min, 1h, 1d ... or a number of seconds: 15 minutes to one day, a divisor of one day"
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,6})\s*(d|h|min|s|)", value.strip(), re.ASCII)):
        seconds = int(match[1]) * STEP_UNITS[match[2] or "s"]
    elif isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    else:
        raise validation_error(f"{quoted(value)} is not a time step", expected)
    if not SHORTEST_STEP <= seconds <= DAY or DAY % seconds:
        raise validation_error(f"{quoted(value)} is not a possible time step", expected)
    return seconds


def duration_seconds(value: Any) -> int:
    """A duration as the YAML writes it, in seconds; raises ValueError if it is invalid."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,6})\s*(d|h|min|s)", value.strip(), re.ASCII)):
        value = int(match[1]) * STEP_UNITS[match[2]]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise validation_error(f"{quoted(value)} is not a duration", "use 10d, 36h, 90min ... or a number of seconds")
    return value


def _offset(value: Any) -> int:
    """A duration with or without a sign; not a plain number, which may be meant for values (`add_offset`)."""
    text = value.strip() if isinstance(value, str) else ""
    if text[:1] not in ("-", "+"):
        text = f"+{text}"
    try:
        if not isinstance(value, str):
            raise ValueError
        return duration_seconds(text[1:]) * (-1 if text[0] == "-" else 1)
    except ValueError:
        what = f"{quoted(value)} is not a shift of times"
        raise validation_error(what, "use 30min, -1h, 1d ...; for values use add_offset") from None


def _time_zone(value: Any) -> str:
    if not is_zone(value):
        remedy = "use UTC, a shift like +01:00, or a name like Europe/Paris, in quotes"
        raise validation_error(f"{quoted(value)} is not a time zone", remedy)
    return str(value)


def _step_text(seconds: int) -> str:
    sign = "-" if seconds < 0 else ""
    return next(f"{sign}{abs(seconds) // size}{unit}" for unit, size in STEP_UNITS.items() if seconds % size == 0)


def _memory(value: Any) -> int:
    expected = "use 2GB, 500MB, 1.5GiB ...; at least 16MB"
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([TGM]i?B)", value.strip(), re.ASCII)):
        value = int(float(match[1]) * MEMORY_UNITS[match[2]])
    if not isinstance(value, int) or isinstance(value, bool) or value < LEAST_MEMORY:
        raise validation_error(f"{quoted(value)} is not an amount of memory", expected)
    return value


def _memory_text(size: int) -> str | int:
    return next((f"{size // unit}{name}" for name, unit in MEMORY_UNITS.items() if size % unit == 0), size)


def _path(value: Any, info: ValidationInfo) -> str:
    text = str(value) if isinstance(value, str | Path) else ""
    if not text or "\0" in text:
        raise validation_error(
            f"{quoted(value)} is not a path", "give the path of a file or folder, relative to the YAML file"
        )
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    return os.path.normpath(folder_of_file(info) / path)


def folder_of_file(info: ValidationInfo) -> Path:
    """Folder that relative paths start from: that of the YAML file, else the current one."""
    return (info.context or {}).get("folder") or Path.cwd()


def _code(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or value != value.strip() or not value.isprintable() or re.search(r"[/\\]|^$", value):
        if isinstance(value, str) and re.search(r"[/\\]", value):
            what = f"the gauge code {quoted(value)} holds a slash, which cannot be part of the name of a file"
            raise validation_error(what, "write another code in the table of gauges and here, for example with a dash")
        raise validation_error(f"{quoted(value)} is not a gauge code", "give the code of the gauge table, in quotes")
    return value


Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Numbers = Annotated[tuple[Number, ...], OneOrMore(), BeforeValidator(several)]
"""Numbers, or one of them."""
Switch = Annotated[bool, Field(strict=True)]

Name = Annotated[str, Field(pattern=r"^\w[\w.\-]*$", max_length=100)]
"""A name that may become part of a file name: no separator, no leading dot."""

GaugeCode = Annotated[str, BeforeValidator(_code), WithJsonSchema({"type": ["string", "integer"]})]

InputPath = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string", "format": "path"})]
"""An absolute path; its existence is checked by those who read it."""

Time = Annotated[
    datetime,
    BeforeValidator(utc),
    PlainSerializer(_time_text, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""UTC, without zone, whole seconds."""

Step = Annotated[
    int,
    BeforeValidator(step_seconds),
    PlainSerializer(_step_text, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": SHORTEST_STEP, "maximum": DAY}]}),
]
"""Seconds."""

Duration = Annotated[
    int,
    BeforeValidator(duration_seconds),
    PlainSerializer(_step_text, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}),
]
"""Seconds, any number of them."""

Offset = Annotated[
    int,
    BeforeValidator(_offset),
    PlainSerializer(_step_text, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""Seconds, of either sign."""

TimeZone = Annotated[str, BeforeValidator(_time_zone), WithJsonSchema({"type": "string"})]
"""A name of the IANA data base, or a shift like +01:00."""

Memory = Annotated[
    int,
    BeforeValidator(_memory),
    PlainSerializer(_memory_text, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": LEAST_MEMORY}]}),
]
"""Bytes."""
