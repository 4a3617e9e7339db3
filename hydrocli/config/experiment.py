"""The whole configuration: one experiment."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from hydrocli.config.base import (
    InputPath,
    Integer,
    Location,
    Name,
    Section,
    folder_of_file,
    raise_validation_errors,
    validation_error,
)
from hydrocli.config.basin import Basin
from hydrocli.config.execution import Execution
from hydrocli.config.forcing import Forcing
from hydrocli.config.gauges import Gauges
from hydrocli.config.mapping import BY_DESCRIPTORS, NETWORKS, Mapping, Uniform
from hydrocli.config.objective import FloodEvents, Objective
from hydrocli.config.optimiser import AnyStage, FirstGuess, Lbfgsb, Optimiser, Screening
from hydrocli.config.outputs import Outputs
from hydrocli.config.parameters import Initial, Parameters, filled, levels_of
from hydrocli.config.period import Period
from hydrocli.config.structure import GR, InitialWeights, Structure, declared_structure, kinds_with_network

WITHOUT_GRADIENT = ("cmaes", "sbs")
"""Optimisers that search a box."""

PRECALIBRATION = {"kind": "adam", "iterations": 40, "learning_rate": 0.004, "train": ["parameters"]}
"""First stage of a mapping with a network where none is asked for (Huynh et al. 2026, 2.3)."""


def run_folder(value: Any, info: ValidationInfo) -> Any:
    """Fill in `{name}` and `{now:%Y%m%d}`, and nothing else: a folder name is no program."""
    if not isinstance(value, str):
        return value
    now = datetime.now(UTC)
    text = re.sub(r"\{now:([^{}]+)\}", lambda match: now.strftime(match[1]), value)
    text = text.replace("{name}", info.data.get("name", "name"))
    if "{" in text or "}" in text:
        raise validation_error(
            f"'{value}' holds braces", "only {name} and the date (UTC), as {now:%Y%m%d}, are filled in"
        )
    home = folder_of_file(info)
    folder = Path(os.path.normpath(home / text))
    if not Path(text).is_absolute() and (folder == home or folder in home.parents):
        raise validation_error(
            f"'{value}' is the folder of the YAML file, or holds it", "give the run a folder of its own"
        )
    return text


class Regional(Section):
    """Basins of other rasters, archives or periods; gauges of one raster need none of it."""

    basins: tuple[InputPath, ...] = Field(
        (),
        description="YAML files of further basins: their period, basin, gauges, forcing and initial levels; all else "
        "from here",
        examples=[["lez.yaml"]],
    )


class Experiment(Section):
    """What `hydrocli.config.load` returns; all paths are absolute, all times UTC."""

    name: Name = Field(description="name of the run: letters, digits, _, - and .", examples=["cance"])
    folder: Annotated[InputPath, BeforeValidator(run_folder)] = Field(
        "runs/{name}",
        validate_default=True,
        description="run folder; {name} and the date (UTC) as {now:%Y%m%d} are filled in",
    )
    seed: Annotated[Integer, Field(ge=0, lt=2**63)] = Field(1, description="seed of everything random")
    period: Period = Field(description="when, in which steps; periods are ]from, to], times without zone are UTC")
    basin: Basin = Field(description="drainage network and descriptors")
    gauges: Gauges = Field(description="where discharge is measured; which gauges calibrate, which validate")
    forcing: Forcing = Field(description="rain and potential evapotranspiration")
    structure: Structure = Field(GR, description="equations of a cell")
    mapping: Mapping = Field(Uniform(kind="uniform"), description="how parameters vary in space")
    parameters: Parameters = Field(
        default_factory=lambda: Parameters.model_validate({}), description="values, bounds, what is calibrated"
    )
    initial: Initial = Field(
        default_factory=lambda: Initial.model_validate({}), description="levels of the stores at the start"
    )
    initial_weights: InitialWeights = Field(
        default_factory=InitialWeights, description="weights of the network of `structure`"
    )
    objective: Objective = Field(default_factory=Objective, description="what a calibration makes small")
    first_guess: FirstGuess = Field(
        Screening(kind="screening"), description="uniform parameters that the first stage starts from"
    )
    optimiser: Optimiser = Field(
        (Lbfgsb(kind="lbfgsb"),),
        description="one stage, or a list of stages, each from the end of the one before; left out: lbfgsb, "
        "or adam where there is a network",
    )
    flood_events: FloodEvents = Field(default_factory=FloodEvents, description="detection of flood events")
    outputs: Outputs = Field(default_factory=Outputs, description="states and fluxes that are written")
    regional: Regional = Field(default_factory=Regional, description="basins that calibrate together with this one")
    execution: Execution = Field(default_factory=Execution, description="how it is computed")

    @model_validator(mode="before")
    @classmethod
    def _parent_run_as_first_guess(cls, data: Any) -> Any:
        """Maps of another run are the first guess, unless something else is asked for."""
        parameters = data.get("parameters") if isinstance(data, dict) else None
        if isinstance(parameters, dict) and parameters.get("from") and data.get("first_guess") is None:
            return {**data, "first_guess": {"kind": "given"}}
        return data

    @model_validator(mode="before")
    @classmethod
    def _fill_settings(cls, data: Any) -> Any:
        """Parameters and states of the structure that is asked for get their defaults and bounds."""
        if not isinstance(data, dict) or (structure := declared_structure(data.get("structure"))) is None:
            return data
        parameters = filled(data.get("parameters"), structure.all_parameters)
        return {**data, "parameters": parameters, "initial": filled(data.get("initial"), levels_of(structure))}

    @field_validator("parameters", "initial")
    @classmethod
    def _check_settings(cls, settings: Any, info: ValidationInfo) -> Any:
        if structure := info.data.get("structure"):
            declared = structure.declared
            known = declared.all_parameters if info.field_name == "parameters" else levels_of(declared)
            raise_validation_errors(settings.unknown_to(structure.kind, known))
        return settings

    @field_validator("structure")
    @classmethod
    def _check_forcing(cls, structure: Any, info: ValidationInfo) -> Any:
        wanted, forcing = structure.declared.model.forcings, info.data.get("forcing")
        if forcing and "temperature" in wanted and forcing.temperature is None:
            what, remedy = "needs the temperature", "name its archive in forcing.temperature"
            raise_validation_errors([(("snow",), what, remedy)])
        return structure

    @model_validator(mode="before")
    @classmethod
    def _default_stages_of_networks(cls, data: Any) -> Any:
        """Where no optimiser is asked for: as the papers do, phi2 alone first."""
        if not isinstance(data, dict) or data.get("optimiser") is not None:
            return data
        kinds = [section.get("kind") for key in ("structure", "mapping") if isinstance(section := data.get(key), dict)]
        if set(kinds) & set(NETWORKS):
            return {**data, "optimiser": [dict(PRECALIBRATION), {"kind": "adam"}]}
        return {**data, "optimiser": {"kind": "adam"}} if set(kinds) & set(kinds_with_network()) else data

    @field_validator("mapping")
    @classmethod
    def _check_descriptors(cls, mapping: Any, info: ValidationInfo) -> Any:
        if mapping.kind not in BY_DESCRIPTORS or "basin" not in info.data:
            return mapping
        known, problems = info.data["basin"].descriptors, list[tuple[Location, str, str]]()
        if not known:
            problems.append((("kind",), f"{mapping.kind} needs descriptors", "name files in basin.descriptors"))
        asked: dict[Location, Any] = {("descriptors",): mapping.descriptors or ()}
        asked |= {
            ("descriptors_by_parameter", symbol): names
            for symbol, names in getattr(mapping, "descriptors_by_parameter", {}).items()
        }
        for location, names in asked.items():
            absent = [name for name in names if name not in known]
            problems += [(location, f"{name} is not among basin.descriptors", "") for name in absent if known]
        for symbol in set(mapping.uniform_parameters) & set(getattr(mapping, "descriptors_by_parameter", {})):
            problems.append((("descriptors_by_parameter", symbol), "is also in mapping.uniform_parameters", ""))
        raise_validation_errors(problems)
        return mapping

    @field_validator("initial_weights")
    @classmethod
    def _check_initial_weights(cls, network: InitialWeights, info: ValidationInfo) -> InitialWeights:
        structure = info.data.get("structure")
        if network.source and structure and not structure.network:
            remedy = f"take one of {', '.join(kinds_with_network())}, or leave it out"
            raise_validation_errors([(("from",), f"the structure {structure.kind} has no network", remedy)])
        return network

    @field_validator("outputs")
    @classmethod
    def _check_outputs(cls, outputs: Outputs, info: ValidationInfo) -> Outputs:
        if structure := info.data.get("structure"):
            raise_validation_errors(outputs.unknown_to(structure.declared))
        return outputs

    @model_validator(mode="after")
    def _check_regularisation(self) -> Experiment:
        regularisation, last = self.objective.regularisation, self.optimiser[-1]
        problems: list[tuple[Location, str, str]] = []
        if regularisation and not regularisation.prior and self.mapping.kind == "uniform":
            what = "uniform parameters are smooth: there is nothing to pay for"
            problems.append(
                (("objective", "regularisation", "smoothing"), what, "give prior a share, or take another mapping")
            )
        if regularisation and regularisation.weight == "lcurve" and last.train == ("network",):
            what = "the last stage, which runs with each weight, leaves the parameters as they are"
            problems.append(
                (("objective", "regularisation", "weight"), what, "let a stage with parameters be the last")
            )
        if regularisation and regularisation.weight == "lcurve" and self.regional.basins:
            what = "several basins have no common corner"
            problems.append(
                (("objective", "regularisation", "weight"), what, "find a weight with one of them, and give it")
            )
        raise_validation_errors(problems)
        return self

    @model_validator(mode="after")
    def _check_batches_of_basins(self) -> Experiment:
        alone = () if self.regional.basins else tuple(enumerate(self.optimiser))
        what, remedy = "there is one basin only", "name others in regional.basins, or leave it out"
        raise_validation_errors(
            [
                (("optimiser", number, "batches", "basins"), what, remedy)
                for number, stage in alone
                if stage.kind == "adam" and stage.batches and stage.batches.basins
            ]
        )
        return self

    @field_validator("execution")
    @classmethod
    def _check_cluster(cls, execution: Execution, info: ValidationInfo) -> Execution:
        if execution.cluster != "none" and "regional" in info.data and not info.data["regional"].basins:
            what = "there is one basin, and Dask shares out those of regional.basins"
            raise_validation_errors(
                [(("cluster",), what, "leave it out; many calibrations are a campaign, see `hydrocli batch`")]
            )
        return execution

    @field_validator("optimiser")
    @classmethod
    def _check_stage_mappings(cls, stages: Optimiser, info: ValidationInfo) -> Optimiser:
        if not {"mapping", "structure"} <= set(info.data):
            return stages
        final = info.data["mapping"].kind
        kinds = [stage.mapping or final for stage in stages]
        problems: list[tuple[Location, str, str]] = []
        for index, (stage, kind) in enumerate(zip(stages, kinds, strict=True)):
            if stage.kind in WITHOUT_GRADIENT and kind != "uniform":
                remedy = "give this stage `mapping: uniform`, and let one of kind lbfgsb follow"
                problems.append(((index, "kind"), f"{stage.kind} calibrates uniform parameters only", remedy))
            if index and kinds[index - 1] != "uniform" and kind == "uniform":
                problems.append(((index, "mapping"), f"uniform after {kinds[index - 1]} would lose the maps", ""))
            if kind not in ("uniform", final) and index < len(stages) - 1:
                what = f"a stage calibrates uniform parameters or, as mapping.kind says, {final} ones"
                problems.append(((index, "mapping"), what, "to go on from another mapping: `parameters: {from: RUN}`"))
            problems += [((index, "train"), *problem) for problem in _untrainable(stage, kind, info.data)]
        if kinds[-1] != final:
            what = f"the last stage calibrates {kinds[-1]} parameters, mapping.kind is {final}"
            problems.append(((len(stages) - 1, "mapping"), what, ""))
        raise_validation_errors(problems)
        return stages

    @model_validator(mode="after")
    def _check_mapped_parameters(self) -> Experiment:
        problems: list[tuple[Location, str, str]] = []
        structure = self.structure.declared
        calibrated = [symbol for symbol in structure.all_parameters if self.parameters[symbol].calibrated]
        calibrated += [symbol for symbol in structure.calibrated_states if self.initial[symbol].calibrated]
        for key in ("uniform_parameters", "descriptors_by_parameter"):
            idle = [symbol for symbol in getattr(self.mapping, key, ()) if symbol not in calibrated]
            if idle:
                problems.append(
                    (("mapping", key), f"not calibrated: {', '.join(idle)}", "take it off, or calibrate it")
                )
        raise_validation_errors(problems)
        return self


def _untrainable(stage: AnyStage, kind: str, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a stage cannot change, with remedies."""
    asked = stage.train or ()
    if "network" in asked and not data["structure"].network:
        yield f"the structure {data['structure'].kind} has no network", ""
    elif "network" in asked and stage.kind in WITHOUT_GRADIENT:
        yield f"{stage.kind} calibrates parameters only", "let a stage of kind adam train the network"
    single = set(asked) - {"parameters", "network"}
    if single and kind in NETWORKS:
        yield f"parameters of the mapping {kind} share its weights", "write `parameters`"
    settings = {
        symbol: one for key in ("initial", "parameters") if key in data for symbol, one in data[key].given().items()
    }
    for symbol in [symbol for symbol in asked if symbol in single and symbol in settings]:
        if not getattr(settings[symbol], "calibrated", False):
            yield f"{symbol} is not calibrated", f"set {symbol}.calibrated: true"
