"""The sweep against a walk through time and cells, and against itself cut, threaded and checkpointed."""

from __future__ import annotations

import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from model_harness import AREA, STEP, Case, case, reference, squares

from hydrocli.engine import order as order_module
from hydrocli.engine import simulator as simulator_module
from hydrocli.engine.simulator import State

NAMES = ("cp", "ct", "kexc", "akw", "bkw", "hp", "ht")


def assert_same(one, other):
    """The same bits, field by field or array by array."""
    fields = [vars(x) if hasattr(x, "__dict__") else {"": x} for x in (one, other)]
    for name, values in fields[0].items():
        np.testing.assert_array_equal(values, fields[1][name], err_msg=name)


@pytest.mark.parametrize(
    ("kind", "cells", "steps"),
    [("tree", 60, 50), ("tree", 40, 5), ("wide", 70, 30), ("chain", 20, 40), ("chain", 30, 4), ("tree", 1, 30)],
)
def test_discharge_and_state_are_the_reference(kind, cells, steps):
    """1e-12 of the largest: some thousand operations, each wrong by 1e-16."""
    small = case(cells, steps, kind)
    discharge, state = small.simulate()
    expected, levels, flow, lateral = reference(small)
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-12 * expected.max())
    np.testing.assert_allclose(state.levels, levels, rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.discharge, flow, rtol=0, atol=1e-12 * flow.max())
    np.testing.assert_allclose(state.lateral_inflow, lateral, rtol=0, atol=1e-12 * max(lateral.max(), 1e-3))
    np.testing.assert_array_equal(discharge[0], discharge[1])


