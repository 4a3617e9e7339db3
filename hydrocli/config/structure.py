"""Sections `structure` and `network`: how water moves in a cell, and where the weights of its network come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hydrocli.config.base import InputPath, Integer, Number, Section, raise_validation_errors, validation_error

Width = Annotated[Integer, Field(ge=1, le=256)]
FluxLimits = Literal["conservative", "as_published"]
Tolerance = Annotated[Number, Field(ge=1e-14, le=1e-2)]
TOLERANCE = "relative step at which Newton's method has converged"


def _check_layers(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) not in (1, 2):
        raise validation_error(f"has {len(value)} hidden layers", "one or two are possible, as [16] or [32, 16]")
    return value


class FluxNetworkOptions(Section):
    """phi1, the network that corrects fluxes from hp, ht, pn and en; one set of weights for all cells and times."""

    hidden: Annotated[tuple[Width, ...], BeforeValidator(_check_layers)] = Field(
        (16,), description="units of the hidden layers, one or two of them", examples=[[16]]
    )
    activation: Literal["silu", "leaky_relu"] = Field("silu", description="of the hidden layers: silu or leaky_relu")
    input_scaling: Literal["none", "max"] = Field(
        "none", description="max: pn and en are divided by their largest values over the calibration"
    )
    initial_std: Annotated[Number, Field(ge=0, le=10)] = Field(
        0.01, description="standard deviation of the first weights; 0: the classical structure"
    )


class Gr(Section):
    """Classical."""

    kind: Literal["gr"] = Field(description="gr: algebraic production and transfer stores of GR")


class Grnn(Section):
    """Hybrid of GR."""

    kind: Literal["grnn"] = Field(description="grnn: gr with fluxes that a network corrects")
    network: FluxNetworkOptions = Field(
        default_factory=FluxNetworkOptions, description="the network that corrects fluxes"
    )
    flux_limits: FluxLimits = Field(
        "conservative", description="conservative: a flux takes no more than the store has; as_published: it may"
    )


class Ode(Section):
    """GR as differential equations."""

    kind: Literal["ode"] = Field(description="ode: gr as differential equations, implicit Euler")
    scheme: Literal["implicit", "explicit"] = Field(
        "implicit", description="in time; explicit: Euler's in substeps, to compare with"
    )
    substeps: Annotated[Integer, Field(ge=1, le=1000)] = Field(1, description="of a step, for the explicit scheme")
    flux_limits: FluxLimits = Field(
        "conservative", description="conservative: a store may overfill and drains; as_published: clamped below 1"
    )
    tolerance: Tolerance = Field(1e-6, description=TOLERANCE)


class Node(Section):
    """Neural differential equations."""

    kind: Literal["node"] = Field(description="node: ode with fluxes that a network corrects")
    network: FluxNetworkOptions = Field(
        default_factory=FluxNetworkOptions, description="the network that corrects fluxes"
    )
    network_coupling: Literal["implicit", "lagged"] = Field(
        "implicit", description="levels that the network sees: implicit: at the end of a step; previous: before it"
    )
    flux_limits: FluxLimits = Field(
        "conservative", description="conservative: a store may overfill and drains; as_published: clamped below 1"
    )
    tolerance: Tolerance = Field(1e-6, description=TOLERANCE)

    @model_validator(mode="after")
    def _check_smooth_activation(self) -> Node:
        if self.network_coupling == "implicit" and self.network.activation == "leaky_relu":
            what = "leaky_relu has a kink, which Newton's method does not pass where the network is implicit"
            raise_validation_errors([(("network", "activation"), what, "take silu, or network_coupling: lagged")])
        return self


Structure = Annotated[Gr | Grnn | Ode | Node, Field(discriminator="kind")]


class InitialWeights(Section):
    """Weights of the network of the structure."""

    source: InputPath | None = Field(
        None,
        alias="from",
        description="run folder: its weights, with the scale of their inputs, are the first ones",
        examples=["runs/other"],
    )
