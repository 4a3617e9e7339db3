"""The page of `hydrocli check --report`: its numbers are those of the tables, and it needs no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_reader import look_at

from hydrocli.report import style
from hydrocli.report.check_figures import cumulated, draw_budyko, draw_double_mass, draw_months, others_mean
from hydrocli.report.check_page import SERIES, write_check_page

DAYS = np.arange("2020-01-20", "2020-04-10", dtype="datetime64[D]")
CODES = ("A", "B")


def series() -> dict[str, Any]:
    """Six cells in a row that drain west, two gauges; the discharge of B has gaps."""
    random = np.random.default_rng(2)
    cells = np.arange(6)
    rain = random.gamma(0.5, 4.0, (2, len(DAYS)))
    runoff = 0.4 * rain
    runoff[1, 10:20] = np.nan
    return {
        "x": 1000.0 * cells, "y": np.zeros(6), "row": np.zeros(6, int), "column": cells, "downstream": cells - 1,
        "drained_area": 1e6 * (6.0 - cells), "zone": np.array([0, 0, 0, 1, 1, 1]), "gauges": CODES,
        "cells": np.array([0, 3]), "is_geographic": False, "days": DAYS, "rain": rain, "runoff": runoff,
        "rain_observed": rain, "cell_rain": 100.0 + cells, "cell_missing": np.zeros(6),
    }  # fmt: skip


def gauge(code: str, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(SERIES) | {
        "gauge": code, "area": 3.0, "days": 81.0, "rain": 200.0, "pet": 90.0, "runoff": 80.0, "observed_days": 81.0,
        "rain_observed": 200.0, "runoff_ratio": 0.4, "rain_missing": 0.0, "rain_uncovered": 0.0,
        "rain_jump_time": np.datetime64("2020-02-01T00:00:00"), "lag": 3.0,
    }  # fmt: skip
    return row | changes


def report(**changes: Any) -> dict[str, Any]:
    months = [
        {"gauge": code, "month": np.datetime64(f"2020-0{month}-01"), "rain": 70.0, "pet": 30.0, "runoff": None,
         "rain_missing": 0.1 * month, "discharge_missing": 0.0}
        for code in CODES
        for month in (1, 2, 3, 4)
    ]  # fmt: skip
    return {
        "name": "made-up",
        "cells": 6,
        "periods": {"calibration": "2020-02-01 to 2020-04-10"},
        "problems": [],
        "warnings": ["rain is missing"],
        "assumptions": ["precipitation: mm per hour (assumed)"],
        "forcing": [{"forcing": "precipitation", "files": 3}],
        "gauges": [{"gauge": code} for code in CODES],
        "plausibility": [gauge("A"), gauge("B", runoff=None, runoff_ratio=None)],
        "plausibility_by_month": months,
        "plausibility_of_forcing": [{"forcing": "precipitation", "highest": 12.5}],
        "gauge_candidates": [{"gauge": "A", "area": 3.0, "chosen": 1}],
    } | changes


def test_a_page_of_its_own(tmp_path: Path) -> None:
    write_check_page(tmp_path / "new" / "check.html", report(), series())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["check.html"]
    seen = look_at(tmp_path / "new" / "check.html")
    assert not seen.open_tags
    assert all(address.startswith(("#", "data:")) for address in seen.addresses)
    assert list(seen.figures) == [
        f"figure-{name}"
        for name in ("budyko", "catchments", "rain", "rain_and_runoff", "rain_of_gauges", "runoff_of_gauges", "months")
    ]
    assert all(parts > 5 for parts in seen.figures.values())
    assert "plausible" in seen.text
    assert "No cell lacks rain data." in seen.text
    assert "rain [mm]" in seen.text
    assert "Made by hydrocli" in seen.text
    assert "run folder" not in seen.text


def test_problems_stand_first_and_a_page_needs_no_store(tmp_path: Path) -> None:
    keys = ("plausibility", "plausibility_by_month", "plausibility_of_forcing", "gauge_candidates")
    bare = {key: value for key, value in report(problems=["gauges.table: is none"]).items() if key not in keys}
    write_check_page(tmp_path / "check.html", bare, None)
    seen = look_at(tmp_path / "check.html")
    assert not seen.figures
    assert "gauges.table: is none" in seen.text
    assert "failed" in seen.text


def test_double_mass_curves_end_at_the_sums() -> None:
    found = series()
    known = np.isfinite(found["runoff"][1])
    x, y = cumulated(found["rain"][1], found["runoff"][1])
    assert x[-1] == pytest.approx(found["rain"][1][known].sum())
    assert y[-1] == pytest.approx(0.4 * x[-1])
    with style.drawing():
        figure = draw_double_mass({"B": (x, y)}, DAYS, ("rain [mm]", "runoff [mm]"))
    (axis,) = figure.axes
    whole, curve, starts = axis.lines
    np.testing.assert_array_equal(curve.get_xdata(), x)
    np.testing.assert_array_equal(whole.get_ydata(), [0, y[-1]])
    first = np.searchsorted(DAYS, np.array(["2020-02-01", "2020-03-01", "2020-04-01"], "datetime64[D]"))
    np.testing.assert_array_equal(starts.get_xdata(), x[first])
    assert {text.get_text() for text in axis.texts} <= {"2020-02", "2020-03", "2020-04"}
    others = others_mean(np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan], [5.0, 4.0, 1.0]]), 2)
    np.testing.assert_array_equal(others, [2.0, 2.0, np.nan])


def test_points_of_budyko_and_shares_of_months() -> None:
    with style.drawing():
        figure = draw_budyko([gauge("A"), gauge("B", runoff=None)])
        assert figure is not None
        np.testing.assert_allclose(figure.axes[0].collections[0].get_offsets(), [[0.45, 0.6]])
        assert draw_budyko([gauge("B", runoff=None)]) is None
        values = np.array([[0.0, 0.5], [1.0, 0.25]])
        months = draw_months({"Rain": values}, CODES, ("2020-01", "2020-02"))
    np.testing.assert_array_equal(months.axes[0].images[0].get_array(), values)
