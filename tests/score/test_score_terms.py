"""Every term of the cost has a derivative and an exam here: the tables of terms are enumerated."""

from __future__ import annotations

import numpy as np
import pytest

from hydrocli.score import metrics
from hydrocli.score.baseflow import baseflow, baseflow_bar
from hydrocli.score.cost import Catchments, Cost, Term
from hydrocli.score.events import Segmentation, find_events
from hydrocli.score.metrics import METRIC_TERMS, Reference, kge, nse
from hydrocli.score.signatures import (
    CONTINUOUS,
    CONTINUOUS_MEASURES,
    EVENT,
    EVENT_MEASURES,
    continuous_signatures,
    event_signatures,
)
from hydrocli.score.transforms import TRANSFORMS, transformed, transformed_bar

MEASURES = CONTINUOUS_MEASURES | EVENT_MEASURES
OFFSET = 0.04
STEP, AREA = 3600, 80e6


@pytest.fixture
def pair():
    random = np.random.default_rng(7)
    observed = random.gamma(1.2, 3.0, 120)
    return observed, 0.8 * observed + random.gamma(0.7, 2.0, 120)


def flood(peaks, size=900):
    """Discharge [m3/s] with its recession after each peak (time, height), and the rain [mm] some hours before."""
    times = np.arange(size)
    flow, rain = np.full(size, 0.8), np.full(size, 0.01)
    for at, height in peaks:
        flow += height * np.where(times < at, np.clip(1 - (at - times) / 7, 0, None), 0.5 ** ((times - at) / 22))
        rain[at - 12 : at - 5] += [1, 3, 6, 4, 2, 1, 0.5]
    return flow, rain


@pytest.fixture
def catchment():
    """Observed and simulated discharge of three floods with gaps, and the catchments they come from."""
    random = np.random.default_rng(3)
    observed, rain = flood([(200, 40), (420, 25), (700, 60)])
    simulated, _ = flood([(203, 30), (418, 30), (702, 66)])
    simulated *= np.exp(0.1 * random.standard_normal(observed.size))  # no two values are the same: no kink is met
    observed[[100, 310, 311, 705]] = np.nan
    rain[[50, 690]] = np.nan
    segmentation = Segmentation(peak_quantile=0.94)
    return observed, simulated, Catchments(rain[np.newaxis], np.array([AREA]), STEP, [segmentation])


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", METRIC_TERMS)
def test_derivative_of_each_metric_on_each_transform_against_the_complex_step(name, transform, pair):
    observed, simulated = pair
    forward, backward = METRIC_TERMS[name]
    reference = Reference.of(transformed(observed, transform, OFFSET))
    simulated = np.where(np.arange(simulated.size) % 11 == 3, -0.02, simulated)  # dry, and a little below
    direction = np.random.default_rng(2).normal(size=simulated.size)
    value = forward(reference, transformed(simulated + 1e-30j * direction, transform, OFFSET))
    bar = backward(reference, transformed(simulated, transform, OFFSET), 0.7)
    found = transformed_bar(simulated, transform, OFFSET, bar) @ direction
    assert value.real == pytest.approx(forward(reference, transformed(simulated, transform, OFFSET)), rel=1e-13)
    assert found == pytest.approx(0.7 * value.imag / 1e-30, rel=1e-11)


@pytest.mark.parametrize("name", METRIC_TERMS)
def test_a_perfect_simulation_costs_nothing_and_is_left_where_it_is(name, pair):
    forward, backward = METRIC_TERMS[name]
    reference = Reference.of(pair[0])
    assert forward(reference, pair[0]) == pytest.approx(0, abs=1e-15)
    assert np.abs(backward(reference, pair[0], 1.0)).max() < 1e-2  # at the cusp of kge rounding has a direction
    assert forward(reference, pair[1]) > 0.01


def test_terms_are_the_metrics_of_the_table_of_scores(pair):
    observed, simulated = pair
    reference = Reference.of(observed)
    value = {name: forward(reference, simulated) for name, (forward, _) in METRIC_TERMS.items()}
    assert value["nse"] == pytest.approx(1 - nse(observed, simulated), rel=1e-13)
    assert value["nnse"] == pytest.approx(1 - 1 / (2 - nse(observed, simulated)), rel=1e-13)
    assert value["kge"] == pytest.approx(1 - kge(observed, simulated), rel=1e-13)
    assert value["rmse"] == pytest.approx(metrics.rmse(observed, simulated) / observed.mean(), rel=1e-13)
    assert value["mse"] == pytest.approx(value["rmse"] ** 2, rel=1e-13)


