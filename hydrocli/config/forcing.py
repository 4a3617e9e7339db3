"""Section `forcing`: rain, potential evapotranspiration, and the store of what was read from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hydrocli.config.section import InputPath, Number, Section, Switch

Factor = Annotated[Number, Field(gt=0)]


class Precipitation(Section):
    """Rain of each step."""

    path: InputPath = Field(description="folder tree of GeoTIFF, one per step, the date in the name", examples=["prcp"])
    format: Literal["geotiff"] = Field("geotiff", description="geotiff")
    factor: Factor = Field(1.0, description="the values of the files times this are mm per step", examples=[0.1])


class InterannualEvapotranspiration(Section):
    """Daily means of many years, split to the hours of the day."""

    kind: Literal["interannual"] = Field(
        description="one raster for each day of the year, split to the hours of the day"
    )
    path: InputPath = Field(
        description="folder tree of GeoTIFF, one per day of the year, mmdd in the name", examples=["pet"]
    )
    factor: Factor = Field(1.0, description="the values of the files times this are mm per day")


class GivenEvapotranspiration(Section):
    """Potential evapotranspiration of each step, or day."""

    kind: Literal["given"] = Field(description="one raster for each step, or day")
    path: InputPath = Field(description="folder tree of GeoTIFF, one per step, the date in the name", examples=["pet"])
    factor: Factor = Field(1.0, description="the values of the files times this are mm, per day for daily files")


class Temperature(Section):
    """Air temperature, daily or of each step."""

    path: InputPath = Field(
        description="folder tree of GeoTIFF, daily or one per step, the date in the name", examples=["temperature"]
    )
    factor: Factor = Field(1.0, description="factor times the values of the files plus offset is in degrees C")
    offset: Number = Field(0.0, description="-273.15 for files in kelvin")


class OudinEvapotranspiration(Section):
    """From air temperature (Oudin et al. 2005)."""

    kind: Literal["oudin"] = Field(description="computed from air temperature (Oudin et al. 2005)")
    temperature: Temperature = Field(description="air temperature")
    variant: Literal["fao56"] = Field(
        "fao56", description="fao56: extraterrestrial radiation of FAO-56, latent heat at the temperature of the air"
    )


Evapotranspiration = Annotated[
    InterannualEvapotranspiration | GivenEvapotranspiration | OudinEvapotranspiration, Field(discriminator="kind")
]


class Forcing(Section):
    """What drives the model."""

    precipitation: Precipitation = Field(description="rain")
    evapotranspiration: Evapotranspiration = Field(description="potential evapotranspiration")
    store: InputPath = Field(
        ".hydrocli/store",
        validate_default=True,
        description="folder that keeps what was read, so that a second start reads no raster",
    )
    unreadable_as_missing: Switch = Field(False, description="count a broken raster as missing instead of ending there")
