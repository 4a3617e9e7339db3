"""Every structure that is registered, with all its options and snow in front: against a reference in NumPy, and against
itself cut, threaded and checkpointed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_harness import STEP, Case, case_of, reference, squares
from structure_cases import CLASSICAL, CORRECTED, DECLARATIONS, OBSERVED, SIMPLE, STRUCTURES, classical_of, weights_of
from structure_reference import STEPS, reference_step

from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.engine import order as order_module
from hydrocli.engine import simulator as simulator_module
from hydrocli.engine.observers import CellBalance, Observers, OutputRecorder, OutputRequest
from hydrocli.engine.simulator import Gradient, State
from hydrocli.names import FORCINGS
from hydrocli.structures.structure import (
    BALANCE_TERMS,
    HYDROLOGICAL_FORCINGS,
    METEOROLOGICAL_FORCINGS,
    RAIN_INTENSITY,
    CellModel,
    Structure,
    kinds,
    output_quantities,
    parameter_quantities,
    state_quantities,
)

every_structure = pytest.mark.parametrize("name", STRUCTURES)
every_correction = pytest.mark.parametrize("name", CORRECTED)
every_declaration = pytest.mark.parametrize("model", DECLARATIONS.values(), ids=DECLARATIONS)
SINGLE = [name for name in STRUCTURES if name in kinds() and name not in SIMPLE]
SINGLE += ["node, network_coupling", "gr, degree_day", "gr, linear_reservoir"]
"""Structures that are examined in single precision too: it is the same source, compiled once more."""
either_precision = pytest.mark.parametrize(
    ("name", "precision"),
    [(name, "double") for name in STRUCTURES] + [(name, "single") for name in SINGLE],
)


def largest_basin(some: Case) -> tuple[int, np.ndarray]:
    """The outlet below most cells, and which cells those are."""
    outlet = np.arange(len(some.level))
    for cell in np.argsort(-some.level, kind="stable"):
        if some.downstream[cell] >= 0:
            outlet[cell] = outlet[some.downstream[cell]]
    largest = np.bincount(outlet).argmax()
    return int(largest), outlet == largest


def rows_of(structure: Structure) -> tuple[str, ...]:
    """Symbols of the rows of `Case.maps`."""
    return (*structure.all_parameters, *structure.states)


def bars_of(gradient: Gradient) -> np.ndarray:
    """Rows of a gradient as those of `Case.maps`."""
    return np.concatenate([gradient.parameters, gradient.levels])


def expected(some: Case, weights: np.ndarray, maps: np.ndarray | None = None):
    """The reference of a case, at other maps where they are given."""
    count, maps = len(some.parameters), some.maps if maps is None else maps
    step = reference_step(some.structure, weights, some.step, some.ci)
    return reference(some, maps[:count], maps[count:], step)


def assert_same(one, other):
    """The same bits of a state or a gradient."""
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, vars(other)[name], err_msg=name)


# Declarations


def test_every_declaration_is_examined_and_every_kind_has_a_reference():
    assert {structure.model.name for structure in STRUCTURES.values()} == set(DECLARATIONS)
    assert set(STEPS) == set(kinds())
    assert len(DECLARATIONS) == len({id(model) for model in DECLARATIONS.values()}) >= 12


@every_declaration
def test_a_declaration_is_consistent(model: CellModel):
    """Every symbol is known and declared once; what it names exists; defaults lie within their bounds."""
    symbols = [one.symbol for one in model.parameters]
    states = [state.quantity.symbol for state in model.states]
    fluxes = [one.symbol for one in model.fluxes]
    for names, known in (
        (symbols, parameter_quantities()),
        (states, state_quantities()),
        (fluxes, output_quantities() | FORCINGS),
    ):
        assert len(set(names)) == len(names)
        assert set(names) <= set(known)
    assert not {*symbols} & {*states, *fluxes}
    for one in (*model.parameters, *(state.quantity for state in model.states)):
        assert one.long_name
        assert one.unit
        assert one.lower is not None
        assert one.default is not None
        assert one.lower <= one.default <= (np.inf if one.upper is None else one.upper)
    assert model.forcings in (HYDROLOGICAL_FORCINGS, ("net", RAIN_INTENSITY), METEOROLOGICAL_FORCINGS)
    assert not {*model.diagnostics} & {*output_quantities()}
    assert {state.capacity for state in model.states} <= {"", *symbols, *(one.symbol for one in model.attributes)}
    assert set(model.balance) <= set(BALANCE_TERMS)
    assert "evapotranspiration" in model.balance
    for terms in model.balance.values():
        assert set(terms) <= set(fluxes)
    for flux, state, sign in model.surfaces.values():
        assert flux in fluxes
        assert state in states
        assert sign in (1.0, -1.0)
    assert len(model.seconds) == 2
    assert model.seconds[0] > model.seconds[1] > 0


@every_declaration
def test_prepared_rows_are_as_many_as_the_names_and_hold_the_capacities(model: CellModel):
    """In particular the rows that the storage is computed from."""
    rng = np.random.default_rng(0)
    given = {one.symbol: rng.uniform(1, 2, 5) for one in model.parameters}
    rows = model.prepare(given, STEP)
    assert model.row_names == (*(one.symbol for one in model.attributes), *rows)
    for state in model.states:
        if state.capacity:
            assert state.capacity in model.row_names
        if state.capacity in given:
            np.testing.assert_array_equal(rows[state.capacity], given[state.capacity])
    assert all(np.shape(values) == (5,) for values in rows.values())


@pytest.mark.parametrize("name", OBSERVED)
def test_the_kernel_gives_as_many_fluxes_as_are_declared(name):
    """Rows that the observer fills are finite, and none is left as it was; those behind them are not touched."""
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 20, 5), weights_of(structure)
    simulator, count = some.simulator(), len(structure.fluxes)
    wanted = tuple(one for one in structure.quantities if one in output_quantities())
    request = OutputRequest(wanted, GaugeTree.of(np.full(20, -1), np.arange(1)), np.ones(20), np.arange(20))
    recorder = OutputRecorder(simulator, request)
    observers = Observers(simulator, some.parameters, weights, recorder)
    observers._values[:] = np.nan
    simulator.simulate(some.parameters, some.state, weights, observers)
    assert all(np.isfinite(values).all() for values in recorder.at_cells.values())
    assert np.isfinite(observers._values[:, :1]).all()
    assert structure.quantities[:count] == structure.fluxes


# Against the reference


@every_structure
def test_discharge_and_state_are_the_reference(name):
    """1e-11: Newton's last step is below 1e-6, so what it leaves is of the order of its square."""
    structure = STRUCTURES[name]
    weights = weights_of(structure)
    for kind, cells, steps in (("tree", 40, 30), ("chain", 9, 25), ("wide", 150, 12)):
        some = case_of(structure, cells, steps, kind)
        discharge, state = some.simulate(weights)
        q, levels, flow, lateral = expected(some, weights)
        np.testing.assert_allclose(discharge, q, rtol=0, atol=1e-11 * q.max())
        scale = np.maximum(np.abs(levels).max(axis=1, keepdims=True), 1.0)  # stores in mm hold more than 1
        np.testing.assert_allclose(state.levels / scale, levels / scale, rtol=0, atol=1e-11)
        np.testing.assert_allclose(state.discharge, flow, rtol=0, atol=1e-11 * flow.max())
        np.testing.assert_allclose(state.lateral_inflow, lateral, rtol=0, atol=1e-11 * np.abs(lateral).max())


