"""What a calibration tells: one `Iteration` after the other, and how each stage ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Iteration:
    """Where an optimiser stood after one of its iterations (0: at the start).

    Attributes:
        stage: name of the stage, with a number where it consists of several descents.
        iteration: counted from the start of the stage or descent.
        evaluations: since the calibration began, over all stages.
        cost: the lowest found in this stage or descent.
        gradient_norm: largest component of the gradient at `x`, cut where a step along it would leave the bounds; NaN
            without gradients.
        seconds: spent in evaluations since the calibration began, those before an interruption included.
        x: the control vector with this cost, [m].
        replayed: whether it comes from the journal of an earlier, interrupted process.
        batch_cost: cost of the part of the problem that led on from this iteration; NaN where all of it did.
    """

    stage: str
    iteration: int
    evaluations: int
    cost: float
    gradient_norm: float
    seconds: float
    x: Array
    replayed: bool
    batch_cost: float = np.nan


@dataclass(frozen=True, eq=False)
class Ending:
    """How a stage ended.

    Attributes:
        stage: its name.
        x: the best control vector, [m].
        cost: its cost; NaN where the stage was stopped before it had one.
        gradient: at `x`, [m]; NaN where the optimiser has none.
        iterations: of this stage, all its descents together.
        evaluations: of this stage, all its descents together.
        seconds: spent in evaluations of this stage, all its descents together.
        reason: why it ended, a sentence.
        finished: False where it was stopped from outside and can be resumed.
        candidates: control vectors worth a descent, [k, m], best first; the first is `x`.
    """

    stage: str
    x: Array
    cost: float
    gradient: Array
    iterations: int
    evaluations: int
    seconds: float
    reason: str
    finished: bool
    candidates: Array
