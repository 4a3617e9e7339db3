"""Section `forcing`: precipitation, potential evapotranspiration, air temperature, and the store of what was read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hydrocli.config.base import InputPath, Number, Section, Switch, raise_validation_errors

Factor = Annotated[Number, Field(gt=0)]


class Precipitation(Section):
    """Precipitation of each step."""

    path: InputPath = Field(description="folder tree of GeoTIFF, one per step, the date in the name", examples=["prcp"])
    format: Literal["geotiff"] = Field("geotiff", description="geotiff")
    scale_factor: Factor = Field(1.0, description="the values of the files times this are mm per step", examples=[0.1])


class Temperature(Section):
    """Air temperature, daily or of each step."""

    path: InputPath = Field(
        description="folder tree of GeoTIFF, daily or one per step, the date in the name", examples=["temperature"]
    )
    format: Literal["geotiff"] = Field("geotiff", description="geotiff")
    scale_factor: Factor = Field(1.0, description="scale_factor * value + add_offset is in degrees C")
    add_offset: Number = Field(0.0, description="-273.15 for files in kelvin")


class InterannualPet(Section):
    """Daily means of many years, split to the hours of the day."""

    kind: Literal["interannual"] = Field(
        description="one raster for each day of the year, split to the hours of the day"
    )
    path: InputPath = Field(
        description="folder tree of GeoTIFF, one per day of the year, mmdd in the name", examples=["pet"]
    )
    format: Literal["geotiff"] = Field("geotiff", description="geotiff")
    scale_factor: Factor = Field(1.0, description="the values of the files times this are mm per day")


class RasterPet(Section):
    """Potential evapotranspiration of each step, or day."""

    kind: Literal["raster"] = Field(description="one raster for each step, or day")
    path: InputPath = Field(description="folder tree of GeoTIFF, one per step, the date in the name", examples=["pet"])
    format: Literal["geotiff"] = Field("geotiff", description="geotiff")
    scale_factor: Factor = Field(1.0, description="the values of the files times this are mm, per day for daily files")


class OudinPet(Section):
    """From air temperature (Oudin et al. 2005)."""

    kind: Literal["oudin"] = Field(description="computed from forcing.temperature (Oudin et al. 2005)")
    variant: Literal["fao56"] = Field(
        "fao56", description="fao56: extraterrestrial radiation of FAO-56, latent heat at the temperature of the air"
    )


Pet = Annotated[InterannualPet | RasterPet | OudinPet, Field(discriminator="kind")]


class Forcing(Section):
    """What drives the model."""

    precipitation: Precipitation = Field(description="precipitation")
    temperature: Temperature | None = Field(
        None, description="air temperature; for pet of the kind oudin, and for structures with snow"
    )
    pet: Pet = Field(description="potential evapotranspiration")
    store: InputPath = Field(
        ".hydrocli/store",
        validate_default=True,
        description="folder that keeps what was read, so that a second start reads no raster",
    )
    unreadable_as_missing: Switch = Field(
        False, description="count a file that cannot be read as missing instead of ending there"
    )

    @model_validator(mode="after")
    def _oudin_needs_temperature(self) -> Forcing:
        if self.pet.kind == "oudin" and self.temperature is None:
            what, remedy = "oudin computes it from the air temperature, which is not given", "add forcing.temperature"
            raise_validation_errors([(("pet", "kind"), what, remedy)])
        return self
