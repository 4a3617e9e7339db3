"""Section `plausibility`: beyond which figures the data of a basin are taken for misread."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from hydrocli.config.base import DAY, Duration, GaugeCode, Number, Offset, Section


def _off_or_value(value: object) -> str:
    return "off" if value == "off" or value is False else "value"


def _off_where_false(value: object) -> object:
    """Other tools for YAML take `off` without quotes for false."""
    return "off" if value is False else value


Off = Annotated[Literal["off"], BeforeValidator(_off_where_false), Tag("off")]
Limit = Annotated[
    Off | Annotated[Annotated[Number, Field(gt=0)], Tag("value")],
    Discriminator(_off_or_value),
]
Share = Annotated[
    Off | Annotated[Annotated[Number, Field(ge=0, le=1)], Tag("value")],
    Discriminator(_off_or_value),
]
Shift = Annotated[Off | Annotated[Offset, Tag("value")], Discriminator(_off_or_value)]

Delay = Annotated[Off | Annotated[Duration, Tag("value")], Discriminator(_off_or_value)]


class Plausibility(Section):
    """Limits of the figures that `check` shows for each gauge; beyond them nothing starts. Each may be `off`."""

    max_runoff_ratio: Limit = Field(2.0, description="observed runoff, less `storage`, by the rain of the same steps")
    min_runoff_ratio: Limit = Field(
        0.002, description="runoff, if any, by the rain of the same steps, of 30 days or more"
    )
    max_loss_ratio: Limit = Field(3.0, description="rain that does not run off, less `storage`, by PET")
    storage: Annotated[Number, Field(ge=0)] = Field(
        200.0, description="water that soil, snow and aquifers may add or keep over the period [mm]"
    )
    max_rain: Limit = Field(12_000.0, description="rain of a catchment, of 30 days or more [mm/year]")
    max_pet: Limit = Field(1.0, description="PET by the water that the radiation above the atmosphere could evaporate")
    min_pet: Limit = Field(20.0, description="PET of a catchment, of a year or more [mm/year]")
    min_peak_rain: Limit = Field(
        0.1, description="highest rain of a cell, where the runoff rises by five times of it [mm/h]"
    )
    min_lag: Shift = Field(
        0, description="delay of the rises of discharge behind the rain at the best correlation, of 30 days or more"
    )
    max_lag: Delay = Field(5 * DAY, description="see min_lag")
    max_missing: Share = Field(0.5, description="share of steps and cells of a catchment without rain data")
    max_negative: Share = Field(0.1, description="share of negative values of rain or PET")
    max_growing: Share = Field(
        0.9, description="share of rises among the changes of rain or PET within days: daily sums that grow"
    )
    max_jump: Limit = Field(
        5.0, description="factor by which all values of rain or discharge change at one time: a change of unit"
    )
    max_constant: Share = Field(
        0.5, description="share of discharge (not 0) in runs of one value of 10 d, or of rain in runs of 5 d"
    )
    fill_values: Annotated[Literal["refuse", "off"], BeforeValidator(_off_where_false)] = Field(
        "refuse", description="refuse: the highest rain or discharge must not be 9999, 65535 ... several times"
    )
    exempt: tuple[GaugeCode, ...] = Field((), description="gauges that are not judged", examples=[["V3524010"]])
