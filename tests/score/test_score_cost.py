from __future__ import annotations

import numpy as np
import pytest

from hydrocli.errors import ConfigurationError, InputError
from hydrocli.score.cost import Cost, Reference, one_minus_nse, one_minus_nse_bar
from hydrocli.score.metrics import nse

CODES = ("A1", "A2", "B7")


@pytest.fixture
def case():
    random = np.random.default_rng(11)
    observed = random.gamma(2.0, 3.0, (3, 40))
    observed[0, 5:9] = observed[2, 30] = np.nan
    scored = np.arange(40) >= 6
    return observed, scored, observed.mean(where=~np.isnan(observed)) + random.normal(0, 2, (3, 40))


def test_cost_is_the_weighted_sum_of_one_minus_nse_over_the_scored_steps(case):
    observed, scored, simulated = case
    efficiencies = [nse(q[scored], s[scored]) for q, s in zip(observed, simulated, strict=True)]
    np.testing.assert_allclose(Cost.of(observed, scored, CODES).by_gauge(simulated), efficiencies, rtol=1e-13)
    assert Cost.of(observed, scored, CODES).value(simulated) == pytest.approx(1 - np.mean(efficiencies), rel=1e-13)
    weighted = Cost.of(observed, scored, CODES, weights=[2, 0, 6])
    assert weighted.value(simulated) == pytest.approx(1 - (efficiencies[0] + 3 * efficiencies[2]) / 4, rel=1e-13)


def test_derivative_against_central_differences(case):
    """The cost is quadratic in the discharge, so central differences are exact but for rounding (1e-16 / 1e-3)."""
    observed, scored, simulated = case
    cost = Cost.of(observed, scored, CODES, weights=[1, 2, 3])
    value, derivative = cost.value_and_derivative(simulated)
    assert value == cost.value(simulated)
    for index in np.ndindex(simulated.shape):
        up, down = simulated.copy(), simulated.copy()
        up[index] += 1e-3
        down[index] -= 1e-3
        difference = (cost.value(up) - cost.value(down)) / 2e-3
        assert derivative[index] == pytest.approx(difference, rel=1e-9, abs=1e-11)


def test_derivative_of_the_term_against_the_complex_step(case):
    observed = case[0][1]
    reference = Reference(np.arange(40), observed, float(np.sum((observed - observed.mean()) ** 2)))
    simulated, direction = case[2][1], np.random.default_rng(2).normal(size=40)
    forward = one_minus_nse(reference, simulated + 1e-30j * direction).imag / 1e-30
    assert one_minus_nse_bar(reference, simulated, 0.7) @ direction == pytest.approx(0.7 * forward, rel=1e-13)


def test_steps_that_are_missing_or_not_scored_neither_count_nor_pull(case):
    observed, scored, simulated = case
    cost = Cost.of(observed, scored, CODES)
    ignored = np.isnan(observed) | ~scored
    assert not cost.value_and_derivative(simulated)[1][ignored].any()
    assert cost.value(np.where(ignored, 1e9, simulated)) == cost.value(simulated)


def test_single_precision_discharge_is_summed_in_double(case):
    observed, scored, simulated = case
    cost = Cost.of(observed, scored, CODES)
    single = simulated.astype(np.float32)
    assert cost.value(single) == cost.value(single.astype(np.float64))
    assert cost.value_and_derivative(single)[1].dtype == np.float64


def test_gauges_that_cannot_be_scored_are_refused_all_of_them_by_name(case):
    observed, scored, _ = case
    observed[0, 6:] = np.nan
    observed[2, 6:] = 0.3
    with pytest.raises(InputError) as caught:
        Cost.of(observed, scored, CODES)
    assert "A1 has no observation" in str(caught.value)
    assert "B7 has only the value 0.3 m3/s" in str(caught.value)
    assert "A2" not in str(caught.value)


@pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1], [0, 0, 0], [1, np.nan, 1], [1, np.inf, 1]])
def test_weights_that_make_no_mean_are_refused(case, weights):
    with pytest.raises(ConfigurationError, match=r"objective\.weights"):
        Cost.of(case[0], case[1], CODES, weights)
