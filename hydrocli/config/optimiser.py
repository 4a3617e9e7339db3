"""Sections `first_guess` and `optimiser`: the start of a calibration, and its stages.

The first guess is one value per parameter. The stages start from it, each from the result of the previous one.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

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
    """Sobol sampling of the box of bounds, then local descents from the best samples that are not neighbours."""

    kind: Literal["screening"] = Field(
        description="screening: Sobol samples between the bounds, then short descents from the best of them"
    )
    samples: Count = Field(64, description="number of parameter sets")
    descents: Count = Field(3, description="number of descents, from the best parameter sets")
    iterations: Count = Field(
        20,
        description="maximum number of iterations of each descent: Levenberg-Marquardt, in single precision L-BFGS-B",
    )


class GivenGuess(Section):
    """The values of `parameters`."""

    kind: Literal["given"] = Field(description="given: the values of `parameters`, or of the run in parameters.from")


FirstGuess = Annotated[Screening | GivenGuess, Field(discriminator="kind")]


Mapped = Annotated[
    Literal["uniform", "distributed", "multilinear", "multipower", "mlp", "cnn"] | None,
    Field(description="mapping of this stage; default: mapping.kind", examples=["uniform"]),
]


def _check_trainable_names(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    if not value or len(set(map(str, value))) < len(value):
        raise validation_error("is empty or lists an entry more than once", "use [parameters], [network] or both")
    known = ("parameters", "network", *parameter_quantities(), *sorted(CALIBRATED_LEVELS))
    if unknown := [item for item in value if item not in known]:
        raise validation_error(f"'{unknown[0]}' cannot be trained", f"one of: {', '.join(known)}")
    if "parameters" in value and set(value) - {"parameters", "network"}:
        raise validation_error("lists `parameters` and single parameters", "use `parameters`, or the single ones")
    return value


Train = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_check_trainable_names),
    Field(
        description="what this stage trains: parameters (or single calibrated ones: cp, ct ...), network "
        "(weights of the "
        "flux network); default: all",
        examples=[["parameters", "network"]],
    ),
]


class Lbfgsb(Section):
    """L-BFGS-B, bounded quasi-Newton."""

    kind: Literal["lbfgsb"] = Field(description="lbfgsb: L-BFGS-B with the exact gradient")
    mapping: Mapped = None
    train: Train = None
    iterations: Count = Field(200, description="maximum number of iterations")
    cost_tolerance: Tolerance = Field(1e-8, description="stop when the cost decreases by less")
    gradient_tolerance: Tolerance = Field(
        1e-6, description="stop when no component of the projected gradient is larger"
    )
    history_size: Annotated[Integer, Field(ge=3, le=100)] = Field(
        10, description="number of past steps in the approximation of the Hessian"
    )


class LevenbergMarquardt(Section):
    """Levenberg-Marquardt, for uniform parameters."""

    kind: Literal["levenberg_marquardt"] = Field(
        description="levenberg_marquardt: Levenberg-Marquardt with sensitivities of the discharge, for uniform "
        "parameters in double precision"
    )
    mapping: Literal["uniform"] | None = Field(
        None, description="mapping of this stage; default: mapping.kind", examples=["uniform"]
    )
    train: Train = None
    iterations: Count = Field(50, description="maximum number of iterations")
    cost_tolerance: Tolerance = Field(1e-8, description="stop when an iteration decreases the cost by less")
    gradient_tolerance: Tolerance = Field(
        1e-6, description="stop when no component of the projected gradient is larger"
    )


class Batches(Section):
    """Mini-batches: each iteration uses one sub-period, some of the gauges, and some of the basins of `regional`."""

    length: Annotated[Duration, Field(gt=0)] | None = Field(
        None,
        description="length of the sub-period that is scored; default: the calibration period, with `basins` only",
        examples=["10d"],
    )
    spin_up: Duration = Field(
        0,
        description="spin-up before the sub-period; its initial states come from the last run over the whole "
        "calibration",
    )
    gauges: Count | None = Field(
        None, description="number of gauges, drawn in each iteration; default: all", examples=[2]
    )
    basins: Count | None = Field(
        None, description="number of basins of `regional`, drawn in each iteration; default: all", examples=[5]
    )
    full_evaluation_every: Count = Field(
        10,
        description="iterations between evaluations over the whole calibration, which give the cost and new "
        "initial states",
    )

    @model_validator(mode="after")
    def _check_batch_length(self) -> Batches:
        if self.length is None and (self.basins is None or self.gauges or self.spin_up):
            raise_validation_errors(
                [(("length",), "is required", "only batches of whole basins (`basins`) need no length")]
            )
        return self


class Adam(Section):
    """Adam, stochastic gradient descent with adaptive moments."""

    kind: Literal["adam"] = Field(description="adam: Adam with the exact gradient; the default with a network")
    mapping: Mapped = None
    train: Train = None
    iterations: Count = Field(240, description="number of iterations")
    learning_rate: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.003, description="learning rate, for controls (0 to 1 between the bounds) and weights"
    )
    beta1: Decay = Field(0.9, description="decay of the first moment")
    beta2: Decay = Field(0.999, description="decay of the second moment")
    bias_correction: Literal["standard", "constant"] = Field(
        "standard", description="standard: 1 - beta^iteration; constant: 1 - beta, as in smash"
    )
    schedule: Literal["constant", "cosine", "exponential"] = Field(
        "constant",
        description="learning-rate schedule: constant, or cosine or exponential decay to `final_rate_fraction`",
    )
    rate_warmup: Annotated[Integer, Field(ge=0, le=1_000_000)] = Field(
        0, description="iterations over which the rate increases linearly to `learning_rate`"
    )
    final_rate_fraction: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.01, description="final fraction of `learning_rate` of a cosine or exponential schedule"
    )
    weight_decay: Annotated[Number, Field(ge=0, le=1)] = Field(
        0.0, description="decoupled weight decay (AdamW) of network weights; parameters have none"
    )
    max_gradient_norm: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="gradient clipping by the 2-norm; default: none", examples=[1.0]
    )
    patience: Count | None = Field(
        None,
        description="stop when this number of iterations has not reduced the cost by more than "
        "cost_tolerance; default: never",
        examples=[50],
    )
    cost_tolerance: Tolerance = Field(0.0, description="minimum decrease of the cost, see patience")
    batches: Batches | None = Field(None, description="mini-batches; default: every iteration uses all data")


class Sbs(Section):
    """Step-by-step search."""

    kind: Literal["sbs"] = Field(
        description="sbs: step-by-step search (Michel 1991), local, without gradient, for uniform parameters"
    )
    mapping: Literal["uniform"] | None = Field(
        None, description="mapping of this stage; default: mapping.kind", examples=["uniform"]
    )
    train: Train = None
    iterations: Count = Field(500, description="maximum number of iterations")
    step: Annotated[Number, Field(gt=0, le=5)] = Field(
        0.64, description="initial step, in artanh(2 z - 1) with z from 0 to 1 between the bounds"
    )
    min_step: Annotated[Number, Field(gt=0, le=5)] = Field(0.001, description="stop when the step is smaller")


class Cmaes(Section):
    """CMA-ES, global, without gradient."""

    kind: Literal["cmaes"] = Field(
        description="cmaes: CMA-ES, global, without gradient, for uniform parameters; weights of a network "
        "do not change"
    )
    mapping: Literal["uniform"] | None = Field(
        None, description="mapping of this stage; default: mapping.kind", examples=["uniform"]
    )
    train: Train = None
    iterations: Count = Field(200, description="maximum number of iterations")
    cost_tolerance: Tolerance = Field(1e-8, description="stop when the cost decreases by less")
    population: Annotated[Integer, Field(ge=4, le=10_000)] | None = Field(
        None, description="population size; default: depends on the number of parameters", examples=[16]
    )
    patience: Count = Field(
        20, description="number of iterations within which the cost must decrease by cost_tolerance"
    )
    sigma0: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.2, description="initial standard deviation, as a fraction of the distance between the bounds"
    )


class ClosedForm(Section):
    """Solution in closed form, of baselines."""

    kind: Literal["closed_form"] = Field(
        description="closed_form: the solution of the baselines linear and climatology, and their default"
    )
    mapping: ClassVar[None] = None
    train: ClassVar[None] = None
    iterations: ClassVar[int] = 1


AnyStage = Annotated[Lbfgsb | LevenbergMarquardt | Adam | Cmaes | Sbs | ClosedForm, Field(discriminator="kind")]

Optimiser = Annotated[tuple[AnyStage, ...], OneOrMore(), BeforeValidator(listed)]
