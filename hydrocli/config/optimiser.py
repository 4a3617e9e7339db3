"""Sections `first_guess` and `optimiser`: where a calibration starts, and how it goes on.

The first guess is one value per parameter. From it the stages run, each from the end of the one before.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hydrocli.config.base import (
    Duration,
    Integer,
    Number,
    OneOrMore,
    Section,
    listed,
    raise_validation_errors,
    validation_error,
)
from hydrocli.config.parameters import CALIBRATED_LEVELS
from hydrocli.structures.structure import parameter_quantities

Count = Annotated[Integer, Field(ge=1, le=1_000_000)]
Tolerance = Annotated[Number, Field(ge=0, lt=1)]
Decay = Annotated[Number, Field(ge=0, lt=1)]


class Screening(Section):
    """Many parameter sets spread over the bounds (Sobol), then descents from the best of them."""

    kind: Literal["screening"] = Field(
        description="sets of parameters spread over their bounds, then L-BFGS-B from the best of them"
    )
    samples: Count = Field(128, description="number of parameter sets")
    descents: Count = Field(3, description="number of the best sets that descents start from")
    iterations: Count = Field(20, description="iterations of each descent")


class GivenGuess(Section):
    """The values of `parameters`."""

    kind: Literal["given"] = Field(description="the values of `parameters`, or of the run that it names")


FirstGuess = Annotated[Screening | GivenGuess, Field(discriminator="kind")]


Mapped = Annotated[
    Literal["uniform", "distributed", "multilinear", "multipower", "mlp", "cnn"] | None,
    Field(description="what this stage calibrates; left out: as `mapping`", examples=["uniform"]),
]


def _check_trainable_names(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    if not value or len(set(map(str, value))) < len(value):
        raise validation_error("holds nothing, or something twice", "write [parameters], [network] or both")
    known = ("parameters", "network", *parameter_quantities(), *sorted(CALIBRATED_LEVELS))
    if unknown := [item for item in value if item not in known]:
        raise validation_error(f"'{unknown[0]}' cannot be freed", f"choose among {', '.join(known)}")
    if "parameters" in value and set(value) - {"parameters", "network"}:
        raise validation_error("names all parameters and single ones", "write `parameters`, or the single ones")
    return value


Train = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_check_trainable_names),
    Field(
        description="what changes: parameters (or single ones of those that are calibrated: cp, ct ...), weights of "
        "the network; left out: all there is",
        examples=[["parameters", "network"]],
    ),
]


class Lbfgsb(Section):
    """L-BFGS-B, bounded quasi-Newton."""

    kind: Literal["lbfgsb"] = Field(description="L-BFGS-B with the exact gradient")
    mapping: Mapped = None
    train: Train = None
    iterations: Count = Field(200, description="it ends after these at the latest")
    cost_tolerance: Tolerance = Field(1e-8, description="it ends when the cost goes down by less")
    gradient_tolerance: Tolerance = Field(
        1e-6, description="it ends when no component of the projected gradient is larger"
    )
    history_size: Annotated[Integer, Field(ge=3, le=100)] = Field(
        10, description="steps that its approximation of the curvature remembers"
    )


class Batches(Section):
    """Mini-batches: each iteration sees one sub-period, at some of the gauges, of some of the basins of `regional`."""

    length: Annotated[Duration, Field(gt=0)] | None = Field(
        None,
        description="of the sub-period whose discharge an iteration moves; left out: the calibration, with `basins`",
        examples=["10d"],
    )
    spin_up: Duration = Field(
        0,
        description="run before it, so that parameters act through the stores; the states before come from a whole run",
    )
    gauges: Count | None = Field(
        None, description="so many gauges, drawn anew in each iteration; left out: all", examples=[2]
    )
    basins: Count | None = Field(
        None, description="so many basins of `regional`, drawn anew in each iteration; left out: all", examples=[5]
    )
    full_evaluation_every: Count = Field(
        10, description="iterations between runs over the whole calibration, which give the cost and fresh states"
    )

    @model_validator(mode="after")
    def _check_batch_length(self) -> Batches:
        if self.length is None and (self.basins is None or self.gauges or self.spin_up):
            raise_validation_errors(
                [(("length",), "is needed", "leave it out only where batches consist of whole basins (`basins`)")]
            )
        return self


class Adam(Section):
    """Adam, descent with momentum."""

    kind: Literal["adam"] = Field(description="Adam with the exact gradient; the default where there is a network")
    mapping: Mapped = None
    train: Train = None
    iterations: Count = Field(240, description="it ends after these")
    learning_rate: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.003, description="about the first step, in controls (0 to 1 between the bounds) and weights"
    )
    beta1: Decay = Field(0.9, description="decay of the mean of the gradients")
    beta2: Decay = Field(0.999, description="decay of the mean of their squares")
    bias_correction: Literal["standard", "constant"] = Field(
        "standard", description="standard: by 1 - beta^iteration; constant: by 1 - beta, as smash has it"
    )
    schedule: Literal["constant", "cosine", "exponential"] = Field(
        "constant", description="of the rate: constant, or down to `final_rate_fraction` of it over the iterations"
    )
    rate_warmup: Annotated[Integer, Field(ge=0, le=1_000_000)] = Field(
        0, description="iterations over which the rate rises to `learning_rate`"
    )
    final_rate_fraction: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.01, description="share of `learning_rate` that a cosine or exponential schedule ends with"
    )
    weight_decay: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.0, description="weights of networks shrink by rate times this in an iteration (decoupled); parameters do not"
    )
    max_gradient_norm: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="a longer gradient (2-norm) is shortened to it; left out: never", examples=[1.0]
    )
    patience: Count | None = Field(
        None,
        description="it ends when so many iterations have not lowered the cost by more than cost_tolerance; left out: "
        "it does all iterations",
        examples=[50],
    )
    cost_tolerance: Tolerance = Field(0.0, description="see patience")
    batches: Batches | None = Field(None, description="mini-batches; left out: every iteration sees everything")


class Sbs(Section):
    """Step-by-step descent."""

    kind: Literal["sbs"] = Field(
        description="step-by-step descent of Michel, local and without gradient, for uniform parameters"
    )
    mapping: Literal["uniform"] | None = Field(
        None, description="what this stage calibrates; left out: as `mapping`", examples=["uniform"]
    )
    train: Train = None
    iterations: Count = Field(500, description="it ends after these at the latest")
    step: Annotated[Number, Field(gt=0, le=5)] = Field(
        0.64, description="first step, in artanh(2 z - 1) with z from 0 to 1 between the bounds"
    )
    min_step: Annotated[Number, Field(gt=0, le=5)] = Field(0.001, description="it ends below this step")


class Cmaes(Section):
    """CMA-ES, global, without gradient."""

    kind: Literal["cmaes"] = Field(
        description="CMA-ES, global and without gradient, for uniform parameters; a network keeps its weights"
    )
    mapping: Literal["uniform"] | None = Field(
        None, description="what this stage calibrates; left out: as `mapping`", examples=["uniform"]
    )
    train: Train = None
    iterations: Count = Field(200, description="it ends after these at the latest")
    cost_tolerance: Tolerance = Field(1e-8, description="it ends when the cost goes down by less")
    population: Annotated[Integer, Field(ge=4, le=10_000)] | None = Field(
        None, description="parameter sets per iteration; left out: after the number of parameters", examples=[16]
    )
    patience: Count = Field(20, description="iterations over which the cost must go down by cost_tolerance")
    sigma0: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.2, description="first standard deviation, as a share of the width between the bounds"
    )


AnyStage = Annotated[Lbfgsb | Adam | Cmaes | Sbs, Field(discriminator="kind")]

Optimiser = Annotated[tuple[AnyStage, ...], OneOrMore(), BeforeValidator(listed)]
