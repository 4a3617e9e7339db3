"""Section `mapping`: how the parameters of the cells follow from the numbers that are calibrated."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hydrocli.config.section import Section


class Mapping(Section):
    """Control vector -> parameter maps."""

    kind: Literal["uniform", "distributed"] = Field(
        "uniform", description="uniform: one value per parameter; distributed: one per parameter and cell"
    )