@every_structure
@pytest.mark.parametrize("step", [900, 10800, 86400])
def test_every_step_from_a_quarter_of_an_hour_to_a_day(name, step):
    """Constants and prepared rows follow the step; the gradient too."""
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 25, 20, step=step), weights_of(structure)
    discharge, _ = some.simulate(weights)
    q = expected(some, weights)[0]
    np.testing.assert_allclose(discharge, q, rtol=0, atol=1e-11 * q.max())
    direction = some.maps * np.random.default_rng(2).normal(size=some.maps.shape)
    slope = (squares(q)[1] * expected(some, weights, some.maps + 1e-40j * direction)[0].imag).sum() / 1e-40
    _, gradient, _ = some.simulator().gradient(some.parameters, some.state, squares, weights)
    terms = bars_of(gradient) * direction
    assert terms.sum() == pytest.approx(slope, rel=1e-9, abs=1e-9 * np.abs(terms).sum())


@every_structure
def test_gradient_is_that_of_the_reference(name):
    """Complex step on the reference in a random direction of every parameter, of every state and of all weights."""
    structure, rng = STRUCTURES[name], np.random.default_rng(5)
    some, weights = case_of(structure, 30, 15), weights_of(structure)
    simulator = some.simulator()
    value, gradient, discharge = simulator.gradient(some.parameters, some.state, squares, weights)
    np.testing.assert_array_equal(discharge, simulator.simulate(some.parameters, some.state, weights)[0])
    seed = squares(discharge)
    assert value == seed[0]
    bars, maps = bars_of(gradient), some.maps
    for row, symbol in enumerate(rows_of(structure)):
        direction = np.zeros_like(maps)
        direction[row] = np.maximum(maps[row], 1e-3) * rng.normal(size=maps.shape[1])
        slope = (seed[1] * expected(some, weights, maps + 1e-40j * direction)[0].imag).sum() / 1e-40
        terms = bars * direction
        assert terms.sum() == pytest.approx(slope, rel=1e-9, abs=1e-10 * np.abs(terms).sum()), symbol
    if structure.has_network:
        direction = rng.normal(size=len(weights))
        slope = (seed[1] * expected(some, weights + 1e-40j * direction)[0].imag).sum() / 1e-40
        assert gradient.weights @ direction == pytest.approx(slope, rel=1e-9)


