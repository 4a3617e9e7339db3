"""Section `basin`: the drainage network, its domain, and the descriptors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from hydrocli.basin.formats import DERIVED
from hydrocli.config.base import (
    InputPath,
    Integer,
    Location,
    Name,
    Number,
    Numbers,
    OneOrMore,
    Section,
    known,
    raise_validation_errors,
    several,
)


class FlowDirections(Section):
    """Raster of D8 flow directions; its grid is the grid of the model."""

    path: InputPath = Field(
        description="raster; nextxy: of two bands, or nextxy.bin of CaMa-Flood with params.txt beside it",
        examples=["flwdir.tif"],
    )
    encoding: Literal["esri", "grass", "ldd", "nextxy", "smash", "taudem", "whitebox"] = Field(
        description="esri (1, 2, 4 ... 128 from east clockwise), ldd (PCRaster), smash (1 ... 8 from north), "
        "taudem, grass, whitebox, nextxy",
        examples=["smash"],
    )
    crs: str | None = Field(
        None, description="coordinate reference system, whatever the file names", examples=["EPSG:2154"]
    )


class Dem(Section):
    """Elevations, from which flow directions and descriptors are derived."""

    path: InputPath = Field(description="raster of elevations [m], or folder of tiles", examples=["dem.tif"])
    resolution: Annotated[Number, Field(gt=0)] | None = Field(
        None,
        description="cell size of the model in units of its coordinate reference system; required without "
        "flow_directions",
        examples=[1000],
    )
    grid_crs: str | None = Field(
        None,
        description="coordinate reference system of the grid of the model; default: that of the DEM",
        examples=["EPSG:2154"],
    )
    crs: str | None = Field(
        None, description="coordinate reference system of the DEM, whatever the file names", examples=["EPSG:4326"]
    )
    nodata: Numbers = Field((), description="further values of the file that mean missing", examples=[[-9999]])
    stream_area: Annotated[Number, Field(gt=0)] = Field(
        1.0, description="drained area from which a stream begins, for derived descriptors [km2]"
    )


class Polygons(Section):
    """Areas in a file of polygons."""

    path: InputPath = Field(description="GeoPackage, Shapefile or GeoParquet", examples=["catchments.gpkg"])
    layer: str | None = Field(None, description="layer of a GeoPackage that has several", examples=["catchments"])
    crs: str | None = Field(
        None, description="coordinate reference system, whatever the file names", examples=["EPSG:2154"]
    )


_ClassValue = Annotated[
    str | float,
    BeforeValidator(lambda value: float(value) if isinstance(value, int | float) else value),
    WithJsonSchema({"type": ["string", "number"]}),
]
ClassValues = Annotated[tuple[_ClassValue, ...], OneOrMore(), BeforeValidator(several)]


class Descriptor(Section):
    """Where a descriptor comes from: a raster, polygons, or the elevation."""

    path: InputPath | None = Field(
        None,
        description="raster of any resolution, or polygons; for a lumped basin also a table of gauges",
        examples=["descriptor/slope.tif"],
    )
    derived: Annotated[str, BeforeValidator(known(tuple(DERIVED)))] | None = Field(
        None,
        description=f"computed from basin.dem in place of a file: {', '.join(DERIVED)}",
        examples=["slope"],
        json_schema_extra={"enum": list(DERIVED)},
    )
    classes: ClassValues | None = Field(
        None,
        description="values of a raster, or of `attribute`; the descriptor is the share of the cell with one of them",
        examples=[[311, 312]],
    )
    attribute: str | None = Field(
        None,
        description="column of polygons, whose mean is weighted by area; default: the share of the cell within them; "
        "column of a table",
        examples=["depth"],
    )
    layer: str | None = Field(None, description="polygons: layer of a GeoPackage that has several", examples=["soil"])
    band: Annotated[Integer, Field(ge=1)] | None = Field(
        None, description="raster: number of the band, from 1, where it has several"
    )
    nodata: Numbers = Field((), description="raster: further values that mean missing", examples=[[-9999]])
    resampling: Literal["mean", "nearest", "bilinear"] | None = Field(
        None, description="raster: as for forcing; default: mean of finer or shifted grids"
    )
    crs: str | None = Field(
        None, description="coordinate reference system, whatever the file names", examples=["EPSG:2154"]
    )
    unit: str | None = Field(None, description="of the values; default: that of the file", examples=["mm"])

    @model_validator(mode="after")
    def _check_source(self) -> Descriptor:
        problems: list[tuple[Location, str, str]] = []
        if (self.path is None) == (self.derived is None):
            what = "is given beside `derived`" if self.path else "is required, or `derived`"
            problems.append((("path",), what, "state one of `path` and `derived`"))
        elif self.derived is not None:
            idle = ("classes", "attribute", "layer", "band", "nodata", "resampling", "crs", "unit")
            problems += [((key,), "is for files", "remove it beside `derived`") for key in idle if getattr(self, key)]
        if self.classes == ():
            problems.append((("classes",), "is empty", "list at least one value, or remove the key"))
        raise_validation_errors(problems)
        return self

    @model_serializer(mode="wrap")
    def _shortest(self, handler: SerializerFunctionWrapHandler) -> Any:
        """A path alone is written as such."""
        values = {key: value for key, value in handler(self).items() if value not in (None, (), [])}
        return values["path"] if list(values) == ["path"] else values


class _PathOrSection:
    """A section that may be written as its path."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "format": "path"}, handler(core)]}


