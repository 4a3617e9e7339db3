"""Ranges of the inputs of phi1 and what leaves them, against the same counted cell by cell and step by step."""

from __future__ import annotations

import numpy as np
import pytest
from model_harness import Case, case

from hydrocli.basin.gauge_tree import GaugeTree
from hydrocli.engine.observers import Extrapolation, InputRange, Observers
from hydrocli.structures.structure import Structure

STEPS, CELLS = 80, 40
BEFORE, AFTER = Structure("grnn", hidden=(3,)), Structure("node", hidden=(3,))


def inputs(basin: Case, structure: Structure, weights: np.ndarray) -> np.ndarray:
    """[4, t, n] of hp, ht, pn, en as phi1 sees them; the levels of each step from a run that ends with it."""
    states = [basin.state]
    for step in range(STEPS):
        simulator = basin.cut(step, step + 1, states[-1]).simulator(structure=structure)
        states.append(simulator.simulate(basin.parameters, states[-1], weights)[1])
    levels = np.stack([state.levels for state in states], axis=1)
    seen = levels[:, 1:] if structure is AFTER else levels[:, :-1]
    net = basin.net.astype(np.float64)
    return np.concatenate([seen, [np.maximum(net, 0.0), np.maximum(-net, 0.0)]])


@pytest.mark.parametrize("structure", [BEFORE, AFTER], ids=["before", "after"])
def test_ranges_and_what_leaves_them(structure: Structure) -> None:
    basin, rng = case(CELLS, STEPS, seed=4), np.random.default_rng(5)
    weights = rng.normal(0.0, 0.3, structure.weights)
    expected = inputs(basin, structure, weights)
    simulator, steps = basin.simulator(structure=structure), np.arange(STEPS) >= 50
    ranges = InputRange(simulator, steps)
    observe = Observers(simulator, basin.parameters, weights, ranges)
    simulator.simulate(basin.parameters, basin.state, weights, observe)
    np.testing.assert_array_equal(ranges.lowest, expected[:, steps].min(axis=(1, 2)))
    np.testing.assert_array_equal(ranges.highest, expected[:, steps].max(axis=(1, 2)))
    tree = GaugeTree.of(basin.downstream, np.array([CELLS - 1, CELLS // 2, CELLS - 5]))
    outside = Extrapolation(simulator, (ranges.lowest, ranges.highest), tree)
    observe = Observers(simulator, basin.parameters, weights, outside)
    simulator.simulate(basin.parameters, basin.state, weights, observe)
    low, high = (bound[:, np.newaxis, np.newaxis] for bound in (ranges.lowest, ranges.highest))
    leaves = ((expected < low) | (expected > high)).any(axis=0)
    assert leaves.any()
    np.testing.assert_array_equal(outside.cells, tree.sums(leaves.astype(int)).T)
