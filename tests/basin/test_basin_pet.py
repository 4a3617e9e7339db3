"""Oudin's formula against pyet and a published value; the sharing out of days."""

from __future__ import annotations

import numpy as np
import pytest

from hydrocli.basin.basin import day_of_step, stamps
from hydrocli.basin.pet import (
    HOURLY_WEIGHTS,
    extraterrestrial_radiation,
    oudin,
    shares_of_day,
)

START = np.datetime64("2020-02-28T00:00")


def test_radiation_of_the_example_of_fao() -> None:
    """FAO-56, example 8: 3 September at 20 degrees south, 32.2 MJ m-2 d-1, printed to a tenth."""
    assert extraterrestrial_radiation(np.array([-20.0]), np.datetime64("2015-09-03"))[0] == pytest.approx(
        32.2, abs=0.05
    )


def test_radiation_beyond_the_polar_circle() -> None:
    poles = np.array([80.0, -80.0])
    june, december = (extraterrestrial_radiation(poles, np.datetime64(f"2015-{month}-21")) for month in ("06", "12"))
    assert june[0] > 40
    assert june[1] == 0
    assert december[0] == 0
    assert december[1] > 40


def test_oudin_is_zero_where_it_is_cold() -> None:
    values = oudin(np.array([-20.0, -5.0, -4.9, np.nan]), np.full(4, 20.0))
    np.testing.assert_array_equal(values[:2], 0)
    assert values[2] > 0
    assert np.isnan(values[3])


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_oudin_against_pyet() -> None:
    """The same equations in float64. pyet's 118.08 / 3.141592654 differs from 24 * 60 * 0.082 / pi by 1.3e-10."""
    pyet, pandas = pytest.importorskip("pyet"), pytest.importorskip("pandas")
    index = pandas.date_range("2019-01-01", "2020-12-31", freq="D")
    temperature = 10 + 18 * np.sin(np.arange(len(index)) / 40)
    for latitude in (-35.0, 0.0, 44.9, 61.0):
        expected = pyet.oudin(pandas.Series(temperature, index), lat=np.radians(latitude)).to_numpy()
        got = [
            oudin(np.array([t]), extraterrestrial_radiation(np.array([latitude]), day))[0]
            for t, day in zip(temperature, index.to_numpy("datetime64[D]"), strict=True)
        ]
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_hourly_shares_are_the_weights_at_the_stamps_from_seven_to_eighteen() -> None:
    times = stamps(START, 48, 3600)
    shares = shares_of_day(times, 3600).reshape(2, 24)
    expected = np.zeros(24)
    expected[6:18] = HOURLY_WEIGHTS
    np.testing.assert_allclose(shares, [expected, expected], rtol=0, atol=1e-15)
    assert sum(HOURLY_WEIGHTS) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("step", [900, 1800, 3600, 5400, 10800, 21600, 43200, 86400])
@pytest.mark.parametrize("begin", [0, 3 * 3600 + 900])
def test_the_shares_of_a_day_sum_to_one(step: int, begin: int) -> None:
    """Also where the steps do not begin at midnight."""
    times = stamps(START + np.timedelta64(begin, "s"), 4 * 86400 // step, step)
    shares = shares_of_day(times, step)
    np.testing.assert_allclose(shares.reshape(4, -1).sum(axis=1), 1.0, atol=1e-12)
    assert np.all(shares >= 0)


def test_quarters_share_their_hour_evenly_and_long_steps_add_theirs() -> None:
    quarters = shares_of_day(stamps(START, 96, 900), 900)
    np.testing.assert_allclose(quarters[40:44], 0.110 / 4, atol=1e-15)
    thirds = shares_of_day(stamps(START, 8, 10800), 10800)
    np.testing.assert_allclose(thirds[3], 0.097 + 0.110 + 0.117, atol=1e-15)


def test_midnight_ends_the_day_before() -> None:
    times = np.array(["2020-02-28T23:00", "2020-02-29T00:00", "2020-02-29T01:00"], "datetime64[s]")
    assert day_of_step(times).astype(str).tolist() == ["2020-02-28", "2020-02-28", "2020-02-29"]
