"""Bursts of 100 mm, parameters at the corners of their bounds, saturated networks: all stays finite and is counted."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from model_harness import Case
from structure_reference import phi1, rates

from hydrocli.engine.simulator import Simulator, State
from hydrocli.names import PARAMETERS
from hydrocli.structures.implicit_euler import HIGHEST_LEVEL
from hydrocli.structures.structure import Structure

STEPS = 150
EPS = np.finfo(np.float64).eps
STRUCTURES = {
    "grnn": Structure("grnn"),
    "grnn, papers": Structure("grnn", flux_limits="as_published"),
    "ode": Structure("ode"),
    "ode, papers": Structure("ode", flux_limits="as_published"),
    "previous": Structure("node", network_coupling="lagged"),
    "previous, papers": Structure("node", network_coupling="lagged", flux_limits="as_published"),
    "implicit": Structure("node"),
    "implicit, papers": Structure("node", flux_limits="as_published"),
}
SOLVERS = [name for name, structure in STRUCTURES.items() if structure.model.iterates]
DEVIATIONS = (0.01, 0.3, 1.0, 3.0)
"""Of the weights: from a network at its start to one that is 1 or -1 nearly everywhere."""


@pytest.fixture(scope="module")
def corners() -> Case:
    """Cells without neighbours, one for every corner of cp, ct and kexc, and some inside; all have the same weather."""
    rng = np.random.default_rng(0)
    rows = [(p.lower, p.default, p.upper) for p in (PARAMETERS["cp"], PARAMETERS["ct"], PARAMETERS["kexc"])]
    rows[0], rows[1], rows[2] = (*rows[0], 1.0), (*rows[1], 1.0), (*rows[2], -1.0, 1.0)
    cells = np.array([(*cell, 5.0, 0.6) for cell in product(*rows)]).T
    count = cells.shape[1]
    bursts = rng.choice([1.0, 10.0, 100.0], STEPS)
    weather = np.where(rng.random(STEPS) < 0.2, bursts, -rng.exponential(0.3, STEPS)).astype(np.float32)
    state = State(rng.choice([1e-6, 0.01, 0.5, 0.999999], (2, count)), np.zeros(count), np.zeros(count))
    net = np.repeat(weather[:, np.newaxis], count, axis=1)
    return Case(np.full(count, -1), np.zeros(count, int), net, cells, state, np.arange(count))


def networks(structure: Structure) -> list[np.ndarray]:
    if not structure.has_network:
        return [np.zeros(0)]
    random = [np.random.default_rng(5).normal(0, deviation, structure.weights) for deviation in DEVIATIONS]
    closed = random[1].copy()
    closed[-2:] = 30.0, -30.0  # f3 = 1, f4 = -1 to the last bit: of node, all gain is doubled and nothing flows out
    return [*random, closed]


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_discharge_and_gradient_are_finite(corners, name, precision):
    """And what the solver did is counted: it needs help in these corners, and finds every solution all the same."""
    structure = STRUCTURES[name]
    for weights in networks(structure):
        simulator = corners.simulator(structure=structure, precision=precision)
        discharge, state = simulator.simulate(corners.parameters, corners.state, weights)
        assert np.isfinite(discharge).all()
        assert (state.levels > 0).all()
        if structure.model.iterates:
            iterations, most, again, without = simulator.newton[:, simulator.order.slot]
            assert 1 <= iterations.mean() / STEPS < 8
            assert most.max() <= 20
            assert again.sum() < 0.35 * corners.net.size
            assert without.sum() == 0
        _, gradient, _ = simulator.gradient(
            corners.parameters, corners.state, lambda q: (q.sum(), np.ones_like(q)), weights
        )
        for part in vars(gradient).values():
            assert np.isfinite(part).all()


def path(simulator: Simulator, case: Case, weights: np.ndarray) -> np.ndarray:
    """Levels [steps + 1, 2, n]."""
    levels = np.empty((STEPS + 1, 2, len(case.level)))
    levels[0] = case.state.levels

    def observe(rows, start, count):
        levels[start + 1 : start + count + 1] = rows.levels[:, 1 : count + 1, simulator.order.slot].transpose(1, 0, 2)

    simulator.simulate(case.parameters, case.state, weights, observe)
    return levels


@pytest.mark.parametrize("name", SOLVERS)
def test_levels_counted_as_converged_solve_the_equations(corners, name):
    """Newton's step that the levels still ask for is below the tolerance, but for the rounding of the residual.

    A level at a limit asks for one beyond it, or for one within the tolerance. Where a search ended because its bracket
    had become as narrow as the tolerance, the step may be some times that.
    """
    structure = STRUCTURES[name]
    highest = HIGHEST_LEVEL[structure.flux_limits]
    for weights in networks(structure):
        simulator = corners.simulator(structure=structure)
        levels, checked = path(simulator, corners, weights), 0
        solved = simulator.newton[3, simulator.order.slot] == 0
        for t, net in enumerate(corners.net.astype(np.float64)):
            x = (np.maximum(net, 0), np.maximum(-net, 0), *corners.parameters[:3])
            g, j, rounding = linearised(structure, weights, x, levels[t], levels[t + 1])
            lowest, top = levels[t + 1] <= 1e-6, levels[t + 1] >= highest
            scale = np.abs(j[[0, 1], [0, 1]])  # of the rows, which are as far apart as the capacities
            g, rounding, j = g / scale, rounding / scale, j / scale[:, np.newaxis]
            allowed = 4 * structure.tolerance * levels[t + 1]
            assert (g >= -rounding - allowed)[lowest & solved].all()
            assert (g <= rounding + allowed)[top & solved].all()
            free = solved & ~(lowest | top).any(axis=0)
            inverse = np.linalg.inv(j[:, :, free].transpose(2, 0, 1))
            step = np.abs(np.einsum("cij,jc->ic", inverse, g[:, free]))
            noise = np.einsum("cij,jc->ic", np.abs(inverse), rounding[:, free])
            assert (step <= allowed[:, free] + noise).all()
            checked += free.sum()
        assert checked > 0.3 * corners.net.size


def linearised(structure: Structure, weights: np.ndarray, x, old: np.ndarray, new: np.ndarray):
    """Residuals [2, n], Jacobian [2, 2, n] and what rounding may add to the residuals."""

    def residual(levels):
        at = old if structure.network_coupling == "lagged" else levels
        f = phi1(structure, weights, (*at, *x[:2])) if structure.has_network else np.zeros((4, len(x[0])))
        return levels - old - np.stack(rates(x, f, *levels))

    steps = new + 1e-40j * np.eye(2)[:, :, np.newaxis]
    (pn, en, cp, ct, kexc), (hp, ht) = x, new
    gains = [hp + old[0] + 2 * (pn + en) / cp, ht + old[1] + 2 * (pn + np.abs(kexc) * ht**3.5) / ct + ht**5 / 2]
    j = np.stack([residual(step).imag / 1e-40 for step in steps], axis=1)
    return residual(new), j, 32 * EPS * np.stack(gains)
