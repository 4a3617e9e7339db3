"""What each routing promises; the exams of the structures run `gr` with every one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_harness import AREA, Case, case_of, gr_step

from hydrocli.engine.observers import RoutingFloor
from hydrocli.engine.simulator import State
from hydrocli.structures.routings.routing import routings
from hydrocli.structures.structure import Structure


def dry(routing: str) -> Case:
    """A basin whose rivers are empty at the start, with a gauge in every cell."""
    some, nothing = case_of(Structure(routing=routing), 50, 40), np.zeros(50)
    return replace(some, state=State(some.state.levels, nothing, nothing), gauges=np.arange(50))


def runoff_of(some: Case) -> np.ndarray:
    """Lateral inflow [t, n], m3/s."""
    levels, rows = some.state.levels, []
    for net in some.net.astype(np.float64):
        *levels, runoff = gr_step(np.maximum(net, 0), np.maximum(-net, 0), *some.parameters[:3], *levels)
        rows.append(runoff * 1e-3 * AREA / some.step)
    return np.stack(rows)


def test_every_routing_has_its_parameters_after_those_of_the_structure():
    assert set(routings()) == {"kinematic_wave", "linear_reservoir", "lag0", "none"}
    for name, routing in routings().items():
        own = tuple(one.symbol for one in routing.parameters)
        assert Structure("gr6", routing=name).all_parameters == (*Structure("gr6").parameters, *own)


def test_a_linear_reservoir_is_the_one_that_keeps_its_content():
    """A store per cell, filled from upstream, that releases 1 - exp(-dt / llr) of its content; no water is lost."""
    some = dry("linear_reservoir")
    runoff, discharge = runoff_of(some), some.simulate()[0].T
    release = 1 - np.exp(-some.step / 60 / some.parameters[3])
    content, expected = np.zeros(50), np.zeros_like(discharge)
    for t in range(len(runoff)):
        for c in np.argsort(some.level, kind="stable"):
            content[c] += expected[t, some.downstream == c].sum()
            expected[t, c] = release[c] * content[c] + runoff[t, c]
            content[c] -= release[c] * content[c]
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-12 * expected.max())
    left = discharge[:, some.downstream < 0].sum() + content.sum()
    assert left == pytest.approx(runoff.sum(), rel=1e-12)


def test_a_short_lag_is_none():
    """A reservoir that releases all within the step is `lag0`, and one without any release passes its own runoff on."""
    some = dry("linear_reservoir")
    for lag, routing in ((1e-2, "lag0"), (1e15, "none")):
        limit = replace(some, parameters=np.concatenate([some.parameters[:3], np.full((1, 50), lag)]))
        other = replace(some, structure=Structure(routing=routing), parameters=some.parameters[:3])
        expected = other.simulate()[0]
        np.testing.assert_allclose(limit.simulate()[0], expected, rtol=0, atol=1e-9 * expected.max())


def test_without_delay_an_outlet_has_the_runoff_of_its_basin():
    some = dry("lag0")
    runoff = runoff_of(some)
    outlet = np.arange(50)
    for c in np.argsort(-some.level, kind="stable"):
        outlet[c] = outlet[some.downstream[c]] if some.downstream[c] >= 0 else c
    for c in np.flatnonzero(some.downstream < 0):
        np.testing.assert_allclose(some.simulate()[0][c], runoff[:, outlet == c].sum(axis=1), rtol=1e-12)
    alone = dry("none")
    np.testing.assert_allclose(alone.simulate()[0], runoff.T, rtol=0, atol=1e-12 * runoff.max())


def test_only_the_kinematic_wave_raises_small_flows():
    for name in routings():
        some = dry(name)
        floor = RoutingFloor(some.simulator(), np.zeros(40, np.int64))
        some.simulator().simulate(some.parameters, some.state, observe=floor)
        assert (floor.volume > 0).any() == (name == "kinematic_wave")
