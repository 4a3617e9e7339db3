"""Climatology and linear regression: their solutions, and their transposes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from baseline_cases import catchments, observations

from hydrocli.baselines import climatology, linear
from hydrocli.baselines.baseline import Baseline, Observations
from hydrocli.score.cost import Cost

KINDS: dict[str, Any] = {"climatology": climatology, "linear": linear}


def solved(kind: str, scope: str, seen: Observations, ridge: float = 0.0) -> tuple[Any, np.ndarray]:
    baseline = Baseline(kind, kind, scope, ridge=ridge)
    arrays, weights = KINDS[kind].first(baseline, seen, 1)
    codes = seen.catchments.codes
    return KINDS[kind].model(baseline, seen.catchments, arrays, baseline.owners(codes, codes)), weights


@pytest.mark.parametrize("scope", ["regional", "local"])
def test_linear_is_the_minimum_of_the_objective(scope: str) -> None:
    """Without a penalty, and where no value is below 0, the gradient of 1 - NSE is zero there."""
    seen = observations(catchments(3, 2000))
    seen = replace(seen, discharge=seen.discharge + 20.0 * seen.catchments.cubic_metres[:, np.newaxis])
    cost = Cost.of(seen.discharge, seen.scored, seen.catchments.codes)
    model, weights = solved("linear", scope, seen)
    discharge, trace = model.run(weights)
    assert (discharge > 0).all()
    value, bar = cost.value_and_derivative(discharge)
    gradient = model.pull_back(weights, trace, bar)
    assert np.abs(gradient).max() < 1e-9
    nearby = weights + 1e-3 * np.random.default_rng(1).standard_normal(weights.size)
    assert value < cost.value(model.run(nearby)[0])
    assert value < 0.2
    _, held = solved("linear", scope, seen, ridge=1.0)
    assert cost.value(model.run(held)[0]) > value


def test_linear_finds_a_truth_of_its_own_kind() -> None:
    """Rain of the past by classes of wetness; the same at all gauges, so regional weights are right for all."""
    seen = observations(catchments(2, 3000))
    model, weights = solved("linear", "regional", seen)
    truth = np.abs(np.random.default_rng(3).standard_normal(weights.size))
    discharge = model.run(truth)[0]
    again = replace(seen, discharge=discharge)
    baseline = Baseline("linear", "linear", "regional")
    arrays, found = linear.first(baseline, again, 1)
    exact = linear.model(baseline, again.catchments, arrays, np.zeros(2, np.intp)).run(found)[0]
    np.testing.assert_allclose(exact, discharge, rtol=1e-6)


def test_climatology_is_the_mean_of_the_season_and_of_the_hour() -> None:
    here = catchments(2, 3 * 365 * 8, step=3 * 3600)
    day, hour = climatology.places(here.times, here.step, 8)
    assert (day[0], hour[0], day[7], day[8], hour[8]) == (243, 0, 243, 244, 0)
    depth = 2.0 + np.sin(2 * np.pi * day / 366) + np.where(hour == 5, 0.4, 0.0)
    seen = replace(observations(here), discharge=depth * here.cubic_metres[:, np.newaxis])
    model, weights = solved("climatology", "local", seen)
    assert weights.size == 2 * (366 + 8)
    found = model.run(weights)[0] / here.cubic_metres[:, np.newaxis]
    inside = seen.scored & (day > 15) & (day < 350)
    assert np.abs(found - depth)[:, inside].max() < 0.03


def test_a_season_without_observations_has_the_mean_of_all() -> None:
    seen = observations(catchments(1, 24 * 60))
    _, weights = solved("climatology", "regional", seen)
    known = np.isfinite(seen.depth) & seen.scored
    scale = climatology.flow_scale(Baseline("climatology", "", "regional"), seen)[0]
    assert weights[100] == pytest.approx(seen.depth[known].mean() / scale, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scope", ["regional", "local"])
def test_the_adjoint_is_the_transpose(kind: str, scope: str) -> None:
    """The discharge is linear in the weights but where it is cut at 0."""
    seen = observations(catchments(3, 400))
    model, weights = solved(kind, scope, seen)
    random = np.random.default_rng(6)
    weights = random.standard_normal(weights.size) - 0.3
    discharge, trace = model.run(weights)
    assert 0.05 < np.mean(discharge == 0) < 0.95
    direction, y = random.standard_normal(weights.size), random.standard_normal(discharge.shape)
    forward = (model.run(weights + 1e-8 * direction)[0] - model.run(weights - 1e-8 * direction)[0]) / 2e-8
    bars = model.pull_back(weights, trace, y)
    assert np.sum(forward * y) == pytest.approx(direction @ bars, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gauge_without_weights_has_no_discharge(kind: str) -> None:
    seen = observations(catchments(2, 300))
    baseline = Baseline(kind, kind, "local")
    arrays, weights = KINDS[kind].first(baseline, seen, 1)
    model = KINDS[kind].model(baseline, seen.catchments, arrays, np.array([-1, 0]))
    discharge, trace = model.run(weights)
    assert np.isnan(discharge[0]).all()
    assert np.isfinite(discharge[1]).all()
    assert np.isfinite(model.pull_back(weights, trace, np.ones(discharge.shape))).all()