@pytest.mark.parametrize(("kind", "cells", "steps"), [("chain", 700, 20), ("chain", 60, 900), ("tree", 500, 12)])
@pytest.mark.parametrize("memory", [1e9, 1e4])
def test_rivers_longer_than_blocks_and_periods(kind, cells, steps, memory, monkeypatch):
    """Gauges that start after, or end before, a block of waves: every step is read once."""
    monkeypatch.setattr(simulator_module, "BLOCK_BYTES", 1)
    long = case(cells, steps, kind)
    order = np.argsort(long.level)
    long = replace(long, gauges=order[[0, 1, cells // 2, cells - 1]])
    discharge, _ = long.simulate()
    if steps < 100:
        expected = reference(long)[0]
        np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-12 * expected.max())
    assert_same(long.simulator(memory=memory).gradient(long.parameters, long.state, squares)[2], discharge)


def test_runoff_of_single_cells_is_their_discharge():
    """Cells without a neighbour are not routed: rain on a full store of a millionth of a millimetre leaves at once."""
    net = np.full((4, 3), 10.0, np.float32)
    alone = np.full(3, -1)
    parameters = np.tile([[1e-6], [1e-6], [0.0], [5.0], [0.6]], 3)
    state = State(np.full((2, 3), 0.999999), np.zeros(3), np.zeros(3))
    single = Case(alone, np.zeros(3, int), net, parameters, state, np.arange(3))
    discharge, _ = single.simulate()
    np.testing.assert_allclose(discharge, 10.0 * 1e-3 * AREA / STEP, rtol=1e-6)


def test_steady_rain_leaves_in_full():
    """After long steady rain without exchange every cell passes what falls upstream of it."""
    rain, cells = 5.0, 30
    steady = case(cells, 3000)
    parameters = np.tile([[100.0], [100.0], [0.0], [5.0], [0.6]], cells)
    steady = replace(
        steady, net=np.full((3000, cells), rain, np.float32), parameters=parameters, gauges=np.arange(cells)
    )
    drained = np.ones(cells)
    for cell in np.argsort(steady.level, kind="stable"):
        if steady.downstream[cell] >= 0:
            drained[steady.downstream[cell]] += drained[cell]
    discharge, _ = steady.simulate()
    np.testing.assert_allclose(discharge[:, -1], rain * 1e-3 * AREA / STEP * drained, rtol=1e-6)


def test_gradient_is_that_of_the_reference():
    """Complex step on the reference, per parameter and initial level, in a random direction."""
    small = case(40, 30)
    rng = np.random.default_rng(5)
    value, gradient, discharge = small.simulator().gradient(small.parameters, small.state, squares)
    seed = squares(reference(small)[0])
    assert value == pytest.approx(seed[0], rel=1e-12)
    assert_same(discharge, small.simulate()[0])
    maps = np.concatenate([small.parameters, small.state.levels])
    bars = np.concatenate([gradient.parameters, gradient.levels])
    for row, name in enumerate(NAMES):
        direction = np.zeros_like(maps)
        direction[row] = maps[row] * rng.normal(size=maps.shape[1])
        moved = maps + 1e-40j * direction
        slope = (seed[1] * reference(small, moved[:5], moved[5:])[0].imag).sum() / 1e-40
        assert (bars[row] * direction[row]).sum() == pytest.approx(slope, rel=1e-9), name


@pytest.mark.parametrize("row", range(7), ids=NAMES)
def test_gradient_is_that_of_central_differences(row):
    """Through the engine alone; the step balances truncation (1e-5)^2 against rounding 1e-16/1e-5."""
    some = case(150, 120, seed=2)
    simulator = some.simulator()
    maps = np.concatenate([some.parameters, some.state.levels])
    direction = np.zeros_like(maps)
    direction[row] = maps[row] * np.random.default_rng(row).uniform(0.5, 1.5, maps.shape[1])
    _, gradient, _ = simulator.gradient(some.parameters, some.state, squares)
    sides = []
    for sign in (1, -1):
        moved = maps + sign * 1e-5 * direction
        sides.append(squares(simulator.simulate(moved[:5], replace(some.state, levels=moved[5:]))[0])[0])
    slope = (np.concatenate([gradient.parameters, gradient.levels]) * direction).sum()
    assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6)


def test_taylor_remainder_has_slope_two():
    """|J(x + h d) - J(x) - h J'(x) d| falls with h^2: the whole chain, all parameters and levels at once."""
    some = case(150, 120, seed=2)
    simulator = some.simulator()
    maps = np.concatenate([some.parameters, some.state.levels])
    direction = maps * np.random.default_rng(0).uniform(-1, 1, maps.shape)
    value, gradient, _ = simulator.gradient(some.parameters, some.state, squares)
    slope = (np.concatenate([gradient.parameters, gradient.levels]) * direction).sum()
    sizes, remainders = 2.0 ** -np.arange(7, 13), []
    for h in sizes:
        moved = maps + h * direction
        changed = squares(simulator.simulate(moved[:5], replace(some.state, levels=moved[5:]))[0])[0]
        remainders.append(abs(changed - value - h * slope))
    orders = np.diff(np.log(remainders)) / np.diff(np.log(sizes))
    assert (np.abs(orders - 2) < 0.05).all(), orders


@pytest.mark.parametrize("kind", ["tree", "wide"])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_neither_checkpoints_nor_threads_change_a_bit(kind, precision, monkeypatch):
    """Small chunks and blocks, so that a small basin has many of both; levels of `wide` span several chunks."""
    monkeypatch.setattr(order_module, "CHUNK", 32)
    monkeypatch.setattr(simulator_module, "BLOCK_BYTES", 1)
    some = case(500, 250, kind, seed=3)
    expected, final = some.simulate(precision=precision)
    value, gradient, _ = some.simulator(precision=precision).gradient(some.parameters, some.state, squares)
    segments = set()
    for threads in (1, 2, 3):
        for memory in (1e9, 1e3):
            simulator = some.simulator(precision=precision, threads=threads, memory=memory)
            assert simulator.order.chunks > 5
            segments.add(simulator.segment)
            again, state = simulator.simulate(some.parameters, some.state)
            assert_same(again, expected)
            assert_same(state, final)
            for _ in range(2):  # buffers are kept between evaluations
                other, bars, discharge = simulator.gradient(some.parameters, some.state, squares)
                assert other == value
                assert_same(bars, gradient)
                assert_same(discharge, expected)
    assert min(segments) < simulator.order.waves <= max(segments)


@pytest.mark.parametrize("blocks", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["tree", "wide"])
def test_rows_are_used_again_only_when_nobody_reads_them(kind, blocks, monkeypatch):
    """The worst order that the schedule allows: chunks upstream run as far ahead as they may."""
    monkeypatch.setattr(order_module, "CHUNK", 32)
    monkeypatch.setattr(simulator_module, "BLOCK_BYTES", 1)
    some = case(300, 150, kind, seed=3)
    expected, final = some.simulate()

    def most_upstream(ready):
        return ready.pop(min(range(len(ready)), key=lambda number: ready[number][1]))

    def eager(self, run, turns, ahead):
        simulator_module._Turns(self.order.chunks, turns, self._lead, ahead).work(run)

    monkeypatch.setattr(simulator_module, "heappop", most_upstream)
    monkeypatch.setattr(simulator_module.Simulator, "_run", eager)
    simulator = some.simulator()
    assert simulator.order.chunks > 5
    simulator.held = blocks * simulator.block
    discharge, state = simulator.simulate(some.parameters, some.state)
    assert_same(discharge, expected)
    assert_same(state, final)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_memory_is_what_was_said_and_keeps_to_the_budget(share, monkeypatch):
    """Peaks of what NumPy allocates; a budget that is too small is said with what is needed instead."""
    monkeypatch.setattr(order_module, "CHUNK", 32)
    monkeypatch.setattr(simulator_module, "BLOCK_BYTES", 1)
    some = case(1500, 1000, "tree", seed=3)
    whole = some.simulator(memory=1e9)
    whole.gradient(some.parameters, some.state, squares)  # compiles
    forcing, budget = sum(values.nbytes for values in whole.forcing), share * whole.bytes_needed(gradient=True)
    simulator = some.simulator(memory=budget)
    for gradient in (False, True):
        tracemalloc.start()
        if gradient:
            simulator.gradient(some.parameters, some.state, squares)
        else:
            simulator.simulate(some.parameters, some.state)
        peak = forcing + tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        simulator.release()
        needed = simulator.bytes_needed(gradient)
        assert needed <= peak < 1.25 * needed, gradient
        smallest = some.simulator(memory=0.0).bytes_needed(gradient)
        assert needed <= max(budget, smallest), gradient


@pytest.mark.parametrize("kind", ["tree", "wide"])
def test_chunks_and_blocks_change_no_more_than_rounding(kind, monkeypatch):
    """What the same cells owe each other does not depend on how they are cut."""
    some = case(500, 250, kind, seed=3)
    value, gradient, discharge = some.simulator().gradient(some.parameters, some.state, squares)
    monkeypatch.setattr(simulator_module, "BLOCK_BYTES", 1)
    for chunk in (32, 100, 300):
        monkeypatch.setattr(order_module, "CHUNK", chunk)
        other, bars, again = some.simulator().gradient(some.parameters, some.state, squares)
        assert other == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(again, discharge, rtol=1e-13)
        for one, two in ((bars.parameters, gradient.parameters), (bars.levels, gradient.levels)):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12 * np.abs(two).max())


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize(("kind", "split"), [("tree", 60), ("tree", 7), ("chain", 31)])
def test_one_run_is_two_half_runs(kind, split, precision):
    """A warm start is exact: the state holds all that the next step needs."""
    whole = case(90, 120, kind, seed=4)
    discharge, final = whole.simulate(precision=precision)
    first = whole.cut(0, split, whole.state)
    before, state = first.simulate(precision=precision)
    after, end = whole.cut(split, 120, state).simulate(precision=precision)
    assert_same(np.concatenate([before, after], axis=1), discharge)
    assert_same(end, final)


