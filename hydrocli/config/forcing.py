"""Section `forcing`: precipitation, potential evapotranspiration, air temperature, and the store of what was read."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hydrocli.basin.formats import FORMATS
from hydrocli.config.base import InputPath, Number, Section, Switch, raise_validation_errors, validation_error


def _known_format(value: Any) -> Any:
    if value not in FORMATS:
        near = get_close_matches(str(value), FORMATS, 1)
        remedy = f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(FORMATS)}"
        raise validation_error(f"'{value}' is not possible", remedy)
    return value


Format = Annotated[str, BeforeValidator(_known_format), WithJsonSchema({"enum": list(FORMATS), "type": "string"})]
"""A format of forcing files: what `hydrocli.basin.readers` has."""


Factor = Annotated[Number, Field(gt=0)]
PATH = "folder tree of files, or one file; geotiff: a date in every name"
SCALE = "scale_factor * value + add_offset is in `unit`"
AMOUNT = "mm, mm/h, mm/day, kg m-2 s-1, m ...; left out: that of the files, else mm per"


class ForcingFiles(Section):
    """Files of a forcing, and what is true of them."""

    path: InputPath = Field(description=PATH)
    format: Format = Field("geotiff", description=f"one of: {', '.join(FORMATS)}", examples=["geotiff"])
    variable: str | None = Field(None, description="name in the files, where they have several variables")
    unit: str | None = Field(None, description="of the values")
    scale_factor: Factor = Field(1.0, description=SCALE)
    add_offset: Number = Field(0.0, description="see scale_factor")


class Precipitation(ForcingFiles):
    """Precipitation, one field for each step."""

    path: InputPath = Field(description=PATH, examples=["prcp"])
    unit: str | None = Field(None, description=f"{AMOUNT} step", examples=["mm/h"])
    scale_factor: Factor = Field(1.0, description=SCALE, examples=[0.1])


class Temperature(ForcingFiles):
    """Air temperature, several fields per day or daily ones."""

    path: InputPath = Field(description=PATH, examples=["temperature"])
    unit: str | None = Field(None, description="degC or K; left out: that of the files, else degC", examples=["K"])


class InterannualPet(ForcingFiles):
    """Daily means of many years, split to the hours of the day."""

    kind: Literal["interannual"] = Field(
        description="one field for each day of the year (geotiff: mmdd in the name), split to the hours of the day"
    )
    path: InputPath = Field(description=PATH, examples=["pet"])
    unit: str | None = Field(None, description=f"{AMOUNT} day", examples=["mm/day"])


class RasterPet(ForcingFiles):
    """Potential evapotranspiration of each step, or day."""

    kind: Literal["raster"] = Field(description="one field for each step, or for each day, split to its hours")
    path: InputPath = Field(description=PATH, examples=["pet"])
    unit: str | None = Field(None, description=f"{AMOUNT} step, or per day for daily files", examples=["mm/h"])


class OudinPet(Section):
    """From air temperature (Oudin et al. 2005)."""

    kind: Literal["oudin"] = Field(description="computed from forcing.temperature (Oudin et al. 2005)")
    variant: Literal["fao56"] = Field(
        "fao56", description="fao56: extraterrestrial radiation of FAO-56, latent heat at the temperature of the air"
    )


Pet = Annotated[InterannualPet | RasterPet | OudinPet, Field(discriminator="kind")]


class Forcing(Section):
    """What drives the model."""

    precipitation: Precipitation = Field(description="precipitation, one field for each step")
    temperature: Temperature | None = Field(
        None,
        description="air temperature, several per day or daily; for pet of the kind oudin and structures with snow",
    )
    pet: Pet = Field(description="potential evapotranspiration")
    store: InputPath = Field(
        ".hydrocli/store",
        validate_default=True,
        description="folder that keeps what was read, so that a second start reads no file of forcing",
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
