"""What a calibration will take: work, seconds and bytes, from its cells, steps and iterations.

For estimates and for the order and number of the runs of a campaign only: the model is time = a cells steps + b, with
a of the structure and b for what does not depend on the size of a basin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hydrocli.basin.basin import Gauges
from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.basin.network import DrainageNetwork
from hydrocli.config import Experiment

EVALUATIONS_PER_ITERATION = 1.3
FORCING_BYTES, VALUE_BYTES = 4, 8
SECONDS_BESIDE = 0.5
"""Of a run in a process that has its libraries and code: reading, the last simulation of a small basin, writing."""
BYTES_OF_PROCESS = 400_000_000
"""Of Python with its libraries and the compiled code."""


@dataclass(frozen=True)
class Estimate:
    """Of one run.

    Attributes:
        cells: of the calibration.
        steps: from the start to the end of the calibration.
        gradient: seconds of a gradient.
        seconds: of the whole calibration, at most.
        bytes: of states and forcing in memory, without those of the process.
    """

    cells: int
    steps: int
    gradient: float
    seconds: float
    bytes: float


def seconds_of(experiment: Experiment) -> tuple[float, float]:
    """Of a gradient and of a simulation, per cell and step."""
    structure = experiment.structure
    return structure.declared.model.seconds


def estimate(experiment: Experiment, network: DrainageNetwork, gauges: Gauges, wanted: Sequence[str]) -> Estimate:
    """Cost of a calibration at the gauges wanted; only its steps and their catchments count."""
    period, guess, structure = experiment.period, experiment.first_guess, experiment.structure.declared
    assert period.calibration is not None
    tree, chosen = GaugeTree.of(network.downstream, gauges.cell), set(wanted)
    cells = int(tree.draining_to([g for g, code in enumerate(gauges.code) if code in chosen]).sum())
    steps, whole = ((end - period.start).total_seconds() // period.step for end in (period.calibration[1], period.end))
    gradient, simulation = seconds_of(experiment)
    work = cells * steps
    *others, last = (stage.iterations for stage in experiment.optimiser)
    iterations = sum(others) + last * experiment.objective.repeats
    screened = 0
    if guess.kind == "screening":
        iterations += guess.descents * guess.iterations
        screened = guess.samples
    seconds = gradient * work * EVALUATIONS_PER_ITERATION * iterations + simulation * work * screened
    rows = len(structure.states) + 1.5
    states = min(float(experiment.execution.memory), VALUE_BYTES * rows * work)
    forcings = len(structure.model.forcings)
    size = states + forcings * FORCING_BYTES * work + FORCING_BYTES * len(network) * whole
    return Estimate(cells, int(steps), gradient * work, seconds + SECONDS_BESIDE, size)
