"""The model on NumPy arrays: simulate, cost and gradient, calibrate; no files, no configuration.

    import numpy as np
    from hydrocli.api import Model

    model = Model(downstream, area, precipitation, pet, step=3600, gauges=[outlet])
    discharge = model.simulate({"cp": 300.0})                      # float64[g, t], m3/s
    cost, gradient = model.cost_and_gradient(observed, {"cp": 300.0})
    found = model.calibrate(observed, skip=720)                    # L-BFGS-B
    model.simulate(found.parameters)

Cells are in any order. Parameters that are not given have the defaults of the structure; each is a number or an array
[n]. Initial states that a structure can calibrate (`hp`, `ht`) are parameters like the others. The gradient is that of
the discrete adjoint, cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydrocli.engine.control import Control, ControlMap
from hydrocli.engine.net_forcing import forcings_of, interception_capacity, meteorological_forcing, net_forcing
from hydrocli.engine.objective import Objective
from hydrocli.engine.order import wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.errors import ConfigurationError
from hydrocli.mapping.composition import FrozenMapping
from hydrocli.mapping.direct import Distributed, Uniform
from hydrocli.mapping.parameter_table import ParameterSpec
from hydrocli.names import INTERCEPTION_CAPACITY, STATES
from hydrocli.score.cost import Cost, Term
from hydrocli.structures.structure import IMPERVIOUS, Structure

Floats = NDArray[np.float64]
Parameters = Mapping[str, ArrayLike]
WEIGHTS = "weights"
INTERCEPTION_LEVEL = "hi"


@dataclass(frozen=True)
class Calibration:
    """What a calibration has found.

    Attributes:
        parameters: by name, float64[n]; `weights` [w] too, where the structure has a network.
        cost: at the end [-].
        scores: of each gauge at the end [g], NSE.
        evaluations: of cost and gradient.
        converged: whether the optimiser says so; else the limit of iterations was reached.
        message: of the optimiser.
    """

    parameters: dict[str, Floats]
    cost: float
    scores: Floats
    evaluations: int
    converged: bool
    message: str


class Model:
    """A basin, its forcing and a structure.

    Args:
        downstream: int[n], index of the cell downstream of each cell, -1 at an outlet.
        area: of the cells [m2], a number or [n].
        precipitation: float[t, n], mm/step; NaN where missing.
        pet: potential evapotranspiration, float[t, n], mm/step; NaN where missing.
        step: time step [s].
        gauges: index of the cells whose discharge is wanted, g of them.
        structure: name of a structure, as `gr`, or a `Structure` with its options.
        temperature: float[t, n], degC, where the structure asks for it.
        start: start of the first step (UTC); the interception capacity depends on calendar days.
        interception: capacity of the interception store [mm], a number or [n]; None: by flux matching.
        options: `precision` ("double" or "single"), `threads`, `memory` [bytes] of the simulator, `width` of the cells
            [m] along the river (default: the root of the area), `impervious`: share of impervious surfaces where the
            structure asks for it.

    Attributes:
        names: of the parameters, and of the initial states that may be calibrated.

    Raises:
        ConfigurationError: arrays that do not fit together, a circle in `downstream`, an unknown structure.
    """

    def __init__(
        self,
        downstream: ArrayLike,
        area: ArrayLike,
        precipitation: ArrayLike,
        pet: ArrayLike,
        step: int,
        gauges: Sequence[int],
        structure: str | Structure = "gr",
        temperature: ArrayLike | None = None,
        start: str = "2000-01-01",
        interception: ArrayLike | None = None,
        **options: Any,
    ) -> None:
        self.structure = Structure(structure) if isinstance(structure, str) else structure
        self.names = self.structure.maps
        states = {one.quantity.symbol: one.quantity for one in self.structure.model.states}
        parameters = (*self.structure.model.parameters, *self.structure.river.parameters)
        self._quantities = {one.symbol: one for one in parameters} | states
        flows_to = np.asarray(downstream, np.int64)
        self.cells = flows_to.size
        level = _levels(flows_to)
        # The engine takes cells in the order of their level: each after all that drain into it.
        self._sorted = np.argsort(level, kind="stable")
        place = np.full(self.cells + 1, -1)
        place[self._sorted] = np.arange(self.cells)
        series = {"precipitation": precipitation, "pet": pet, "temperature": temperature}
        forcing = {name: self._forcing(name, values) for name, values in series.items() if values is not None}
        rain, demand = forcing["precipitation"], forcing["pet"]
        if len({values.shape for values in forcing.values()}) > 1:
            raise ConfigurationError("forcing", "the arrays have different numbers of steps")
        times = np.datetime64(start, "s") + step * np.arange(1, len(rain) + 1)
        if interception is None:
            ci = interception_capacity(self.structure, rain, demand, times, step)
        else:
            ci = self._field(interception)
        order = wavefront_order(place[flows_to[self._sorted]], level[self._sorted], len(rain))
        everywhere = np.arange(self.cells)
        ordered: tuple[NDArray[np.float32], ...]
        if self.structure.model.takes_net:
            hi = np.full(self.cells, STATES[INTERCEPTION_LEVEL].default)
            net, nothing = net_forcing(order, rain, demand, ci, hi, everywhere)[0], np.zeros(self.cells)
            ordered = forcings_of(self.structure, order, net, nothing, step)
        elif "temperature" not in forcing:
            raise ConfigurationError("temperature", f"is needed by the structure {self.structure.kind}")
        else:
            ordered = meteorological_forcing(order, (rain, demand, forcing["temperature"]), everywhere)[0]
        areas = self._field(area)
        width = options.pop("width", None)
        attributes = {INTERCEPTION_CAPACITY.symbol: ci, IMPERVIOUS.symbol: self._field(options.pop("impervious", 0.0))}
        self._gauges = np.array([place[cell] for cell in gauges], np.intp)
        self._simulator = Simulator(
            order,
            ordered,
            areas,
            np.sqrt(areas) if width is None else self._field(width),
            self._gauges,
            step,
            structure=self.structure,
            attributes=np.array([attributes[one.symbol] for one in self.structure.model.attributes]).reshape(
                -1, self.cells
            ),
            **options,
        )
        levels = [one.quantity.default for one in self.structure.model.states]
        self._state = State(
            np.repeat(np.array(levels, np.float64)[:, np.newaxis], self.cells, axis=1), *np.zeros((2, self.cells))
        )

    def defaults(self) -> dict[str, Floats]:
        """Default of every parameter by name, float64[n]; weights of a network are 0, which makes no correction.

        Of neural reservoirs (`nr`) they open every gate by half; with `start="exact"` they are those of GR.
        """
        values = {name: np.full(self.cells, self._quantities[name].default, np.float64) for name in self.names}
        return values | ({WEIGHTS: np.zeros(self.structure.weights)} if self.structure.has_network else {})

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Usual bounds of every parameter by name."""
        found = {}
        for name in self.names:
            quantity = self._quantities[name]
            assert quantity.lower is not None
            assert quantity.upper is not None
            found[name] = (quantity.lower, quantity.upper)
        return found

    def simulate(self, parameters: Parameters | None = None) -> Floats:
        """Discharge at the gauges, float64[g, t], m3/s.

        Args:
            parameters: by name; see the module.

        Raises:
            ConfigurationError: an unknown name.
        """
        maps, weights = self._maps(parameters)
        rows, state = self._rows(maps)
        return self._simulator.simulate(rows, state, weights)[0]

    def cost_and_gradient(
        self,
        observed: ArrayLike,
        parameters: Parameters | None = None,
        metric: str = "nse",
        skip: int = 0,
        weights: Sequence[float] | None = None,
    ) -> tuple[float, dict[str, Floats]]:
        """Cost of the simulated discharge, and its derivative by every parameter of every cell.

        Args:
            observed: float[g, t], m3/s; NaN where missing.
            parameters: by name; see the module.
            metric: as in `objective.metric` of the configuration; the cost of `nse` is 1 - NSE.
            skip: steps at the start that do not count (warm-up).
            weights: of the gauges; None: equal.

        Returns:
            The cost [-]; the derivative by name, float64[n], and by `weights` [w] where there is a network.

        Raises:
            ConfigurationError: an unknown name, or an array of another shape.
            InputError: a gauge without observations.
        """
        maps, network = self._maps(parameters)
        rows, state = self._rows(maps)
        cost = self._cost(observed, metric, skip, weights)
        value, gradient, _ = self._simulator.gradient(rows, state, cost.value_and_derivative, network)
        states = dict(zip(self.structure.states, gradient.levels, strict=True))
        by_row = [*gradient.parameters, *(states[name] for name in self.structure.calibrated_states)]
        found = {name: self._unsorted(bar) for name, bar in zip(self.names, by_row, strict=True)}
        return value, found | ({WEIGHTS: gradient.weights} if self.structure.has_network else {})

    def calibrate(
        self,
        observed: ArrayLike,
        first_guess: Parameters | None = None,
        *,
        mapping: Literal["uniform", "distributed"] = "uniform",
        train: Sequence[str] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        metric: str = "nse",
        skip: int = 0,
        iterations: int = 200,
        callback: Callable[[int, float], None] | None = None,
    ) -> Calibration:
        """Minimise the cost by L-BFGS-B between bounds.

        Args:
            observed: float[g, t], m3/s; NaN where missing.
            first_guess: by name; see the module.
            mapping: one value of a parameter for all cells, or one for each.
            train: names of what is calibrated; None: the parameters, and the weights where there is a network, but no
                initial state.
            bounds: by name, in place of the usual ones.
            metric, skip: see `cost_and_gradient`.
            iterations: limit.
            callback: is given the number of each iteration and the lowest cost.

        Raises:
            ConfigurationError: an unknown name, bounds that do not contain the first guess.
            InputError: a gauge without observations.
            NumericalError: discharge or gradient are not finite.
        """
        from scipy.optimize import OptimizeResult, minimize

        wanted = [*self.structure.all_parameters, WEIGHTS] if train is None else list(train)
        self._check([*wanted, *(bounds or {})], f"one of: {', '.join(self.names)}")
        maps, network = self._maps(first_guess)
        limits = self.bounds() | dict(bounds or {})
        rows = [
            ParameterSpec(name, *limits[name], values, name in wanted)
            for name, values in zip(self.names, maps, strict=True)
        ]
        everywhere = np.ones(self.cells, np.bool_)
        kinds: dict[str, type[Uniform] | type[Distributed]] = {"uniform": Uniform, "distributed": Distributed}
        if mapping not in kinds:
            raise ConfigurationError("mapping", f"{mapping!r} is not possible", f"one of: {', '.join(kinds)}")
        only_weights = self.structure.has_network and wanted == [WEIGHTS]
        mapped: ControlMap = FrozenMapping(rows, everywhere) if only_weights else kinds[mapping](rows, everywhere)
        control = Control(mapped, network, self.structure.has_network and WEIGHTS in wanted)
        cost = self._cost(observed, metric, skip, None)
        objective = Objective(
            self._simulator,
            np.arange(self.cells),
            control,
            cost,
            self._state,
            lambda cell, step: f"cell {self._sorted[cell]} at step {step}",
        )
        count, lowest = 0, np.inf

        def evaluate(x: Floats) -> tuple[float, Floats]:
            nonlocal count, lowest
            count += 1
            value, gradient = objective.value_and_gradient(x)
            lowest = min(lowest, value)
            return value, gradient

        number = 0

        def iterated(intermediate_result: OptimizeResult) -> None:
            nonlocal number
            number += 1
            if callback:
                callback(number, lowest)

        found = minimize(
            evaluate,
            control.first_guess(),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(control.lower, control.upper, strict=True)),
            options={"maxiter": iterations},
            callback=iterated,
        )
        fields, network = control.split(found.x)
        parameters = {name: self._unsorted(values) for name, values in zip(self.names, fields, strict=True)}
        parameters |= {WEIGHTS: network} if self.structure.has_network else {}
        scores = cost.by_gauge(self.simulate(parameters))
        return Calibration(parameters, float(found.fun), scores, count, bool(found.success), str(found.message))

    def _forcing(self, name: str, values: ArrayLike) -> NDArray[np.float32]:
        array = np.asarray(values)
        if array.ndim != 2 or array.shape[1] != self.cells:
            raise ConfigurationError(name, f"has the shape {array.shape}, not [t, {self.cells}]")
        return np.ascontiguousarray(array[:, self._sorted], np.float32)

    def _field(self, values: ArrayLike) -> Floats:
        """A number or [n] as [n] in the order of the engine."""
        return np.broadcast_to(np.asarray(values, np.float64), self.cells)[self._sorted]

    def _unsorted(self, values: Floats) -> Floats:
        found = np.empty(self.cells)
        found[self._sorted] = values
        return found

    def _check(self, names: Sequence[str], remedy: str) -> None:
        if unknown := [name for name in names if name not in (*self.names, WEIGHTS)]:
            raise ConfigurationError("parameters", f"{', '.join(unknown)}: unknown in this structure", remedy)

    def _maps(self, parameters: Parameters | None) -> tuple[Floats, Floats]:
        """Maps [rows, n] in the order of the engine, and weights of the network."""
        given = dict(parameters or {})
        self._check(list(given), f"one of: {', '.join(self.names)}")
        values = self.defaults() | given
        maps = np.stack([self._field(values[name]) for name in self.names])
        return maps, np.asarray(values[WEIGHTS], np.float64) if self.structure.has_network else np.zeros(0)

    def _rows(self, maps: Floats) -> tuple[Floats, State]:
        """Rows of parameters, and the initial state."""
        count, levels = len(self.structure.all_parameters), self._state.levels.copy()
        for name, values in zip(self.structure.calibrated_states, maps[count:], strict=True):
            levels[self.structure.states.index(name)] = values
        return maps[:count], State(levels, self._state.discharge, self._state.lateral_inflow)

    def _cost(self, observed: ArrayLike, metric: str, skip: int, weights: Sequence[float] | None) -> Cost:
        discharge = np.asarray(observed, np.float64)
        steps = self._simulator.order.steps
        if discharge.shape != (len(self._gauges), steps):
            what = f"has the shape {discharge.shape}, not [{len(self._gauges)}, {steps}]"
            raise ConfigurationError("observed", what)
        codes = [str(number) for number in range(len(discharge))]
        return Cost.of(discharge, np.arange(steps) >= skip, codes, weights, (Term(metric),))


def _levels(downstream: NDArray[np.int64]) -> NDArray[np.int64]:
    """Largest distance to an outlet less the distance of each cell [cells].

    Raises:
        ConfigurationError: an index out of range, or a circle.
    """
    cells = downstream.size
    if downstream.ndim != 1 or (downstream >= cells).any() or (downstream < -1).any():
        raise ConfigurationError("downstream", f"must be indices of {cells} cells, or -1 at an outlet")
    depth, here = np.zeros(cells, np.int64), downstream.copy()
    for _ in range(cells):
        inside = here >= 0
        if not inside.any():
            return depth.max() - depth
        depth[inside] += 1
        here[inside] = downstream[here[inside]]
    raise ConfigurationError("downstream", "holds a circle")
