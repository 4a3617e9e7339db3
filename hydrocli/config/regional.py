"""Section `regional`: further basins that are calibrated together with that of the file, under one control vector."""

from __future__ import annotations

from pydantic import Field

from hydrocli.config.section import InputPath, Section


class Regional(Section):
    """Basins of other rasters, archives or periods; gauges of one raster need none of it."""

    basins: tuple[InputPath, ...] = Field(
        (),
        description="YAML files of further basins: their period, basin, gauges, forcing and initial levels; all else "
        "from here",
        examples=[["lez.yaml"]],
    )