@every_structure
def test_dot_product(name):
    """<J dx, y> = <dx, J^T y> for a random y: the discharge moves by complex step, the engine transposes."""
    structure, rng = STRUCTURES[name], np.random.default_rng(3)
    some, weights = case_of(structure, 30, 20), weights_of(structure)
    dx, dw = some.maps * rng.normal(size=some.maps.shape), rng.normal(size=len(weights))
    moves = expected(some, weights + 1e-40j * dw, some.maps + 1e-40j * dx)[0].imag / 1e-40
    y = rng.normal(size=moves.shape)
    _, bars, _ = some.simulator().gradient(some.parameters, some.state, lambda _: (0.0, y), weights)
    terms = np.concatenate([(bars_of(bars) * dx).ravel(), bars.weights * dw])
    assert abs((moves * y).sum() - terms.sum()) <= 1e-10 * np.abs(terms).sum()


# Against itself


@every_structure
def test_taylor_remainder_has_slope_two(name):
    """Parameters, states and weights at once, along a direction: the remainder falls with the square of the step.

    The cost is that of the whole chain with random weights. Three halvings in a row must show the slope, at steps so
    short that a wrong gradient would leave a slope of 1; which ones depends on the kinks (limits of fluxes) along the
    direction. Where a step is solved by iteration, what Newton's method leaves, the square of its tolerance, must stay
    far below the smallest remainder: there the steps are longer.
    """
    structure, rng = STRUCTURES[name], np.random.default_rng(0)
    some, weights = case_of(structure, 30, 30, seed=2), weights_of(structure)
    simulator = some.simulator()
    direction, along = some.maps * rng.uniform(-1, 1, some.maps.shape), weights * rng.uniform(-1, 1, len(weights))
    value, gradient, _ = simulator.gradient(some.parameters, some.state, squares, weights)
    slope = (bars_of(gradient) * direction).sum() + gradient.weights @ along
    sizes, remainders = 2.0 ** -(np.arange(5) + 11 if structure.model.iterates else np.arange(9) + 14), []
    for h in sizes:
        moved = some.at(some.maps + h * direction)
        changed = squares(simulator.simulate(moved.parameters, moved.state, weights + h * along)[0])[0]
        remainders.append(abs(changed - value - h * slope))
    orders = np.diff(np.log(remainders)) / np.diff(np.log(sizes))
    holds = np.abs(orders - 2) < 0.1
    assert (holds[:-2] & holds[1:-1] & holds[2:]).any(), orders


@either_precision
def test_neither_checkpoints_nor_threads_change_a_bit(name, precision, monkeypatch):
    """Small chunks and blocks, so that a small basin has many of both; the counts of the solver neither."""
    monkeypatch.setattr(order_module, "CHUNK", 48)
    monkeypatch.setattr(simulator_module, "BLOCK_BYTES", 1)
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 250, 60, "wide", seed=3), weights_of(structure)
    found, segments = [], set()
    for threads, memory in ((1, 1e9), (2, 1e9), (1, 1e3), (2, 1e3)):
        simulator = some.simulator(precision=precision, threads=threads, memory=memory)
        assert simulator.order.chunks > 4
        segments.add(simulator.segment)
        discharge, state = simulator.simulate(some.parameters, some.state, weights)
        counted = simulator.newton.copy()
        for _ in range(2):  # buffers are kept between evaluations
            found.append((*simulator.gradient(some.parameters, some.state, squares, weights), state))
            np.testing.assert_array_equal(found[-1][2], discharge)
            np.testing.assert_array_equal(simulator.newton, counted)
    assert min(segments) < simulator.order.waves <= max(segments)
    for value, gradient, discharge, state in found[1:]:
        assert value == found[0][0]
        assert_same(gradient, found[0][1])
        np.testing.assert_array_equal(discharge, found[0][2])
        assert_same(state, found[0][3])


