"""What an optimiser is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.errors import ConfigurationError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """A cost to be made small inside a box.

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
    """

    starts: Array
    lower: Array
    upper: Array
    value_and_gradient: Callable[[Array], tuple[float, Array]]
    values: Callable[[Array], Array]
    decaying: NDArray[np.bool_] | None = None
    batch: Callable[[int, Array, Array], tuple[float, Array]] | None = None

    def __post_init__(self) -> None:
        outside = np.flatnonzero(~((self.starts >= self.lower) & (self.starts <= self.upper)).all(axis=0))
        if outside.size:
            raise ConfigurationError(
                "first guess",
                f"{outside.size} of {self.lower.size} controls start outside their bounds, first control "
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
                f"{optimiser} needs finite bounds on every control, and this mapping has open ones",
                "Take a descent (lbfgsb) for it.",
            )

    def free_gradient(self, x: Array, gradient: Array) -> Array:
        """The step -gradient cut at the bounds, with its sign turned: zero exactly where x is a minimum in the box."""
        return np.where(gradient < 0, np.maximum(gradient, x - self.upper), np.minimum(gradient, x - self.lower))
