"""What a calibration will take: work, seconds and bytes, from its cells, steps and iterations.

For estimates and for the order and number of the runs of a campaign only. Rows of states and forcing are those that the
simulator says it needs; what is beside them was measured on parts of France of 1,000 to 950,000 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hydrocli.basin.basin import Gauges
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.basin.network import DrainageNetwork
from hydrocli.config import Experiment
from hydrocli.engine.simulator import Simulator
from hydrocli.experiment.setup import order_of

EVALUATIONS_PER_ITERATION = 1.3
FORCING_BYTES, VALUE_BYTES = 4, 8
SECONDS_BESIDE = 0.5
"""Of a run in a process that has its libraries and code: what does not depend on the size of the basin."""
SECONDS_OF_PROCESS = 3.0
"""Until a process has its libraries and the compiled code, read from the cache."""
SECONDS_PER_CELL = 25e-6
"""Network, order of computation, tables and rasters."""
SECONDS_PER_TILE = 60e-6
"""Of the calls of compiled code that a tile takes in one direction."""
OBSERVED = 3.0
"""Time of a simulation that is observed, as a multiple of one that is not."""
DIFFERENCES = 12
"""Simulations that standard errors of some five controls take."""
SECONDS_PER_WEIGHT = 0.6e-9
"""Of a gradient of an LSTM, for a weight, gauge and step."""
SECONDS_PER_VALUE = 3e-9
"""Of a catchment mean, for a cell and step."""
BYTES_OF_PROCESS = 400_000_000
"""Of Python with its libraries and the compiled code."""
BYTES_PER_CELL = 600
"""Network, order of computation, maps, and the rows in which the kernels get parameters."""
ROWS_OBSERVED = 16
"""Of a cell in each year of the balance: its terms, twice while they are written."""


@dataclass(frozen=True)
class Estimate:
    """Of one run.

    Attributes:
        cells: of the calibration; of a simulation all.
        steps: from the start to the end of the calibration.
        gradient: seconds of a gradient.
        seconds: of the whole run, at most.
        bytes: at the peak, without those of the process.
    """

    cells: int
    steps: int
    gradient: float
    seconds: float
    bytes: float


def estimate(experiment: Experiment, network: DrainageNetwork, gauges: Gauges, wanted: Sequence[str]) -> Estimate:
    """Cost of a calibration at the gauges wanted, or of a simulation where none is.

    Only the steps of the calibration and the catchments of its gauges are in a gradient; all cells and steps are in the
    simulation at the end.
    """
    if experiment.baseline is not None:
        return _estimate_of_baseline(experiment, network, gauges, wanted)
    period, execution = experiment.period, experiment.execution
    per_gradient, per_value = experiment.structure.declared.model.seconds
    everywhere = np.arange(len(network), dtype=np.intp)
    whole = int((period.end - period.start).total_seconds() // period.step)
    last = _simulator(experiment, network, everywhere, whole, "double")
    mapped = FORCING_BYTES * (2 if experiment.forcing.temperature is None else 3) * len(network) * whole
    kept = BYTES_PER_CELL * len(network) + mapped
    size = last.bytes_needed(gradient=False) + _bytes_observed(experiment, len(network), len(gauges.code), whole)
    seconds = SECONDS_BESIDE + SECONDS_PER_CELL * len(network) + OBSERVED * _seconds(last, per_value)
    if execution.precision == "single":
        size += _simulator(experiment, network, everywhere, whole).bytes_needed(gradient=False)
    if period.calibration is None or not wanted:
        return Estimate(len(network), whole, 0.0, seconds, kept + size)
    tree, chosen = GaugeTree.of(network.downstream, gauges.cell), set(wanted)
    inside = np.flatnonzero(tree.draining_to([g for g, code in enumerate(gauges.code) if code in chosen]))
    steps = int((period.calibration[1] - period.start).total_seconds() // period.step)
    simulator = _simulator(experiment, network, inside, steps)
    waves = simulator.order.waves
    gradient = _seconds(simulator, per_gradient, 2 if simulator.segment >= waves else 3)
    simulation = _seconds(simulator, per_value)
    evaluations, screened = _evaluations(experiment)
    seconds += gradient * evaluations + simulation * (screened + DIFFERENCES)
    # The forcing of the calibration stays while the last simulation runs.
    held = FORCING_BYTES * len(simulator.forcing) * simulator.order.forcing_size
    size = max(simulator.bytes_needed(gradient=True), held + size)
    return Estimate(inside.size, steps, gradient, seconds, kept + size)


def _estimate_of_baseline(
    experiment: Experiment, network: DrainageNetwork, gauges: Gauges, wanted: Sequence[str]
) -> Estimate:
    """Cost of a baseline: by gauges and steps; forcing of all cells is read once or twice for its means."""
    period, hidden = experiment.period, experiment.baseline.declared.hidden if experiment.baseline else 0
    whole = int((period.end - period.start).total_seconds() // period.step)
    steps = int((period.calibration[1] - period.start).total_seconds() // period.step) if period.calibration else 0
    per_step = SECONDS_PER_WEIGHT * 4 * hidden * (hidden + 3) if experiment.structure.kind == "lstm" else 1e-6
    gradient = per_step * len(wanted) * steps
    seconds = SECONDS_BESIDE + SECONDS_PER_CELL * len(network) + 2 * SECONDS_PER_VALUE * len(network) * whole
    seconds += gradient * (1 + sum(stage.iterations for stage in experiment.optimiser))
    mapped = FORCING_BYTES * (2 if experiment.forcing.temperature is None else 3) * len(network) * whole
    series = VALUE_BYTES * 12 * len(gauges.code) * whole
    return Estimate(len(network), steps or whole, gradient, seconds, BYTES_PER_CELL * len(network) + mapped + series)


def _evaluations(experiment: Experiment) -> tuple[float, int]:
    """Gradients, and simulations, of all stages and of the first guess, at most about."""
    guess, repeats = experiment.first_guess, experiment.objective.repeats
    descents: list[tuple[str, int]] = [(stage.kind, stage.iterations) for stage in experiment.optimiser]
    descents += [descents[-1]] * (repeats - 1)
    simulations = 0
    if guess.kind == "screening":
        simulations += guess.samples
        is_single = experiment.execution.precision == "single"
        kind = "lbfgsb" if is_single else "levenberg_marquardt"
        descents += [(kind, guess.iterations)] * guess.descents + [(kind, experiment.iterations_to_uniform)]
    structure = experiment.structure.declared
    controls = sum(experiment.parameters[symbol].calibrated for symbol in structure.all_parameters)
    controls += sum(experiment.initial[symbol].calibrated for symbol in structure.calibrated_states)
    few = sum(iterations for kind, iterations in descents if kind == "levenberg_marquardt")
    many = sum(iterations for kind, iterations in descents if kind != "levenberg_marquardt")
    return 1 + many * EVALUATIONS_PER_ITERATION, simulations + few * (controls + 1)


def _simulator(
    experiment: Experiment, network: DrainageNetwork, cells: np.ndarray[tuple[int], np.dtype[np.intp]], steps: int,
    precision: str = "",
) -> Simulator:  # fmt: skip
    """A simulator of some cells that is never run: it says what it needs."""
    structure, execution = experiment.structure.declared, experiment.execution
    order = order_of(network, cells, steps)
    forcing = tuple(np.broadcast_to(np.float32(0.0), order.forcing_size) for _ in structure.model.forcings)
    attributes = np.zeros((len(structure.model.attributes), len(cells)))
    return Simulator(
        order, forcing, network.cell_area[cells], network.cell_width[cells], np.zeros(0, np.intp),
        experiment.period.step, precision or execution.precision, 1, execution.memory, structure, attributes,
    )  # fmt: skip


def _seconds(simulator: Simulator, per_value: float, passes: int = 1) -> float:
    """Of a run through all cells and steps, whose tiles are computed in so many passes."""
    order = simulator.order
    tiles = order.chunks * -(-order.waves // simulator.block)
    return per_value * order.forcing_size + SECONDS_PER_TILE * passes * tiles


def _bytes_observed(experiment: Experiment, cells: int, gauges: int, steps: int) -> float:
    """What the last simulation keeps: balance by year, means and maps of outputs, series of the gauges."""
    period, outputs = experiment.period, len(experiment.outputs.symbols(experiment.structure.declared))
    years = period.end.year - period.start.year + 2  # the warm-up apart
    series = 2 * steps * gauges * (outputs + 4)
    return VALUE_BYTES * (cells * (2 * ROWS_OBSERVED * years + 2 * outputs) + series)
