"""Section `objective`: what a calibration makes small."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hydrocli.config.section import Section


class Objective(Section):
    """Weighted mean over the calibration gauges."""

    metric: Literal["nse"] = Field("nse", description="nse: 1 - NSE of each gauge")
