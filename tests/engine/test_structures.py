"""The structures with a network or a solver: against a reference in NumPy, and against themselves cut and threaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_harness import Case, case, reference, squares
from structure_reference import reference_step

from hydrocli.engine import order as order_module
from hydrocli.engine import simulator as simulator_module
from hydrocli.engine.simulator import Gradient, State
from hydrocli.structures.structure import Structure

STRUCTURES = {
    "grnn": Structure("grnn"),
    "grnn, papers, leaky": Structure("grnn", (8,), "leaky_relu", flux_limits="as_published"),
    "grnn, two layers": Structure("grnn", (10, 6), input_scale=(2.0, 1.0, 0.1, 3.0)),
    "ode": Structure("ode"),
    "ode, papers": Structure("ode", flux_limits="as_published"),
    "ode, explicit": Structure("ode", scheme="explicit", substeps=8),
    "previous": Structure("node", network_coupling="lagged"),
    "previous, papers, leaky": Structure(
        "node", (10, 6), "leaky_relu", flux_limits="as_published", network_coupling="lagged"
    ),
    "implicit": Structure("node"),
    "implicit, papers": Structure("node", (7,), flux_limits="as_published"),
    "implicit, two layers": Structure("node", (10, 6), input_scale=(2.0, 1.0, 0.1, 3.0)),
}
NETWORKS = {name: structure for name, structure in STRUCTURES.items() if structure.has_network}
SOLVERS = {name: structure for name, structure in STRUCTURES.items() if structure.has_solver}
ROWS = ("cp", "ct", "kexc", "akw", "bkw", "hp", "ht")
PARAMETERS = len(ROWS) - 2

every_structure = pytest.mark.parametrize("name", STRUCTURES)
every_network = pytest.mark.parametrize("name", NETWORKS)
every_solver = pytest.mark.parametrize("name", SOLVERS)


def small_stores(*arguments, **options) -> Case:
    """A case whose stores a burst fills, so that limits bind; its outlet is a gauge."""
    common = case(*arguments, **options)
    return replace(common, parameters=common.parameters * np.array([[0.02], [0.2], [1], [1], [1]]))


def weights_of(structure: Structure, deviation: float = 0.2) -> np.ndarray:
    """Random weights and biases, none for a structure without a network."""
    return np.random.default_rng(7).normal(0, deviation, structure.weights)


def largest_basin(some: Case) -> tuple[int, np.ndarray]:
    """The outlet below most cells, and which cells those are."""
    outlet = np.arange(len(some.level))
    for cell in np.argsort(-some.level, kind="stable"):
        if some.downstream[cell] >= 0:
            outlet[cell] = outlet[some.downstream[cell]]
    largest = np.bincount(outlet).argmax()
    return int(largest), outlet == largest


def maps_of(some: Case) -> np.ndarray:
    """Rows of parameters, then of initial levels."""
    return np.concatenate([some.parameters, some.state.levels])


def simulate(some: Case, structure: Structure, weights: np.ndarray, **options) -> tuple[np.ndarray, State]:
    return some.simulator(structure=structure, **options).simulate(some.parameters, some.state, weights)


def assert_same(one, other):
    """The same bits of a state or a gradient."""
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, vars(other)[name], err_msg=name)


@every_structure
def test_discharge_and_state_are_the_reference(name):
    """1e-11: Newton's last step is below 1e-6, so what it leaves is of the order of its square."""
    structure = STRUCTURES[name]
    for kind, cells, steps in (("tree", 40, 30), ("chain", 9, 25), ("wide", 150, 12)):
        some, weights = small_stores(cells, steps, kind), weights_of(structure)
        discharge, state = simulate(some, structure, weights)
        expected, levels, flow, lateral = reference(some, step=reference_step(structure, weights))
        np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-11 * expected.max())
        np.testing.assert_allclose(state.levels, levels, rtol=0, atol=1e-11)
        np.testing.assert_allclose(state.discharge, flow, rtol=0, atol=1e-11 * flow.max())
        np.testing.assert_allclose(state.lateral_inflow, lateral, rtol=0, atol=1e-11 * np.abs(lateral).max())