@either_precision
def test_one_run_is_two_half_runs(name, precision):
    """To the last bit, where a row begins in another place and a strip holds other cells."""
    structure = STRUCTURES[name]
    whole, weights = case_of(structure, 300, 60, "wide", seed=4), weights_of(structure)
    discharge, final = whole.simulate(weights, precision=precision)
    for split in (7, 30):
        before, state = whole.cut(0, split, whole.state).simulate(weights, precision=precision)
        after, end = whole.cut(split, 60, state).simulate(weights, precision=precision)
        np.testing.assert_array_equal(np.concatenate([before, after], axis=1), discharge)
        assert_same(end, final)


@either_precision
def test_a_cell_does_not_depend_on_its_neighbours(name, precision):
    """A sub-basin alone has the bits that it has among all the others, though its strips hold other cells."""
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 300, 60, seed=4), weights_of(structure)
    outlet, inside = largest_basin(some)
    assert 30 < inside.sum() < 270
    number = np.cumsum(inside) - 1
    downstream = some.downstream[inside]
    alone = replace(
        some,
        downstream=np.where(downstream >= 0, number[downstream], -1),
        level=some.level[inside] - some.level[inside].min(),
        net=some.net[:, inside],
        weather=tuple(values[:, inside] for values in some.weather),
        ci=some.ci[inside],
        parameters=some.parameters[:, inside],
        state=State(some.state.levels[:, inside], some.state.discharge[inside], some.state.lateral_inflow[inside]),
        gauges=number[[outlet]],
    )
    some = replace(some, gauges=np.array([outlet]))
    together, final = some.simulate(weights, precision=precision)
    apart, state = alone.simulate(weights, precision=precision)
    np.testing.assert_array_equal(apart, together)
    np.testing.assert_array_equal(state.levels, final.levels[:, inside])


@pytest.mark.parametrize("name", OBSERVED)
def test_water_closes(name):
    """In every cell and year, to 1e-9 mm relative to what moves, with the interception that most structures leave out.

    The forcing of structures below interception is pn - en itself here: nothing is intercepted.
    """
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 60, 90, seed=9), weights_of(structure)
    simulator, years = some.simulator(), np.repeat([0, 1, 2], 30)
    balance = CellBalance(simulator, years)
    observers = Observers(simulator, some.parameters, weights, balance)
    _, final = simulator.simulate(some.parameters, some.state, weights, observers)
    if structure.model.takes_net:
        none = np.full(60, 1e-6)
        rain, pet = np.maximum(some.net, 0.0), np.maximum(-some.net, 0.0)
        found = balance.balance(rain, pet, none, np.full(60, 0.5))
        allowed = 1e-5  # a capacity of 1e-6 mm leaks that in 90 steps at most
    else:
        found = balance.balance(some.weather[0], some.weather[1], some.ci, np.zeros(60))
        allowed = 0.0
    moved = sum(np.abs(values) for values in found.terms.values())
    assert (np.abs(found.closure_error) <= 1e-9 * moved + allowed).all(), np.abs(found.closure_error).max()
    rows = simulator.cells(some.parameters).parameters[:, simulator.order.slot]
    held = {name: rows[row] for row, name in enumerate(structure.model.row_names)}
    change = sum(
        (held[state.capacity] if state.capacity else 1.0) * (after - before)
        for state, before, after in zip(structure.model.states, some.state.levels, final.levels, strict=True)
    )
    total = found.terms["storage_change"].sum(axis=0)
    np.testing.assert_allclose(total, change, rtol=0, atol=1e-9 * np.abs(total).max() + allowed)
    assert (found.terms["runoff"] != 0).any()