def test_a_simulation_that_does_not_vary_has_a_kge_and_a_finite_derivative(pair):
    forward, backward = METRIC_TERMS["kge"]
    reference, flat = Reference.of(pair[0]), np.full(pair[0].size, 2 * pair[0].mean())
    assert forward(reference, flat) == pytest.approx(np.sqrt(3), rel=1e-13)
    assert np.isfinite(backward(reference, flat, 1.0)).all()


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_survive_a_dry_river_and_go_on_below(transform):
    discharge = np.array([-1.0, -1e-6, 0.0, 1e-12, 5.0])
    found = transformed(discharge, transform, OFFSET)
    steps = np.diff(found) * (-1 if transform == "inverse" else 1)
    assert np.isfinite(found).all()
    assert (steps > 0).all()
    assert np.isfinite(transformed_bar(discharge, transform, OFFSET, np.ones(5))).all()


def test_values_of_the_transforms():
    found = [transformed(np.array([3.96]), name, OFFSET)[0] for name in TRANSFORMS]
    assert found == pytest.approx([3.96, 2.0, np.log(4.0), 0.25], rel=1e-14)


def central(function, x, direction, width=1e-6):
    return (function(x + width * direction) - function(x - width * direction)) / (2 * width)


@pytest.mark.parametrize("size", [1, 2, 3, 40, 400])
@pytest.mark.parametrize("dry_start", [False, True])
def test_derivative_of_the_base_flow_against_central_differences(size, dry_start):
    """The filter is linear between its kinks, so differences are exact but for rounding (1e-16 * 40 / 1e-6)."""
    random = np.random.default_rng(size)
    discharge, direction, bar = random.gamma(0.8, 6.0, size), random.normal(size=size), random.normal(size=size)
    discharge[0] = 1e-3 if dry_start else 50.0
    expected = central(lambda q: bar @ baseflow(q), discharge, direction)
    assert baseflow_bar(discharge, bar) @ direction == pytest.approx(expected, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("name", MEASURES)
def test_derivative_of_each_measure_against_central_differences(name, pair):
    flow, direction = pair[1], np.random.default_rng(4).normal(size=120)
    measure = MEASURES[name]
    expected = central(lambda q: measure.value(q, 150.0), flow, direction)
    assert measure.bar(flow, 150.0, 0.7) @ direction == pytest.approx(0.7 * expected, rel=1e-7, abs=1e-10)


def test_all_signatures_but_the_lag_are_terms():
    assert list(CONTINUOUS_MEASURES) == list(CONTINUOUS)
    assert [*EVENT_MEASURES, "Elt"] == list(EVENT)


@pytest.mark.parametrize("name", MEASURES)
def test_a_signature_term_is_the_mean_squared_relative_error_of_the_signatures_of_the_table(name, catchment):
    observed, simulated, catchments = catchment
    rain, options = catchments.rain[0], catchments.segmentation[0]
    scored = np.arange(observed.size) >= 60
    cost = Cost.of(observed[np.newaxis], scored, ["A"], terms=[Term(name)], catchments=catchments)
    inside, errors = slice(60, None), []
    both = observed[inside], np.where(np.isnan(observed), np.nan, simulated)[inside]
    if name in CONTINUOUS:
        q, s = (continuous_signatures(series, rain[inside], AREA, STEP)[name] for series in both)
        errors = [s / q - 1]
    else:
        events = find_events(both[0], rain[inside], STEP, options)
        assert len(events) == 3
        for event in events:
            q, s = (event_signatures(series, rain[inside], AREA, STEP, event)[name] for series in both)
            errors.append(s / q - 1)
    assert cost.value(simulated[np.newaxis]) == pytest.approx(np.mean(np.square(errors)), rel=1e-10)
    assert cost.value(simulated[np.newaxis]) > 1e-6


@pytest.mark.parametrize("name", MEASURES)
def test_derivative_of_each_signature_term_against_central_differences(name, catchment):
    """Quadratic between its kinks; the width is small, so that no step of the filter changes its side."""
    observed, simulated, catchments = catchment
    cost = Cost.of(observed[np.newaxis], np.arange(900) >= 60, ["A"], terms=[Term(name)], catchments=catchments)
    derivative = cost.value_and_derivative(simulated[np.newaxis])[1][0]
    direction = np.random.default_rng(9).normal(size=900)
    expected = central(lambda q: cost.value(q[np.newaxis]), simulated, direction, 1e-7)
    assert derivative @ direction == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert not derivative[np.isnan(observed)].any()
    assert not derivative[:60].any()
