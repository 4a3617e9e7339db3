"""Input and output of an optimiser: the problem, its iterations, and the result of a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.errors import ConfigurationError


@dataclass(frozen=True, eq=False)
class Problem:
    """A cost to minimise inside a box.

    All functions must give the same bits whenever they are given the same bits.

    Attributes:
        starts: control vectors to start from, [k, m], best first; most optimisers use the first only.
        lower: lower bounds, [m]; -inf for none.
        upper: upper bounds, [m]; inf for none.
        value_and_gradient: cost and its gradient, [m], at a control vector, [m].
        values: costs, [k], of many control vectors, [k, m].
        decaying: flags, [m], of the controls that a decay of weights may pull to zero; None for none.
        batch: cost and gradient, [m], of a part of the problem: batch(iteration, anchor, x), where the anchor is a
            control vector of a little earlier that a batch may lean on; None where it has no parts.
        curvature: cost, gradient, [m], and an approximate Hessian, [m, m], at a control vector, [m], the last of
            `values`: it takes m more runs of the model.
    """

    starts: Floats
    lower: Floats
    upper: Floats
    value_and_gradient: Callable[[Floats], tuple[float, Floats]]
    values: Callable[[Floats], Floats]
    decaying: NDArray[np.bool_] | None = None
    batch: Callable[[int, Floats, Floats], tuple[float, Floats]] | None = None
    curvature: Callable[[Floats], tuple[float, Floats, Floats]] | None = None

    def __post_init__(self) -> None:
        outside = np.flatnonzero(~((self.starts >= self.lower) & (self.starts <= self.upper)).all(axis=0))
        if outside.size:
            raise ConfigurationError(
                "first guess",
                f"{outside.size} of {self.lower.size} controls start outside their bounds; the first is control "
                f"{outside[0]} at {self.starts[0, outside[0]]:g}",
                "Change the first guess or the bounds.",
            )

    def require_box(self, optimiser: str) -> None:
        """Refuse open bounds where an optimiser draws from the whole box.

        Raises:
            ConfigurationError: a control has no lower or upper bound.
        """
        if not np.isfinite([self.lower, self.upper]).all():
            raise ConfigurationError(
                "optimiser",
                f"{optimiser} needs finite bounds for all controls, which this mapping does not have",
                "Use lbfgsb or adam.",
            )

    def free_gradient(self, x: Floats, gradient: Floats) -> Floats:
        """The step -gradient cut at the bounds, with its sign turned: zero exactly where x is a minimum in the box."""
        return np.where(gradient < 0, np.maximum(gradient, x - self.upper), np.minimum(gradient, x - self.lower))


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
    x: Floats
    replayed: bool
    batch_cost: float = np.nan


@dataclass(frozen=True, eq=False)
class StageResult:
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
    x: Floats
    cost: float
    gradient: Floats
    iterations: int
    evaluations: int
    seconds: float
    reason: str
    finished: bool
    candidates: Floats
