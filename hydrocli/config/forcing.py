"""Section `forcing`: precipitation, potential evapotranspiration, air temperature, and the store of what was read."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from hydrocli.basin.formats import FORMATS
from hydrocli.basin.patterns import Pattern
from hydrocli.config.base import (
    DAY,
    Duration,
    InputPath,
    Number,
    Numbers,
    Offset,
    OneOrMore,
    Section,
    Switch,
    TimeZone,
    known,
    raise_validation_errors,
    several,
    validation_error,
)

Format = Annotated[str, BeforeValidator(known(FORMATS)), WithJsonSchema({"enum": list(FORMATS), "type": "string"})]
"""A format of forcing files: what `hydrocli.basin.readers` has."""


def _not_zero(value: float) -> float:
    if value == 0:
        raise validation_error("is 0, which would make all values equal", "give the factor, or remove the key")
    return value


def _known_pattern(value: str) -> str:
    try:
        Pattern(value)
    except ValueError as error:
        raise validation_error(f"'{value}' {error}", "write it like rain_%Y%m%d%H%M.tif") from error
    return value


Factor = Annotated[Number, AfterValidator(_not_zero)]
NamePattern = Annotated[str, AfterValidator(_known_pattern)]
Patterns = Annotated[tuple[NamePattern, ...], OneOrMore(), BeforeValidator(several)]
PATH = "folder tree of files, or one file; geotiff: a date in every name"
SCALE = "scale_factor * value + add_offset is in `unit`; -1 turns the sign"
AMOUNT = "mm, mm/h, mm/day, kg m-2 s-1, m ...; left out: that of the files, else mm per"


class ForcingFiles(Section):
    """Files of a forcing, and what is true of them."""

    path: InputPath = Field(description=PATH)
    format: Format = Field("geotiff", description=f"one of: {', '.join(FORMATS)}", examples=["geotiff"])
    variable: str | None = Field(None, description="name in the files, where they have several variables")
    unit: str | None = Field(None, description="of the values")
    scale_factor: Factor = Field(1.0, description=SCALE)
    add_offset: Number = Field(0.0, description="see scale_factor")
    packing: Literal["apply", "ignore"] | None = Field(
        None,
        description="scale and offset of the files themselves beside scale_factor or add_offset: apply or ignore",
    )
    nodata: Numbers = Field(
        (), description="further values of the files that mean missing, before any scaling", examples=[[65535, -9999]]
    )
    pattern: Patterns = Field(
        (),
        description="name of the files in directives of strptime and *; a list where it changed over time",
        examples=["RR_%Y%m%d%H.gtif"],
    )
    band: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        None, description="geotiff: number of the band that is read, from 1, where files have several"
    )
    resampling: Literal["mean", "nearest", "bilinear"] | None = Field(
        None,
        description="mean (of the area of a cell), nearest, bilinear; default: mean of finer or shifted grids",
    )
    crs: str | None = Field(
        None, description="coordinate reference system, whatever the files say", examples=["EPSG:2154"]
    )


class TimedFiles(ForcingFiles):
    """Files whose fields have times, and what is true of these."""

    label: Literal["start", "end"] | None = Field(
        None, description="what the time of a file or field is of its step; left out: end", examples=["start"]
    )
    offset: Offset = Field(0, description="shift of the times of the files: 30min, -1h ...", examples=["10min"])
    tolerance: Duration = Field(0, description="a time this near to that of a step is taken for it", examples=["5min"])
    band_step: Duration = Field(
        0,
        description="geotiff: between bands that state no times; the first has the date of the file name",
        examples=["1h"],
    )
    timezone: TimeZone = Field("UTC", description="zone of the times of the files", examples=["Europe/Paris"])


class AmountFiles(TimedFiles):
    """Files of precipitation or evapotranspiration, of each step or day."""

    accumulated: Literal["day"] | None = Field(
        None, description="day: values grow from the start of each day (UTC); differences are taken"
    )

    @model_validator(mode="after")
    def _sums_have_no_offset(self) -> Self:
        if self.accumulated and self.add_offset:
            what = "is lost in the differences of values that grow over the day"
            raise_validation_errors([(("add_offset",), what, "remove it, or `accumulated`")])
        return self


class Precipitation(AmountFiles):
    """Precipitation, one field for each step."""

    path: InputPath = Field(description=PATH, examples=["prcp"])
    unit: str | None = Field(None, description=f"{AMOUNT} step", examples=["mm/h"])
    scale_factor: Factor = Field(1.0, description=SCALE, examples=[0.1])


class Temperature(TimedFiles):
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


class RasterPet(AmountFiles):
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

    fill_pet: Duration = Field(
        10 * DAY,
        validate_default=True,
        description="PET that is missing is that of the nearest day, at most so far away; longer gaps are refused",
    )
    max_missing_rain: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.2, description="largest share of steps and cells of the calibration period without rain data"
    )

    @model_validator(mode="after")
    def _oudin_needs_temperature(self) -> Forcing:
        if self.pet.kind == "oudin" and self.temperature is None:
            what, remedy = "oudin computes it from the air temperature, which is not given", "add forcing.temperature"
            raise_validation_errors([(("pet", "kind"), what, remedy)])
        return self
