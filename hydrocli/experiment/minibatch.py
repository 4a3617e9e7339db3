"""Mini-batches: which sub-period and which gauges an iteration sees.

The calibration period is cut into sub-periods of equal length (the last one may overlap the one before it). They are
visited in random order, each once before any comes again; the gauges are drawn anew in every iteration. Both follow
from the seed and the number of the iteration alone, so that a resumed calibration sees the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydrocli.config.optimiser import Batches
from hydrocli.engine.objective import Objective
from hydrocli.engine.windows import Window, Windows
from hydrocli.errors import ConfigurationError
from hydrocli.experiment.build import Case

Floats = NDArray[np.float64]


class MiniBatches:
    """Batches of the objective of one stage.

    Args:
        case: the experiment and its basin.
        objective: the whole.
        asked: as `config` has it.

    Raises:
        ConfigurationError: a sub-period does not fit into the calibration.
    """

    def __init__(self, case: Case, objective: Objective, asked: Batches) -> None:
        assert asked.length is not None
        self._windows = sub_periods(case, asked)
        steps = _in_steps(case, asked.length) + _in_steps(case, asked.spin_up)
        cells = np.asarray(objective.cells, np.intp)
        simulator = case.part(cells, case.gauges(case.calibration), steps)
        self._parts = Windows(objective, simulator, self._windows)
        self._gauges, self._seed = len(case.calibration), case.experiment.seed
        self._drawn = min(asked.gauges or self._gauges, self._gauges)

    def __call__(self, iteration: int, anchor: Floats, control: Floats) -> tuple[float, Floats]:
        """Cost and gradient [m] of the batch of an iteration; see `Problem.batch`."""
        epoch, place = divmod(iteration, len(self._windows))
        order = np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._windows))
        drawn = np.random.default_rng([self._seed, 1, iteration]).permutation(self._gauges)[: self._drawn]
        return self._parts.value_and_gradient(int(order[place]), np.sort(drawn).astype(np.intp), anchor, control)


def sub_periods(case: Case, asked: Batches) -> list[Window]:
    """Windows of equal length whose scored steps cover the calibration period.

    A spin-up that reaches back beyond the start of the run is cut there, and the window runs on for as long at its end.

    Raises:
        ConfigurationError: see `MiniBatches`.
    """
    assert asked.length is not None
    length, spin_up = _in_steps(case, asked.length), _in_steps(case, asked.spin_up)
    window, end = case.experiment.period.calibration, case.calibration_steps
    assert window is not None
    begin = int(np.flatnonzero(case.inside(window))[0])
    for key, steps, there in (("length", length, end - begin), ("spin_up", length + spin_up, end)):
        if steps > there:
            what = f"is too long: {steps} steps do not fit into the {there} up to the end of the calibration"
            raise ConfigurationError(f"optimiser.batches.{key}", what, "Make it shorter.")
    scored = [*range(begin, end - length, length), end - length]
    firsts = [max(0, start - spin_up) for start in scored]
    return [Window(first, start, start + length) for first, start in zip(firsts, scored, strict=True)]


def _in_steps(case: Case, duration: int) -> int:
    return -(-duration // case.basin.step)
