"""Sections `structure` and `initial_weights`: the equations of a cell, and the weights of its network."""

from __future__ import annotations

import contextlib
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, create_model, model_validator

from hydrocli.config.base import (
    Duration,
    InputPath,
    Integer,
    Location,
    Name,
    Number,
    Section,
    raise_validation_errors,
    validation_error,
)
from hydrocli.config.baseline import SECTIONS as BASELINE_SECTIONS
from hydrocli.structures import structure as declarations
from hydrocli.structures.routings.routing import routings

if TYPE_CHECKING:
    RoutingName = str
else:
    RoutingName = Literal[tuple(routings())]
Width = Annotated[Integer, Field(ge=1, le=256)]
FluxLimits = Literal["conservative", "as_published"]
Tolerance = Annotated[Number, Field(ge=1e-14, le=1e-2)]
ROUTING = f"flow from cell to cell: {', '.join(routings())}"
TOLERANCE = "relative step below which Newton's method has converged"


def _check_layers(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) not in (1, 2):
        raise validation_error(f"has {len(value)} hidden layers", "use one or two, for example [16] or [32, 16]")
    return value


class NetworkOptions(Section):
    """Network of a structure: one set of weights for all cells and times."""

    hidden: Annotated[tuple[Width, ...], BeforeValidator(_check_layers)] = Field(
        (16,), description="number of units of the hidden layers (one or two layers)", examples=[[16]]
    )
    activation: Literal["silu", "leaky_relu"] = Field(
        "silu", description="activation of the hidden layers: silu or leaky_relu"
    )


class FluxNetworkOptions(NetworkOptions):
    """Flux network: corrections from states, net rain and PET; one set of weights for all cells and times."""

    input_scaling: Literal["none", "max"] = Field(
        "none", description="max: pn and en are divided by their maximum over the calibration period"
    )
    initial_std: Annotated[Number, Field(ge=0, le=10)] = Field(
        0.01, description="standard deviation of the initial weights; 0: the classical structure"
    )


class StructureOptions(Section):
    """Options of a structure; the keys of each kind are those that its declaration names."""

    kind: str
    snow: Literal["none", "degree_day"] = Field(
        "none", description="degree_day: a snow store in front of the structure; needs forcing.temperature"
    )

    impervious: Name | None = Field(
        None,
        description="descriptor with the share of impervious surfaces, 0 to 1, where rain runs off at once",
        examples=["impervious"],
    )
    routing: RoutingName = Field("kinematic_wave", description=ROUTING)

    @property
    def network(self) -> NetworkOptions | None:
        """Options of its network, if it has one."""
        found: NetworkOptions | None = getattr(self, "flux_network", None) or getattr(self, "reservoir_network", None)
        return found

    @property
    def declared(self) -> declarations.Structure:
        """The structure with these options; the inputs of a network are not scaled."""
        options = self.model_dump(exclude={"flux_network", "reservoir_network"}) | {"impervious": self.impervious or ""}
        if self.network:
            options |= {"hidden": self.network.hidden, "activation": self.network.activation}
        return declarations.Structure(**options)

    @model_validator(mode="after")
    def _check_smooth_activation(self) -> StructureOptions:
        if self.network and self.declared.model.corrects_new_levels and self.network.activation == "leaky_relu":
            what = "leaky_relu is not smooth, as Newton's method requires with network_coupling: implicit"
            raise_validation_errors([(("network", "activation"), what, "use silu, or network_coupling: lagged")])
        return self

    @model_validator(mode="after")
    def _check_impervious(self) -> StructureOptions:
        if self.impervious:
            what = "is not possible together with snow or the intensity of the rain"
            if self.snow != "none" or getattr(self, "rain_intensity", 0) > 0:
                raise_validation_errors([(("impervious",), what, "remove the key, or the other one")])
        return self

    @model_validator(mode="after")
    def _check_intensity(self) -> StructureOptions:
        if getattr(self, "rain_intensity", 0):
            problems: list[tuple[Location, str, str]] = []
            if self.snow != "none":
                what = "is computed from the net rain, which a snow store changes during the simulation"
                problems.append((("rain_intensity",), what, "remove the key, or use snow: none"))
            if getattr(self, "start", "") == "exact":
                what = "is nothing that the gates of GR depend on"
                problems.append((("rain_intensity",), what, "remove the key, or use start: pretrained"))
            raise_validation_errors(problems)
        return self