@every_structure
def test_limits_bind_in_these_cases_and_only_there_they_matter(name):
    """Small stores feel the limits, large ones do not: there both options have the same bits."""
    structure, weights = STRUCTURES[name], weights_of(STRUCTURES[name])
    weights[-4:-2] += 2.0 if structure.kind == "grnn" else 0.0  # biases of f1 and f2: infiltration nearly doubles
    other = replace(
        structure, flux_limits="as_published" if structure.flux_limits == "conservative" else "conservative"
    )
    some = small_stores(40, 30)
    large = replace(some, parameters=some.parameters * np.array([[500], [20], [1], [1], [1]]))
    for basin, expected in ((some, True), (large, False)):
        one, two = (simulate(basin, limits, weights)[0] for limits in (structure, other))
        assert (np.abs(one - two).max() > 1e-6 * one.max()) == expected


@every_structure
def test_gradient_is_that_of_the_reference(name):
    """Complex step on the reference in a random direction of every parameter, of both levels and of all weights."""
    structure, rng = STRUCTURES[name], np.random.default_rng(5)
    some, weights = small_stores(30, 15), weights_of(structure)
    simulator = some.simulator(structure=structure)
    value, gradient, discharge = simulator.gradient(some.parameters, some.state, squares, weights)
    np.testing.assert_array_equal(discharge, simulator.simulate(some.parameters, some.state, weights)[0])
    seed = squares(discharge)
    assert value == seed[0]

    def slope(maps: np.ndarray, weights: np.ndarray) -> float:
        moved = reference(some, maps[:PARAMETERS], maps[PARAMETERS:], reference_step(structure, weights))[0]
        return (seed[1] * moved.imag).sum() / 1e-40

    maps, bars = maps_of(some), np.concatenate([gradient.parameters, gradient.levels])
    for row, symbol in enumerate(ROWS):
        direction = np.zeros_like(maps)
        direction[row] = maps[row] * rng.normal(size=maps.shape[1])
        found = (bars * direction).sum()
        assert found == pytest.approx(slope(maps + 1e-40j * direction, weights), rel=1e-9), symbol
    if structure.has_network:
        direction = rng.normal(size=len(weights))
        found = gradient.weights @ direction
        assert found == pytest.approx(slope(maps, weights + 1e-40j * direction), rel=1e-9)


@every_structure
def test_gradient_is_that_of_central_differences(name):
    """Through the engine alone, in a direction of each row and of the weights.

    The best of three widths counts: a wide one may cross a kink (a limit that binds on one side only), a narrow one
    divides rounding and what Newton's method leaves by its width.
    """
    structure, rng = STRUCTURES[name], np.random.default_rng(1)
    some, weights = small_stores(150, 120, seed=2), weights_of(structure)
    simulator = some.simulator(structure=structure)
    _, gradient, _ = simulator.gradient(some.parameters, some.state, squares, weights)
    point = np.concatenate([maps_of(some).ravel(), weights])
    bars = np.concatenate([gradient.parameters.ravel(), gradient.levels.ravel(), gradient.weights])

    def cost(moved: np.ndarray) -> float:
        maps = moved[: len(point) - len(weights)].reshape(len(ROWS), -1)
        state = replace(some.state, levels=maps[PARAMETERS:])
        return squares(simulator.simulate(maps[:PARAMETERS], state, moved[len(point) - len(weights) :])[0])[0]

    groups = np.repeat(np.arange(len(ROWS)), maps_of(some).shape[1])
    groups = np.concatenate([groups, np.full(len(weights), len(ROWS))])
    for group in np.unique(groups):
        direction = (groups == group) * point * rng.uniform(0.5, 1.5, len(point))
        errors = []
        for width in (1e-4, 1e-5, 1e-6):
            change = (cost(point + width * direction) - cost(point - width * direction)) / (2 * width)
            errors.append(abs(change / (bars @ direction) - 1))
        assert min(errors) < 1e-6, (group, errors)


@every_structure
def test_taylor_remainder_has_slope_two(name):
    """Parameters, levels and weights at once, along a direction short enough to meet no kink."""
    structure, rng = STRUCTURES[name], np.random.default_rng(0)
    some, weights = small_stores(100, 60, seed=2), weights_of(structure)
    simulator = some.simulator(structure=structure)
    maps, along = maps_of(some), weights * rng.uniform(-1, 1, len(weights))
    direction = maps * rng.uniform(-1, 1, maps.shape)
    value, gradient, _ = simulator.gradient(some.parameters, some.state, squares, weights)
    slope = (np.concatenate([gradient.parameters, gradient.levels]) * direction).sum() + gradient.weights @ along
    sizes, remainders = 2.0 ** -np.arange(11, 16), []
    for h in sizes:
        moved = maps + h * direction
        state = replace(some.state, levels=moved[PARAMETERS:])
        changed = squares(simulator.simulate(moved[:PARAMETERS], state, weights + h * along)[0])[0]
        remainders.append(abs(changed - value - h * slope))
    orders = np.diff(np.log(remainders)) / np.diff(np.log(sizes))
    assert (np.abs(orders - 2) < 0.1).all(), orders


