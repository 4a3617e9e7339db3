"""The whole configuration: one experiment."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

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
from hydrocli.config.baseline import BaselineOptions, baseline_problems, default_stage
from hydrocli.config.basin import Basin
from hydrocli.config.execution import Execution
from hydrocli.config.forcing import Forcing
from hydrocli.config.forecast import Forecast
from hydrocli.config.gauges import Gauges
from hydrocli.config.mapping import BY_DESCRIPTORS, NETWORKS, Mapping, Uniform
from hydrocli.config.objective import PROTECTION, FloodEvents, Objective
from hydrocli.config.optimiser import AnyStage, FirstGuess, Lbfgsb, Optimiser, Screening
from hydrocli.config.outputs import Outputs
from hydrocli.config.parameters import Initial, Parameters, filled, levels_of
from hydrocli.config.period import Period
from hydrocli.config.plausibility import Plausibility
from hydrocli.config.presets import filled_by_preset
from hydrocli.config.structure import GR, InitialWeights, Structure, declared_structure, kinds_with_network
from hydrocli.names import BASELINES

WITHOUT_GRADIENT = ("cmaes", "sbs")
"""Optimisers that use values only."""
FOR_FEW_CONTROLS = (*WITHOUT_GRADIENT, "levenberg_marquardt")
"""Optimisers of uniform parameters."""

UNIFORM_ITERATIONS = 100
"""Of the uniform calibration before a mapping by descriptors; the descents of the screening have done most of it."""

PRECALIBRATION = {"kind": "adam", "iterations": 40, "learning_rate": 0.004, "train": ["parameters"]}
"""Default first stage of a mapping with a network (Huynh et al. 2026, 2.3)."""


def run_folder(value: Any, info: ValidationInfo) -> Any:
    """Replace `{name}` and `{now:%Y%m%d}`; other braces are refused."""
    if not isinstance(value, str):
        return value
    now = datetime.now(UTC)
    text = re.sub(r"\{now:([^{}]+)\}", lambda match: now.strftime(match[1]), value)
    text = text.replace("{name}", info.data.get("name", "name"))
    if "{" in text or "}" in text:
        raise validation_error(
            f"'{value}' contains braces", "only {name} and the date (UTC), {now:%Y%m%d}, are replaced"
        )
    home = folder_of_file(info)
    folder = Path(os.path.normpath(home / text))
    if not Path(text).is_absolute() and (folder == home or folder in home.parents):
        raise validation_error(
            f"'{value}' is the folder of the YAML file, or contains it", "name a separate folder for the run"
        )
    return text


class Regional(Section):
    """Basins with other rasters, archives or periods. Several gauges of one basin do not need this section."""

    basins: tuple[InputPath, ...] = Field(
        (),
        description="YAML files of further basins: their period, basin, gauges, forcing, plausibility, initial; other "
        "sections are those of this file",
        examples=[["lez.yaml"]],
    )


class Experiment(Section):
    """Result of `hydrocli.config.load`; all paths are absolute, all times UTC."""

    name: Name = Field(description="name of the run: letters, digits, _, - and .", examples=["cance"])
    folder: Annotated[InputPath, BeforeValidator(run_folder)] = Field(
        "runs/{name}",
        validate_default=True,
        description="run folder; {name} and the date (UTC), {now:%Y%m%d}, are replaced",
    )
    seed: Annotated[Integer, Field(ge=0, lt=2**63)] = Field(1, description="seed of all random numbers")
    ensemble: Annotated[Integer, Field(ge=1, le=100)] = Field(
        1,
        description="number of calibrations of a model with a network that differ in their seed alone: seed, seed + 1 "
        "...",
    )
    preset: Literal["huynh-2025", "huynh-2026"] | None = Field(
        None,
        description="settings of a paper for what is left out: huynh-2025 (GRNN) or huynh-2026 (neural ODE)",
        examples=["huynh-2026"],
    )
    period: Period = Field(description="time step and periods; periods are ]start, end], times without zone are UTC")
    basin: Basin = Field(description="drainage network and descriptors")
    gauges: Gauges = Field(
        description="gauges and observed discharge; which gauges are used for calibration and validation"
    )
    forcing: Forcing = Field(description="precipitation, potential evapotranspiration, and temperature")
    plausibility: Plausibility = Field(
        default_factory=Plausibility,
        description="limits of what the data of a gauge may look like; a number, or off; see the page on data",
    )
    structure: Structure = Field(GR, description="model structure of a cell")
    mapping: Mapping = Field(
        Uniform(kind="uniform"), description="spatial distribution of the parameters (regionalisation)"
    )
    parameters: Parameters = Field(
        default_factory=lambda: Parameters.model_validate({}),
        description="values, bounds, and which parameters are calibrated",
    )
    initial: Initial = Field(
        default_factory=lambda: Initial.model_validate({}), description="initial levels of the stores"
    )
    initial_weights: InitialWeights = Field(
        default_factory=InitialWeights, description="initial weights of the network of `structure`"
    )
    objective: Objective = Field(
        default_factory=Objective, description="objective function, minimised by the calibration"
    )
    first_guess: FirstGuess = Field(
        Screening(kind="screening"), description="uniform parameters from which the first stage starts"
    )
    optimiser: Optimiser = Field(
        (Lbfgsb(kind="lbfgsb"),),
        description="one stage, or a list of stages, each starting from the result of the previous one; default: "
        "adam with a network, levenberg_marquardt for uniform parameters, else lbfgsb",
    )
    flood_events: FloodEvents = Field(default_factory=FloodEvents, description="detection of flood events")
    forecast: Forecast = Field(
        default_factory=Forecast, description="forecasts and data assimilation, for `forecast` and `hindcast`"
    )
    outputs: Outputs = Field(default_factory=Outputs, description="states and fluxes to write")
    regional: Regional = Field(default_factory=Regional, description="further basins of a regional calibration")
    execution: Execution = Field(default_factory=Execution, description="threads, processes, precision, memory")

    @property
    def iterations_to_uniform(self) -> int:
        """Iterations at most from the first guess to uniform parameters, from which a mapping by descriptors starts."""
        starts = self.first_guess.kind == "screening" and self.mapping.kind in BY_DESCRIPTORS
        return UNIFORM_ITERATIONS if starts and self.optimiser[0].mapping != "uniform" else 0

    @property
    def baseline(self) -> BaselineOptions | None:
        """Options of the baseline that stands for a structure, if one does."""
        options: Any = self.structure
        return options if isinstance(options, BaselineOptions) else None

    @model_validator(mode="before")
    @classmethod
    def _parent_run_as_first_guess(cls, data: Any) -> Any:
        """The maps of a parent run are the first guess, unless `first_guess` is given; a baseline screens nothing."""
        if not isinstance(data, dict) or data.get("first_guess") is not None:
            return data
        parameters, structure = data.get("parameters"), data.get("structure")
        continues = isinstance(parameters, dict) and parameters.get("from")
        if continues or (isinstance(structure, dict) and structure.get("kind") in BASELINES):
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
    def _default_stages(cls, data: Any) -> Any:
        """Default optimiser: that of few or many parameters; with networks as in the papers, phi2 alone first.

        A stage with other keys, but no kind, is of the default kind.
        """
        stage = data.get("optimiser") if isinstance(data, dict) else []
        if stage is not None and (not isinstance(stage, dict) or "kind" in stage):
            return data
        structure, mapping, execution = (
            section if isinstance(section := data.get(key), dict) else {}
            for key in ("structure", "mapping", "execution")
        )
        if structure.get("kind") in BASELINES:
            return {**data, "optimiser": default_stage(structure["kind"], stage or {})}
        if mapping.get("kind") in NETWORKS and stage is None:
            return {**data, "optimiser": [dict(PRECALIBRATION), {"kind": "adam"}]}
        are_few = mapping.get("kind", "uniform") == "uniform" and execution.get("precision", "double") == "double"
        kind = "levenberg_marquardt" if are_few else "lbfgsb"
        if mapping.get("kind") in NETWORKS or structure.get("kind") in kinds_with_network():
            kind = "adam"
        return {**data, "optimiser": {"kind": kind, **(stage or {})}}

    @model_validator(mode="before")
    @classmethod
    def _default_regularisation(cls, data: Any) -> Any:
        """Maps by descriptors are held near the uniform parameters that the calibration finds first."""
        if not isinstance(data, dict):
            return data
        mapping, objective = data.get("mapping"), {} if data.get("objective") is None else data["objective"]
        by_descriptors = isinstance(mapping, dict) and mapping.get("kind") in BY_DESCRIPTORS
        if not by_descriptors or not isinstance(objective, dict) or not _starts_uniform(data):
            return data
        given = objective.get("regularisation")
        if given is None:
            return {**data, "objective": {**objective, "regularisation": dict(PROTECTION)}}
        if isinstance(given, dict) and given.get("prior") is None and given.get("smoothing") is None:
            return {**data, "objective": {**objective, "regularisation": {**given, "prior": PROTECTION["prior"]}}}
        return data

    @model_validator(mode="before")
    @classmethod
    def _fill_by_preset(cls, data: Any) -> Any:
        """The last of these that stands here, so the first that runs: the others see what the preset says."""
        return filled_by_preset(data) if isinstance(data, dict) else data

    @field_validator("mapping")
    @classmethod
    def _check_descriptors(cls, mapping: Any, info: ValidationInfo) -> Any:
        if mapping.kind not in BY_DESCRIPTORS or "basin" not in info.data:
            return mapping
        known, problems = info.data["basin"].descriptors, list[tuple[Location, str, str]]()
        if not known:
            problems.append((("kind",), f"{mapping.kind} needs descriptors", "add them to basin.descriptors"))
        requested: dict[Location, Any] = {("descriptors",): mapping.descriptors or ()}
        requested |= {
            ("descriptors_by_parameter", symbol): names
            for symbol, names in getattr(mapping, "descriptors_by_parameter", {}).items()
        }
        for location, names in requested.items():
            absent = [name for name in names if name not in known]
            problems += [
                (location, f"{name} is not in basin.descriptors", "add it there, or remove it here")
                for name in absent
                if known
            ]
        for symbol in set(mapping.uniform_parameters) & set(getattr(mapping, "descriptors_by_parameter", {})):
            problems.append(
                (
                    ("descriptors_by_parameter", symbol),
                    "is also in mapping.uniform_parameters",
                    "keep it in one of them",
                )
            )
        raise_validation_errors(problems)
        return mapping

    @field_validator("initial_weights")
    @classmethod
    def _check_initial_weights(cls, network: InitialWeights, info: ValidationInfo) -> InitialWeights:
        structure = info.data.get("structure")
        if network.source and structure and not structure.network:
            remedy = f"use one of {', '.join(kinds_with_network())}, or remove the key"
            raise_validation_errors([(("from",), f"the structure {structure.kind} has no network", remedy)])
        return network

    @field_validator("outputs")
    @classmethod
    def _check_outputs(cls, outputs: Outputs, info: ValidationInfo) -> Outputs:
        if structure := info.data.get("structure"):
            raise_validation_errors(outputs.unknown_to(structure.declared))
        return outputs

    @model_validator(mode="after")
    def _check_impervious(self) -> Experiment:
        name = getattr(self.structure, "impervious", None)
        if name and name not in self.basin.descriptors:
            what = f"{name} is not in basin.descriptors"
            raise_validation_errors([(("structure", "impervious"), what, "add it there, or remove the key")])
        return self

    @model_validator(mode="after")
    def _check_ensemble(self) -> Experiment:
        problems: list[tuple[Location, str, str]] = []
        is_drawn = self.structure.network or self.structure.kind == "lstm" or self.mapping.kind in NETWORKS
        if self.ensemble > 1 and not is_drawn:
            what = "the calibration has no network whose weights are drawn"
            problems.append((("ensemble",), what, "remove the key, or use a structure or a mapping with a network"))
        if self.ensemble > 1 and self.regional.basins:
            what = "is not possible for several basins"
            problems.append((("ensemble",), what, "calibrate with other seeds in other folders"))
        raise_validation_errors(problems)
        return self

    @model_validator(mode="after")
    def _check_baseline(self) -> Experiment:
        raise_validation_errors(baseline_problems(self))
        return self

    @model_validator(mode="after")
    def _check_regularisation(self) -> Experiment:
        regularisation, last = self.objective.regularisation, self.optimiser[-1]
        problems: list[tuple[Location, str, str]] = []
        smoothed = regularisation and not regularisation.prior and regularisation.weight != 0
        if smoothed and self.mapping.kind == "uniform":
            what = "uniform parameters have no spatial variation to smooth"
            problems.append((("objective", "regularisation", "smoothing"), what, "set prior, or use another mapping"))
        if regularisation and regularisation.weight == "lcurve" and last.train == ("network",):
            what = "the last stage, which is repeated for each weight, does not train the parameters"
            problems.append(
                (("objective", "regularisation", "weight"), what, "end with a stage that trains parameters")
            )
        if regularisation and regularisation.weight == "lcurve" and self.regional.basins:
            what = "lcurve is not possible for several basins"
            problems.append(
                (("objective", "regularisation", "weight"), what, "find the weight with one basin, and set it here")
            )
        raise_validation_errors(problems)
        return self

    @model_validator(mode="after")
    def _check_precision_of_stages(self) -> Experiment:
        what = "levenberg_marquardt takes differences of runs, for which single precision is too coarse"
        remedy = "use lbfgsb, or `execution.precision: double`"
        is_single = self.execution.precision == "single"
        stages = [number for number, stage in enumerate(self.optimiser) if stage.kind == "levenberg_marquardt"]
        raise_validation_errors([(("optimiser", number, "kind"), what, remedy) for number in stages if is_single])
        return self

    @model_validator(mode="after")
    def _check_batches_of_basins(self) -> Experiment:
        alone = () if self.regional.basins else tuple(enumerate(self.optimiser))
        what, remedy = "needs several basins", "add basins to regional.basins, or remove the key"
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
            what = "Dask distributes the basins of regional.basins, and there are none"
            raise_validation_errors(
                [(("cluster",), what, "remove the key; for many independent calibrations see `hydrocli batch`")]
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
            if stage.kind in FOR_FEW_CONTROLS and kind != "uniform":
                remedy = "set `mapping: uniform` for this stage, followed by a stage of kind lbfgsb"
                problems.append(((index, "kind"), f"{stage.kind} calibrates uniform parameters only", remedy))
            if index and kinds[index - 1] != "uniform" and kind == "uniform":
                problems.append(
                    (
                        (index, "mapping"),
                        f"uniform after {kinds[index - 1]} would discard the maps",
                        "put the uniform stage first",
                    )
                )
            if kind not in ("uniform", final) and index < len(stages) - 1:
                what = f"a stage has the mapping uniform or {final} (mapping.kind)"
                problems.append(
                    ((index, "mapping"), what, "to start from another mapping, use `parameters: {from: RUN}`")
                )
            problems += [((index, "train"), *problem) for problem in _untrainable(stage, kind, info.data)]
        if kinds[-1] != final:
            what = f"the last stage has the mapping {kinds[-1]}, but mapping.kind is {final}"
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
                    (("mapping", key), f"not calibrated: {', '.join(idle)}", "remove it, or calibrate the parameter")
                )
        raise_validation_errors(problems)
        return self


def _starts_uniform(data: dict[str, Any]) -> bool:
    """Whether a calibration finds uniform parameters before anything else: by screening, or in its first stage."""
    parameters, guess, stages = (data.get(key) for key in ("parameters", "first_guess", "optimiser"))
    first = stages[0] if isinstance(stages, list | tuple) and stages else stages
    if isinstance(first, dict) and first.get("mapping") == "uniform":
        return True
    if isinstance(guess, dict):
        return guess.get("kind") == "screening"
    return guess is None and not (isinstance(parameters, dict) and parameters.get("from"))


def _untrainable(stage: AnyStage, kind: str, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a stage cannot train, with remedies."""
    asked = stage.train or ()
    if "network" in asked and not data["structure"].network:
        yield f"the structure {data['structure'].kind} has no network", "use grnn or node, or remove `network`"
    elif "network" in asked and stage.kind in FOR_FEW_CONTROLS:
        yield f"{stage.kind} calibrates parameters only", "train the network with a stage of kind adam"
    single = set(asked) - {"parameters", "network"}
    if single and kind in NETWORKS:
        yield f"the parameters of the mapping {kind} share its weights", "use `parameters`"
    settings = {
        symbol: one for key in ("initial", "parameters") if key in data for symbol, one in data[key].given().items()
    }
    for symbol in [symbol for symbol in asked if symbol in single and symbol in settings]:
        if not getattr(settings[symbol], "calibrated", False):
            yield f"{symbol} is not calibrated", f"set {symbol}.calibrated: true"
