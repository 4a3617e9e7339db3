from __future__ import annotations

import math

import numpy as np
import pytest

from hydrocli.score.metrics import METRICS, kge, mae, n_valid, nse, pbias, peak_ratio, rmse


@pytest.fixture
def hydrographs():
    random = np.random.default_rng(3)
    observed = random.gamma(1.5, 4.0, 200)
    simulated = 0.7 * observed + random.gamma(1.0, 2.0, 200)
    observed[[0, 17, 18, 199]] = np.nan
    return observed, simulated


def test_metrics_are_the_textbook_formulas_over_the_pairs_with_an_observation(hydrographs):
    observed, simulated = hydrographs
    pairs = [(q, s) for q, s in zip(*hydrographs, strict=True) if not math.isnan(q)]
    q, s = np.array(pairs).T
    error = math.fsum((a - b) ** 2 for a, b in pairs)
    assert n_valid(observed) == len(pairs) == 196
    assert nse(observed, simulated) == pytest.approx(1 - error / (len(q) * np.var(q)), rel=1e-12)
    distance = (np.corrcoef(q, s)[0, 1] - 1, np.std(s) / np.std(q) - 1, np.mean(s) / np.mean(q) - 1)
    assert kge(observed, simulated) == pytest.approx(1 - math.hypot(*distance), rel=1e-12)
    assert rmse(observed, simulated) == pytest.approx(math.sqrt(error / len(q)), rel=1e-12)
    assert mae(observed, simulated) == pytest.approx(math.fsum(abs(a - b) for a, b in pairs) / len(q), rel=1e-12)
    assert pbias(observed, simulated) == pytest.approx(100 * (math.fsum(s) / math.fsum(q) - 1), rel=1e-9)
    assert peak_ratio(observed, simulated) == pytest.approx(max(s) / max(q), rel=1e-12)


def test_a_perfect_simulation_and_the_mean_observation_are_the_fixed_points():
    observed = np.array([1.0, 5.0, 2.0, np.nan, 4.0])
    perfect = [metric(observed, observed) for metric in (nse, kge, rmse, mae, pbias, peak_ratio)]
    assert perfect == pytest.approx([1, 1, 0, 0, 0, 1], abs=1e-15)
    assert nse(observed, np.full(5, 3.0)) == 0


def test_pbias_is_positive_where_the_simulation_has_too_much_water():
    assert pbias([1.0, 3.0], [1.5, 4.5]) == 50
    assert pbias([1.0, 3.0], [1.0, 1.0]) == -50


def test_the_peaks_may_lie_at_different_times_but_only_among_the_pairs():
    assert peak_ratio([1.0, 8.0, 2.0, np.nan], [4.0, 1.0, 1.0, 50.0]) == 0.5


@pytest.mark.parametrize("name", METRICS)
def test_without_any_pair_a_metric_is_nan_without_a_warning(name):
    assert math.isnan(METRICS[name]([np.nan, np.nan], [1.0, 2.0]))
    assert math.isnan(METRICS[name]([], []))


@pytest.mark.parametrize("observed", [[0.1, 0.1, 0.1], [0.1, np.nan, np.nan]])
def test_constant_observations_leave_efficiencies_undefined_and_the_errors_defined(observed):
    """The mean of three 0.1 is not 0.1 in binary: a test of the variance against 0 would let this through."""
    simulated = [0.2, 0.3, 0.4]
    assert math.isnan(nse(observed, simulated))
    assert math.isnan(kge(observed, simulated))
    for metric in (rmse, mae, pbias, peak_ratio):
        assert math.isfinite(metric(observed, simulated))


def test_a_dry_gauge_or_a_constant_simulation_gives_nan_where_the_formula_divides_by_zero():
    dry = [0.0, 0.0]
    assert math.isnan(pbias(dry, [1.0, 2.0]))
    assert math.isnan(peak_ratio(dry, [1.0, 2.0]))
    assert math.isnan(kge([1.0, 2.0], [1.5, 1.5]))


def test_nan_in_the_simulation_comes_out_as_nan(hydrographs):
    observed, simulated = hydrographs
    simulated[5] = np.nan
    assert all(math.isnan(metric(observed, simulated)) for metric in METRICS.values())


@pytest.mark.peer
def test_metrics_agree_with_smash_on_cance(peer):
    """Its sums over 1440 values are float32 and keep 1e-6; an efficiency near 0 is the rest of a difference."""
    for name in ("nse", "kge", "rmse", "mae"):
        theirs = np.ravel(peer.call(peer.smash.evaluation, peer.model, metric=name))
        ours = [METRICS[name](q, s) for q, s in zip(peer.observed, peer.simulated, strict=True)]
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
