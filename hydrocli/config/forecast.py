"""Section `forecast`: what a forecast corrects before it looks ahead, and how far it looks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hydrocli.config.base import Duration, GaugeCode, Number, Section

Deviation = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]


class Background(Section):
    """Standard deviations of the errors of the model before the window; 0: not corrected."""

    levels: Deviation = Field(0.05, description="of the levels of the stores [-], in the catchment of each gauge")
    river: Deviation = Field(0.3, description="of the logarithm of the discharge in the river [-]")
    rain: Deviation = Field(0.3, description="of the logarithm of the rain in the window [-]")


class Observation(Section):
    """Standard deviation of the errors of observed discharge: the larger of a share and of a least value."""

    relative: Positive = Field(0.1, description="share of the observed discharge [-]")
    least: Positive = Field(
        0.05, description="least value, as a share of the mean observed discharge of the calibration period [-]"
    )
    correlation: Duration = Field(
        21600, description="time over which errors are the same; the values within it count as one", examples=["6h"]
    )


class Forecast(Section):
    """Forecasts with data assimilation, for `hydrocli forecast` and `hydrocli hindcast`."""

    window: Duration = Field(
        172800, description="time before the issue whose discharge is assimilated", examples=["48h"]
    )
    horizon: Duration = Field(86400, description="time ahead", examples=["24h"])
    future_rain: Literal["perfect", "zero", "persistence"] = Field(
        "perfect",
        description="rain after the issue: that of the archive (perfect), zero, or that of the last step (persistence)",
    )
    background: Background = Field(
        default_factory=Background, description="errors of the model, which the assimilation corrects"
    )
    observation: Observation = Field(default_factory=Observation, description="errors of the observed discharge")
    thresholds: dict[GaugeCode, tuple[Positive, ...]] = Field(
        {},
        description="gauge: discharges [m3/s] whose exceedance is scored",
        examples=[{"Y3205010": [50, 150]}],
    )
