"""Section `outputs`: states and fluxes that a run writes besides discharge and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from hydrocli.config.base import Location, Memory, Number, Section, Time, raise_validation_errors
from hydrocli.structures.structure import Structure, output_quantities

if TYPE_CHECKING:
    Symbol = str
else:
    Symbol = Literal[tuple(output_quantities())]


class Maps(Section):
    """Maps at chosen times, one GeoTIFF per quantity with a band per time."""

    quantities: Annotated[tuple[Symbol, ...], Field(min_length=1)] = Field(
        description="states and fluxes to map, for example hp, ht, qt", examples=[["hp", "ht"]]
    )
    times: tuple[Time, ...] = Field((), description="time stamps (ends of steps)", examples=[["2014-11-04T12:00Z"]])
    every: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="interval of further maps [h]", examples=[24]
    )

    @model_validator(mode="after")
    def _check_times(self) -> Maps:
        if not self.times and self.every is None:
            raise_validation_errors([(("times",), "is empty, and every is not set", "set times, or every [h]")])
        return self


class Outputs(Section):
    """What can be looked at beside discharge; see `hydrocli docs structures` for the symbols."""

    series: tuple[Symbol, ...] | None = Field(
        None,
        description="catchment-mean time series; default: states, aet, exchange, qt, storage, corrections; []: none",
        examples=[["hp", "ht", "ps", "es"]],
    )
    cells: tuple[tuple[Number, Number], ...] = Field(
        (), description="x, y (CRS of the flow directions) of cells with time series"
    )
    maps: Maps | None = Field(None, description="maps at chosen times")
    max_memory: Memory = Field(
        10**9, description="maximum memory of all outputs, for example 500MB, 1GB; a run that needs more does not start"
    )

    def symbols(self, structure: Structure) -> tuple[str, ...]:
        """Quantities of the series, or the usual ones of a structure."""
        return structure.usual_outputs if self.series is None else tuple(dict.fromkeys(self.series))

    def unknown_to(self, structure: Structure) -> list[tuple[Location, str, str]]:
        """What a structure does not have, as problems."""
        asked = {("series",): self.series or (), ("maps", "quantities"): self.maps.quantities if self.maps else ()}
        remedy = f"it has {', '.join(structure.outputs)}" if structure.outputs else "remove the key"
        return [
            (key, f"the structure {structure.kind} has no {symbol}", remedy)
            for key, symbols in asked.items()
            for symbol in symbols
            if symbol not in structure.outputs
        ]
