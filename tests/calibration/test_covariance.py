"""The covariance of linear models is the textbook's; intervals cover; flat directions are told, never inverted."""

from __future__ import annotations

import numpy as np
import pytest

from hydrocli.calibration.covariance import Covariance, Residuals, covariance

STEPS = np.arange(400)
DESIGN = np.stack([np.ones(400), np.sin(STEPS / 9), np.exp(-STEPS / 60)], axis=1)
TRUTH = np.array([2.0, 1.0, -3.0])


def of_linear_model(design: np.ndarray, residuals: list[Residuals], weights: tuple[float, ...] = (1.0,)) -> Covariance:
    """Cost: sum over series of weight times the sum of squares, so C = 2 weight."""
    sensitivity = np.stack([design] * len(weights))
    return covariance(sensitivity, 2 * np.array(weights)[:, np.newaxis, np.newaxis] * sensitivity, residuals)


def test_independent_errors_are_least_squares() -> None:
    """s^2 (X'X)^-1 with n - m degrees of freedom, as every textbook has it."""
    found = of_linear_model(DESIGN, [Residuals(400, 0.3, 0.0)])
    expected = 0.3**2 * 400 / 397 * np.linalg.inv(DESIGN.T @ DESIGN)
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-10)
    np.testing.assert_allclose(np.diag(found.correlation), 1.0, rtol=1e-12)
    assert not found.without_effect.any()
    assert not found.undetermined.any()


def test_dependent_errors_and_weights_are_the_sandwich() -> None:
    """Against the matrices written out, with R as a full matrix."""
    sizes, correlations, weights = (0.3, 0.7), (0.9, 0.5), (1.0, 0.2)
    residuals = [Residuals(400, *pair) for pair in zip(sizes, correlations, strict=True)]
    found = of_linear_model(DESIGN, residuals, weights)
    lag = np.abs(STEPS[:, np.newaxis] - STEPS)
    middle = sum(
        4 * w**2 * s**2 * DESIGN.T @ r**lag @ DESIGN for w, s, r in zip(weights, sizes, correlations, strict=True)
    )
    outer = np.linalg.inv(2 * sum(weights) * DESIGN.T @ DESIGN)
    np.testing.assert_allclose(found.matrix, outer @ middle @ outer * 800 / 797, rtol=1e-9)


def test_intervals_cover() -> None:
    """300 fits to series with errors of correlation 0.8: the standard errors are the spread of the estimates.

    A standard deviation of 300 draws is known to 4 %; the correlation is estimated from residuals of a fit, which
    makes it, and the errors, some per cent too small. Independent errors would be too small by a factor of two.
    """
    rng, estimates, errors = np.random.default_rng(5), [], []
    for _ in range(300):
        noise = np.zeros(400)
        for t, kick in enumerate(rng.standard_normal(400)):
            noise[t] = 0.8 * noise[t - 1] + 0.6 * kick
        observed = DESIGN @ TRUTH + noise
        fitted = np.linalg.lstsq(DESIGN, observed, rcond=None)[0]
        estimates.append(fitted)
        errors.append(of_linear_model(DESIGN, [Residuals.of(DESIGN @ fitted - observed)]).standard_error)
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(estimates, axis=0), rtol=0.15)


def test_residuals() -> None:
    """A gap is no pair; the effective number of an AR(1) of 0.5 is a third."""
    rng = np.random.default_rng(1)
    series = np.zeros(20000)
    for t in range(1, 20000):
        series[t] = 0.5 * series[t - 1] + rng.standard_normal()
    series[100:200] = np.nan
    found = Residuals.of(series)
    assert found.number == 19900
    assert found.correlation == pytest.approx(0.5, abs=0.02)
    assert found.size == pytest.approx(np.sqrt(4 / 3), rel=0.02)
    assert found.effective_number == pytest.approx(19900 / 3, rel=0.05)
    assert Residuals.of(np.full(3, np.nan)) == Residuals(0, 0.0, 0.0)
    assert Residuals.of(np.array([1.0, -1.0, 1.0])).correlation == 0.0


def test_flat_directions_are_told() -> None:
    """The first column twice, and one of zeros: neither double is determined, the others are as without the second."""
    design = np.column_stack([DESIGN, DESIGN[:, 0], np.zeros(400)])
    residuals = [Residuals(400, 0.3, 0.4)]
    found = of_linear_model(design, residuals)
    assert found.without_effect.tolist() == [False, False, False, False, True]
    assert found.undetermined.tolist() == [True, False, False, True, False]
    np.testing.assert_allclose(np.abs(found.flat), [[0.5**0.5, 0.0, 0.0, 0.5**0.5, 0.0]], atol=1e-9)
    assert np.isnan(found.standard_error[[0, 3, 4]]).all()
    alone = of_linear_model(DESIGN, residuals)
    np.testing.assert_allclose(found.standard_error[1:3], alone.standard_error[1:], rtol=5e-3)  # n - m differs
    assert of_linear_model(np.zeros((400, 2)), residuals).without_effect.all()


def test_a_cost_that_is_curved_downwards_is_not_without_effect() -> None:
    """The second control lowers the cost both ways: it is not determined, and the first is as if alone."""
    first, second = np.zeros((2, 2, 400, 1))
    first[0, :, 0], second[1, :, 0] = DESIGN[:, 1], DESIGN[:, 1]
    residuals = [Residuals(400, 0.3, 0.0)] * 2
    sensitivity = np.concatenate([first, second], axis=-1)
    found = covariance(sensitivity, np.concatenate([first, -0.5 * second], axis=-1), residuals)
    assert not found.without_effect.any()
    assert found.undetermined.tolist() == [False, True]
    expected = 0.3 * np.sqrt(800 / 798 / (DESIGN[:, 1] @ DESIGN[:, 1]))
    np.testing.assert_allclose(found.standard_error, [expected, np.nan], rtol=1e-10)


def test_no_control_is_no_fault() -> None:
    assert of_linear_model(DESIGN[:, :0], [Residuals(400, 0.3, 0.4)]).matrix.shape == (0, 0)