def _as_section(value: Any) -> Any:
    return value if isinstance(value, dict | Descriptor) else {"path": value}


DescriptorKey = Annotated[Descriptor, BeforeValidator(_as_section), _PathOrSection()]


class Basin(Section):
    """Drainage network and descriptors."""

    flow_directions: FlowDirections | None = Field(
        None,
        description="raster of D8 flow directions; its grid is that of the model; required without `dem` unless lumped",
    )
    dem: Dem | None = Field(
        None,
        description="digital elevation model: gives flow directions where there are none, and derived descriptors",
    )
    domain: Literal["gauges", "all", "lumped"] = Field(
        "gauges",
        description="cells of the model: catchments of the gauges, all of the raster, or one cell of the gauge's area",
    )
    polygons: Polygons | None = Field(
        None, description="the model has the cells within these polygons beside the catchments of its gauges"
    )
    crs: str | None = Field(
        None,
        description="coordinate reference system of rasters and forcing files that have none",
        examples=["EPSG:2154"],
    )
    descriptors: dict[Name, DescriptorKey] = Field(
        {},
        description="name: raster of each descriptor, or a section that says how it is made",
        examples=[{"slope": "descriptor/slope.tif"}],
    )

    @model_validator(mode="after")
    def _check_domain(self) -> Basin:
        problems: list[tuple[Location, str, str]] = []
        dem, has_directions = self.dem, self.flow_directions is not None
        if self.domain == "lumped":
            problems += [
                ((key,), "has no effect beside `domain: lumped`", "remove one of them")
                for key in ("flow_directions", "dem", "polygons")
                if getattr(self, key) is not None
            ]
            problems += [
                (("descriptors", name, "derived"), "needs more than one cell", "remove it, or `domain: lumped`")
                for name, one in self.descriptors.items()
                if one.derived
            ]
            raise_validation_errors(problems)
            return self
        if not has_directions and dem is None:
            problems.append((("flow_directions",), "is required", "give `flow_directions`, or `dem`"))
        if dem is not None and not has_directions and dem.resolution is None:
            problems.append((("dem", "resolution"), "is required", "give the cell size of the model, for example 1000"))
        if dem is not None and has_directions:
            problems += [
                (("dem", key), "has no effect: the grid is that of flow_directions", "remove it, or flow_directions")
                for key in ("resolution", "grid_crs")
                if getattr(dem, key) is not None
            ]
        if self.polygons and self.domain == "all":
            problems.append((("polygons",), "has no effect beside `domain: all`", "remove one of them"))
        if dem is None:
            problems += [
                (("descriptors", name, "derived"), f"{one.derived} needs elevations", "add `basin.dem`")
                for name, one in self.descriptors.items()
                if one.derived and DERIVED[one.derived].needs_dem
            ]
        raise_validation_errors(problems)
        return self
