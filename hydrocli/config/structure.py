"""Sections `structure` and `initial_weights`: the equations of a cell, and the weights of its network."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hydrocli.config.base import InputPath, Integer, Number, Section, raise_validation_errors, validation_error

Width = Annotated[Integer, Field(ge=1, le=256)]
FluxLimits = Literal["conservative", "as_published"]
Tolerance = Annotated[Number, Field(ge=1e-14, le=1e-2)]
TOLERANCE = "relative step below which Newton's method has converged"


def _check_layers(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) not in (1, 2):
        raise validation_error(f"has {len(value)} hidden layers", "use one or two, for example [16] or [32, 16]")
    return value


class FluxNetworkOptions(Section):
    """Flux network phi1: corrections from hp, ht, pn and en; one set of weights for all cells and times."""

    hidden: Annotated[tuple[Width, ...], BeforeValidator(_check_layers)] = Field(
        (16,), description="number of units of the hidden layers (one or two layers)", examples=[[16]]
    )
    activation: Literal["silu", "leaky_relu"] = Field(
        "silu", description="activation of the hidden layers: silu or leaky_relu"
    )
    input_scaling: Literal["none", "max"] = Field(
        "none", description="max: pn and en are divided by their maximum over the calibration period"
    )
    initial_std: Annotated[Number, Field(ge=0, le=10)] = Field(
        0.01, description="standard deviation of the initial weights; 0: the classical structure"
    )


class Gr(Section):
    """Classical."""

    kind: Literal["gr"] = Field(description="gr: production and transfer store of GR, in algebraic form")


class Grnn(Section):
    """Hybrid of GR."""

    kind: Literal["grnn"] = Field(description="grnn: gr with fluxes corrected by a network")
    network: FluxNetworkOptions = Field(default_factory=FluxNetworkOptions, description="flux network")
    flux_limits: FluxLimits = Field(
        "conservative", description="conservative: a flux takes no more than the store has; as_published: it may"
    )


class Ode(Section):
    """GR as differential equations."""

    kind: Literal["ode"] = Field(description="ode: GR as ordinary differential equations, implicit Euler")
    scheme: Literal["implicit", "explicit"] = Field(
        "implicit", description="time integration: implicit Euler, or explicit Euler with substeps (for comparison)"
    )
    substeps: Annotated[Integer, Field(ge=1, le=1000)] = Field(
        1, description="substeps per time step of the explicit scheme"
    )
    flux_limits: FluxLimits = Field(
        "conservative", description="conservative: a store may overfill and drains; as_published: clamped below 1"
    )
    tolerance: Tolerance = Field(1e-6, description=TOLERANCE)


class Node(Section):
    """Neural differential equations."""

    kind: Literal["node"] = Field(description="node: neural ODE, ode with fluxes corrected by a network")
    network: FluxNetworkOptions = Field(default_factory=FluxNetworkOptions, description="flux network")
    network_coupling: Literal["implicit", "lagged"] = Field(
        "implicit", description="states that the network reads: implicit: at the end of the step; lagged: at its start"
    )
    flux_limits: FluxLimits = Field(
        "conservative", description="conservative: a store may overfill and drains; as_published: clamped below 1"
    )
    tolerance: Tolerance = Field(1e-6, description=TOLERANCE)

    @model_validator(mode="after")
    def _check_smooth_activation(self) -> Node:
        if self.network_coupling == "implicit" and self.network.activation == "leaky_relu":
            what = "leaky_relu is not smooth, as Newton's method requires with network_coupling: implicit"
            raise_validation_errors([(("network", "activation"), what, "use silu, or network_coupling: lagged")])
        return self


Structure = Annotated[Gr | Grnn | Ode | Node, Field(discriminator="kind")]


class InitialWeights(Section):
    """Initial weights of the network of the structure."""

    source: InputPath | None = Field(
        None,
        alias="from",
        description="parent run folder; its weights and the scale of their inputs are the initial ones",
        examples=["runs/other"],
    )
