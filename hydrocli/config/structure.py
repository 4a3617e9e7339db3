"""Section `structure`: how water moves in a cell."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hydrocli.config.section import Section


class Structure(Section):
    """The equations of a cell."""

    kind: Literal["gr"] = Field("gr", description="gr: algebraic production and transfer stores of GR")
