"""Sections `objective` and `flood_events`: what a calibration minimises, and how flood events are detected."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from hydrocli.config.base import (
    GaugeCode,
    Location,
    Number,
    OneOrMore,
    Section,
    listed,
    quoted,
    raise_validation_errors,
    validation_error,
)

Weight = Annotated[Number, Field(gt=0)]
Factor = Annotated[Number, Field(ge=0)]
PenaltyWeight = Annotated[
    Annotated[Literal["lcurve"], Tag("word")] | Annotated[Weight, Tag("number")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "number"),
]
Metric = Literal["nse", "kge", "nnse", "mse", "rmse"]
SIGNATURES = (
    *("Crc", "Crchf", "Crclf", "Crch2r", "Cfp2", "Cfp10", "Cfp50", "Cfp90"),
    *("Erc", "Erchf", "Erclf", "Erch2r", "Eff", "Ebf", "Epf"),
)


def _check_differentiable(value: Any) -> Any:
    if value == "Elt":
        raise validation_error("Elt has no derivative: a lag moves in whole steps", "take Epf, Erc, Eff, Ebf ...")
    if value not in SIGNATURES:
        raise validation_error(f"{quoted(value)} is not a signature", f"one of: {', '.join(SIGNATURES)}")
    return value


Signature = Annotated[str, BeforeValidator(_check_differentiable), WithJsonSchema({"enum": list(SIGNATURES)})]


class Term(Section):
    """A metric or a signature."""

    metric: Metric | None = Field(
        None, description="1 - NSE, 1 - KGE, 1 - NNSE, MSE or RMSE (over the mean observation)", examples=["nse"]
    )
    signature: Signature | None = Field(
        None,
        description="or the squared relative error of a signature of the period (C...) or its events (E...)",
        examples=["Epf"],
    )
    weight: Weight = Field(1.0, description="relative to the other terms")
    transform: Literal["none", "sqrt", "log", "inverse"] = Field(
        "none", description="of the discharge, for the metric: none, sqrt, log (nse, nnse) or inverse"
    )
    offset: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.01, description="added before the transform, as a share of the mean observation"
    )

    @model_validator(mode="after")
    def _check_term(self) -> Term:
        problems: list[tuple[Location, str, str]] = []
        if (self.metric is None) == (self.signature is None):
            problems.append(
                ((), "needs a metric or a signature, and not both", "write {metric: nse} or {signature: Epf}")
            )
        if self.signature and self.transform != "none":
            problems.append(
                (("transform",), f"the signature {self.signature} is of the discharge itself", "leave it out")
            )
        if self.metric not in (None, "nse", "nnse") and self.transform == "log":
            what = f"{self.metric} divides by the mean, and the mean of a logarithm depends on the unit"
            problems.append((("transform",), what, "take nse or nnse, or sqrt"))
        raise_validation_errors(problems)
        return self


class Regularisation(Section):
    """On maps that leave the first guess or are rough; parameters count between their bounds, as 0 to 1."""

    prior: Factor = Field(0.0, description="share of the mean squared distance to the maps that the stages start from")
    smoothing: Factor = Field(0.0, description="share of the mean squared difference between cells side by side")
    smoothing_pairs: Literal["neighbours", "downstream"] = Field(
        "neighbours", description="smoothing: neighbours (four sides of a cell), or a cell and the one it drains into"
    )
    weight: PenaltyWeight = Field(
        0.1, description="of both in the cost; lcurve: the last stage runs with each of `weights`, the corner counts"
    )
    weights: Annotated[tuple[Weight, ...], Field(min_length=3, max_length=30)] = Field(
        (100.0, 10.0, 1.0, 0.1, 0.01), description="of the L-curve, each continued from the one before"
    )

    @model_validator(mode="after")
    def _check_weights_given(self) -> Regularisation:
        if self.prior == self.smoothing == 0:
            raise_validation_errors(
                [((), "has neither prior nor smoothing", "give one of them a share, as smoothing: 1")]
            )
        return self


class Objective(Section):
    """Weighted mean over terms and calibration gauges (`gauges.weights`)."""

    metric: Metric | None = Field(None, description="nse, kge, nnse, mse or rmse: short for one term", examples=["nse"])
    terms: Annotated[tuple[Term, ...], OneOrMore(), BeforeValidator(listed)] | None = Field(
        None,
        description="a list of terms, in place of metric",
        examples=[[{"metric": "kge", "weight": 0.5, "transform": "sqrt"}, {"signature": "Epf", "weight": 0.2}]],
    )

    regularisation: Regularisation | None = Field(
        None, description="on the parameter maps, added to the cost of the discharge"
    )

    @model_validator(mode="before")
    @classmethod
    def _default_metric(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("terms") is None and data.get("metric") is None:
            return {**data, "metric": "nse"}
        return data

    @model_validator(mode="after")
    def _check_terms_or_metric(self) -> Objective:
        if self.terms and self.metric:
            raise_validation_errors([(("metric",), "stands beside terms", "write it as one of the terms")])
        return self

    @property
    def all_terms(self) -> tuple[Term, ...]:
        """The terms, one where only a metric is named."""
        return self.terms or (Term(metric=self.metric),)

    @property
    def repeats(self) -> int:
        """How often the last stage runs: with each weight of an L-curve and at its corner, else once."""
        regularisation = self.regularisation
        return len(set(regularisation.weights)) + 1 if regularisation and regularisation.weight == "lcurve" else 1


Fraction = Annotated[Number, Field(ge=0, le=1)]
Hours = Annotated[Number, Field(gt=0)]


class FloodEvents(Section):
    """Options of the search for flood events."""

    peak_quantile: Fraction = Field(0.995, description="a peak reaches at least this quantile of the discharge")
    peak_discharge: Annotated[Number, Field(ge=0)] = Field(0.0, description="and at least this discharge [m3/s]")
    thresholds: dict[GaugeCode, Annotated[Number, Field(gt=0)]] = Field(
        {},
        description="code: discharge [m3/s] that a peak of this gauge reaches, in place of the quantile",
        examples=[{"V3524010": 120.0}],
    )
    separation: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="of peaks that lie nearer to one another than this, only the highest counts [h]"
    )
    max_duration: Hours = Field(240.0, description="longest event, before overlapping ones are merged [h]")
    onset_search: Hours = Field(72.0, description="how long before its peak an event may start [h]")
    onset_quantile: Fraction = Field(
        0.8, description="an onset reaches at least this quantile of the gradient of the rain"
    )
    energy_window: Hours = Field(24.0, description="duration whose rain counts for an onset [h]")
    energy_share: Fraction = Field(0.2, description="share of the largest rain energy that an onset must exceed")
    end_window: Hours = Field(48.0, description="duration whose quick flow is least at the end of an event [h]")