def test_single_precision_is_close():
    """Errors of 1e-7 a step, forgotten by the stores in time: 1e-4 of the peak, 1e-3 of each row of the gradient."""
    some = case(150, 300, seed=6)
    value, gradient, discharge = some.simulator().gradient(some.parameters, some.state, squares)
    simulator = some.simulator(precision="single")
    other, bars, again = simulator.gradient(some.parameters, some.state, squares)
    np.testing.assert_allclose(again, discharge, rtol=0, atol=1e-4 * discharge.max())
    assert other == pytest.approx(value, rel=1e-4)
    for one, two in ((bars.parameters, gradient.parameters), (bars.levels, gradient.levels)):
        assert (np.abs(one - two).max(axis=1) <= 1e-3 * np.abs(two).max(axis=1)).all()


def test_cells_that_no_gauge_sees_have_no_gradient():
    some = case(80, 40, "wide", seed=7)
    outlets = np.flatnonzero(some.downstream < 0)
    some = replace(some, gauges=outlets[:1])
    seen = np.zeros(80, bool)
    for cell in np.argsort(-some.level, kind="stable"):
        seen[cell] = cell == outlets[0] or (some.downstream[cell] >= 0 and seen[some.downstream[cell]])
    _, gradient, _ = some.simulator().gradient(some.parameters, some.state, squares)
    assert 0 < seen.sum() < 80
    assert (gradient.parameters[:, ~seen] == 0).all()
    assert (gradient.levels[:, ~seen] == 0).all()
    assert (gradient.parameters[0, seen] != 0).all()


