"""What a folder holds, for somebody who has data and no configuration yet.

Formats, variables, units, times, codes and layouts are recognised by the readers themselves, which are tried on the
first and last files. So the time that this takes depends little on the number of files. What the files do not say is
not guessed: it becomes a question, with the keys that answer it.

    >>> found = survey(Path("archive"))                                   # doctest: +SKIP
    >>> [(one.role, one.path) for one in found.inputs], found.questions   # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydrocli.basin.basin import DAY
from hydrocli.basin.discharge import words
from hydrocli.basin.survey.inputs import OR, Input, Key, Span
from hydrocli.basin.survey.listing import listed
from hydrocli.basin.survey.rasters import single_rasters
from hydrocli.basin.survey.series import archives
from hydrocli.basin.survey.tables import discharge_of, gauges_of
from hydrocli.basin.volumes import HOUR

__all__ = ["Input", "Key", "Span", "Survey", "survey"]

SHORTEST = 900
SPIN_UP, LONGEST_SPIN_UP = 0.2, 365 * DAY
"""Share of the period before the calibration, and its length at most [s]."""
CALIBRATED = 2 / 3
"""Share of the rest that calibrates."""
NEEDED = ("precipitation", "pet", "flow_directions", "gauges")
"""Roles without which nothing runs."""


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        folder: that was looked at.
        inputs: what has a role; several of one role, other than descriptors, are a question.
        period: step, start, end and perhaps calibration and validation.
        left_out: what has none, with the reason.
        questions: what the user must answer, in sentences.
    """

    folder: Path
    inputs: tuple[Input, ...]
    period: tuple[Key, ...]
    left_out: tuple[str, ...]
    questions: tuple[str, ...]

    def of(self, role: str) -> list[Input]:
        """All inputs of a role."""
        return [one for one in self.inputs if one.role == role]


def survey(folder: Path) -> Survey:
    """Look at all files below a folder.

    Raises:
        InputError: it is no folder, or cannot be listed.
    """
    files = listed(folder)
    left_out = list(files.left_out)
    forcing, rasters = archives(files, left_out)
    gauges, tables = gauges_of(files, rasters, left_out)
    still = single_rasters(rasters, gauges[0].table if len(gauges) == 1 else None, left_out)
    gauges = [one.placed_on(still) for one in gauges]
    rain = [one for one in forcing if one.role == "precipitation"]
    step = _step(rain)
    discharge = discharge_of(files, tables, gauges[0] if len(gauges) == 1 else None, step or HOUR, left_out)
    inputs = [*forcing, *still, *(one.as_input() for one in gauges), *discharge]
    period = _period(rain[0].span if step else None, step, discharge)
    return Survey(folder, tuple(inputs), tuple(period), tuple(left_out), tuple(_questions(folder, inputs, period)))


def _questions(folder: Path, inputs: list[Input], period: list[Key]) -> list[str]:
    by_role: dict[str, list[Input]] = {}
    for one in inputs:
        by_role.setdefault(one.role, []).append(one)
    questions = []
    for role, several in by_role.items():
        if len(several) > 1 and role != "descriptor":
            hint = " For basins of their own, use the folder of each." if role == "gauges" else ""
            questions.append(f"{role}: which of {', '.join(one.relative_to(folder) for one in several)}?{hint}")
    questions += [f"{role}: nothing was found" for role in NEEDED if not _has(by_role, role)]
    for one in inputs:
        where = f"{one.role} ({one.relative_to(folder)})"
        questions += [
            f"{where}, key `{key.name}`: {key.comment}" for key in one.keys if key.is_open and key.comment != OR
        ]
    return questions + [
        f"period, key `{key.name}`: {key.comment}" for key in period if key.is_open and key.comment != OR
    ]


def _has(by_role: dict[str, list[Input]], role: str) -> bool:
    """Whether there is something of a role, or what it is made of."""
    made_of = {"pet": "temperature", "flow_directions": "dem"}
    return role in by_role or made_of.get(role) in by_role


def _step(rain: list[Input]) -> int:
    """Step of the model [s]: that of the rain, or an hour for a finer one; 0 where it is not known."""
    if len(rain) != 1 or rain[0].span is None:
        return 0
    return next((size for size in (rain[0].span.spacing, HOUR) if size >= SHORTEST and DAY % size == 0), DAY)


def _period(span: Span | None, step: int, discharge: list[Input]) -> list[Key]:
    """Step and periods, from the times of rain and discharge."""
    if span is None:
        asked = "the times of the rain are not known: write step, start and end"
        names = {"step": "1h", "start": "2020-01-01T00:00Z", "end": "2021-01-01T00:00Z"}
        return [Key(name, value, asked if name == "step" else OR, is_open=True) for name, value in names.items()]
    keys = [Key("step", words(step), f"the rain has a field every {words(span.spacing)}")]
    start, end = _whole(span.start, step), _whole(span.last, step)
    keys += [Key("start", _time(start), "of the rain"), Key("end", _time(end), "of the rain")]
    observed = [one.span for one in discharge if one.span]
    if len(observed) != 1:
        return keys
    first, last = max(start, observed[0].start), min(end, observed[0].last)
    length = int((last - start).astype(int))
    if last <= first or length < 10 * step:
        text = f"rain and discharge have no time in common: {observed[0].start} to {observed[0].last} is observed"
        return [*keys, Key("calibration", [_time(start), _time(end)], text, is_open=True)]
    spin_up = min(int(SPIN_UP * length), LONGEST_SPIN_UP)
    begin = _whole(max(start + np.timedelta64(spin_up, "s"), first), DAY if length > 10 * DAY else step)
    middle = _whole(begin + np.timedelta64(int(CALIBRATED * int((last - begin).astype(int))), "s"), step)
    middle = _whole(middle, DAY) if length > 10 * DAY else middle
    last = _whole(last, step)
    before = "spin-up before, then two thirds of the time with rain and discharge"
    keys.append(Key("calibration", [_time(begin), _time(middle)], before, is_assumed=True))
    return [*keys, Key("validation", {"later": [_time(middle), _time(last)]}, "the last third", is_assumed=True)]


def _whole(time: np.datetime64, step: int) -> np.datetime64:
    """The last end of a step at or before a time."""
    return np.datetime64(int(time.astype("datetime64[s]").astype(np.int64)) // step * step, "s")


def _time(time: np.datetime64) -> str:
    return f"{str(time)[:16]}Z"
