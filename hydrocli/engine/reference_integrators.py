"""One cell integrated by several schemes in time: how good is the implicit Euler step of `ode` and `node`?

The forcing is constant within a step, as everywhere. The runoff of a step is the integral of qt for the reference and
the explicit schemes, and qt at the new levels for the implicit one, which is what it asks of its equations. Of `node`,
the corrections are those at the levels of the moment, or, with the network at the previous state, held over a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from hydrocli.arrays import Floats
from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.engine.simulator import Simulator, State
from hydrocli.engine.tiles import StateBuffer
from hydrocli.jit import loop
from hydrocli.structures.implicit_euler import HIGHEST_LEVEL
from hydrocli.structures.network import network, network_of
from hydrocli.structures.structure import Structure
from hydrocli.water.state_space import state_space_rates, state_space_runoff
from hydrocli.water.transfer import LOWEST_LEVEL

EULER = np.zeros((1, 1)), np.ones(1)
RK4 = np.array([[0, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1.0, 0]]), np.array([1, 2, 2, 1]) / 6
"""Tableaus of explicit Runge-Kutta schemes: what each stage takes of those before it, and their weights."""
REPEATED = 5
DIFFERENTIAL = Structure("ode")
"""The equations that are compared, for runs of other structures with the same parameters."""
TIGHT = {"method": "LSODA", "rtol": 1e-10, "atol": 1e-12}
"""Of the reference, for which SciPy's solver changes between stiff and other methods by itself."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell with its weather.

    Attributes:
        net: float32[t] net rain less net evapotranspiration [mm/step].
        parameters: [p] cp, ct, kexc, and those of the routing of the structure, which one cell does not need.
        levels: [2] hp, ht at the start.
        structure: `ode` or `node`.
        weights: of the network.
        step: [s].
    """

    net: NDArray[np.float32]
    parameters: Floats
    levels: Floats
    structure: Structure
    weights: Floats
    step: int


@dataclass(frozen=True, eq=False)
class Path:
    """What a scheme made of a cell: levels[t, 2] after each step, runoff[t] [mm/step], and at what price.

    Attributes:
        evaluations: of the equations, per step.
        seconds: of the whole period; of the reference with Python around its equations.
        held: steps in which a level left its limits and was held there.
    """

    levels: Floats
    runoff: Floats
    evaluations: float
    seconds: float
    held: int


def implicit(cell: Cell, precision: str = "double") -> Path:
    """Implicit Euler, as the engine has it; an iteration of Newton's method evaluates the equations once."""
    path, simulator = _by_engine(cell, cell.structure, precision)
    iterations = int(simulator.newton[0, simulator.order.slot[0]])
    highest = HIGHEST_LEVEL[cell.structure.flux_limits]
    held = ((path.levels <= LOWEST_LEVEL) | (path.levels >= highest)).any(axis=1)
    return replace(path, evaluations=1 + iterations / cell.net.size, held=int(held.sum()))


def algebraic(cell: Cell) -> Path:
    """GR with the same parameters: other equations, which are solved by parts."""
    return _by_engine(cell, Structure(routing=cell.structure.routing), "double")[0]


def explicit(cell: Cell, tableau: tuple[Floats, Floats], substeps: int) -> Path:
    """An explicit Runge-Kutta scheme of fixed step; levels are held inside their limits after each substep."""
    levels, runoff = np.empty((cell.net.size + 1, 2)), np.empty(cell.net.size)
    levels[0] = cell.levels
    limits = LOWEST_LEVEL, float(HIGHEST_LEVEL[cell.structure.flux_limits])
    scratch = np.empty((tableau[1].size, 3)), np.empty(3)
    arguments = cell.parameters, _network_of(cell), *tableau, substeps, limits, *scratch
    held, seconds = _timed(lambda: _walk(cell.net, *arguments, levels, runoff))
    return Path(levels[1:], runoff, float(tableau[1].size * substeps), seconds, int(held))


def reference(cell: Cell, report: Callable[[int], None] = lambda step: None) -> Path:
    """SciPy's solve_ivp, step by step, so tight that its errors do not count; `report` is called before each step."""
    network_of, slope = _network_of(cell), np.empty(3)
    levels, runoff = np.empty((cell.net.size, 2)), np.empty(cell.net.size)
    state, evaluations, began = np.array([*cell.levels, 0.0]), 0, time.perf_counter()
    for t, net in enumerate(cell.net):
        report(t)
        state[2] = 0.0
        _corrections(net, network_of, state, True)

        def rates(_: float, at: Floats, net: np.float32 = net) -> Floats:
            _slope(net, cell.parameters, network_of, at, slope)
            return slope.copy()

        found = solve_ivp(rates, (0.0, 1.0), state, t_eval=(1.0,), **TIGHT)
        evaluations += found.nfev
        state = found.y[:, -1].copy()
        levels[t], runoff[t] = state[:2], state[2]
    return Path(levels, runoff, evaluations / cell.net.size, time.perf_counter() - began, 0)


