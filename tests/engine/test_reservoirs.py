"""Neural reservoirs: GR is one of them, no network breaks their bounds, and pre-training finds GR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_harness import Case, case_of
from structure_cases import weights_of

from hydrocli.engine.net_forcing import rain_intensity
from hydrocli.engine.observers import CellBalance, Observers
from hydrocli.engine.order import order_forcing, wavefront_order
from hydrocli.engine.simulator import State
from hydrocli.structures import gr, nr
from hydrocli.structures.gr import inverse_beta
from hydrocli.structures.structure import Structure

RESERVOIRS, EXACT = Structure("nr"), Structure("nr", start="exact")


def test_the_gr_gates_make_gr():
    """To 1e-12 of what the stores hold and move; the lowest level of GR, which the reservoirs lack, is left out."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        cp, ct = 10 ** rng.uniform(0.5, 3, 2)
        pn = rng.exponential(20.0) if rng.random() < 0.5 else 0.0
        forcing = pn, 0.0 if pn else rng.exponential(0.5)
        kexc, states, beta = (
            rng.uniform(-20, 20),
            tuple(rng.uniform(0.01, 1, 2)),
            inverse_beta(int(rng.choice([900, 86400]))),
        )
        stores = cp, 1 / cp, ct, 1 / ct, kexc
        production, transfer = nr.gr_gates(forcing, (*stores, beta), states)
        assert all(0 <= g <= 1 + 1e-15 for g in (*production, *transfer))
        levels, qt, fluxes = nr.step(forcing, stores, states, (*production, *transfer))
        expected, theirs, of_gr = gr.step(forcing, (*stores, beta), states)
        if of_gr[-1] > 0:
            assert levels[1] == 0
            continue
        np.testing.assert_allclose(levels, expected, rtol=0, atol=1e-12)
        size = 1e-12 * (cp + ct + pn + abs(kexc))
        np.testing.assert_allclose((qt, *fluxes), (theirs, *of_gr[:-1]), rtol=0, atol=size)


def without_dry_stores(some: Case) -> Case:
    """Gains of the exchange only: no store reaches the lowest level of GR."""
    rows = some.parameters.copy()
    rows[2] = np.abs(rows[2])
    return replace(some, parameters=rows)


def test_the_exact_start_is_gr():
    """With the weights that it begins with, whatever the network in front of the last layer is."""
    some = without_dry_stores(case_of(EXACT, 80, 60))
    weights = nr.initial_weights(EXACT, 3)
    assert np.count_nonzero(weights) > 0
    discharge, final = some.simulate(weights)
    expected, levels = replace(some, structure=EXACT.without_network).simulate()
    assert EXACT.without_network.kind == "gr"
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-12 * expected.max())
    np.testing.assert_allclose(final.levels, levels.levels, rtol=0, atol=1e-12)


def extreme(structure: Structure, seed: int) -> Case:
    """Any forcing from drought to 500 mm a step, capacities from 0.1 to 1000 mm, levels from empty to full."""
    some, rng, cells, steps = case_of(structure, 120, 80, seed=seed), np.random.default_rng(seed), 120, 80
    net = np.where(
        rng.random((steps, cells)) < 0.5,
        10 ** rng.uniform(-3, 2.7, (steps, cells)),
        -rng.exponential(2.0, (steps, cells)),
    )
    rows = some.parameters.copy()
    rows[:2], rows[2] = 10 ** rng.uniform(-1, 3, (2, cells)), rng.uniform(-50, 50, cells)
    levels = rng.choice([0.0, 1e-6, 0.5, 1.0], (2, cells))
    state = State(levels, some.state.discharge, some.state.lateral_inflow)
    return replace(some, net=net.astype(np.float32), parameters=rows, state=state)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("precision", ["double", "single"])
def test_no_network_breaks_a_bound(seed, precision):
    """Weights N(0, 10): levels in [0, 1] and runoff not negative to the bit; water closes to 1e-9 mm."""
    some, weights = extreme(RESERVOIRS, seed), weights_of(RESERVOIRS, 10.0)
    simulator, seen = some.simulator(precision=precision), []

    def observe(rows, start, count):
        seen.append((rows.levels.min(), rows.levels.max(), rows.flow[: count + 1, : simulator.order.n_headwater].min()))

    discharge, _ = simulator.simulate(some.parameters, some.state, weights, observe)
    lowest, highest, runoff = (np.array(values) for values in zip(*seen, strict=True))
    assert np.isfinite(discharge).all()
    assert lowest.min() >= 0
    assert highest.max() <= 1
    assert runoff.min() >= 0
    if precision == "double":
        balance = CellBalance(simulator, np.zeros(80, np.int64))
        observers = Observers(simulator, some.parameters, weights, balance)
        simulator.simulate(some.parameters, some.state, weights, observers)
        rain, pet = np.maximum(some.net, 0.0), np.maximum(-some.net, 0.0)
        found = balance.kept.sums[0][:, simulator.order.slot]
        terms = dict(zip(balance.terms, found, strict=True))
        outward = terms["evapotranspiration"] + terms["runoff"] + terms["storage_change"] - terms["exchange"]
        assert np.abs(rain.sum(axis=0, dtype=np.float64) - outward).max() < 1e-9
        assert (terms["evapotranspiration"] <= pet.sum(axis=0, dtype=np.float64)).all()


def test_the_intensity_is_the_running_mean_of_the_net_rain():
    """An exponential mean by its definition; a run that is cut in two has the same."""
    some, memory = case_of(Structure("nr", rain_intensity=10800), 40, 30), 3.0

    def ordered(net):
        order = wavefront_order(some.downstream, some.level, len(net))
        forcing = np.zeros(order.forcing_size, np.float32)
        order_forcing(net, 0, order, forcing)
        return order, forcing

    order, net = ordered(some.net)
    start = np.random.default_rng(1).exponential(1.0, 40)
    found, end = rain_intensity(order, net, start, memory)
    expected = np.empty((30, 40))
    level, share = start, 1 - np.exp(-1 / memory)
    for t, row in enumerate(np.maximum(some.net.astype(np.float64), 0.0)):
        level = expected[t] = level + share * (row - level)
    again = np.zeros_like(found)
    order_forcing(expected.astype(np.float32), 0, order, again)
    np.testing.assert_allclose(found, again, rtol=2e-7)
    np.testing.assert_allclose(end, level, rtol=1e-12)
    half, first = ordered(some.net[:11])
    middle = rain_intensity(half, first, start, memory)[1]
    rest, second = ordered(some.net[11:])
    np.testing.assert_allclose(rain_intensity(rest, second, middle, memory)[1], end, rtol=1e-12)
