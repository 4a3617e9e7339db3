"""Observed discharge, in m3/s, at the stamps of a period; NaN where nothing was observed.

Formats are in `hydrocli.basin.discharge_formats`; what their values mean is settled here, for all of them:

* negative values, blanks and the marks that the configuration lists are missing; any other text is an error;
* values with a flag that is not among those to keep are missing;
* times are brought to UTC, and to the end of the interval of a value where they label its beginning;
* several values within a step give their mean; irregular ones are interpolated linearly and averaged over the step;
* values that are a day apart are never taken for those of a shorter step: they are means of their days, which are
  compared with such means of the simulation. Which day, `label` says, and the zone where the clock is local.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Flags, Floats, Integers
from hydrocli.basin.basin import DAY, Times
from hydrocli.basin.clock import looks_like_a_local_clock, to_utc
from hydrocli.basin.discharge_formats import SECTION, WHERE, DischargeSource, Numbers, Period, Records, format_of
from hydrocli.basin.tables import MISSING, column_numbers
from hydrocli.basin.volumes import volume_factor
from hydrocli.errors import Errors, HydrocliError, InputError

HOUR = 3600
LARGEST_MARKS = (999.0, 9999.0, 99999.0, 999999.0, 999.9, 9999.9, 99999.9, 999.99, 9999.99)
"""Numbers that stand for missing values in some archives."""
SHOWN = 5
"""Gauges that a sentence names."""
SHARE_OF_STEP = 0.5
"""Of a step that must be observed for its mean."""


@dataclass(frozen=True)
class DischargeFiles:
    """What holds the observations.

    Attributes:
        source: what the configuration says of them; None where there are none.
        paths: a file per gauge, '' for one that has none, or some for all.
        area: of the catchments of the gauges [m2]; may be empty.
        notes: sentences worth a warning.
    """

    source: DischargeSource | None
    paths: tuple[str, ...]
    area: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def find_discharge(source: DischargeSource | None, codes: Sequence[str], area: Sequence[float] = ()) -> DischargeFiles:
    """Find the files of the gauges.

    Args:
        source: None where there are no observations.
        codes: of the g gauges.
        area: of their catchments [m2], for values in mm; may be empty.

    Raises:
        InputError: when the path does not exist, or several files bear the code of one gauge.
    """
    if source is None:
        return DischargeFiles(None, ())
    if not source.path.exists():
        raise InputError(WHERE, f"{source.path} does not exist")
    paths = format_of(source.format).find(source, codes)
    without = [code for code, path in zip(codes, paths, strict=False) if not path]
    notes = tuple(f"gauge {code} has no file of discharge" for code in without)
    return DischargeFiles(source, paths, tuple(area), notes)


class Observations(NamedTuple):
    """What was observed.

    Attributes:
        discharge: float64[g, t] [m3/s], NaN where missing; a mean over several steps stands at each of them.
        notes: sentences worth a warning.
        until: int32[g, t], the last of the steps of which a value is the mean, its own for values of single steps;
            None where all are.
        assumptions: sentences on what the files are taken for.
    """

    discharge: Floats
    notes: list[str]
    until: NDArray[np.int32] | None = None
    assumptions: Sequence[str] = ()


def read_discharge(files: DischargeFiles, codes: Sequence[str], times: Times, step: int) -> Observations:
    """Observations of all gauges.

    Args:
        files: from `find_discharge`.
        codes: of the g gauges.
        times: t stamps, at a fixed step.
        step: of the stamps [s].

    Raises:
        Errors: for everything that is wrong, together.
    """
    discharge = np.full((len(codes), len(times)), np.nan)
    notes, until = list[str](), dict[int, NDArray[np.int32]]()
    if files.source is None or not any(files.paths):
        return Observations(discharge, notes)
    period, errors, findings = Period(times, step), list[HydrocliError](), dict[str, list[str]]()
    assumed = dict[str, list[str]]()
    found = format_of(files.source.format).read(files.paths, files.source, codes, period, notes)
    for g, code in enumerate(codes):
        records = found.get(code)
        if isinstance(records, Records):
            gauge = _Gauge(code, records, files.source, files.area[g] if files.area else np.nan, findings, assumed)
            try:
                discharge[g], intervals = gauge.series(period)
                until |= {} if intervals is None else {g: intervals}
            except InputError as error:
                errors.append(error)
        elif records is not None:
            errors.append(records)
    if errors:
        raise errors[0] if len(errors) == 1 else Errors(errors)
    notes += [_sentence(what, gauges) for what, gauges in findings.items()]
    empty = np.isnan(discharge).all(axis=1)
    notes += [f"gauge {code} has no observed discharge" for code, none in zip(codes, empty, strict=True) if none]
    own = np.arange(len(times), dtype=np.int32)
    every = np.stack([until.get(g, own) for g in range(len(codes))]) if until else None
    assumptions = [_assumption(what, gauges, codes) for what, gauges in assumed.items()]
    return Observations(discharge, notes, every, assumptions)


def _sentence(what: str, gauges: list[str]) -> str:
    more = f" and {len(gauges) - SHOWN} more" if len(gauges) > SHOWN else ""
    return f"discharge of {', '.join(gauges[:SHOWN])}{more}: {what}"


def _assumption(what: str, gauges: list[str], codes: Sequence[str]) -> str:
    """What files are taken for; the gauges are named where it is not all of them."""
    return f"discharge: {what}" if len(gauges) == len(codes) else _sentence(what, gauges)


@dataclass(frozen=True)
class _Gauge:
    """Observations of one gauge on their way to a series.

    Attributes:
        code: of the gauge.
        records: as its file has them.
        source: what the configuration says of them.
        area: of its catchment [m2].
        findings: gauges by what is worth a warning.
        assumed: gauges by what their files are taken for.
    """

    code: str
    records: Records
    source: DischargeSource
    area: float
    findings: dict[str, list[str]]
    assumed: dict[str, list[str]]

    def note(self, what: str, more: str = "") -> None:
        """Keep something worth a warning."""
        self.findings.setdefault(what, []).append(self.code + more)

    def where(self, place: int) -> str:
        """File and line of a row, by its place."""
        return self.records.where(self.records.values.index[place])

    def series(self, period: Period) -> tuple[Floats, NDArray[np.int32] | None]:
        """Values at the stamps, float64[t], and the last step of the interval of each; None for single steps.

        Raises:
            InputError: for what cannot be understood within the period.
        """
        step, source = period.step, self.source
        when = self._utc()
        gap = source.max_gap or max(step, HOUR)
        margin = np.timedelta64(max(gap, 2 * step, 2 * DAY), "s")
        around = np.flatnonzero((when > period.times[0] - margin) & (when <= period.times[-1] + margin))
        if not around.size:
            return np.full(len(period.times), np.nan), None
        spacing = source.interval or _spacing(when[around]) or (DAY if self.records.stamps.are_dates else step)
        label = source.label or self.records.label
        self.assumed.setdefault(self._taken_for(spacing, label), []).append(self.code)
        if self._are_longer_means(around, spacing, label, step):
            return self._means(around, label == "start", spacing, period)
        if label is None and self.records.stamps.are_dates:
            self.note("dates are the ends of their days; `label: start` takes them for the days themselves")
        if label == "start":
            when = when + np.timedelta64(spacing, "s")
        # Only what counts is examined: with regular times, that of the period.
        first = period.times[0] - np.timedelta64(step, "s")
        is_inside = (when[around] > first) & (when[around] <= period.times[-1])
        on_stamps = not np.any((when[around][is_inside] - period.times[0]).astype(np.int64) % step)
        chosen = around[is_inside] if on_stamps else around
        values = self._values(chosen)
        when, values = self._sorted(when[chosen], values, chosen)
        values = values * self._factor(spacing)
        if on_stamps:
            result = np.full(len(period.times), np.nan)
            result[np.searchsorted(period.times, when)] = values
            return result, None
        offsets = (when - first).astype(np.int64)
        if label != "instant" and step % spacing == 0 and not np.any(offsets % spacing):
            self.note(f"means over each step of values that are {words(spacing)} apart")
            return _mean_of_values(offsets, values, period, step // spacing), None
        self.note("means over each step of what is interpolated between irregular times")
        return _mean_of_line(offsets, values, period, gap), None

    def _means(
        self, around: Integers, are_starts: bool, spacing: int, period: Period
    ) -> tuple[Floats, NDArray[np.int32]]:
        """Means over intervals longer than the step, at each step of theirs; those that the period cuts are left out.

        Raises:
            InputError: an interval begins or ends within a step.
        """
        stamps = self.records.stamps.take(around)
        shift = np.timedelta64(spacing if are_starts else -spacing, "s")
        zone = self.source.timezone
        # The days of a local clock may have 23 or 25 hours.
        edges = [
            to_utc(replace(stamps, times=times, are_dates=False), zone, self.where)
            for times in (stamps.times, stamps.times + shift)
        ]
        first = period.times[0] - np.timedelta64(period.step, "s")
        low, high = ((edge - first).astype(np.int64) for edge in (edges if are_starts else edges[::-1]))
        is_known = ~(np.isnat(edges[0]) | np.isnat(edges[1]))
        inside = is_known & (low >= 0) & (high <= len(period.times) * period.step)
        odd = np.flatnonzero(inside & ((low % period.step != 0) | (high % period.step != 0)))
        if odd.size:
            what = f"the {words(spacing)} of a value of gauge {self.code} begins or ends within a step of "
            remedy = f"Check `{SECTION}.timezone`, or set `period.step` to a divisor."
            raise InputError(self.where(int(around[odd[0]])), what + words(period.step), remedy)
        chosen = around[inside]
        starts, values = self._sorted(first + low[inside].astype("timedelta64[s]"), self._values(chosen), chosen)
        counts = dict(zip(low[inside].tolist(), (high - low)[inside].tolist(), strict=True))
        result, until = np.full(len(period.times), np.nan), np.arange(len(period.times), dtype=np.int32)
        values = values * self._factor(spacing)
        for start, value in zip((starts - first).astype(np.int64).tolist(), values.tolist(), strict=True):
            a, b = start // period.step, (start + counts[start]) // period.step
            result[a:b], until[a:b] = value, b - 1
        which = "from" if are_starts else "to"
        local = f" of {zone}" if zone else " (UTC)"
        self.note(
            f"values are means of {words(spacing)}, {which} their times{local}; "
            "they are compared with such means of the simulated discharge"
        )
        return result, until

    def _taken_for(self, spacing: int, label: str | None) -> str:
        """Unit, meaning and zone of the times, spacing and layout of the values, in words."""
        source, records = self.source, self.records
        unit = f"{source.unit} (stated by `unit`)" if source.unit else f"{records.unit} (of the {source.format} files)"
        if label == "instant":
            meaning = "a time is that of a reading"
        else:
            meaning = f"a time is the {label or 'end'} of the interval of its value"
            meaning += " (stated by `label`)" if source.label else "" if label else " (not stated)"
        zone = "days" if records.stamps.are_dates else "UTC" if records.stamps.is_utc.all() else "UTC (not stated)"
        if source.timezone and not records.stamps.are_dates:
            zone = f"{source.timezone} (stated by `timezone`)"
        layout = f"; {records.layout}" if records.layout else ""
        return f"{unit}; {meaning}; times: {zone}, {words(spacing)} apart{layout}"

    def _utc(self) -> Times:
        """Times of the rows in UTC."""
        stamps = self.records.stamps
        when = to_utc(stamps, self.source.timezone, self.where)
        lost = int(np.count_nonzero(np.isnat(when) & ~np.isnat(stamps.times)))
        if lost:
            self.note("times of a doubled hour that are there once are left out", f" ({lost})")
        if self.source.timezone is None and not stamps.is_utc.any() and not stamps.are_dates:
            hour = looks_like_a_local_clock(np.sort(stamps.times))
            if hour is not None:
                self.note(
                    f"the clock seems to change to or from summer time at {hour}, and UTC is assumed: "
                    f"`{SECTION}.timezone` states a zone, for example Europe/Paris"
                )
        return when

    def _are_longer_means(self, around: Integers, spacing: int, label: str | None, step: int) -> bool:
        """Whether values are means of a day beside a shorter step; of other longer ones a note says what they are.

        Raises:
            InputError: they are means of more than a day, or nothing says of which day.
        """
        if spacing <= step or label == "instant":
            return False
        # The hour of the clock of the table: in UTC it changes with summer time.
        stamps = self.records.stamps
        clock = stamps.times[around]
        at_one_hour = len(np.unique(clock - clock.astype("datetime64[D]"))) == 1 and (
            len(clock) > 2 or stamps.are_dates
        )
        if spacing < DAY or not (at_one_hour or stamps.are_dates):
            self.note(
                f"values are {words(spacing)} apart, and count for the step of {words(step)} that ends at their time"
            )
            return False
        if spacing == DAY and label is not None:
            return True
        what = f"the values of gauge {self.code} are {words(spacing)} apart, the step is {words(step)}"
        instant = f"`{SECTION}.label: instant` if each is a reading at its time."
        if spacing > DAY:
            raise InputError(self.where(int(around[0])), what, f"Give daily values, or {instant}")
        remedy = (
            f"Daily means are compared with those of the simulation: state `{SECTION}.label`, start or end, for the "
            f"day from or to their times. Or set `period.step: 1d`, or {instant}"
        )
        raise InputError(self.where(int(around[0])), what, remedy)

    def _values(self, chosen: Any) -> Floats:
        """Numbers of some rows, NaN where missing.

        Raises:
            InputError: for what is no number.
        """
        column = self.records.values
        values = column.values[chosen] if isinstance(column, Numbers) else self._examined(column.iloc[chosen], chosen)
        positive = values[values > 0]
        largest = positive.max(initial=0.0)
        others = positive[positive < largest]
        if largest in LARGEST_MARKS and others.size > 2 and largest > 10 * others.max():
            place = int(np.flatnonzero(values == largest)[0])
            what = f"{largest:g} is more than ten times any other discharge of gauge {self.code}"
            remedy = f"If it marks missing values: `{SECTION}.missing: [{largest:g}]`. Else correct it."
            raise InputError(self.where(int(chosen[place])), what, remedy)
        return np.where(values < 0, np.nan, values)

    def _examined(self, column: Any, chosen: Any) -> Floats:
        """Numbers of a column of pandas with the rows `chosen`; NaN where missing, marked or flagged.

        Raises:
            InputError: for what is no number.
        """
        keep = self.source.flags
        flags = self.records.flags
        if flags is not None and keep is not None:
            text = flags.iloc[chosen].astype("string").str.strip().fillna("")
            dropped = ~text.isin([str(flag) for flag in keep]).to_numpy(bool)
            if dropped.any():
                self.note("values with other flags are missing", f" ({np.count_nonzero(dropped)})")
                column = column.mask(dropped)
        values, marked = _numbers(column, self.source.missing)
        if marked.any():
            self.note("values with a mark of `missing`", f" ({np.count_nonzero(marked)})")
        odd = np.flatnonzero((np.isnan(values) & ~marked) | np.isinf(values))
        text = column.iloc[odd].astype("string").str.strip().fillna("")
        odd = odd[~text.str.lower().isin(MISSING).to_numpy(bool)]
        if odd.size:
            raise self._odd_text(column, odd)
        return values

    def _odd_text(self, column: Any, odd: Any) -> InputError:
        found = list(dict.fromkeys(str(value).strip() for value in column.iloc[odd[:1000]]))
        if found[0].lower().lstrip("+-") in ("inf", "infinity"):
            return InputError(self.records.where(column.index[odd[0]]), "is infinite")
        more = f" ({len(odd)} such values: {', '.join(map(repr, found[:5]))})" if len(odd) > 1 else ""
        remedy = f"Correct it, or list what marks missing values: `{SECTION}.missing: [{found[0]}]`."
        if any(character.isdigit() for character in found[0]):
            remedy = "Write numbers without separators of thousands or letters, for example 1234.5."
        return InputError(self.records.where(column.index[odd[0]]), f"{found[0]!r} is not a discharge{more}", remedy)

    def _sorted(self, when: Times, values: Floats, chosen: Any) -> tuple[Times, Floats]:
        """Rows by time; equal ones are one.

        Raises:
            InputError: two values of one time differ.
        """
        order = np.argsort(when, kind="stable")
        when, values, chosen = when[order], values[order], chosen[order]
        is_again = np.append(False, when[1:] == when[:-1])
        if not is_again.any():
            return when, values
        same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        differs = np.flatnonzero(is_again & ~np.append(True, same))
        if differs.size:
            place = int(differs[0])
            what = f"gauge {self.code} has two values at {str(when[place]).replace('T', ' ')}"
            what += f" ({differs.size} duplicates)"
            row = self.records.stamps
            local = self.source.timezone is None and not row.is_utc.all() and when[place].astype("datetime64[M]")
            is_autumn = local and int(local.astype(int)) % 12 in (9, 10)
            remedy = "Keep one."
            if is_autumn:
                remedy += f" Is this the end of summer time on a local clock? Then state `{SECTION}.timezone`."
            raise InputError(self.where(int(chosen[place])), what, remedy)
        return when[~is_again], values[~is_again]

    def _factor(self, spacing: int) -> float:
        """m3/s in a unit of the values; that of the file and that of the configuration must agree."""
        own, stated = self.records.unit, self.source.unit
        factor = volume_factor(stated or own, spacing, self.area, f"gauge {self.code}")
        if stated and own != "m3/s" and abs(volume_factor(own, spacing, self.area, self.code) / factor - 1) > 1e-9:
            what = f"is {stated!r}, but the files are in {own}"
            raise InputError(f"{SECTION}.unit", what, "Remove the key.")
        return factor


def words(seconds: int) -> str:
    """A length of time as the configuration writes it."""
    return next(
        f"{seconds // size}{unit}"
        for unit, size in (("d", DAY), ("h", HOUR), ("min", 60), ("s", 1))
        if seconds % size == 0
    )


def _spacing(when: Times) -> int:
    """Median interval between times [s]; 0 where there is none."""
    gaps = np.diff(when).astype(np.int64)
    if (gaps <= 0).any():
        gaps = np.diff(np.unique(when)).astype(np.int64)
    return int(np.median(gaps)) if gaps.size else 0


def _numbers(column: Any, marks: Sequence[str | float]) -> tuple[Floats, Flags]:
    """Numbers of a column, NaN where there is none; and which of them have a mark."""
    import pandas as pd

    values = column_numbers(column)
    texts = {str(mark).strip().lower() for mark in marks if isinstance(mark, str)}
    marked = np.zeros(len(values), bool)
    if texts and not pd.api.types.is_numeric_dtype(column):
        marked = column.astype("string").str.strip().str.lower().fillna("").isin(texts).to_numpy(bool)
    for mark in marks:
        if not isinstance(mark, str):
            marked |= values == mark
    values[marked] = np.nan
    return values, marked


def _mean_of_values(offsets: Any, values: Floats, period: Period, count: int) -> Floats:
    """Means of the values within each step, of which there are `count`; `offsets` [s] count from the first step."""
    number = -(-offsets // period.step) - 1
    good = np.isfinite(values) & (number >= 0) & (number < len(period.times))
    total = np.bincount(number[good], values[good], len(period.times))
    found = np.bincount(number[good], minlength=len(period.times))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(found >= SHARE_OF_STEP * count, total / found, np.nan)


def _mean_of_line(offsets: Any, values: Floats, period: Period, gap: int) -> Floats:
    """Means over each step of the line through the values, but for intervals longer than `gap` or next to a gap."""
    step, steps = period.step, len(period.times)
    good = np.isfinite(values)
    if np.count_nonzero(good) < 2:
        return np.full(steps, np.nan)
    is_good = np.append(good[1:] & good[:-1] & (np.diff(offsets) <= gap), False)
    points = np.union1d(offsets, np.arange(steps + 1) * step)
    points = points[(points >= 0) & (points <= steps * step)]
    line = np.interp(points, offsets[good], values[good])
    middle, length = (points[1:] + points[:-1]) / 2, np.diff(points)
    segment = np.searchsorted(offsets, middle, side="right") - 1
    inside = (segment >= 0) & is_good[segment]
    number = np.minimum(middle // step, steps - 1).astype(np.int64)
    weight = np.where(inside, length, 0)
    covered = np.bincount(number, weight, steps)
    total = np.bincount(number, weight * (line[1:] + line[:-1]) / 2, steps)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(covered >= SHARE_OF_STEP * step, total / covered, np.nan)
