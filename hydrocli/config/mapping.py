"""Section `mapping`: how the parameters of the cells depend on the calibrated control vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hydrocli.config.base import Integer, Name, Section, validation_error
from hydrocli.config.parameters import CALIBRATED_LEVELS
from hydrocli.structures.structure import parameter_quantities

if TYPE_CHECKING:
    Symbol = str
else:
    Symbol = Literal[(*parameter_quantities(), *sorted(CALIBRATED_LEVELS))]
Width = Annotated[Integer, Field(ge=1, le=1024)]
Activation = Literal["relu", "silu", "tanh"]
Initialisation = Literal["glorot", "he"]

ACTIVATION = "activation of the hidden layers: relu, silu or tanh"
INITIALISATION = "initialisation of the hidden weights (uniform, with `seed`): glorot or he"
SINGLE = "parameters that keep one value for all cells"
DESCRIPTORS = "descriptors (catchment attributes) used as inputs; default: all of basin.descriptors"


def _check_distinct(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(set(map(str, value))) < len(value):
        raise validation_error("lists an entry more than once")
    return value


def _check_not_empty(value: Any) -> Any:
    if isinstance(value, list | tuple) and not value:
        raise validation_error("is empty", "remove the key to use all descriptors")
    return _check_distinct(value)


def _check_layers(value: Any) -> Any:
    if isinstance(value, list | tuple) and not 1 <= len(value) <= 8:
        raise validation_error(f"has {len(value)} layers", "use one to eight, for example [96, 48, 16]")
    return value


Single = Annotated[
    tuple[Symbol, ...], BeforeValidator(_check_distinct), Field(description=SINGLE, examples=[["akw", "bkw"]])
]
Names = Annotated[tuple[Name, ...], BeforeValidator(_check_not_empty)]
Descriptors = Annotated[Names | None, Field(description=DESCRIPTORS, examples=[["slope", "dd"]])]
Of = Annotated[
    dict[Symbol, Names],
    Field(
        description="parameter: its descriptors, where they differ from `descriptors`",
        examples=[{"cp": ["slope"]}],
    ),
]
Extrapolation = Annotated[
    Literal["allow", "clamp"],
    Field(
        description="treatment of descriptors outside their range in the calibrated catchments: allow "
        "(extrapolate) or clamp"
    ),
]
Layers = Annotated[tuple[Width, ...], BeforeValidator(_check_layers)]


class Uniform(Section):
    """One value per parameter for all cells."""

    kind: Literal["uniform"] = Field(description="uniform: one value per parameter for all cells")


class Distributed(Section):
    """One value per parameter and cell."""

    kind: Literal["distributed"] = Field(description="distributed: one value per parameter and cell")
    uniform_parameters: Single = ()


class Multilinear(Section):
    """Linear regression on descriptors."""

    kind: Literal["multilinear"] = Field(
        description="multilinear: scaled sigmoid of a linear function of the descriptors"
    )
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    descriptors_by_parameter: Of = Field({})


class Multipower(Section):
    """Regression on powers of descriptors."""

    kind: Literal["multipower"] = Field(
        description="multipower: as multilinear, with powers of the descriptors; exponents are calibrated in [0.5, 2]"
    )
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    descriptors_by_parameter: Of = Field({})


class Mlp(Section):
    """Multilayer perceptron of the descriptors of the cell."""

    kind: Literal["mlp"] = Field(
        description="mlp: scaled sigmoid of a multilayer perceptron of the descriptors of the cell"
    )
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    hidden: Layers = Field((96, 48, 16), description="number of units of each hidden layer", examples=[[96, 48, 16]])
    activation: Activation = Field("relu", description=ACTIVATION)
    initialisation: Initialisation = Field("glorot", description=INITIALISATION)


class Cnn(Section):
    """Convolutional network of the descriptor maps."""

    kind: Literal["cnn"] = Field(description="cnn: scaled sigmoid of a convolutional network of the descriptor maps")
    uniform_parameters: Single = ()
    descriptors: Descriptors = None
    extrapolation: Extrapolation = "allow"
    channels: Layers = Field((16, 8), description="number of channels of each convolution", examples=[[16, 8]])
    width: Literal[1, 3, 5, 7] = Field(3, description="width of the convolution kernels in cells: 1, 3, 5 or 7")
    activation: Activation = Field("relu", description=ACTIVATION)
    initialisation: Initialisation = Field("glorot", description=INITIALISATION)


Mapping = Annotated[Uniform | Distributed | Multilinear | Multipower | Mlp | Cnn, Field(discriminator="kind")]

BY_DESCRIPTORS = ("multilinear", "multipower", "mlp", "cnn")
"""Kinds that are functions of descriptors."""
NETWORKS = ("mlp", "cnn")
"""Kinds whose default optimiser is Adam."""