def _by_engine(cell: Cell, structure: Structure, precision: str) -> tuple[Path, Simulator]:
    order = wavefront_order(np.array([-1]), np.array([0]), cell.net.size)
    forcing = np.zeros(order.forcing_size, np.float32)
    order_forcing(cell.net[:, np.newaxis], 0, order, forcing)
    area = np.array([1e3 * cell.step])  # then a discharge in m3/s is one in mm per step
    simulator = Simulator(
        order, (forcing,), area, np.sqrt(area), np.array([0]), cell.step, precision=precision, structure=structure
    )
    parameters, weights = cell.parameters[:, np.newaxis], cell.weights[: structure.weights]
    state, levels = State(cell.levels[:, np.newaxis], np.zeros(1), np.zeros(1)), np.empty((cell.net.size, 2))

    def observe(rows: StateBuffer, start: int, count: int) -> None:
        levels[start : start + count] = rows.levels[:, 1 : count + 1, order.slot[0]].T

    (discharge, _), seconds = _timed(lambda: simulator.simulate(parameters, state, weights, observe))
    return Path(levels, discharge[0], 1.0, seconds, 0), simulator


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What a run gives, and the seconds of the fastest of some: the first may compile, others share their core."""
    spent = []
    for _ in range(REPEATED):
        began = time.perf_counter()
        given = run()
        spent.append(time.perf_counter() - began)
    return given, min(spent)


def _network_of(cell: Cell) -> tuple[Any, ...]:
    """Whether there is a network, whether it is held over a step, and the network."""
    structure = cell.structure
    weights = structure.scaled(cell.weights) if structure.has_network else cell.weights
    net = network_of(structure.widths, structure.activation, weights, np.float64)
    return structure.has_network, not structure.model.corrects_new_levels, net


@loop
def _corrections(net, network_of, levels, begins):
    """Fill the corrections: at every moment, or where they are held, when a step begins; zero without a network."""
    has_network, is_held, network_ = network_of
    x = network_.values[0]
    if has_network and (begins or not is_held):
        x[0, 0], x[1, 0] = levels[0], levels[1]
        x[2, 0], x[3, 0] = max(net, 0.0), max(-net, 0.0)
        network(network_, 1, False)


@loop
def _slope(net, parameters, network_of, levels, out):
    """dhp/dt, dht/dt and qt in `out`."""
    cp, ct, kexc = parameters[0], parameters[1], parameters[2]
    _corrections(net, network_of, levels, False)
    f = network_of[2].values[-1]
    hp, ht = levels[0], max(levels[1], 0.0)
    a, b = max(net, 0.0) * (1.0 + f[0, 0]), max(-net, 0.0) * (1.0 + f[1, 0])
    k, o = kexc * (1.0 + f[2, 0]), 1.0 + f[3, 0]
    out[0], out[1] = state_space_rates(a, b, k, o, 1.0 / cp, 1.0 / ct, hp, ht)
    out[2] = state_space_runoff(a, k, o, ct, hp, ht)


@loop
def _walk(net, parameters, network_of, taken, weight, substeps, limits, slopes, at, levels, runoff):
    """Fill levels[1:] and runoff; gives the number of steps in which a level was held."""
    lowest, highest = limits
    share, held_steps = 1.0 / substeps, 0
    for t in range(net.size):
        hp, ht, total, held = levels[t, 0], levels[t, 1], 0.0, False
        at[0], at[1] = hp, ht
        _corrections(net[t], network_of, at, True)
        for _ in range(substeps):
            for stage in range(weight.size):
                at[0], at[1] = hp, ht
                for before in range(stage):
                    at[0] += share * taken[stage, before] * slopes[before, 0]
                    at[1] += share * taken[stage, before] * slopes[before, 1]
                _slope(net[t], parameters, network_of, at, slopes[stage])
            for stage in range(weight.size):
                hp += share * weight[stage] * slopes[stage, 0]
                ht += share * weight[stage] * slopes[stage, 1]
                total += share * weight[stage] * slopes[stage, 2]
            held |= not (lowest <= hp <= min(highest, 1.0) and lowest <= ht <= highest)
            hp, ht = min(max(hp, lowest), min(highest, 1.0)), min(max(ht, lowest), highest)
        levels[t + 1, 0], levels[t + 1, 1], runoff[t] = hp, ht, total
        held_steps += held
    return held_steps
