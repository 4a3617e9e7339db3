from __future__ import annotations

import numpy as np
import pytest

from hydrocli.errors import ConfigurationError, InputError
from hydrocli.score.cost import Catchments, Cost, Term
from hydrocli.score.events import Segmentation
from hydrocli.score.metrics import kge, nse

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
    with pytest.raises(ConfigurationError, match=r"gauges\.weights"):
        Cost.of(case[0], case[1], CODES, weights)


def test_terms_are_weighted_like_gauges(case):
    observed, scored, simulated = case
    terms = [Term("nse", 3.0), Term("kge", 1.0)]
    pairs = [(q[scored], s[scored]) for q, s in zip(observed, simulated, strict=True)]
    parts = [[1 - metric(*pair) for pair in pairs] for metric in (nse, kge)]
    cost = Cost.of(observed, scored, CODES, [1, 1, 2], terms)
    expected = np.array([0.75, 0.25]) @ parts @ [0.25, 0.25, 0.5]
    assert cost.value(simulated) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(cost.by_gauge(simulated), 1 - np.array(parts[0]), rtol=1e-12)
    direction = np.random.default_rng(1).normal(size=simulated.shape)
    up, down = (cost.value(simulated + width * direction) for width in (1e-6, -1e-6))
    found = np.sum(cost.value_and_derivative(simulated)[1] * direction)
    assert found == pytest.approx((up - down) / 2e-6, rel=1e-7)


@pytest.fixture
def catchments(case):
    rain = np.random.default_rng(5).gamma(0.3, 2.0, case[0].shape)
    return Catchments(rain, np.full(3, 40e6), 3600, [Segmentation(peak_quantile=0.9)] * 3)


def test_a_gauge_without_a_signature_leaves_the_term_to_the_others(case, catchments):
    """No rain at A1: its runoff coefficient is not defined, and the others share its weight."""
    observed, scored, simulated = case
    catchments.rain[0] = 0.0
    cost = Cost.of(observed, scored, CODES, [1, 1, 3], [Term("Crc")], catchments)
    alone = [
        Cost.of(observed[[g]], scored, [CODES[g]], None, [Term("Crc")], of_one(catchments, g)).value(simulated[[g]])
        for g in (1, 2)
    ]
    assert cost.value(simulated) == pytest.approx((alone[0] + 3 * alone[1]) / 4, rel=1e-12)
    (note,) = cost.notes
    assert note.startswith("A1: no signature Crc")


def of_one(catchments, g):
    return Catchments(catchments.rain[[g]], catchments.area[[g]], catchments.step, [catchments.segmentation[g]])


def test_a_signature_that_no_gauge_has_is_refused(case, catchments):
    observed, scored, _ = case
    quiet = Catchments(catchments.rain, catchments.area, 3600, [Segmentation(peak_discharge=1e9)] * 3)
    with pytest.raises(InputError, match="the signature Epf is not defined at any calibration gauge"):
        Cost.of(observed, scored, CODES, None, [Term("Epf")], quiet)


def test_few_observations_are_told(case):
    observed, scored, _ = case
    observed[1, 9:] = np.nan
    (note,) = Cost.of(observed, scored, CODES).notes
    assert note == "gauge A2 has only 3 observations in the 34 steps of the calibration period"
