"""Forecasts: exact where there is nothing to correct, right on a twin, blind to the future, the same bits again."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runs_harness import call, configuration, rows, table

from hydrocli.commands.forecast import _calibrated
from hydrocli.experiment.assimilation import analyse
from hydrocli.experiment.evaluation import maps_of_run
from hydrocli.experiment.forecasts import Carried, Forecaster, Issue
from hydrocli.experiment.setup import CalibrationSetup, ingested

PERIOD = ("--from", "2014-10-27T00:00Z", "--to", "2014-11-03T00:00Z", "--every", "12h")
ISSUE = 1500
"""Number of a step in the flood of the sample's autumn."""


@pytest.fixture(scope="module")
def made(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hindcast") / "made"
    call("hindcast", finished, *PERIOD, "--output", folder, "--set", "forecast.thresholds={S0001: [1.0]}")
    return folder


def forecaster(finished: Path, *sets: str) -> Forecaster:
    experiment, run = _calibrated(finished, list(sets))
    setup = CalibrationSetup(experiment, ingested(experiment), run, run)
    return Forecaster(setup, maps_of_run(run, setup), setup.flux_network.weights)


@pytest.fixture
def model(finished: Path) -> Forecaster:
    return forecaster(finished)


def background(model: Forecaster, step: int = ISSUE) -> Carried:
    return next(iter(model._backgrounds([step + 1 - model.window])))


def observe(model: Forecaster, step: int, discharge: np.ndarray) -> None:
    """Let the observations of a window be these [g, window]."""
    model.observed = model.observed.copy()
    model.observed[:, step + 1 - model.window : step + 1] = discharge


def test_a_linear_problem_has_the_solution_of_the_normal_equations() -> None:
    rng = np.random.default_rng(5)
    slope, right = rng.normal(size=(30, 4)), rng.normal(size=30)
    found = analyse(lambda v: slope @ v - right, 4)
    hessian = slope.T @ slope + np.eye(4)
    solution = np.linalg.solve(hessian, slope.T @ right)
    np.testing.assert_allclose(found.controls, solution, atol=1e-8)
    np.testing.assert_allclose(found.errors, np.sqrt(np.diag(np.linalg.inv(hessian))), rtol=1e-8)
    cost = 0.5 * (np.sum((slope @ solution - right) ** 2) + solution @ solution)
    assert found.cost == pytest.approx(cost, rel=1e-12)
    assert found.cost_before == pytest.approx(0.5 * right @ right)
    assert (found.observations, found.refusal) == (30, "")


def test_what_cannot_be_believed_is_refused() -> None:
    far = analyse(lambda v: 1e3 * (v - 9.0), 1)
    assert "standard deviations" in far.refusal
    assert far.controls.tolist() == [0.0]
    assert analyse(lambda _: np.zeros(0), 2).refusal == "no observation in the window"
    assert analyse(lambda _: np.ones(3), 0).refusal == "no error of the background is assumed"
    # At a minimum already, there is nothing to gain.
    still = analyse(lambda v: v * 2.0, 1)
    assert (still.controls.tolist(), still.refusal) == ([0.0], "the cost does not fall")


def test_the_open_loop_is_the_run_to_the_bit(finished: Path, made: Path) -> None:
    """A forecast begins in the middle of the record, with the levels, river and interception of the whole run."""
    run, ahead = table(finished.with_suffix(""), "discharge"), table(made, "forecast")
    open_loop = ahead["kind"] == "open_loop"
    known = {(g, t): q for g, t, q in zip(run["gauge"], run["time"], run["simulated"], strict=True)}
    expected = [known[g, t] for g, t in zip(ahead["gauge"][open_loop], ahead["valid"][open_loop], strict=True)]
    np.testing.assert_array_equal(ahead["discharge"][open_loop], expected)
    assert open_loop.sum() == 15 * 4 * 24
    assert (ahead["valid"] - ahead["issue"] == (ahead["lead"] * 3600).astype("timedelta64[s]")).all()


def test_tables_agree(made: Path) -> None:
    ahead, scores, issues = table(made, "forecast"), table(made, "forecast_scores"), table(made, "issues")
    here = (ahead["gauge"] == "S0003") & (ahead["kind"] == "analysis") & (ahead["lead"] == 6.0)
    expected = np.sqrt(np.mean((ahead["discharge"][here] - ahead["observed"][here]) ** 2))
    row = (scores["gauge"] == "S0003") & (scores["kind"] == "analysis") & (scores["lead"] == 6.0)
    assert scores["value"][row & (scores["metric"] == "rmse")] == pytest.approx(expected, rel=1e-12)
    assert set(scores["metric"][scores["gauge"] == "S0001"]) > {"pod@1", "far@1", "csi@1"}
    accepted = issues["refusal"] == None  # noqa: E711
    assert (issues["cost"][accepted] < issues["cost_before"][accepted]).all()
    assert (issues["observations"] == 2 * 48).all()
    corrections = table(made, "analysis")
    share = corrections["standard_error"] / corrections["background_error"]
    assert np.median(share[corrections["control"] == "ht"]) < 0.9  # observed: known better than before
    assert share.max() <= 1.0 + 1e-12
    assert len(corrections["control"]) == len(issues["issue"]) * len(np.unique(corrections["gauge"])) * 4
    for name in ("skill", "forecast"):
        assert (made / "figures" / f"{name}.png").stat().st_size > 10_000


def test_the_analysis_of_a_perfect_model_is_the_background(model: Forecaster) -> None:
    begun = background(model)
    observe(model, ISSUE, model._run(ISSUE + 1 - model.window, model.window, begun)[0])
    found = model._issue(ISSUE, begun)
    assert found.analysis.cost == 0.0
    assert not found.analysis.controls.any()
    for kind in ("ar1", "analysis"):
        np.testing.assert_array_equal(found.discharge[kind], found.discharge["open_loop"])


def test_a_twin_is_recovered_within_its_errors(model: Forecaster) -> None:
    """Truth: other levels, another river, rain 30 % less, observed with the errors that are assumed, uncorrelated."""
    model._averaged = 1.0
    begun, first = background(model), ISSUE + 1 - model.window
    forcing = model._forcing_of(first, model.window + model.horizon)
    truth = np.array(
        [{"hp": 0.8, "ht": -0.7, "river": 0.6, "rain": np.log(0.7) / 0.3}[name] for name, _ in model.controls]
    )
    true_run = model._corrected(truth, first, model.window + model.horizon, begun, forcing)[0]
    exact = true_run[:, : model.window]
    asked, rng = model.setup.experiment.forecast.observation, np.random.default_rng(8)
    sigma = np.maximum(asked.relative * exact, asked.least * model._mean[:, np.newaxis])
    observe(model, ISSUE, np.maximum(exact + sigma * rng.normal(size=exact.shape), 0.0))
    found = model._issue(ISSUE, begun)
    departure = (found.analysis.controls - truth) / found.analysis.errors
    assert np.sqrt(np.mean(departure**2)) < 1.5
    assert np.abs(departure).max() < 3.0
    assert found.analysis.errors.min() < 0.3  # the observations do say something
    assert 0.75 < 2 * found.analysis.cost / found.analysis.observations < 1.25
    ahead = true_run[:, model.window :]
    errors = {kind: np.sqrt(np.mean((found.discharge[kind] - ahead) ** 2)) for kind in ("open_loop", "analysis")}
    assert errors["analysis"] < 0.5 * errors["open_loop"]


def test_an_issue_does_not_know_the_future(model: Forecaster, finished: Path) -> None:
    plain = forecaster(finished, "forecast.future_rain=zero")
    scale, mean = plain.persistence_of_error, plain._mean  # of the calibration period, which is known
    expected = plain._issue(ISSUE, background(plain))
    other = forecaster(finished, "forecast.future_rain=zero")
    basin = other.setup.basin
    later = slice(ISSUE + 1, None)
    rain, discharge = np.array(basin.precipitation), basin.discharge.copy()
    rain[later], discharge[:, later] = 7.0, 1e3
    setup = replace(other.setup, basin=replace(basin, precipitation=rain, discharge=discharge))
    blind = Forecaster(setup, np.concatenate([other._parameters, other._start.levels]), other.weights)
    blind.persistence_of_error, blind._mean = scale, mean
    found = blind._issue(ISSUE, background(blind))
    for kind, values in expected.discharge.items():
        np.testing.assert_array_equal(found.discharge[kind], values, err_msg=kind)


def test_errors_are_carried_on_and_fade(model: Forecaster) -> None:
    model.persistence_of_error = np.full(4, 0.5)
    model._mean = np.full(4, 100.0)  # OFFSET: 1 m3/s
    observe(model, ISSUE, np.full((4, model.window), np.nan))
    model.observed[0, ISSUE - 2] = 9.0  # two steps old
    simulated = np.full((4, model.window + model.horizon), 4.0)
    found = model._carried_on(simulated, model.observed[:, ISSUE + 1 - model.window : ISSUE + 1])
    # log((9 + 1) / (4 + 1)) = log 2, and at the first step ahead an eighth of it is left
    assert found[0, 0] == pytest.approx(5.0 * 2.0**0.125 - 1.0)
    np.testing.assert_array_equal(found[1:], 4.0)


def test_the_same_again_is_left_alone(finished: Path, made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "made")
    before = {file.name: file.stat().st_mtime_ns for file in folder.glob("*.parquet")}
    asked = "hindcast", finished, *PERIOD, "--set", "forecast.thresholds={S0001: [1.0]}", "--output", folder
    assert "nothing to do" in call(*asked).stderr
    assert {file.name: file.stat().st_mtime_ns for file in folder.glob("*.parquet")} == before
    (folder / "issues.parquet").unlink()
    assert "nothing to do" not in call(*asked, "--threads", "2").stderr
    for name in ("forecast", "analysis", "issues", "forecast_scores"):
        one, other = table(made, name), table(folder, name)
        for column in one.keys() - {"run"}:
            np.testing.assert_array_equal(one[column], other[column], err_msg=column)


def test_threads_share_the_issues_and_change_nothing(model: Forecaster) -> None:
    steps = list(range(ISSUE, ISSUE + 36, 4))
    alone = list(model.issues(steps))
    seen, run = set[int](), model._issue

    def issue(step: int, begun: Carried) -> Issue:
        seen.add(threading.get_ident())
        return run(step, begun)

    model._issue = issue
    together = list(model.issues(steps, threads=3))
    assert len(seen) > 1
    for one, other in zip(alone, together, strict=True):
        assert one.step == other.step
        np.testing.assert_array_equal(one.analysis.controls, other.analysis.controls)
        for kind, values in one.discharge.items():
            np.testing.assert_array_equal(values, other.discharge[kind])


def test_a_gauge_that_validates_is_not_assimilated(model: Forecaster) -> None:
    begun = background(model)
    before = model._issue(ISSUE, begun)
    hidden = list(model.setup.basin.gauges.code).index("S0002")
    model.observed = model.observed.copy()
    model.observed[hidden, ISSUE + 1 - model.window : ISSUE + 1] *= 3.0
    after = model._issue(ISSUE, begun)
    for kind in ("analysis", "open_loop"):
        np.testing.assert_array_equal(after.discharge[kind], before.discharge[kind])
    assert not np.array_equal(after.discharge["persistence"][hidden], before.discharge["persistence"][hidden])


def test_forecasts_never_replace_a_run(finished: Path, made: Path) -> None:
    run = finished.with_suffix("")
    before = (run / "manifest.json").read_text(), (run / "config.yaml").read_text()
    assert "is a run" in call("hindcast", finished, *PERIOD, "--output", run, status=2).stderr
    after = json.loads((run / "manifest.json").read_text())
    assert (after["identity"], after["state"]) == (json.loads(before[0])["identity"], "finished")
    assert (run / "config.yaml").read_text() == before[1]
    assert "holds forecasts" in call("hindcast", made, *PERIOD, status=3).stderr


def test_one_issue_after_the_end_of_the_run(finished: Path, tmp_path: Path) -> None:
    """The store gets the steps of the horizon; the rows say what the tables say."""
    asked = "forecast", finished, "--issue", "2014-11-15T00:00Z", "--output", tmp_path / "now", "--json"
    found = {row["gauge"]: row for row in rows(call(*asked, "--set", "forecast.horizon=6h"))}
    assert set(found) == {"S0001", "S0002", "S0003", "S0004"}
    ahead = table(tmp_path / "now", "forecast")
    assert ahead["valid"].max() == np.datetime64("2014-11-15T06:00")
    peak = ahead["discharge"][(ahead["gauge"] == "S0003") & (ahead["kind"] == "analysis")].max()
    assert found["S0003"]["peak_analysis"] == pytest.approx(peak)
    assert not (tmp_path / "now" / "forecast_scores.parquet").exists()


def test_rain_that_is_late_is_none_and_counted(model: Forecaster) -> None:
    late, first = slice(ISSUE - 2, ISSUE + 4), ISSUE + 1 - model.window
    basin = model.setup.basin
    rain, pet = np.array(basin.precipitation), np.array(basin.pet)
    rain[late], pet[ISSUE + 1 :] = np.nan, np.nan
    setup = replace(model.setup, basin=replace(basin, precipitation=rain, pet=pet))
    model.setup = setup
    found = model._issue(ISSUE, background(model))
    assert found.missing == pytest.approx(3 / model.window)
    assert all(np.isfinite(values).all() for values in found.discharge.values())
    future = model._forcing_of(first, model.window + model.horizon)
    np.testing.assert_array_equal(future[0][model.window : model.window + 3], 0.0)
    np.testing.assert_array_equal(future[1][model.window :], future[1][model.window - 24 : model.window])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--from", "2014-09-01T05:00Z", "--to", "2014-09-02T05:00Z"), 2, "first whole window"),
        (("--from", "2014-10-27T00:30Z", "--to", "2014-10-28T00:30Z"), 2, "not the end of a time step"),
        (("--from", "2014-10-28T00:00Z", "--to", "2014-10-27T00:00Z"), 2, "no issue time"),
        ((*PERIOD, "--set", "forecast.window=90min"), 2, "forecast.window: 5400 s"),
        ((*PERIOD, "--set", "forecast.thresholds={S9: [1.0]}"), 2, "S9: not in the table of gauges"),
        ((*PERIOD, "--set", "structure.kind=ode"), 2, "structure.kind: a forecast is made with what was calibrated"),
    ],
)
def test_wrong_times(finished: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    result = call("hindcast", finished, *arguments, "--output", tmp_path / "wrong", status=status)
    assert words in " ".join(result.stderr.split())


def test_what_is_no_calibration(store: Path, tmp_path: Path) -> None:
    file = configuration(tmp_path / "none.yaml", store)
    assert "does not exist" in call("hindcast", file, *PERIOD, status=3).stderr
