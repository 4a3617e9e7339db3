"""Penalties on maps: derivatives against the complex step, terms by hand, the corner of an L-curve."""

from __future__ import annotations

import numpy as np
import pytest

from hydrocli.score.regularisation import Penalty, corner, prior, prior_bar, smoothing, smoothing_bar

PAIRS = np.array([[0, 1, 2, 0], [1, 2, 3, 3]])


@pytest.fixture
def maps():
    """Two maps of four cells in [0, 1], others to compare with, and a direction."""
    random = np.random.default_rng(1)
    return random.random((2, 4)), random.random((2, 4)), random.normal(size=(2, 4))


@pytest.mark.parametrize("name", ["prior", "smoothing"])
def test_derivative_of_each_term_against_the_complex_step(name, maps):
    z, first, direction = maps
    forward, backward, fixed = {
        "prior": (prior, prior_bar, first),
        "smoothing": (smoothing, smoothing_bar, PAIRS),
    }[name]
    expected = forward(z + 1e-30j * direction, fixed).imag / 1e-30
    assert np.sum(backward(z, fixed, 0.7) * direction) == pytest.approx(0.7 * expected, rel=1e-13)


def test_terms_written_out():
    z = np.array([[0.0, 0.5, 0.5], [1.0, 1.0, 0.0]])
    assert prior(z, np.full((2, 3), 0.5)) == pytest.approx((0.25 + 3 * 0.25) / 6)
    assert smoothing(z, np.array([[0, 1], [1, 2]])) == pytest.approx((0.25 + 1.0) / 4)


@pytest.fixture
def penalty():
    """Rows 0 and 2 of three, cells 1 to 4 of five, in physical units."""
    first = np.random.default_rng(3).random((3, 5)) * [[100], [1], [5]]
    bounds = np.array([0.0, -5.0]), np.array([100.0, 5.0])
    return Penalty(0.3, 2.0, 1.0, np.array([0, 2]), np.arange(1, 5), *bounds, first, PAIRS)


def test_a_penalty_counts_maps_between_their_bounds_and_no_others(penalty, maps):
    theta = penalty.first + np.array([[10.0], [7.0], [1.0]])
    far, rough = penalty.parts(theta)
    assert far == pytest.approx(0.01, rel=1e-12)  # a tenth of the width in both
    assert rough == pytest.approx(penalty.parts(penalty.first)[1], rel=1e-12)
    assert penalty.value(theta) == pytest.approx(0.3 * (2 * far + rough), rel=1e-14)
    theta[1], theta[:, 0] = 1e9, -1e9
    assert penalty.value(theta) == pytest.approx(0.3 * (2 * far + rough), rel=1e-12)
    assert not penalty.derivative(theta)[1].any()
    assert not penalty.derivative(theta)[:, 0].any()


def test_derivative_of_a_penalty_in_the_units_of_the_maps(penalty):
    """Quadratic: central differences are exact but for rounding."""
    random = np.random.default_rng(5)
    theta, direction = random.random((3, 5)), random.normal(size=(3, 5))
    expected = penalty.value(theta + direction) - penalty.value(theta - direction)
    assert np.sum(penalty.derivative(theta) * direction) == pytest.approx(expected / 2, rel=1e-12)


def test_the_corner_of_a_curve():
    """Weights going down: the misfit falls quickly, then hardly, while the penalty grows."""
    assert corner([1.0, 0.4, 0.1, 0.09, 0.088], [0.0, 0.01, 0.03, 0.2, 1.0]) == 2
    assert corner([1.0, 1.0], [0.0, 0.0]) == 0
    assert corner([5.0, 4.0, 3.0], [2.0, 2.0, 2.0]) == 2