@every_structure
def test_dot_product(name):
    """<J dx, y> = <dx, J^T y> for a random y: the discharge moves by complex step, the engine transposes."""
    structure, rng = STRUCTURES[name], np.random.default_rng(3)
    some, weights = small_stores(30, 20), weights_of(structure)
    maps = maps_of(some)
    dx, dw = maps * rng.normal(size=maps.shape), rng.normal(size=len(weights))
    moved, shifted = maps + 1e-40j * dx, weights + 1e-40j * dw
    moves = reference(some, moved[:PARAMETERS], moved[PARAMETERS:], reference_step(structure, shifted))[0].imag / 1e-40
    y = rng.normal(size=moves.shape)
    _, bars, _ = some.simulator(structure=structure).gradient(some.parameters, some.state, lambda _: (0.0, y), weights)
    terms = np.concatenate([(bars.parameters * dx[:PARAMETERS]).ravel(), (bars.levels * dx[PARAMETERS:]).ravel()])
    terms = np.concatenate([terms, bars.weights * dw])
    assert abs((moves * y).sum() - terms.sum()) <= 1e-10 * np.abs(terms).sum()


@every_structure
@pytest.mark.parametrize("precision", ["double", "single"])
def test_neither_checkpoints_nor_threads_change_a_bit(name, precision, monkeypatch):
    """Small chunks and blocks, so that a small basin has many of both; the counts of the solver neither."""
    monkeypatch.setattr(order_module, "CHUNK", 48)
    monkeypatch.setattr(simulator_module, "BLOCK_VALUES", 1)
    structure = STRUCTURES[name]
    some, weights = small_stores(250, 100, "wide", seed=3), weights_of(structure)
    found = []
    for threads, memory in ((1, 1e9), (3, 1e9), (1, 1e3), (2, 1e3)):
        simulator = some.simulator(structure=structure, precision=precision, threads=threads, memory=memory)
        assert simulator.order.chunks > 4
        discharge, state = simulator.simulate(some.parameters, some.state, weights)
        counted = simulator.newton.copy()
        for _ in range(2):  # buffers are kept between evaluations
            found.append((*simulator.gradient(some.parameters, some.state, squares, weights), state))
            np.testing.assert_array_equal(found[-1][2], discharge)
            np.testing.assert_array_equal(simulator.newton, counted)
    for value, gradient, discharge, state in found[1:]:
        assert value == found[0][0]
        assert_same(gradient, found[0][1])
        np.testing.assert_array_equal(discharge, found[0][2])
        assert_same(state, found[0][3])


@every_structure
@pytest.mark.parametrize("precision", ["double", "single"])
def test_one_run_is_two_half_runs(name, precision):
    """To the last bit, where a row begins in another place and a strip holds other cells."""
    structure = STRUCTURES[name]
    whole, weights = small_stores(300, 60, "wide", seed=4), weights_of(structure)
    discharge, final = simulate(whole, structure, weights, precision=precision)
    for split in (7, 31):
        before, state = simulate(whole.cut(0, split, whole.state), structure, weights, precision=precision)
        after, end = simulate(whole.cut(split, 60, state), structure, weights, precision=precision)
        np.testing.assert_array_equal(np.concatenate([before, after], axis=1), discharge)
        assert_same(end, final)


@every_structure
@pytest.mark.parametrize("precision", ["double", "single"])
def test_a_cell_does_not_depend_on_its_neighbours(name, precision):
    """A sub-basin alone has the bits that it has among all the others, though its strips hold other cells."""
    structure = STRUCTURES[name]
    some, weights = small_stores(300, 60, seed=4), weights_of(structure)
    outlet, inside = largest_basin(some)
    assert 30 < inside.sum() < 270
    number = np.cumsum(inside) - 1
    downstream = some.downstream[inside]
    alone = replace(
        some,
        downstream=np.where(downstream >= 0, number[downstream], -1),
        level=some.level[inside] - some.level[inside].min(),
        net=some.net[:, inside],
        parameters=some.parameters[:, inside],
        state=State(some.state.levels[:, inside], some.state.discharge[inside], some.state.lateral_inflow[inside]),
        gauges=number[[outlet]],
    )
    some = replace(some, gauges=np.array([outlet]))
    together, final = simulate(some, structure, weights, precision=precision)
    apart, state = simulate(alone, structure, weights, precision=precision)
    np.testing.assert_array_equal(apart, together)
    np.testing.assert_array_equal(state.levels, final.levels[:, inside])


