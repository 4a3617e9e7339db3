"""Daily observations beside an hourly model: what calibrates, is scored and drawn are daily means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_harness import SAMPLE, call, configuration, manifest, rows, series, table

from hydrocli.report.hydrographs import hydrograph
from hydrocli.results import read

ZONE = "Europe/Paris"
CHANGES: dict[str, Any] = {
    "first_guess": {"kind": "given"},
    "optimiser": {"kind": "lbfgsb", "iterations": 4},
    "gauges.discharge": {"path": "qobs", "format": "tidy", "label": "start", "timezone": ZONE},
}


def daily_table(folder: Path) -> pd.DataFrame:
    """Daily means of the observations of the sample, of days of Paris; S0004 keeps its hours."""
    parts = []
    for code in ("S0001", "S0002", "S0003"):
        lines = (SAMPLE / "qobs" / f"{code}.csv").read_text().splitlines()
        start = pd.to_datetime(lines[0], format="%Y%m%d%H%M", utc=True)
        hours = pd.Series(np.array(lines[1:], float), pd.date_range(start, periods=len(lines) - 1, freq="1h"))
        hours[hours < 0] = np.nan
        days = hours.groupby((hours.index - pd.Timedelta("1h")).tz_convert(ZONE).date).agg(["mean", "count"])
        days = days[days["count"] > 22]
        parts.append(pd.DataFrame({"gauge": code, "time": days.index.astype(str), "discharge": days["mean"].round(4)}))
    whole = pd.concat(parts)
    whole.to_csv(folder / "q.csv", index=False)
    return whole


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, store: Path) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("daily")
    days = daily_table(folder)
    changes = CHANGES | {"gauges.validation": ["S0002"]}
    file = configuration(folder / "run.yaml", store, changes=changes)
    file.write_text(file.read_text().replace(str(SAMPLE / "qobs"), str(folder / "q.csv")))
    result = call("calibrate", file)
    assert "means of 1d, from their times of Europe/Paris" in result.stderr
    return folder / "run", days


def by_hand(folder: Path, days: pd.DataFrame, code: str, start: str, end: str) -> tuple[np.ndarray, np.ndarray]:
    """Observed and simulated means of the days of Paris that lie wholly in a period."""
    times, simulated = series(folder, code)
    index = pd.DatetimeIndex(times).tz_localize("UTC") - pd.Timedelta("1h")
    inside = (index >= pd.Timestamp(start, tz="UTC")) & (index < pd.Timestamp(end, tz="UTC"))
    local = index.tz_convert(ZONE)
    frame = pd.DataFrame({"day": local.date.astype(str), "simulated": simulated, "inside": inside})
    frame["hours"] = 1
    means = frame.groupby("day").agg({"simulated": "mean", "inside": "all", "hours": "sum"})
    observed = days[days["gauge"] == code].set_index("time")["discharge"]
    means = means[means["inside"] & (means["hours"] > 22)].join(observed, how="inner")
    return means["discharge"].to_numpy(), means["simulated"].to_numpy()


def efficiency(observed: np.ndarray, simulated: np.ndarray) -> float:
    return float(1 - np.sum((observed - simulated) ** 2) / np.sum((observed - observed.mean()) ** 2))


def test_cost_and_scores_are_those_of_daily_means(run: tuple[Path, pd.DataFrame]) -> None:
    folder, days = run
    calibration = "2014-09-20", "2014-10-25"
    pairs = {code: by_hand(folder, days, code, *calibration) for code in ("S0001", "S0003")}
    cost = table(folder, "convergence")["cost"][-1]
    assert 1 - np.mean([efficiency(*pair) for pair in pairs.values()]) == pytest.approx(cost, rel=1e-9)
    known = manifest(folder)["uncertainty"]["gauges"]
    assert {code: known[code]["observations"] for code in pairs} == {code: len(pair[0]) for code, pair in pairs.items()}
    scores = {(row["gauge"], row["period"]): row for row in rows(call("validate", folder, "--json"))}
    assert len(scores) == 6
    for (code, period), row in scores.items():
        observed, simulated = by_hand(folder, days, code, *(calibration if period == "calibration" else CALIBRATED_ON))
        assert row["nse"] == pytest.approx(efficiency(observed, simulated), rel=1e-9)
        assert row["n_valid"] == len(observed) > 15


CALIBRATED_ON = "2014-10-25", "2014-11-15"


def test_the_table_says_of_which_steps_a_mean_is(run: tuple[Path, pd.DataFrame]) -> None:
    folder, days = run
    columns = table(folder, "discharge")
    here = columns["gauge"] == "S0001"
    ends, observed = columns["interval_end"][here], columns["observed"][here]
    day = ends == np.datetime64("2014-10-26T23:00")  # the day with 25 hours
    assert day.sum() == 25
    expected = days[(days["gauge"] == "S0001") & (days["time"] == "2014-10-26")]["discharge"].item()
    np.testing.assert_array_equal(observed[day], expected)


def test_figures_show_daily_means(run: tuple[Path, pd.DataFrame]) -> None:
    found = read(run[0]).arrays("discharge")
    rows_of = found["gauge"] == "S0001"
    one = {name: values[rows_of] for name, values in found.items()}
    drawn = hydrograph(one, None, "run", {}).simulated["run"]
    day = one["interval_end"].astype("datetime64[s]") == np.datetime64("2014-10-26T23:00")
    assert np.ptp(one["simulated"][day]) > 0
    np.testing.assert_allclose(drawn[day], one["simulated"][day].mean())


def test_gradient_and_signatures(run: tuple[Path, pd.DataFrame]) -> None:
    """The adjoint of the whole chain, by Taylor remainders; signatures of daily means are there."""
    call("gradcheck", run[0])
    call("signatures", run[0])
    found = table(run[0], "signatures")
    continuous = (found["signature"] == "Crc") & (found["period"] == "calibration")
    assert np.isfinite(found["simulated"][continuous].astype(float)).all()
