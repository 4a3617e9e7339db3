"""Section `gauges`: where discharge is measured, and which gauges calibrate or validate."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from hydrocli.basin.formats import DISCHARGE_FORMATS
from hydrocli.basin.volumes import UNITS, volume_factor
from hydrocli.config.base import (
    Duration,
    GaugeCode,
    InputPath,
    Location,
    Number,
    Section,
    TimeZone,
    known,
    quoted,
    raise_validation_errors,
    validation_error,
)
from hydrocli.errors import InputError

WORDS = ("upstream", "downstream", "independent", "all")


def _known_word(value: Any) -> Any:
    if value not in WORDS:
        what = f"{quoted(value)} is not one of {', '.join(WORDS)}"
        raise validation_error(what, f"write a list for codes: [{value}]")
    return value


Weight = Annotated[Number, Field(gt=0)]
Weights = Annotated[
    Annotated[Literal["equal", "area", "record_length"], Tag("word")]
    | Annotated[dict[GaugeCode, Weight], Tag("codes")],
    Discriminator(lambda value: "codes" if isinstance(value, dict) else "word"),
]
Codes = Annotated[
    Annotated[Literal["upstream", "downstream", "independent", "all"], BeforeValidator(_known_word), Tag("word")]
    | Annotated[tuple[GaugeCode, ...], Tag("codes")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "codes"),
]


def _known_unit(value: Any) -> Any:
    try:
        volume_factor(str(value), 3600, 1.0, "")
    except InputError as error:
        raise validation_error(f"{quoted(value)} is not a unit of discharge", f"one of: {UNITS}") from error
    return value


Format = Annotated[
    str, BeforeValidator(known(DISCHARGE_FORMATS)), WithJsonSchema({"enum": list(DISCHARGE_FORMATS), "type": "string"})
]
"""A format of files of discharge: what `hydrocli.basin.discharge_formats` has."""
Mark = Annotated[
    str | float,
    BeforeValidator(lambda value: value if isinstance(value, str) else float(value)),
    WithJsonSchema({"type": ["string", "number"]}),
]


class DischargeColumns(Section):
    """Names of columns or variables in the files."""

    time: str | None = Field(None, description="times", examples=["date_obs"])
    gauge: str | None = Field(None, description="codes of the gauges", examples=["code_station"])
    discharge: str | None = Field(None, description="values", examples=["debit"])
    flag: str | None = Field(
        None, description="flags; wide: {code} stands for that of the gauge", examples=["{code}_flag"]
    )


class Discharge(Section):
    """Observed discharge, and what is true of its files."""

    path: InputPath = Field(description="file, or folder of one file per gauge", examples=["qobs"])
    format: Format = Field(
        description="smash (a file per gauge, headed by the first date), tidy, wide (tables), or an archive: "
        "caravan, camels, grdc, hubeau, netcdf",
        examples=["smash"],
    )
    unit: Annotated[str, BeforeValidator(_known_unit)] | None = Field(
        None, description=f"{UNITS}; default: that of the format or file", examples=["l/s"]
    )
    label: Literal["start", "end", "instant"] | None = Field(
        None,
        description="times are the start or end of the interval of a value, or the instant of a reading; "
        "default: end; archives of days: start",
    )
    interval: Duration | None = Field(
        None, description="between two values; default: found from the times; smash: the step", examples=["1h"]
    )
    timezone: TimeZone | None = Field(
        None, description="zone of times without an offset; default: UTC", examples=["Europe/Paris"]
    )
    date_format: str | None = Field(
        None, description="form of the times as for strptime; default: found", examples=["%d/%m/%Y %H:%M"]
    )
    columns: DischargeColumns = Field(DischargeColumns(), description="names of columns or variables in the files")
    missing: tuple[Mark, ...] = Field(
        (),
        description="texts and numbers that mark missing values, beside blanks and negative ones",
        examples=[["Ice", 9999]],
    )
    flags: tuple[Mark, ...] | None = Field(
        None, description="flags of the values to keep; default: all, whatever their flag", examples=[["Bonne"]]
    )
    max_gap: Annotated[Duration, Field(gt=0)] | None = Field(
        None,
        description="longest interval between irregular observations that is interpolated; default: the step, or 1h",
    )


class GaugeColumns(Section):
    """Names of columns of the table of gauges."""

    code: str | None = Field(None, description="codes", examples=["cdstationhydro"])
    x: str | None = Field(None, description="x", examples=["xl93"])
    y: str | None = Field(None, description="y", examples=["yl93"])
    area: str | None = Field(None, description="areas of catchments", examples=["surface"])


class Gauges(Section):
    """The gauges and their roles."""

    table: InputPath = Field(
        description="table with code, x, y, area: CSV, Parquet, GeoParquet, GeoPackage or Shapefile",
        examples=["gauge_attributes.csv"],
    )
    layer: str | None = Field(None, description="layer of a GeoPackage that has several", examples=["stations"])
    crs: str | None = Field(
        None,
        description="coordinate reference system of x and y; default: that of the layer, or of the flow directions",
        examples=["EPSG:2154"],
    )
    columns: GaugeColumns = Field(GaugeColumns(), description="names of columns of the table, where they are others")
    area_unit: Literal["km2", "m2"] | None = Field(
        None, description="of the areas in the table; default: km2, unless no catchment were as large"
    )
    snap_distance: Annotated[Number, Field(gt=0)] | None = Field(
        None,
        description="how far a gauge may be from its cell [m]; with it, areas may be absent; "
        "default: the eight cells around",
    )
    area_tolerance: Annotated[Number, Field(gt=0)] = Field(
        0.2, description="maximum relative difference between given and delineated catchment area"
    )
    discharge: Discharge | None = Field(None, description="observed discharge; not needed to simulate")
    calibration: Codes | None = Field(
        None,
        description="calibration gauges: codes, or one of upstream, downstream, independent (neither), all; "
        "default: all except those of `validation`",
        examples=[["V3515010", "V3517010"]],
    )
    validation: tuple[GaugeCode, ...] = Field(
        (),
        description="validation gauges: codes; default with a keyword in `calibration`: all others",
        examples=[["V3524010"]],
    )
    weights: Weights = Field(
        "equal",
        description="weights of the calibration gauges in the cost: equal, area, record_length, or code: weight",
    )
    same_cell: Literal["separate", "share", "merge"] = Field(
        "separate",
        description="several calibration gauges on one cell: each has its weight, they share one, or are one series",
    )

    @model_validator(mode="after")
    def _check_roles(self) -> Gauges:
        calibration = self.calibration if isinstance(self.calibration, tuple) else ()
        problems: list[tuple[Location, str, str]] = []
        if self.calibration == ():
            problems.append(
                (("calibration",), "is empty", "remove the key to use all gauges except those of gauges.validation")
            )
        for role, codes in (("calibration", calibration), ("validation", self.validation)):
            twice = [code for code, times in Counter(codes).items() if times > 1]
            problems += [((role,), f"gauge {code} is listed more than once", "keep it once") for code in twice]
        for code in sorted(set(calibration) & set(self.validation)):
            problems.append((("validation",), f"gauge {code} is also in gauges.calibration", "keep it in one of them"))
        if isinstance(self.weights, dict) and calibration:
            for code in sorted(set(calibration) - set(self.weights)):
                problems.append(
                    (("weights",), f"gauge {code} has no weight", "set a weight for each calibration gauge")
                )
            for code in sorted(set(self.weights) - set(calibration)):
                problems.append((("weights", code), "is not in gauges.calibration", "remove it"))
        raise_validation_errors(problems)
        return self