@pytest.mark.parametrize(
    ("name", "classical"),
    [(name, "gr" if structure.kind == "grnn" else "ode") for name, structure in NETWORKS.items()],
)
def test_a_zero_network_is_the_classical_structure(name, classical):
    """Also the gradient of parameters and levels; only the last biases have one of their own."""
    structure = NETWORKS[name]
    some, nothing = small_stores(100, 80), np.zeros(structure.weights)
    plain = some.simulator(structure=Structure(classical, flux_limits=structure.flux_limits))
    hybrid = some.simulator(structure=structure)
    expected, final = plain.simulate(some.parameters, some.state)
    discharge, state = hybrid.simulate(some.parameters, some.state, nothing)
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-12 * expected.max())
    np.testing.assert_allclose(state.levels, final.levels, rtol=0, atol=1e-12)
    _, bars, _ = plain.gradient(some.parameters, some.state, squares)
    _, found, _ = hybrid.gradient(some.parameters, some.state, squares, nothing)
    for one, two in ((found.parameters, bars.parameters), (found.levels, bars.levels)):
        assert (np.abs(one - two).max(axis=1) <= 1e-11 * np.abs(two).max(axis=1)).all()
    assert (found.weights[:-4] == 0).all()
    assert (found.weights[-4:] != 0).sum() == (4 if structure.kind == "node" else 3)  # f3 enters grnn squared


@every_structure
def test_single_precision_is_close(name):
    """Errors of 1e-7 a step, forgotten by the stores in time: 1e-4 of the peak, 1e-3 of each part of the gradient.

    A kink (a limit that binds) may lie between both: then single cells differ, so parts are compared by their norm.
    """
    structure = STRUCTURES[name]
    some, weights = small_stores(150, 200, seed=6), weights_of(structure)
    _, bars, discharge = some.simulator(structure=structure).gradient(some.parameters, some.state, squares, weights)
    simulator = some.simulator(structure=structure, precision="single")
    _, rough, again = simulator.gradient(some.parameters, some.state, squares, weights)
    np.testing.assert_allclose(again, discharge, rtol=0, atol=1e-4 * discharge.max())
    for one, two in zip(parts(rough), parts(bars), strict=True):
        assert np.linalg.norm(one - two) <= 1e-3 * np.linalg.norm(two)
    if structure.has_solver:
        assert simulator.newton[3].sum() == 0
        assert simulator.newton[2].sum() <= 1e-3 * some.net.size


def parts(gradient: Gradient) -> list[np.ndarray]:
    """Rows of a gradient, and its weights."""
    return [*gradient.parameters, *gradient.levels, gradient.weights]


@every_structure
@pytest.mark.parametrize("precision", ["double", "single"])
def test_not_a_number_reaches_the_discharge(name, precision):
    """Whatever is broken in a cell upstream, its gauge says so: neither a limit nor a converged solver hides it."""
    structure = STRUCTURES[name]
    some, weights = small_stores(60, 20), weights_of(structure)
    maps, (outlet, _) = maps_of(some), largest_basin(some)
    some = replace(some, gauges=np.array([outlet]))
    cell = next(c for c in np.flatnonzero(some.downstream == outlet))
    for row, symbol in enumerate(ROWS):
        broken = maps.copy()
        broken[row, outlet if symbol in ("akw", "bkw") else cell] = np.nan
        state = replace(some.state, levels=broken[PARAMETERS:])
        simulator = some.simulator(structure=structure, precision=precision)
        discharge, _ = simulator.simulate(broken[:PARAMETERS], state, weights)
        assert np.isnan(discharge[0, -1]), symbol
    for index in range(0, len(weights), 7):
        broken_weights = weights.copy()
        broken_weights[index] = np.nan
        discharge, _ = simulate(some, structure, broken_weights, precision=precision)
        assert np.isnan(discharge[0, -1]), index
