"""Section `period`: time step, and periods of simulation, calibration and validation."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from pydantic import Field, model_validator

from hydrocli.config.base import Location, Name, Section, Step, Time, raise_validation_errors

TimeRange = tuple[Time, Time]


class Period(Section):
    """Periods are ]start, end]: a value with the time stamp `start` belongs to the step before."""

    step: Step = Field(description="time step: 15min, 1h, 1d ...; divides a day", examples=["1h"])
    start: Time = Field(
        description="start of the simulation (UTC); the first step ends at start + step", examples=["2014-09-15T00:00Z"]
    )
    end: Time = Field(
        description="end of the simulation (UTC); time stamp of the last step", examples=["2015-01-15T00:00Z"]
    )
    calibration: TimeRange | None = Field(
        None,
        description="[start, end] of the calibration period; the time before it is the spin-up of the model",
        examples=[["2014-10-01T00:00Z", "2014-11-14T00:00Z"]],
    )
    validation: dict[Name, TimeRange] = Field(
        {},
        description="name: [start, end] of each validation period",
        examples=[{"p2": ["2014-11-14T00:00Z", "2015-01-15T00:00Z"]}],
    )

    @model_validator(mode="after")
    def _check_periods(self) -> Period:
        if self.start >= self.end:
            raise_validation_errors([(("end",), f"{self.end:%Y-%m-%dT%H:%MZ} is not after start", "")])
        problems = self._off_the_grid(("end",), self.end)
        for location, window in self._windows().items():
            problems += self._outside(location, window)
        if self.calibration:
            for name, (start, end) in self.validation.items():
                if start < self.calibration[1] and end > self.calibration[0]:
                    what = "overlaps period.calibration, so its scores would not be independent"
                    problems.append((("validation", name), what, "start it at the end of the calibration period"))
        if "calibration" in self.validation:
            problems.append(
                (("validation", "calibration"), "is reserved for the calibration period", "use another name")
            )
        raise_validation_errors(problems)
        return self

    def _windows(self) -> dict[Location, TimeRange]:
        windows: dict[Location, TimeRange] = {("validation", name): window for name, window in self.validation.items()}
        return ({("calibration",): self.calibration} if self.calibration else {}) | windows

    def _outside(self, location: Location, window: TimeRange) -> list[tuple[Location, str, str]]:
        if any(before >= after for before, after in pairwise(window)):
            return [(location, "does not end after it starts", "")]
        if window[0] < self.start or window[1] > self.end:
            span = f"{self.start:%Y-%m-%dT%H:%MZ} to {self.end:%Y-%m-%dT%H:%MZ}"
            return [(location, "is not inside the period", f"period.start to period.end is {span}")]
        return [problem for time in window for problem in self._off_the_grid(location, time)]

    def _off_the_grid(self, location: Location, time: datetime) -> list[tuple[Location, str, str]]:
        if (time - self.start).total_seconds() % self.step:
            what = f"{time:%Y-%m-%dT%H:%M:%SZ} is not a whole number of steps after start"
            return [(location, what, "")]
        return []
