"""Calibration and simulation of the baselines: what is model in `stages` and `simulation` is another one here.

Discharge comes from catchment means of the same forcing, after the same warm-up, and is scored by the same cost. The
controls are the weights. With early stopping the cost that decides between iterations is that of the last fifth of the
calibration period, and the gradient is that of the cost of the first four fifths: no validation period is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from hydrocli.arrays import Flags, Floats
from hydrocli.baselines.baseline import Arrays, Baseline, Catchments, Model, Observations, size_of
from hydrocli.baselines.kinds import KINDS
from hydrocli.baselines.lstm import Lstm, Trace
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.calibration.stages import Stage
from hydrocli.config import Experiment, load
from hydrocli.engine.windows import Window
from hydrocli.errors import ConfigurationError, InputError, NumericalError
from hydrocli.experiment.cost import calibration_cost, gauge_weights
from hydrocli.experiment.setup import CalibrationSetup, catchment_means
from hydrocli.experiment.simulation import calibration_nse, write_catchments, write_discharge, write_domain
from hydrocli.experiment.stages import EVALUATIONS_PER_ITERATION, StagePlan, TrainableSet, optimiser_of, sub_periods
from hydrocli.names import FORCINGS
from hydrocli.results import read, schemas
from hydrocli.results.folder import CONFIG, RunFolder
from hydrocli.results.write import write_series, write_table
from hydrocli.score.cost import Cost, normalised

logger = logging.getLogger(__name__)

HELD_OUT = 5
"""Early stopping looks at the last one of so many equal parts of the calibration period."""
NO_RANGES = {"lowest": np.zeros(0), "highest": np.zeros(0)}


@dataclass(frozen=True, eq=False)
class Trained:
    """What a calibration of a baseline leaves.

    Attributes:
        baseline: with its options.
        codes: of the calibration gauges, which own the sets of weights where the baseline is local.
        arrays: from the calibration period, see `hydrocli.baselines.baseline`.
        weights: of all sets [m].
    """

    baseline: Baseline
    codes: tuple[str, ...]
    arrays: Arrays
    weights: Floats

    def on(self, catchments: Catchments, threads: int) -> Model:
        """The model on some catchments."""
        owners = self.baseline.owners(catchments.codes, self.codes)
        return KINDS[self.baseline.kind].model(self.baseline, catchments, self.arrays, owners, threads)


@dataclass(frozen=True, eq=False)
class Controls:
    """Names and bounds [m] of the controls: the weights, which have none."""

    names: tuple[str, ...]
    lower: Floats
    upper: Floats


def baseline_of(experiment: Experiment) -> Baseline:
    """The baseline of an experiment, with the attributes that it sees by default."""
    options = experiment.baseline
    assert options is not None
    if options.kind == "lstm" and getattr(options, "attributes", None) is None:
        return replace(options.declared, attributes=tuple(experiment.basin.descriptors))
    return options.declared


def catchments_of(setup: CalibrationSetup, codes: Sequence[str], steps: int) -> Catchments:
    """Catchments of gauges over the first steps; missing forcing is no water, as for the other models.

    Raises:
        ConfigurationError: a descriptor that the baseline sees is not there.
        InputError: one has no value in a whole catchment.
    """
    means, gauges, basin, tree = catchment_means(setup), setup.gauges(codes), setup.basin, setup.gauge_tree
    rain, pet = (np.nan_to_num(means[name][gauges, :steps]) for name in ("precipitation", "pet"))
    attributes = {}
    for name in baseline_of(setup.experiment).attributes:
        if name not in basin.descriptors:
            what = f"{name} is missing, and the {setup.experiment.structure.kind} needs it"
            raise ConfigurationError("basin.descriptors", what, "Add its file.")
        known = np.isfinite(basin.descriptors[name])
        number = tree.sums(known.astype(np.float64))[gauges]
        if without := [code for code, count in zip(codes, number, strict=True) if not count]:
            what = f"has no value in the catchments of {', '.join(without)}"
            raise InputError(f"descriptor {name}", what, "Fill the gaps, or leave it out of structure.attributes.")
        attributes[name] = tree.sums(np.where(known, basin.descriptors[name], 0.0))[gauges] / number
    area = tree.sums(basin.network.cell_area)[gauges]
    return Catchments(tuple(codes), rain, pet, area, attributes, basin.times[:steps], basin.step)


class BaselineObjective:
    """Cost of weights and its gradient.

    Args:
        model: on the catchments of the calibration gauges.
        cost: over the whole calibration period.
        parts: costs of its first four fifths and of the last one, for early stopping; None: without.

    Attributes:
        scores: NSE [g] of every gauge over the calibration period at the last evaluation.
    """

    def __init__(self, model: Model, cost: Cost, parts: tuple[Cost, Cost] | None = None) -> None:
        self._model, self._cost, self._parts = model, cost, parts
        self.scores: Floats = np.full(len(cost.gauges), np.nan)

    def value_and_gradient(self, weights: Floats) -> tuple[float, Floats]:
        """Cost and its gradient [m]; with early stopping the gradient is that of the first four fifths.

        Raises:
            NumericalError: the discharge is not finite.
        """
        discharge, trace = self._model.run(weights)
        if not np.isfinite(discharge).all():
            what = "the discharge of the baseline is not finite"
            raise NumericalError("calibration", what, "Lower optimiser.learning_rate, or check the forcing.")
        self.scores = self._cost.by_gauge(discharge)
        trained, judged = self._parts or (self._cost, self._cost)
        value, bar = trained.value_and_derivative(discharge)
        if self._parts:
            value = judged.value(discharge)
        return value, self._model.pull_back(weights, trace, bar)

    def values(self, points: Floats) -> Floats:
        """Costs [k] of weights [k, m]."""
        judged = self._parts[1] if self._parts else self._cost
        return np.array([judged.value(self.simulate(weights)) for weights in points])

    def simulate(self, weights: Floats) -> Floats:
        """Discharge [g, t]."""
        return self._model.run(weights)[0]

    def pull_back(self, weights: Floats, discharge_bar: Floats) -> Floats:
        """d cost / d weights [m] from d cost / d discharge [g, t]: the transpose of `simulate` at some weights."""
        return self._model.pull_back(weights, self._model.run(weights)[1], discharge_bar)


class LstmBatches:
    """Cost and gradient of a sub-period and some gauges, as `stages.MiniBatches` draws them for structures.

    The discharge of the sub-period replaces that of a whole run a little earlier, which also gives the state before it.

    Args:
        model: of the calibration gauges.
        cost: over the calibration period.
        windows: sub-periods.
        drawn: number of gauges in a batch.
        seed: of what is drawn.
    """

    def __init__(self, model: Lstm, cost: Cost, windows: Sequence[Window], drawn: int, seed: int) -> None:
        self._model, self._cost, self._windows, self._drawn, self._seed = model, cost, windows, drawn, seed
        self._whole: tuple[bytes, Floats, Trace] | None = None

    def __call__(self, iteration: int, anchor: Floats, weights: Floats) -> tuple[float, Floats]:
        """Cost and gradient [m] of the batch of an iteration; see `Problem.batch`."""
        if self._whole is None or self._whole[0] != anchor.tobytes():
            self._whole = anchor.tobytes(), *self._model.run(anchor)
        _, whole, trace = self._whole
        epoch, place = divmod(iteration, len(self._windows))
        window = self._windows[np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._windows))[place]]
        gauges = np.sort(np.random.default_rng([self._seed, 1, iteration]).permutation(len(whole))[: self._drawn])
        part, own = self._model.run_part(weights, trace, window.first, window.end)
        here = slice(window.scored - own.begin, window.end - own.begin)
        mixture, part_bar = whole.copy(), np.zeros_like(part)
        mixture[gauges, window.scored : window.end] = part[gauges, here]
        value, bar = self._cost.value_and_derivative(mixture)
        part_bar[gauges, here] = bar[gauges, window.scored : window.end]
        return value, self._model.pull_back(weights, own, part_bar)


class BaselineCalibration:
    """The calibration of a baseline: what `stages.BasinCalibration` is for a structure.

    Args:
        setup: the experiment and its basin.

    Attributes:
        codes: of the series that calibrate, those of their first gauges.
        plans: of the stages.
        stages: for `hydrocli.calibration.stages.run_stages`.
    """

    def __init__(self, setup: CalibrationSetup) -> None:
        self.setup, self.codes = setup, tuple(setup.series)
        experiment, steps = setup.experiment, setup.calibration_steps
        self._cost = calibration_cost(setup)
        self.baseline = baseline_of(experiment)
        catchments = catchments_of(setup, self.codes, steps)
        seen = Observations(
            catchments,
            setup.observed,
            setup.scored,
            normalised(self.codes, gauge_weights(setup)),
        )
        self._parts: tuple[Cost, Cost] | None = None
        if getattr(experiment.baseline, "early_stopping", False):
            trained, judged = self._divided(setup.scored)
            seen = replace(seen, scored=trained)
            self._parts = calibration_cost(setup, trained), calibration_cost(setup, judged)
        arrays, weights = KINDS[self.baseline.kind].first(self.baseline, seen, experiment.seed)
        source = experiment.parameters.source
        self._first = Trained(self.baseline, self.codes, arrays, weights)
        if source and self.baseline.kind == "lstm":
            self._first = _going_on(self._first, Path(source), setup)
        model = self._first.on(catchments, experiment.execution.threads)
        self.objective = BaselineObjective(model, self._cost, self._parts)
        self.plans = [
            StagePlan(
                f"{number} {self.baseline.kind} {stage.kind}",
                TrainableSet(None, True),
                optimiser_of(stage, experiment.seed),
                1 + stage.iterations * EVALUATIONS_PER_ITERATION[stage.kind],
            )
            for number, stage in enumerate(experiment.optimiser, start=1)
        ]
        self.stages = [
            Stage(plan.name, plan.optimiser, partial(self._problem, self._batches(model, stage)))
            for plan, stage in zip(self.plans, experiment.optimiser, strict=True)
        ]

    def _batches(self, model: Model, stage: Any) -> LstmBatches | None:
        """Mini-batches of a stage, if it has any; those of the last fifth have no part in a training that judges by it.

        Raises:
            ConfigurationError: a sub-period does not fit into the calibration.
        """
        if getattr(stage, "batches", None) is None:
            return None
        assert isinstance(model, Lstm)
        windows, cost = sub_periods(self.setup, stage.batches), self._cost
        if self._parts:
            cost, last = self._parts[0], np.flatnonzero(self._divided(self.setup.scored)[0])[-1]
            windows = [window for window in windows if window.scored <= last]
        drawn = min(stage.batches.gauges or len(self.codes), len(self.codes))
        return LstmBatches(model, cost, windows, drawn, self.setup.experiment.seed)

    def _divided(self, scored: Flags) -> tuple[Flags, Flags]:
        """Steps of the calibration period before its last fifth, and those of it."""
        steps = np.flatnonzero(scored)
        begin = steps[0] + (HELD_OUT - 1) * (steps[-1] + 1 - steps[0]) // HELD_OUT
        late = np.arange(scored.size) >= begin
        return scored & ~late, scored & late

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the cost, in sentences."""
        return self._cost.notes

    @property
    def scores(self) -> Floats:
        """NSE [g] of the calibration gauges at the last evaluation."""
        return self.objective.scores

    def control(self, results: Sequence[StageResult]) -> Controls:
        """Names and bounds of the weights."""
        sets = [""] if self.baseline.is_regional else [f"{code}, " for code in self.codes]
        size = self._first.weights.size // len(sets)
        endless = np.full(self._first.weights.size, np.inf)
        return Controls(tuple(f"weights[{code}{k}]" for code in sets for k in range(size)), -endless, endless)

    def write(self, folder: RunFolder, results: Sequence[StageResult]) -> dict[str, float]:
        """The final simulation with its tables; NSE of the calibration gauges."""
        last = results[-1]
        if np.isfinite(last.gradient).all():
            folder.update(gradient_norms={"weights": float(np.linalg.norm(last.gradient))})
        return final_simulation(folder, self.setup, replace(self._first, weights=last.x))

    def _problem(self, batches: LstmBatches | None, results: Sequence[StageResult]) -> Problem:
        starts = results[-1].x[np.newaxis] if results else self._first.weights[np.newaxis]
        endless, shapes = (
            np.full(starts.shape[1], np.inf),
            KINDS[self.baseline.kind].blocks(self.baseline, self._first.arrays),
        )
        of_set = [np.full(int(np.prod(shape)), not name.startswith("bias")) for name, shape in shapes.items()]
        decaying = np.tile(np.concatenate(of_set), starts.shape[1] // size_of(shapes))
        objective = self.objective
        return Problem(starts, -endless, endless, objective.value_and_gradient, objective.values, decaying, batches)


def _going_on(fresh: Trained, source: Path, setup: CalibrationSetup) -> Trained:
    """The weights of another run as the first guess, with the scales that belong to them."""
    found = read_trained(source, setup.experiment)
    if found.weights.size != fresh.weights.size or found.baseline != fresh.baseline or (
        not fresh.baseline.is_regional and found.codes != fresh.codes
    ):  # fmt: skip
        what = "has weights of another form: other options of `structure`, or other calibration gauges"
        raise ConfigurationError("parameters.from", f"{source} {what}", "Use the same, or remove the key.")
    return found


def final_simulation(
    folder: RunFolder,
    setup: CalibrationSetup,
    trained: Trained,
    accept: Callable[[Sequence[str], Floats], None] = lambda codes, simulated: None,
) -> dict[str, float]:
    """Simulate the whole period at all gauges, and write all tables of it.

    Args:
        folder: of the run.
        setup: experiment and basin.
        trained: the baseline.
        accept: may refuse the discharge [g, t] of the gauges before anything is written.

    Returns:
        NSE of every calibration gauge over the calibration period; empty without observations or period.

    Raises:
        NumericalError: the discharge of a gauge with weights is not finite.
    """
    basin, run, baseline = setup.basin, folder.manifest.run, trained.baseline
    codes, steps = basin.gauges.code, len(basin.times)
    simulated, _ = trained.on(catchments_of(setup, codes, steps), setup.experiment.execution.threads).run(
        trained.weights
    )
    has_weights = baseline.owners(codes, trained.codes) >= 0
    if not np.isfinite(simulated[has_weights]).all():
        raise NumericalError("simulation", "a discharge is not finite", "Check the forcing.")
    accept(codes, simulated)
    shapes = KINDS[baseline.kind].blocks(baseline, trained.arrays)
    details = {
        "scope": baseline.scope,
        "weights": trained.weights.size,
        "weights_of_a_set": size_of(shapes),
        "attributes": len(trained.arrays.get("lowest", ())),
        "early_stopping": bool(getattr(setup.experiment.baseline, "early_stopping", False)),
    }
    described = {"kind": baseline.kind, "title": baseline.title, "states": {}, "fluxes": [], "corrections": {}}
    folder.update(structure=described | {"step": basin.step, "baseline": details})
    counts: dict[str, float] = {"cells": len(basin.network), "steps": steps, "weights": trained.weights.size}
    folder.update(counts=counts)
    _write_weights(folder, trained, shapes)
    write_domain(folder, setup, np.full(len(basin.network), np.nan))
    write_catchments(folder, setup)
    means = catchment_means(setup)
    write_series(folder.path, schemas.catchment_timeseries(()), codes, basin.times, means, run=run)
    write_discharge(folder, setup, simulated)
    return calibration_nse(setup, simulated)


def _write_weights(folder: RunFolder, trained: Trained, shapes: dict[str, tuple[int, ...]]) -> None:
    """network_weights.parquet: arrays as layer 0, weights as layer 1, set by set."""
    baseline, rows = trained.baseline, list[tuple[Any, ...]]()
    owners = [None] if baseline.is_regional else list(trained.codes)
    named: dict[str, Sequence[str | None]] = {"flow": owners, "wetness": owners, "scale": list(FORCINGS)}
    named |= dict.fromkeys(NO_RANGES, ("log_area", *baseline.attributes))

    def add(layer: int, array: str, values: Floats, names: Sequence[str | None]) -> None:
        for place, value in np.ndenumerate(values):
            name = names[place[0]] if names else None
            rows.append(
                (baseline.kind, layer, array, place[0], place[1] if values.ndim == 2 else None, None, name, value)
            )

    for array, values in trained.arrays.items():
        add(0, array, values, named.get(array, ()))
    at = 0
    for owner in owners:
        for array, shape in shapes.items():
            values = trained.weights[at : at + int(np.prod(shape))].reshape(shape)
            add(1, array, values, [owner] * len(values))
            at += values.size
    names = [column.name for column in schemas.NETWORK.columns if column.name != "run"]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    write_table(folder.path, schemas.NETWORK, columns, run=folder.manifest.run)


def read_trained(source: Path, experiment: Experiment) -> Trained:
    """The baseline of another run.

    Raises:
        InputError: the run has no baseline of this kind, or another time step.
    """
    run, theirs = read(source), load(source / CONFIG)
    if theirs.structure.kind != experiment.structure.kind:
        what = f"is a run with the structure {theirs.structure.kind}"
        raise InputError(str(source), what, f"Choose a run of {experiment.structure.kind}.")
    if theirs.period.step != experiment.period.step:
        what = f"has a time step of {theirs.period.step} s, and this run one of {experiment.period.step} s"
        raise InputError(str(source), what, "The weights of a baseline belong to its step: calibrate again.")
    table = run.arrays("network_weights")
    arrays: dict[str, Floats] = dict(NO_RANGES)
    scales = table["layer"] == 0
    for name, places in groupby(np.flatnonzero(scales).tolist(), lambda place: str(table["array"][place])):
        here = list(places)
        rows = int(table["unit"][here].max()) + 1
        values = table["value"][here].astype(np.float64)
        arrays[name] = values.reshape(rows, -1) if np.isfinite(table["input"][here[0]]) else values
    flow = scales & (table["array"] == "flow")
    codes = tuple(str(code) for code in table["name"][flow])
    baseline = baseline_of(theirs)
    weights = table["value"][~scales].astype(np.float64)
    return Trained(baseline, () if baseline.is_regional else codes, arrays, weights)
