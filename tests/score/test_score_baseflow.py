from __future__ import annotations

import sys

import numpy as np
import pytest

from hydrocli.score import baseflow as module
from hydrocli.score.baseflow import baseflow


@pytest.fixture
def hydrograph():
    return np.random.default_rng(5).gamma(0.8, 6.0, 400)


def test_base_flow_lies_between_zero_and_the_discharge(hydrograph):
    base = baseflow(hydrograph)
    assert np.all((base > 0) & (base <= hydrograph))
    assert base.std() < 0.2 * hydrograph.std()


def test_one_pass_written_out_by_hand():
    """Three values: v1 = .925 * 2 + .0375 * (4 + 10) = 2.375; v2 = .925 * 2.375 + .0375 * (2 + 4) = 2.42 > 2."""
    found = module._one_pass(np.array([10.0, 4.0, 2.0]), 2.0)
    np.testing.assert_allclose(found, [2.0, 2.375, 2.0], rtol=1e-15)


def test_compiled_is_interpreted_to_the_bit(hydrograph, monkeypatch):
    compiled = module._compiled_pass(hydrograph, 1.0, np.empty(400))
    whole = baseflow(hydrograph)
    monkeypatch.delitem(sys.modules, "numba")
    assert np.array_equal(module._one_pass(hydrograph, 1.0), compiled)
    assert np.array_equal(baseflow(hydrograph), whole)


def test_missing_values_stay_missing_and_the_filter_passes_over_them(hydrograph):
    gaps = hydrograph.copy()
    gaps[[0, 50, 51, 399]] = np.nan
    base = baseflow(gaps)
    assert np.flatnonzero(np.isnan(base)).tolist() == [0, 50, 51, 399]
    np.testing.assert_array_equal(base[~np.isnan(gaps)], baseflow(hydrograph[~np.isnan(gaps)]))


def test_empty_and_constant_series():
    assert baseflow([]).size == 0
    assert np.isnan(baseflow([np.nan, np.nan])).all()
    assert np.all(baseflow(np.full(5, 3.0)) <= 3.0)


@pytest.mark.peer
def test_base_flow_agrees_with_smash(peer, hydrograph):
    """A recursion in float32 with damping 0.925 loses some 1 / (1 - 0.925) roundings of 6e-8: 8e-7 of the peak."""
    from smash.fcore import _mwd_signatures as fortran

    short = [hydrograph[:n] for n in (1, 2, 3, 4, 10)]
    for series in (*peer.observed, *peer.simulated, hydrograph, *short):
        base, quick = np.zeros((2, series.size), dtype=np.float32)
        fortran.baseflow_separation(series.astype(np.float32), base, quick, filter_parameter=0.925, passes=3)
        np.testing.assert_allclose(baseflow(series), base, rtol=0, atol=8e-7 * series.max())
