"""Section `flood_events`: how flood events are told apart (Huynh et al. 2023). Lengths in hours."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hydrocli.config.section import GaugeCode, Number, Section

Share = Annotated[Number, Field(ge=0, le=1)]
Hours = Annotated[Number, Field(gt=0)]


class FloodEvents(Section):
    """Options of the search for flood events."""

    peak_quantile: Share = Field(0.995, description="a peak reaches at least this quantile of the discharge")
    peak_discharge: Annotated[Number, Field(ge=0)] = Field(0.0, description="and at least this discharge [m3/s]")
    thresholds: dict[GaugeCode, Annotated[Number, Field(gt=0)]] = Field(
        {},
        description="code: discharge [m3/s] that a peak of this gauge reaches, in place of the quantile",
        examples=[{"V3524010": 120.0}],
    )
    separation: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="of peaks that lie nearer to one another than this, only the highest counts [h]"
    )
    max_duration: Hours = Field(240.0, description="longest event, before overlapping ones are merged [h]")
    onset_search: Hours = Field(72.0, description="how long before its peak an event may start [h]")
    onset_quantile: Share = Field(
        0.8, description="an onset reaches at least this quantile of the gradient of the rain"
    )
    energy_window: Hours = Field(24.0, description="duration whose rain counts for an onset [h]")
    energy_share: Share = Field(0.2, description="share of the largest rain energy that an onset must exceed")
    end_window: Hours = Field(48.0, description="duration whose quick flow is least at the end of an event [h]")
