"""No compiled loop gets the same memory twice where it writes: the compiler takes that for granted (`hydrocli.jit`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from model_harness import case_of, squares
from structure_cases import STRUCTURES, weights_of

from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.engine import net_forcing, observers, order, routing, simulator
from hydrocli.engine.observers import CellBalance, Observers, OutputRecorder, OutputRequest, RoutingFloor
from hydrocli.jit import Compiled

Checked = Callable[..., Any]


def arrays_of(value: Any) -> Iterator[np.ndarray]:
    """The arrays in an argument, those in its tuples included."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from arrays_of(part)


def check(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
    """Call a loop; two arrays with memory in common must both be as they were before."""
    arrays = [one for argument in arguments for one in arrays_of(argument) if one.size]
    pairs = [
        (a, b)
        for number, a in enumerate(arrays)
        for b in arrays[number + 1 :]
        if np.may_share_memory(a, b) and np.shares_memory(a, b)
    ]
    before = [(a.copy(), b.copy()) for a, b in pairs]
    with np.errstate(all="ignore"):  # slots without a cell have no area
        result = call()
    for (a, b), (a_before, b_before) in zip(pairs, before, strict=True):
        assert np.array_equal(a, a_before, equal_nan=True), name
        assert np.array_equal(b, b_before, equal_nan=True), name
    return result


def checked(compiled: Compiled, known: dict[Compiled, Checked]) -> Checked:
    """A loop as interpreted Python, which checks its arguments and those of all loops that it calls."""
    if compiled in known:
        return known[compiled]
    function: FunctionType = compiled.py_func  # type: ignore[assignment]
    scope = dict(function.__globals__)
    interpreted = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)

    def call(*arguments: Any) -> Any:
        return check(compiled.__name__, arguments, lambda: interpreted(*arguments))

    call.for_arguments = lambda *arguments: call  # type: ignore[attr-defined]
    known[compiled] = interpreted if compiled.flags.get("forceinline") else call
    for name in function.__code__.co_names:
        if isinstance(scope.get(name), Compiled):
            scope[name] = checked(scope[name], known)
    return known[compiled]


@pytest.fixture
def known(monkeypatch) -> dict[Compiled, Checked]:
    """All loops that the engine calls from Python are interpreted and checked."""
    known: dict[Compiled, Checked] = {}

    def replace_in(module: ModuleType) -> None:
        for name, value in list(vars(module).items()):
            if isinstance(value, Compiled):
                monkeypatch.setattr(module, name, checked(value, known))

    for module in (net_forcing, observers, order, routing):
        replace_in(module)
    loops_of, observer_of = simulator.loops_of, observers.observer_of
    monkeypatch.setattr(
        simulator, "loops_of", lambda model: type(loops_of(model))(*(checked(one, known) for one in loops_of(model)))
    )
    routes_of = routing.routes_of
    monkeypatch.setattr(
        routing, "routes_of", lambda which: type(routes_of(which))(*(checked(one, known) for one in routes_of(which)))
    )
    monkeypatch.setattr(observers, "observer_of", lambda *which: checked(observer_of(*which), known))
    return known


@pytest.mark.parametrize("name", STRUCTURES)
def test_no_loop_writes_into_memory_that_it_has_by_two_names(name, known):
    structure = STRUCTURES[name]
    some, weights = case_of(structure, 7, 3), weights_of(structure)
    one = some.simulator()
    years = np.zeros(3, np.int64)
    wanted = tuple(quantity for quantity in structure.quantities if quantity in structure.states)
    request = OutputRequest(wanted, GaugeTree.of(np.full(7, -1), np.arange(1)), np.ones(7), np.arange(7))
    recorders = CellBalance(one, years), OutputRecorder(one, request)
    one.simulate(some.parameters, some.state, weights, Observers(one, some.parameters, weights, *recorders))
    one.simulate(some.parameters, some.state, weights, RoutingFloor(one, years))
    one.gradient(some.parameters, some.state, squares, weights)
    names = {f"{loop}_{structure.routing}" for loop in ("route", "route_adjoint")}
    assert names | {"settle_slots"} <= {loop.__name__ for loop in known}


def test_the_check_sees_what_it_looks_for():
    row = np.zeros(4)

    def write(a, b):
        a[:] = 1.0

    with pytest.raises(AssertionError):
        check("write", (row, (row[2:],)), lambda: write(row, row[2:]))
    check("write", (row, (row[2:].copy(),)), lambda: write(row, row[2:].copy()))
