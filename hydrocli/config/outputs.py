"""Section `outputs`: states and fluxes that a run writes besides discharge and parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hydrocli.config.base import Location, Memory, Number, Section, Time, raise_validation_errors
from hydrocli.names import CORRECTIONS, LOOKED_AT, NEWTON_ITERATIONS

Symbol = Literal[
    "hp", "ht", "pn", "en", "ps", "es", "pr", "perc", "exchange", "qr", "qd", "qt", "aet", "storage",
    "f1", "f2", "f3", "f4", "newton_iterations",
]  # fmt: skip
USUAL: tuple[Symbol, ...] = ("hp", "ht", "aet", "exchange", "qt", "storage")
assert set(Symbol.__args__) == set(LOOKED_AT)  # type: ignore[attr-defined]


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
    """What can be looked at beside discharge; see the table of symbols in the page run-folder."""

    series: tuple[Symbol, ...] | None = Field(
        None,
        description="catchment-mean time series; default: hp, ht, aet, exchange, qt, storage, f1 to f4; []: none",
        examples=[["hp", "ht", "ps", "es"]],
    )
    cells: tuple[tuple[Number, Number], ...] = Field(
        (), description="x, y (CRS of the flow directions) of cells with time series"
    )
    maps: Maps | None = Field(None, description="maps at chosen times")
    max_memory: Memory = Field(
        10**9, description="maximum memory of all outputs, for example 500MB, 1GB; a run that needs more does not start"
    )

    def symbols(self, structure: str) -> tuple[str, ...]:
        """Quantities of the series, or the usual ones of a structure."""
        if self.series is not None:
            return tuple(dict.fromkeys(self.series))
        return (*USUAL, *CORRECTIONS) if structure in ("grnn", "node") else USUAL

    def unknown_to(self, structure: str) -> list[tuple[Location, str, str]]:
        """What a structure does not have, as problems."""
        missing = set() if structure in ("grnn", "node") else set(CORRECTIONS)
        missing |= {"perc"} if structure in ("ode", "node") else {NEWTON_ITERATIONS.symbol}
        requested = {("series",): self.series or (), ("maps", "quantities"): self.maps.quantities if self.maps else ()}
        return [
            (key, f"the structure {structure} has no {symbol}", "remove it")
            for key, symbols in requested.items()
            for symbol in symbols
            if symbol in missing
        ]
