"""Daily observations beside an hourly model: the cost is that of daily means, its derivative exact."""

from __future__ import annotations

import numpy as np
import pytest

from hydrocli.score.cost import Catchments, Cost, Term
from hydrocli.score.events import Segmentation
from hydrocli.score.intervals import ends_of, mean_over, sum_over, until_of, whole
from hydrocli.score.metrics import METRIC_TERMS, kge, nse

STEPS, FIRST = 24 * 12, 6
"""Hours of the run, and those before its first whole day."""


def days() -> np.ndarray:
    """The last hour of the day of each hour; hours before the first and after the last whole day are alone."""
    until = np.arange(STEPS)
    for day in range(FIRST, STEPS - 24, 24):
        until[day : day + 24] = day + 23
    return until


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Daily means at each of their hours, one day missing, and an hourly simulation."""
    random = np.random.default_rng(5)
    until = days()
    observed = mean_over(random.gamma(2.0, 3.0, STEPS), until)
    last = FIRST + 24 * 11
    observed[:FIRST] = observed[last:] = observed[FIRST + 48 : FIRST + 72] = np.nan
    return observed, until, random.gamma(2.0, 3.0, STEPS)


def daily(series: np.ndarray, first: int = FIRST) -> np.ndarray:
    """Means of whole days by hand."""
    count = (STEPS - first) // 24
    return series[first : first + 24 * count].reshape(count, 24).mean(axis=1)


def test_means_are_their_own_transpose(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    _, until, simulated = case
    other = np.random.default_rng(1).normal(size=STEPS)
    assert np.dot(mean_over(simulated, until), other) == pytest.approx(
        np.dot(simulated, mean_over(other, until)), rel=1e-13
    )
    assert mean_over(simulated, None) is simulated


@pytest.mark.parametrize("transform", ["none", "log", "sqrt"])
@pytest.mark.parametrize("name", METRIC_TERMS)
def test_the_cost_is_that_of_daily_means(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], name: str, transform: str
) -> None:
    """Against the same term on series of days, which know nothing of hours."""
    observed, until, simulated = case
    term = Term(name, 1.0, transform)
    hourly = Cost.of(observed[None], np.ones(STEPS, bool), ["A"], None, [term], until=until[None])
    by_day = Cost.of(daily(observed)[None], np.ones(len(daily(observed)), bool), ["A"], None, [term])
    expected, derivative = by_day.value_and_derivative(daily(simulated)[None])
    value, bar = hourly.value_and_derivative(simulated[None])
    assert value == pytest.approx(expected, rel=1e-12)
    assert hourly.value(simulated[None]) == value
    # A day is the mean of its hours: each has a 24th of the derivative.
    np.testing.assert_allclose(daily(bar[0]) * 24, derivative[0], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(hourly.by_gauge(simulated[None]), by_day.by_gauge(daily(simulated)[None]), rtol=1e-12)


def test_one_minus_nse_by_hand(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    observed, until, simulated = case
    q, s = daily(observed), daily(simulated)
    known = np.isfinite(q)
    assert known.sum() == 10
    expected = np.sum((s - q)[known] ** 2) / np.sum((q[known] - q[known].mean()) ** 2)
    cost = Cost.of(observed[None], np.ones(STEPS, bool), ["A"], until=until[None])
    assert cost.value(simulated[None]) == pytest.approx(expected, rel=1e-12)
    assert nse(observed, mean_over(simulated, until)) == pytest.approx(1 - expected, rel=1e-12)
    assert kge(observed, mean_over(simulated, until)) == pytest.approx(kge(q, s), rel=1e-12)


@pytest.mark.parametrize("name", ["nse", "kge", "Crc", "Epf"])
def test_derivative_against_central_differences(case: tuple[np.ndarray, np.ndarray, np.ndarray], name: str) -> None:
    observed, until, simulated = case
    options = Segmentation(peak_quantile=0.9, end_window=6.0, max_duration=72.0)
    rain = np.abs(np.random.default_rng(2).normal(size=(1, STEPS)))
    catchments = Catchments(rain, np.array([1e7]), 3600, [options])
    cost = Cost.of(observed[None], np.arange(STEPS) >= 30, ["A"], None, [Term(name)], catchments, until[None])
    _, bar = cost.value_and_derivative(simulated[None])
    direction = np.random.default_rng(3).normal(size=(1, STEPS))
    step = 1e-5
    difference = (cost.value(simulated + step * direction) - cost.value(simulated - step * direction)) / (2 * step)
    assert np.vdot(bar, direction) == pytest.approx(difference, rel=1e-6)
    assert difference != 0


def test_a_day_that_begins_before_the_calibration_is_not_scored(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Nor one that a shorter run cuts off."""
    observed, until, simulated = case
    scored = np.arange(STEPS) >= FIRST + 1
    cost = Cost.of(observed[None], scored, ["A"], until=until[None])
    _, bar = cost.value_and_derivative(simulated[None])
    assert not bar[0, : FIRST + 24].any()
    assert bar[0, FIRST + 24 : FIRST + 48].all()
    cut = FIRST + 48 + 5
    short = Cost.of(observed[None, :cut], np.ones(cut, bool), ["A"], until=until[None, :cut])
    _, bar = short.value_and_derivative(simulated[None, :cut])
    assert bar[0, FIRST : FIRST + 48].all()
    assert not bar[0, FIRST + 48 :].any()
    np.testing.assert_array_equal(np.flatnonzero(whole(np.ones(cut, bool), until[:cut])), np.arange(FIRST + 48))


def test_intervals_of_single_steps_change_no_bit(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    observed, _, simulated = case
    own = np.arange(STEPS)[None]
    plain = Cost.of(observed[None], np.ones(STEPS, bool), ["A"])
    same = Cost.of(observed[None], np.ones(STEPS, bool), ["A"], until=own)
    assert plain.value(simulated[None]) == same.value(simulated[None])
    for one, other in zip(
        plain.value_and_derivative(simulated[None]), same.value_and_derivative(simulated[None]), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_ends_of_intervals_say_what_they_were_made_of(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    until = case[1]
    times = np.datetime64("2020-01-01T01:00", "s") + np.arange(STEPS) * np.timedelta64(1, "h")
    ends = ends_of(times, until)
    assert np.isnat(ends[:FIRST]).all()
    assert ends[FIRST] == times[FIRST + 23]
    np.testing.assert_array_equal(until_of(times, ends), until)
    assert until_of(times, ends_of(times, None)) is None
    np.testing.assert_allclose(sum_over(np.ones((STEPS, 2)), until)[FIRST], [24, 24])
