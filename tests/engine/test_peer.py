"""Parity with smash 1.3.0 (gr4, kinematic wave) on Cance, with a random parameter in every cell.

smash computes in single precision throughout: in its stores, its sums and its adjoint.
"""

from __future__ import annotations

import numpy as np
import pytest
from peer_harness import NAMES, gauge_cost, load, smash_gradient

from hydrocli.engine.net_forcing import flux_matching

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def cance():
    return load("gr4")


def test_interception_capacity_is_equal_in_every_cell(cance):
    """Both choose from tenths of a millimetre; smash's tenths are single-precision numbers."""
    found = flux_matching(cance.rain, cance.demand, cance.times, 3600)
    np.testing.assert_array_equal(np.round(10 * found), np.round(10 * cance.ci))
    assert len(np.unique(found)) > 3


@pytest.mark.parametrize("precision", ["double", "single"])
def test_discharge(cance, precision):
    """1e-5 of the peak: stores in single precision, 1440 steps."""
    discharge, state = cance.simulator(precision).simulate(cance.maps[:5], cance.state)
    expected = cance.model.response.q
    np.testing.assert_allclose(discharge, expected, rtol=0, atol=1e-5 * expected.max())
    final = np.stack([cance.model.get_rr_final_states(name)[cance.row, cance.column] for name in ("hp", "ht")])
    np.testing.assert_allclose(state.levels, final, rtol=0, atol=2e-5)


def test_gradient(cance):
    """d cost / d every parameter and initial level of every cell against smash's backward run.

    Its single precision sets how close it can come, and ours shows how much that is: per row, the distance from smash
    may be ten times what our own gradient loses from double to single precision (5e-6 to 7e-5 of the row's norm), since
    smash sums in another order and takes powers and hyperbolic tangents in single precision. Measured: 3e-6 to 6e-5.
    """
    expected_cost, expected, _ = smash_gradient(cance, network=False)
    cost = gauge_cost(cance)
    value, gradient, _ = cance.simulator().gradient(cance.maps[:5], cance.state, cost)
    _, single, _ = cance.simulator("single").gradient(cance.maps[:5], cance.state, cost)
    bars, rough = (np.concatenate([g.parameters, g.levels]) for g in (gradient, single))
    assert value == pytest.approx(expected_cost, rel=1e-5)
    for k, name in enumerate(NAMES):
        distance, lost = (
            np.linalg.norm(other - bars[k]) / np.linalg.norm(bars[k]) for other in (expected[k], rough[k])
        )
        assert distance <= 10 * lost, (name, distance, lost)
        assert lost < 1e-4, (name, lost)
