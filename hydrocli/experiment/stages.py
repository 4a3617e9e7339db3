"""What a calibration consists of: the stages of the YAML, each with its mapping, optimiser and problem.

A uniform first guess goes before the stages: Sobol screening of the whole box, then short descents from the best sets
that are not neighbours, both with the weights of a network as they are at first, near zero. Before a mapping by
descriptors the best descent goes on to its optimum. Each stage starts from the maps and weights with which the one
before ended.

Mini-batches are sub-periods and gauges that one iteration sees. The calibration period is cut into sub-periods of equal
length (the last one may overlap the one before it). They are visited in random order, each once before any comes again;
the gauges are drawn anew in every iteration. Both follow from the seed and the number of the iteration alone, so that a
resumed calibration sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.calibration.adam import Adam
from hydrocli.calibration.closed_form import ClosedForm
from hydrocli.calibration.cmaes import CMAES
from hydrocli.calibration.lbfgsb import LBFGSB
from hydrocli.calibration.levenberg_marquardt import LevenbergMarquardt
from hydrocli.calibration.problem import Problem, StageResult
from hydrocli.calibration.recorder import Optimiser
from hydrocli.calibration.sbs import StepByStep
from hydrocli.calibration.screening import Screening
from hydrocli.calibration.stages import Stage
from hydrocli.config import Experiment
from hydrocli.config.experiment import FOR_FEW_CONTROLS
from hydrocli.config.mapping import BY_DESCRIPTORS
from hydrocli.config.optimiser import AnyStage, Batches
from hydrocli.engine.control import Control
from hydrocli.engine.objective import Objective, split_maps
from hydrocli.engine.observers import InputRange, Observers
from hydrocli.engine.sensitivities import gauss_newton
from hydrocli.engine.simulator import State
from hydrocli.engine.windows import Window, Windows
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.cost import CurvePoint, calibration_cost, corner_of, curve_point, penalty_of, penalty_weights
from hydrocli.experiment.networks import FluxNetwork, RegionalisationModel
from hydrocli.experiment.setup import CalibrationSetup
from hydrocli.mapping.composition import CompositeMapping, FrozenMapping, PartiallyFrozenMapping
from hydrocli.mapping.mapping import DescriptorMapping, Mapping
from hydrocli.mapping.parameter_table import ParameterSpec, with_values
from hydrocli.score.intervals import mean_over, whole
from hydrocli.score.regularisation import Penalty


def optimiser_of(stage: Any, seed: int) -> Optimiser:
    """An optimiser with the options of a stage.

    Args:
        stage: as `config` has it.
        seed: of what is drawn.
    """
    if stage.kind == "lbfgsb":
        return LBFGSB(stage.iterations, stage.cost_tolerance, stage.gradient_tolerance, stage.history_size)
    if stage.kind == "levenberg_marquardt":
        return LevenbergMarquardt(stage.iterations, stage.cost_tolerance, stage.gradient_tolerance)
    if stage.kind == "cmaes":
        return CMAES(stage.iterations, stage.population, stage.sigma0, stage.cost_tolerance, stage.patience, seed)
    if stage.kind == "sbs":
        return StepByStep(stage.iterations, stage.step, stage.min_step)
    if stage.kind == "closed_form":
        return ClosedForm()
    return Adam(
        stage.iterations,
        stage.learning_rate,
        stage.beta1,
        stage.beta2,
        stage.bias_correction,
        stage.schedule,
        stage.rate_warmup,
        stage.final_rate_fraction,
        stage.weight_decay,
        stage.max_gradient_norm,
        stage.patience,
        stage.cost_tolerance,
        stage.batches.full_evaluation_every if stage.batches else 1,
    )


class MiniBatches:
    """Batches of the objective of one stage.

    Args:
        setup: the experiment and its basin.
        objective: the whole.
        asked: as `config` has it.

    Raises:
        ConfigurationError: a sub-period does not fit into the calibration.
    """

    def __init__(self, setup: CalibrationSetup, objective: Objective, asked: Batches) -> None:
        assert asked.length is not None
        self._windows = sub_periods(setup, asked)
        steps = _in_steps(setup, asked.length) + _in_steps(setup, asked.spin_up)
        cells = np.asarray(objective.cells, np.intp)
        simulator = setup.part(cells, setup.gauges(setup.series), steps)
        self._parts = Windows(objective, simulator, self._windows)
        self._gauges, self._seed = len(setup.series), setup.experiment.seed
        self._drawn = min(asked.gauges or self._gauges, self._gauges)

    def __call__(self, iteration: int, anchor: Floats, control: Floats) -> tuple[float, Floats]:
        """Cost and gradient [m] of the batch of an iteration; see `Problem.batch`."""
        epoch, place = divmod(iteration, len(self._windows))
        order = np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._windows))
        drawn = np.random.default_rng([self._seed, 1, iteration]).permutation(self._gauges)[: self._drawn]
        return self._parts.value_and_gradient(int(order[place]), np.sort(drawn).astype(np.intp), anchor, control)


def sub_periods(setup: CalibrationSetup, asked: Batches) -> list[Window]:
    """Windows of equal length whose scored steps cover the calibration period.

    A spin-up that reaches back beyond the start of the run is cut there, and the window runs on for as long at its end.

    Raises:
        ConfigurationError: see `MiniBatches`.
    """
    assert asked.length is not None
    length, spin_up = _in_steps(setup, asked.length), _in_steps(setup, asked.spin_up)
    window, end = setup.experiment.period.calibration, setup.calibration_steps
    assert window is not None
    begin = int(np.flatnonzero(setup.inside(window))[0])
    for key, steps, there in (("length", length, end - begin), ("spin_up", length + spin_up, end)):
        if steps > there:
            what = f"is too long: {steps} steps are needed, {there} are available up to the end of the calibration"
            raise ConfigurationError(f"optimiser.batches.{key}", what, "Choose a shorter duration.")
    scored = [*range(begin, end - length, length), end - length]
    firsts = [max(0, start - spin_up) for start in scored]
    return [Window(first, start, start + length) for first, start in zip(firsts, scored, strict=True)]


def _in_steps(setup: CalibrationSetup, duration: int) -> int:
    return -(-duration // setup.basin.step)


NETWORKS = ("phi1", "phi2")
"""Groups of controls that are weights: a decay of weights pulls them to zero."""


@dataclass(frozen=True)
class TrainableSet:
    """What a stage changes: how the parameters vary (None: they stay), whether weights are trained, which parameters.

    `only` names them; empty: all that are calibrated.
    """

    mapping: str | None
    weights: bool
    only: tuple[str, ...] = ()


EVALUATIONS_PER_ITERATION = {
    "lbfgsb": 1.3,
    "levenberg_marquardt": 6.0,
    "adam": 1.0,
    "cmaes": 12.0,
    "sbs": 12.0,
    "closed_form": 0.0,
}
"""For estimates of time only; those of Levenberg-Marquardt, CMA-ES and SBS depend on the number of controls."""
NEAR_ENOUGH = 0.01
"""A descent of the first guess ends with a step that decreases the cost by no more than this share: the stages go on
from the best one."""


@dataclass(frozen=True)
class StagePlan:
    """A stage before it is run.

    Attributes:
        name: of the stage.
        trainable: what it changes.
        optimiser: with its options.
        evaluations: of all its descents together at most, about: how often L-BFGS-B evaluates in an iteration varies.
        descents: that it makes, each from a start of its own.
        batches: mini-batches, if any.
        weight: of the penalty; 0: none, NaN: that of the corner of the L-curve.
    """

    name: str
    trainable: TrainableSet
    optimiser: Optimiser
    evaluations: float
    descents: int = 1
    batches: Batches | None = None
    weight: float = 0.0


def stage_plans(setup: CalibrationSetup) -> list[StagePlan]:
    """Plans of the first guess and of the stages of the configuration, in their order.

    Raises:
        ConfigurationError: a mini-batch does not fit into the calibration.
    """
    experiment = setup.experiment
    plans = _first_guess(experiment)
    for number, stage in enumerate(experiment.optimiser, start=1):
        kind = stage.mapping or experiment.mapping.kind
        trainable = _trainable_set(stage, kind, setup.structure.has_network)
        name = f"{number} {kind if trainable.mapping else 'network'} {stage.kind}"
        batches = stage.batches if stage.kind == "adam" else None
        if batches and batches.length is None:
            batches = None  # of whole basins, see `regional`
        if batches:
            sub_periods(setup, batches)  # refuses early those that do not fit
        optimiser = optimiser_of(stage, experiment.seed)
        evaluations = 1 + stage.iterations * EVALUATIONS_PER_ITERATION[stage.kind]
        for weight, words in penalty_weights(experiment, kind, number == len(experiment.optimiser)):
            plans.append(StagePlan(name + words, trainable, optimiser, evaluations, batches=batches, weight=weight))
    return plans


def _first_guess(experiment: Experiment) -> list[StagePlan]:
    guess = experiment.first_guess
    if guess.kind == "given":
        return []
    screening, near = Screening(guess.samples, guess.descents, seed=experiment.seed), TrainableSet("uniform", False)
    # Differences of runs in single precision would say little of the curvature.
    is_single = experiment.execution.precision == "single"
    kind = "lbfgsb" if is_single else "levenberg_marquardt"

    def descent(iterations: int, rtol: float = 0.0) -> Optimiser:
        return LBFGSB(iterations) if is_single else LevenbergMarquardt(iterations, rtol=rtol)

    per_iteration = EVALUATIONS_PER_ITERATION[kind]
    evaluations = guess.descents * (1 + guess.iterations * per_iteration)
    plans = [
        StagePlan("screening", near, screening, guess.samples + 1),
        StagePlan("first guess", near, descent(guess.iterations, NEAR_ENOUGH), evaluations, guess.descents),
    ]
    if iterations := experiment.iterations_to_uniform:
        plans.append(StagePlan("uniform", near, descent(iterations), 1 + iterations * per_iteration))
    return plans


def _trainable_set(stage: AnyStage, kind: str, has_network: bool) -> TrainableSet:
    asked = stage.train or (("parameters",) if stage.kind in FOR_FEW_CONTROLS else ("parameters", "network"))
    only = tuple(symbol for symbol in asked if symbol not in ("parameters", "network"))
    return TrainableSet(kind if only or "parameters" in asked else None, "network" in asked and has_network, only)


class BasinCalibration:
    """The calibration of one basin: its stages, all with one simulator of the cells that drain to its gauges.

    Args:
        setup: the experiment and its basin.

    Attributes:
        codes: names of the series that calibrate, those of their first gauges.
        plans: of the stages.
        stages: for `hydrocli.calibration.stages.run_stages`.
        scores: NSE [s] of the series at the last evaluation with a gradient.
    """

    def __init__(self, setup: CalibrationSetup) -> None:
        self.setup, self.codes = setup, tuple(setup.series)
        self._cost = calibration_cost(setup)
        self._cells = np.flatnonzero(setup.calibrated_cells)
        self._simulator, _, _ = setup.simulator(self._cells, setup.gauges(setup.series), setup.calibration_steps)
        # Threads that the simulator itself cannot use compute further control vectors.
        self._helpers = [
            self._simulator.clone() for _ in range(setup.experiment.execution.threads - self._simulator.threads)
        ]
        self._objective: Objective | None = None
        self.plans = stage_plans(setup)
        self.stages = [
            Stage(plan.name, plan.optimiser, partial(self._problem, number), plan.descents)
            for number, plan in enumerate(self.plans)
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the cost and of the memory, in sentences."""
        needed, budget = self._simulator.bytes_needed(gradient=True), self.setup.experiment.execution.memory
        if needed <= budget:
            return self._cost.notes
        what = f"a gradient needs {needed / 1e6:.0f} MB, more than execution.memory ({budget / 1e6:.0f} MB)"
        return (*self._cost.notes, what)

    @property
    def scores(self) -> Floats:
        """See the class."""
        return self._objective.scores if self._objective else np.full(len(self.codes), np.nan)

    def control(self, results: Sequence[StageResult]) -> Control:
        """The control of the last stage that has ended, as it was when the stage began."""
        return self._control(len(results) - 1, results[:-1])

    def final_objective(self, results: Sequence[StageResult]) -> Objective:
        """The objective of the last stage that has ended, in double precision."""
        setup, simulator = self.setup, self._simulator
        if simulator.real is not np.float64:
            simulator, _, _ = setup.simulator(
                self._cells, setup.gauges(setup.series), setup.calibration_steps, "double"
            )
        control, penalty = self.control(results), self._penalty(len(results) - 1, results[:-1])
        return Objective(simulator, self._cells, control, self._cost, setup.state, setup.place, penalty)

    def release(self) -> None:
        """Free the rows of states; what runs again allocates them again."""
        for simulator in (self._simulator, *self._helpers):
            simulator.release()

    def residuals(self, simulated: Floats) -> Floats:
        """Simulated less observed discharge [g, t] of the calibration; NaN at steps that are not scored.

        Where observations are means over several steps, so are the simulated values, at each of these steps.
        """
        setup, window = self.setup, self.setup.experiment.period.calibration
        assert window is not None
        observed, until = setup.observed, setup.until
        inside = setup.inside(window)[: setup.calibration_steps]
        if until is None:
            return np.where(inside, simulated - observed, np.nan)
        rows = zip(simulated, observed, until, strict=True)
        return np.stack([np.where(whole(inside, one), mean_over(q, one) - known, np.nan) for q, known, one in rows])

    def found(self, results: Sequence[StageResult]) -> tuple[Floats, FluxNetwork, RegionalisationModel | None]:
        """What the last stage leaves: maps [rows, n], flux network with ranges of its inputs, regionalisation."""
        maps, weights = self.control(results).split(results[-1].x)
        network = replace(self.setup.flux_network, weights=weights)
        structure = self._simulator.structure
        if structure.has_network:
            window, here = self.setup.experiment.period.calibration, maps[:, self._cells]
            assert window is not None
            setup, whole = self.setup, self.setup.state
            levels, river = whole.levels[:, self._cells], (whole.discharge, whole.lateral_inflow)
            parameters, state = split_maps(structure, here, State(levels, *(values[self._cells] for values in river)))
            simulator = self._simulator
            if simulator.real is not np.float64:
                gauges = setup.gauges(setup.series)
                simulator, _, _ = setup.simulator(self._cells, gauges, setup.calibration_steps, "double")
            seen = InputRange(simulator, setup.inside(window)[: setup.calibration_steps])
            simulator.simulate(parameters, state, weights, Observers(simulator, parameters, weights, seen))
            network = replace(network, lowest=seen.lowest, highest=seen.highest)
        return maps, network, self._regionalisation(results)

    def uniform_start(self, results: Sequence[StageResult]) -> dict[str, float]:
        """Values of the calibrated maps from which the mapping by descriptors started, also those at a bound.

        Empty without such a mapping, and where it started from maps that vary: those of another run.
        """
        mapped = [number for number, plan in enumerate(self.plans) if plan.trainable.mapping in BY_DESCRIPTORS]
        if not mapped:
            return {}
        first = mapped[0]
        control, before = self._control(first, results[:first]), results[:first]
        maps = control.split(control.first_guess())[0]
        if before:
            maps = self._control(first - 1, before[:-1]).split(before[-1].x)[0]
        rows = [(row.symbol, map_) for row, map_ in zip(self.setup.rows, maps, strict=True) if row.calibrated]
        if not all(np.allclose(map_, map_[0], rtol=1e-9, atol=0.0) for _, map_ in rows):
            return {}
        return {symbol: float(map_[0]) for symbol, map_ in rows}

    def _regionalisation(self, results: Sequence[StageResult]) -> RegionalisationModel | None:
        """The mapping by descriptors as the last stage that trained it has left it."""
        trained = self._walk(len(results) - 1, results)[1]
        if self.setup.scaling is None or trained is None:
            return self.setup.regionalisation
        mapping = trained[0].parts[0] if isinstance(trained[0], CompositeMapping) else trained[0]
        places = cast(DescriptorMapping, mapping).weight_indices
        return RegionalisationModel(self.setup.scaling, places, trained[1][: len(places)])

    def curve(self, results: Sequence[StageResult]) -> list[CurvePoint]:
        """Points of the L-curve, the largest weight first; none where no curve is asked for."""
        points = []
        for stage in self._curve:
            penalty, x = self._penalty(stage, results[:stage]), results[stage].x
            assert penalty is not None
            maps = self._control(stage, results[:stage]).split(x)[0]
            points.append(curve_point(penalty, maps, results[stage].cost))
        return points

    def _control(self, stage: int, results: Sequence[StageResult]) -> Control:
        """Control of a stage, given how those before it ended."""
        return self._walk(stage, results)[0]

    def _walk(self, stage: int, results: Sequence[StageResult]) -> tuple[Control, tuple[Mapping, Floats] | None]:
        """Control of a stage, and the mapping by descriptors with its controls at the end of `results`.

        A mapping by descriptors goes on from its controls; others go on from the maps of the stage before.
        """
        rows, weights = self.setup.rows, self.setup.flux_network.weights
        trained: tuple[Mapping, Floats] | None = None
        for number, plan in enumerate(self.plans[: stage + 1]):
            first = not any(before.trainable.mapping for before in self.plans[:number])
            mapping = self._mapping(plan.trainable, rows, trained, first)
            control = Control(mapping, weights, plan.trainable.weights)
            if number < len(results):
                x = results[number].x
                maps, weights = control.split(x)
                rows = with_values(rows, maps)
                if isinstance(mapping, PartiallyFrozenMapping):
                    trained = mapping.mapping, mapping.filled(control.mapped(x))
        return control, trained

    def _mapping(
        self,
        trainable: TrainableSet,
        rows: Sequence[ParameterSpec],
        trained: tuple[Mapping, Floats] | None,
        first: bool,
    ) -> Mapping:
        """Mapping of a stage."""
        setup = self.setup
        if trainable.mapping is None:
            return FrozenMapping(rows, setup.calibrated_cells)
        if trainable.mapping not in BY_DESCRIPTORS:
            if trainable.only:
                rows = [replace(row, calibrated=row.symbol in trainable.only) for row in rows]
            return setup.mapping(trainable.mapping, rows)
        mapping, start = trained or self._fresh(rows, first)
        named = [not trainable.only or group(name) in trainable.only for name in mapping.names]
        return PartiallyFrozenMapping(mapping, start, np.array(named, np.bool_))

    def _fresh(self, rows: Sequence[ParameterSpec], first: bool) -> tuple[Mapping, Floats]:
        """The mapping by descriptors from the values of the rows; the first, from its run if it goes on from one."""
        mapping, model = (
            self.setup.mapping(self.setup.experiment.mapping.kind, rows),
            self.setup.regionalisation,
        )
        if model is None or not first:
            return mapping, mapping.first_guess()
        return mapping, mapping.going_on(model.values) if isinstance(mapping, CompositeMapping) else model.values

    def _problem(self, stage: int, results: Sequence[StageResult]) -> Problem:
        setup, control = self.setup, self._control(stage, results)
        penalty = self._penalty(stage, results)
        place, helpers = setup.place, self._helpers
        self._objective = Objective(
            self._simulator, self._cells, control, self._cost, setup.state, place, penalty, helpers
        )
        starts = control.first_guess()[np.newaxis]
        plan = self.plans[stage]
        if stage and self.plans[stage - 1].trainable == plan.trainable:
            starts = results[-1].candidates  # the controls mean the same
        if np.isnan(plan.weight):
            starts = results[self._curve[corner_of(self.curve(results))]].x[np.newaxis]
        evaluate, values = self._objective.value_and_gradient, self._objective.values
        weights = np.array([group(name) in NETWORKS for name in control.names], np.bool_)
        batch = MiniBatches(setup, self._objective, plan.batches) if plan.batches else None
        curvature = partial(gauss_newton, self._objective)
        return Problem(starts, control.lower, control.upper, evaluate, values, weights, batch, curvature)

    def _penalty(self, stage: int, results: Sequence[StageResult]) -> Penalty | None:
        """Penalty of a stage: on maps unlike those with which the first of the penalised stages like it began."""
        weight, first, mapping = self.plans[stage].weight, stage, self.plans[stage].trainable.mapping
        if np.isnan(weight):
            weight = self.plans[self._curve[corner_of(self.curve(results))]].weight
        if weight == 0.0 or mapping is None:
            return None
        while first:
            before = self.plans[first - 1]
            if before.weight == 0.0 or before.trainable.mapping != mapping:
                break
            first -= 1
        control = self._control(first, results[:first])
        return penalty_of(self.setup, mapping, control.split(control.first_guess())[0], weight)

    @property
    def _curve(self) -> list[int]:
        """Stages of the L-curve: all penalised ones before that of the corner."""
        return [k for k, plan in enumerate(self.plans) if plan.weight > 0.0] if np.isnan(self.plans[-1].weight) else []


def group(name: str) -> str:
    """What a control belongs to: `phi1` of `phi1[3]`, `cp` of `cp[17]` and of `cp`."""
    return name.split("[")[0]