@every_correction
def test_a_zero_network_is_the_classical_structure(name):
    """Also the gradient of parameters and states; only the last biases have one of their own."""
    structure = CORRECTED[name]
    hybrid, nothing = case_of(structure, 100, 80), np.zeros(structure.weights)
    plain = replace(hybrid, structure=classical_of(structure))
    assert not plain.structure.has_network
    discharge, final = plain.simulate()
    found, state = hybrid.simulate(nothing)
    np.testing.assert_allclose(found, discharge, rtol=0, atol=1e-12 * discharge.max())
    scale = np.maximum(np.abs(final.levels).max(axis=1, keepdims=True), 1.0)
    np.testing.assert_allclose(state.levels / scale, final.levels / scale, rtol=0, atol=1e-12)
    _, bars, _ = plain.simulator().gradient(plain.parameters, plain.state, squares)
    _, of_hybrid, _ = hybrid.simulator().gradient(hybrid.parameters, hybrid.state, squares, nothing)
    for one, two in zip(bars_of(of_hybrid), bars_of(bars), strict=True):
        assert np.abs(one - two).max() <= 1e-11 * np.abs(two).max()
    corrections = len(structure.model.corrections)
    assert (of_hybrid.weights[:-corrections] == 0).all()
    last = np.count_nonzero(of_hybrid.weights[-corrections:])
    assert last == {"grnn": corrections - 1, "node": corrections}.get(structure.kind, last)  # f3 enters grnn squared
    assert last > 0


GR_FAMILY = [
    name for name, structure in STRUCTURES.items() if structure.kind in ("ode", *CLASSICAL) and structure.snow == "none"
]


@pytest.mark.parametrize("name", GR_FAMILY)
def test_limits_bind_in_these_cases_and_only_there_they_matter(name):
    """Small stores feel the limits, large ones do not: there both options have the same bits."""
    structure, weights = STRUCTURES[name], weights_of(STRUCTURES[name])
    weights[-4:-2] += 2.0 if structure.kind == "grnn" else 0.0  # biases of f1 and f2: infiltration nearly doubles
    limits = {"conservative": "as_published", "as_published": "conservative"}[structure.flux_limits]
    some = case_of(structure, 40, 30)
    large = replace(some, parameters=some.parameters * np.array([[500], [20], [1], [1], [1]]))
    for basin, differs in ((some, True), (large, False)):
        one = basin.simulate(weights)[0]
        two = replace(basin, structure=replace(structure, flux_limits=limits)).simulate(weights)[0]
        assert (np.abs(one - two).max() > 1e-6 * one.max()) == differs


# Single precision, and what is not a number


@pytest.mark.parametrize("name", SINGLE)
def test_single_precision_is_close(name):
    """Errors of 1e-7 a step, forgotten by the stores in time: 1e-4 of the peak, 1e-3 of each part of the gradient.

    A kink (a limit that binds) may lie between both: then single cells differ, so parts are compared by their norm.
    """
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 150, 200, seed=6), weights_of(structure)
    _, bars, discharge = some.simulator().gradient(some.parameters, some.state, squares, weights)
    simulator = some.simulator(precision="single")
    _, rough, again = simulator.gradient(some.parameters, some.state, squares, weights)
    np.testing.assert_allclose(again, discharge, rtol=0, atol=1e-4 * discharge.max())
    for one, two in zip((*bars_of(rough), rough.weights), (*bars_of(bars), bars.weights), strict=True):
        assert np.linalg.norm(one - two) <= 1e-3 * np.linalg.norm(two)
    if structure.model.iterates:
        assert simulator.newton[3].sum() == 0
        assert simulator.newton[2].sum() <= 1e-3 * some.net.size


@either_precision
def test_not_a_number_reaches_the_discharge(name, precision):
    """Whatever is broken in a cell upstream, its gauge says so: neither a limit nor a converged solver hides it.

    What does not act on the discharge of the last step at all, by its derivative, is left out.
    """
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 60, 20), weights_of(structure)
    outlet, _ = largest_basin(some)
    some = replace(some, gauges=np.array([outlet]))
    cell = next(c for c in np.flatnonzero(some.downstream == outlet))
    simulator = some.simulator(precision=precision)
    last = np.zeros((1, 20))
    last[0, -1] = 1.0
    acts = bars_of(simulator.gradient(some.parameters, some.state, lambda _: (0.0, last), weights)[1]) != 0
    broken_rows = 0
    for row, symbol in enumerate(rows_of(structure)):
        is_of_outlet = structure.routing == "none" or symbol not in (*structure.parameters, *structure.states)
        place = outlet if is_of_outlet else cell
        if not acts[row, place]:
            continue
        maps = some.maps
        maps[row, place] = np.nan
        broken, broken_rows = some.at(maps), broken_rows + 1
        assert np.isnan(simulator.simulate(broken.parameters, broken.state, weights)[0][0, -1]), symbol
    assert broken_rows >= len(structure.all_parameters)
    for index in range(0, len(weights), 7):
        broken_weights = weights.copy()
        broken_weights[index] = np.nan
        assert np.isnan(simulator.simulate(some.parameters, some.state, broken_weights)[0][0, -1]), index
