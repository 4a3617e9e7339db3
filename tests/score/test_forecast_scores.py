"""Scores of forecasts against their definitions, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hydrocli.score.forecasts import scores_at_lead

OBSERVED = np.array([1.0, 4.0, 10.0, 3.0, np.nan])
FORECAST = np.array([2.0, 4.0, 8.0, 5.0, 7.0])
LAST = np.array([1.0, 1.0, 4.0, np.nan, 3.0])


def test_scores_are_their_definitions() -> None:
    found = scores_at_lead(OBSERVED, FORECAST, LAST, (5.0, 20.0))
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 0 + 4 + 4) / 4))
    assert found["nse"] == pytest.approx(1 - 9 / np.sum((OBSERVED[:4] - 4.5) ** 2))
    # The fourth issue has no last observation: it does not count.
    assert found["persistence_index"] == pytest.approx(1 - (1 + 0 + 4) / (0 + 9 + 36))
    assert found["peak_error"] == pytest.approx((8 - 10) / 10)
    assert (found["pod@5"], found["far@5"], found["csi@5"]) == (1.0, 0.5, 0.5)
    assert np.isnan([found["pod@20"], found["far@20"], found["csi@20"]]).all()


def test_persistence_has_index_0_and_the_truth_1() -> None:
    kept = np.isfinite(LAST) & np.isfinite(OBSERVED)
    assert scores_at_lead(OBSERVED[kept], LAST[kept], LAST[kept], ())["persistence_index"] == 0.0
    assert scores_at_lead(OBSERVED[kept], OBSERVED[kept], LAST[kept], ())["persistence_index"] == 1.0


def test_nothing_observed_is_not_a_number() -> None:
    found = scores_at_lead(np.full(3, np.nan), np.ones(3), np.ones(3), (1.0,))
    assert len(found) == 8
    assert np.isnan(list(found.values())).all()
