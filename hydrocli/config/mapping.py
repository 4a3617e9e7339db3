"""Section `mapping`: how the parameters of the cells follow from the numbers that are calibrated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hydrocli.config.base import Integer, Name, Section, validation_error

Symbol = Literal["cp", "ct", "kexc", "akw", "bkw", "hp", "ht"]
Width = Annotated[Integer, Field(ge=1, le=1024)]
Activation = Literal["relu", "silu", "tanh"]
Initialisation = Literal["glorot", "he"]

ACTIVATION = "of the hidden layers: relu, silu or tanh"
INITIALISATION = "of the hidden weights, seeded by `seed`: glorot or he, both uniform"
SINGLE = "symbols that keep one value each, whatever the kind"
DESCRIPTORS = "names of the descriptors that it sees; left out: all of basin.descriptors"


def _check_distinct(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(set(map(str, value))) < len(value):
        raise validation_error("holds something twice")
    return value


def _check_not_empty(value: Any) -> Any:
    if isinstance(value, list | tuple) and not value:
        raise validation_error("holds nothing", "leave it out for all descriptors")
    return _check_distinct(value)


def _check_layers(value: Any) -> Any:
    if isinstance(value, list | tuple) and not 1 <= len(value) <= 8:
        raise validation_error(f"has {len(value)} layers", "one to eight are possible, as [96, 48, 16]")
    return value


Single = Annotated[
    tuple[Symbol, ...], BeforeValidator(_check_distinct), Field(description=SINGLE, examples=[["akw", "bkw"]])
]
Names = Annotated[tuple[Name, ...], BeforeValidator(_check_not_empty)]
Descriptors = Annotated[Names | None, Field(description=DESCRIPTORS, examples=[["slope", "dd"]])]
Of = Annotated[
    dict[Symbol, Names],
    Field(
        description="symbol: names of the descriptors of this parameter, where not those of `descriptors`",
        examples=[{"cp": ["slope"]}],
    ),
]
Extrapolation = Annotated[
    Literal["allow", "clamp"],
    Field(description="descriptors outside their range in the calibrated catchments: allow, or clamp to that range"),
]
Layers = Annotated[tuple[Width, ...], BeforeValidator(_check_layers)]


class Uniform(Section):
    """One value per parameter."""

    kind: Literal["uniform"] = Field(description="uniform: one value per parameter")


class Distributed(Section):
    """One value per parameter and cell."""

    kind: Literal["distributed"] = Field(description="distributed: one value per parameter and cell")
    uniform_parameters: Single = ()


class Multilinear(Section):
    """A sum of descriptors."""

    kind: Literal["multilinear"] = Field(
        description="multilinear: scaled sigmoid of a constant and slopes times descriptors"
    )
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    descriptors_by_parameter: Of = Field({})


class Multipower(Section):
    """A sum of powers of descriptors."""

    kind: Literal["multipower"] = Field(
        description="multipower: the same with powers of the descriptors, exponents calibrated in [0.5, 2]"
    )
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    descriptors_by_parameter: Of = Field({})


class Mlp(Section):
    """A network of the descriptors of the cell."""

    kind: Literal["mlp"] = Field(description="mlp: scaled sigmoid of a network of the descriptors of the cell")
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    hidden: Layers = Field((96, 48, 16), description="units of the hidden layers", examples=[[96, 48, 16]])
    activation: Activation = Field("relu", description=ACTIVATION)
    initialisation: Initialisation = Field("glorot", description=INITIALISATION)


class Cnn(Section):
    """A convolutional network of the maps of descriptors."""

    kind: Literal["cnn"] = Field(description="cnn: scaled sigmoid of convolutions of the maps of descriptors")
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    channels: Layers = Field((16, 8), description="units of the convolutions", examples=[[16, 8]])
    width: Literal[1, 3, 5, 7] = Field(3, description="rows and columns that a convolution reads: 1, 3, 5 or 7")
    activation: Activation = Field("relu", description=ACTIVATION)
    initialisation: Initialisation = Field("glorot", description=INITIALISATION)


Mapping = Annotated[Uniform | Distributed | Multilinear | Multipower | Mlp | Cnn, Field(discriminator="kind")]

BY_DESCRIPTORS = ("multilinear", "multipower", "mlp", "cnn")
"""Kinds that are functions of descriptors."""
NETWORKS = ("mlp", "cnn")
"""Kinds that Adam trains unless told otherwise."""