@pytest.mark.parametrize("kind", ["tree", "wide", "chain"])
def test_a_run_that_was_not_finite_leaves_nothing_behind(kind):
    """Rows are used again; those of cells that have not started or have ended are never read."""
    some = case(90, 40, kind, seed=4)
    expected = some.simulator().gradient(some.parameters, some.state, squares)
    simulator = some.simulator()
    simulator.simulate(np.full_like(some.parameters, np.nan), some.state)
    assert np.isnan(simulator.gradient(np.full_like(some.parameters, np.nan), some.state, squares)[0])
    again = simulator.gradient(some.parameters, some.state, squares)
    assert again[0] == expected[0]
    assert_same(again[1], expected[1])


@pytest.mark.parametrize(("lead", "ahead"), [(0, 1), (1, 0), (1, 1), (1, 2), (3, 3), (3, 4)])
def test_threads_keep_the_order_of_the_tiles(lead, ahead):
    """Every place after the one before it, and never further ahead than the kept rows reach, on each path."""
    places, turns = 7, 9
    schedule, running = simulator_module._Turns(places, turns, lead, ahead), threading.Lock()
    done, rng, reach = [0] * places, np.random.default_rng(lead), max(lead, 1)

    def run(place: int, turn: int) -> None:
        with running:
            assert turn == done[place]
            assert place == 0 or done[place - 1] > turn
            assert all(done[later] >= turn - ahead for later in range(place, min(place + reach + 1, places)))
            pause = rng.exponential(2e-4)
        time.sleep(pause)
        with running:
            done[place] += 1

    with ThreadPoolExecutor(4) as pool:
        for worker in [pool.submit(schedule.work, run) for _ in range(4)]:
            worker.result(timeout=60)
    assert done == [turns] * places


def test_a_signal_between_two_tiles_ends_all_threads(monkeypatch):
    schedule, calls = simulator_module._Turns(5, 5, 1, 1), []
    plain = simulator_module._Turns._next

    def interrupted(self, finished):
        calls.append(finished)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return plain(self, finished)

    monkeypatch.setattr(simulator_module._Turns, "_next", interrupted)
    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(schedule.work, lambda place, turn: time.sleep(1e-3)) for _ in range(3)]
        failed = [worker.exception(timeout=60) for worker in workers]
    assert sum(isinstance(one, KeyboardInterrupt) for one in failed) == 1


def test_a_tile_that_fails_ends_all_threads():
    schedule = simulator_module._Turns(5, 5, 1, 1)

    def run(place: int, turn: int) -> None:
        if (place, turn) == (2, 1):
            raise FloatingPointError("here")

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(schedule.work, run) for _ in range(3)]
        failed = [worker.exception(timeout=60) for worker in workers]
    assert sum(isinstance(one, FloatingPointError) for one in failed) == 1
