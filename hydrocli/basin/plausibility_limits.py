"""What of the figures of a basin is too much: errors with all gauges concerned, and sentences worth a warning.

A limit of infinity is off. The defaults stand far outside of what rivers do, so that what is beyond them was misread:
another unit, a forgotten factor, other gauges. `hydrocli.config.plausibility` documents them for the user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf

from hydrocli.basin.basin import DAY
from hydrocli.basin.plausibility import Figures, Row
from hydrocli.basin.values import LIMITS, REPEATED
from hydrocli.errors import InputError

SECTION = "plausibility"
YEAR = 365.25
SHOWN = 8
"""Gauges that an error names."""
MONTH, WHOLE_YEAR = 30.0, 360.0
"""Days from which sums of a month and of a year mean something."""
CORRELATED, SIGNIFICANT, CLEARLY = 0.3, 4.0, 0.1
"""Correlation from which a lag is believed, at least, and by the root of the days; and what it must be above others."""
RISE, LEAST_RISE = 5.0, 0.03
"""Rise of runoff by the highest rain of a cell, and the rise itself [mm/h], of a river that the rain cannot feed."""
ALONE = 1.5
"""The highest value by the second highest one, from which it stands alone."""
HALF_DAY, HOURS_PER_KM = 12.0, 1.5
"""Of the usual lag: on hillslopes [h], and along the square root of the area [h/km]."""
SOME = 0.05
"""Share worth a warning."""


@dataclass(frozen=True)
class Limits:
    """Limits of the figures; infinity, or 0 for the lowest ones, where a limit is off.

    Attributes:
        max_runoff_ratio: runoff, less `storage`, by rain.
        max_loss_ratio: rain that does not run off, less `storage`, by PET.
        storage: water that the catchment may have had, or keep [mm].
        min_runoff_ratio: runoff, if any, by rain.
        max_rain, min_pet: [mm/year].
        max_pet: PET by the water that the radiation above the atmosphere could evaporate.
        min_peak_rain: highest rain of a cell, where the runoff rises by more than five times of it [mm/h].
        min_lag, max_lag: of the rises of discharge behind the rain [s].
        max_missing: share of steps and cells of a catchment without rain data.
        max_negative: share of negative values of rain or PET.
        max_growing: share of rises among the changes of rain or PET within days.
        max_jump: factor of a change of all values.
        max_constant: share of the discharge or rain in long runs of one value.
        fill_values: whether a highest value that repeats and looks like a fill value is an error.
        exempt: codes of gauges that are not judged.
    """

    max_runoff_ratio: float = 2.0
    min_runoff_ratio: float = 0.002
    max_loss_ratio: float = 3.0
    storage: float = 200.0
    max_rain: float = 12_000.0
    max_pet: float = 1.0
    min_pet: float = 20.0
    min_peak_rain: float = 0.1
    min_lag: float = 0.0
    max_lag: float = 5.0 * DAY
    max_missing: float = 0.5
    max_negative: float = 0.1
    max_growing: float = 0.9
    max_jump: float = 5.0
    max_constant: float = 0.5
    fill_values: bool = True
    exempt: tuple[str, ...] = ()


def findings(figures: Figures, limits: Limits, *, rain_is_judged: bool = False) -> tuple[list[InputError], list[str]]:
    """What is beyond the limits, one error for each limit, and sentences worth a warning.

    Args:
        figures: of a basin.
        limits: see `Limits`.
        rain_is_judged: whether an error on missing rain is known already.
    """
    judge = _Judge(figures, limits)
    errors = [
        *judge.volumes(),
        *judge.intensities(),
        *judge.lags(),
        *([] if rain_is_judged else judge.gaps()),
        *judge.series(),
        *judge.values(),
    ]
    return errors, list(judge.notes())


@dataclass(frozen=True)
class _Judge:
    """Figures and limits together."""

    figures: Figures
    limits: Limits

    @property
    def gauges(self) -> list[Row]:
        """Gauges that are judged."""
        return [row for row in self.figures.gauges if row["gauge"] not in self.limits.exempt]

    @property
    def period(self) -> str:
        """The steps that the figures are of."""
        return f"{self.figures.first} to {self.figures.last}"

    def error(
        self, key: str, what: str, is_beyond: Callable[[Row], bool], words: Callable[[Row], str], remedy: str
    ) -> Iterator[InputError]:
        """One error for the gauges that are beyond a limit."""
        found = [row for row in self.gauges if is_beyond(row)]
        if found:
            yield InputError(
                f"{SECTION}.{key}", f"{what} ({self.period}): {_listed(found, words)}", self.remedy(remedy, key)
            )

    @staticmethod
    def remedy(text: str, key: str) -> str:
        """What to do; at last, about the limit itself."""
        return f"{text} If the data are right, change `{SECTION}.{key}`, or set it to off."

    def volumes(self) -> Iterator[InputError]:
        """Water that comes from nowhere, or goes nowhere."""
        limits, storage = self.limits, self.limits.storage
        yield from self.error(
            "max_runoff_ratio",
            f"observed runoff is more than {limits.max_runoff_ratio:g} times the rain and {storage:g} mm of storage",
            lambda row: (row["runoff"] or 0.0) > _times(limits.max_runoff_ratio, row["rain_observed"]) + storage,
            lambda row: f"{row['runoff']:.4g} mm of runoff, {row['rain_observed']:.4g} mm of rain",
            "Check units and factors of `gauges.discharge` and `forcing.precipitation`, the area of the gauge, "
            "and whether it is on its river.",
        )
        yield from self.error(
            "max_loss_ratio",
            f"rain that does not run off is more than {limits.max_loss_ratio:g} times the PET and {storage:g} mm of "
            "storage",
            lambda row: _loss(row) > _times(limits.max_loss_ratio, _observed_pet(row)) + storage,
            lambda row: (
                f"{row['rain_observed']:.4g} mm of rain, {row['runoff']:.4g} mm of runoff, "
                f"{_observed_pet(row):.4g} mm of PET"
            ),
            "Check units and factors of `forcing.precipitation` (tenths of a millimetre need scale_factor: 0.1), of "
            "PET and of `gauges.discharge`.",
        )
        yield from self.error(
            "min_runoff_ratio",
            f"observed runoff is less than {limits.min_runoff_ratio:g} times the rain",
            lambda row: row["observed_days"] >= MONTH and 0 < (row["runoff_ratio"] or 0.0) < limits.min_runoff_ratio,
            lambda row: f"{row['runoff']:.3g} mm of runoff, {row['rain_observed']:.4g} mm of rain",
            "Check units and factors of `gauges.discharge` and `forcing.precipitation`, the area of the gauge, "
            "and whether it is on its river.",
        )
        yield from self.error(
            "max_rain",
            f"rain is more than {limits.max_rain:g} mm a year",
            lambda row: row["days"] >= MONTH and _per_year(row, "rain") > limits.max_rain,
            lambda row: f"{_per_year(row, 'rain'):.4g} mm a year",
            "Check `forcing.precipitation.unit` and `forcing.precipitation.scale_factor`.",
        )
        yield from self.error(
            "max_pet",
            f"PET is more than {limits.max_pet:g} times what the radiation above the atmosphere could evaporate",
            lambda row: row["pet"] > _times(limits.max_pet, row["radiation"]),
            lambda row: f"{row['pet']:.4g} and {row['radiation']:.4g} mm",
            "Check `forcing.pet.unit` and `forcing.pet.scale_factor`.",
        )
        yield from self.error(
            "min_pet",
            f"PET is less than {limits.min_pet:g} mm a year",
            lambda row: row["days"] >= WHOLE_YEAR and _per_year(row, "pet") < limits.min_pet,
            lambda row: f"{_per_year(row, 'pet'):.4g} mm a year",
            "Check `forcing.pet.unit` and `forcing.pet.scale_factor`.",
        )

    def intensities(self) -> Iterator[InputError]:
        """Rain too weak for the river, as metres read for millimetres."""
        rain = self.figures.forcings[0]
        hourly = (rain["highest"] or 0.0) * 3600 / min(self.figures.step, DAY)
        if not 0 < hourly < self.limits.min_peak_rain:
            return
        yield from self.error(
            "min_peak_rain",
            f"no cell has more than {hourly:.2g} mm/h of rain, and the river rises by more than five times that",
            lambda row: _rise(row) > max(LEAST_RISE, RISE * hourly),
            lambda row: f"{_rise(row):.3g} mm/h",
            "Check `forcing.precipitation.unit` (m in place of mm?) and `forcing.precipitation.scale_factor`.",
        )

    def lags(self) -> Iterator[InputError]:
        """Rivers that rise before the rain, or long after it."""
        limits = self.limits

        def words(row: Row) -> str:
            return f"lag {row['lag']:+.4g} h, correlation {row['correlation']:.2f}"

        yield from self.error(
            "min_lag",
            f"discharge rises before the rain; the limit is {limits.min_lag / 3600:g} h",
            lambda row: (
                _is_believed(row)
                and row["lag"] * 3600 < limits.min_lag
                and (row["lag"] >= 0 or row["correlation"] - row["correlation_later"] >= CLEARLY)
            ),
            words,
            "Check `label`, `offset` and `timezone` of `forcing.precipitation` and of `gauges.discharge`.",
        )
        yield from self.error(
            "max_lag",
            f"discharge rises long after the rain; the limit is {limits.max_lag / 3600:g} h",
            lambda row: _is_believed(row) and row["lag"] * 3600 > limits.max_lag,
            words,
            "Check `label`, `offset` and `timezone` of `forcing.precipitation` and of `gauges.discharge`.",
        )

    def gaps(self) -> Iterator[InputError]:
        """Catchments without rain data."""
        limit = self.limits.max_missing
        yield from self.error(
            "max_missing",
            f"rain data are missing in more than {limit:.0%} of steps and cells of a catchment",
            lambda row: row["rain_missing"] > limit,
            lambda row: f"{row['rain_missing']:.1%}, of it {row['rain_uncovered']:.1%} in cells without any",
            "Add files, or fields that cover the catchment, change `period`, or leave the gauge out.",
        )

    def series(self) -> Iterator[InputError]:
        """Signs in single series."""
        limits = self.limits
        yield from self.error(
            "max_growing",
            f"rain only grows within days: more than {limits.max_growing:.0%} of its changes are rises",
            lambda row: (row["rain_growing"] or 0.0) > limits.max_growing,
            lambda row: f"{row['rain_growing']:.0%}",
            "If the fields are sums since the start of the day, write `forcing.precipitation.accumulated: day`.",
        )
        for name, key in (("rain", "forcing.precipitation"), ("discharge", "gauges.discharge")):
            yield from self.error(
                "max_jump",
                f"all values of {name} change by one factor of more than {limits.max_jump:g}, as a unit does",
                lambda row, name=name: _factor(row[f"{name}_jump"]) > limits.max_jump,  # type: ignore[misc]
                lambda row, name=name: f"{row[f'{name}_jump']:.3g} times at {row[f'{name}_jump_time']}",  # type: ignore[misc]
                f"Bring the files of `{key}` to one unit, or shorten `period`.",
            )
        for name, key in (("rain", "forcing.precipitation"), ("discharge", "gauges.discharge")):
            yield from self.error(
                "max_constant",
                f"{name} has one value for days, in more than {limits.max_constant:.0%} of the record",
                lambda row, name=name: (row[f"{name}_constant"] or 0.0) > limits.max_constant,  # type: ignore[misc]
                lambda row, name=name: f"{row[f'{name}_constant']:.0%}{_longest(row) if name == 'discharge' else ''}",  # type: ignore[misc]
                f"Mark what was filled in as missing, or correct `{key}`.",
            )
        if limits.fill_values:
            yield from self.error(
                "fill_values",
                "the highest discharge repeats, looks like a fill value, and stands alone",
                lambda row: _is_fill_value(row["discharge_highest"], row["discharge_repeats"], row["discharge_below"]),
                lambda row: f"{row['discharge_highest']:g} m3/s {row['discharge_repeats']} times",
                "If it marks missing values, list it in `gauges.discharge.missing`.",
            )

    def values(self) -> Iterator[InputError]:
        """Signs in the values of forcings."""
        limits = self.limits
        for row in self.figures.forcings:
            name = row["forcing"]
            if row["negative"] > limits.max_negative:
                what = f"{row['negative']:.1%} of the values of {name} are negative ({self.period})"
                what += f"; the limit is {limits.max_negative:.0%}"
                remedy = f"Check `forcing.{name}.scale_factor` (-1 turns the sign) and `forcing.{name}.nodata`."
                yield InputError(f"{SECTION}.max_negative", what, self.remedy(remedy, "max_negative"))
            if name == "pet" and (row["growing"] or 0.0) > limits.max_growing:
                what = f"PET only grows within days: {row['growing']:.0%} of its changes are rises ({self.period})"
                remedy = "If the fields are sums since the start of the day, write `forcing.pet.accumulated: day`."
                yield InputError(f"{SECTION}.max_growing", what, self.remedy(remedy, "max_growing"))
            if limits.fill_values and _is_fill_value(row["highest"], row["repeats"], row["below"]):
                what = (
                    f"the highest {name}, {row['highest']:g} mm, is there {row['repeats']} times, and the next one is "
                )
                what += f"{row['below'] or 0.0:g} mm: a fill value? ({self.period})"
                remedy = f"If it means missing, declare the value of the files in `forcing.{name}.nodata`."
                yield InputError(f"{SECTION}.fill_values", what, self.remedy(remedy, "fill_values"))

    def notes(self) -> Iterator[str]:
        """Sentences on what is unusual, and within the limits."""
        limits, some = self.limits, SOME
        sentences: tuple[tuple[str, Callable[[Row], bool], Callable[[Row], str]], ...] = (
            (
                "more runoff than rain",
                lambda row: (
                    row["observed_days"] >= WHOLE_YEAR
                    and row["runoff"] > row["rain_observed"]
                    and row["runoff"] <= _times(limits.max_runoff_ratio, row["rain_observed"]) + limits.storage
                ),
                lambda row: f"{row['runoff']:.4g} and {row['rain_observed']:.4g} mm",
            ),
            (
                "discharge rises later after the rain than rivers of this size do: a shift by a label or a time zone?",
                lambda row: (
                    _is_believed(row) and _usual_lag(row, self.figures.step) < row["lag"] <= limits.max_lag / 3600
                ),
                lambda row: f"{row['lag']:.4g} h, correlation {row['correlation']:.2f}",
            ),
            (
                "rain data are missing in some steps and cells of a catchment",
                lambda row: some < row["rain_missing"] <= limits.max_missing,
                lambda row: f"{row['rain_missing']:.1%}",
            ),
            (
                "discharge has one value for 10 days or more in a part of the record",
                lambda row: some < (row["discharge_constant"] or 0.0) <= limits.max_constant,
                lambda row: f"{row['discharge_constant']:.0%}{_longest(row)}",
            ),
            (
                "rain has one value for 5 days or more in a part of the record",
                lambda row: some < (row["rain_constant"] or 0.0) <= limits.max_constant,
                lambda row: f"{row['rain_constant']:.0%}",
            ),
        )
        for text, is_found, words in sentences:
            found = [row for row in self.gauges if is_found(row)]
            if found:
                yield f"{text}: {_listed(found, words)}"


def _listed(rows: list[Row], words: Callable[[Row], str]) -> str:
    shown = "; ".join(f"gauge {row['gauge']} {words(row)}" for row in rows[:SHOWN])
    return shown + (f"; and {len(rows) - SHOWN} gauges more" if len(rows) > SHOWN else "")


def _times(factor: float, value: float | None) -> float:
    """A product; infinity where the factor is, also of 0."""
    return inf if factor == inf else factor * (value or 0.0)


def _per_year(row: Row, name: str) -> float:
    return float(row[name] / row["days"] * YEAR)


def _observed_pet(row: Row) -> float:
    """PET of as many days as are observed."""
    return float(row["pet"] * row["observed_days"] / row["days"])


def _loss(row: Row) -> float:
    return -inf if row["runoff"] is None else float(row["rain_observed"] - row["runoff"])


def _rise(row: Row) -> float:
    """Largest rise of runoff [mm/h]."""
    return float((row["discharge_rise"] or 0.0) * 3.6 / row["area"])


def _is_believed(row: Row) -> bool:
    """Whether the lag of a gauge has a correlation and a record behind it."""
    if row["lag"] is None or row["observed_days"] < MONTH:
        return False
    return bool(row["correlation"] >= max(CORRELATED, SIGNIFICANT / row["observed_days"] ** 0.5))


def _usual_lag(row: Row, step: int) -> float:
    """Hours within which rivers rise after rain: half a day, a step, and what a kinematic wave needs for the length."""
    return HALF_DAY + step / 3600 + HOURS_PER_KM * float(row["area"]) ** 0.5


def _factor(jump: float | None) -> float:
    """A factor or its inverse, whichever is above 1."""
    return 1.0 if not jump else max(jump, 1.0 / jump)


def _longest(row: Row) -> str:
    return f", longest {row['longest_constant']:.3g} d from {row['longest_constant_time']}"


def _is_fill_value(highest: float | None, repeats: int, below: float | None) -> bool:
    """Whether the highest value has the digits of a fill value, repeats, and stands alone."""
    if highest is None or repeats < REPEATED or highest <= 0 or (below is not None and highest < ALONE * below):
        return False
    return any(abs(_digits(highest) / _digits(limit) - 1.0) < 1e-5 for limit in _fill_values())


def _fill_values() -> Iterable[float]:
    return (limit for limit in LIMITS if limit > 0)


def _digits(value: float) -> float:
    """A positive number between 1 and 10 with the same digits."""
    from math import floor, log10

    return float(value / 10.0 ** floor(log10(value)))
