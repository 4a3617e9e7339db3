"""Section `basin`: the drainage network and the descriptors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hydrocli.config.base import InputPath, Name, Section


class FlowDirections(Section):
    """Raster of D8 flow directions; its grid is the grid of the model."""

    path: InputPath = Field(description="GeoTIFF", examples=["flwdir.tif"])
    encoding: Literal["esri", "grass", "ldd", "smash", "taudem", "whitebox"] = Field(
        description="esri (1, 2, 4 ... 128 from east clockwise), ldd (PCRaster), smash (1 ... 8 from north clockwise), "
        "taudem, grass, whitebox",
        examples=["smash"],
    )
    crs: str | None = Field(
        None, description="coordinate reference system, whatever the file names", examples=["EPSG:2154"]
    )


class Basin(Section):
    """Drainage network and descriptors."""

    flow_directions: FlowDirections = Field(description="raster of D8 flow directions; its grid is that of the model")
    crs: str | None = Field(
        None,
        description="coordinate reference system of rasters and forcing files that have none",
        examples=["EPSG:2154"],
    )
    descriptors: dict[Name, InputPath] = Field(
        {}, description="name: GeoTIFF of each descriptor", examples=[{"slope": "descriptor/slope.tif"}]
    )
