"""Neutralised forcing and the yearly water balance, with gaps in the data."""

from __future__ import annotations

import numpy as np
import pytest
from model_harness import STEP, case

from hydrocli.engine.net_forcing import (
    capacities,
    flux_matching,
    intercept_row,
    interception_by_year,
    interception_capacity,
    net_forcing,
)
from hydrocli.engine.observers import CellBalance, Observers, RoutingFloor
from hydrocli.engine.simulator import NO_WEIGHTS
from hydrocli.structures.structure import Structure

STEPS, CELLS = 600, 25


@pytest.fixture(scope="module")
def weather():
    """Rain and evapotranspiration [t, n] with missing values of both."""
    rng = np.random.default_rng(8)
    shape = (STEPS, CELLS)
    rain = np.where(rng.random(shape) < 0.2, rng.exponential(3.0, shape), 0.0).astype(np.float32)
    demand = rng.exponential(0.15, shape).astype(np.float32)
    rain[rng.random(shape) < 0.05] = np.nan
    demand[rng.random(shape) < 0.05] = np.nan
    return rain, demand


@pytest.fixture(scope="module")
def basin():
    return case(CELLS, STEPS, seed=9)


def filled(weather):
    """A step without rain or demand has neither."""
    known = np.isfinite(weather[0]) & np.isfinite(weather[1])
    return (np.where(known, x, 0.0).astype(np.float64) for x in weather)


