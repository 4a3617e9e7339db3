"""Section `structure` of the baselines: models of discharge from catchment means, without cells.

What the other sections say of cells, parameters and states has no meaning for them, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from hydrocli.baselines.baseline import Baseline
from hydrocli.config.base import Integer, Location, Name, Number, Section, Switch
from hydrocli.names import BASELINES

Problem = tuple[Location, str, str]
Scope = Annotated[
    Literal["regional", "local"],
    Field(
        description="regional: one set of weights for all gauges; local: one for each calibration gauge, others have "
        "no discharge"
    ),
]
TITLES = {
    "lstm": "LSTM: long short-term memory network from catchment-mean rain and PET to discharge",
    "linear": "Linear regression on rain of the past, by classes of wetness; closed form",
    "climatology": "Climatology: mean discharge by day of the year and time of the day",
}


class BaselineOptions(Section):
    """Options of a baseline."""

    kind: str
    scope: Scope = "regional"

    @property
    def network(self) -> None:
        """It corrects no fluxes."""
        return

    @property
    def declared(self) -> Baseline:
        """The baseline with these options, without the attributes that it sees by default."""
        return Baseline(self.kind, TITLES[self.kind], **self.model_dump(exclude={"kind", "early_stopping"}))


class Lstm(BaselineOptions):
    """Long short-term memory network."""

    kind: Literal["lstm"] = Field(description=f"lstm: {TITLES['lstm']}")
    hidden: Annotated[Integer, Field(ge=1, le=256)] = Field(32, description="number of units")
    attributes: tuple[Name, ...] | None = Field(
        None,
        description="descriptors whose catchment means a regional network sees beside the area; default: all of "
        "basin.descriptors",
        examples=[["slope", "forest"]],
    )
    early_stopping: Switch = Field(
        False,
        description="train on the first four fifths of the calibration period, and keep the weights with the lowest "
        "cost over the last fifth",
    )

    @property
    def declared(self) -> Baseline:
        """See `BaselineOptions`."""
        return Baseline(self.kind, TITLES[self.kind], self.scope, self.hidden, self.attributes or ())


class Linear(BaselineOptions):
    """Linear regression in closed form."""

    kind: Literal["linear"] = Field(description=f"linear: {TITLES['linear']}")
    ridge: Annotated[Number, Field(ge=0, le=1000)] = Field(
        1e-3, description="penalty on squared coefficients, relative to the number and variance of the observations"
    )


class Climatology(BaselineOptions):
    """Means of the calibration period."""

    kind: Literal["climatology"] = Field(description=f"climatology: {TITLES['climatology']}")


SECTIONS: dict[str, type[BaselineOptions]] = {"lstm": Lstm, "linear": Linear, "climatology": Climatology}
assert tuple(SECTIONS) == BASELINES

ADAM = {"kind": "adam", "learning_rate": 0.003, "schedule": "cosine", "max_gradient_norm": 1.0}
"""Default stage of the LSTM."""
CLOSED_FORM = {"kind": "closed_form"}


def default_stage(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raw data of the stage of a baseline, with the keys that are given."""
    return {**(ADAM if kind == "lstm" else CLOSED_FORM), **given}


def baseline_problems(experiment: Any) -> list[Problem]:
    """What an `Experiment` asks of a baseline that it does not have; of a structure, what only baselines have."""
    options, problems = experiment.structure, list[Problem]()
    if not isinstance(options, BaselineOptions):
        what, remedy = "is the optimiser of linear and climatology", "use lbfgsb or adam"
        stages = enumerate(experiment.optimiser)
        return [(("optimiser", number, "kind"), what, remedy) for number, one in stages if one.kind == "closed_form"]
    name = f"the structure {options.kind}"
    if experiment.mapping.kind != "uniform":
        what = f"{name} has no parameters of cells to map"
        problems.append((("mapping", "kind"), what, "remove the section, or use mapping.kind: uniform"))
    if experiment.initial.source:
        problems.append((("initial", "from"), f"{name} starts from nothing, before its warm-up", "remove the key"))
    if experiment.first_guess.kind != "given":
        what = f"{name} has no parameters to screen"
        problems.append((("first_guess", "kind"), what, "remove the section"))
    if experiment.objective.regularisation is not None:
        what = f"{name} has no maps to regularise"
        problems.append((("objective", "regularisation"), what, "remove the key"))
    if experiment.outputs.cells:
        problems.append((("outputs", "cells"), f"{name} has no cells", "remove the key"))
    if experiment.regional.basins:
        what = f"{name} learns from the gauges of one configuration"
        problems.append((("regional", "basins"), what, "list all gauges in one configuration"))
    known = experiment.basin.descriptors
    for absent in [one for one in getattr(options, "attributes", None) or () if one not in known]:
        what = f"{absent} is not in basin.descriptors"
        problems.append((("structure", "attributes"), what, "add it there, or remove it here"))
    return problems + _stage_problems(experiment)


def _stage_problems(experiment: Any) -> list[Problem]:
    kind, problems = experiment.structure.kind, list[Problem]()
    wanted = "adam" if kind == "lstm" else "closed_form"
    for number, stage in enumerate(experiment.optimiser):
        if stage.kind != wanted or (number and wanted == "closed_form"):
            how = "is trained by adam" if kind == "lstm" else "is solved in closed form, in one stage"
            problems.append((("optimiser", number, "kind"), f"{kind} {how}", f"use {wanted}, or remove the section"))
            continue
        for key in ("mapping", "train"):
            if getattr(stage, key, None) is not None:
                what = f"{kind} has no such choice: all weights are trained together"
                problems.append((("optimiser", number, key), what, "remove the key"))
    return problems
