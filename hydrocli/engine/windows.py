"""An objective in parts: windows of time, each run from states that a whole run has left, for stochastic descents.

The discharge of a window replaces that of the whole run there, and the cost of this mixture is the cost of the window.
So every cost can be cut into windows, also one that is no sum over time. Where it is one (1 - NSE), the gradients of
all windows sum to that of the whole cost, but for what parameters do through the states before a window (these are
those of the last whole run, a little earlier) and through the lead, which is run for the sake of such effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.engine.objective import Objective
from hydrocli.engine.order import WavefrontOrder
from hydrocli.engine.simulator import Simulator, State
from hydrocli.engine.tiles import StateBuffer


@dataclass(frozen=True)
class Window:
    """Runs from step `first`; its steps `scored` to `end` replace those of the whole run."""

    first: int
    scored: int
    end: int


class Windows:
    """The parts of an objective.

    Args:
        objective: the whole.
        simulator: over the same cells and gauges, of as many steps as a window runs; its forcing is filled in.
        windows: the parts.
    """

    def __init__(self, objective: Objective, simulator: Simulator, windows: Sequence[Window]) -> None:
        self._objective, self._simulator, self._windows = objective, simulator, windows
        self._anchor: Floats | None = None
        self._discharge, self._states = np.zeros((0, 0)), list[State]()

    def value_and_gradient(
        self, number: int, gauges: NDArray[np.intp], anchor: Floats, control: Floats
    ) -> tuple[float, Floats]:
        """Cost and its gradient [m] at a control [m].

        Args:
            number: of the window.
            gauges: those whose discharge it replaces.
            anchor: control [m] of the whole run that it leans on.
            control: where it is evaluated.

        Raises:
            NumericalError: the discharge or the gradient is not finite.
        """
        self._lean_on(anchor)
        window, objective = self._windows[number], self._objective
        here = slice(window.scored - window.first, window.end - window.first)
        whole = np.ix_(gauges, np.arange(window.scored, window.end))

        def seed(discharge: Floats) -> tuple[float, Floats]:
            mixture, part_bar = self._discharge.copy(), np.zeros_like(discharge)
            mixture[whole] = discharge[gauges, here]
            value, mixture_bar = objective.cost.value_and_derivative(mixture)
            part_bar[gauges, here] = mixture_bar[whole]
            return value, part_bar

        self._simulator.forcing = forcing_of(window, self._simulator.order, objective.simulator)
        state = self._states[number] if window.first else None
        share = gauges.size / (len(self._windows) * len(self._discharge))
        return objective.evaluate(control, seed, self._simulator, state, window.first, share)

    def _lean_on(self, anchor: Floats) -> None:
        """Run the whole with another control than before, and keep its discharge and states."""
        if self._anchor is not None and np.array_equal(anchor, self._anchor):
            return
        whole = self._objective.simulator
        snapshots = Snapshots(whole.order, len(whole.structure.states), [window.first for window in self._windows])
        self._discharge = self._objective.simulate(anchor, snapshots)
        self._states, self._anchor = snapshots.states, anchor


def forcing_of(window: Window, order: WavefrontOrder, whole: Simulator) -> tuple[NDArray[np.float32], ...]:
    """The forcing of a window in its order of computation, out of that of a longer one over the same cells."""
    longer = whole.order
    forcing = tuple(np.zeros(order.forcing_size, np.float32) for _ in whole.forcing)
    for wave in range(order.waves):
        for block in range(2):
            low, high, target = order.low[block, wave], order.high[block, wave], order.offset[block, wave]
            source = longer.offset[block, window.first + wave] + low - longer.low[block, window.first + wave]
            for values, long in zip(forcing, whole.forcing, strict=True):
                values[target : target + high - low] = long[source : source + high - low]
    return forcing


class Snapshots:
    """Observes a simulation and keeps its states before some steps.

    Args:
        order: of that run.
        states: number of them.
        steps: the steps; before step 0 nothing is kept.
    """

    def __init__(self, order: WavefrontOrder, states: int, steps: Sequence[int]) -> None:
        self._order, self._steps = order, steps
        self._values = np.zeros((len(steps), states + 2, order.slots))

    def __call__(self, rows: StateBuffer, start: int, count: int) -> None:
        """Take out of rows 1 to `count`, which are waves from `start`, what belongs to the step before each of ours."""
        order = self._order
        for step, values in zip(self._steps, self._values, strict=True):
            row = step + order.level - start
            slot = np.flatnonzero((row >= 1) & (row <= count))
            values[:-2, slot], values[-2, slot] = rows.levels[:, row[slot], slot], rows.flow[row[slot], slot]
            routed = slot[slot >= order.n_headwater]
            values[-1, routed] = rows.lateral[row[routed], routed - order.n_headwater]

    @property
    def states(self) -> list[State]:
        """The states [n], once the run is over; a headwater's lateral inflow is its discharge."""
        states = []
        for values in self._values:
            lateral = np.concatenate([values[-2, : self._order.n_headwater], values[-1, self._order.n_headwater :]])
            slot = self._order.slot
            states.append(State(values[:-2, slot], values[-2, slot], lateral[slot]))
        return states