def test_neutralised_forcing_is_the_papers_step_by_step(weather, basin):
    """P1 2.2.1 typed again; 1e-6 is single precision of some mm."""
    rng = np.random.default_rng(0)
    ci, hi = rng.uniform(0.1, 2.9, CELLS), rng.uniform(0, 1, CELLS)
    order = basin.simulator().order
    ordered, final, missing = net_forcing(order, *weather, ci, hi, np.arange(CELLS))
    h, expected = hi.copy(), np.empty((STEPS, CELLS))
    for t, (p, e) in enumerate(zip(*filled(weather), strict=True)):
        ei = np.minimum(e, p + h * ci)
        pn = np.maximum(0, p - ci * (1 - h) - ei)
        h, expected[t] = h + (p - ei - pn) / ci, pn - (e - ei)
    block = (order.slot >= order.n_headwater).astype(int)
    found = np.empty((STEPS, CELLS))
    for t in range(STEPS):
        waves = order.level[order.slot] + t
        found[t] = ordered[order.offset[block, waves] + order.slot - order.low[block, waves]]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(final, h, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(missing, (~np.isfinite(weather[0]) | ~np.isfinite(weather[1])).sum(axis=0))
    rain, demand = (x.sum(axis=0) for x in filled(weather))
    np.testing.assert_allclose(rain - demand - found.sum(axis=0), ci * (final - hi), rtol=0, atol=1e-9)


def test_flux_matching_is_the_nearest_of_all_candidates(weather):
    times = np.datetime64("2020-02-27T00:00:00", "s") + STEP * np.arange(1, STEPS + 1)
    found = flux_matching(*weather, times, STEP)
    rain, demand = filled(weather)
    day = times.astype("datetime64[D]")
    target = sum(np.minimum(rain[day == d].sum(axis=0), demand[day == d].sum(axis=0)) for d in np.unique(day))
    misfit = []
    for ci in capacities():
        h, intercepted = np.zeros(CELLS), np.zeros(CELLS)
        for p, e in zip(rain, demand, strict=True):
            ei = np.minimum(e, p + h * ci)
            h = h + (p - ei - np.maximum(0, p - ci * (1 - h) - ei)) / ci
            intercepted += ei
        misfit.append(np.abs(intercepted - target))
    np.testing.assert_allclose(found, capacities()[np.argmin(misfit, axis=0)])
    np.testing.assert_array_equal(capacities(), np.round(np.arange(0.1, 2.95, 0.1), 1))
    assert (flux_matching(*weather, times, 86400) == 1e-6).all()


def in_order(simulator, weather, ci, hi):
    """Net forcing [t, n] and the final levels, as `net_forcing` has them."""
    order = simulator.order
    ordered, final, _ = net_forcing(order, *weather, ci, hi, np.arange(CELLS))
    waves = order.level[order.slot] + np.arange(STEPS)[:, np.newaxis]
    block = (order.slot >= order.n_headwater).astype(int)
    return ordered[order.offset[block, waves] + order.slot - order.low[block, waves]], final


@pytest.mark.parametrize("capacity", [1e-6, 0.1, 2.9])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_levels_of_interception_stay_in_their_limits(basin, weather, capacity, scale):
    """After every step, but for what rounding pn - en to single precision leaves in a store; each step closes."""
    ci, hi = np.full(CELLS, capacity), np.full(CELLS, 0.3)
    rain, demand = (np.float32(scale) * np.nan_to_num(x)[:200] for x in weather)
    rounding = 2.0**-24 * max(rain.max(), demand.max()) / capacity if capacity > 1e-6 else 0.0
    missing, net = np.zeros(CELLS, np.int64), np.empty(CELLS, np.float32)
    for p, e in zip(rain, demand, strict=True):
        before = hi.copy()
        intercept_row(p, e, ci, hi, missing, net)
        assert ((hi >= -rounding) & (hi <= 1 + rounding)).all()
        if capacity > 1e-6:
            np.testing.assert_allclose(p - e.astype(np.float64) - net, ci * (hi - before), rtol=0, atol=1e-12 * scale)
    assert (hi == 0.3).all() == (capacity == 1e-6)


@pytest.mark.parametrize(("kind", "step"), [("gr", 86400), ("grd", 3600), ("loieaunn", 3600)])
def test_without_an_interception_store(basin, weather, kind, step):
    """With daily steps, and in two structures: rain meets evapotranspiration within the step, and water closes."""
    times = np.datetime64("2020-01-01T00:00:00", "s") + step * np.arange(1, STEPS + 1)
    ci, hi = interception_capacity(Structure(kind), *weather, times, step), np.full(CELLS, 0.01)
    net, final = in_order(basin.simulator(), weather, ci, hi)
    rain, demand = filled(weather)
    np.testing.assert_allclose(net, rain - demand, rtol=1.2e-7, atol=0)
    np.testing.assert_array_equal(final, hi)
    terms = interception_by_year(*weather, ci, hi, np.zeros(STEPS, np.int64))
    assert (terms["storage_change"] == 0).all()
    evaporated = np.minimum(rain, demand).sum(axis=0)
    np.testing.assert_allclose(terms["evapotranspiration"][0], evaporated, rtol=1e-6)
    np.testing.assert_allclose(
        terms["rain"][0] - terms["evapotranspiration"][0], np.maximum(net.astype(float), 0).sum(axis=0), rtol=1e-12
    )


def test_balance_closes_and_is_that_of_the_sweep(weather, basin):
    """Closure to rounding: 600 steps, each 1e-13 mm of a store of 800 mm. Runoff is what cells hand to the river."""
    rng = np.random.default_rng(1)
    ci, hi = rng.uniform(0.1, 2.9, CELLS), rng.uniform(0, 1, CELLS)
    years = np.repeat([0, 1, 2], STEPS // 3)
    simulator = basin.simulator()
    net, final, _ = net_forcing(simulator.order, *weather, ci, hi, np.arange(CELLS))
    simulator.forcing = (net,)
    recorder = CellBalance(simulator, years)
    observe = Observers(simulator, basin.parameters, NO_WEIGHTS, recorder)
    lateral, n_headwater = np.zeros(CELLS), simulator.order.slot < simulator.order.n_headwater

    def gather(rows, start, count):
        observe(rows, start, count)
        for row in range(1, count + 1):
            t = start + row - 1 - simulator.order.level[simulator.order.slot]
            inside = (t >= 0) & (t < STEPS)
            flow = rows.flow[row, simulator.order.slot]
            flow[~n_headwater] = rows.lateral[row, simulator.order.slot[~n_headwater] - simulator.order.n_headwater]
            lateral[inside] += flow[inside]

    _, state = simulator.simulate(basin.parameters, basin.state, observe=gather)
    balance = recorder.balance(*weather, ci, hi)
    assert np.abs(balance.closure_error).max() < 1e-9
    rain, demand = filled(weather)
    for year in range(3):
        np.testing.assert_allclose(balance.terms["rain"][year], rain[years == year].sum(axis=0), rtol=1e-6)
        assert (balance.terms["evapotranspiration"][year] <= demand[years == year].sum(axis=0) * (1 + 1e-6)).all()
    assert (balance.terms["exchange"] != 0).any()
    np.testing.assert_allclose(balance.terms["runoff"].sum(axis=0), lateral * 1e-3 * STEP, rtol=1e-9)
    levels, start = (np.stack([h, *s.levels]) for h, s in ((final, state), (hi, basin.state)))
    change = ((levels - start) * np.stack([ci, *basin.parameters[:2]])).sum(axis=0)
    np.testing.assert_allclose(balance.terms["storage_change"].sum(axis=0), change, rtol=0, atol=1e-9)


def test_a_dry_river_is_fed_by_its_lowest_flow(basin):
    """No rain, empty stores, all lost: every routed cell is raised to 1e-6 m3/s each step, and the watch counts it."""
    dry = case(CELLS, STEPS, seed=9)
    simulator = dry.simulator()
    simulator.forcing = (np.full_like(simulator.forcing[0], -1.0),)
    parameters = dry.parameters.copy()
    parameters[2] = -50.0
    state = type(dry.state)(np.full((2, CELLS), 1e-6), np.zeros(CELLS), np.zeros(CELLS))
    observe = RoutingFloor(simulator, np.repeat([0, 1], STEPS // 2))
    simulator.simulate(parameters, state, observe=observe)
    routed = np.isin(np.arange(CELLS), dry.downstream)
    assert (observe.volume[:, ~routed] == 0).all()
    lateral = 1e-6 * STEP * STEPS / 2
    assert (observe.volume[:, routed] >= 0.9 * lateral).all()
    assert (observe.volume[:, routed] <= 2.0 * lateral * (1 + 1e-9)).all()
