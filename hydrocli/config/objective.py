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
    Annotated[Literal["lcurve"], Tag("word")] | Annotated[Factor, Tag("number")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "number"),
]
PROTECTION = {"prior": 1.0, "weight": 5.0}
"""Default of a mapping by descriptors that starts from calibrated uniform parameters, see the page mappings."""
Metric = Literal["nse", "kge", "nnse", "mse", "rmse"]
SIGNATURES = (
    *("Crc", "Crchf", "Crclf", "Crch2r", "Cfp2", "Cfp10", "Cfp50", "Cfp90"),
    *("Erc", "Erchf", "Erclf", "Erch2r", "Eff", "Ebf", "Epf"),
)


def _check_differentiable(value: Any) -> Any:
    if value == "Elt":
        raise validation_error("Elt has no derivative (a lag is a whole number of steps)", "use Epf, Erc, Eff, Ebf ...")
    if value not in SIGNATURES:
        raise validation_error(f"{quoted(value)} is not a signature", f"one of: {', '.join(SIGNATURES)}")
    return value


Signature = Annotated[str, BeforeValidator(_check_differentiable), WithJsonSchema({"enum": list(SIGNATURES)})]


class Term(Section):
    """A metric or a signature."""

    metric: Metric | None = Field(
        None,
        description="nse, kge, nnse, mse or rmse: 1 - NSE, 1 - KGE, 1 - NNSE, MSE or RMSE (divided by the "
        "mean observation)",
        examples=["nse"],
    )
    signature: Signature | None = Field(
        None,
        description="or the squared relative error of a signature of the period (C...) or of its flood events (E...)",
        examples=["Epf"],
    )
    weight: Weight = Field(1.0, description="relative to the other terms")
    transform: Literal["none", "sqrt", "log", "inverse"] = Field(
        "none", description="transform of the discharge, for a metric: none, sqrt, log (nse and nnse only) or inverse"
    )
    offset: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.01, description="added before the transform, as a fraction of the mean observation"
    )

    @model_validator(mode="after")
    def _check_term(self) -> Term:
        problems: list[tuple[Location, str, str]] = []
        if (self.metric is None) == (self.signature is None):
            problems.append(((), "needs either a metric or a signature", "write {metric: nse} or {signature: Epf}"))
        if self.signature and self.transform != "none":
            problems.append((("transform",), f"signatures have no transform ({self.signature})", "remove the key"))
        if self.metric not in (None, "nse", "nnse") and self.transform == "log":
            what = (
                f"log is not possible with {self.metric}: it divides by the mean, and the mean of a "
                "logarithm depends on the unit"
            )
            problems.append((("transform",), what, "use nse or nnse, or the transform sqrt"))
        raise_validation_errors(problems)
        return self


class Regularisation(Section):
    """Penalty on the parameter maps, normalised to 0 ... 1 between their bounds."""

    prior: Factor = Field(0.0, description="factor of the mean squared distance to the first guess")
    smoothing: Factor = Field(0.0, description="factor of the mean squared difference between adjacent cells")
    smoothing_pairs: Literal["neighbours", "downstream"] = Field(
        "neighbours",
        description="pairs of cells for smoothing: neighbours (four sides), or downstream (a cell and the "
        "next along the flow)",
    )
    weight: PenaltyWeight = Field(
        0.1,
        description="weight of the penalty; 0: none, as in the papers; lcurve: the last stage runs with each of "
        "`weights`, the corner is chosen",
    )
    weights: Annotated[tuple[Weight, ...], Field(min_length=3, max_length=30)] = Field(
        (100.0, 10.0, 1.0, 0.1, 0.01), description="weights of the L-curve, each stage starting from the previous one"
    )

    @model_validator(mode="after")
    def _check_weights_given(self) -> Regularisation:
        if self.prior == self.smoothing == 0 and self.weight != 0:
            raise_validation_errors(
                [((), "has neither prior nor smoothing", "set one of them, for example smoothing: 1")]
            )
        return self


class Objective(Section):
    """Weighted mean over terms and calibration gauges (`gauges.weights`)."""

    metric: Metric | None = Field(
        None, description="nse, kge, nnse, mse or rmse; short form of a single term", examples=["nse"]
    )
    terms: Annotated[tuple[Term, ...], OneOrMore(), BeforeValidator(listed)] | None = Field(
        None,
        description="list of terms, instead of metric",
        examples=[[{"metric": "kge", "weight": 0.5, "transform": "sqrt"}, {"signature": "Epf", "weight": 0.2}]],
    )

    regularisation: Regularisation | None = Field(
        None,
        description="penalty on the parameter maps, added to the cost; default of mappings by descriptors: prior 1 "
        "with weight 5, which holds them near uniform parameters",
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
            raise_validation_errors([(("metric",), "cannot be combined with terms", "write it as one of the terms")])
        return self

    @property
    def all_terms(self) -> tuple[Term, ...]:
        """The terms; a single one where only a metric is given."""
        return self.terms or (Term(metric=self.metric),)

    @property
    def repeats(self) -> int:
        """How often the last stage runs: with each weight of an L-curve and at its corner, else once."""
        regularisation = self.regularisation
        return len(set(regularisation.weights)) + 1 if regularisation and regularisation.weight == "lcurve" else 1


Fraction = Annotated[Number, Field(ge=0, le=1)]
Hours = Annotated[Number, Field(gt=0)]


class FloodEvents(Section):
    """Detection of flood events (Huynh et al. 2023); durations in hours."""

    peak_quantile: Fraction = Field(0.995, description="minimum peak, as a quantile of the discharge of the period")
    peak_discharge: Annotated[Number, Field(ge=0)] = Field(0.0, description="minimum peak [m3/s]")
    thresholds: dict[GaugeCode, Annotated[Number, Field(gt=0)]] = Field(
        {},
        description="gauge code: minimum peak [m3/s], instead of the quantile",
        examples=[{"V3524010": 120.0}],
    )
    separation: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="minimum distance of two peaks; of closer ones only the highest counts [h]"
    )
    max_duration: Hours = Field(
        240.0, description="maximum duration of an event, before overlapping events are merged [h]"
    )
    onset_search: Hours = Field(72.0, description="maximum time between the start of an event and its peak [h]")
    onset_quantile: Fraction = Field(0.8, description="minimum rain gradient at the onset, as a quantile")
    energy_window: Hours = Field(24.0, description="window of the rain energy after an onset [h]")
    energy_share: Fraction = Field(0.2, description="minimum rain energy of the onset, as a fraction of the maximum")
    end_window: Hours = Field(48.0, description="window in which the quick flow is smallest at the end of an event [h]")
