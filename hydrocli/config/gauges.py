"""Section `gauges`: where discharge is measured, and which gauges calibrate or validate."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from hydrocli.config.base import GaugeCode, InputPath, Location, Number, Section, raise_validation_errors

Weight = Annotated[Number, Field(gt=0)]
Weights = Annotated[
    Annotated[Literal["equal", "area", "record_length"], Tag("word")]
    | Annotated[dict[GaugeCode, Weight], Tag("codes")],
    Discriminator(lambda value: "codes" if isinstance(value, dict) else "word"),
]
Codes = Annotated[
    Annotated[Literal["upstream", "downstream", "independent", "all"], Tag("word")]
    | Annotated[tuple[GaugeCode, ...], Tag("codes")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "codes"),
]


class Discharge(Section):
    """Observed discharge [m3/s]."""

    path: InputPath = Field(
        description="smash: folder of one CSV per gauge; tidy: one table, CSV or Parquet", examples=["qobs"]
    )
    format: Literal["smash", "tidy"] = Field(
        description="smash (one column headed by the first date) or tidy (columns gauge, time, discharge)",
        examples=["smash"],
    )


class Gauges(Section):
    """The gauges and their roles."""

    table: InputPath = Field(
        description="table with code, x, y, area [km2]: CSV, Parquet, GeoPackage or Shapefile",
        examples=["gauge_attributes.csv"],
    )
    crs: str | None = Field(
        None,
        description="coordinate reference system of x and y; default: that of the layer, or of the flow directions",
        examples=["EPSG:2154"],
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
