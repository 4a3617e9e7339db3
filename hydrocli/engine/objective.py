"""Control vector to cost and back: mapping, simulation, score, and the transposes in reverse order.

Anything that is not a finite number stops here, with the place where it arose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hydrocli.arrays import Floats
from hydrocli.engine.control import Control
from hydrocli.engine.simulator import Gradient, Observer, Seed, Simulator, State
from hydrocli.engine.tiles import StateBuffer
from hydrocli.errors import NumericalError
from hydrocli.structures.structure import Structure

T = TypeVar("T")

Place = Callable[[int, int], str]
"""Names a cell and a step for the user."""


class DischargeCost(Protocol):
    """What the objective needs of a cost."""

    def value_and_derivative(self, simulated: Floats) -> tuple[float, Floats]:
        """Cost, and its derivative [g, t], of a discharge [g, t]."""
        ...

    def value(self, simulated: Floats) -> float:
        """Cost of a discharge [g, t]."""
        ...

    def by_gauge(self, simulated: Floats) -> Floats:
        """Score of every gauge [g]."""
        ...


class MapPenalty(Protocol):
    """What the objective needs of a penalty."""

    def value(self, maps: Floats) -> float:
        """Penalty of maps [rows, n]."""
        ...

    def derivative(self, maps: Floats) -> Floats:
        """Its derivative [rows, n] by the maps."""
        ...


class Objective:
    """Cost of a control vector and its gradient.

    Args:
        simulator: over the calibration, with the gauges of the cost.
        cells: which of the n cells of the maps the simulator has: those that can move the cost.
        control: control vector to maps [rows, n], `Structure.maps`, and to the weights of the network.
        cost: of the discharge.
        state: of all n cells at the start; its levels are replaced by the maps' last two rows.
        place: names a cell (of n) and a step in error messages.
        penalty: on the maps, added to the cost of the discharge; None: none.
        helpers: clones of the simulator; with them costs without gradients are computed on as many threads more.

    Attributes:
        scores: score of every gauge at the last evaluation, for progress.
    """

    def __init__(
        self,
        simulator: Simulator,
        cells: NDArray[np.integer],
        control: Control,
        cost: DischargeCost,
        state: State,
        place: Place,
        penalty: MapPenalty | None = None,
        helpers: Sequence[Simulator] = (),
    ) -> None:
        self.helpers = helpers
        self.simulator, self.cells, self.control, self.cost, self.penalty = simulator, cells, control, cost, penalty
        self.state = State(state.levels[:, cells], state.discharge[cells], state.lateral_inflow[cells])
        self.place: Place = lambda cell, step: place(int(cells[cell]), step)
        self.scores: Floats = np.full(len(simulator.gauge_slots), np.nan)
        self._latest: tuple[bytes, Floats] | None = None

    def value_and_gradient(self, control: Floats) -> tuple[float, Floats]:
        """Cost and its gradient [m] at a control [m].

        Raises:
            NumericalError: the discharge or the gradient is not finite; says in which cell and when, or in which row.
        """

        def seed(discharge: Floats) -> tuple[float, Floats]:
            self.scores = self.cost.by_gauge(discharge)
            return self.cost.value_and_derivative(discharge)

        return self.evaluate(control, seed, self.simulator)

    def evaluate(
        self,
        control: Floats,
        seed: Seed,
        simulator: Simulator,
        state: State | None = None,
        first: int = 0,
        share: float = 1.0,
    ) -> tuple[float, Floats]:
        """Cost and its gradient [m] at a control [m], by a simulator of the same cells that may run a part.

        Args:
            control: where.
            seed: cost and its derivative [g, t] of a discharge [g, t].
            simulator: of the cells.
            state: at its start; left out: what the maps and the objective have.
            first: step of the whole at which the simulator starts.
            share: of the whole that the part is [-]; it has as much of the derivative of the penalty.

        Raises:
            NumericalError: see `value_and_gradient`.
        """
        maps, weights = self.control.split(control)
        parameters, initial = self._here(maps)
        start = state or initial

        def seed_finite(discharge: Floats) -> tuple[float, Floats]:
            if not np.isfinite(discharge).all():
                place: Place = lambda cell, step: self.place(cell, first + step)  # noqa: E731
                raise broken_run(simulator, parameters, start, weights, place)
            return seed(discharge)

        value, gradient, _ = simulator.gradient(parameters, start, seed_finite, weights)
        bars = self._spread(gradient, maps)
        if state is not None:
            bars[len(simulator.structure.all_parameters) :] = (
                0.0  # levels that come from elsewhere are not those of the maps
            )
        if self.penalty:
            value += self.penalty.value(maps)
            bars += share * self.penalty.derivative(maps)
        self._require_finite(bars, maps)
        return value, self.control.transpose(control, bars, gradient.weights)

    def _require_finite(self, bars: Floats, maps: Floats) -> None:
        if np.isfinite(bars).all():
            return
        row, cell = np.argwhere(~np.isfinite(bars[:, self.cells]))[0]
        symbol, number = self.simulator.structure.maps[row], self.cells[cell]
        raise NumericalError(
            f"gradient of {symbol}",
            f"is {bars[row, number]:g} in {self.place(cell, 0)}, where {symbol} is {maps[row, number]:g}",
            "Narrow the bounds of this parameter.",
        )

    def values(self, controls: Floats) -> Floats:
        """Costs [k] of controls [k, m]; NaN where a run leaves the finite numbers. The scores become the best one's."""
        self._latest = None
        found = self._each(controls, self._value)
        costs = np.array([cost for cost, _ in found])
        if np.isfinite(costs).any():
            self.scores = found[int(np.nanargmin(costs))][1]
        return costs

    def discharges(self, controls: Floats) -> list[Floats]:
        """Discharge [g, t] of each of the controls [k, m]; the first is not run again where a run ended with it."""
        if self._latest and self._latest[0] == controls[0].tobytes():
            return [self._latest[1], *self._each(controls[1:], self._discharge)]
        return self._each(controls, self._discharge)

    def broken(self, control: Floats) -> NumericalError:
        """The error of a run that leaves the finite numbers: names the first cell, its step and parameters."""
        maps, weights = self.control.split(control)
        return broken_run(self.simulator, *self._here(maps), weights, self.place)

    def _each(self, controls: Floats, one: Callable[[Floats, Simulator], T]) -> list[T]:
        """What a function gives for each of the controls [k, m], computed by the simulator and its helpers."""
        simulators = [self.simulator, *self.helpers][: max(1, len(controls))]

        def share(first: int) -> list[T]:
            return [one(control, simulators[first]) for control in controls[first :: len(simulators)]]

        with ThreadPoolExecutor(len(simulators)) as pool:
            shares = list(pool.map(share, range(len(simulators))))
        return [shares[k % len(simulators)][k // len(simulators)] for k in range(len(controls))]

    def _discharge(self, control: Floats, simulator: Simulator) -> Floats:
        maps, weights = self.control.split(control)
        return simulator.simulate(*self._here(maps), weights)[0]

    def _value(self, control: Floats, simulator: Simulator) -> tuple[float, Floats]:
        """Cost and scores [g] of a control [m]; NaN where a run leaves the finite numbers."""
        discharge = self._discharge(control, simulator)
        if simulator is self.simulator:
            self._latest = control.tobytes(), discharge
        if not np.isfinite(discharge).all():
            return np.nan, np.full(len(discharge), np.nan)
        penalty = self.penalty.value(self.control.split(control)[0]) if self.penalty else 0.0
        return self.cost.value(discharge) + penalty, self.cost.by_gauge(discharge)

    def simulate(self, control: Floats, observe: Observer | None = None) -> Floats:
        """Discharge [g, t] of a control [m]; for `observe` see `simulator.Observer`."""
        maps, weights = self.control.split(control)
        return self.simulator.simulate(*self._here(maps), weights, observe)[0]

    def pull_back(self, control: Floats, discharge_bar: Floats) -> Floats:
        """d cost / d control [m] from d cost / d discharge [g, t]: the transpose of `simulate` at a control."""
        maps, weights = self.control.split(control)
        _, gradient, _ = self.simulator.gradient(*self._here(maps), lambda _: (0.0, discharge_bar), weights)
        return self.control.transpose(control, self._spread(gradient, maps), gradient.weights)

    def _spread(self, gradient: Gradient, maps: Floats) -> Floats:
        """The gradient of the cells of the simulator as one of all maps [rows, n]."""
        bars = np.zeros_like(maps)
        structure = self.simulator.structure
        levels = [gradient.levels[structure.states.index(symbol)] for symbol in structure.calibrated_states]
        bars[:, self.cells] = np.concatenate([gradient.parameters, *(level[np.newaxis] for level in levels)])
        return bars

    def _here(self, maps: Floats) -> tuple[Floats, State]:
        """Parameters and state of the cells of the simulator."""
        return split_maps(self.simulator.structure, maps[:, self.cells], self.state)


def split_maps(structure: Structure, maps: Floats, state: State) -> tuple[Floats, State]:
    """Parameters [p, n], and the state at the start with the levels that the maps hold.

    Args:
        structure: whose `maps` are the rows.
        maps: [rows, n].
        state: [n] at the start, whose levels that may be calibrated are replaced.
    """
    levels, count = state.levels.copy(), len(structure.all_parameters)
    for row, symbol in enumerate(structure.calibrated_states):
        levels[structure.states.index(symbol)] = maps[count + row]
    return maps[:count], State(levels, state.discharge, state.lateral_inflow)


def broken_run(simulator: Simulator, parameters: Floats, state: State, weights: Floats, place: Place) -> NumericalError:
    """Run again, looking for the first value that is not finite: the error that names its cell, step and parameters."""
    found: list[tuple[str, int, int]] = []

    def observe(rows: StateBuffer, start: int, count: int) -> None:
        step = np.arange(start, start + count)[:, np.newaxis] - simulator.order.level
        active = (step >= 0) & (step < simulator.order.steps)
        named = dict(zip(simulator.structure.states, rows.levels, strict=True)) | {"discharge": rows.flow}
        for name, values in named.items():
            broken = np.argwhere(active & ~np.isfinite(values[1 : count + 1]))
            if len(broken) and not found:
                row, slot = broken[0]
                found.append(
                    (name, start + int(row) - int(simulator.order.level[slot]), int(simulator.order.cell[slot]))
                )

    simulator.simulate(parameters, state, weights, observe)
    if not found:
        return NumericalError("simulation", "a discharge is not finite", "Check the observations and the parameters.")
    name, step, cell = found[0]
    values = ", ".join(
        f"{symbol} = {parameters[row, cell]:g}" for row, symbol in enumerate(simulator.structure.all_parameters)
    )
    return NumericalError(
        place(cell, step),
        f"{name} is not a finite number ({values})",
        "Check the forcing there, or narrow the bounds.",
    )