FLUX_LIMITS = (
    "conservative: no flux takes more than a store has, and a full store drains; as_published: as in the papers"
)
OPTIONS: dict[str, tuple[Any, Any]] = {
    "flux_network": (
        FluxNetworkOptions,
        Field(default_factory=FluxNetworkOptions, alias="network", description="flux network"),
    ),
    "reservoir_network": (
        NetworkOptions,
        Field(default_factory=NetworkOptions, alias="network", description="network that opens the fluxes"),
    ),
    "start": (
        Literal["pretrained", "exact"],
        Field(
            "pretrained",
            description="pretrained: the network first learns the fluxes of GR; exact: it shifts the gates of GR, and "
            "starts at zero",
        ),
    ),
    "rain_intensity": (
        Duration,
        Field(
            0,
            description="time constant of the running mean of the net rain that the network sees, too; 0: none",
            examples=["3h"],
        ),
    ),
    "network_coupling": (
        Literal["implicit", "lagged"],
        Field("implicit", description="levels that the network sees: at the end of a step, or before it (lagged)"),
    ),
    "scheme": (
        Literal["implicit", "explicit"],
        Field(
            "implicit", description="time integration: implicit Euler, or explicit Euler with substeps (for comparison)"
        ),
    ),
    "substeps": (
        Annotated[Integer, Field(ge=1, le=1000)],
        Field(1, description="substeps of a step, for the explicit scheme"),
    ),
    "flux_limits": (FluxLimits, Field("conservative", description=FLUX_LIMITS)),
    "tolerance": (Tolerance, Field(1e-6, description=TOLERANCE)),
}
"""Keys by the names of options in the declarations ("network" is here `flux_network`); both networks are `network`."""


def _section_of(kind: str) -> type[StructureOptions]:
    """The section of a structure, from its declaration."""
    model = declarations.Structure(kind).core
    fields: dict[str, Any] = {"kind": (Literal[kind], Field(description=f"{kind}: {model.title}"))}
    names = ["flux_network" if name == "network" else name for name in model.options]
    fields |= {name: OPTIONS[name] for name in OPTIONS if name in names}
    section: type[StructureOptions] = create_model(
        kind.capitalize(), __base__=StructureOptions, __module__=__name__, __doc__=model.title, **fields
    )
    globals()[section.__name__] = section  # where a worker that is sent a configuration looks for it
    return section


SECTIONS = {kind: _section_of(kind) for kind in declarations.kinds()}
GR = SECTIONS["gr"].model_validate({"kind": "gr"})
if TYPE_CHECKING:
    Structure = StructureOptions
else:
    Structure = Annotated[reduce(or_, [*SECTIONS.values(), *BASELINE_SECTIONS.values()]), Field(discriminator="kind")]


def declared_structure(data: Any) -> declarations.Structure | None:
    """The structure that the raw data of a section asks for; None where it is not a valid one.

    A baseline stands for a structure without parameters and states.
    """
    if data is None:
        return GR.declared
    with contextlib.suppress(ValidationError, AttributeError, KeyError, TypeError):
        sections: dict[str, Any] = SECTIONS | BASELINE_SECTIONS
        return sections[data["kind"]].model_validate(data).declared
    return None


def kinds_with_network() -> tuple[str, ...]:
    """Names of the structures that a network corrects."""
    return tuple(
        kind
        for kind, section in SECTIONS.items()
        if {"flux_network", "reservoir_network"} & section.model_fields.keys()
    )


class InitialWeights(Section):
    """Initial weights of the network of the structure."""

    source: InputPath | None = Field(
        None,
        alias="from",
        description="parent run folder; its weights and the scale of their inputs are the initial ones",
        examples=["runs/other"],
    )
